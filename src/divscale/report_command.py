"""`divscale report`: the report of a finished study as a page and as tables, read from its artifact."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import get_args

from divscale.config import Study
from divscale.errors import ConfigError, StageFailedError
from divscale.graph.plan import missing
from divscale.graph.store import Artifact, Store
from divscale.run import publish, report_path, store_of
from divscale.stages.expand import expand
from divscale.stages.out_file import made_folder, prove_folder, whole
from divscale.stages.report import TableFormat, tables_in

FORMATS = get_args(TableFormat)


def write_report(study: Study, root: str | None, *, html: str | None, formats: str | None, out: str | None) -> int:
    """Write the report of a finished study, and its tables where `formats` names some ("md,csv"). Returns 0.

    Raises:
        StageFailedError: the study has not finished.
        ConfigError: an unknown format, `out` without formats, or a place that cannot be written.
    """
    if out is not None and formats is None:
        raise ConfigError(f"--out: {out} is a folder for tables; say which with --format, of {', '.join(FORMATS)}.")
    wanted = wanted_formats(formats) if formats is not None else ()
    if html and (Path(html).suffix.lower() in (".yaml", ".yml") or Path(html).is_dir()):
        raise ConfigError(f"--html: {html} is a study's file or a folder; name a file like report.html.")
    store = store_of(root)
    artifact = finished(study, store)
    publish(artifact, study, store)
    if html:
        try:
            shutil.copyfile(artifact.path("html"), Path(html))
        except OSError as error:
            raise ConfigError(f"--html: {html} cannot be written ({error.strerror}). Name a file in a folder that "
                              "exists.") from error
    for sentence in artifact.values["sentences"]:
        print(sentence)
    print(html or report_path(study, store))
    if wanted:
        for file in _write_tables(artifact, Path(out) if out else store.root / "reports" / study.name, wanted):
            print(file)
    return 0


def wanted_formats(text: str) -> tuple[TableFormat, ...]:
    """The formats of "md,csv", each once.

    Raises:
        ConfigError: one that there is not.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FORMATS:
            raise ConfigError(f"--format: {name!r} is none of {', '.join(FORMATS)}. Give one, or several with commas "
                              "between them: --format md,csv.")
    return tuple(dict.fromkeys(name for name in FORMATS if name in names))


def finished(study: Study, store: Store) -> Artifact:
    """The report of a study.

    Raises:
        StageFailedError: there is none; the message says what to do.
    """
    target = expand(study)
    artifact = store.find(target)
    if artifact is not None:
        return artifact
    if [stage.name for stage in missing([target], store)] == ["report"]:
        raise StageFailedError(f"{study.name}: {store.name} has all results of the study, but no report of them as "
                               "this version writes it. `divscale run` writes one, and runs nothing else.")
    raise StageFailedError(
        f"{study.name}: no report in {store.name}: the study has not finished. Run it: divscale run.")


def _write_tables(artifact: Artifact, folder: Path, formats: tuple[TableFormat, ...]) -> list[Path]:
    prove_folder("--out", folder)
    made_folder(folder)
    written = {folder / name: write for name, write in tables_in(artifact, formats).items()}
    with whole("--out", str(folder), *written) as parts:
        for part, write in zip(parts, written.values(), strict=True):
            write(part)
    return list(written)
