"""How far a study agrees with people who coded the same videos: Cohen's kappa in time, ICC of the shares of time."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fer_core.errors import SourceError
from fer_core.labels import known_label
from fer_core.study.people import RESAMPLES, UNSURE, block_length, held_seconds

if TYPE_CHECKING:
    import pandas

LEAST_FILES = 3
"""For an ICC: of fewer, it says nothing."""


def read_times(path: Path, *, needed: Sequence[str], files: Sequence[str]) -> "pandas.DataFrame":
    """Returns a csv of what happens when in which file, with the columns that are `needed`.

    Raises SourceError: it cannot be read, a column is missing, or it names a file that the study does not have.
    """
    import pandas

    try:
        known = {"dtype": {"file": str}, "keep_default_na": False, "na_values": [""]}
        table = pandas.read_csv(path, sep=None, engine="python", **known)
    except (OSError, ValueError, csv.Error) as error:  # csv.Error: it has one column
        raise SourceError(f"{path} cannot be read: {error}.", hint=f"A csv with {', '.join(needed)}.") from None
    table = table.rename(columns=lambda name: str(name).strip().lower())
    wrong = [name for name in needed if list(table.columns).count(name) != 1]
    if wrong:
        has = "more than one column" if wrong[0] in table else "no column"
        raise SourceError(f"{path} has {has} {wrong[0]!r}.", hint=f"It needs {', '.join(needed)}.")
    unknown = set(table["file"]) - set(files)
    if unknown:
        hint = f"The study's files are called as in its files.csv, such as {next(iter(files), '')!r}."
        raise SourceError(f"{path} names {sorted(map(str, unknown))[0]!r}, which the study has not.", hint=hint)
    for name in {"seconds", "start", "end"} & set(needed):
        table[name] = pandas.to_numeric(table[name], errors="coerce")
        if table[name].isna().any():
            raise SourceError(f"{path} has a {name} that is no number.", hint="Times are in seconds.")
    return table


def agreement_table(
    readings: "pandas.DataFrame", coding: "pandas.DataFrame", labels: Sequence[str]
) -> "pandas.DataFrame":
    """Returns kappa and agreement with a coding, for all emotions together and for each against the rest.

    `coding` has the columns file, start, end and label, and perhaps person, else it is of everybody. Compared is every
    reading that somebody coded and that is not unsure. Intervals are from a bootstrap of blocks of time. `icc` is
    ICC(A,1) (McGraw and Wong 1996) of the shares of time in each file, of three files at least.
    """
    import pandas

    both = _coded(readings, coding, labels)
    rows, names = [], [*labels, *sorted(set(both["coded"]) - set(labels))]
    counts = _counts_of_blocks(both, names)  # (blocks, ours, theirs)
    rng = np.random.default_rng(0)
    for label in ("all", *labels):
        tables = counts if label == "all" else _against_the_rest(counts, names.index(label))
        whole = tables.sum(axis=0)
        if not whole.sum() or (label != "all" and not (whole[0].any() or whole[:, 0].any())):
            continue
        row = {"emotion": label, "seconds": both["held"].sum(), "agreement": np.trace(whole) / whole.sum()}
        drawn = [kappa(tables[rng.integers(0, len(tables), len(tables))].sum(axis=0)) for _ in range(RESAMPLES)]
        low, high = np.quantile(drawn, (0.025, 0.975)) if len(tables) > 1 else (np.nan, np.nan)
        of_time = np.nan if label == "all" else _icc_of_time(both, label)
        rows.append(row | {"kappa": kappa(whole), "low": low, "high": high, "icc": of_time})
    columns = ["emotion", "seconds", "agreement", "kappa", "low", "high", "icc"]
    return pandas.DataFrame(rows, columns=columns).round(4)


def kappa(counts: np.ndarray) -> float:
    """Returns Cohen's kappa of counts, (ours, theirs); 1.0 where both say one and the same throughout."""
    total = counts.sum()
    by_chance = float((counts.sum(axis=0) * counts.sum(axis=1)).sum()) / total**2
    return 1.0 if by_chance == 1 else float((np.trace(counts) / total - by_chance) / (1 - by_chance))


def icc(ratings: np.ndarray) -> float:
    """Returns ICC(A,1), absolute agreement of single ratings, float64 (targets, raters); NaN without spread."""
    targets, raters = ratings.shape
    total = ratings.mean()
    rows, columns = ratings.mean(axis=1), ratings.mean(axis=0)
    between = raters * ((rows - total) ** 2).sum() / (targets - 1)
    of_raters = targets * ((columns - total) ** 2).sum() / (raters - 1)
    rest = ratings - rows[:, np.newaxis] - columns + total
    error = (rest**2).sum() / ((targets - 1) * (raters - 1))
    below = between + (raters - 1) * error + raters / targets * (of_raters - error)
    return float((between - error) / below) if below else float("nan")


def _coded(readings: "pandas.DataFrame", coding: "pandas.DataFrame", labels: Sequence[str]) -> "pandas.DataFrame":
    """Returns the readings that somebody coded, with `coded` and `held`."""
    import pandas

    seen = readings.dropna(subset=["person"]).reset_index(drop=True)
    seen = seen.assign(held=0.0, coded=None)
    for _, rows in seen.groupby(["file", "person"]):
        seen.loc[rows.index, "held"] = held_seconds(rows)
    for row in coding.to_dict("records"):
        is_meant = (seen["file"] == row["file"]) & (seen["seconds"] >= row["start"]) & (seen["seconds"] < row["end"])
        if not pandas.isna(row.get("person", np.nan)):
            is_meant &= seen["person"] == row["person"]
        seen.loc[is_meant, "coded"] = known_label(str(row["label"]), labels) or str(row["label"])
    is_unsure = seen["unsure"].astype(bool) | (seen["label"] == UNSURE)
    return seen[seen["coded"].notna() & ~is_unsure].reset_index(drop=True)


def _counts_of_blocks(both: "pandas.DataFrame", names: Sequence[str]) -> np.ndarray:
    """Returns how often which label met which coding, int64 (blocks, names, names).

    A block is a time of one person, as long as its readings depend on each other.
    """
    agrees = (both["label"] == both["coded"]).to_numpy(np.float64)
    ours, theirs = (both[column].map(names.index).to_numpy(np.int64) for column in ("label", "coded"))
    found = []
    for places in both.groupby(["file", "person"], sort=True).indices.values():
        length = block_length(agrees[places, np.newaxis])
        for first in range(0, len(places), length):
            block = np.zeros((len(names), len(names)), np.int64)
            chosen = places[first : first + length]
            np.add.at(block, (ours[chosen], theirs[chosen]), 1)
            found.append(block)
    return np.stack(found) if found else np.zeros((0, len(names), len(names)), np.int64)


def _against_the_rest(counts: np.ndarray, number: int) -> np.ndarray:
    """Returns the counts of one label (first) against all others, (blocks, 2, 2)."""
    hit, ours, theirs = counts[:, number, number], counts[:, number].sum(axis=1), counts[:, :, number].sum(axis=1)
    return np.stack([hit, ours - hit, theirs - hit, counts.sum(axis=(1, 2)) - ours - theirs + hit], 1).reshape(-1, 2, 2)


def _icc_of_time(both: "pandas.DataFrame", label: str) -> float:
    seconds = both.groupby("file")["held"].sum()
    if len(seconds) < LEAST_FILES:
        return float("nan")
    of = (both[both[name] == label].groupby("file")["held"].sum() for name in ("label", "coded"))
    return icc(np.stack([(one.reindex(seconds.index).fillna(0.0) / seconds).to_numpy() for one in of], axis=1))
