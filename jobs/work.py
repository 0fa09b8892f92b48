"""What each task does in a process of its own: a command that a user could type as well, and what came of it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fer_core.config import Settings, TrainConfig
from fer_core.paths import Paths
from fer_core.store.files import read_json
from fer_core.store.run import Run
from fer_core.store.runs import create_run, new_run_id, open_run
from fer_core.training.history import HISTORY_HEADER
from fer_core.training.starting import with_fixed_models
from fer_core.tuning.folder import open_search
from fer_core.tuning.state import load_state
from jobs.job import Job
from jobs.process import PROJECT, last_lines
from jobs.record import Jobs
from jobs.wishes import EvaluateWish, RetrainWish, TrainWish, TrialWish, recipe_of, train_config

_SCORES = ("split", "images", "accuracy", "accuracy_interval", "macro_f1", "kept_epoch", "epochs")
_NOT_PATHS = ("sample", "kaggle", "current")


class Work(NamedTuple):
    """A command, and what it works on."""

    command: list[str]
    run: Callable[[], Run | None]
    """What it trains; None where it trains nothing, or nothing yet."""
    result: Callable[[], dict[str, Any]]
    """What is told when it has ended well."""


def work_of(paths: Paths, jobs: Jobs, job: Job, wish: Settings) -> Work:
    """Returns what the process of a job does; what it needs is there then. Raises ConfigError, ArtifactError."""
    if isinstance(wish, TrainWish):
        return _training(paths, jobs, job, wish)
    if isinstance(wish, TrialWish):
        return _trial(paths, jobs, job, wish)
    if isinstance(wish, RetrainWish):
        return _retraining(paths, jobs, job, wish)
    if isinstance(wish, EvaluateWish):
        return _evaluation(paths, job, wish)
    raise TypeError(f"{type(wish).__name__} needs no process")


def whole_path(text: str | None) -> str | None:
    """Returns a path so that it is found from any folder; what is no path here stays as it is."""
    if text is None or text in _NOT_PATHS or not Path(text).expanduser().exists():
        return text
    return str(Path(text).expanduser().resolve())


def _training(paths: Paths, jobs: Jobs, job: Job, wish: TrainWish) -> Work:
    run_id = job.run or wish.run or new_run_id(train_config(wish), recipe=recipe_of(wish))
    # Noted first: who is killed between the two steps finds the same run again.
    jobs.change(job.id, as_owner=job.owner, run=run_id)
    run = open_run(paths, run_id) if wish.run else _created(paths, run_id, wish)
    command = [str(PROJECT / "train_emotion_model.py"), "--resume", run.id]
    return Work(_python(*command, paths=paths), lambda: run, lambda: {"run": run.id} | _scores(run))


def _created(paths: Paths, run_id: str, wish: TrainWish) -> Run:
    return create_run(
        paths,
        _findable(train_config(wish), paths),
        recipe=recipe_of(wish),
        promote=wish.promote,
        history_header=HISTORY_HEADER,
        run_id=run_id,
    )


def _findable(config: TrainConfig, paths: Paths) -> TrainConfig:
    """A resumed run has the same data, starting weights and teachers, wherever it goes on."""
    return with_fixed_models(config, paths).model_copy(update={"data": whole_path(config.data)})


def _trial(paths: Paths, jobs: Jobs, job: Job, wish: TrialWish) -> Work:
    search = open_search(paths, wish.search)
    jobs.change(job.id, as_owner=job.owner, search=search.id)

    def run() -> Run | None:
        """Which one it is, is known when the process has asked its search."""
        entry = load_state(search).entry_of(job.id)
        return entry and Run(search.run_folder(entry.run), paths.history)

    def result() -> dict[str, Any]:
        entry = load_state(search).entry_of(job.id)
        told = entry and {"trial": entry.number, "run": entry.run, "score": entry.score, "epochs": entry.epochs}
        return {"search": search.id} | (told or {})

    command = ["-m", "fer_core.cli.trial", search.id, "--job", job.id]
    return Work(_python(*command, paths=paths), run, result)


def _retraining(paths: Paths, jobs: Jobs, job: Job, wish: RetrainWish) -> Work:
    run_id = job.run or new_run_id(TrainConfig(), recipe="retrain")
    jobs.change(job.id, as_owner=job.owner, run=run_id)
    run = Run(paths.models / "runs" / run_id, paths.history)
    spec = wish.model_dump(mode="json", exclude={"queue", "max_hours"}, exclude_unset=True)
    command = ["-m", "fer_core.cli.retrain", "--job", job.id, "--spec", json.dumps(spec), "--run", run_id]

    def result() -> dict[str, Any]:
        decision = run.folder / "promotion.json"
        if decision.is_file():
            return read_json(decision, f"decision about run {run_id}")
        return {"promoted": False, "reasons": last_lines(jobs.log(job.id), 1)}

    return Work(_python(*command, paths=paths), lambda: run if run.folder.is_dir() else None, result)


def _evaluation(paths: Paths, job: Job, wish: EvaluateWish) -> Work:
    model = [] if wish.run == "current" else ["--model", wish.run]
    data = [] if wish.data is None else ["--data", wish.data]
    script = str(PROJECT / "realtime_emotion_detector.py")
    command = [sys.executable, script, "--analyze", *model, *data, "--models-dir", str(paths.models)]
    return Work(command, lambda: None, lambda: {"run": wish.run})


def _python(*command: str, paths: Paths) -> list[str]:
    folders = ("--models-dir", str(paths.models), "--history-dir", str(paths.history))
    return [sys.executable, *command, *folders]


def _scores(run: Run) -> dict[str, Any]:
    scores = run.manifest.scores or {}
    return {name: scores[name] for name in _SCORES if name in scores}
