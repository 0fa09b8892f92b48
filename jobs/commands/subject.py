"""What a name on the command line means: a job, a trial of a search, or a run or search that no job has made."""

import contextlib
from dataclasses import dataclass
from typing import Any

from fer_core.errors import ArtifactError, JobError, NoSuchJobError
from fer_core.job.job import ENDED, Job, find_job
from fer_core.job.progress import Look, run_progress, search_progress
from fer_core.store.run import Run
from fer_core.store.runs import open_run
from fer_core.tuning.stage import TrialName, parse_trial_name
from fer_core.tuning.state import Search, load_state, open_search
from jobs.commands.context import Context


@dataclass(frozen=True)
class Subject:
    """A job; or a run, a search, or one training of a search alone."""

    job: Job | None = None
    own_run: Run | None = None
    own_search: Search | None = None
    trial: TrialName | None = None

    @property
    def run(self) -> Run | None:
        return self.own_run or (self.job.run if self.job else None)

    @property
    def search(self) -> Search | None:
        return self.own_search or (self.job.search if self.job else None)

    @property
    def id(self) -> str:
        return self.trial.id if self.trial else (self.job or self.run or self.search).id

    @property
    def status(self) -> str:
        if self.job is not None:
            return self.job.status
        return self.own_run.state.status if self.own_run else load_state(self.own_search).status

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.status not in ENDED


def find_subject(context: Context, name: str) -> Subject:
    """Returns what is meant. Raises JobError, with "did you mean", if there is nothing of that name."""
    paths, trial = context.paths, parse_trial_name(name)
    if trial is not None:
        entry = load_state(open_search(paths, trial.search)).entry_of(name)
        if entry is None:
            raise NoSuchJobError(f"Search {trial.search} has no training {name!r}.")
        return Subject(own_run=open_run(paths, entry.run), trial=trial)
    try:
        return Subject(job=find_job(paths, name))
    except JobError:
        with contextlib.suppress(ArtifactError):
            return Subject(own_search=open_search(paths, name))
        with contextlib.suppress(ArtifactError):
            return Subject(own_run=open_run(paths, name))
        raise


def metadata(context: Context, subject: Subject) -> dict[str, Any]:
    """Returns all that is known of it, as plain values."""
    told: dict[str, Any] = {"status": subject.status}
    if subject.job is not None:
        told["job"] = Look(context.paths).metadata(subject.job) | {"log": str(subject.job.log)}
    if subject.search is not None:
        progress = search_progress(subject.search, now=context.clock())
        told["search"] = progress.summary._asdict() | {
            "seconds": progress.seconds,
            "seconds_left": progress.seconds_left,
        }
        told["running"] = [trial._asdict() for trial in progress.running]
    elif subject.run is not None:
        progress = run_progress(subject.run)
        best = progress.best and progress.best._asdict()
        told["run"] = {"id": subject.run.id, **progress.state.model_dump(), "last": progress.last, "best": best}
        told["run"]["seconds_left"] = progress.seconds_left
    return told
