"""`compare`: two runs side by side. `best`: what a search found. `promote`, `rollback`, `gc`: what becomes of runs."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

from rich.console import RenderableType
from rich.text import Text
from tyro.conf import arg

from fer_core import networks
from fer_core.errors import ArtifactError, ConfigError, FerError, JobError
from fer_core.evaluation.metrics import Evaluation
from fer_core.store import promotion
from fer_core.store.files import read_json
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.tuning.entries import Entry, SearchState, Standing, latencies, milliseconds_text, pareto, standings
from fer_core.tuning.state import Search, load_state
from jobs.console import Context, find_subject, new_table, settings_text, value_text
from jobs.garbage import find_garbage, remove_garbage

_SCORES = ("accuracy", "macro_f1", "precision", "recall", "loss")
_SHOWN = 5


def compare(context: Context, first: str, second: str, *, paired: bool = True, json: bool = False) -> None:
    """Show two runs side by side: settings that differ, scores with their intervals, F1 per class.

    Args:
        first: A run, or 'current', the model in use.
        second: The run to compare with it.
        paired: Ask both models about the same test images too; this takes some seconds the first time.
        json: As JSON, for other programs.
    """
    runs = _run(context, first), _run(context, second)
    evaluations, settings = tuple(map(_evaluation, runs)), tuple(map(_settings, runs))
    pairs = {name: tuple(one.get(name) for one in settings) for name in settings[0] | settings[1]}
    pairs = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    splits = {run.manifest.split_fingerprint for run in runs}
    on_same_images = len(splits) == 1 and None not in splits
    if not json:
        context.show(*_picture(runs, evaluations, pairs, on_same_images))
    difference, problem = None, ""
    if paired and on_same_images and all(evaluations):
        with context.console.status("Asking both models about the test images …"):
            try:
                from fer_core.cli.paired import paired_difference  # loads OpenCV

                difference = paired_difference(context.paths, *runs)
            except FerError as error:
                problem = str(error)
    if json:
        about = [
            {"run": run.id, "recipe": run.manifest.recipe, "status": run.state.status, "evaluation": scores}
            for run, scores in zip(runs, (one and one.to_json() for one in evaluations), strict=True)
        ]
        found = {"runs": about, "settings": pairs, "same_images": on_same_images}
        context.say_json(found | {"paired": difference and difference.to_json(), "not_paired": problem})
    elif difference is not None:
        context.say(f"\n{difference.sentence()}")
    elif problem:
        context.say(f"\nNo difference image by image: {problem}")


def _run(context: Context, name: str) -> Run:
    if name != "current":
        return open_run(context.paths, name)
    folder = promotion.model_in_use(context.paths)
    if folder is None:
        raise ArtifactError("There is no model in use.", hint="`python -m jobs promote RUN` puts one into use.")
    return Run(folder, context.paths.history)


def _evaluation(run: Run) -> Evaluation | None:
    with suppress(ArtifactError):
        return Evaluation.from_json(read_json(run.evaluation_json, "scores"))
    return None


def _settings(run: Run) -> dict[str, Any]:
    config = run.manifest.config
    with suppress(ConfigError):  # the network's file may be gone since
        config = networks.with_all_options(config)
    values = config.model_dump(mode="json")
    options = values.pop("network_options")
    return values | {f"network_options.{name}": value for name, value in options.items()}


def _picture(
    runs: Sequence[Run], evaluations: Sequence[Evaluation | None], pairs: dict[str, tuple], on_same_images: bool
) -> list[RenderableType]:
    heads = zip(("run", "recipe", "status", "epochs", "scored on"), *map(_heads, runs, evaluations), strict=True)
    parts = [new_table("", "first", "second", rows=((_bold(name), *cells) for name, *cells in heads)), Text()]
    if pairs:
        rows = ((name, *map(value_text, pair)) for name, pair in pairs.items())
        parts += [_bold("Settings that differ"), new_table("setting", "first", "second", rows=rows), Text()]
    else:
        parts += [Text("All settings are the same."), Text()]
    missing = [run.id for run, evaluation in zip(runs, evaluations, strict=True) if evaluation is None]
    if missing:
        return [*parts, Text(f"Not scored yet: {', '.join(missing)}.")]
    columns, right = ("first", "second", "difference"), ("difference", "images")
    scores = (_score_row(name, *evaluations) for name in _SCORES)
    labels = dict.fromkeys(label for evaluation in evaluations for label in evaluation.labels)
    classes = (_class_row(label, *evaluations) for label in labels)
    parts += [_bold("Scores"), new_table("", *columns, rows=scores, right=right), Text()]
    parts += [_bold("F1 by class"), new_table("class", *columns, "images", rows=classes, right=right)]
    if not on_same_images:
        parts.append(Text("They were scored on different images: their differences are no measure.", style="yellow"))
    return parts


def _heads(run: Run, evaluation: Evaluation | None) -> tuple[str, ...]:
    state, kept = run.state, (run.manifest.scores or {}).get("kept_epoch")
    epochs = f"{state.epoch} of {state.epochs}" + (f", {kept} kept" if kept else "")
    scored_on = f"{evaluation.split}, {evaluation.images:,} images" if evaluation else "–"
    return run.id, run.manifest.recipe or "–", state.status.lower(), epochs, scored_on


def _bold(text: str) -> Text:
    return Text(text, style="bold")


def _score_row(name: str, first: Evaluation, second: Evaluation) -> tuple[Any, ...]:
    values = getattr(first, name), getattr(second, name)
    heading = _bold(name.replace("_", " "))
    if name == "loss":
        return heading, *(f"{value:.3f}" for value in values), f"{values[1] - values[0]:+.3f}"
    intervals = [getattr(one, f"{name}_interval", None) for one in (first, second)]
    shown = [f" ({interval[0]:.1%} to {interval[1]:.1%})" if interval else "" for interval in intervals]
    cells = (f"{value:.1%}{interval}" for value, interval in zip(values, shown, strict=True))
    return heading, *cells, f"{100 * (values[1] - values[0]):+.1f} points"


def _class_row(label: str, first: Evaluation, second: Evaluation) -> tuple[str, ...]:
    scores = first.per_class.get(label), second.per_class.get(label)
    cells = (f"{score.f1:.1%}" if score else "–" for score in scores)
    difference = f"{100 * (scores[1].f1 - scores[0].f1):+.1f} points" if all(scores) else ""
    return label, *cells, difference, next(f"{score.images:,}" for score in scores if score)


def best(context: Context, search: str, *, json: bool = False) -> None:
    """Show the winner of a search: its settings, its scores with other seeds, and the best of the others.

    Args:
        search: A search, or the job that began it.
        json: As JSON, for other programs.
    """
    found = find_subject(context, search).search
    if found is None:
        raise JobError(f"{search} is no search.", hint="`python -m jobs list --task tune` lists them.")
    state, objective = load_state(found), found.spec.objective
    ranks, measured = standings(state.entries, objective), latencies(state.entries)
    front = pareto(state.entries, objective, cost=lambda entry: measured.get(entry.number))
    if json:
        about = {"search": found.id, "status": state.status, "objective": objective, "winner": state.winner}
        about["best_toml"] = str(found.best_toml) if found.best_toml.is_file() else None
        about["standings"] = [_standing(one, objective) for one in ranks]
        context.say_json(about | {"pareto": [entry.number for entry in front]})
    elif ranks:
        context.show(*_best_picture(found, state, ranks, measured, front))
    else:
        context.say(f"No trial of {found.id} has come to a score yet ({len(state.trials)} were begun).")


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


def _best_picture(
    search: Search, state: SearchState, ranks: list[Standing], measured: dict[int, float], front: list[Entry]
) -> list[RenderableType]:
    first, objective = ranks[0], search.spec.objective
    run = state.winner or first.best_run(objective).run
    title = "Winner" if state.winner else f"Best so far (the search is {state.status.lower()})"
    sentence = f"{objective} {first.score:.4f} of a single training: chance in the seed is not known."
    if scores := [entry.score for entry in first.confirmations]:
        spread = f"{min(scores):.4f} to {max(scores):.4f}"
        sentence = f"{objective} {first.score:.4f}, the mean of {len(scores)} trainings with other seeds ({spread})."
    parts = [_bold(f"{title}: trial {first.trial.number}, run {run}"), Text(sentence)]
    parts += [Text(f"Settings: {settings_text(first.trial.settings)}"), Text()]
    rows = []
    for one in ranks[:_SHOWN]:
        number, score, *costs = _score_cells(one.trial, one.score, measured)
        rows.append((number, score, len(one.confirmations) or 1, *costs, settings_text(one.trial.settings)))
    right = ("trial", "score", "seeds", "ms", "parameters")
    parts.append(_bold("The best, each with the mean over its seeds"))
    parts.append(new_table("trial", "score", "seeds", "parameters", "ms", "settings", rows=rows, right=right))
    if front:
        rows = [(*_score_cells(one, one.score, measured), one.run) for one in front]
        parts += [Text(), _bold("No other trial is better and faster (score, latency on the CPU)")]
        parts.append(new_table("trial", "score", "parameters", "ms", "run", rows=rows, right=right))
    parts.append(Text())
    if search.best_toml.is_file():
        command = f"python train_emotion_model.py --recipe {search.spec.recipe} --config {search.best_toml}"
        parts += [Text(f"Its settings: {search.best_toml}"), Text(f"Train:   {command}")]
    return [*parts, Text(f"Use it:  python -m jobs promote {run}")]


def _score_cells(trial: Entry, score: float, measured: dict[int, float]) -> tuple[str, ...]:
    parameters = "–" if trial.parameters is None else f"{trial.parameters:,}"
    latency = milliseconds_text(measured[trial.number]) if trial.number in measured else "–"
    return str(trial.number), f"{score:.4f}", parameters, latency


def promote(context: Context, run: str) -> None:
    """Put a finished run into use: the live detector and the web page read with it from then on.

    Args:
        run: The run's id.
    """
    result = promotion.promote(context.paths, open_run(context.paths, run), clock=context.clock)
    if not result.promoted:
        hint = f"`--model {run}` reads with it. What was trained on photographs takes that place."
        raise ArtifactError(result.sentence, hint=hint)
    context.say(result.sentence)
    if promotion.step_back(context.paths):
        context.say("`python -m jobs rollback` goes back to the one before.")


def rollback(context: Context) -> None:
    """Put the model that was in use before into use again."""
    pointer = promotion.rollback(context.paths, clock=context.clock)
    name = f"Run {pointer.run}" if pointer else "The project's own model"
    context.say(f"{name} is in use again: {promotion.model_copy(context.paths)}.")


def gc(
    context: Context,
    *,
    keep_days: Annotated[float, arg(metavar="DAYS")] = 30.0,
    dry_run: bool = False,
    json: bool = False,
) -> None:
    """Remove what nobody needs any more: old checkpoints, weights of lesser trials, leftovers, old job records.

    Never the model in use, those before it, shipped models, or anything that is not finished.

    Args:
        keep_days: Job records, their logs and analyses are kept for so long.
        dry_run: List it with its size, and remove nothing.
        json: As JSON, for other programs.
    """
    if keep_days < 0:
        raise ConfigError(f"--keep-days is at least 0, not {keep_days:g}.", hint="Leave it out for 30 days.")
    found = find_garbage(context.paths, keep_days=keep_days, now=context.clock())
    freed = 0 if dry_run else remove_garbage(context.paths, found)
    if json:
        listed = [garbage._asdict() | {"path": str(garbage.path)} for garbage in found]
        context.say_json({"dry_run": dry_run, "freed": freed, "found": listed})
        return
    if dry_run and found:
        rows = ((_size(garbage.size), garbage.kind, garbage.path) for garbage in found)
        context.show(new_table("size", "what", "where", rows=rows, right=("size",)))
    total = sum(garbage.size for garbage in found)
    sentence = f"{_size(total)} could be freed." if dry_run else f"{_size(freed)} freed."
    context.say(f"{len(found):,} files and folders, {sentence}" if found else "There is nothing to remove.")


def _size(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size / 1e3:,.1f} kB"
