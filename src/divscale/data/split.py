"""Divide real data into test, prior and labelled pool: by group, stratified by label, each row's place a hash.

The *prior* is what only the generator and the judge see; the *pool* is where labelled training rows are drawn from;
the *validation* rows, taken from the pool, say when an arm has trained enough.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from divscale.data.samples import same_text_keys, sources
from divscale.errors import ConfigError, DataError
from divscale.order import shuffled


@dataclass(frozen=True)
class Split:
    """Row numbers (int64, ascending) of the training table: disjoint, and together all of it.

    Attributes:
        prior: Rows for generator and judge only.
        pool: Rows that labelled subsets are drawn from.
        validation: Rows that training looks at without learning from them.
        test: Held-out rows; empty where a test table was given, which is then the test set, whole.
        dropped: Rows left out because the same text (after lower-casing; for qa with its context) stands in a part
            that comes first: test before validation before pool before prior; or because their group or context stands
            in a test table of its own.
    """

    prior: np.ndarray
    pool: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    dropped: np.ndarray


def split(samples: pa.Table, *, test_share: float | None, prior_share: float, seed: int, test_seed: int = 0,
          validation_share: float = 0.0, held_out: pa.Table | None = None) -> Split:
    """Divide `samples`. The test part depends on `test_seed` alone; what remains is divided by `seed`.

    Rows of one `group` stay together; without a group, rows of one context do (questions on one passage), unless it has
    more rows than the test part, or where this is given than prior or pool (a system prompt, a kind of source). Rows of
    a group or context that stands in a test table of its own are left out first, but for a context that has more rows,
    in both, than this. Within that, every label gets its share of every part, as nearly as its groups allow: groups
    larger than a label's share of a part go first, and only where they fit.
    O(n log n), about 25 us a row.

    Args:
        samples: SAMPLES, all real rows.
        test_share: Share of rows held out, 0 to 1; None exactly when `held_out` is given.
        prior_share: Share of the rest that becomes the prior.
        validation_share: Share of what then remains that is for validation.
        seed: Data seed.
        test_seed: Fixed through a study, so that all seeds are scored on one test set.
        held_out: SAMPLES, a test table of its own.

    Raises:
        DataError: No row remains for a part that was asked for.
    """
    if (test_share is None) == (held_out is None):
        raise ConfigError("split: give a test_share or a test table, one of the two (data.test, data.test_share).")
    groups = _groups(samples, samples.num_rows * (test_share or min(prior_share or 1.0, 1 - prior_share)))
    labels, keys = samples["label"].to_pylist(), same_text_keys(samples)
    everything = range(samples.num_rows)
    in_test = _take(everything, groups, labels, test_share, "test", test_seed) if test_share is not None else set()
    with_test = _with(held_out, samples) if held_out is not None else set()
    rest = [row for row in everything if row not in in_test and row not in with_test]
    in_prior = _take(rest, groups, labels, prior_share, "prior", seed)

    seen = set(same_text_keys(held_out)) if held_out is not None else {keys[row] for row in in_test}
    dropped = sorted(with_test)
    labelled = [row for row in rest if row not in in_prior]
    in_validation = _take(labelled, groups, labels, validation_share, "validation", seed) if validation_share else set()
    validation = _unseen(sorted(in_validation), keys, seen, dropped)
    seen |= {keys[row] for row in validation}
    pool = _unseen((row for row in labelled if row not in in_validation), keys, seen, dropped)
    prior = _unseen(sorted(in_prior), keys, seen | {keys[row] for row in pool}, dropped)
    also = "text" if held_out is None else "text, group or context"
    if not in_test and held_out is None:
        raise DataError(f"data.test_share: {test_share} of {samples.num_rows} rows in {len(set(groups))} groups leaves "
                        "no test row. Raise data.test_share, give data.test a file, or use more data.")
    if not rest and held_out is not None:
        raise DataError(f"data.test: the group or context of every one of {samples.num_rows} rows is also in the test "
                        "set, which leaves none to train on. Give another test file, or none (data.test_share); or, "
                        "where rows of one group or context are no closer than others, data.columns.group a column "
                        "that gives rows of the two files different groups.")
    if not rest:
        raise DataError(f"data.test_share: {test_share} of {samples.num_rows} rows leaves none to train on. Lower "
                        "data.test_share.")
    if not pool:
        raise DataError(f"data.prior_share: {prior_share} of {len(rest)} rows leaves no labelled row ({len(dropped)} "
                        f"were dropped because their {also} is also in the test set). Lower data.prior_share.")
    if prior_share and not prior:
        raise DataError(f"data.prior_share: {prior_share} of {len(rest)} rows in {len({groups[row] for row in rest})} "
                        f"groups leaves no row to the prior ({len(dropped)} were dropped because their {also} is also "
                        "in another part). Raise data.prior_share or use more data; or set it to 0 where nothing "
                        "learns from the prior.")
    if validation_share and not validation:
        raise DataError(f"data.validation_share: {validation_share} of {len(labelled)} labelled rows leaves none to "
                        "validate on. Raise data.validation_share, or use more data.")
    found = (prior, pool, validation, in_test, dropped)
    return Split(*(np.array(sorted(rows), dtype=np.int64) for rows in found))


def draw_labelled(samples: pa.Table, pool: np.ndarray, count: int, seed: int, *, per_label: bool,
                  field: str = "data.labelled") -> np.ndarray:
    """The labelled training rows: `count` of each label, or in total. Int64 row numbers, in the order drawn.

    Nested: of one seed, the draw of 2 a label is the beginning of the draw of 5 of each label. `field` is the study's
    field that asks for them, for messages.

    Raises:
        DataError: A label (or the pool) has fewer rows; the message names it and its number.
    """
    ids, labels = samples["id"].to_pylist(), samples["label"].to_pylist()
    by_label: dict[str, dict[str, int]] = {label: {} for label in sorted(set(labels))} if per_label else {"": {}}
    for row in pool.tolist():
        by_label[labels[row] if per_label else ""][ids[row]] = row
    short = {label: len(rows) for label, rows in by_label.items() if len(rows) < count}
    if short and not per_label:
        raise DataError(f"{field}: {count} labelled rows are asked for and the pool has {short['']}. Lower "
                        f"{field}, lower data.prior_share or data.test_share, or give more data.")
    if short:
        listed = ", ".join(f"{label}: {n}" for label, n in sorted(short.items(), key=lambda item: item[1])[:8])
        raise DataError(f"{field}: {count} rows a label are asked for, and the labelled pool has fewer of "
                        f"{len(short)} of {len(by_label)} labels ({listed}{', ...' if len(short) > 8 else ''}). Lower "
                        f"{field}, lower data.prior_share or data.test_share, or leave these labels out.")
    drawn = [rows[key] for rows in by_label.values() for key in shuffled(rows, "labelled", seed)[:count]]
    return np.array(drawn, dtype=np.int64)


def _with(held_out: pa.Table, samples: pa.Table) -> set[int]:
    """Rows of `samples` that would stay together with some of a test table, were the two one table."""
    found = _sources(pa.concat_tables([held_out, samples]), held_out.num_rows)
    there = {source for source in found[:held_out.num_rows] if source}
    return {row for row, source in enumerate(found[held_out.num_rows:]) if source in there}


def _groups(samples: pa.Table, most: float) -> list[str]:
    """One key a row, equal for rows that stay together: its group, else that of its context where this has at most so
    many rows, else its own.
    """
    return [source or f"row\x1f{row_id}"
            for source, row_id in zip(_sources(samples, most), samples["id"].to_pylist(), strict=True)]


def _sources(samples: pa.Table, most: float) -> list[str | None]:
    """The group of each row, else that of its context where this has at most so many rows, else none."""
    contexts = samples["context"].to_pylist()
    rows_of = Counter(contexts)
    told = pa.array([context if rows_of[context] <= most else None for context in contexts], pa.string())
    samples = samples.set_column(samples.column_names.index("context"), "context", told)
    return sources(samples, samples)


def _take(rows: Iterable[int], groups: list[str], labels: list[str | None], share: float, part: str,
          seed: int) -> set[int]:
    """Rows of whole groups that make `share` of every label.

    A group is taken while that brings the label counts nearer to their targets. Large groups (more than a label's
    target, or than what would be left of it) come first and are taken only below the target: placed late or
    generously, one of them would use up the whole of a label and leave none to the other part.
    """
    members = defaultdict(list)
    for row in rows:
        members[groups[row]].append(row)
    counts = {group: Counter(labels[row] for row in found) for group, found in members.items()}
    total = Counter(labels[row] for found in members.values() for row in found)
    target = {label: share * n for label, n in total.items()}

    def is_large(group: str) -> bool:
        return any(n > 1 and n > min(target[label], total[label] - target[label]) for label, n in counts[group].items())

    order = shuffled(members, part, seed)
    large = [group for group in order if is_large(group)]
    large.sort(key=lambda group: -len(members[group]))  # stable: equal sizes keep their shuffled order
    taken, have = set(), Counter()
    for group in large + [group for group in order if not is_large(group)]:
        gain = sum(n * (2 * (target[label] - have[label]) - n) / max(target[label], 1.0)
                   for label, n in counts[group].items())  # decrease of sum (have - target)^2 / target
        fits = all(have[label] + n <= target[label] for label, n in counts[group].items())
        if gain > 0 and (fits or not is_large(group)):
            taken.update(members[group])
            have.update(counts[group])
    return taken


def _unseen(rows: Iterable[int], keys: list[str], seen: set[str], dropped: list[int]) -> list[int]:
    kept = []
    for row in rows:
        (dropped if keys[row] in seen else kept).append(row)
    return kept
