"""A procedural world with an exact oracle: short stories about one protagonist, and questions about them.

Every story gives a value to each of eight slots, one short sentence a slot, in shuffled order (about 45 words in all).
Every question asks for one slot in one of six phrasings; the answer is one word. The language is small on purpose
(under 300 words), so that a model of 0.1M parameters learns it in a minute, and closed, so that the truth of a
generated question-answer pair is decided, not estimated.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from divscale.data.samples import real_samples

NAMES = ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Lena", "Max")
PHRASINGS = ("p0", "p1", "p2", "p3", "p4", "p5")


@dataclass(frozen=True)
class Slot:
    """One typed fact of a story: the sentence that states it, its possible values, and six ways to ask for it."""

    sentence: str
    values: tuple[str, ...]
    questions: tuple[str, ...]


# p0 and p1 name the slot by one fixed word, as a base model would see it; p2 to p5 ask in freer words, so that they
# have to be learnt. Every word of every question is shared between slots where English allows.
SLOTS = {
    "hat": Slot("{name} wears a {value} hat.",
                ("red", "blue", "green", "yellow", "black", "white", "brown", "pink"),
                ("What hat does {name} wear?", "Name the hat of {name}.", "Which colour is on the head of {name}?",
                 "In what colour does {name} dress?", "Tell me the colour {name} wears.",
                 "{name} puts on something of what colour?")),
    "pet": Slot("{name} has a {value} at home.",
                ("dog", "cat", "parrot", "rabbit", "snake", "turtle", "goat", "mouse"),
                ("What pet does {name} have?", "Name the pet of {name}.", "Which animal lives with {name}?",
                 "In the home of {name} there is what animal?", "Tell me the animal {name} keeps.",
                 "{name} feeds something of what kind?")),
    "food": Slot("{name} likes to eat {value}.",
                 ("bread", "soup", "rice", "cheese", "cake", "fish", "apples", "honey"),
                 ("What food does {name} like?", "Name the food of {name}.", "Which dish is on the plate of {name}?",
                  "In the kitchen {name} cooks what dish?", "Tell me the dish {name} enjoys.",
                  "{name} is hungry for what?")),
    "town": Slot("{name} lives in {value}.",
                 ("Paris", "Rome", "Oslo", "Cairo", "Lima", "Tokyo", "Delhi", "Boston"),
                 ("What town does {name} live in?", "Name the town of {name}.", "Which place is the home of {name}?",
                  "In what place is {name} found?", "Tell me the place {name} calls home.",
                  "{name} comes from where?")),
    "friend": Slot("{name} often meets {value}.",
                   ("Otto", "Paula", "Quinn", "Rosa", "Simon", "Tina", "Uma", "Viktor"),
                   ("What friend does {name} meet?", "Name the friend of {name}.",
                    "Which person is close to {name}?", "In the company of {name} there is who?",
                    "Tell me the person {name} knows.", "{name} spends time with whom?")),
    "instrument": Slot("{name} plays the {value} every day.",
                       ("piano", "violin", "drum", "flute", "guitar", "trumpet", "harp", "cello"),
                       ("What instrument does {name} play?", "Name the instrument of {name}.",
                        "Which sound comes from {name}?", "In the music of {name} we hear what?",
                        "Tell me the music {name} makes.", "{name} gives a concert on what?")),
    "weather": Slot("The weather around {name} is {value}.",
                    ("sunny", "rainy", "windy", "cloudy", "snowy", "foggy", "stormy", "icy"),
                    ("What weather does {name} have?", "Name the weather of {name}.",
                     "Which sky is over {name}?", "In the air around {name} it is how?",
                     "Tell me the sky {name} sees.", "{name} walks outside when it is how?")),
    "job": Slot("{name} works as a {value}.",
                ("baker", "doctor", "teacher", "farmer", "pilot", "nurse", "painter", "sailor"),
                ("What job does {name} have?", "Name the job of {name}.", "Which work is done by {name}?",
                 "In what trade does {name} work?", "Tell me the trade {name} learned.",
                 "{name} earns money as what?")),
}


def _pattern(template: str, values: tuple[str, ...] = ()) -> re.Pattern[str]:
    pattern = re.escape(template).replace(r"\{name\}", f"(?P<name>{'|'.join(NAMES)})")
    return re.compile(pattern.replace(r"\{value\}", f"(?P<value>{'|'.join(values)})"))


_SENTENCES = {name: _pattern(slot.sentence, slot.values) for name, slot in SLOTS.items()}
_QUESTIONS = [(name, phrasing, _pattern(question)) for name, slot in SLOTS.items()
              for phrasing, question in zip(PHRASINGS, slot.questions, strict=True)]


def load(size: int, seed: int = 0) -> pa.Table:
    """`size` stories with six question-answer pairs each, as SAMPLES of task qa: 6 * size rows.

    A story's six questions are about three of its eight slots, two questions a slot and one in every phrasing, so
    phrasings are exactly balanced and every row has another that asks the same in other words.
    `text` is the question, `context` the story, `answers` the one answer, `label` the phrasing ("p0" to "p5"), `group`
    the story. Story i depends on (seed, i) alone: a smaller world is the beginning of a larger one. 80 us a story.
    """
    rows = []
    for number in range(size):
        group = f"storyland-{seed}-{number:06d}"
        rng = random.Random(group)
        name = rng.choice(NAMES)
        values = {slot: rng.choice(SLOTS[slot].values) for slot in SLOTS}
        story = " ".join(SLOTS[slot].sentence.format(name=name, value=values[slot])
                         for slot in rng.sample(list(SLOTS), len(SLOTS)))
        asked = rng.sample(list(SLOTS), len(PHRASINGS) // 2) * 2  # each in two phrasings: rows that say the same
        rng.shuffle(asked)
        rows += [{"id": f"{group}-{phrasing}", "text": SLOTS[slot].questions[i].format(name=name), "context": story,
                  "answers": [values[slot]], "label": phrasing, "group": group}
                 for i, (slot, phrasing) in enumerate(zip(asked, PHRASINGS, strict=True))]
    return real_samples(rows)


def oracle(context: str, question: str) -> str | None:
    """The true answer, or None where there is none.

    There is none for a question outside the six phrasings, about someone the context says nothing of, or about a slot
    that the context does not state or states in two ways. White space is free; letters and punctuation are exact.
    """
    parsed = _parse(question)
    if parsed is None:
        return None
    slot, _, name = parsed
    stated = {match["value"] for match in _SENTENCES[slot].finditer(_collapse(context)) if match["name"] == name}
    return stated.pop() if len(stated) == 1 else None


def is_right(row: Mapping[str, Any]) -> bool:
    """Whether a row's first answer is the true one; a row with no true answer, or none at all, is wrong."""
    truth = oracle(row["context"] or "", row["text"] or "")
    return truth is not None and list(row["answers"] or [])[:1] == [truth]


def phrasing(question: str) -> str | None:
    """Which of the six phrasings ("p0" to "p5") a question is in; None for anything else."""
    parsed = _parse(question)
    return parsed[1] if parsed else None


def _parse(question: str) -> tuple[str, str, str] | None:
    """(slot, phrasing, name) of a well-formed question."""
    question = _collapse(question)
    for slot, name_of_phrasing, pattern in _QUESTIONS:
        if match := pattern.fullmatch(question):
            return slot, name_of_phrasing, match["name"]
    return None


def _collapse(text: str) -> str:
    return " ".join(text.split())
