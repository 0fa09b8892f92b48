"""What state.json of a search holds: its plan, and an `Entry` for each training; and which of them are good.

Values only: no files, no Keras.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, field_serializer

from fer_core.config import TrainConfig
from fer_core.store.manifest import Count, RunId, Timestamp
from fer_core.tuning.space import NOTE, Parameter
from fer_core.tuning.spec import SearchSpec

CONTINUES, EPOCHS, INITIAL_EPOCH = "tuner/trial_id", "tuner/epochs", "tuner/initial_epoch"
"""Among the values of a Hyperband trial: which trial it continues, its epochs in all, and those which that one had."""
BRACKET, ROUND = "tuner/bracket", "tuner/round"
LESS_IS_BETTER = ("val_loss",)


class Plan(BaseModel):
    """What a search was asked for and what follows from it, fixed when it is made, whatever the code says later."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    created_utc: Timestamp
    spec: SearchSpec
    base: TrainConfig
    """What every trial starts from."""
    parameters: tuple[Parameter, ...]
    first_values: tuple[dict[str, Any], ...]
    """What is tried before the oracle is asked; the recipe's own values come first."""


class Entry(BaseModel):
    """One training of a search: what was asked for, and what came of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    number: Count
    """From 0; the confirmations go on after the trials."""
    kind: Literal["trial", "confirm"] = "trial"
    """'confirm' trains the settings of trial `of` again, with another seed."""
    of: int | None = None
    seed: int
    values: dict[str, Any]
    """The settings that the search chose, by name; Hyperband's own notes begin with 'tuner/'."""
    run: RunId
    job: str | None = None
    """The slot that trains it, and which of its trainings this is."""
    status: Literal["RUNNING", "COMPLETED", "FAILED"] = "RUNNING"
    score: float | None = None
    """The objective at the epoch whose weights are kept: the best one, unless the recipe keeps the last."""
    epochs: Count = 0
    stopped_early: bool = False
    message: str = ""
    parameters: int | None = None
    latency_ms: float | None = None
    """Of one face on one CPU thread."""
    seconds: float | None = None
    asked_utc: Timestamp | None = None
    told_utc: Timestamp | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The values without Hyperband's notes."""
        return {name: value for name, value in self.values.items() if not name.startswith(NOTE)}

    @property
    def title(self) -> str:
        return f"Trial {self.number}" if self.kind == "trial" else f"Trial {self.of} with seed {self.seed}"


class SearchState(BaseModel):
    """A search: its plan and how far it is."""

    model_config = ConfigDict(extra="ignore", use_attribute_docstrings=True)

    plan: Plan
    status: Literal["RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"] = "RUNNING"
    message: str = ""
    data_fingerprint: str | None = None
    code_fingerprint: str | None = None
    """Both of the first trial."""
    other_code: list[str] = []
    """Fingerprints of the code of later trials, where it had changed."""
    started_utc: Timestamp | None = None
    epoch_seconds: float | None = None
    """Of the first trial, as estimated in its first epoch."""
    first_estimate_seconds: float | None = None
    """How long the search was to take in all, when an epoch was measured for the first time."""
    ends_utc: Timestamp | None = None
    """When the search will have ended, by the last estimate."""
    winner: RunId | None = None
    exhausted: bool = False
    """The oracle has nothing more to try."""
    failed_in_a_row: int = 0
    """Trials, in the order in which they ended."""
    waits_after: int | None = None
    """So many trainings had ended when the oracle last had to wait for another one."""
    refused_by: dict[str, str] = {}
    """The workers that could not begin a trial, each with its reason: other data, or a crash before."""
    rungs: dict[int, dict[int, float]] = {}
    """By epoch and trial: the best objective so far; more is better."""
    stopped: dict[int, str] = {}
    """The trials that were stopped early, each with the reason."""
    entries: list[Entry] = []

    @field_serializer("plan")
    def _whole_plan(self, plan: Plan) -> dict[str, Any]:
        return plan.model_dump(mode="json")  # with its defaults, which may be others in a later version

    @property
    def ended(self) -> int:
        return sum(entry.status != "RUNNING" for entry in self.entries)

    @property
    def trials(self) -> list[Entry]:
        """The entries that are no confirmations; they come first."""
        return [entry for entry in self.entries if entry.kind == "trial"]

    def entry_of(self, job_id: str) -> Entry | None:
        """Returns the entry that a job trains or has trained."""
        return next((entry for entry in reversed(self.entries) if entry.job == job_id), None)

    def change(self, number: int, **fields: Any) -> Entry:
        """Replaces fields of an entry and returns it as it is then."""
        self.entries[number] = self.entries[number].model_copy(update=fields)
        return self.entries[number]

    def to_json(self) -> bytes:
        """Returns the state as one line of JSON, without defaults."""
        return self.model_dump_json(exclude_defaults=True).encode() + b"\n"


class Standing(NamedTuple):
    """A setting that was tried, and what trainings of it with other seeds came to."""

    trial: Entry
    confirmations: tuple[Entry, ...]
    """Those that were finished."""

    @property
    def score(self) -> float:
        """The mean of the confirmations; the trial's own where there are none."""
        return fmean(entry.score for entry in self.confirmations or (self.trial,))

    @property
    def mean_of(self) -> str:
        """What the score is the mean of, to follow it in a sentence; nothing where it is no mean."""
        trainings = len(self.confirmations)
        return f", the mean of {trainings} trainings with other seeds" if trainings > 1 else ""

    def best_run(self, objective: str) -> Entry:
        """Returns the entry whose run stands for the setting: its best confirmation, else the trial."""
        return min(self.confirmations or (self.trial,), key=lambda entry: _place(entry, objective))


def objective_value(objective: str, score: float) -> float:
    """Returns the score so that more is better."""
    return -score if objective in LESS_IS_BETTER else score


def is_finished(entry: Entry) -> bool:
    """Returns whether the training of this entry came to a score."""
    return entry.status == "COMPLETED" and entry.score is not None


def ranked(entries: Iterable[Entry], objective: str) -> list[Entry]:
    """Returns the finished trials, best first; of equals the smaller, the one trained for longer, the earlier."""
    finished = (entry for entry in entries if entry.kind == "trial" and is_finished(entry))
    return sorted(finished, key=lambda entry: _place(entry, objective))


def standings(entries: Sequence[Entry], objective: str) -> list[Standing]:
    """Returns the settings, best first.

    A setting that was trained again with more seeds stands before one with fewer, whatever the scores: of many
    trainings, the best single one is the luckiest.
    """
    confirmations = defaultdict(list)
    for entry in entries:
        if entry.kind == "confirm" and is_finished(entry):
            confirmations[entry.of].append(entry)
    found = [Standing(trial, tuple(confirmations[trial.number])) for trial in ranked(entries, objective)]
    return sorted(
        found, key=lambda one: (-len(one.confirmations), -objective_value(objective, one.score), _size(one.trial))
    )


def winner(entries: Sequence[Entry], objective: str) -> Standing | None:
    """Returns the setting with the best mean over its confirmations (the best trial without any); None of nothing."""
    return next(iter(standings(entries, objective)), None)


def pareto(entries: Iterable[Entry], objective: str, cost: Callable[[Entry], float | None]) -> list[Entry]:
    """Returns the finished trials that no other beats in score and cost both, cheapest first.

    Args:
        cost: less is better; None where it is not known, and then the entry is left out.
    """
    known = [entry for entry in ranked(entries, objective) if cost(entry) is not None]
    front: list[Entry] = []
    for entry in sorted(known, key=cost):  # stable: of equal cost the best comes first
        if not front or objective_value(objective, entry.score) > objective_value(objective, front[-1].score):
            front.append(entry)
    return front


def latencies(entries: Iterable[Entry]) -> dict[int, float]:
    """Returns the milliseconds that a face takes with the model of each trial that has a figure, by its number.

    Models with the same number of parameters count as the same network, of which the least that was measured is taken:
    whatever else the machine did then can only have made it slower.
    """
    known = [entry for entry in entries if entry.latency_ms is not None]
    least: dict[int | None, float] = defaultdict(lambda: math.inf)
    for entry in known:
        least[entry.parameters] = min(entry.latency_ms, least[entry.parameters])
    return {entry.number: least[entry.parameters] for entry in known}


def milliseconds_text(milliseconds: float) -> str:
    """Returns a latency as people read it: 0.039, 0.25, 3.1, 12."""
    return f"{milliseconds:.2g}" if milliseconds < 10 else f"{milliseconds:.0f}"


def _place(entry: Entry, objective: str) -> tuple[float, float, int, int]:
    return -objective_value(objective, entry.score), *_size(entry)


def _size(entry: Entry) -> tuple[float, int, int]:
    return math.inf if entry.parameters is None else entry.parameters, -entry.epochs, entry.number
