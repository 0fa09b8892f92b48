"""`compare`: two runs side by side: what differs in their settings, their scores, and the difference image by image."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fer_core import networks
from fer_core.cli.paired import Paired, paired_difference
from fer_core.config import TrainConfig
from fer_core.errors import ArtifactError, ConfigError, FerError
from fer_core.evaluation.metrics import Evaluation, Interval
from fer_core.store.files import read_json
from fer_core.store.manifest import Manifest
from fer_core.store.promotion import model_in_use
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from jobs.commands.context import Context, new_table, value_text

_INTERVALS = {"accuracy": "accuracy_interval", "macro_f1": "macro_f1_interval"}
_SCORES = ("accuracy", "macro_f1", "precision", "recall", "loss")


class Side(NamedTuple):
    """One of the two."""

    run: Run
    manifest: Manifest
    status: str
    settings: dict[str, Any]
    """All of them, those of the network by their whole names."""
    evaluation: Evaluation | None
    """None where it has not been scored."""


def compare(context: Context, first: str, second: str, *, paired: bool = True, json: bool = False) -> None:
    """Show two runs side by side: settings that differ, scores with their intervals, F1 per class.

    Args:
        first: A run, or 'current', the model in use.
        second: The run to compare with it.
        paired: Ask both models about the same test images too; this takes some seconds the first time.
        json: As JSON, for other programs.
    """
    sides = _side(context, first), _side(context, second)
    if not json:
        context.show(*_picture(*sides))
        _print_pair(context, sides, paired)
        return
    found, why_not = _pair(context, sides, wanted=paired)
    context.say_json(_metadata(*sides) | {"paired": found and found.to_json(), "not_paired": why_not})


def _side(context: Context, name: str) -> Side:
    run = _model_in_use(context) if name == "current" else open_run(context.paths, name)
    manifest = run.manifest
    evaluation = None
    with suppress(ArtifactError):
        evaluation = Evaluation.from_json(read_json(run.evaluation_json, "scores"))
    return Side(run, manifest, run.state.status, _flat(manifest.config), evaluation)


def _model_in_use(context: Context) -> Run:
    folder = model_in_use(context.paths)
    if folder is None:
        raise ArtifactError("There is no model in use.", hint="`python -m jobs promote RUN` puts one into use.")
    return Run(folder, context.paths.history)


def _flat(config: TrainConfig) -> dict[str, Any]:
    with suppress(ConfigError):  # the network's file may be gone since
        config = networks.with_all_options(config)
    values = config.model_dump(mode="json")
    options = values.pop("network_options")
    return values | {f"network_options.{name}": value for name, value in options.items()}


def _differing(first: Side, second: Side) -> dict[str, tuple[Any, Any]]:
    names = dict.fromkeys((*first.settings, *second.settings))
    pairs = {name: (first.settings.get(name), second.settings.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _on_same_images(first: Side, second: Side) -> bool:
    split = first.manifest.split_fingerprint
    return split is not None and split == second.manifest.split_fingerprint


def _metadata(first: Side, second: Side) -> dict[str, Any]:
    """Returns what is printed, as plain values."""
    runs = [
        {
            "run": side.run.id,
            "recipe": side.manifest.recipe,
            "status": side.status,
            "evaluation": side.evaluation and side.evaluation.to_json(),
        }
        for side in (first, second)
    ]
    return {
        "runs": runs,
        "settings": {name: list(pair) for name, pair in _differing(first, second).items()},
        "same_images": _on_same_images(first, second),
    }


def _picture(first: Side, second: Side) -> list[RenderableType]:
    parts: list[RenderableType] = [_heads(first, second), Text()]
    differing = _differing(first, second)
    if differing:
        parts += [Text("Settings that differ", style="bold"), _settings(differing), Text()]
    else:
        parts += [Text("All settings are the same."), Text()]
    if first.evaluation is None or second.evaluation is None:
        missing = ", ".join(side.run.id for side in (first, second) if side.evaluation is None)
        return [*parts, Text(f"Not scored yet: {missing}.")]
    parts += [Text("Scores", style="bold"), _scores(first.evaluation, second.evaluation), Text()]
    parts += [Text("F1 by class", style="bold"), _classes(first.evaluation, second.evaluation)]
    if not _on_same_images(first, second):
        parts.append(Text("They were scored on different images: their differences are no measure.", style="yellow"))
    return parts


def _heads(first: Side, second: Side) -> Table:
    table = new_table("", "first", "second")
    rows = {
        "run": [side.run.id for side in (first, second)],
        "recipe": [side.manifest.recipe or "–" for side in (first, second)],
        "status": [side.status.lower() for side in (first, second)],
        "epochs": [_epochs(side) for side in (first, second)],
        "scored on": [_scored_on(side.evaluation) for side in (first, second)],
    }
    for name, values in rows.items():
        table.add_row(Text(name, style="bold"), *values)
    return table


def _epochs(side: Side) -> str:
    scores = side.manifest.scores or {}
    kept = f", {scores['kept_epoch']} kept" if scores.get("kept_epoch") else ""
    return f"{side.run.state.epoch} of {side.run.state.epochs}{kept}"


def _scored_on(evaluation: Evaluation | None) -> str:
    return f"{evaluation.split}, {evaluation.images:,} images" if evaluation else "–"


def _settings(differing: Mapping[str, tuple[Any, Any]]) -> Table:
    table = new_table("setting", "first", "second")
    for name, pair in differing.items():
        table.add_row(name, *(value_text(value) for value in pair))
    return table


def _scores(first: Evaluation, second: Evaluation) -> Table:
    table = new_table("", "first", "second", "difference", right=("difference",))
    for name in _SCORES:
        values = getattr(first, name), getattr(second, name)
        cells = [_score(name, evaluation) for evaluation in (first, second)]
        is_share = name != "loss"
        gain = f"{100 * (values[1] - values[0]):+.1f} points" if is_share else f"{values[1] - values[0]:+.3f}"
        table.add_row(Text(name.replace("_", " "), style="bold"), *cells, gain)
    return table


def _score(name: str, evaluation: Evaluation) -> str:
    value = getattr(evaluation, name)
    if name == "loss":
        return f"{value:.3f}"
    interval: Interval | None = getattr(evaluation, _INTERVALS[name]) if name in _INTERVALS else None
    return f"{value:.1%}" + (f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else "")


def _classes(first: Evaluation, second: Evaluation) -> Table:
    table = new_table("class", "first", "second", "difference", "images", right=("difference", "images"))
    for label in dict.fromkeys((*first.labels, *second.labels)):
        scores = first.per_class.get(label), second.per_class.get(label)
        cells = [f"{score.f1:.1%}" if score else "–" for score in scores]
        gain = f"{100 * (scores[1].f1 - scores[0].f1):+.1f} points" if all(scores) else ""
        images = next(f"{score.images:,}" for score in scores if score)
        table.add_row(label, *cells, gain, images)
    return table


def _print_pair(context: Context, sides: tuple[Side, Side], wanted: bool) -> None:
    with context.console.status("Asking both models about the test images …"):
        found, why_not = _pair(context, sides, wanted=wanted)
    if found is not None:
        context.say()
        context.say(found.sentence())
    elif why_not:
        context.say(f"\nNo difference image by image: {why_not}")


def _pair(context: Context, sides: tuple[Side, Side], *, wanted: bool) -> tuple[Paired | None, str]:
    """Returns the paired difference; or None and a sentence that says why there is none."""
    if not wanted or any(side.evaluation is None for side in sides) or not _on_same_images(*sides):
        return None, ""
    try:
        return paired_difference(context.paths, *(side.run for side in sides)), ""
    except FerError as error:
        return None, str(error)
