"""`divscale doctor --study`: what a study lacks on the machine that drives it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from divscale.config import Study
from divscale.data.config import DataConfig
from divscale.data.location import open_file
from divscale.data.sources import WORLDS, held_out_files
from divscale.doctor import Finding
from divscale.errors import DivscaleError
from divscale.graph.plan import missing
from divscale.graph.store import Store
from divscale.named_files import named_models
from divscale.redact import redact
from divscale.stages import harness
from divscale.stages.disk import needed_bytes
from divscale.stages.expand import expand
from divscale.stages.identity import is_here
from divscale.training.tracking import check_trackers

GIB = 2**30


def of_driver(study: Study, store: Store) -> tuple[list[Finding], float | None]:
    """What the driver alone reads and knows: files of data, and the plan; models are loaded elsewhere.

    Returns:
        Findings, and the GiB that the study will write, which are unknown where it cannot be planned.

    Cost: that of `divscale plan`: data are read once.
    """
    found = list(_data(study.data))
    if any(finding.advice for finding in found):
        return found, None
    try:
        pending = missing([expand(study)], store)
        if any(stage.name == "harness" for stage in pending):
            harness.preflight(study)
        check_trackers(study.resources.trackers)
        needed_gib = needed_bytes(pending, study) / GIB
    except DivscaleError as error:
        return [*found, Finding("study", "cannot run as it is", str(error))], None
    return [*found, Finding("study", f"{len(pending)} stages to run, about {needed_gib:.1f} GiB to write")], needed_gib


def on_this_machine(study: Study, store: Store) -> Iterator[Finding]:
    """What a study lacks that is driven and worked on here."""
    found, needed_gib = of_driver(study, store)
    yield from found
    for model, revision in named_models(study):
        here = is_here(model, revision)
        yield Finding("model", f"{model}{f'@{revision}' if revision else ''} is {'here' if here else 'missing'}",
                      "" if here else "download it, or name a folder")
    folder = next(path for path in (store.root, *store.root.parents) if path.is_dir())
    free_gib = shutil.disk_usage(folder).free / GIB
    yield Finding("disk free", f"{free_gib:.1f} GiB for the store", room(free_gib, needed_gib))


def room(free_gib: float, needed_gib: float | None) -> str:
    """What to do about the disk of a store, where there is something to do."""
    return "" if needed_gib is None or free_gib >= needed_gib else (
        f"free some: the study writes about {needed_gib:.1f} GiB")


def _data(config: DataConfig) -> Iterator[Finding]:
    named = {} if config.source in WORLDS else {"data.source": config.source}
    for field, file in (named | held_out_files(config)).items():
        try:
            open_file(file, field).close()
            yield Finding(field, f"{redact(file)} can be read here")
        except DivscaleError as error:
            yield Finding(field, f"{redact(file)} cannot be read here", str(error))
