"""Several runs or histories side by side: settings that differ, curves, scores by class, and on which images."""

import threading
from dataclasses import dataclass, field
from typing import Any

from fer_core.errors import ConfigError, FerError
from fer_core.paths import Paths
from fer_core.store.run import Run
from fer_core.web.answers import RunAnswer
from fer_core.web.run_detail import epoch_rows, evaluation
from fer_core.web.run_list import find_history, find_run, run_line

MOST = 8
HISTORY = "csv:"
"""Before the name of a history without a run."""
NOT_SCORED = "Not scored on test images"
_PAIRING = threading.Lock()
"""Each comparison takes all cores."""


@dataclass(frozen=True)
class Compared:
    """One of the runs or histories that are compared."""

    id: str
    name: str
    scored_on: str
    """The test images in words: scores of other ones say little beside these. '' where there are no scores."""
    epochs: list[dict[str, Any]]
    accuracy: float | None
    accuracy_interval: tuple[float, float] | None = None
    macro_f1: float | None = None
    macro_f1_interval: tuple[float, float] | None = None
    split_fingerprint: str | None = None
    """Two models with the same one can be compared image by image."""
    settings: dict[str, Any] = field(default_factory=dict)
    per_class: dict[str, dict[str, Any]] = field(default_factory=dict)


def compared(paths: Paths, names: list[str]) -> list[Compared]:
    """Returns what is compared, each once. Raises ConfigError for too many, ArtifactError for one there is not."""
    names = list(dict.fromkeys(names))
    if len(names) > MOST:
        raise ConfigError(f"{len(names)} runs are too many to compare.", hint=f"Take at most {MOST}.")
    return [
        _of_history(paths, name.removeprefix(HISTORY)) if name.startswith(HISTORY) else _of_run(find_run(paths, name))
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


def by_test_images(every: list[Compared]) -> dict[str, list[Compared]]:
    """Returns what is compared by what it was scored on, in the order in which it was chosen; unscored ones last."""
    groups: dict[str, list[Compared]] = {}
    for one in sorted(every, key=lambda one: not one.scored_on):
        groups.setdefault(one.scored_on or NOT_SCORED, []).append(one)
    return groups


def pairs(every: list[Compared]) -> list[tuple[Compared, Compared]]:
    """Returns those that can be compared image by image, each with the first one of its test images."""
    firsts: dict[str, Compared] = {}
    scored = [one for one in every if one.split_fingerprint and one.accuracy is not None]
    both = [(firsts.setdefault(one.split_fingerprint, one), one) for one in scored]
    return [(first, second) for first, second in both if first is not second]


def paired_sentence(paths: Paths, first: Compared, second: Compared) -> str:
    """Returns how two models differ on the same images, in a sentence. Takes some seconds the first time."""
    from fer_core.cli.paired import paired_difference

    try:
        with _PAIRING:
            return paired_difference(paths, find_run(paths, first.id), find_run(paths, second.id)).sentence()
    except FerError as error:
        # What follows is for the command line.
        return f"No difference image by image: {str(error).partition('. ')[0].rstrip('.')}."


def scored_on(line: RunAnswer) -> str:
    """Returns the test images of a run's scores, in words; '' where there are none."""
    if line.split is None:
        return ""
    images = f"{line.images:,} images" if line.images else "images"
    return f"{line.split}: {images}{f' of {line.data}' if line.data else ''}"


def _of_run(run: Run) -> Compared:
    line, manifest = run_line(run), run.manifest
    settings = manifest.config.model_dump(mode="json")
    options = {f"network_options.{name}": value for name, value in settings.pop("network_options").items()}
    scores = evaluation(run) or {}
    return Compared(
        scored_on=scored_on(line),
        epochs=epoch_rows(run),
        macro_f1_interval=scores.get("macro_f1_interval"),
        split_fingerprint=manifest.split_fingerprint,
        settings={"recipe": manifest.recipe} | settings | options,
        per_class=scores.get("per_class", {}),
        **line.model_dump(include={"id", "name", "accuracy", "accuracy_interval", "macro_f1"}),
    )


def _of_history(paths: Paths, name: str) -> Compared:
    history = find_history(paths, name)
    images = f"Validation, as {name} says: unknown images, and the best of all epochs" if history.best else ""
    accuracy = history.best[1] if history.best else None
    return Compared(f"{HISTORY}{name}", name, images, [dict(row) for row in history.rows], accuracy)
