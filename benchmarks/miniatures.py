"""What the studies in configs/studies show here: their three sentences and figures, as docs/studies.md.

Each is run whole (several generators, everything redrawn with each) into a store, its report is read, and its first figures
are taken out of it. Seconds of stages are summed over all that a study needs, also what an earlier one on the same store had
made; stages that ran side by side count each.

    python benchmarks/miniatures.py --store STORE --data FOLDER [--docs docs] [STUDY ...]

FOLDER holds banking77/train.parquet and banking77/test.parquet. Named studies are written anew and the page keeps what it
says of the others. Run again with the same STORE to write the pages anew; it then costs seconds.
"""

from __future__ import annotations

import argparse
import base64
import re
import sys
from dataclasses import dataclass
from datetime import date
from html import unescape
from importlib.metadata import version
from pathlib import Path

from divscale.graph.stage import in_order
from divscale.graph.store import Artifact, Store
from divscale.run import run_study, store_of
from divscale.stages.expand import expand
from divscale.study_file import load
from divscale.view import Tally, Terminal

ROOT = Path(__file__).resolve().parents[1]
STUDIES = ROOT / "configs" / "studies"
FIGURE = re.compile(r'<figure><figcaption>(.*?)</figcaption><img src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]*)">')


@dataclass(frozen=True)
class Shown:
    """A study and what of its report the page shows: the first figures of a section, and tables by their headings."""

    question: str
    section: str
    figures: int = 2
    tables: tuple[str, ...] = ()


SHOWN = {
    "paraphrase": Shown("How many of a constant number of generated questions may be paraphrases of few?", "Full fine-tuning"),
    "topics": Shown("About how many topics should a constant number of generated sentences be?", "Full fine-tuning", 1,
                    ("Verdicts: ", "Measured sets")),
    "mixing": Shown("Which share of a training set of constant size may be generated?", "How much to mix in", 3, ("How much to mix in",)),
    "square": Shown("What is a generated row worth, beside how many real ones?", "Dose and response", 2,
                    ("Worth, in real rows: ",)),
    "size": Shown("Does a larger model want more diverse data, or less?", "Full fine-tuning", 3, ("A model of the score",)),
    "collapse": Shown("What becomes of text when models learn from what models wrote?", "Generation after generation", 6,
                      ("Lines of descent: from the first", "Lines of descent: one way")),
    "decomposition": Shown("Is it diversity that harms at the wild end, or wrong answers and shift? An oracle decides.",
                           "Full fine-tuning", 1, ("What holding changes", "What the change of level goes through", "Verdicts: ")),
    "decomposition-pydocs": Shown("The same on docstring sentences, where a judge decides.",
                                  "The same with correctness and shift held", 2,
                                  ("What holding changes", "What the change of level goes through", "Verdicts: ")),
    "decomposition-banking77": Shown("The same on Banking77, 20 intents.", "The same with correctness and shift held", 2,
                                     ("What holding changes", "What the change of level goes through", "Verdicts: ")),
}


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--store", required=True)
    words.add_argument("--data", required=True, type=Path)
    words.add_argument("--docs", default=ROOT / "docs", type=Path)
    words.add_argument("studies", nargs="*", default=list(SHOWN))
    asked = words.parse_args()
    store = store_of(asked.store)
    (asked.docs / "figures").mkdir(parents=True, exist_ok=True)
    page = asked.docs / "studies.md"
    parts = written(page)
    for name in asked.studies:
        parts[name] = section(name, store, asked.data, asked.docs)
    page.write_text("\n\n".join([HEAD, *(parts[name] for name in SHOWN if name in parts)]) + "\n", encoding="utf-8")
    return 0


def written(page: Path) -> dict[str, str]:
    """The sections that the page has, by study."""
    text = page.read_text("utf-8") if page.exists() else ""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    return {part.split("\n", 1)[0].removeprefix("## "): part.strip() for part in parts}


HEAD = """# What the studies show in miniature

Made by `benchmarks/miniatures.py` on two CPU cores from `configs/studies/`, on the day that each part names. Generators are models
of under a million parameters that were trained on the spot; every interval is over several of them, each with its own draw
of real rows. On another kind of CPU the same seeds train other generators. They show what the designs can tell, and what holds for such models; for yours, name them in the same files
(`configs/studies/gpu/`). Intervals are 95 %; p-values over levels are Holm-corrected; verdicts are explained in every report.
Where a filter leaves fewer rows than a mix asks for, the mix has fewer (`shortfall: allow`) or repeats them (`oversample`), as
the files say; so the wildest level of a held curve stands on fewer distinct rows. A set of fewer rows than it is measured at
has no measures, and no place in a figure. What
`collapse.yaml` shows over six generations and three seeds is in [collapse.md](../benchmarks/results/collapse.md)."""


def section(name: str, store: Store, data: Path, docs: Path) -> str:
    """One study, run, as Markdown."""
    overrides = [f"data.{key}={data / 'banking77' / key.replace('source', 'train')}.parquet" for key in ("source", "test")]
    study = load(STUDIES / f"{name}.yaml", overrides if "banking77" in name else [])
    tally = Tally()
    with Terminal(tally, name):
        report = run_study(study, store, tally)
    shown = SHOWN[name]
    html = report.path("html").read_text("utf-8")
    stages = in_order([expand(study)])
    seconds = sum(artifact.record.seconds for stage in stages if (artifact := store.find(stage)) is not None)
    arms = report.table("arms").num_rows
    lines = [f"## {name}", f"*{shown.question}* [{name}.yaml](../configs/studies/{name}.yaml), {arms:,} scored arms, "
             f"{seconds:,.0f} s of stages; {date.today()}, torch {version('torch')}."]
    lines += list(report.values["sentences"])
    lines += [f"![{alt}](figures/{file})" for alt, file in figures(html, shown, name, docs / "figures")]
    return "\n\n".join([*lines, *tables(report, shown)])


def figures(html: str, shown: Shown, name: str, folder: Path) -> list[tuple[str, str]]:
    """The first figures of a section of a report, as files on white paper; their text alternatives and names."""
    start = html.index(f"<h2>{shown.section}</h2>")
    own = html[start:html.find("<h2>", start + 4)]
    found = []
    for i, (_, svg, alt) in enumerate(FIGURE.findall(own)[:shown.figures]):
        text = base64.b64decode(svg).decode()
        inside = text.index(">", text.index("<svg")) + 1
        file = f"{name}-{i + 1}.svg"
        (folder / file).write_text(f'{text[:inside]}<rect width="100%" height="100%" fill="white"/>{text[inside:]}', "utf-8")
        found.append((unescape(alt).replace("]", ")"), file))
    return found


def tables(report: Artifact, shown: Shown) -> list[str]:
    """Sections of the report's Markdown whose headings begin as asked, one heading deeper."""
    parts = re.split(r"^## ", report.path("markdown").read_text("utf-8"), flags=re.MULTILINE)
    return [f"### {part.strip()}" for start in shown.tables for part in parts if part.startswith(start)]


if __name__ == "__main__":
    sys.exit(main())
