"""When schedules fire: intervals, cron expressions, time zones, and the hours in which clocks change."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tq_core.errors import InvalidInputError
from tq_core.timetable import Timetable, last_fires_ms, next_fire_ms, timetable

ROME = zoneinfo.ZoneInfo("Europe/Rome")


def utc(text: str) -> int:
    return int(dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC).timestamp() * 1000)


def fires(rule: Timetable, after: str, count: int) -> list[str]:
    """The next fires, in UTC to the minute."""
    at_ms, found = utc(after), []
    for _ in range(count):
        at_ms = next_fire_ms(rule, at_ms)
        found.append(dt.datetime.fromtimestamp(at_ms / 1000, tz=dt.UTC).strftime("%Y-%m-%d %H:%M"))
    return found


def test_an_interval_counts_from_1970() -> None:
    rule = timetable(every_s=900)

    assert fires(rule, "2030-01-01T10:07", 3) == ["2030-01-01 10:15", "2030-01-01 10:30", "2030-01-01 10:45"]
    assert next_fire_ms(rule, utc("2030-01-01T10:15")) == utc("2030-01-01T10:30")


def test_a_cron_expression_speaks_of_its_zone() -> None:
    assert fires(timetable(cron="0 8 * * 1-5"), "2030-01-04T12:00", 2) == ["2030-01-07 08:00", "2030-01-08 08:00"]
    rome = timetable(cron="0 8 * * *", tz="Europe/Rome")
    assert fires(rome, "2030-01-04T12:00", 1) == ["2030-01-05 07:00"]
    assert fires(rome, "2030-07-04T12:00", 1) == ["2030-07-05 06:00"]


def test_aliases_are_cron_expressions() -> None:
    assert fires(timetable(cron="@daily"), "2030-01-04T12:00", 1) == ["2030-01-05 00:00"]
    assert fires(timetable(cron="@Hourly"), "2030-01-04T12:30", 1) == ["2030-01-04 13:00"]


# In Rome clocks go from 02:00 to 03:00 on 2030-03-31 (01:00 UTC), and from 03:00 to 02:00 on 2030-10-27 (01:00 UTC).


def test_a_time_that_is_skipped_fires_right_after_the_gap_and_once() -> None:
    assert fires(timetable(cron="30 2 * * *", tz="Europe/Rome"), "2030-03-30T12:00", 2) == [
        "2030-03-31 01:00",
        "2030-04-01 00:30",
    ]
    assert fires(timetable(cron="15,45 2 * * *", tz="Europe/Rome"), "2030-03-30T12:00", 2) == [
        "2030-03-31 01:00",
        "2030-04-01 00:15",
    ]


def test_a_time_that_comes_twice_fires_the_first_time_only() -> None:
    rule = timetable(cron="30 2 * * *", tz="Europe/Rome")

    assert fires(rule, "2030-10-26T12:00", 2) == ["2030-10-27 00:30", "2030-10-28 01:30"]
    # Asked between the two, as after a restart, there is no way back either.
    assert fires(rule, "2030-10-27T01:10", 1) == ["2030-10-28 01:30"]


def test_what_fires_every_few_minutes_goes_by_real_time_when_clocks_change() -> None:
    rule = timetable(cron="*/20 * * * *", tz="Europe/Rome")

    assert fires(rule, "2030-10-27T00:30", 4) == [f"2030-10-27 {at}" for at in ("00:40", "01:00", "01:20", "01:40")]
    assert fires(rule, "2030-03-31T00:30", 3) == [f"2030-03-31 {at}" for at in ("00:40", "01:00", "01:20")]


RULES = [
    timetable(every_s=7),
    timetable(every_s=86_400),
    timetable(cron="*/5 * * * *"),
    timetable(cron="30 2 * * *", tz="Europe/Rome"),
    timetable(cron="0 1-3 * * *", tz="America/New_York"),
    timetable(cron="15,45 0,2 * * *", tz="Australia/Lord_Howe"),
    timetable(cron="0 0 1 * 1", tz="Asia/Kathmandu"),
]


@given(
    rule=st.sampled_from(RULES),
    first_ms=st.integers(utc("2030-03-01T00:00"), utc("2030-11-30T00:00")),
    span_ms=st.integers(0, 3 * 86_400_000),
    limit=st.integers(1, 9),
)
def test_the_last_fires_of_a_span_are_those_that_one_comes_to_step_by_step(
    rule: Timetable, first_ms: int, span_ms: int, limit: int
) -> None:
    if rule.every_ms == 7000:
        span_ms //= 1000
    stepped, at_ms = [], first_ms - 1
    while (at_ms := next_fire_ms(rule, at_ms)) <= first_ms + span_ms:
        stepped.append(at_ms)

    assert last_fires_ms(rule, first_ms, first_ms + span_ms, limit=limit) == stepped[-limit:]


def test_years_of_missed_minutes_are_not_walked() -> None:
    found = last_fires_ms(timetable(cron="* * * * *"), utc("1980-01-01T00:00"), utc("2030-01-01T00:00"), limit=3)

    assert found == [utc(f"2029-12-31T23:{m}") for m in (58, 59)] + [utc("2030-01-01T00:00")]


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ({}, "either cron="),
        ({"cron": "* * * * *", "every_s": 5}, "either cron="),
        ({"every_s": 0.5}, "whole seconds, from 1 to a year"),
        ({"every_s": 1.5}, "whole seconds"),
        ({"every_s": True}, "whole seconds"),
        ({"every_s": float("nan")}, "whole seconds"),
        ({"every_s": 1e9}, "whole seconds"),
        ({"every_s": 5, "tz": "Europe/Rome"}, "an interval has none"),
        ({"cron": ""}, "write five fields"),
        ({"cron": "* * * *"}, "write five fields"),
        ({"cron": "* * * * * *"}, "write five fields"),
        ({"cron": "@often"}, "write five fields"),
        ({"cron": "61 * * * *"}, "Bad minute"),
        ({"cron": "* * 31 2 *"}, "Bad day-of-month"),
        ({"cron": "* * */20 * 1L"}, "never fires"),
        ({"cron": "* * * * *", "tz": "Mars/Phobos"}, "there is no time zone 'Mars/Phobos'"),
        ({"cron": "* * * * *", "tz": "../../etc/passwd"}, "there is no time zone"),
        ({"cron": "* * * * *", "tz": ""}, "there is no time zone"),
    ],
)
def test_what_cannot_be_followed_is_refused(given_: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidInputError, match=says):
        timetable(**given_)  # type: ignore[arg-type]
