"""Tasks of a list into a file of this machine, as `tq tasks export` writes them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from tq_console.tui.actions.errands import Errand, Reader, Say
from tq_console.tui.actions.stopping import KEY, Stop
from tq_console.tui.actions.whole_list import WholeList
from tq_console.view.export import Form, form_of, heading, line_of
from tq_console.view.formats import plural
from tq_console.view.secrets import Masker
from tq_core.errors import InvalidInputError
from tq_core.model import TaskView
from tq_core.roles import inspector, search

PAGE = 100
WHOLE_PAYLOAD_BYTES = 4 * 1024 * 1024


def file_name(what: str) -> str:
    """A name that is free at this second."""
    return f"tq-{what}-{dt.datetime.now().astimezone():%Y%m%d-%H%M%S}.ndjson"


def export(name: str, chosen: WholeList | Sequence[str], *, masker: Masker, stop: Stop) -> Errand:
    """Writes tasks into a file; there is none by its name until it is whole.

    Args:
        chosen: All of a list, or ids.

    Raises:
        InvalidInputError: there is such a file already, or can be none.
    """
    try:
        path = Path(name).expanduser().absolute()
        is_there = path.exists()
    except (OSError, ValueError, RuntimeError) as error:
        raise InvalidInputError(f"{name!r} can be no file: {error}") from error
    if is_there:
        raise InvalidInputError(f"{path} is there already: nothing was written; choose another name")
    part = path.with_name(path.name + ".part")
    form = form_of(path.name)

    async def errand(link: Reader, say: Say) -> str:
        try:
            with part.open("x", encoding="utf-8", newline="") as file:
                file.writelines(f"{line}\n" for line in heading(form))
                writer = _Writer(file, form, masker, say)
                if isinstance(chosen, WholeList):
                    await _all_of(link, chosen, writer, stop)
                else:
                    await _named(link, chosen, writer, stop)
            if stop.is_wanted:
                return f"stopped: nothing was kept of {path.name}"
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        unread = f"; of {plural(writer.unread, 'more task')} it is not known whether they fit" if writer.unread else ""
        return f"{plural(writer.written, 'task')} written to {path}{unread}\n$ {_command(chosen, name)}"

    return errand


class _Writer:
    def __init__(self, file: TextIO, form: Form, masker: Masker, say: Say) -> None:
        self._file, self._form, self._masker, self._say = file, form, masker, say
        self.written = self.unread = 0

    def write(self, tasks: Sequence[TaskView], looked: int, total: int) -> None:
        """Writes some, and says how far it is."""
        self._file.writelines(f"{line_of(task, self._masker, self._form)}\n" for task in tasks)
        self.written += len(tasks)
        self._say(f"{self.written:,} tasks written, {looked:,} of {total:,} read · {KEY} stops it")


async def _all_of(link: Reader, chosen: WholeList, writer: _Writer, stop: Stop) -> None:
    query = chosen.query
    queues = [chosen.queue] if chosen.queue else None
    at = await link.ask(search.begin(queues, chosen.states, query))
    judge: Callable[[TaskView], bool | None] = lambda _task: True  # noqa: E731 - one of two judges
    if query is not None:
        judge = await link.ask(search.judge_of(query))
    while not at.is_done and not stop.is_wanted:
        found = await link.ask(search.go_on(at, judge, look_max=PAGE, find_max=PAGE, payload_max=WHOLE_PAYLOAD_BYTES))
        at = found.search
        writer.unread += found.unread
        writer.write(found.tasks, at.looked, at.total)


async def _named(link: Reader, ids: Sequence[str], writer: _Writer, stop: Stop) -> None:
    for first in range(0, len(ids), PAGE):
        if stop.is_wanted:
            return
        tasks = await link.ask(inspector.show(ids[first : first + PAGE], payload_max=WHOLE_PAYLOAD_BYTES))
        writer.write([task for task in tasks if task is not None], min(first + PAGE, len(ids)), len(ids))


def _command(chosen: WholeList | Sequence[str], name: str) -> str:
    if isinstance(chosen, WholeList):
        return chosen.export_command(name)
    return f"tq tasks export --output {name}   # the {len(chosen):,} that were marked"
