"""The sign, word and style of every state: never a colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from tq_core.model import TaskState


@dataclass(frozen=True, slots=True)
class Sign:
    """How a state is shown."""

    glyph: str
    word: str
    style: str
    """A component class, such as cell--good."""

    def __str__(self) -> str:
        return f"{self.glyph} {self.word}"


TASK_SIGNS = {
    TaskState.BLOCKED: Sign("□", "blocked", "cell--dim"),
    TaskState.SCHEDULED: Sign("◷", "scheduled", "cell--accent"),
    TaskState.PENDING: Sign("○", "pending", ""),
    TaskState.RUNNING: Sign("▶", "running", "cell--busy"),
    TaskState.RETRYING: Sign("↻", "retrying", "cell--warn"),
    TaskState.COMPLETED: Sign("✓", "completed", "cell--good"),
    TaskState.FAILED: Sign("✗", "failed", "cell--bad"),
    TaskState.CANCELLED: Sign("⊘", "cancelled", "cell--dim"),
}

MEMBER_SIGNS = {
    "running": Sign("●", "running", "cell--good"),
    "paused": Sign("‖", "paused", "cell--warn"),
    "draining": Sign("◌", "draining", "cell--warn"),
    "late": Sign("?", "late", "cell--warn"),
    "lost": Sign("✗", "lost", "cell--bad"),
}
CRASHING = Sign("✗", "crashing", "cell--bad")
UNKNOWN = Sign("?", "unknown", "cell--dim")

QUEUE_SIGNS = {
    "open": Sign("▶", "open", "cell--good"),
    "idle": Sign("·", "idle", "cell--dim"),
    "paused": Sign("‖", "paused", "cell--warn"),
    "full": Sign("■", "full", "cell--bad"),
    "unserved": Sign("!", "no worker", "cell--bad"),
    "nodes_paused": Sign("‖", "no taker", "cell--warn"),
    "breaker": Sign("⊘", "breaker", "cell--bad"),
}

BLOCKS = " ▁▂▃▄▅▆▇█"


def sparkline(values: list[float], width: int) -> str:
    """Values as a line of blocks, the newest at the right; the highest is a full block, what is not 0 is seen."""
    shown = values[-width:]
    top = max(shown, default=0.0)
    line = "".join(
        BLOCKS[0] if value <= 0 or top <= 0 else BLOCKS[max(1, round(value / top * (len(BLOCKS) - 1)))]
        for value in shown
    )
    return line.rjust(width)
