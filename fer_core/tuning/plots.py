"""Writes the plots of a search: best score over time, score of each setting, all settings beside each other, Pareto."""

from pathlib import Path

from fer_core.evaluation.figures import save
from fer_core.tuning import figures, setting_figures
from fer_core.tuning.entries import SearchState
from fer_core.tuning.folder import Search
from fer_core.tuning.ranking import Standing
from fer_core.tuning.scales import make_scales

NAMES = ("best_score", "settings", "parallel_coordinates", "pareto")


def write_plots(search: Search, state: SearchState, chosen: Standing | None = None) -> list[Path]:
    """Writes NAMES as PNG into the search's plots/ and returns their paths.

    Args:
        state: what is drawn; of a search that still runs, what there is so far.
        chosen: the setting that stands out as the winner.
    """
    objective, title = search.spec.objective, _title(search, state)
    trials = state.trials
    best = None if chosen is None else chosen.trial.number
    scales = make_scales(search.parameters, [trial.values for trial in trials if trial.score is not None])
    drawn = (
        figures.best_score_figure(state.entries, objective, started_utc=state.started_utc, title=title),
        setting_figures.settings_figure(trials, scales, objective, best=best, title=title),
        setting_figures.parallel_figure(trials, scales, objective, best=best, title=title),
        figures.pareto_figure(trials, objective, figures.cost_of(trials), best=best, title=title),
    )
    paths = [search.plots / f"{name}.png" for name in NAMES]
    for figure, path in zip(drawn, paths, strict=True):
        save(figure, path)
    return paths


def _title(search: Search, state: SearchState) -> str:
    count = len(state.trials)
    trials = "1 trial" if count == 1 else f"{count:,} trials"
    return f"{search.id} · {search.spec.recipe} · {search.spec.oracle} · {trials}"
