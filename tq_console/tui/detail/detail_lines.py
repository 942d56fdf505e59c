"""A task in sections: why it is where it is, traceback, arguments, result, log, relatives, timeline, commands."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from rich.cells import cell_len

from tq_console.tui.detail.rows import TASK, Row, Section, broken, plain_rows, section_rows
from tq_console.tui.detail.timeline import timeline
from tq_console.tui.detail.traceback_lines import traceback_spans
from tq_console.tui.detail.value_tree import value_rows
from tq_console.tui.look.canvas import Line, Span
from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.tui.look.wrapping import wrapped
from tq_console.tui.watch.snapshot import Detail
from tq_console.view.formats import age, duration, plural, short_id, size, time_of_day
from tq_console.view.secrets import Masker
from tq_console.view.task_commands import task_commands
from tq_console.view.task_page import error_text
from tq_console.view.text import fit, visible, visible_lines
from tq_core.model import TaskState, TaskView, priority_label
from tq_core.roles.family import Relative

BAR_CELLS = 24
WHY_LINES = 30
RELATIVES_SHOWN = 50


def detail_lines(task: TaskView, why: str, *, now_ms: int, width: int, masker: Masker) -> list[Line]:
    """Everything there is to know, the most urgent first, as it is shown at first."""
    rows = detail_rows(Detail(task.id, task, why), now_ms=now_ms, width=width, masker=masker)
    return [row.line for row in rows]


def detail_rows(detail: Detail, *, now_ms: int, width: int, masker: Masker, toggled: Collection[str] = ()) -> list[Row]:
    """The task as lines; those that open, close or lead on say so.

    Args:
        toggled: Targets that are the other way round than at first.
    """
    task = detail.task
    if task is None:
        gone: Line = [(f"{detail.task_id} is not there any more", "cell--warn")]
        moved: Line = [("  it was moved: it is ", ""), (detail.moved_to, "cell--accent"), (" now, ⏎ opens it", "")]
        return [Row(gone), *([Row(moved, f"{TASK}{detail.moved_to}")] if detail.moved_to else [])]
    sign = TASK_SIGNS[task.state]
    head: Line = [(f"{sign} ", sign.style), (f"{task.type} ", "cell--bold"), (task.id, "cell--dim")]
    lines = [head, *_why(task, detail.why, width, masker), *_progress(task, now_ms, width)]
    lines += _chips(_facts(task, now_ms), width)
    sections = list(_sections(_Page(detail, task, now_ms, masker, toggled)))
    return [*plain_rows(lines), *section_rows(sections, width, toggled)]


def _sections(page: _Page) -> Iterator[Section]:
    detail, task, now_ms, masker = page.detail, page.task, page.now_ms, page.masker
    yield from _tracebacks(task, masker)
    yield Section("arguments", "arguments", page.arguments, note=size(task.payload_bytes))
    if task.state is TaskState.COMPLETED:
        yield Section("result", "result", page.result)
    if detail.log:
        last = f"{plural(len(detail.log), 'line')}, the last {age(now_ms - detail.log[-1].at_ms)} ago"
        yield Section("log", "log", lambda w: _log(detail, w, masker), note=last)
    if detail.parents or detail.children or task.options.linked_to:
        count = len(detail.parents) + len(detail.children)
        note = f"{count:,}" if count else ""
        yield Section("relatives", "relatives", lambda w: _relatives(detail, task, w), note=note)
    attempts = plural(task.attempt, "attempt")
    yield Section("timeline", "timeline", lambda w: plain_rows(timeline(task, now_ms, w, masker)), note=attempts)
    yield Section("commands", "commands", lambda w: _commands(task, w), note="what keys do, for a shell", is_open=False)


@dataclass(frozen=True, slots=True)
class _Page:
    """One task as it is shown now."""

    detail: Detail
    task: TaskView
    now_ms: int
    masker: Masker
    toggled: Collection[str]

    def arguments(self, width: int) -> list[Row]:
        """The arguments as a tree, or what there is of them."""
        task = self.task
        if task.args is not None:
            return value_rows(task.args, width, name="arguments", toggled=self.toggled, masker=self.masker)
        texts = [f"(not read whole: {size(task.payload_bytes)})", *visible_lines(task.payload_text[: 20 * width])]
        return plain_rows([line for text in texts for line in broken(text, width, "")])

    def result(self, width: int) -> list[Row]:
        """The result as a tree."""
        task = self.task
        if task.result_note:
            return plain_rows(broken(f"(not shown: {task.result_note})", width, ""))
        return value_rows(task.result, width, name="result", toggled=self.toggled, masker=self.masker)


# --- what is always there ---


def _why(task: TaskView, why: str, width: int, masker: Masker) -> list[Line]:
    """Why it is where it is; for a task that ended badly that is its error."""
    style = _WHY_STYLES.get(task.state, "")
    return wrapped((str(masker.masked(why)) or error_text(task.error, masker), style), width, WHY_LINES)


_WHY_STYLES = {
    TaskState.FAILED: "cell--bad",
    TaskState.CANCELLED: "cell--warn",
    TaskState.RETRYING: "cell--warn",
    TaskState.BLOCKED: "cell--warn",
}


def _progress(task: TaskView, now_ms: int, width: int) -> list[Line]:
    """How far this run says that it is; what an earlier one said is no news."""
    said = task.progress
    if task.state is not TaskState.RUNNING or said is None or said.at_ms < (task.started_at_ms or 0):
        return []
    share = min(1.0, max(0.0, said.fraction))
    cells = min(BAR_CELLS, max(4, width - 30))
    full = round(share * cells)
    return [
        [
            ("█" * full, "cell--busy"),
            ("░" * (cells - full), "cell--dim"),
            (f" {share:.0%} ", "cell--bold"),
            (fit(visible(said.text), max(4, width - cells - 18)), ""),
            (f" {age(now_ms - said.at_ms)} ago", "cell--dim"),
        ]
    ]


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


# --- what opens and closes ---


def _tracebacks(task: TaskView, masker: Masker) -> Iterator[Section]:
    """The traceback of the last error and, where they differ, of earlier attempts, the newest first."""
    known: list[str] = []
    details = [("traceback", "traceback", task.error or {})]
    for n, attempt in enumerate(reversed(task.history)):
        where = f" on {attempt.worker_id}" if attempt.worker_id else ""
        details.append((f"traceback:{n}", f"traceback of attempt {attempt.attempt}{where}", attempt.detail))
    for name, title, detail in details:
        text = masker.masked(detail).get("traceback")
        if isinstance(text, str) and text and text not in known:
            known.append(text)
            # Of several only the last is open; without a last error, that of the last attempt.
            yield Section(name, title, _traceback_rows(text), note=_last_line(text), is_open=len(known) == 1)


def _traceback_rows(text: str) -> Callable[[int], list[Row]]:
    return lambda width: plain_rows(traceback_spans(text, width))


def _last_line(text: str) -> str:
    lines = visible_lines(text[-2000:].rstrip("\n"))
    return fit(lines[-1], 60) if lines else ""


def _log(detail: Detail, width: int, masker: Masker) -> list[Row]:
    rows = []
    for said in detail.log:
        first, *more = broken(masker.masked(said.text), max(10, width - 13), "")
        rows.append(Row([(f"{time_of_day(said.at_ms)} ", "cell--dim"), *first]))
        rows += [Row([(" " * 13, ""), *line]) for line in more]
    return rows


def _relatives(detail: Detail, task: TaskView, width: int) -> list[Row]:
    rows = [_relative("waited for", relative) for relative in detail.parents[:RELATIVES_SHOWN]]
    rows += [_relative("waits for it", relative) for relative in detail.children[:RELATIVES_SHOWN]]
    if linked := task.options.linked_to:
        rows.append(Row([("  made from    ", "cell--dim"), (linked, "cell--accent")], f"{TASK}{linked}"))
    left = len(detail.parents) + len(detail.children) - len(rows)
    if left > 0:
        rows.append(Row([(fit(f"  and {left:,} more: `tq tasks tree {task.id}`", width), "cell--dim")]))
    return rows


def _relative(how: str, relative: Relative) -> Row:
    view = relative.task
    target = f"{TASK}{relative.task_id}"
    if view is None:
        return Row([(f"  {how:13}", "cell--dim"), (relative.task_id, ""), (" is gone", "cell--dim")], target)
    sign = TASK_SIGNS[view.state]
    where = f" in {view.queue}"
    spans: list[Span] = [(f"  {how:13}", "cell--dim"), (f"{sign} ", sign.style), (f"{view.type} ", "")]
    return Row([*spans, (short_id(view.id), "cell--accent"), (where, "cell--dim")], target)


def _commands(task: TaskView, width: int) -> list[Row]:
    rows = []
    for key, text, command in task_commands(task):
        rows.append(Row([(f"  {key:3}", "cell--key"), (text, "cell--dim")]))
        rows += plain_rows([[("     $ ", "cell--dim"), *line] for line in broken(command, max(10, width - 7), "")])
    return rows
