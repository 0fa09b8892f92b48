"""All that is shown of one run, of the model in use, and of several runs side by side; the files that a run gives."""

import contextlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError, ConfigError, FerError
from fer_core.evaluation.analysis import Analysis
from fer_core.evaluation.metrics import Evaluation
from fer_core.evaluation.model_card import LIMITS, licence_of
from fer_core.job.progress import run_progress
from fer_core.paths import Paths
from fer_core.store.files import plain, read_json
from fer_core.store.model_files import ModelFiles
from fer_core.store.run import Run, read_metrics
from fer_core.web.answers import RunAnswer
from fer_core.web.run_list import find_history, find_run, run_line

MOST_COMPARED = 8
HISTORY = "csv:"
"""Before the name of a history without a run."""
_PAIRING = threading.Lock()
"""Each comparison takes all cores."""
_COLOURS = {"rgb": "red, green, blue", "bgr": "blue, green, red"}
_LOG_BYTES = 64 * 1024
_SHOWN_MISTAKES = 24
_FACTS = ("temperature", "backend", "devices", "threads", "precision", "precision_reason", "versions", "git_commit")


def detail(run: Run) -> dict[str, Any]:
    """Returns what is known of a run, as plain values. Raises ArtifactError if its files cannot be read."""
    progress = run_progress(run)
    known = {
        "run": run_line(run),
        "config": run.manifest.config.model_dump(mode="json"),
        "facts": _facts(run),
        "monitor": progress.monitor,
        "best": progress.best and progress.best._asdict(),
        "seconds_left": progress.seconds_left,
        "epochs": epoch_rows(run),
        "evaluation": evaluation(run),
        "plots": sorted(plots(run)),
        "files": sorted(files(run)),
    }
    return plain(known)


def model_card(model: ModelFiles) -> dict[str, Any]:
    """Returns what is known of a model, as plain values; of one from elsewhere that is little."""
    manifest = model.manifest
    run = Run(model.run_folder, model.run_folder) if model.run_folder and manifest else None
    return {
        "name": model.name,
        "labels": model.labels,
        "input": f"{model.side} x {model.side} pixels, {_COLOURS.get(model.colours, 'gray')}",
        "temperature": model.temperature,
        "calibrated_on": "test" if manifest and manifest.config.validation == "test" else "validation",
        "sha256": model.sha256,
        "limits": LIMITS,
        "note": model.note,
        "licence": licence_of(manifest.data_name if run else None),
        "run": run_line(run) if run else None,
        "facts": _facts(run) if run else {},
        "evaluation": evaluation(run) if run else None,
    }


def epoch_rows(run: Run) -> list[dict[str, Any]]:
    """Returns a row per finished epoch, as metrics.jsonl has it; of an epoch that was written twice, the last.

    Raises ArtifactError if the file is there and cannot be read.
    """
    rows = {entry["epoch"]: entry for entry in read_metrics(run.metrics_jsonl) if entry["kind"] == "epoch"}
    hidden = ("kind", "time", "attempt")
    return [{name: value for name, value in rows[epoch].items() if name not in hidden} for epoch in sorted(rows)]


def evaluation(run: Run) -> dict[str, Any] | None:
    """Returns evaluation.json, None where there is none yet; of the mistakes only the first ones."""
    try:
        content = read_json(run.evaluation_json, f"evaluation of run {run.id}")
        found = Evaluation.from_json(content).to_json()
    except ArtifactError:
        return None
    found.pop("analysis", None)
    try:
        analysis = Analysis.from_json(content).model_dump(mode="json", include={"confidently_wrong", "confused"})
    except ArtifactError:  # there is none, or it is not one of ours
        analysis = {}
    mistakes = analysis.get("confidently_wrong", [])[:_SHOWN_MISTAKES]
    return found | {"mistakes": mistakes, "confused": analysis.get("confused", [])}


def plots(run: Run) -> dict[str, Path]:
    """Returns the run's pictures by their names."""
    found = [path for folder in (run.plots, run.folder) for path in sorted(folder.glob("[!.]*.png"))]
    return {path.name: path for path in found if lies_in(run.folder, path)}


def files(run: Run) -> dict[str, Path]:
    """Returns the files that may be taken away, by the names under which they are; only those that there are."""
    names = ("model.h5", "model.tflite", "model_int8.tflite", "labels.json", "history.csv", "manifest.json")
    names += ("evaluation.json", "log.txt")
    offered = {name: run.folder / name for name in names}
    if lies_in(run.history, run.history_csv):
        offered["history.csv"] = run.history_csv
    return {name: path for name, path in offered.items() if lies_in(path.parent, path)}


def log_tail(path: Path) -> str:
    """Returns the end of a log, whole lines; '' where there is none."""
    if lies_in(path.parent, path):
        with contextlib.suppress(OSError), path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            text = file.read().decode("utf-8", errors="replace")
            return text if size <= _LOG_BYTES else text.partition("\n")[2]
    return ""


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs or histories that are compared."""

    id: str
    name: str
    title: str
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


def comparison(paths: Paths, names: list[str], *, image_by_image: bool) -> dict[str, Any]:
    """Returns what is shown of runs and histories side by side, each once.

    `groups` has them by their test images. `paired` has a sentence for each two that were asked about the same images
    and keep their answers. `pairs` are others that can be compared so, which takes some seconds the first time: where
    that is wanted, they are in `paired`, too. Raises ConfigError for too many, ArtifactError for one
    there is not.
    """
    names = list(dict.fromkeys(names))
    if len(names) > MOST_COMPARED:
        raise ConfigError(f"{len(names)} runs are too many to compare.", hint=f"Take at most {MOST_COMPARED}.")
    every = [_compared(paths, name) for name in names]
    groups: dict[str, list[ComparedRun]] = {}
    for one in sorted(every, key=lambda one: not one.scored_on):
        groups.setdefault(one.scored_on or "Not scored on test images", []).append(one)
    paired = [(*two, said) for two in _pairs(every, "scored_on") if (said := _saved_sentence(paths, *two))]
    done = {second.id for _, second, _ in paired}
    pairs = [two for two in _pairs(every, "split_fingerprint") if two[1].id not in done]
    charts = [{"id": one.id, "name": one.title, "epochs": one.epochs, "per_class": one.per_class} for one in every]
    return {
        "runs": every,
        "groups": groups,
        "differing": _differing(every),
        "paired": paired + ([(*pair, _paired_sentence(paths, *pair)) for pair in pairs] if image_by_image else []),
        "pairs": pairs if not image_by_image else [],
        "data": plain(charts),
    }


def scored_on(line: RunAnswer) -> str:
    """Returns the test images of a run's scores, in words; '' where there are none."""
    if line.split is None:
        return ""
    images = f"{line.images:,} images" if line.images else "images"
    return f"{line.split}: {images}{f' of {line.data}' if line.data else ''}"


def _compared(paths: Paths, name: str) -> ComparedRun:
    if name.startswith(HISTORY):
        history = find_history(paths, name.removeprefix(HISTORY))
        _, accuracy = history.best or (0, None)
        images = f"Validation, as {history.path.name} says: unknown images, and the best of all epochs"
        rows = [dict(row) for row in history.rows]
        return ComparedRun(name, history.path.name, history.path.name, images if history.best else "", rows, accuracy)
    run = find_run(paths, name)
    line, manifest = run_line(run), run.manifest
    settings = manifest.config.model_dump(mode="json")
    options = {f"network_options.{name}": value for name, value in settings.pop("network_options").items()}
    scores = evaluation(run) or {}
    return ComparedRun(
        scored_on=scored_on(line),
        epochs=epoch_rows(run),
        macro_f1_interval=scores.get("macro_f1_interval"),
        split_fingerprint=manifest.split_fingerprint,
        settings={"recipe": manifest.recipe} | settings | options,
        per_class=scores.get("per_class", {}),
        **line.model_dump(include={"id", "name", "title", "accuracy", "accuracy_interval", "macro_f1"}),
    )


def _differing(every: list[ComparedRun]) -> dict[str, list[Any]]:
    """Returns the settings that are not the same in all, each with a value per run; None where one has no such.

    A history knows no settings, which is no difference.
    """
    known = [one.settings for one in every if one.settings]
    names = dict.fromkeys(name for settings in known for name in settings)
    differ = [name for name in names if any(one.get(name) != known[0].get(name) for one in known)]
    return {name: [one.settings.get(name) for one in every] for name in differ}


def _pairs(every: list[ComparedRun], alike: str) -> list[tuple[ComparedRun, ComparedRun]]:
    """Returns those that were scored alike by that field, each with the first one that was."""
    firsts: dict[str, ComparedRun] = {}
    scored = [one for one in every if one.split_fingerprint and one.accuracy is not None]
    both = [(firsts.setdefault(getattr(one, alike), one), one) for one in scored]
    return [(first, second) for first, second in both if first is not second]


def _saved_sentence(paths: Paths, first: ComparedRun, second: ComparedRun) -> str:
    from fer_core.cli.paired import saved_difference

    with contextlib.suppress(FerError):
        if found := saved_difference(find_run(paths, first.id), find_run(paths, second.id)):
            return found.sentence()
    return ""


def _paired_sentence(paths: Paths, first: ComparedRun, second: ComparedRun) -> str:
    from fer_core.cli.paired import paired_difference

    try:
        with _PAIRING:
            return paired_difference(paths, find_run(paths, first.id), find_run(paths, second.id)).sentence()
    except FerError as error:
        # What follows is for the command line.
        return f"No difference image by image: {str(error).partition('. ')[0].rstrip('.')}."


def _facts(run: Run) -> dict[str, Any]:
    """Returns what else the manifest says, by names for people."""
    manifest = run.manifest
    return {
        "data": manifest.data_name,
        "source": manifest.data_source,
        "how_it_was_read": _data_report(run),
        "images": {part: f"{split.name}: {split.images:,}" for part, split in (manifest.splits or {}).items()},
        "labels": list(manifest.labels or ()),
        "input": f"{manifest.side} x {manifest.side} x {manifest.channels}" if manifest.side else None,
    } | {name: getattr(manifest, name) for name in _FACTS}


def _data_report(run: Run) -> list[str]:
    """Returns the sentences on format, labels and what was left out, as the audit has them."""
    try:
        report = read_json(run.audit_json, f"audit of run {run.id}")["report"]
        return [str(report["format"]), *map(str, report["sentences"])]
    except (ArtifactError, KeyError, TypeError):  # there is none, or it is older
        return []


def lies_in(folder: Path, path: Path) -> bool:
    """Whether a file is there, and no link that leads out of the folder: a run's folder may be from elsewhere."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())
