"""When an entry is due, also on the days on which the clocks are changed."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from jobs.moments import DAYS, Hours, latest_due, next_due

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE = timedelta(minutes=1)


def hours(at: str, days=DAYS, zone: ZoneInfo = BERLIN) -> Hours:
    return Hours(time.fromisoformat(at), days, zone)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments_between(of: Hours, start: datetime, end: datetime) -> list[datetime]:
    """Returns all moments after `start` and up to `end`, each asked for from the one before."""
    found = [next_due(of, start)]
    while found[-1] <= end:
        found.append(next_due(of, found[-1]))
    return found[:-1]


def test_hours_are_those_of_the_zone():
    assert latest_due(hours("02:30"), utc("2026-01-31 14:00")) == utc("2026-01-31 01:30")
    assert latest_due(hours("02:30"), utc("2026-07-31 14:00")) == utc("2026-07-31 00:30")
    assert next_due(hours("02:30", zone=ZoneInfo("Asia/Tokyo")), utc("2026-01-31 14:00")) == utc("2026-01-31 17:30")


def test_the_moment_itself_is_due_and_the_next_one_is_a_day_later():
    moment = utc("2026-01-31 01:30")
    assert latest_due(hours("02:30"), moment) == moment
    assert latest_due(hours("02:30"), moment - MINUTE) == moment - timedelta(days=1)
    assert next_due(hours("02:30"), moment) == moment + timedelta(days=1)


@pytest.mark.parametrize(
    ("now", "due"), [("2026-01-31 14:00", "2026-01-25 04:00"), ("2026-02-01 05:00", "2026-02-01 04:00")]
)
def test_a_day_of_the_week_is_due_once_a_week(now, due):
    assert latest_due(hours("05:00", ("sun",)), utc(now)) == utc(due)
    assert next_due(hours("05:00", ("sun",)), utc(now)) == utc(due) + timedelta(days=7)


def test_several_days_take_turns():
    found = moments_between(hours("05:00", ("sat", "sun")), utc("2026-01-31 00:00"), utc("2026-02-09 00:00"))
    assert [DAYS[moment.weekday()] for moment in found] == ["sat", "sun", "sat", "sun"]


def test_an_hour_that_is_left_out_comes_once_and_later():
    """On 29 March 2026 the clocks of Berlin go from 02:00 to 03:00."""
    found = moments_between(hours("02:30"), utc("2026-03-27 12:00"), utc("2026-03-31 12:00"))
    assert [f"{moment.astimezone(BERLIN):%d %H:%M}" for moment in found] == [
        "28 02:30",
        "29 03:30",
        "30 02:30",
        "31 02:30",
    ]


def test_an_hour_that_comes_twice_counts_once():
    """On 25 October 2026 the clocks of Berlin go from 03:00 back to 02:00."""
    found = moments_between(hours("02:30"), utc("2026-10-23 12:00"), utc("2026-10-27 12:00"))
    assert found == [utc(f"2026-10-{day} 0{hour}:30") for day, hour in ((24, 0), (25, 0), (26, 1), (27, 1))]


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]
)
@pytest.mark.parametrize("at", ["00:00", "01:30", "02:00", "02:30", "03:00", "23:59"])
def test_each_day_of_three_years_has_one_moment_and_both_directions_agree(zone, at):
    of = hours(at, zone=ZoneInfo(zone))
    start = datetime(2025, 1, 1, 12, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    found = moments_between(of, start, start + timedelta(days=3 * 365))
    assert len(found) == 3 * 365
    for moment, following in pairwise(found):
        assert timedelta(hours=22) <= following - moment <= timedelta(hours=26)
        assert latest_due(of, following - MINUTE) == moment


def test_a_zone_that_leaves_out_a_whole_day_leaves_out_its_moment():
    """Samoa went from 29 to 31 December 2011."""
    of = hours("02:30", zone=ZoneInfo("Pacific/Apia"))
    found = moments_between(of, utc("2011-12-28 20:00"), utc("2012-01-01 20:00"))
    assert len(found) == len(set(found)) == 4
