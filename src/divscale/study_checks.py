"""Whether the parts of a study fit together. A check raises ValueError: the field, what is wrong, what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from divscale.data.config import MixConfig
from divscale.evaluation.config import OF_CLASSES, WRITTEN, check_scores
from divscale.generation.config import GeneratorModel
from divscale.generation.recipes import MODULES
from divscale.metrics.catalogue import metric
from divscale.metrics.config import MeasureConfig
from divscale.schema import CORRECT, MATCHED, PRETRAIN
from divscale.training.config import PretrainConfig, TrainConfig

if TYPE_CHECKING:
    from divscale.config import Study

MOST_MIXES = 20_000     # a plan of a thousand arms takes 2 s (benchmarks/results/study_scale.json)
VLLM_CPU_HEAD_SIZES = (32, 64, 80, 96, 112, 128, 160, 192, 224, 256, 512)  # vllm 0.32, cpu_attn.py


def check(study: Study) -> None:
    """The parts of a study fit together.

    Raises:
        ValueError: The first that do not.
    """
    _check_size(study)
    for i, mix in enumerate(study.mix):
        _check_mix(mix, f"mix.{i}", study)
    for i, train in enumerate(study.train):
        _check_selection(train, f"train.{i}", study)
    _check_entries(study)
    _check_agreement(study)
    _check_matching(study)
    study.recipe.check_task(study.data.task)
    _check_target(study)
    _check_generator(study)
    _check_without_prior(study)
    _check_scores(study)
    _check_measures(study.measure)
    _check_view(study)
    _check_answers(study)
    _check_harness(study)
    _check_recursion(study)


def _check_generator(study: Study) -> None:
    """The recipe asks nothing of the generator that its engine, or a model trained on the spot, cannot do."""
    if study.recipe.structured and study.generator.engine.engine == "transformers":
        raise ValueError("recipe.structured: engine transformers cannot hold a completion to a schema; use "
                         "generator.engine.engine vllm or openai, or leave recipe.structured out")
    pretrains, untaught = _pretrains(study), getattr(MODULES[study.recipe.kind], "untaught", None)
    if (pretrains or study.recursion) and untaught and (reason := untaught(study.recipe)):
        taught = "generator.model: pretrain" if pretrains else "recursion: descendants are taught by what they read"
        raise ValueError(f"{taught}: {reason}")
    architecture = study.pretrain.generator.architecture
    head_size = architecture.hidden_size / architecture.heads
    if pretrains and study.generator.engine.engine == "vllm" and head_size not in VLLM_CPU_HEAD_SIZES:
        raise ValueError(
            f"pretrain.generator.architecture: hidden_size / heads is {head_size:g}, and vLLM on CPU takes "
            f"{', '.join(map(str, VLLM_CPU_HEAD_SIZES))}")


def _pretrains(study: Study) -> bool:
    return any(model.model == PRETRAIN for model in study.generator.models)


def _check_size(study: Study) -> None:
    """The study can be planned: every mix of every repetition is a stage of its own."""
    seeds, recipe = study.seeds, study.recipe
    draws = seeds.generation * (1 if seeds.pairing == "zipped" else seeds.data * seeds.training)
    labelled, sets = len(study.real_counts), len(recipe.levels) * len(recipe.filters)
    mixes = sum((len(mix.labelled or study.data.labelled)) * (len(mix.generated) + len(mix.generated_share))
                * (1 if mix.design == "judge_labelled" else
                   len(mix.levels or recipe.levels) * len(mix.filters or recipe.filters)) for mix in study.mix)
    asked = max(draws * (labelled + mixes), seeds.generation * sets)
    if asked > MOST_MIXES:
        raise ValueError(f"seeds: {draws:,} repetitions of {labelled + mixes:,} mixes of {sets:,} sets are {asked:,} "
                         f"to plan, and {MOST_MIXES:,} are the most; lower seeds, or give fewer levels, filters, "
                         "labelled counts or mixes")


def _check_entries(study: Study) -> None:
    """The report can tell the training entries apart: it knows an arm's way of training by method and name alone."""
    ways = [(entry.method, entry.called) for entry in study.train]
    for method, called in ways:
        if ways.count((method, called)) > 1:
            raise ValueError(
                f"train: two entries have method {method} and are called {called}, and the report could not tell them "
                "apart, whatever else differs; give one of them a name (name: 5 epochs)")


def _check_scores(study: Study) -> None:
    """The scores apply to the task; and what a causal model writes is right or not, but no class with a probability."""
    check_scores(study.evaluate.metrics, study.data.task, "evaluate.metrics")
    for i, entry in enumerate(study.train):
        if entry.method != "probe" and entry.head == "causal":
            for metric in study.evaluate.metrics:
                if metric in OF_CLASSES:
                    raise ValueError(
                        f"evaluate.metrics: {metric} needs predicted classes, and train.{i}.head is causal; name "
                        "metrics that both have, as in [accuracy, loss], or run the classifiers as a study of their "
                        "own on one store (shared work is done once)")


def _check_answers(study: Study) -> None:
    """The models that are to write answers can be given to an engine."""
    for i, entry in enumerate(study.train) if study.evaluate.writes else ():
        if entry.method == "lora" and not entry.lora.merge:
            raise ValueError(f"train.{i}.lora.merge: {min(WRITTEN & {*study.evaluate.metrics})} needs a model that an "
                             "engine loads, and adapters alone are none here; set it to true")
        if entry.max_length <= study.evaluate.max_tokens:
            raise ValueError(f"evaluate.max_tokens: {study.evaluate.max_tokens} leaves no room for a prompt in "
                             f"train.{i}.max_length ({entry.max_length}); lower the one, or raise the other")


def _check_harness(study: Study) -> None:
    """The harness asks language models alone."""
    for i, entry in enumerate(study.train) if study.evaluate.harness else ():
        if entry.method == "probe":
            raise ValueError(f"evaluate.harness: its tasks need a language model, and train.{i} is a probe; run the "
                             "two as studies of their own on one store (shared work is done once)")
        if entry.head != "causal":
            raise ValueError(f"evaluate.harness: its tasks need a language model, and train.{i}.head is {entry.head}; "
                             "set it to causal, or leave the harness out")


def _check_recursion(study: Study) -> None:
    """Later generations can be taught, and their sets measured like the first."""
    if study.recursion is None:
        return
    if study.generator.engine.engine == "openai":
        raise ValueError("recursion: what an endpoint serves cannot be taught here; name a model that is trained here, "
                         "with generator.engine.engine vllm or transformers")
    for writer in study.generator.models:
        if writer.model != PRETRAIN:
            _check_writer(study, writer)
        elif study.pretrain.generator.optim.steps is None:
            raise ValueError("recursion: regimes differ in how many rows a model reads, so that it has to train for "
                             "the same steps, and pretrain.generator counts epochs; give its optim.steps")
    if study.recipe.structured:
        raise ValueError("recursion: descendants are taught plain text; leave recipe.structured out")
    if study.recipe.target is not None:
        raise ValueError("recursion: a target of diversity would be met anew by every generation; name the levels of "
                         "the dial instead")


def _check_writer(study: Study, writer: GeneratorModel) -> None:
    """A named generator of a recursion can be taught, and by as many steps whatever it reads."""
    model = writer.model
    entry = study.teacher_of(writer)
    if entry is None:
        raise ValueError(f"recursion: {model} learns from what it reads as an entry of train says that names the same "
                         "model and revision with head: causal, and there is none; add one, or set generator.model: "
                         "pretrain")
    if entry.method == "lora" and not entry.lora.merge:
        raise ValueError(f"recursion: the engine loads whole models, and the train entry of {model} leaves adapters "
                         "alone; set its lora.merge to true")
    if entry.optim.steps is None:
        raise ValueError(f"recursion: regimes differ in how many rows a model reads, so that it has to train for the "
                         f"same steps, and the train entry of {model} counts epochs; give its optim.steps")
    if len(entry.lr) > 1 or entry.validation is not None:
        raise ValueError(f"recursion: descendants train at one rate and to the end, and the train entry of {model} "
                         f"has {'several rates' if len(entry.lr) > 1 else 'a validation'}; leave that out")


def _check_agreement(study: Study) -> None:
    """Somebody can decide whether labels or answers are right, where it is asked."""
    votes, task = study.agreement.by == "votes", study.data.task
    if not CORRECT.isdisjoint(study.recipe.filters) and not votes and (
            task != "classification" and study.data.source != "storyland"):
        raise ValueError(f"recipe.filters: {' and '.join(sorted(CORRECT & {*study.recipe.filters}))} need data.task "
                         "classification, storyland's oracle, or agreement.by: votes")
    if votes and task == "text":
        raise ValueError("agreement.by: votes needs labels or answers to vote on, and data.task is text")
    if votes and study.agreement.generator >= len(study.generator.models):
        raise ValueError(f"agreement.generator: {study.agreement.generator} is no model of the study; generator.model "
                         f"is 0 and generator.others has {len(study.generator.others)}")


def _check_matching(study: Study) -> None:
    """There is something to choose among, where rows are chosen to be like real text."""
    recipe = study.recipe
    for name in sorted(MATCHED & {*recipe.filters}):
        if recipe.kept == recipe.samples:
            raise ValueError(f"recipe.filters: {name} chooses recipe.samples rows among the candidates, and this "
                             f"recipe leaves no more than those ({recipe.kept}); raise recipe.candidates to 4 or so "
                             "(recipes that choose among candidates themselves leave none)")


def _check_measures(wanted: MeasureConfig) -> None:
    """Measures that were named have the rows they need; one that has not would leave a set without any number."""
    for kind in wanted.model_fields_set & {"diversity", "shift"}:
        for name in getattr(wanted, kind):
            if (least := metric(name).least) > wanted.n:
                raise ValueError(f"measure.{kind}: {name} needs {least} rows, and measure.n is {wanted.n}; raise it, "
                                 "or leave the measure out")


def _check_view(study: Study) -> None:
    """The models that look at sets are there, where the study trains them itself."""
    for role, model in study.measure.model_view.models.items() if study.measure.model_view else ():
        if model.from_scratch:
            _base(model.model, f"measure.model_view.{role}", study)


def _check_target(study: Study) -> None:
    """Pilots and sets have the rows that a target is measured at. How many labels there are only the data say."""
    recipe = study.recipe
    if recipe.target is None or study.data.task == "classification":
        return
    for name, rows in (("target.pilot_samples", recipe.target.pilot_samples), ("samples", recipe.kept)):
        if rows < recipe.target.n:
            raise ValueError(f"recipe.{name}: {rows} rows cannot be measured at {recipe.target.n}, as recipe.target.n "
                             "says; raise the one, or lower the other")


def _check_without_prior(study: Study) -> None:
    """Everything that learns from the prior, and so needs one."""
    if study.data.prior_share > 0:
        return
    needing = [f"train.{i}.model: {entry.model}" for i, entry in enumerate(study.train) if entry.from_scratch]
    needing += ["recursion"] if study.recursion else []
    needing += ["generator.model: pretrain"] if _pretrains(study) else []
    view = study.measure.model_view
    needing += [f"measure.model_view.{role}: {model.model}" for role, model in view.models.items()
                if model.from_scratch] if view else []
    judged = not CORRECT.isdisjoint(study.recipe.filters) and study.agreement.by == "judge"
    needing += ["the filters label_agreement and both (unless agreement.by is votes)"] if judged else []
    needing += [f"mix.{i}.design: judge_labelled" for i, mix in enumerate(study.mix) if mix.design == "judge_labelled"]
    if needing:
        raise ValueError(f"data.prior_share: 0 leaves no prior to learn from, for {' and '.join(needing)}; raise it")


def _check_mix(mix: MixConfig, where: str, study: Study) -> None:
    wants_count = mix.design in ("generated_only", "judge_labelled")
    if wants_count and (not mix.generated or mix.generated_share):
        raise ValueError(f"{where}: design {mix.design} takes `generated` (counts) and no generated_share")
    if mix.design == "constant_total" and (mix.generated or not mix.generated_share):
        raise ValueError(f"{where}: design constant_total takes `generated_share` and no `generated`")
    if mix.design == "add_on" and bool(mix.generated) == bool(mix.generated_share):
        raise ValueError(f"{where}: design add_on takes either `generated` or `generated_share`")
    if mix.design == "add_on" and 1.0 in mix.generated_share:
        raise ValueError(f"{where}: generated_share 1 cannot be reached by adding on; use design generated_only")
    if mix.design == "judge_labelled" and study.data.task != "classification":
        raise ValueError(f"{where}: design judge_labelled needs data.task classification")
    if mix.total is not None and mix.design != "constant_total":
        raise ValueError(f"{where}: total belongs to design constant_total")
    if mix.total is not None and mix.labelled is not None:
        raise ValueError(f"{where}: total says how many rows a mix has, whatever data.labelled is; leave its labelled "
                         "out")
    if mix.shortfall == "error" and mix.design != "judge_labelled":
        _check_supply(mix, where, study)
    _subset(mix.labelled, study.data.labelled, f"{where}.labelled", "data.labelled")
    _subset(mix.levels, study.recipe.levels, f"{where}.levels", f"recipe.{study.recipe.dial}")
    _subset(mix.filters, study.recipe.filters, f"{where}.filters", "recipe.filters")


def _check_supply(mix: MixConfig, where: str, study: Study) -> None:
    """What a mix draws there can be at all, as far as it is trained on: matched sets have `recipe.samples`, others all
    that is kept.
    """
    recipe, wanted = study.recipe, list[tuple[str, int, float]]()
    for k in mix.labelled or study.data.labelled if mix.total is None else (mix.total,):
        wanted += [(f"{where}.generated", k, count) for count in mix.generated]
        wanted += [(f"{where}.generated_share: {share:g} of {k}", k, mix.amount_of(k, share))
                   for share in mix.generated_share]
    for field, k, count in sorted(wanted, key=lambda one: -one[2]):
        for name in mix.filters or recipe.filters:
            limit, held = (recipe.samples, f" with filter {name}") if name in MATCHED else (recipe.kept, "")
            real = 0 if mix.design == "generated_only" else k
            if int(count) > limit and any(study.takes(entry, mix, real, name, count) for entry in study.train):
                all_kept = not held and limit == recipe.samples * recipe.candidates
                kept = "recipe.samples x recipe.candidates" if all_kept else "recipe.samples"
                raise ValueError(f"{field}: {int(count)} generated rows are wanted, but {kept} makes {limit}{held}; "
                                 "raise one of them, or set shortfall: oversample")


def _check_selection(train: TrainConfig, where: str, study: Study) -> None:
    arms = train.arms
    designs = ("real_only", *(mix.design for mix in study.mix))
    _subset(arms.designs, designs, f"{where}.arms.designs", "the study's mixes")
    _subset(arms.labelled, study.data.labelled, f"{where}.arms.labelled", "data.labelled")
    _subset(arms.levels, study.recipe.levels, f"{where}.arms.levels", f"recipe.{study.recipe.dial}")
    _subset(arms.filters, study.recipe.filters, f"{where}.arms.filters", "recipe.filters")
    if arms.data_seeds is not None and arms.data_seeds > study.seeds.data:
        raise ValueError(f"{where}.arms.data_seeds: {arms.data_seeds} is more than seeds.data ({study.seeds.data})")
    if train.validation is not None and train.method == "probe":
        raise ValueError(f"{where}.validation: a probe has one optimum and is trained to it; leave validation out")
    if train.validation is not None and study.data.validation_share == 0:
        raise ValueError(f"{where}.validation: data.validation_share is 0, so there are no rows to look at; raise it")
    if len(train.lr) > 1 and study.data.validation_share == 0:
        raise ValueError(f"{where}.lr: {len(train.lr)} rates are chosen among on validation rows, and "
                         "data.validation_share is 0; raise it, or give one rate")
    if train.method != "probe" and train.from_scratch:
        _check_base(train, where, study)
    if train.method == "probe" and (train.model != "encoder" or study.data.task != "classification"):
        raise ValueError(f"{where}: method probe needs model encoder and data.task classification")
    if train.method != "probe" and study.data.task != "classification" and train.head == "classifier":
        raise ValueError(f"{where}: head classifier needs data.task classification; set head: causal")


def _check_base(train: TrainConfig, where: str, study: Study) -> None:
    positions = _base(train.model, f"{where}.model", study).architecture.max_length
    if train.max_length > positions:
        own = "base" if train.model == PRETRAIN else f"bases.{train.model.partition(':')[2]}"
        raise ValueError(f"{where}.max_length: {train.max_length} tokens are more than the model {train.model} has "
                         f"positions for ({positions}); lower it, or raise pretrain.{own}.architecture.max_length")


def _base(model: str, where: str, study: Study) -> PretrainConfig:
    try:
        return study.pretrain.named(model)
    except KeyError:
        raise ValueError(f"{where}: {model} is none of pretrain.bases "
                         f"({', '.join(study.pretrain.bases) or 'there are none'}); name one, or describe it there"
                         ) from None


def _subset(chosen: tuple[Any, ...] | None, of: tuple[Any, ...], where: str, source: str) -> None:
    for value in chosen or ():
        if value not in of:
            raise ValueError(f"{where}: {value} is not one of {source} ({', '.join(map(str, of))})")
