"""The command line: verbs, no logic. Heavy modules are imported by the verb that needs them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from divscale import __version__, remote_code
from divscale.endings import unforeseen, unheard
from divscale.errors import ConfigError, DivscaleError
from divscale.metrics.catalogue import CATALOGUE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the process's exit code."""
    if isinstance(sys.stdout, TextIOWrapper):  # a name that the terminal cannot show is no reason to lose a result
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = _parse(argv)
    remote_code.allow(False)  # unless a study says so
    # a study keeps what is finished; other verbs write at their end
    resumes = getattr(arguments, "resumes", hasattr(arguments, "overrides"))
    try:
        code = arguments.run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except DivscaleError as error:
        print(f"divscale: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("divscale: interrupted. What was finished is kept; the same command goes on from there." if resumes else
              "divscale: interrupted. No file was written; the same command starts from the beginning.",
              file=sys.stderr)
        return 130
    except OSError as error:
        code = unheard(error)
        return unforeseen(error, resumes=resumes) if code is None else code
    except Exception as error:
        return unforeseen(error, resumes=resumes)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments. Overrides may stand after options too, which argparse alone refuses."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    several = hasattr(arguments, "other_studies")
    wrong = [word for word in rest if word.startswith("-") or ("=" not in word and not several)]
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
    _budget_option(run)
    plan = _study_verb(verbs, "plan", "print what is cached, what would run and why, and what it would take")
    plan.add_argument("--json", action="store_true", help="print JSON")
    plan.set_defaults(run=_plan)
    _budget_option(plan)
    preview = _study_verb(verbs, "preview", "print prompts as rendered, a parsed row, tokens and the label mask")
    preview.add_argument("-n", type=int, default=3, metavar="N", help="prompts of each round (default: 3)")
    preview.add_argument("--json", action="store_true", help="print JSON")
    preview.set_defaults(run=_preview)
    status = _study_verb(verbs, "status", "print how far a study is, and what its live runs are doing")
    status.add_argument("--json", action="store_true", help="print JSON")
    status.set_defaults(run=_status)
    submit = _study_verb(verbs, "submit", "run a study as a job on a Ray cluster, and follow it")
    _address_option(submit)
    submit.add_argument("--detach", action="store_true", help="do not follow it")
    submit.set_defaults(run=_submit)
    job = verbs.add_parser("job", help="look at a submitted study, follow or stop it", description="Look at a "
                           "submitted study. `status` exits with its exit code once it has ended; `logs` follows it.")
    job.add_argument("what", choices=["list", "status", "logs", "stop"])
    job.add_argument("id", nargs="?", metavar="ID", help="as submit and list say it")
    _address_option(job)
    job.set_defaults(run=_job)
    generate = _study_verb(verbs, "generate", "make a study's generated sets alone, and write them as datasets")
    generate.add_argument("--out", required=True, metavar="DIR", help="a folder of it for every level")
    generate.add_argument("--layout", choices=["samples", "messages", "prompt", "text"], default="samples",
                          help="samples (all columns, default), messages, prompt (and completion), or text")
    generate.add_argument("--format", choices=["parquet", "jsonl"], default="parquet")
    generate.set_defaults(run=_generate)
    train = _model_verb(
        verbs, "train", "train one model on any dataset, without a study", "Train one model on any dataset and score "
        "it on held-out rows. The same command goes on from the last checkpoint.",
        "train (one entry), seed and resources", "for the model, its metrics and its predictions")
    train.set_defaults(run=_train)
    evaluate = _model_verb(
        verbs, "evaluate", "score any model on any dataset, without a study",
        "Score a model on every row of a dataset. The "
        "same command goes on where it was interrupted.", "model, head, metrics and resources",
        "for its scores, predictions and answers")
    evaluate.set_defaults(run=_evaluate)
    recommend = _study_verb(verbs, "recommend", "choose a level, an amount and a filter within a budget")
    recommend.add_argument("--out", required=True, metavar="DIR", help="for the recommended training set")
    recommend.add_argument("--budget", action="append", default=[], metavar="N|KIND=N", help="trainings at most "
                           "(default: a third of the grid), or what all of it may be estimated to take: gpu_hours, "
                           "core_hours or hours (several: give it again)")
    _rates_option(recommend)
    recommend.set_defaults(run=_recommend)
    report = _study_verb(
        verbs, "report", "write the report of a finished study, or its tables; of two, print what differs",
        "key.sub=value | STUDY", "change a value of the study before it; or a second study, to compare with the first")
    report.add_argument("--html", metavar="FILE", help="where to write it, or the comparison (default: print where the "
                        "report lies)")
    report.add_argument("--format", metavar="F,F", help="write its tables too: md (one file to read), csv, parquet (a "
                        "file a table, as numbers)")
    report.add_argument("--out", metavar="DIR", help="folder for --format (default: STORE/reports/NAME)")
    report.set_defaults(run=_report, other_studies=True)

    measure = verbs.add_parser("measure", help="measure the diversity of any dataset, and its shift from another",
                               description="Measure the diversity of any dataset, and its shift from another. DATA is "
                               "a Parquet, JSONL, CSV or .npy file, a glob, a folder (also one that `datasets` saved), "
                               "or a URI of one.")
    measure.add_argument("data", metavar="DATA")
    _text_options(measure)
    measure.add_argument("--reference", metavar="DATA", help="measure the shift from this too")
    measure.add_argument("--reference-text-column", metavar="C", help="default: as --text-column")
    measure.add_argument("--metrics", metavar="NAME,NAME",
                         help=f"of {', '.join(entry.name for entry in CATALOGUE)} (default: "
                         f"{', '.join(entry.name for entry in CATALOGUE if entry.default)})")
    measure.add_argument("--by", metavar="COLUMN", help="measure every value of this column too, at equal n; groups "
                         "below 30 rows are left out unless -n says otherwise")
    measure.add_argument("--source-column", metavar="C", help="what a row was made from (a story, a seed text), in "
                         "both sets: c2st holds out whole sources")
    measure.add_argument("-n", type=int, metavar="ROWS", help="rows all are subsampled to (default: the smallest's)")
    measure.add_argument("--seed", type=int, default=0)
    measure.add_argument("--max-minutes", type=float, metavar="M", help="refuse what is estimated to take longer")
    measure.add_argument("--json", metavar="F", help="write the numbers here ('-': standard output)")
    measure.add_argument("--html", metavar="F", help="write one self-contained page here ('-': standard output)")
    measure.set_defaults(run=_measure)

    dedup = verbs.add_parser("dedup", help="remove exact, near and semantic duplicates from any dataset",
                             description="Remove rows that repeat an earlier one: the same text; with --near, texts of "
                             "nearly the same characters; with --semantic, texts of nearly the same vector.")
    dedup.add_argument("data", metavar="DATA")
    dedup.add_argument("--out", required=True, metavar="DIR", help="folder for the rows kept, and the others with what "
                       "they repeat")
    dedup.add_argument("--near", type=float, metavar="T", help="Jaccard similarity of 5-character shingles, 0 to 1")
    dedup.add_argument("--semantic", type=float, metavar="T", help="cosine similarity of vectors, -1 to 1")
    _text_options(dedup)
    dedup.set_defaults(run=_dedup)

    select = verbs.add_parser("select", help="select rows of a wanted diversity from any dataset",
                              description="Select N rows whose diversity is as near to VALUE as can be: random rows, "
                              "moved towards diverse or towards redundant ones.")
    select.add_argument("data", metavar="DATA")
    select.add_argument("--to-diversity", type=float, required=True, metavar="VALUE")
    select.add_argument("--size", type=int, required=True, metavar="N")
    select.add_argument("--out", required=True, metavar="F", help="file of the dataset's format")
    select.add_argument("--measure", choices=["dcscore", "vendi"], default="dcscore",
                        help="what VALUE is of: dcscore (temperature 0.05, default) or vendi (order 1)")
    select.add_argument("--method", choices=["k-center", "facility", "dcscore"], default="k-center",
                        help="how diversity is raised (default: k-center)")
    select.add_argument("--seed", type=int, default=0)
    _text_options(select)
    select.set_defaults(run=_select)

    bench = verbs.add_parser("bench", help="how fast this machine or cluster generates, compares, embeds and trains",
                             description="Measure the throughput of the product's own engines on models with random "
                             "weights: at several numbers of devices (GPUs, or shares of the cores where there are "
                             "none), beside what the devices could do at best. Nothing is downloaded.")
    bench.add_argument("parts", nargs="*", metavar="PART",
                       help="generation, similarity, embedding, training, pipeline (default: all)")
    bench.add_argument("--size", choices=["tiny", "small", "medium", "large"], default="tiny",
                       help="tiny (some minutes anywhere, default), small (CPUs), medium (a GPU), large (8 GPUs)")
    bench.add_argument("--over", metavar="N,N", help="numbers of devices (default: 1 and all; of cores 4 at most)")
    bench.add_argument("--scaling", choices=["weak", "strong"], default="weak",
                       help="weak: as much work for each device (default); strong: as much for all together")
    bench.add_argument("--cluster", metavar="FILE", help="a file of configs/clusters/ that says what may be used")
    bench.add_argument("--json", metavar="F", help="write the result here too")
    bench.add_argument("--compare", nargs=2, metavar=("A", "B"), help="print ratios of two such results instead")
    bench.set_defaults(run=_bench)

    gc = verbs.add_parser("gc", help="show what of a store nothing needs, and remove it with --yes",
                          description="Show files that no record names; with STUDY files, also every result that none "
                          "of these studies needs. Nothing is removed without --yes, and nothing a run is at work on.")
    gc.add_argument("studies", nargs="*", metavar="STUDY", help="study files whose results stay; key.sub=value "
                    "changes a value of all of them, as it was changed for their runs")
    gc.add_argument("--store", metavar="DIR", help="where results live (default: $DIVSCALE_STORE or .divscale)")
    gc.add_argument("--unfinished", action="store_true", help="also work that a run would go on from")
    gc.add_argument("--yes", action="store_true", help="remove it")
    gc.set_defaults(run=_gc, overrides=[])

    doctor = verbs.add_parser("doctor", help="is this machine, or a cluster, ready?", description="Say what this "
                              "machine, or a cluster, has and lacks. Exit code 3 where something is missing.")
    doctor.add_argument("--json", action="store_true", help="print JSON")
    doctor.add_argument("--cluster", nargs="?", const="", metavar="FILE", help="look at every node of a running Ray "
                        "cluster instead; with a file of configs/clusters/, say also what it asks for and is not there")
    doctor.add_argument("--address", metavar="HOST:PORT", help="of the cluster (default: $RAY_ADDRESS)")
    doctor.add_argument("--store", metavar="DIR", help="the store that every node has to see")
    doctor.add_argument("--study", metavar="FILE", help="say also what this study lacks: data, models, disk")
    doctor.add_argument("overrides", nargs="*", metavar="key.sub=value", help="change a value of the study")
    doctor.set_defaults(run=_doctor, resumes=False)
    return parser


def _text_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--text-column", metavar="C", help="the text; C,C joins several (default: inferred from the "
                      "layout: text, messages, prompt and completion, Alpaca, ShareGPT, or the only column of strings)")
    verb.add_argument("--vectors", metavar="COLUMN", help="list column of given vectors; nothing is embedded then")
    verb.add_argument("--embedder", default="minilm", help="minilm (packaged) or a sentence-transformers model")


def _model_verb(
    verbs: argparse._SubParsersAction, name: str, says: str, description: str, holds: str, out: str,  # type: ignore[type-arg]
) -> argparse.ArgumentParser:
    """A verb about one model: what it does, what its file holds beside data, what goes into its folder."""
    verb = verbs.add_parser(name, help=says, description=description)
    verb.add_argument("config", help=f"a YAML file with data (as in a study), {holds}")
    verb.add_argument("overrides", nargs="*", metavar="key.sub=value", help="change a value of the file")
    verb.add_argument("--out", required=True, metavar="DIR", help=out)
    verb.add_argument("--cluster", metavar="FILE", help="a file of configs/clusters/ that says what may be used")
    return verb


def _address_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--address", metavar="URL", help="of the cluster's dashboard, as in http://HEAD:8265 (default: "
                      "$RAY_API_SERVER_ADDRESS, or $RAY_ADDRESS where that is a URL)")


def _budget_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--budget", action="append", default=[], metavar="KIND=N", help="refuse what is estimated to "
                      "take more, and say what would fit: gpu_hours, core_hours or hours (several: give it again)")
    _rates_option(verb)


def _rates_option(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--rates", action="append", default=[], metavar="PATH", help="another store, or a file "
                      "of `divscale bench --json`, that says how long stages take of which this one has no record "
                      "(several: give it again)")


def _study_verb(
    verbs: argparse._SubParsersAction, name: str, text: str, more: str = "key.sub=value",  # type: ignore[type-arg]
    help_more: str = "change a value of the study",
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=text, description=text)
    verb.add_argument("study", help="study file (YAML)")
    verb.add_argument("overrides", nargs="*", metavar=more, help=help_more)
    verb.add_argument("--store", metavar="DIR", help="where results live (default: $DIVSCALE_STORE or .divscale)")
    verb.add_argument("--cluster", metavar="FILE", help="a file of configs/clusters/ that says what may be used")
    return verb


def _run(arguments: argparse.Namespace) -> int:
    from divscale.run import run_from_terminal

    study = _study(arguments)
    _check_budget(arguments, study)
    return run_from_terminal(study, arguments.store)


def _plan(arguments: argparse.Namespace) -> int:
    from divscale.look import print_plan

    study = _study(arguments)
    code = print_plan(study, arguments.store, as_json=arguments.json, rates=arguments.rates)
    _check_budget(arguments, study)
    return code


def _preview(arguments: argparse.Namespace) -> int:
    from divscale.preview import print_preview

    return print_preview(_study(arguments), arguments.n, as_json=arguments.json)


def _status(arguments: argparse.Namespace) -> int:
    from divscale.look import print_status

    return print_status(_study(arguments), arguments.store, as_json=arguments.json)


def _submit(arguments: argparse.Namespace) -> int:
    from divscale.submit import submit_from_terminal

    return submit_from_terminal(arguments.study, arguments.overrides, arguments.address, arguments.store,
                                cluster=arguments.cluster, detach=arguments.detach)


def _job(arguments: argparse.Namespace) -> int:
    from divscale.submit import job_from_terminal

    return job_from_terminal(arguments.what, arguments.id, arguments.address)


def _generate(arguments: argparse.Namespace) -> int:
    from divscale.generate_only import generate_from_terminal

    return generate_from_terminal(
        _study(arguments), arguments.store, arguments.out, layout=arguments.layout, format=arguments.format)


def _train(arguments: argparse.Namespace) -> int:
    from divscale.train_only import train_from_terminal

    return train_from_terminal(arguments.config, arguments.overrides, arguments.out, cluster=arguments.cluster)


def _evaluate(arguments: argparse.Namespace) -> int:
    from divscale.evaluate_only import evaluate_from_terminal

    return evaluate_from_terminal(arguments.config, arguments.overrides, arguments.out, cluster=arguments.cluster)


def _recommend(arguments: argparse.Namespace) -> int:
    from divscale.affordable import budget_of
    from divscale.learned import learned_from
    from divscale.recommend import recommend_from_terminal

    return recommend_from_terminal(_study(arguments), arguments.store, arguments.out, budget_of(arguments.budget),
                                   learned_from(arguments.rates))


def _report(arguments: argparse.Namespace) -> int:
    from divscale.report_command import write_report

    if any("=" not in word for word in arguments.overrides):
        from divscale.compare_command import compare_from_terminal

        return compare_from_terminal(
            [arguments.study, *arguments.overrides], arguments.store, html=arguments.html,
            alone=[name for name in ("format", "out", "cluster") if getattr(arguments, name) is not None])
    return write_report(_study(arguments), arguments.store, html=arguments.html, formats=arguments.format,
                        out=arguments.out)


def _measure(arguments: argparse.Namespace) -> int:
    from divscale.stages.measure_terminal import measure_from_terminal

    return measure_from_terminal(
        arguments.data, text_column=arguments.text_column, reference=arguments.reference,
        reference_text_column=arguments.reference_text_column, vectors=arguments.vectors, embedder=arguments.embedder,
        metrics=arguments.metrics, by=arguments.by, source_column=arguments.source_column, n=arguments.n,
        seed=arguments.seed, max_minutes=arguments.max_minutes, json_file=arguments.json, html_file=arguments.html)


def _dedup(arguments: argparse.Namespace) -> int:
    from divscale.stages.selection_terminal import dedup_from_terminal

    return dedup_from_terminal(
        arguments.data, arguments.out, text_column=arguments.text_column, vectors=arguments.vectors,
        embedder=arguments.embedder, near=arguments.near, semantic=arguments.semantic)


def _select(arguments: argparse.Namespace) -> int:
    from divscale.stages.selection_terminal import select_from_terminal

    return select_from_terminal(
        arguments.data, arguments.out, to_diversity=arguments.to_diversity, size=arguments.size,
        measure=arguments.measure, method=arguments.method, text_column=arguments.text_column,
        vectors=arguments.vectors, embedder=arguments.embedder, seed=arguments.seed)


def _bench(arguments: argparse.Namespace) -> int:
    if arguments.compare:
        from divscale.bench.tables import compare_from_terminal

        return compare_from_terminal(*arguments.compare, also=[*arguments.parts, *(
            f"--{name}" for name in ("over", "cluster", "json") if getattr(arguments, name) is not None)])
    from divscale.bench.command import bench_from_terminal

    return bench_from_terminal(arguments.parts, size=arguments.size, scaling=arguments.scaling, over=arguments.over,
                               cluster=arguments.cluster, json_file=arguments.json)


def _gc(arguments: argparse.Namespace) -> int:
    from divscale.clean_store import clean_from_terminal

    return clean_from_terminal(
        [*arguments.studies, *arguments.overrides], arguments.store, unfinished=arguments.unfinished, yes=arguments.yes)


def _doctor(arguments: argparse.Namespace) -> int:
    if arguments.overrides and not arguments.study:
        raise ConfigError(f"doctor: {arguments.overrides[0]} changes a value of a study, and none is named. Name it "
                          "(--study FILE).")
    from divscale.doctor import findings, say

    if not arguments.study and arguments.cluster is None:   # what is imported below may not be installed
        return say(findings(), as_json=arguments.json)
    from divscale.run import store_of
    from divscale.study_file import load, load_resources

    file, store = arguments.cluster or None, store_of(arguments.store)
    study = load(arguments.study, arguments.overrides, cluster=file) if arguments.study else None
    if arguments.cluster is not None:
        from divscale.doctor_cluster import print_cluster
        from divscale.runtime.resources import Resources

        resources = study.resources if study else load_resources(file) if file else Resources()
        return print_cluster(arguments.address, store, study, resources, as_json=arguments.json)
    from divscale.doctor_study import on_this_machine

    assert study is not None
    return say([*findings(), *on_this_machine(study, store)], as_json=arguments.json)


def _study(arguments: argparse.Namespace, more: Sequence[str] = ()):
    from divscale.study_file import load

    return load(arguments.study, [*arguments.overrides, *more], cluster=arguments.cluster)


def _check_budget(arguments: argparse.Namespace, study) -> None:
    if not arguments.budget:
        return
    from divscale.budget import check, limits_of
    from divscale.learned import learned_from
    from divscale.run import store_of

    store, limits = store_of(arguments.store), limits_of(arguments.budget)
    left_out = check(study, store, limits, lambda more: _study(arguments, more), learned_from(arguments.rates))
    if left_out:
        print(f"divscale: {left_out}.", file=sys.stderr)
