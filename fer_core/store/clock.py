"""The clock of everything that is written down: UTC. Handed in as an argument, so that tests set it."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """Returns the time now, in UTC."""
    return datetime.now(UTC)


def utc_text(timestamp: datetime) -> str:
    """Returns a moment as JSON files have it: 2026-01-31T14:02:12.345Z."""
    return timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
