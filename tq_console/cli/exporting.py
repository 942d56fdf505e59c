"""Tasks into a file, or to standard output, for `tq tasks export` and `tq dlq export`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tq_console.cli.progress import Progress
from tq_console.view.formats import plural

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation
    from tq_console.view.export import Form
    from tq_core.model import TaskState, TaskView
    from tq_core.query.query import TaskQuery
    from tq_core.roles.search import Search

PAGE = 100
"""Tasks that are read at once, with their whole arguments."""
_OPTIONS = (
    click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file."),
    click.option(
        "--format",
        "form",
        type=click.Choice(["ndjson", "csv"]),
        help="JSON lines, or CSV; by default as the file's name ends.",
    ),
)


def into_a_file(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options that say where the tasks go, and as what."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def export_tasks(
    invocation: Invocation,
    *,
    queues: Sequence[str],
    states: Sequence[TaskState],
    words: TaskQuery | None,
    output: Path | None,
    form: Form | None,
) -> None:
    """Writes every task of the states that fits, whole; says how many there were."""
    from tq_console.cli.task_reading import known_queues, reveal_all
    from tq_console.view.export import form_of, heading, line_of
    from tq_core.roles import search

    chosen = form or form_of(output.name if output else "")
    named = known_queues(invocation, queues or ((words.queue,) if words and words.queue else ()))
    begun = invocation.run(search.begin(named, states, words))
    reveal_all(invocation, _by_queue(begun))
    unread = 0
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("exported", total=None if words else begun.total))
        file = stack.enter_context(output.open("w", encoding="utf-8", newline="")) if output else None

        def write(line: str) -> None:
            if file:
                file.write(line + "\n")
            else:
                invocation.out.line(line)

        for line in heading(chosen):
            write(line)
        for page, unread_here in _pages(invocation, begun, words):
            for task in page:
                write(line_of(task, invocation.masker, chosen))
            progress.advance(len(page))
            unread += unread_here
    invocation.out.talk(f"tq: {plural(progress.done, 'task')} exported")
    if unread:
        invocation.out.talk(f"tq: whether {plural(unread, 'more task')} fit is not known: too long, or sealed")


def _by_queue(begun: Search) -> dict[str, int]:
    depths: dict[str, int] = {}
    for spot in begun.spots:
        depths[spot.queue] = depths.get(spot.queue, 0) + spot.total
    return depths


def _pages(invocation: Invocation, begun: Search, words: TaskQuery | None) -> Iterator[tuple[list[TaskView], int]]:
    """The tasks that fit with their whole arguments, page by page, and of how many more it is not known."""
    from tq_console.cli.task_reading import whole
    from tq_core.roles import search

    judge = invocation.run(search.judge_of(words)) if words else lambda _task: True
    seen: set[str] = set()
    while not begun.is_done:
        found = invocation.run(search.go_on(begun, judge, look_max=PAGE, find_max=PAGE))
        begun = found.search
        # A task that went on meanwhile may be met again, in another list.
        new = [task for task in found.tasks if task.id not in seen]
        seen.update(task.id for task in new)
        yield whole(invocation, new), found.unread
