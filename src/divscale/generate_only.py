"""`divscale generate`: the generated sets of a study, written as datasets; nothing is mixed, trained or measured."""

from __future__ import annotations

from pathlib import Path

from divscale.config import Study
from divscale.data.export import Format, Layout, export
from divscale.errors import ConfigError
from divscale.graph.store import Artifact
from divscale.live import running
from divscale.run import interruptible, make, store_of
from divscale.stages.expand import generated_sets
from divscale.stages.out_file import made_folder
from divscale.view import Tally, Terminal


def generate_from_terminal(study: Study, root: str | None, out: str, *, layout: Layout, format: Format) -> int:
    """Generate (or find) the set of every level and seed, and write each to a folder of `out`. Returns the exit code.

    Raises:
        ConfigError: `out` cannot be written.
    """
    folder, store = made_folder(out), store_of(root)
    sets = [(seed, item) for seed, items in generated_sets(study).items() for item in items]
    tally = Tally()
    with interruptible(), Terminal(tally, study.name), running(study.name, store.root):
        make([item.samples for _, item in sets], study, store, tally)
    for seed, item in sets:
        artifact = store.open(item.samples)
        place = folder / f"{study.recipe.dial}-{item.level:g}" / (f"seed-{seed}" if study.seeds.generation > 1 else "")
        print(_written(artifact, place, study, layout, format))
    return 0


def _written(artifact: Artifact, folder: Path, study: Study, layout: Layout, format: Format) -> str:
    samples = artifact.table("samples")
    removed = ", ".join(f"{count} {reason}" for reason, count in artifact.values.get("removed", {}).items())
    left_out = f" ({removed} left out)" if removed else ""
    if samples.num_rows == 0:
        return f"{folder}: no row is left{left_out}; nothing was written"
    try:
        file = export(samples, folder, task=study.data.task, layout=layout, format=format, name=study.name)
    except OSError as error:
        raise ConfigError(f"--out: {folder} cannot be written ({error.strerror}). Name a folder that can.") from error
    return f"{file}: {samples.num_rows} rows{left_out}"
