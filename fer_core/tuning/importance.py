"""Which settings mattered in a search, and what two of them did together: random trees over its trials.

Of trials alone, so of where the oracle has looked: a setting that was hardly varied there has little to show. Trees
take numbers, choices and settings that some trials lack as they are (Hutter et al. 2014 rank hyperparameters so).
scikit-learn is imported inside, because it is slow.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fer_core.errors import ConfigError, did_you_mean
from fer_core.tuning.entries import Entry, is_finished
from fer_core.tuning.space import Parameter

LEAST_TRIALS = 8
"""Fewer say nothing about several settings."""
_TREES, _REPEATS, _SEED = 64, 5, 0
_GRID = 15
"""Points of a range in a map of two settings."""


class Importance(NamedTuple):
    """How much worse the trees tell the scores once a setting's values are shuffled among the trials."""

    name: str
    share: float
    """Of all settings together, 0..1."""
    spread: float
    """The standard deviation of that over several shufflings."""


class Surface(NamedTuple):
    """What the trees expect of two settings, averaged over the others as the trials have them."""

    x: str
    y: str
    xs: list[Any]
    ys: list[Any]
    scores: list[list[float]]
    """A row for each of `ys`, in the objective's own sense."""


class Findings(NamedTuple):
    """What the trials of a search say about its settings."""

    trials: int
    explained: float
    """R² of the trees for trials that they have not seen; near 0 or below, what they say of settings is chance."""
    settings: list[Importance]
    """The most important first."""
    surface: Surface | None
    """None where fewer than two settings vary."""


def findings(entries: Sequence[Entry], parameters: Sequence[Parameter], *, x: str = "", y: str = "") -> Findings | None:
    """Returns what the finished trials say; None of fewer than LEAST_TRIALS.

    Args:
        x, y: the settings of the surface; '' = the most important ones. ConfigError for one that does not vary.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    trials = [entry for entry in entries if entry.kind == "trial" and is_finished(entry)]
    varied = [one for one in parameters if len({str(trial.settings.get(one.name)) for trial in trials}) > 1]
    for name in filter(None, (x, y)):
        if name not in [one.name for one in varied]:
            raise ConfigError(f"{name[:60]} does not vary.", hint=did_you_mean(name, [one.name for one in varied]))
    if len(trials) < LEAST_TRIALS or not varied:
        return None
    rows = np.array([[_number(one, trial.settings.get(one.name)) for one in varied] for trial in trials])
    scores = np.array([trial.score for trial in trials])
    trees = RandomForestRegressor(_TREES, min_samples_leaf=2, oob_score=True, random_state=_SEED, n_jobs=1)
    trees.fit(rows, scores)
    shuffled = permutation_importance(trees, rows, scores, n_repeats=_REPEATS, random_state=_SEED)
    total = float(np.clip(shuffled.importances_mean, 0, None).sum()) or 1.0
    shares = [
        Importance(one.name, max(0.0, float(mean)) / total, float(spread) / total)
        for one, mean, spread in zip(varied, shuffled.importances_mean, shuffled.importances_std, strict=True)
    ]
    ranked = sorted(shares, key=lambda one: -one.share)
    names = [name for name in (x, y) if name]
    names += [one.name for one in ranked if one.name not in names][: 2 - len(names)]
    surface = _surface(trees, rows, varied, names) if len(set(names)) == 2 else None
    return Findings(len(trials), float(trees.oob_score_), ranked, surface)


def _number(parameter: Parameter, value: Any) -> float:
    """Returns a value as the trees take it; NaN where a trial lacks the setting."""
    if value is None:
        return np.nan
    if parameter.choices:
        names = [str(choice) for choice in parameter.choices]
        return float(names.index(str(value))) if str(value) in names else -1.0
    return float(value)


def _surface(trees: Any, rows: np.ndarray, varied: Sequence[Parameter], names: Sequence[str]) -> Surface:
    columns = [[one.name for one in varied].index(name) for name in names]
    (xs, ys), (shown_xs, shown_ys) = zip(*(_points(varied[column], rows[:, column]) for column in columns), strict=True)
    every = np.repeat(rows[np.newaxis], len(xs) * len(ys), axis=0)
    grid = np.array([(one, other) for other in ys for one in xs])
    every[:, :, columns] = grid[:, np.newaxis]
    expected = trees.predict(every.reshape(-1, rows.shape[1])).reshape(len(ys), len(xs), len(rows)).mean(axis=2)
    return Surface(*names, shown_xs, shown_ys, expected.round(6).tolist())


def _points(parameter: Parameter, seen: np.ndarray) -> tuple[np.ndarray, list[Any]]:
    """Returns the points of a setting in a surface, as the trees take them and as people read them."""
    if parameter.choices:
        return np.arange(len(parameter.choices), dtype=float), [str(choice) for choice in parameter.choices]
    known = seen[~np.isnan(seen)]
    spaced = np.geomspace if parameter.log and known.min() > 0 else np.linspace
    points = spaced(known.min(), known.max(), _GRID)
    return points, points.tolist()
