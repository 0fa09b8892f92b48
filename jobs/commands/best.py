"""`best`: what a search has found: the winner, how sure that is, and what is nearly as good and cheaper."""

from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fer_core.errors import JobError
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.ranking import Standing, latencies, milliseconds_text, pareto, standings
from fer_core.tuning.state import Search, load_state
from jobs.commands.context import Context, new_table, settings_text
from jobs.commands.subject import find_subject

_SHOWN = 5


def best(context: Context, search: str, *, json: bool = False) -> None:
    """Show the winner of a search: its settings, its scores with other seeds, and the best of the others.

    Args:
        search: A search, or the job that began it.
        json: As JSON, for other programs.
    """
    found = find_subject(context, search).search
    if found is None:
        raise JobError(f"{search} is no search.", hint="`python -m jobs list --task tune` lists them.")
    state = load_state(found)
    ranks = standings(state.entries, found.spec.objective)
    if json:
        context.say_json(_metadata(found, state, ranks))
    elif ranks:
        context.show(*_picture(found, state, ranks))
    else:
        context.say(f"No trial of {found.id} has come to a score yet ({len(state.trials)} were begun).")


def _metadata(search: Search, state: SearchState, ranks: list[Standing]) -> dict[str, Any]:
    """Returns what is printed, as plain values."""
    objective = search.spec.objective
    return {
        "search": search.id,
        "status": state.status,
        "objective": objective,
        "winner": state.winner,
        "best_toml": str(search.best_toml) if search.best_toml.is_file() else None,
        "standings": [_standing(one, objective) for one in ranks],
        "pareto": [entry.number for entry in _pareto(search, state)],
    }


def _standing(one: Standing, objective: str) -> dict[str, Any]:
    return {
        "trial": one.trial.number,
        "run": one.best_run(objective).run,
        "score": one.score,
        "confirmations": [entry.score for entry in one.confirmations],
        "settings": one.trial.settings,
        "parameters": one.trial.parameters,
        "latency_ms": one.trial.latency_ms,
    }


def _pareto(search: Search, state: SearchState) -> list[Entry]:
    measured = latencies(state.entries)
    return pareto(state.entries, search.spec.objective, cost=lambda entry: measured.get(entry.number))


def _picture(search: Search, state: SearchState, ranks: list[Standing]) -> list[RenderableType]:
    first, objective = ranks[0], search.spec.objective
    measured = latencies(state.entries)
    run = state.winner or first.best_run(objective).run
    title = "Winner" if state.winner else f"Best so far (the search is {state.status.lower()})"
    parts: list[RenderableType] = [Text(f"{title}: trial {first.trial.number}, run {run}", style="bold")]
    parts.append(Text(_score_sentence(first, objective)))
    parts += [Text(f"Settings: {settings_text(first.trial.settings)}"), Text()]
    parts += [Text("The best, each with the mean over its seeds", style="bold"), _ranks(ranks, measured)]
    front = _pareto(search, state)
    if front:
        heading = Text("No other trial is better and faster (score, latency on the CPU)", style="bold")
        parts += [Text(), heading, _front(front, measured)]
    return [*parts, Text(), *map(Text, _next(search, run))]


def _score_sentence(one: Standing, objective: str) -> str:
    scores = [entry.score for entry in one.confirmations]
    if not scores:
        return f"{objective} {one.score:.4f} of a single training: chance in the seed is not known."
    spread = f"{min(scores):.4f} to {max(scores):.4f}"
    return f"{objective} {one.score:.4f}, the mean of {len(scores)} trainings with other seeds ({spread})."


def _ranks(ranks: list[Standing], measured: dict[int, float]) -> Table:
    right = ("trial", "score", "seeds", "ms", "parameters")
    table = new_table("trial", "score", "seeds", "parameters", "ms", "settings", right=right)
    for one in ranks[:_SHOWN]:
        first = (str(one.trial.number), f"{one.score:.4f}", str(len(one.confirmations) or 1))
        table.add_row(*first, *_costs(one.trial, measured), settings_text(one.trial.settings))
    return table


def _front(front: list[Entry], measured: dict[int, float]) -> Table:
    table = new_table("trial", "score", "parameters", "ms", "run", right=("trial", "score", "parameters", "ms"))
    for entry in front:
        table.add_row(str(entry.number), f"{entry.score:.4f}", *_costs(entry, measured), entry.run)
    return table


def _costs(entry: Entry, measured: dict[int, float]) -> tuple[str, str]:
    parameters = "–" if entry.parameters is None else f"{entry.parameters:,}"
    return parameters, milliseconds_text(measured[entry.number]) if entry.number in measured else "–"


def _next(search: Search, run: str) -> list[str]:
    lines = []
    if search.best_toml.is_file():
        recipe, path = search.spec.recipe, search.best_toml
        lines += [f"Its settings: {path}", f"Train:   python train_emotion_model.py --recipe {recipe} --config {path}"]
    return [*lines, f"Use it:  python -m jobs promote {run}"]
