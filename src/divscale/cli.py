"""The command line: verbs, no logic. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from divscale import __version__
from divscale.errors import DivscaleError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the process's exit code."""
    arguments = _parse(argv)
    try:
        return arguments.run(arguments)
    except DivscaleError as error:
        print(f"divscale: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("divscale: interrupted. What was finished is kept; the same command goes on from there.", file=sys.stderr)
        return 130


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments. Overrides may stand after options too, which argparse alone refuses."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    wrong = [word for word in rest if word.startswith("-") or "=" not in word]
    if rest and (wrong or not hasattr(arguments, "overrides")):
        parser.error(f"unrecognized arguments: {' '.join(wrong or rest)}")
    if rest:
        arguments.overrides = [*arguments.overrides, *rest]
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="divscale",
        description="How diverse should LLM-generated training data be, and how much of it should be mixed with real "
        "data? Exit codes: 0 done, 1 a stage failed, 2 usage or config, 3 preflight, 4 bad data, 130 interrupted.")
    parser.add_argument("--version", action="version", version=f"divscale {__version__}")
    verbs = parser.add_subparsers(title="verbs", required=True, metavar="VERB")

    run = _study_verb(verbs, "run", "run a study; what is cached is not run again")
    run.set_defaults(run=_run)
    plan = _study_verb(verbs, "plan", "print what is cached, what would run and why")
    plan.add_argument("--json", action="store_true", help="print JSON")
    plan.set_defaults(run=_plan)
    status = _study_verb(verbs, "status", "print how much of a study is committed")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_status)
    report = _study_verb(verbs, "report", "write the report of a finished study")
    report.add_argument("--html", metavar="FILE", help="where to write it (default: print where it lies)")
    report.set_defaults(run=_report)

    measure = verbs.add_parser("measure", help="measure the diversity of any dataset, and its shift from another")
    measure.add_argument("data", help="Parquet, JSONL or CSV file")
    measure.add_argument("--text-column", required=True, metavar="C")
    measure.add_argument("--reference", metavar="DATA", help="measure the shift from this file too")
    measure.add_argument("--reference-text-column", metavar="C", help="default: --text-column")
    measure.add_argument("--embedder", default="minilm", help="minilm (packaged) or a sentence-transformers model")
    measure.add_argument("-n", type=int, metavar="ROWS", help="rows both sides are subsampled to (default: all)")
    measure.add_argument("--seed", type=int, default=0)
    measure.add_argument("--json", metavar="F", help="write the numbers here ('-': standard output)")
    measure.set_defaults(run=_measure)

    doctor = verbs.add_parser("doctor", help="is this machine ready?")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.set_defaults(run=_doctor)
    return parser


def _study_verb(verbs: argparse._SubParsersAction, name: str, text: str) -> argparse.ArgumentParser:  # type: ignore[type-arg]
    verb = verbs.add_parser(name, help=text, description=text)
    verb.add_argument("study", help="study file (YAML)")
    verb.add_argument("overrides", nargs="*", metavar="key.sub=value", help="change a value of the study")
    verb.add_argument("--store", metavar="DIR", help="where results live (default: $DIVSCALE_STORE or .divscale)")
    verb.add_argument("--cluster", metavar="FILE", help="a file of configs/clusters/ that says what may be used")
    return verb


def _run(arguments: argparse.Namespace) -> int:
    from divscale.run import run_from_terminal

    return run_from_terminal(_study(arguments), arguments.store)


def _plan(arguments: argparse.Namespace) -> int:
    from divscale.look import print_plan

    return print_plan(_study(arguments), arguments.store, as_json=arguments.json)


def _status(arguments: argparse.Namespace) -> int:
    from divscale.look import print_status

    return print_status(_study(arguments), arguments.store, as_json=arguments.json)


def _report(arguments: argparse.Namespace) -> int:
    from divscale.look import write_report

    return write_report(_study(arguments), arguments.store, arguments.html)


def _measure(arguments: argparse.Namespace) -> int:
    from divscale.stages.measure_files import measure_from_terminal

    return measure_from_terminal(
        arguments.data, arguments.text_column, reference=arguments.reference,
        reference_column=arguments.reference_text_column or arguments.text_column, embedder=arguments.embedder,
        n=arguments.n, seed=arguments.seed, json_file=arguments.json)


def _doctor(arguments: argparse.Namespace) -> int:
    from divscale.doctor import print_findings

    return print_findings(as_json=arguments.json)


def _study(arguments: argparse.Namespace):
    from divscale.study_file import load

    return load(arguments.study, arguments.overrides, cluster=arguments.cluster)
