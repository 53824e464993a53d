"""clean: a generated set through a study's filters -> the rows that stay with vectors, the others with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from divscale.config import Study
from divscale.errors import DataError
from divscale.frozen import FrozenConfig
from divscale.generation.filters.config import CleanConfig, ContaminationConfig
from divscale.generation.filters.contamination import OVERLAP, near_test, shared_words
from divscale.generation.filters.echo import echo
from divscale.generation.filters.garbage import garbage
from divscale.generation.filters.gone import Found, Gone
from divscale.generation.filters.length import length_range, outside
from divscale.generation.filters.repeats import repeats
from divscale.generation.prompts import prompts_for
from divscale.graph.record import Rows
from divscale.graph.runner import Job
from divscale.graph.stage import Stage
from divscale.runtime.accounting import check_rows
from divscale.schema import REMOVED, Task
from divscale.selection.near_text import near_texts
from divscale.selection.same_text import same_texts
from divscale.stages import embed, generate
from divscale.stages import split as splits
from divscale.stages.context import Context

if TYPE_CHECKING:
    from divscale.stages.expand import World


class CleanStageConfig(FrozenConfig):
    """Identity of a cleaned set beside its inputs. `prompts` are the templates whose echo is garbage."""

    clean: CleanConfig
    task: Task
    prompts: tuple[str, ...]


def stage(study: Study, world: World, samples: Stage, vectors: Stage) -> Stage:
    """The cleaned set. Its artifact holds samples and their vectors, so that nothing is embedded twice."""
    prompts: list[str] = []
    for writer in study.generator.models if study.clean.garbage else ():
        prompts += prompts_for(study.data.task, generate.style(writer, study.generator.engine), study.recipe).values()
    config = CleanStageConfig(clean=study.clean, task=study.data.task, prompts=tuple(dict.fromkeys(prompts)))
    inputs = {"samples": samples, "vectors": vectors, "data": world.data, "split": world.split,
              "test": world.test.samples, "test_vectors": world.test.vectors}
    return Stage("clean", 1, config, inputs, samples.title)


def run(jobs: Sequence[Job], context: Context) -> None:
    """Clean every set; one that overlaps the test set beyond the allowed share fails."""
    for job in jobs:
        config: Any = job.stage.config
        samples = job.input("samples").table("samples")
        gone = _Chain(job, samples).run()
        overlapping = sum(why.reason == OVERLAP for why in gone.values())
        context.events.advanced("clean", rows=samples.num_rows)
        if config.clean.contamination and overlapping > config.clean.contamination.allowed_share * samples.num_rows:
            job.fail(_contaminated(job, samples, gone, overlapping))
            continue
        _commit(job, samples, gone)


class _Chain:
    """The filters of one job, in order. Positions that filters see are turned into rows of the set here."""

    def __init__(self, job: Job, samples: pa.Table) -> None:
        config: Any = job.stage.config
        self.clean: CleanConfig = config.clean
        self.config = config
        self.job = job
        self.samples = samples
        self.gone: dict[int, Gone] = {}

    def run(self) -> dict[int, Gone]:
        """Row -> why it goes."""
        clean = self.clean
        if clean.length is not None:
            fewest, most = length_range(self._real()) if clean.length == "real" else clean.length
            self._take(lambda rows: outside(self._texts(rows), fewest, most))
        if clean.garbage:
            self._take(lambda rows: garbage(self._texts(rows), self._real()))
            self._take(lambda rows: echo(
                self._texts(rows), self._column("context", rows) if self.config.task == "text" else [None] * len(rows),
                self.config.prompts))
        if clean.contamination is not None:
            self._take_contaminated(clean.contamination)
        if clean.exact:
            self._take(lambda rows: self._repeats("exact duplicate", rows, lambda texts, _: same_texts(texts)))
        if (near := clean.near) is not None:
            self._take(lambda rows: self._repeats(
                "near duplicate", rows, lambda texts, _: near_texts(texts, [near])[near]))
        if (semantic := clean.semantic) is not None:
            from divscale.selection.near_vector import near_vectors

            self._take(lambda rows: self._repeats(
                "semantic duplicate", rows, lambda _, x_ND: near_vectors(x_ND, [semantic])[semantic]))
        return self.gone

    def _take(self, step: Callable[[np.ndarray], Found]) -> None:
        rows = np.array([row for row in range(self.samples.num_rows) if row not in self.gone], np.int64)
        if len(rows):
            self.gone |= {int(rows[place]): why for place, why in step(rows).items()}

    def _take_contaminated(self, wanted: ContaminationConfig) -> None:
        ordinals = splits.rows(self.job.input("split"), "test")
        test = self.job.input("test").table("samples").take(ordinals)
        ids, texts, contexts = (test[name].to_pylist() for name in ("id", "text", "context"))
        self._take(lambda rows: shared_words(
            self._texts(rows), self._column("context", rows), ids, texts, contexts, wanted.ngram))
        if (cosine := wanted.cosine) is None:
            return
        from divscale.similarity.neighbours import nearest_in  # torch and FAISS: a plan needs neither
        from divscale.similarity.vectors import unit_rows

        test_MD = unit_rows(embed.vectors(self.job.input("test_vectors"))[ordinals])

        def step(rows: np.ndarray) -> Found:
            x_ND = unit_rows(self._vectors()[rows])

            def nearest(places: np.ndarray, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
                scores_N1, indices_N1 = nearest_in(x_ND[places], test_MD[among], 1)
                return among[indices_N1[:, 0]], scores_N1[:, 0]

            return near_test(self._column("context", rows), ids, contexts, nearest, cosine)

        self._take(step)

    def _repeats(self, reason: str, rows: np.ndarray, find: Callable[[list[str], np.ndarray], Any]) -> Found:
        texts, x_ND = self._texts(rows), self._vectors()[rows]
        keys = list(zip(self._column("label", rows), self._column("context", rows), strict=True))
        return repeats(reason, self._column("id", rows), keys,
                       lambda places: find([texts[place] for place in places], x_ND[places]))

    def _vectors(self) -> np.ndarray:
        return embed.vectors(self.job.input("vectors"))

    def _texts(self, rows: np.ndarray) -> list[str]:
        return self._column("text", rows)

    def _column(self, name: str, rows: np.ndarray) -> list[Any]:
        return self.samples[name].take(pa.array(rows)).to_pylist()

    def _real(self) -> list[str]:
        """Real texts that are neither test rows nor labelled ones where a prior is kept apart."""
        split = self.job.input("split")
        rows = splits.rows(split, "prior")
        rows = rows if len(rows) else splits.rows(split, "pool")
        return self.job.input("data").table("samples")["text"].take(pa.array(rows)).to_pylist()


def _commit(job: Job, samples: pa.Table, gone: dict[int, Gone]) -> None:
    kept = np.array([row for row in range(samples.num_rows) if row not in gone], np.int64)
    ids, texts = samples["id"].to_pylist(), samples["text"].to_pylist()
    removed = [{"id": ids[row], "reason": why.reason, "detail": why.detail, "collides_with": why.collides_with,
                "text": texts[row]} for row, why in sorted(gone.items())]
    check_rows(ids, [ids[row] for row in kept], filtered_ids=[row["id"] for row in removed],
               where=f"cleaning of {job.stage.title}")
    job.draft.write_table("samples", samples.take(pa.array(kept)))
    job.draft.write_table("removed", pa.Table.from_pylist(removed, schema=REMOVED))
    x_ND = embed.vectors(job.input("vectors"))
    embed.write_vectors(job, x_ND[kept])
    job.commit(rows=Rows(asked=samples.num_rows, ok=len(kept), filtered=len(gone)),
               values={"shape": [len(kept), x_ND.shape[1]], "removed": dict(Counter(r["reason"] for r in removed))})


def _contaminated(job: Job, samples: pa.Table, gone: dict[int, Gone], overlapping: int) -> DataError:
    config: Any = job.stage.config
    row, why = next((row, why) for row, why in gone.items() if why.reason == OVERLAP)
    return DataError(
        f"{overlapping} of {samples.num_rows} generated rows overlap the test set "
        f"(clean.contamination.allowed_share is {config.clean.contamination.allowed_share:.0%}); for example "
        f"{samples['text'][row].as_py()[:80]!r} shares {why.detail[:80]!r} with test row {why.collides_with}. "
        "Look whether the generator or its prompts have seen the test set, take another test set, or raise "
        "clean.contamination.allowed_share.")
