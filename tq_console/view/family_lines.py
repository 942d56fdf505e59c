"""A task's parents and children as an indented list."""

from __future__ import annotations

from collections.abc import Iterator

from tq_console.view.text import visible
from tq_core.roles.family import Family, Relative

STEP = "   "


def family_lines(found: Family) -> Iterator[str]:
    """The task, below it those that it waits or waited for, then those that still wait for it; nearest first."""
    under: dict[str, list[Relative]] = {}
    own = next(relative for relative in found.relatives if relative.depth == 0)
    for relative in found.relatives:
        if relative.of:
            under.setdefault(relative.of, []).append(relative)
    yield _line(own)
    for title, sign in (("waits or waited for", -1), ("is waited for by", 1)):
        first = [relative for relative in under.get(own.task_id, ()) if relative.depth == sign]
        if first:
            yield title
            yield from _walk(first, under, sign)


def _walk(first: list[Relative], under: dict[str, list[Relative]], sign: int) -> Iterator[str]:
    # A stack, since a chain may be longer than Python's own allows.
    stack = list(reversed(first))
    while stack:
        relative = stack.pop()
        yield STEP * abs(relative.depth) + _line(relative)
        stack += (r for r in reversed(under.get(relative.task_id, [])) if r.depth == relative.depth + sign)


def _line(relative: Relative) -> str:
    task = relative.task
    told = f"{task.state.value}  {task.type}  {task.queue}" if task else "gone"
    return visible(f"{relative.task_id}  {told}")
