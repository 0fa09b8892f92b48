"""Runs, searches and jobs made of plain files, and the command line as a user meets it: what the tests here share."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from fer_core import networks
from fer_core.cli import ended
from fer_core.evaluation.metrics import evaluate_probabilities
from fer_core.job.job import Job
from fer_core.job.lifecycle import create_job
from fer_core.paths import Paths
from fer_core.recipes import recipe_config
from fer_core.store.artifacts import save_labels
from fer_core.store.files import utc_text, write_json
from fer_core.store.run import MetricsWriter, Run
from fer_core.store.runs import create_run
from fer_core.tuning.entries import Entry
from fer_core.tuning.spec import SearchSpec
from fer_core.tuning.state import Search, changing, create_search
from jobs.__main__ import main
from tests.script import Answer

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
LABELS = ("angry", "happy", "sad")
HEAVY = ("celery", "kombu", "redis", "keras", "keras_tuner", "tensorflow", "cv2")

Ask = Callable[..., Answer]


def asking(
    paths: Paths,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    *,
    without: Sequence[str] = HEAVY,
) -> Ask:
    """Returns ask(arguments…), which runs `python -m jobs` here. What would import one of `without` is a traceback."""
    for name in [name for name in os.environ if name.startswith("FER_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(paths.models.parent)
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setenv("FER_CACHE_DIR", str(paths.cache))
    for name in without:
        monkeypatch.setitem(sys.modules, name, None)

    def ask(*arguments: object) -> Answer:
        folders = ("--models-dir", str(paths.models), "--history-dir", str(paths.history))
        try:
            code = ended(lambda: main([*map(str, arguments), *folders]))
        except SystemExit as end:  # --help, and the doctor that has found something bad
            code = end.code or 0
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return ask


def make_job(paths: Paths, task: str = "train", *, job_id: str | None = None, **arguments: Any) -> Job:
    """Returns a job that was asked for and waits."""
    usual = {"train": {"recipe": "smoke"}, "tune": {"recipe": "smoke", "max_trials": 2}}.get(task, {})
    return create_job(paths, task, usual | arguments, job_id=job_id, environ={}, clock=lambda: NOON)


def end_job(job: Job, status: str = "SUCCEEDED", message: str = "", **result: Any) -> Job:
    """Writes down how a job ended."""
    job.finish(status, message, result=result or None)
    job.forget_marker()
    return job


def make_run(paths: Paths, *, minutes: int = 0, status: str = "QUEUED", kind: str = "train", **fields: Any) -> Run:
    """Returns a run of the recipe smoke; `minutes` after noon."""
    settings = fields.pop("settings", {"data": "photographs.zip", "epochs": 5})
    config = networks.with_all_options(recipe_config("smoke").model_copy(update=settings))
    moment = NOON + timedelta(minutes=minutes)
    run = create_run(paths, config, recipe="smoke", kind=kind, clock=lambda: moment, **fields)
    run.update_state(status=status)
    return run


def make_finished_run(paths: Paths, *, quality: float = 1.0, split: str = "aaaa", **fields: Any) -> Run:
    """Returns a run that has scores, and plain bytes for a model; less quality makes more of its answers wrong."""
    run = make_run(paths, **fields)
    evaluation = evaluation_of(quality)
    run.update_manifest(
        labels=LABELS, split_fingerprint=split, scores={"accuracy": evaluation.accuracy, "kept_epoch": 4}
    )
    run.model_h5.write_bytes(run.id.encode() * 1000)
    run.model_tflite.write_bytes(b"tflite" * 1000)
    run.checkpoint.mkdir()
    (run.checkpoint / "state.npz").write_bytes(b"checkpoint" * 1000)
    save_labels(run.labels_json, LABELS)
    write_json(run.evaluation_json, evaluation.to_json())
    run.update_state(status="SUCCEEDED", epoch=5)
    return run


def evaluation_of(quality: float):
    """Returns the scores of answers on 300 images of which so many (0..1) are right."""
    random = np.random.default_rng(0)
    truth = random.integers(0, len(LABELS), 300)
    said = np.where(random.random(300) < quality, truth, (truth + 1) % len(LABELS))
    return evaluate_probabilities(np.eye(len(LABELS))[said], truth, label_names=LABELS, split="test")


def write_epochs(run: Run, count: int, *, seconds: float = 10.0, scores: Sequence[float] = ()) -> None:
    """Tells of finished epochs as a training does."""
    with closing(MetricsWriter(run.metrics_jsonl)) as metrics:
        for epoch in range(1, count + 1):
            score = scores[epoch - 1] if scores else 0.1 * epoch
            metrics.write("epoch", **epoch_row(epoch, score, seconds))
    run.update_state(status="RUNNING", epoch=count)


def epoch_row(epoch: int, score: float, seconds: float) -> dict[str, float]:
    own = {"epoch": epoch, "loss": 1.5, "accuracy": score, "seconds": seconds, "images_per_second": 100.0}
    own |= {"val_loss": 1.6, "val_accuracy": score, "val_macro_f1": score}
    return own | {"val_f1_angry": score / 2, "val_f1_happy": score}


def make_search(paths: Paths, scores: Sequence[float | None], *, status: str = "SUCCEEDED", **spec: Any) -> Search:
    """Returns a search with a trial for each score; None: it is still being trained."""
    settings = {"recipe": "smoke", "data": "photographs.zip", "space": ("learning_rate",), "max_trials": len(scores)}
    search = create_search(paths, SearchSpec(**settings | spec), clock=lambda: NOON)
    fill_search(search, scores, status=status)
    return search


def fill_search(search: Search, scores: Sequence[float | None], *, status: str = "RUNNING") -> None:
    """Writes trials of these scores into a search, as workers leave them; None: it is still being trained."""
    entries = [_entry(search.paths, search, number, score) for number, score in enumerate(scores)]
    with changing(search) as state:
        state.started_utc = utc_text(NOON)
        state.entries = entries
        state.status = status
        finished = [entry for entry in entries if entry.score is not None]
        if status == "SUCCEEDED":
            state.winner = max(finished, key=lambda entry: entry.score).run


def _entry(paths: Paths, search: Search, number: int, score: float | None) -> Entry:
    fields = {"kind": "trial", "parent": search.id, "minutes": number}
    run = make_run(paths, status="RUNNING", **fields) if score is None else make_finished_run(paths, **fields)
    told = {"status": "COMPLETED", "score": score, "epochs": 5}
    told |= {"parameters": 1000 - number, "latency_ms": 1.0 + number}
    told |= {"told_utc": utc_text(NOON + timedelta(minutes=number + 1))}
    values = {"learning_rate": 0.001 * (number + 1)}
    return Entry(number=number, seed=0, values=values, run=run.id, **({} if score is None else told))
