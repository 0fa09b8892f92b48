"""Which trials of a search are good: their order, the winner, and those that no other beats in score and cost both."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from fer_core.tuning.entries import Entry

LESS_IS_BETTER = ("val_loss",)


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
