"""When an entry of the schedule is due: hours and days of the week in a zone, as moments in UTC. Pure arithmetic.

Each local day has one moment, also where the clocks change: an hour that comes twice is taken the first time, and one
that is left out as if the clocks had not been changed yet (02:30 is then 03:30).
"""

from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_A_WEEK_AND_MORE = 9
"""Days to look through: with a zone that leaves out a whole day, a week has no moment for it."""


class Hours(NamedTuple):
    """A time of some days of the week, in the clocks of a zone."""

    at: time
    days: Collection[str]
    zone: ZoneInfo


def latest_due(hours: Hours, now: datetime) -> datetime:
    """Returns the last moment that is not after `now`, in UTC."""
    return next(moment for moment in _moments(hours, now, step=-1) if moment <= now)


def next_due(hours: Hours, now: datetime) -> datetime:
    """Returns the first moment that is after `now`, in UTC."""
    return next(moment for moment in _moments(hours, now, step=1) if moment > now)


def _moments(hours: Hours, now: datetime, *, step: int) -> Iterator[datetime]:
    """Yields the moments from a day beside `now` on, into the past or the future."""
    today = now.astimezone(hours.zone).date()
    for number in range(-1, _A_WEEK_AND_MORE):
        day = today + step * number * timedelta(days=1)
        if DAYS[day.weekday()] in hours.days:
            yield _timestamp(day, hours)


def _timestamp(day: date, hours: Hours) -> datetime:
    # PEP 495: fold 0 is the first of two, and in a gap the offset from before it.
    return datetime.combine(day, hours.at, tzinfo=hours.zone).astimezone(UTC)
