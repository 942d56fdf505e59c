"""One task for people: its facts as labelled lines, its history, its traceback."""

from __future__ import annotations

from typing import Any

from tq_console.view.formats import clock, duration, size
from tq_console.view.secrets import Masker
from tq_console.view.text import json_line, visible, visible_lines
from tq_core.model import Attempt, TaskView, priority_label

Fact = tuple[str, str]


NOT_SHOWN = "not shown: "
"""What the text of arguments begins with that are sealed and cannot be opened here (tq_core.keyspace.wire)."""


def facts(task: TaskView, why: str, masker: Masker) -> list[Fact]:
    """Label and safe text of everything there is to say in one line."""
    found: list[tuple[str, str | None]] = [
        ("id", task.id),
        ("type", task.type),
        ("queue", task.queue),
        ("state", str(task.state)),
        ("why", masker.masked(why)),
        ("priority", priority_label(task.priority)),
        ("attempt", f"{task.attempt} of {task.max_attempts}"),
        ("arguments", arguments_text(task, masker)),
        ("result", result_text(task, masker) if task.state == "completed" else None),
        ("error", error_text(task.error, masker) or None),
        ("progress", progress_text(task) if task.state == "running" else None),
        ("worker", task.worker_id),
        ("enqueued", clock(task.created_at_ms)),
        ("due", clock(task.due_at_ms) if task.due_at_ms else None),
        ("started", clock(task.started_at_ms) if task.started_at_ms else None),
        ("finished", clock(task.finished_at_ms) if task.finished_at_ms else None),
        ("took", duration(task.duration_ms) if task.duration_ms is not None else None),
        ("lease until", clock(task.lease_end_ms) if task.lease_end_ms else None),
        ("timeout", duration(task.options.timeout_s * 1000) if task.options.timeout_s else None),
        ("soft timeout", duration(task.options.soft_timeout_s * 1000) if task.options.soft_timeout_s else None),
        ("memory limit", f"{task.options.memory_limit_mb} MiB" if task.options.memory_limit_mb else None),
        ("expires", clock(task.expires_at_ms) if task.expires_at_ms else None),
        ("unique key", _unique_text(task)),
        ("crashes", str(task.crashes) if task.crashes else None),
        ("lost leases", str(task.lost) if task.lost else None),
        ("limit key", task.options.limit_key),
        ("depends on", ", ".join(task.options.depends_on) or None),
        ("made from", task.options.linked_to),
        ("submitted by", task.options.submitted_by),
        ("trace", task.options.trace_id),
    ]
    return [(label, visible(text)) for label, text in found if text]


def _unique_text(task: TaskView) -> str | None:
    """The key, and how it is held where that is not until the task ends."""
    options = task.options
    if task.unique_key is None:
        return None
    if options.unique_for_s is not None:
        return f"{task.unique_key} (for {duration(options.unique_for_s * 1000)})"
    if options.debounce_s is not None:
        most = f", {duration(options.debounce_max_s * 1000)} at most" if options.debounce_max_s is not None else ""
        return f"{task.unique_key} (debounced by {duration(options.debounce_s * 1000)}{most})"
    return f"{task.unique_key} (until it starts)" if options.unique_until == "started" else task.unique_key


def arguments_text(task: TaskView, masker: Masker) -> str:
    """The arguments as JSON with secrets masked; a payload that cannot be read is only described."""
    if task.args is not None:
        return json_line(masker.masked(task.args))
    if task.payload_text.startswith(NOT_SHOWN):
        return f"({size(task.payload_bytes)}, {task.payload_text})"
    what = "not read whole" if len(task.payload_text.encode()) < task.payload_bytes else "no JSON object"
    return f"({size(task.payload_bytes)}, {what})"


def progress_text(task: TaskView) -> str | None:
    """How far its handler said that it is."""
    return f"{task.progress.fraction:.0%} {task.progress.text}".strip() if task.progress else None


def result_text(task: TaskView, masker: Masker) -> str:
    """The result as JSON with secrets masked, or why it is not shown."""
    return f"(not shown: {task.result_note})" if task.result_note else json_line(masker.masked(task.result))


def error_text(error: dict[str, Any] | None, masker: Masker) -> str:
    """Why a task ended badly, in one line."""
    if not error:
        return ""
    known = masker.masked(error)
    said = ": ".join(str(known[field]) for field in ("type", "message") if known.get(field))
    whose = ": ".join(
        part for part in (f"by {known['by']}" if known.get("by") else "", str(known.get("why", ""))) if part
    )
    reason = str(known.get("reason", "?"))
    # That an error is an error goes without saying; every other reason does not.
    named = "" if reason == "error" and said else f"({reason})"
    return visible(" ".join(part for part in (named, said, whose) if part))


def history_lines(history: tuple[Attempt, ...], masker: Masker) -> list[str]:
    """One line for each run that did not end well and each intervention, oldest first."""
    lines = []
    for attempt in history:
        detail = masker.masked(attempt.detail)
        said = ": ".join(str(detail[field]) for field in ("type", "message") if detail.get(field))
        said = said or " ".join(str(detail[field]) for field in ("by", "why") if detail.get(field))
        where = f" on {attempt.worker_id}" if attempt.worker_id else ""
        number = f" attempt {attempt.attempt}" if attempt.attempt else ""
        took = f" after {duration(attempt.duration_ms)}" if attempt.duration_ms else ""
        lines.append(visible(f"{clock(attempt.at_ms)}  {attempt.outcome}{number}{where}{took}  {said}".rstrip()))
        if stopping := stopping_text(detail.get("stopping")):
            lines.append(visible(f"    to stop it: {stopping}"))
    return lines


def stopping_text(steps: object) -> str:
    """What a worker did to stop a handler, with how long that was after its start."""
    if not isinstance(steps, list):
        return ""
    told = [step for step in steps if isinstance(step, list) and len(step) == 2 and isinstance(step[1], int)]
    return "; ".join(f"{what} at {duration(at_ms)}" for what, at_ms in told)


def traceback_lines(task: TaskView, masker: Masker) -> list[str]:
    """The last error's traceback; empty where there is none."""
    detail = task.error or (task.history[-1].detail if task.history else {})
    text = masker.masked(detail).get("traceback")
    return visible_lines(text.rstrip("\n")) if isinstance(text, str) and text else []
