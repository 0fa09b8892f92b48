"""All that a run's page and the API show of one run, and which of its files may be taken away."""

from pathlib import Path
from typing import Any

from fer_core.errors import ArtifactError
from fer_core.evaluation.analysis import Analysis
from fer_core.evaluation.metrics import Evaluation
from fer_core.job.progress import run_progress
from fer_core.store.files import read_json
from fer_core.store.metrics import read_metrics
from fer_core.store.run import Run
from fer_core.web.queries.run_list import id_of, run_line

_LOG_BYTES = 64 * 1024
_SHOWN_MISTAKES = 24


def detail(run: Run) -> dict[str, Any]:
    """Returns what is known of a run, as plain values. Raises ArtifactError if its files cannot be read."""
    manifest, line = run.manifest, run_line(run)
    rows = epoch_rows(run)
    progress = run_progress(run)
    return {
        "run": line._asdict(),
        "config": manifest.config.model_dump(mode="json"),
        "facts": facts(run),
        "monitor": progress.monitor,
        "best": progress.best and progress.best._asdict(),
        "seconds_left": progress.seconds_left,
        "epochs": rows,
        "evaluation": evaluation(run),
        "plots": sorted(plots(run)),
        "files": sorted(files(run)),
    }


def facts(run: Run) -> dict[str, Any]:
    """Returns what else the manifest says, by names for people."""
    manifest = run.manifest
    splits = {part: f"{split.name}: {split.images:,}" for part, split in (manifest.splits or {}).items()}
    return {
        "data": manifest.data_name,
        "source": manifest.data_source,
        "images": splits,
        "labels": list(manifest.labels or ()),
        "input": f"{manifest.side} x {manifest.side} x {manifest.channels}" if manifest.side else None,
        "temperature": manifest.temperature,
        "backend": manifest.backend,
        "devices": manifest.devices,
        "threads": manifest.threads,
        "precision": manifest.precision,
        "precision_reason": manifest.precision_reason,
        "versions": manifest.versions,
        "git_commit": manifest.git_commit,
    }


def epoch_rows(run: Run) -> list[dict[str, Any]]:
    """Returns a row per finished epoch, as metrics.jsonl has it; of an epoch told twice, the last.

    Raises ArtifactError if the file is there and cannot be read.
    """
    rows: dict[int, dict[str, Any]] = {}
    for entry in read_metrics(run.metrics_jsonl):
        if entry["kind"] == "epoch":
            rows[entry["epoch"]] = {
                name: value for name, value in entry.items() if name not in ("kind", "time", "attempt")
            }
    return [rows[epoch] for epoch in sorted(rows)]


def evaluation(run: Run) -> dict[str, Any] | None:
    """Returns evaluation.json, None where there is none yet; of the mistakes only the first ones."""
    try:
        content = read_json(run.evaluation_json, f"evaluation of run {run.id}")
        found = Evaluation.from_json(content).to_json()
    except ArtifactError:
        return None
    analysis = _analysis(content)
    return {name: value for name, value in found.items() if name != "analysis"} | {
        "mistakes": analysis.get("confidently_wrong", [])[:_SHOWN_MISTAKES],
        "confused": analysis.get("confused", []),
    }


def _analysis(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the analysis in an evaluation.json; empty where there is none, or it is not one of ours."""
    try:
        return Analysis.from_json(content).model_dump(mode="json", include={"confidently_wrong", "confused"})
    except ArtifactError:
        return {}


def plots(run: Run) -> dict[str, Path]:
    """Returns the run's pictures by their names."""
    found = [path for folder in (run.plots, run.folder) for path in sorted(folder.glob("[!.]*.png"))]
    return {path.name: path for path in found if _lies_in(run.folder, path)}


def files(run: Run) -> dict[str, Path]:
    """Returns the files that may be taken away, by the names under which they are; only those that there are."""
    is_kept_apart = _lies_in(run.history, run.history_csv)
    history = run.history_csv if is_kept_apart else run.folder / "history.csv"
    offered = {
        "model.h5": run.model_h5,
        "model.tflite": run.model_tflite,
        "labels.json": run.labels_json,
        "history.csv": history,
        "manifest.json": run.folder / "manifest.json",
        "evaluation.json": run.evaluation_json,
        "log.txt": run.log_txt,
    }
    return {name: path for name, path in offered.items() if _lies_in(path.parent, path)}


def _lies_in(folder: Path, path: Path) -> bool:
    """Whether a file is there, and no link that leads out of the folder: a run's folder may be from elsewhere."""
    return path.is_file() and path.resolve().is_relative_to(folder.resolve())


def log_tail(path: Path) -> str:
    """Returns the end of a log, whole lines; '' where there is none."""
    if not _lies_in(path.parent, path):
        return ""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _LOG_BYTES))
            data = file.read()
    except OSError:
        return ""
    text = data.decode("utf-8", errors="replace")
    return text if size <= _LOG_BYTES else text.partition("\n")[2]


def download_name(run: Run, name: str) -> str:
    """Returns the name under which a browser saves a file of a run: that says which run it is of."""
    return f"{id_of(run)}_{name}"
