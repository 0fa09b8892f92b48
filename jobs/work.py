"""What each task does in a process of its own: a command that a user could type as well, and what came of it."""

import contextlib
import json
import sys
from pathlib import Path
from typing import Any

from fer_core.config import Settings
from fer_core.errors import ArtifactError
from fer_core.job.arguments import EvaluateArguments, GcArguments, RetrainArguments, TrainArguments
from fer_core.job.job import Job
from fer_core.paths import Paths
from fer_core.store.clock import utc_now
from fer_core.store.files import read_json
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.tuning.stage import TrialName
from fer_core.tuning.state import Search, load_state
from jobs.attempts import Work
from jobs.garbage import find_garbage, remove_garbage
from jobs.process import PROJECT, last_lines

_SCORES = ("split", "images", "accuracy", "accuracy_interval", "macro_f1", "kept_epoch", "epochs")


def work_of(job: Job) -> Work:
    """Returns what is done for a training, a retraining or an analysis. Raises ConfigError."""
    return Work(_command(job, job.arguments), job.log, lambda: job.run, job.cancel_file)


def work_of_trial(job: Job, name: TrialName) -> Work:
    """Returns what is done for a training of a search."""
    command = _python("-m", "fer_core.cli.trial", job.id, "--job", name.id, paths=job.paths)
    log = job.folder / "output" / f"s{name.slot}.{name.n}.txt"
    return Work(command, log, lambda: run_of_trial(job.search, name), job.cancel_file, leaves_refusals=True)


def run_of_trial(search: Search, name: TrialName) -> Run | None:
    """Returns the run of a training, which is known when its process has asked the search."""
    with contextlib.suppress(ArtifactError):
        entry = load_state(search).entry_of(name.id)
        return entry and open_run(search.paths, entry.run)
    return None


def result_of(job: Job) -> dict[str, Any]:
    """Returns what is told of a job whose process has ended well."""
    arguments, run = job.arguments, job.run
    if isinstance(arguments, EvaluateArguments):
        return {"run": arguments.run}
    if isinstance(arguments, RetrainArguments):
        decision = job.folder / "promotion.json"
        if decision.is_file():
            return read_json(decision, f"decision about run {job.id}")
        return {"promoted": False, "reasons": last_lines(job.log, 1)}
    scores = (run.manifest.scores or {}) if run else {}
    return {"run": job.id} | {name: scores[name] for name in _SCORES if name in scores}


def cleaned(paths: Paths, arguments: GcArguments) -> dict[str, Any]:
    """Removes what is not needed, and returns how much. Needs no process of its own."""
    found = find_garbage(paths, keep_days=arguments.keep_days, now=utc_now())
    removed = 0 if arguments.dry_run else remove_garbage(paths, found)
    return {"found": len(found), "removed_bytes": removed}


def _command(job: Job, arguments: Settings) -> list[str]:
    if isinstance(arguments, TrainArguments):
        return _python(str(PROJECT / "train_emotion_model.py"), "--resume", job.id, paths=job.paths)
    if isinstance(arguments, RetrainArguments):
        spec = arguments.model_dump(mode="json", exclude={"queue", "max_hours"}, exclude_unset=True)
        named = ("--job", job.id, "--spec", json.dumps(spec), "--run", job.id)
        return _python("-m", "fer_core.cli.retrain", *named, paths=job.paths)
    if isinstance(arguments, EvaluateArguments):
        model = [] if arguments.run == "current" else ["--model", arguments.run]
        data = [] if arguments.data is None else ["--data", arguments.data]
        script = str(Path(PROJECT, "realtime_emotion_detector.py"))
        return [sys.executable, script, "--analyze", *model, *data, "--models-dir", str(job.paths.models)]
    raise TypeError(f"{type(arguments).__name__} needs no process")


def _python(*command: str, paths: Paths) -> list[str]:
    folders = ("--models-dir", str(paths.models), "--history-dir", str(paths.history))
    return [sys.executable, *command, *folders]
