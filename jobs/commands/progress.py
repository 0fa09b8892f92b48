"""How far a run or a search is, read from its files: epoch of epochs, scores, time left, trials."""

from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from fer_core.errors import ArtifactError
from fer_core.paths import Paths
from fer_core.store.metrics import read_metrics
from fer_core.store.run import Run, State
from fer_core.store.runs import open_run
from fer_core.tuning.entries import Entry, SearchState
from fer_core.tuning.folder import Search, open_search
from fer_core.tuning.state import Summary, load_state, summary
from jobs.job import Job

ALIVE = ("QUEUED", "RUNNING", "INTERRUPTED")
"""What has not ended: of jobs, runs and searches."""

_RECENT_EPOCHS = 3


class BestEpoch(NamedTuple):
    """The epoch that is kept so far, by what the run monitors."""

    epoch: int
    name: str
    value: float


class RunProgress(NamedTuple):
    """How far a run is."""

    state: State
    monitor: str
    last: dict[str, Any] | None
    """The row of the last finished epoch."""
    best: BestEpoch | None
    seconds_left: float | None
    """At the pace of the last epochs, if it does not stop early; None where it is not trained, or nothing is known."""


class TrialProgress(NamedTuple):
    """A trial that is being trained."""

    number: int
    run: str
    epoch: int
    epochs: int | None
    settings: dict[str, Any]


class SearchProgress(NamedTuple):
    """How far a search is."""

    summary: Summary
    running: tuple[TrialProgress, ...]
    seconds: float | None
    """Since it began, until now or until its end."""
    seconds_left: float | None
    """As reckoned last; None where it does not run, or no epoch was measured."""


def run_progress(run: Run) -> RunProgress:
    """Returns how far a run is. Raises ArtifactError if its files cannot be read."""
    state, config = run.state, run.manifest.config
    entries = read_metrics(run.metrics_jsonl)
    rows = list({entry["epoch"]: entry for entry in entries if entry.get("kind") == "epoch"}.values())
    left = _seconds_left(state, rows, entries) if state.status == "RUNNING" else None
    return RunProgress(state, config.monitor, rows[-1] if rows else None, _best(rows, config.monitor), left)


def search_progress(search: Search, *, now: datetime) -> SearchProgress:
    """Returns how far a search is. Raises ArtifactError if its files cannot be read."""
    state, found = load_state(search), summary(search)
    running = [_trial(search.paths, entry) for entry in state.entries if entry.status == "RUNNING"]
    left = found.ends_utc and (datetime.fromisoformat(found.ends_utc) - now).total_seconds()
    return SearchProgress(found, tuple(running), _seconds(found, state, now), None if left is None else max(0.0, left))


class Look:
    """One look at many jobs: each search is read once."""

    def __init__(self, paths: Paths):
        self._paths = paths
        self._summaries: dict[str, Summary] = {}
        self._states: dict[str, SearchState] = {}

    def status(self, job: Job) -> str:
        """Returns the job's status; where it began a search, the search's: the job ends long before."""
        with suppress(ArtifactError):
            if job.task == "tune" and job.search and job.status == "SUCCEEDED":
                return self._summary(job.search).status
        return job.status

    def doing(self, job: Job) -> str:
        """Returns in a few words how far a job is, as 'epoch 3 of 50' or '4 of 30 trials, best 0.613'."""
        with suppress(ArtifactError):  # what is just being made, or is broken, must not end a list
            if job.task == "tune" and job.search:
                return in_words(self._summary(job.search))
            if job.task == "trial" and job.search:
                return self._trial(job.id, job.search)
            if job.run:
                return epochs_in_words(open_run(self._paths, job.run).state)
        return ""

    def _trial(self, job_id: str, search_id: str) -> str:
        if search_id not in self._states:
            self._states[search_id] = load_state(open_search(self._paths, search_id))
        entry = self._states[search_id].entry_of(job_id)
        if entry is None:
            return ""
        score = "" if entry.score is None else f", {entry.score:.3f}"
        what = f"trial {entry.number}" if entry.kind == "trial" else f"trial {entry.of} again, seed {entry.seed}"
        return f"{what}, {epochs_in_words(open_run(self._paths, entry.run).state)}{score}"

    def _summary(self, search_id: str) -> Summary:
        if search_id not in self._summaries:
            self._summaries[search_id] = summary(open_search(self._paths, search_id))
        return self._summaries[search_id]


def in_words(found: Summary) -> str:
    """Returns how far a search is, in a few words."""
    best = "" if found.best_score is None else f", best {found.best_score:.3f}"
    failed = f", {found.failed} failed" if found.failed else ""
    ends = found.ends_utc and datetime.fromisoformat(found.ends_utc).astimezone()
    until = f", until about {ends:%a %H:%M}" if ends else ""
    return f"{found.completed} of {found.max_trials} trials{failed}{best}{until}"


def epochs_in_words(state: State) -> str:
    """Returns how far a run is, in a few words."""
    return f"epoch {state.epoch} of {state.epochs}" if state.epochs else ""


def _best(rows: list[dict], monitor: str) -> BestEpoch | None:
    scored = [row for row in rows if row.get(monitor) is not None]
    if not scored:
        return None
    sign = 1 if monitor == "val_loss" else -1
    row = min(scored, key=lambda row: (sign * row[monitor], row["epoch"]))
    return BestEpoch(row["epoch"], monitor, row[monitor])


def _seconds_left(state: State, rows: list[dict], entries: list[dict]) -> float | None:
    each = [row["seconds"] for row in rows[-_RECENT_EPOCHS:] if row.get("seconds")]
    if not each:  # what it has reckoned itself, from its first steps
        told = [entry["epoch_seconds"] for entry in entries if entry.get("epoch_seconds")]
        each = told[-1:]
    if not each or not state.epochs:
        return None
    begun = next((entry for entry in reversed(entries) if entry.get("steps")), {})
    part = begun["step"] / begun["steps"] if begun.get("epoch") == state.epoch + 1 else 0.0
    return max(0.0, (state.epochs - state.epoch - part) * sum(each) / len(each))


def _trial(paths: Paths, entry: Entry) -> TrialProgress:
    settings = entry.settings
    try:
        state = open_run(paths, entry.run).state
    except ArtifactError:  # it is being made
        return TrialProgress(entry.number, entry.run, 0, None, settings)
    return TrialProgress(entry.number, entry.run, state.epoch, state.epochs, settings)


def _seconds(found: Summary, state: SearchState, now: datetime) -> float | None:
    if found.started_utc is None:
        return None
    end = now
    if found.status != "RUNNING":
        told = [entry.told_utc for entry in state.entries if entry.told_utc]
        end = datetime.fromisoformat(max(told)) if told else now
    return (end - datetime.fromisoformat(found.started_utc)).total_seconds()
