"""The filter of tasks as an option of a command."""

from __future__ import annotations

import click

from tq_core.errors import InvalidInputError
from tq_core.roles.task_filter import TaskFilter, parse_filter


class Filter(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A filter of tasks."""

    name = "words"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> TaskFilter:
        """The parsed filter."""
        if isinstance(value, TaskFilter):
            return value
        try:
            return parse_filter(str(value))
        except InvalidInputError as error:
            self.fail(error.message, param, ctx)


FILTER = Filter()
