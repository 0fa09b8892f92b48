"""Counts in bounded memory: how long each emotion was shown, and how long the stages of reading took."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fer_core.live.prediction import Prediction

FASTEST_SECONDS, BINS_PER_DECADE, DECADES = 1e-6, 100, 9


class Durations:
    """Counts durations in bins 2.3 % wide, from a microsecond to a quarter of an hour."""

    def __init__(self):
        self._counts = [0] * (BINS_PER_DECADE * DECADES + 1)
        self.count = 0
        self._total = 0.0

    def add(self, seconds: float) -> None:
        """Counts one."""
        decades = math.log10(max(seconds, FASTEST_SECONDS) / FASTEST_SECONDS)
        self._counts[min(int(decades * BINS_PER_DECADE), len(self._counts) - 1)] += 1
        self.count += 1
        self._total += max(seconds, 0.0)

    @property
    def mean(self) -> float:
        """The mean in seconds; 0.0 if there is none."""
        return self._total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Returns the duration, in seconds, below which `share` (0..1) of all lie; 0.0 if there is none."""
        seen = 0
        for place, count in enumerate(self._counts):
            seen += count
            if count and seen >= share * self.count:
                return FASTEST_SECONDS * 10 ** ((place + 0.5) / BINS_PER_DECADE)
        return 0.0

    def to_json(self) -> dict[str, float]:
        """Returns mean, median and 95th percentile in milliseconds."""
        seconds = {"mean": self.mean, "median": self.quantile(0.5), "p95": self.quantile(0.95)}
        return {name: round(1000 * value, 3) for name, value in seconds.items()}


class Tally:
    """How long which label was shown, of one person or of several."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        """By label, while it was sure."""
        self.unsure = 0.0
        self.changes = 0
        self.last_seconds = 0.0
        self._last_label: str | None = None

    @property
    def total(self) -> float:
        """All seconds, sure or not."""
        return sum(self.seconds.values()) + self.unsure

    def add(self, prediction: "Prediction", seconds: float) -> None:
        """Counts what was shown for so many seconds."""
        if prediction.unsure:
            self.unsure += seconds
        else:
            self.seconds[prediction.label] = self.seconds.get(prediction.label, 0.0) + seconds
        self.changes += self._last_label not in (None, prediction.label)
        self._last_label = prediction.label

    def merge(self, other: "Tally") -> None:
        """Adds what another one counted."""
        for label, seconds in other.seconds.items():
            self.seconds[label] = self.seconds.get(label, 0.0) + seconds
        self.unsure += other.unsure
        self.changes += other.changes

    def to_json(self, labels: Sequence[str]) -> dict[str, Any]:
        """Returns shares that sum to 1 (by label while sure, and unsure), seconds and changes of the label."""
        total = self.total
        names = [*labels, *(label for label in self.seconds if label not in labels)]
        share = 1 / total if total else 0.0
        return {
            "seconds": round(total, 3),
            "shares": {label: round(self.seconds.get(label, 0.0) * share, 4) for label in names},
            "unsure": round(self.unsure * share, 4),
            "changes": self.changes,
            "changes_per_minute": round(60 * self.changes / total, 2) if total else 0.0,
        }
