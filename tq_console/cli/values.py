"""What may be written on a command line: durations, times, priorities, states; each refusal shows an example."""

from __future__ import annotations

from typing import Any

import click

from tq_console.view.written import parse_duration_s, parse_moment_ms
from tq_core.errors import InvalidInputError

STATES = ("blocked", "scheduled", "pending", "running", "retrying", "completed", "failed", "cancelled")
PARENT_POLICIES = ("fail", "skip", "run")
UNIQUE_UNTIL = ("finished", "started")
MAX_DIGITS = 20
"""Far beyond any limit: Python itself refuses to read numbers of some thousands."""
ENDED_STATES = ("completed", "failed", "cancelled")


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A duration, as seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds."""
        if isinstance(value, (int, float)):
            return float(value)
        try:
            return parse_duration_s(value)
        except ValueError:
            self.fail(f"{value!r} is no duration from 0 up: write 90, 1.5s, 5m, 1h30m or 250ms", param, ctx)


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A point in time, as ms since the epoch."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Milliseconds since the epoch."""
        if isinstance(value, int):
            return value
        try:
            return parse_moment_ms(value)
        except ValueError:
            self.fail(
                f"{value!r} is no time: write 2030-01-31T18:00, 2030-01-31T18:00:00Z, 18:00 (the next one) "
                "or seconds since 1970",
                param,
                ctx,
            )


class Priority(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A priority, as its number."""

    name = "priority"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number, 0 first."""
        from tq_core.model import parse_priority

        try:
            return parse_priority(value)
        except InvalidInputError as error:
            self.fail(error.message, param, ctx)


DURATION = Duration()
MOMENT = Moment()
PRIORITY = Priority()
STATE = click.Choice(STATES, case_sensitive=False)
ENDED_STATE = click.Choice(ENDED_STATES, case_sensitive=False)


class CountOrNone(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A whole number, or the word none."""

    name = "number|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """The number, or "none"."""
        text = str(value).strip().lower().replace("_", "").replace(",", "")
        if text == "none":
            return text
        if not (text.isascii() and text.isdigit()) or len(text) > MAX_DIGITS:
            self.fail(f"{value!r} is neither a number from 0 nor none", param, ctx)
        return int(text)


class DurationOrNone(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A duration as ms, or the word none."""

    name = "duration|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Milliseconds, or "none"."""
        if str(value).strip().lower() == "none":
            return "none"
        return round(DURATION.convert(value, param, ctx) * 1000)


class RateOrNone(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """How many in a time, or the word none."""

    name = "rate|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """A Rate, or "none"."""
        from tq_core.roles.limits import Rate

        if str(value).strip().lower() == "none":
            return "none"
        try:
            return Rate.parse(str(value))
        except InvalidInputError as error:
            self.fail(error.message, param, ctx)


class Percent(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A share in percent, with or without the sign."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of percent."""
        text = str(value).strip().removesuffix("%")
        if not text.isascii() or not text.replace(".", "", 1).isdigit():
            self.fail(f"{value!r} is no percentage: write 50%", param, ctx)
        return float(text)


COUNT_OR_NONE = CountOrNone()
DURATION_OR_NONE = DurationOrNone()
RATE_OR_NONE = RateOrNone()
PERCENT = Percent()
