"""What happened to a task and when: its states, each attempt, what was done to stop it."""

from __future__ import annotations

from tq_console.tui.detail.rows import broken
from tq_console.tui.look.canvas import Line
from tq_console.tui.look.glyphs import TASK_SIGNS
from tq_console.view.formats import age, duration, time_of_day
from tq_console.view.secrets import Masker
from tq_console.view.task_page import stopping_text
from tq_core.model import Attempt, TaskState, TaskView


def timeline(task: TaskView, now_ms: int, width: int, masker: Masker) -> list[Line]:
    """Oldest first."""
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
    return [*(line for _, _, lines in in_order for line in lines), *_asked(task, width, masker)]


def _asked(task: TaskView, width: int, masker: Masker) -> list[Line]:
    """Who asked a running task to stop; when is known to the audit only."""
    if not task.cancel_asked:
        return []
    asked = masker.masked(task.cancel_asked)
    how = "kill" if asked.get("mode") == "kill" else "cancel"
    why = f": {asked['why']}" if asked.get("why") else ""
    words = f"{asked.get('by', 'somebody')} asked it to stop ({how}){why}; its worker asks, interrupts, then ends it"
    return [[("  ", ""), *line] for line in broken(words, max(10, width - 2), "cell--warn")]


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
        lines += [[("    ", ""), *line] for line in broken(said, max(10, width - 4), "cell--bad")]
    if stopping := stopping_text(detail.get("stopping")):
        stopped = broken(f"to stop it: {stopping}", max(10, width - 4), "cell--dim")
        lines += [[("    ", ""), *line] for line in stopped]
    return lines


def _moment(at_ms: int, now_ms: int, what: str, *, style: str, words: str) -> Line:
    distance = f"{age(now_ms - at_ms)} ago" if at_ms <= now_ms else f"in {age(at_ms - now_ms)}"
    return [
        (f"{time_of_day(at_ms)} ", "cell--dim"),
        (f"{distance:>9}  ", "cell--dim"),
        (f"{what} ", style),
        (words, ""),
    ]
