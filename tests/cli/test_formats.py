"""Numbers in words, times from words."""

from __future__ import annotations

import datetime as dt

import pytest

from tq_console.view import formats
from tq_console.view.written import parse_duration_s, parse_moment_ms


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "-"),
        (0, "0 ms"),
        (999.4, "999 ms"),
        (1000, "1 s"),
        (2550, "2.5 s"),
        (42_900, "42 s"),
        (200_000, "3 m 20 s"),
        (3_900_000, "1 h 5 m"),
        (3_600_000, "1 h"),
        (2 * 86_400_000, "2 d"),
        (-5, "0 ms"),
    ],
)
def test_durations_have_at_most_two_units(ms: float | None, text: str) -> None:
    assert formats.duration(ms) == text


@pytest.mark.parametrize(
    ("ms", "text"), [(500, "0s"), (3_000, "3s"), (720_000, "12m"), (90_000_000, "1d"), (None, "-")]
)
def test_ages_have_one_unit(ms: float | None, text: str) -> None:
    assert formats.age(ms) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (512, "512 B"), (1536, "1.5 KiB"), (83 * 1024**2, "83 MiB"), (2**50, "1024 TiB")],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert formats.size(size_bytes) == text


@pytest.mark.parametrize(("per_s", "text"), [(0, "0/s"), (0.02, "1.2/m"), (1.25, "1.2/s"), (12_345.6, "12,346/s")])
def test_rates(per_s: float, text: str) -> None:
    assert formats.rate(per_s) == text


def test_only_generated_ids_are_shortened() -> None:
    assert formats.short_id("01jd7q0v3k0a19c8x7v6b5n4m2") == "v6b5n4m2"
    assert formats.short_id("report-2030-01@reports") == "report-2030-01@reports"


def test_a_time_that_no_calendar_has_is_still_shown() -> None:
    assert formats.clock(2**62) == f"{2**62} ms"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("1 h 5 m", 3900)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "-5", "5x", "m5", "1h-5m", "1e3", "inf", "nan", "\u0665m", "5m5", "9" * 400, "9" * 306]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_duration_s(text)


NOON = dt.datetime(2030, 1, 31, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2030-01-31T18:00:00Z", "2030-01-31T18:00:00+00:00"),
        ("2030-01-31 18:00+02:00", "2030-01-31T16:00:00+00:00"),
        ("1900000000", "2030-03-17T17:46:40+00:00"),
        ("18:00", "2030-01-31T18:00:00+00:00"),
        ("9:30", "2030-02-01T09:30:00+00:00"),
        ("12:00:00", "2030-02-01T12:00:00+00:00"),
    ],
)
def test_times_are_read(text: str, wanted: str) -> None:
    assert parse_moment_ms(text, now=NOON) == dt.datetime.fromisoformat(wanted).timestamp() * 1000


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2030-13-01", "12", "2030-01-31T18:00:00+99:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_moment_ms(text, now=NOON)
