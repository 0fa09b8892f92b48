"""All that is shown of one run or of the model in use, and which of a run's files may be taken away."""

from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError
from fer_core.evaluation.analysis_result import Analysis
from fer_core.evaluation.metrics import Evaluation
from fer_core.evaluation.model_card import LIMITS, licence_of
from fer_core.job.progress import run_progress
from fer_core.store.files import plain, read_json
from fer_core.store.metrics import read_metrics
from fer_core.store.model_files import ModelFiles
from fer_core.store.run import Run
from fer_core.web.run_list import run_line

_LOG_BYTES = 64 * 1024
_SHOWN_MISTAKES = 24
_FACTS = ("temperature", "backend", "devices", "threads", "precision", "precision_reason", "versions", "git_commit")


def run_detail(run: Run) -> dict[str, Any]:
    """Returns what is known of a run, as plain values. Raises ArtifactError if its files cannot be read."""
    progress = run_progress(run)
    known = {
        "run": run_line(run).model_dump(),
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
        "input": f"{model.side} x {model.side} pixels, {'gray' if model.channels == 1 else 'three equal channels'}",
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
    rows: dict[int, dict[str, Any]] = {}
    for entry in read_metrics(run.metrics_jsonl):
        if entry["kind"] == "epoch":
            own = {name: value for name, value in entry.items() if name not in ("kind", "time", "attempt")}
            rows[entry["epoch"]] = own
    return [rows[epoch] for epoch in sorted(rows)]


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
    return {path.name: path for path in found if _lies_in(run.folder, path)}


def files(run: Run) -> dict[str, Path]:
    """Returns the files that may be taken away, by the names under which they are; only those that there are."""
    names = ("model.h5", "model.tflite", "labels.json", "history.csv", "manifest.json", "evaluation.json", "log.txt")
    offered = {name: run.folder / name for name in names}
    if _lies_in(run.history, run.history_csv):
        offered["history.csv"] = run.history_csv
    return {name: path for name, path in offered.items() if _lies_in(path.parent, path)}


def log_tail(path: Path) -> str:
    """Returns the end of a log, whole lines; '' where there is none."""
    if not _lies_in(path.parent, path):
        return ""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return text if size <= _LOG_BYTES else text.partition("\n")[2]


def _facts(run: Run) -> dict[str, Any]:
    """Returns what else the manifest says, by names for people."""
    manifest = run.manifest
    return {
        "data": manifest.data_name,
        "source": manifest.data_source,
        "images": {part: f"{split.name}: {split.images:,}" for part, split in (manifest.splits or {}).items()},
        "labels": list(manifest.labels or ()),
        "input": f"{manifest.side} x {manifest.side} x {manifest.channels}" if manifest.side else None,
    } | {name: getattr(manifest, name) for name in _FACTS}


def _lies_in(folder: Path, path: Path) -> bool:
    """Whether a file is there, and no link that leads out of the folder: a run's folder may be from elsewhere."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())
