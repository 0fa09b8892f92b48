"""What is shown of jobs and searches, from their files; and what is asked of the broker: to take a job, who listens.

The broker may be away, which is said and breaks nothing else. Celery is imported when it is first asked.
"""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from fer_core.errors import FerError, NoSuchJobError
from fer_core.job.broker import Broker, BrokerAwayError
from fer_core.job.job import ENDED, Job, find_job
from fer_core.job.lifecycle import cancel_job, create_job, resume_job
from fer_core.job.progress import about, job_metadata, recent_jobs, run_progress, search_progress, wanted_workers
from fer_core.paths import Paths
from fer_core.store.files import Clock, plain
from fer_core.tuning.entries import Entry, is_finished, objective_value
from fer_core.tuning.importance import LEAST_TRIALS, Findings, findings
from fer_core.tuning.stage import CONFIRMATION_SEEDS
from fer_core.tuning.state import Search, Summary, list_searches, load_state, open_search, summary
from fer_core.web.answers import JobAnswer
from fer_core.web.batch import root_of
from fer_core.web.run_detail import lies_in, log_tail

ENDED_SHOWN = 50
MOST_READINGS = 200
"""Tables of a study that its page lists; all are in its folder."""
HOW_TO_START = "`python -m jobs up` starts broker and workers on this machine; $FER_BROKER_URL names another broker."
_BROKER_SECONDS = 2.0
"""So long an answer of the broker's holds: each takes up to two seconds."""


class SharedAnswer:
    """An answer that takes its time is asked for once, and all who want it get it: they occupy no threads meanwhile."""

    def __init__(self, ask: Callable[[], Any], *, fresh_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._ask, self._fresh_seconds, self._clock = ask, fresh_seconds, clock
        self._asking = threading.Lock()
        self._answer: Any = None
        self._until = 0.0

    def get(self) -> Any:
        """Returns the answer; an older one only while a newer one is asked for."""
        if not self._asking.acquire(blocking=self._answer is None):
            return self._answer
        try:
            if self._answer is None or self._clock() >= self._until:
                self._answer = self._ask()
                self._until = self._clock() + self._fresh_seconds
            return self._answer
        finally:
            self._asking.release()


class JobList:
    """The jobs and searches of the models folder, and their broker."""

    def __init__(self, paths: Paths, environ: Mapping[str, str], clock: Clock):
        self._paths, self._environ, self._clock = paths, environ, clock
        self._importing = threading.Lock()
        # Takes about a second; another trial that has ended makes it another question.
        self._findings = lru_cache(64)(self._find)
        self.broker_state = SharedAnswer(self._broker_state, fresh_seconds=_BROKER_SECONDS)
        """Whether the broker answers, and who takes jobs from which queue; takes up to two seconds."""

    def submit(self, task: str, arguments: dict[str, Any], *, job_id: str | None = None) -> Job:
        """Returns a new job, sent. Where only the broker is away, it waits on the disk. Raises FerError."""
        known = {"environ": self._environ, "clock": self._clock, "job_id": job_id}
        return self._sent(create_job(self._paths, task, arguments, **known))

    def resume(self, name: str) -> Job:
        """Returns the job that goes on with a job, a run or a search, sent. Raises FerError as `submit` does."""
        return self._sent(resume_job(self._paths, name))

    def find(self, name: str) -> Job:
        """Returns a job. Raises JobError if there is none, or it reads an upload: only the address of that shows it."""
        job = find_job(self._paths, name)
        if self._is_of_an_upload(job):
            raise NoSuchJobError(f"There is no job {name!r}.")
        return job

    def cancel(self, name: str) -> Job:
        """Asks for the end of a job and returns it. Raises JobError."""
        cancel_job(job := self.find(name))
        return job

    def lines(self) -> list[dict[str, Any]]:
        """Returns the jobs that are open, oldest first, and then those that ended last, newest first."""
        recent = [job for job in recent_jobs(self._paths, ENDED_SHOWN) if not self._is_of_an_upload(job)]
        lines = [plain(self._line(job, job_metadata(job))) for job in recent]
        ended = [line for line in lines if not line["is_open"]]
        return [*(line for line in lines if line["is_open"]), *reversed(ended)]

    def detail(self, name: str) -> dict[str, Any]:
        """Returns what is shown of a job. Raises JobError if there is none."""
        job = self.find(name)
        metadata = job_metadata(job)
        owner = metadata["owner"]
        # Of a search, the log of the training that was begun last.
        logs = sorted((job.folder / "output").glob("s*.txt"), key=lambda path: path.stat().st_mtime)
        more = {"worker": owner["worker"] if owner else None, "log": log_tail(logs[-1] if logs else job.log)}
        own = {name: metadata[name] for name in ("arguments", "result", "crashes")}
        own["files"] = list(study_files(job))
        return plain(self._line(job, metadata) | own | more)

    def searches(self) -> list[Summary]:
        """Returns all searches that can be read, the newest first."""
        found = []
        for search in reversed(list_searches(self._paths)):
            with suppress(FerError):
                found.append(summary(search))
        return found

    def search(self, search_id: str) -> dict[str, Any]:
        """Returns all that is shown of a search, as plain values. Raises ArtifactError if it cannot be read."""
        search = open_search(self._paths, search_id)
        progress, state = search_progress(search, now=self._clock()), load_state(search)
        best_toml = None
        with suppress(OSError, UnicodeDecodeError):
            best_toml = search.best_toml.read_text(encoding="utf-8")
        hidden = {"values", "job"}
        trials = [one.model_dump(mode="json", exclude=hidden) | {"settings": one.settings} for one in state.entries]
        found = {
            "search": progress.summary._asdict(),
            "seconds": progress.seconds,
            "seconds_left": progress.seconds_left,
            "done": _done(search, progress.summary),
            "running": [trial._asdict() for trial in progress.running],
            "parameters": [parameter.model_dump(mode="json") for parameter in search.parameters],
            "trials": trials,
            "best_over_time": _best_over_time(state.entries, search.spec.objective),
            "best_toml": best_toml,
        }
        return plain(found)

    def settings(self, search_id: str, x: str, y: str) -> dict[str, Any]:
        """Returns what a search's trials say about its settings, as plain values. Raises ArtifactError, ConfigError."""
        state = load_state(open_search(self._paths, search_id))
        ended = sum(is_finished(entry) for entry in state.trials)
        found = self._findings(search_id, ended, x, y) if ended >= LEAST_TRIALS else None
        if found is None:
            return {"trials": ended, "needed": LEAST_TRIALS, "explained": None, "settings": [], "surface": None}
        surface, settings = found.surface and found.surface._asdict(), [one._asdict() for one in found.settings]
        return plain(found._asdict() | {"settings": settings, "surface": surface, "needed": LEAST_TRIALS})

    def _find(self, search_id: str, _ended: int, x: str, y: str) -> Findings | None:
        search = open_search(self._paths, search_id)
        return findings(load_state(search).entries, search.parameters, x=x, y=y)

    def _is_of_an_upload(self, job: Job) -> bool:
        source = job.order.arguments.get("source") if job.task == "read" else None
        return isinstance(source, str) and Path(source).is_relative_to(root_of(self._paths))

    def _broker_state(self) -> dict[str, Any]:
        wanted = wanted_workers(self._paths)
        try:
            broker = self._broker()
            waiting = sum(broker.waiting().values())
            workers = broker.workers(seconds=0.5)
        except (FerError, OSError) as error:
            about = {"problem": str(error), "hint": getattr(error, "hint", "") or HOW_TO_START, "wanted": wanted}
            return {"reachable": False, "waiting": None, "queues": {}, "workers": []} | about
        queues: dict[str, list[str]] = {}
        for name, own in sorted(workers.items()):
            for queue in own["queues"]:
                queues.setdefault(queue, []).append(name)
        hint = "" if workers else "No worker listens: `python -m jobs up` starts one."
        about = {"problem": "", "hint": hint, "wanted": wanted}
        return {"reachable": True, "waiting": waiting, "queues": queues, "workers": sorted(workers)} | about

    def _broker(self) -> Broker:
        broker = Broker(self._paths, self._environ)
        with self._importing:
            broker.app.finalize()
        return broker

    def _sent(self, job: Job) -> Job:
        with suppress(BrokerAwayError):
            self._broker().send(job)
        return job

    def _line(self, job: Job, metadata: dict[str, Any]) -> dict[str, Any]:
        status = metadata["status"]
        is_open = status not in ENDED
        waits_for_broker = status == "QUEUED" and not job.has_message
        waits = "stored, waits for the broker" if waits_for_broker else f"waits in the queue {job.queue}"
        fraction, seconds_left = self._progress(job)
        return {name: metadata[name] for name in JobAnswer.model_fields if name in metadata} | {
            "about": about(job),
            "doing": waits if status == "QUEUED" else metadata["doing"],
            "waits_for_broker": waits_for_broker,
            "is_open": is_open,
            "share": fraction,
            "seconds_left": seconds_left,
            "can_cancel": is_open and not metadata["cancel_requested"],
            "can_resume": status in ("FAILED", "CANCELLED", "TIMED_OUT"),
        }

    def _progress(self, job: Job) -> tuple[float | None, float | None]:
        """Returns how much of the job is done, 0..1, and the seconds that are left; None where nobody can say."""
        with suppress(FerError):
            if job.search is not None:
                progress = search_progress(job.search, now=self._clock())
                return _done(job.search, progress.summary), progress.seconds_left
            if job.run is not None:
                progress = run_progress(job.run)
                epoch, epochs = progress.state.epoch, progress.state.epochs
                return min(1.0, epoch / epochs) if epochs else None, progress.seconds_left
            if job.study is not None and (read := job.study.progress()) is not None:
                started = job.notes.started_utc
                seconds = (self._clock() - datetime.fromisoformat(started)).total_seconds() if started else 0.0
                left = seconds * (read.files - read.read) / read.read if read.read and seconds > 0 else None
                return read.read / read.files, left
        return None, None


def study_files(job: Job) -> dict[str, Path]:
    """Returns the tables and the report of a study, by their names in its folder; of tables of readings the first."""
    if job.study is None:
        return {}
    tables = sorted(path for kind in ("csv", "parquet") for path in job.folder.glob(f"*.{kind}"))
    readings = sorted(path for kind in ("csv", "parquet") for path in job.folder.glob(f"readings/**/*.{kind}"))
    report = [job.folder / "report.html"]
    found = [path for path in (*report, *tables, *readings[:MOST_READINGS]) if lies_in(job.folder, path)]
    return {path.relative_to(job.folder).as_posix(): path for path in found}


def _done(search: Search, found: Summary) -> float:
    """Returns how much of a search is done, 0..1, with the confirmations that come after its trials."""
    if found.status == "SUCCEEDED":
        return 1.0
    again = CONFIRMATION_SEEDS * min(search.spec.confirm_top, found.max_trials)
    wanted = found.asked + found.confirming if found.confirming else found.max_trials + again
    return min(1.0, (found.completed + found.failed + found.confirmations) / wanted)


def _best_over_time(entries: list[Entry], objective: str) -> list[dict[str, Any]]:
    """Returns a point for each trial that came to a score, in the order of their ends, with the best so far."""
    finished = [entry for entry in entries if entry.kind == "trial" and is_finished(entry)]
    points: list[dict[str, Any]] = []
    for entry in sorted(finished, key=lambda entry: (entry.told_utc or "", entry.number)):
        best = points[-1]["best"] if points else entry.score
        best = max(best, entry.score, key=lambda score: objective_value(objective, score))
        points.append({"trial": entry.number, "time": entry.told_utc, "score": entry.score, "best": best})
    return points
