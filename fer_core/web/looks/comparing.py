"""Several runs or histories side by side: settings that differ, curves, scores by class."""

from dataclasses import dataclass
from typing import Any

from fer_core.errors import ConfigError
from fer_core.places import Places
from fer_core.store.run import Run
from fer_core.web.looks.run_detail import epoch_rows, evaluation
from fer_core.web.looks.run_list import find_history, find_run, id_of, run_line

MOST = 8
HISTORY = "csv:"
"""Before the name of a history without a run."""


@dataclass(frozen=True)
class Compared:
    """One of the runs or histories that are compared."""

    id: str
    name: str
    accuracy: float | None
    macro_f1: float | None
    settings: dict[str, Any]
    epochs: list[dict[str, Any]]
    per_class: dict[str, dict[str, Any]]


def compared(places: Places, names: list[str]) -> list[Compared]:
    """Returns what is compared, each once. Raises ConfigError for too many, ArtifactError for one there is not."""
    names = list(dict.fromkeys(names))
    if len(names) > MOST:
        raise ConfigError(f"{len(names)} runs are too many to compare.", hint=f"Take at most {MOST}.")
    return [
        _of_history(places, name.removeprefix(HISTORY)) if name.startswith(HISTORY) else _of_run(find_run(places, name))
        for name in names
    ]


def differing(every: list[Compared]) -> dict[str, list[Any]]:
    """Returns the settings that are not the same in all, each with a value per run; None where one has no such.

    A history knows no settings, which is no difference.
    """
    known = [one.settings for one in every if one.settings]
    names = dict.fromkeys(name for settings in known for name in settings)
    differ = [name for name in names if any(one.get(name) != known[0].get(name) for one in known)]
    return {name: [one.settings.get(name) for one in every] for name in differ}


def _of_run(run: Run) -> Compared:
    line, config = run_line(run), run.manifest.config
    settings = config.model_dump(mode="json")
    options = {f"network_options.{name}": value for name, value in settings.pop("network_options").items()}
    scores = evaluation(run) or {}
    return Compared(
        id=id_of(run),
        name=line.name,
        accuracy=line.accuracy,
        macro_f1=line.macro_f1,
        settings={"recipe": run.manifest.recipe} | settings | options,
        epochs=epoch_rows(run),
        per_class=scores.get("per_class", {}),
    )


def _of_history(places: Places, name: str) -> Compared:
    history = find_history(places, name)
    best = history.best
    return Compared(
        id=f"{HISTORY}{name}",
        name=name,
        accuracy=best[1] if best else None,
        macro_f1=None,
        settings={},
        epochs=[dict(row) for row in history.rows],
        per_class={},
    )
