"""A task as lines: why it is where it is, its timeline, arguments, result, attempts and tracebacks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
from rich.cells import cell_len, chop_cells

from tq_console.tui.look.canvas import Line, Span
from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.view.formats import age, clock, duration, size
from tq_console.view.secrets import Masker
from tq_console.view.task_page import error_text, stopping_text
from tq_console.view.text import fit, visible, visible_lines
from tq_core.model import Attempt, TaskState, TaskView, priority_label

VALUE_LINES_MAX = 400
"""Lines of one value that are shown; the rest is said in a number."""


def detail_lines(task: TaskView, why: str, *, now_ms: int, width: int, masker: Masker) -> list[Line]:
    """Everything there is to know, the most urgent first."""
    sign = TASK_SIGNS[task.state]
    lines: list[Line] = [
        [(f"{sign} ", sign.style), (f"{task.type} ", "cell--bold"), (task.id, "cell--dim")],
    ]
    lines += _why(task, why, width, masker)
    lines += _chips(_facts(task, now_ms), width)
    lines += _traceback(task, width, masker)
    lines += _section("arguments", width, _value(task, masker), note=size(task.payload_bytes))
    if task.state is TaskState.COMPLETED:
        result = (
            [f"(not shown: {task.result_note})"]
            if task.result_note
            else _pretty(task.result, masker, (task.id, task.created_at_ms, task.finished_at_ms))
        )
        lines += _section("result", width, result)
    lines += _timeline(task, now_ms, width, masker)
    return lines


def _why(task: TaskView, why: str, width: int, masker: Masker) -> list[Line]:
    """Why it is where it is; for a task that ended badly that is its error."""
    style = _WHY_STYLES.get(task.state, "")
    return _wrapped(masker.masked(why), width, style) if why else _wrapped(error_text(task.error, masker), width, style)


_WHY_STYLES = {
    TaskState.FAILED: "cell--bad",
    TaskState.CANCELLED: "cell--warn",
    TaskState.RETRYING: "cell--warn",
    TaskState.BLOCKED: "cell--warn",
}


def _chips(facts: Iterable[tuple[str, str]], width: int) -> list[Line]:
    """Labels and values side by side, as many on a line as fit."""
    lines: list[list[Span]] = []
    used = width
    for label, text in facts:
        safe = fit(visible(text), max(8, width - len(label) - 1))
        cells = len(label) + 1 + cell_len(safe)
        if used + 3 + cells > width:
            lines.append([])
            used = 0
        else:
            lines[-1].append(("   ", ""))
            used += 3
        lines[-1] += [(f"{label} ", "cell--dim"), (safe, "")]
        used += cells
    return [*lines]


def _facts(task: TaskView, now_ms: int) -> Iterable[tuple[str, str]]:
    yield "queue", task.queue
    yield "priority", priority_label(task.priority)
    yield "attempt", f"{task.attempt} of {task.max_attempts}" + (f", {task.crashes} crashes" if task.crashes else "")
    if task.worker_id:
        yield "worker", task.worker_id
    if task.options.timeout_s:
        yield "timeout", duration(task.options.timeout_s * 1000)
    if task.duration_ms is not None:
        yield "took", duration(task.duration_ms)
    if task.lease_end_ms is not None:
        left = task.lease_end_ms - now_ms
        yield "lease", f"{age(left)} left" if left >= 0 else f"ran out {age(-left)} ago"
    if task.expires_at_ms is not None:
        left = task.expires_at_ms - now_ms
        yield "expires", f"in {age(left)}" if left >= 0 else f"since {age(-left)}"
    if task.unique_key:
        yield "unique key", task.unique_key
    if task.options.limit_key:
        yield "limit key", task.options.limit_key
    if task.options.depends_on:
        yield "depends on", ", ".join(task.options.depends_on)
    if task.options.linked_to:
        yield "made from", task.options.linked_to
    if task.options.submitted_by:
        yield "by", task.options.submitted_by
    if task.options.trace_id:
        yield "trace", task.options.trace_id


def _value(task: TaskView, masker: Masker) -> list[str]:
    if task.args is not None:
        return _pretty(task.args, masker, (task.id, task.created_at_ms, task.payload_bytes, "arguments"))
    return [f"(not read whole: {size(task.payload_bytes)})", *visible_lines(task.payload_text)]


def _pretty(value: Any, masker: Masker, key: tuple[object, ...]) -> list[str]:
    """The value over several lines, each safe; what was shown a moment ago costs nothing.

    Args:
        key: Says which value of which task it is; what has the same key never changes.
    """
    for known, whose, lines in _PRETTY:
        if whose is masker and known == key:
            return lines
    try:
        text = msgspec.json.format(msgspec.json.encode(masker.masked(value)), indent=2).decode()
    except RecursionError:
        text = "(nested too deeply to be shown)"
    # What is left out is only counted.
    rows = text.split("\n")
    lines = [visible(line) for line in rows[:VALUE_LINES_MAX]] + rows[VALUE_LINES_MAX:]
    _PRETTY.append((key, masker, lines))
    return lines


_PRETTY: deque[tuple[tuple[object, ...], Masker, list[str]]] = deque(maxlen=4)


def _section(title: str, width: int, texts: list[str], *, note: str = "") -> list[Line]:
    lines: list[Line] = [[], [(f"── {title} ", "cell--title"), (note, "cell--dim")]]
    room = VALUE_LINES_MAX
    for n, text in enumerate(texts):
        if room <= 0:
            lines.append([(f"… {len(texts) - n:,} more lines", "cell--dim")])
            break
        # A line of megabytes is cut before it is looked at.
        head = text[: room * width]
        wrapped = _wrapped(head, width, "")[:room]
        lines += wrapped
        room -= len(wrapped)
        if len(head) < len(text):
            lines.append([(f"… {len(text) - len(head):,} more characters", "cell--dim")])
    return lines


def _timeline(task: TaskView, now_ms: int, width: int, masker: Masker) -> list[Line]:
    """What happened to it and when, oldest first."""
    enqueued = _moment(task.created_at_ms, now_ms, "enqueued", style="cell--dim", words="")
    moments = [(task.created_at_ms, 0, [enqueued])]
    moments += [(attempt.at_ms, 2, _attempt(attempt, now_ms, width, masker)) for attempt in task.history]
    if task.started_at_ms is not None:
        words = f"attempt {task.attempt} on {task.worker_id}" if task.worker_id else f"attempt {task.attempt}"
        taken = _moment(task.started_at_ms, now_ms, "taken", style="cell--busy", words=words)
        moments.append((task.started_at_ms, 1, [taken]))
    if task.due_at_ms is not None:
        due = _moment(task.due_at_ms, now_ms, "due", style="cell--accent", words="")
        moments.append((task.due_at_ms, 3, [due]))
    if task.finished_at_ms is not None and not _ends_with_an_attempt(task):
        sign = TASK_SIGNS[task.state]
        took = f"after {duration(task.duration_ms)}" if task.duration_ms is not None else ""
        ended = _moment(task.finished_at_ms, now_ms, sign.word, style=sign.style, words=took)
        moments.append((task.finished_at_ms, 4, [ended]))
    in_order = sorted(moments, key=lambda moment: moment[:2])
    return [[], [("── timeline ", "cell--title")], *(line for _, _, lines in in_order for line in lines)]


def _ends_with_an_attempt(task: TaskView) -> bool:
    """Whether its last attempt says how it ended, which need not be said twice."""
    last = task.history[-1] if task.history else None
    return last is not None and (last.at_ms, last.outcome) == (task.finished_at_ms, task.state)


def _attempt(attempt: Attempt, now_ms: int, width: int, masker: Masker) -> list[Line]:
    detail = masker.masked(attempt.detail)
    said = ": ".join(str(detail[field]) for field in ("type", "message") if detail.get(field))
    said = said or " ".join(str(detail[field]) for field in ("by", "why") if detail.get(field))
    where = f"on {attempt.worker_id}" if attempt.worker_id else ""
    took = f"after {duration(attempt.duration_ms)}" if attempt.duration_ms else ""
    number = f"attempt {attempt.attempt}" if attempt.attempt else ""
    words = " ".join(part for part in (number, took, where) if part)
    style = "cell--bad" if attempt.outcome == TaskState.FAILED else "cell--warn"
    lines = [_moment(attempt.at_ms, now_ms, attempt.outcome, style=style, words=words)]
    if said:
        lines += [[("    ", ""), *line] for line in _wrapped(said, max(10, width - 4), "cell--bad")]
    if stopping := stopping_text(detail.get("stopping")):
        stopped = _wrapped(f"to stop it: {stopping}", max(10, width - 4), "cell--dim")
        lines += [[("    ", ""), *line] for line in stopped]
    return lines


def _moment(at_ms: int, now_ms: int, what: str, *, style: str, words: str) -> Line:
    distance = f"{age(now_ms - at_ms)} ago" if at_ms <= now_ms else f"in {age(at_ms - now_ms)}"
    return [
        (f"{clock(at_ms)[11:23]} ", "cell--dim"),
        (f"{distance:>9}  ", "cell--dim"),
        (f"{what} ", style),
        (words, ""),
    ]


def _traceback(task: TaskView, width: int, masker: Masker) -> list[Line]:
    """The tracebacks of the last error and, where they differ, of earlier attempts, the newest first."""
    texts: list[tuple[str, str]] = []
    details = [
        ("traceback", task.error or {}),
        *((f"traceback of attempt {a.attempt}", a.detail) for a in reversed(task.history)),
    ]
    for title, detail in details:
        text = masker.masked(detail).get("traceback")
        if isinstance(text, str) and text and text not in (known for _, known in texts):
            texts.append((title, text))
    lines: list[Line] = []
    for title, text in texts:
        lines += _section(title, width, visible_lines(text.rstrip("\n")))
    return lines


def _wrapped(text: str, width: int, style: str) -> list[Line]:
    """One safe text over as many lines as it takes."""
    safe = visible(text)
    spans: list[Span] = [(part, style) for part in chop_cells(safe, max(10, width))] or [("", style)]
    return [[span] for span in spans]
