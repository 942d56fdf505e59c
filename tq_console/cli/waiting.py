"""Waiting for the end of tasks, and saying how it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.progress import Interrupted
from tq_console.cli.task_reading import reveal
from tq_console.view.records import task_record
from tq_console.view.task_page import error_text
from tq_console.view.text import json_line
from tq_core.errors import PayloadRefusedError, WaitTimeoutError
from tq_core.model import TaskState
from tq_core.roles import ends, inspector
from tq_core.roles.why import in_words

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation


def print_end(invocation: Invocation, task_id: str, *, timeout_s: float | None) -> ExitCode:
    """Waits for a task to end; prints its result, or on stderr how it ended badly; returns how to exit.

    Raises:
        NotFoundError: it is not there.
        WaitTimeoutError: it has not ended in time.
    """
    try:
        task = invocation.run(ends.wait(task_id, timeout_s=timeout_s))
    except WaitTimeoutError as error:
        now = invocation.run(inspector.show_one(task_id))
        why = invocation.run(in_words(now))
        raise WaitTimeoutError(f"{task_id} is still {now.state} after {timeout_s:g} s: {why}") from error
    except KeyboardInterrupt as error:
        raise Interrupted(f"interrupted: {task_id} goes on; `tq tasks wait {task_id}` waits again") from error
    reveal(invocation, [task])
    out, masker = invocation.out, invocation.masker
    if out.is_json:
        out.record(task_record(task, masker))
    elif task.result_note:
        raise PayloadRefusedError(f"{task_id} completed, and its result is not shown: {task.result_note}")
    elif task.state is TaskState.COMPLETED:
        out.line(json_line(masker.masked(task.result)))
    if task.state is TaskState.COMPLETED:
        return ExitCode.OK
    out.talk(f"tq: {task_id} {task.state}: {error_text(task.error, masker)}")
    return ExitCode.FAILED
