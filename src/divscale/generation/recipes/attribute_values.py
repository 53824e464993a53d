"""Attributes that ship with the attributes recipe: ten values each, in words that fit any subject."""

from __future__ import annotations

from divscale.schema import Task


def _about(*counts: int) -> tuple[str, ...]:
    return tuple(f"about {count} words" for count in counts)


LENGTHS: dict[Task, tuple[str, ...]] = {
    "classification": _about(4, 6, 8, 10, 12, 15, 18, 22, 26, 30),
    "qa": _about(4, 5, 6, 7, 8, 10, 12, 14, 17, 20),
    "text": _about(5, 8, 12, 16, 20, 30, 40, 55, 75, 100),
}

ATTRIBUTES: dict[Task, dict[str, tuple[str, ...]]] = {
    "classification": {
        "length": LENGTHS["classification"],
        "style": ("plain and factual", "casual and chatty", "formal and polite", "terse, like a note",
                  "technical and precise", "emotional", "hesitant and unsure", "impatient", "vivid and descriptive",
                  "dry and a little ironic"),
        "form": ("a statement", "a question", "a request", "a complaint", "a comparison", "a short anecdote",
                 "an explanation", "a warning", "a piece of advice", "a first impression"),
        "writer": ("an expert in the field", "a complete beginner", "a student", "an older person", "a teenager",
                   "a busy professional", "someone writing in a second language", "a journalist", "a sceptic",
                   "an enthusiast"),
    },
    "qa": {
        "length": LENGTHS["qa"],
        "opening": ("who", "what", "where", "when", "why", "how", "which", "whose", "how many", "what kind of"),
        "subject": ("a person or character", "an action", "a place", "a time", "a cause", "a consequence", "a feeling",
                    "an object", "a relation between two things", "something said"),
        "style": ("plain", "formal", "as a child would ask it", "as a teacher would ask it", "as a quiz would ask it",
                  "conversational", "precise and detailed", "indirect", "short and blunt", "curious"),
    },
    "text": {
        "length": LENGTHS["text"],
        "style": ("plain", "lyrical", "humorous", "tense", "matter-of-fact", "old-fashioned", "childlike", "ironic",
                  "dramatic", "reflective"),
        "mood": ("hopeful", "sad", "calm", "anxious", "joyful", "angry", "wistful", "mysterious", "tender", "absurd"),
        "turn": ("a surprise", "a quiet resolution", "a failure", "a reconciliation", "a discovery", "a loss",
                 "a decision", "a return", "a misunderstanding", "a lesson learnt"),
    },
}
