"""Which tasks are meant: a query as an argument or option of a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tq_core.errors import InvalidInputError

if TYPE_CHECKING:
    from tq_core.query.query import TaskQuery

HELP = "Tasks that fit a query such as 'type:mail* error:timeout age:>10m NOT queue:a'; see `tq tasks list -h`."
LANGUAGE = """
QUERY chooses tasks; conditions must all hold, unless joined by OR:
  state:failed  type:mail*  queue:a  reason:poison  worker:w3*  id:*k3f9
  error:timeout  invoice            text in the error; text anywhere
  age:>10m  ended:<1h  took:>5s     ms s m h d w; age is since the enqueue
  attempt:>2  priority:high
  args.user.id=42  result.code:5*   = is exact, : takes * and ?, > < compare
  NOT x  -x  a OR b  a | b  (a b) "quoted text"
Secret fields cannot be searched for."""


class Filter(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A query over tasks."""

    name = "query"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> TaskQuery:
        """The parsed query."""
        from tq_core.query.query import TaskQuery, parse_query

        if isinstance(value, TaskQuery):
            return value
        try:
            return parse_query(str(value))
        except InvalidInputError as error:
            self.fail(error.message, param, ctx)


FILTER = Filter()


VIEW = click.option("--view", metavar="NAME", help="The query that is saved under this name; see `tq config views`.")


def one_of(query: TaskQuery | None, words: TaskQuery | None, view: str | None) -> TaskQuery | None:
    """The query, as an argument, as an option or under its name.

    Raises:
        UsageError: it was given in several ways.
        NotFoundError: there is no such view.
    """
    if sum(given is not None for given in (query, words, view)) > 1:
        raise click.UsageError("give one of QUERY, --filter and --view", click.get_current_context())
    if view is not None:
        from tq_console.view.saved_views import view_named

        return view_named(view)
    return query or words
