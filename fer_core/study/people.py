"""What a study says of each person in its videos: shares of time, episodes, transitions, reactions, with intervals.

A reading is much like the one before it, so that n readings are not n observations: intervals come from a bootstrap of
blocks, circular (Politis and Romano 1992) and as long as the autocorrelation asks for (Carlstein 1986, for an AR(1)
process), a third of what was seen at most.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fer_core.study.tables import labels_of

if TYPE_CHECKING:
    import pandas

RESAMPLES = 1000
MOST_BLOCKS = 2000
UNSURE, UNSURE_COLOUR = "unsure", "#c9c9c9"
_LONGEST_STEPS = 3.0
"""A reading stands until the next one, at most for so many usual steps: then nobody was seen."""


class Estimate(NamedTuple):
    """Means and their 95 % intervals, each float64 (values,); NaN where too little was seen."""

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def people_table(
    readings: "pandas.DataFrame", labels: Sequence[str], *, baseline_seconds: float = 0.0
) -> "pandas.DataFrame":
    """Returns a row for each person and emotion of a video: share of time, mean probability with interval.

    `share` counts what was shown; a row of its own has the share that was unsure. With a baseline, `change` is how far
    the mean after the person's first `baseline_seconds` lies above that within them, with its interval.
    """
    import pandas

    rows = []
    for (file, person), seen in _by_person(readings):
        held = held_seconds(seen)
        shares = seen[[labels_of(seen)[label] for label in labels]].to_numpy(np.float64)
        mean = estimate(shares)
        is_baseline = (seen["seconds"] - seen["seconds"].iloc[0] < baseline_seconds).to_numpy()
        change = difference(shares[is_baseline], shares[~is_baseline]) if baseline_seconds else None
        shown = np.where(seen["unsure"].astype(bool), UNSURE, seen["label"])
        for number, label in enumerate([*labels, UNSURE]):
            row = {"file": file, "person": person, "seconds": round(float(held.sum()), 3), "emotion": label}
            row["share"] = float(held[shown == label].sum() / held.sum())
            if number < len(labels):
                row |= {name: float(values[number]) for name, values in mean._asdict().items()}
                if change is not None:
                    row["baseline"] = float(shares[is_baseline, number].mean()) if is_baseline.any() else math.nan
                    named = zip(("change", "change_low", "change_high"), change, strict=True)
                    row |= {name: float(values[number]) for name, values in named}
            rows.append(row)
    return pandas.DataFrame(rows).round(4)


def episodes_table(readings: "pandas.DataFrame") -> "pandas.DataFrame":
    """Returns a row for each time that one emotion was shown to a person without a break: when, how long, its peak."""
    import pandas

    rows = []
    for (file, person), seen in _by_person(readings):
        shown = np.where(seen["unsure"].astype(bool), UNSURE, seen["label"])
        seconds, held, confidence = seen["seconds"].to_numpy(), held_seconds(seen), seen["confidence"].to_numpy()
        begins = np.append(True, (shown[1:] != shown[:-1]) | (np.diff(seconds) > held[:-1] + 1e-9))
        firsts = np.flatnonzero(begins)
        for first, last in zip(firsts, np.append(firsts[1:], len(shown)) - 1, strict=True):
            end, peak = seconds[last] + held[last], first + int(confidence[first : last + 1].argmax())
            row = {"file": file, "person": person, "emotion": shown[first], "start": seconds[first], "end": end}
            rows.append(row | {"seconds": end - seconds[first], "peak": confidence[peak], "peak_at": seconds[peak]})
    columns = ["file", "person", "emotion", "start", "end", "seconds", "peak", "peak_at"]
    return pandas.DataFrame(rows, columns=columns).round(4)


def transitions_table(episodes: "pandas.DataFrame") -> "pandas.DataFrame":
    """Returns how often each person went from one emotion to another; what was unsure in between does not count."""
    sure = episodes[episodes["emotion"] != UNSURE]
    following = sure.groupby(["file", "person"])["emotion"].shift(-1)
    pairs = sure.assign(to=following).dropna(subset=["to"]).rename(columns={"emotion": "from"})
    pairs = pairs[pairs["from"] != pairs["to"]]
    return pairs.groupby(["file", "person", "from", "to"]).size().rename("count").reset_index()


def reactions_table(
    readings: "pandas.DataFrame", markers: "pandas.DataFrame", labels: Sequence[str], *, window_seconds: float
) -> "pandas.DataFrame":
    """Returns how far each person's mean probabilities after a marker lie above those before it, with intervals.

    `markers` has the columns file, seconds and name; compared are the `window_seconds` before and after each.
    """
    import pandas

    rows = []
    for (file, person), seen in _by_person(readings):
        columns = [labels_of(seen)[label] for label in labels]
        for marker in markers[markers["file"] == file].to_dict("records"):
            away = seen["seconds"] - marker["seconds"]
            before = seen.loc[(away >= -window_seconds) & (away < 0), columns].to_numpy(np.float64)
            after = seen.loc[(away >= 0) & (away < window_seconds), columns].to_numpy(np.float64)
            if not (len(before) and len(after)):
                continue
            change, own = difference(before, after), {"file": file, "person": person, "marker": marker["name"]}
            for number, label in enumerate(labels):
                means = {"before": before[:, number].mean(), "after": after[:, number].mean()}
                named = zip(("change", "low", "high"), (values[number] for values in change), strict=True)
                rows.append(own | {"seconds": marker["seconds"], "emotion": label} | means | dict(named))
    columns = ["file", "person", "marker", "seconds", "emotion", "before", "after", "change", "low", "high"]
    return pandas.DataFrame(rows, columns=columns).round(4)


def held_seconds(seen: "pandas.DataFrame") -> np.ndarray:
    """Returns for how long each reading of a person stands, float64 (n,): until the next, or for a usual step."""
    steps = np.diff(seen["seconds"].to_numpy(np.float64))
    usual = float(np.median(steps)) if len(steps) else 0.0
    return np.append(np.where(steps > _LONGEST_STEPS * usual, usual, steps), usual or 1.0)


def estimate(values: np.ndarray) -> Estimate:
    """Returns the means of a series, float64 (n, values), and their intervals."""
    means = _resampled(values)
    return Estimate(values.mean(axis=0), *np.quantile(means, (0.025, 0.975), axis=0))


def difference(before: np.ndarray, after: np.ndarray) -> Estimate:
    """Returns how far the means of one series lie above those of another, float64 (n, values) each."""
    if not (len(before) and len(after)):
        nothing = np.full(before.shape[1], np.nan)
        return Estimate(nothing, nothing, nothing)
    changes = _resampled(after, seed=1) - _resampled(before)
    return Estimate(after.mean(axis=0) - before.mean(axis=0), *np.quantile(changes, (0.025, 0.975), axis=0))


def block_length(values: np.ndarray) -> int:
    """Returns how many readings a block of a series, float64 (n, values), has; 1 where none depends on the last."""
    count, centred = len(values), values - values.mean(axis=0)
    variance, following = (centred**2).sum(axis=0), (centred[1:] * centred[:-1]).sum(axis=0)
    depends = np.divide(following, variance, out=np.zeros_like(variance), where=variance > 0)
    rho = float(np.clip(depends.max(initial=0.0), 0.0, 0.999))
    length = (2 * rho / (1 - rho**2)) ** (2 / 3) * count ** (1 / 3)
    return int(np.clip(math.ceil(max(length, count / MOST_BLOCKS)), 1, max(1, count // 3)))


def _resampled(values: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Returns the means of resampled series, float64 (RESAMPLES, values); NaN for fewer than three readings."""
    count, length = len(values), block_length(values)
    if count < 3:
        return np.full((RESAMPLES, values.shape[1]), np.nan)
    sums = np.concatenate([np.zeros((1, values.shape[1])), np.concatenate([values, values[:length]]).cumsum(axis=0)])
    means = (sums[length : length + count] - sums[:count]) / length
    rng = np.random.default_rng(seed)
    return np.stack([means[rng.integers(0, count, math.ceil(count / length))].mean(axis=0) for _ in range(RESAMPLES)])


def _by_person(readings: "pandas.DataFrame"):
    """Returns the readings of each person, by file and number, in their order; pictures have no people."""
    if "person" not in readings:
        return []
    return readings.dropna(subset=["person"]).astype({"person": int}).groupby(["file", "person"], sort=True)
