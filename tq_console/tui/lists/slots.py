"""Worker slots as cells: what each does, as a glyph and a colour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tq_console.tui.look.canvas import Line, Span
from tq_console.tui.look.glyphs import Sign
from tq_console.view.formats import plural
from tq_core.roles.inspector import QueueStats
from tq_core.roles.registry import Fleet, Member, SlotInfo, WorkerInfo

IDLE = Sign("·", "idle", "cell--dim")
RUNNING = Sign("▮", "running", "cell--busy")
LONG = Sign("◆", "long or late", "cell--warn")
LOST = Sign("✗", "lost", "cell--bad")
UNREADABLE = Sign("?", "unknown", "cell--warn")
_GAP = Sign(" ", "", "")
_STROKE = Sign("│", "", "cell--dim")

LONG_AT_LEAST_MS = 10_000
LONG_TIMES = 4
"""A task that runs so many times as long as 95 of 100 of its queue do is long."""
LONG_UNKNOWN_MS = 60_000
"""What is long in a queue of which nothing was measured."""
NAME = 20
NODE_TAIL = 4
CELLS_A_LINE = 24
"""Cells for slots on a line that is not wide."""


class Yardstick:
    """From when on a running task counts as long, by queue."""

    def __init__(self, queues: Iterable[QueueStats]) -> None:
        """Takes the run times that were measured; they are looked at where something runs."""
        self._numbers = {queue.queue: queue for queue in queues}
        self._long_ms: dict[str, int] = {}

    def is_long(self, slot: SlotInfo, now_ms: int) -> bool:
        """Whether a task runs longer than is usual in its queue."""
        return slot.started_at_ms > 0 and now_ms - slot.started_at_ms > self._long(slot.queue)

    def _long(self, queue: str) -> int:
        known = self._long_ms.get(queue)
        if known is None:
            numbers = self._numbers.get(queue)
            usual = numbers.latency_ms("run", 0.95) if numbers else None
            known = LONG_UNKNOWN_MS if usual is None else max(LONG_AT_LEAST_MS, LONG_TIMES * usual)
            self._long_ms[queue] = known
        return known


def slot_signs(worker: Member, now_ms: int, yardstick: Yardstick) -> list[Sign]:
    """One sign for each slot of a worker: what runs, the longest first, then the idle ones."""
    info = worker.info
    if not isinstance(info, WorkerInfo):
        return []
    if worker.health == "lost":
        return [LOST] * max(info.slots, len(info.running))
    running = sorted(info.running, key=lambda slot: slot.started_at_ms or now_ms)
    is_late = worker.health == "late"
    signs = [LONG if is_late or yardstick.is_long(slot, now_ms) else RUNNING for slot in running]
    return signs + [LONG if is_late else IDLE] * max(0, info.slots - len(signs))


def spans_of(signs: Sequence[Sign]) -> list[Span]:
    """Signs side by side, as few spans as will do."""
    spans: list[Span] = []
    for sign in signs:
        if spans and spans[-1][1] == sign.style:
            spans[-1] = (spans[-1][0] + sign.glyph, sign.style)
        else:
            spans.append((sign.glyph, sign.style))
    return spans


def slot_summary(fleet: Fleet, yardstick: Yardstick) -> Line:
    """How many slots are busy, long, lost."""
    busy = total = long = lost = 0
    for worker in fleet.workers:
        info = worker.info
        if not isinstance(info, WorkerInfo):
            continue
        if worker.health == "lost":
            lost += max(info.slots, len(info.running))
            continue
        total += info.slots
        busy += len(info.running)
        long += sum(yardstick.is_long(slot, fleet.now_ms) for slot in info.running)
    line: list[Span] = [
        ("── slots ", "cell--title"),
        (f"{busy:,} of {total:,} busy", "cell--busy" if busy else "cell--dim"),
    ]
    if long:
        line.append((f"  {LONG.glyph} {long:,} long", LONG.style))
    if lost:
        line.append((f"  {LOST.glyph} {lost:,} lost", LOST.style))
    return line


def slot_lines(fleet: Fleet, yardstick: Yardstick, *, width: int, height: int) -> list[Line]:
    """A heading with the numbers, and one cell for each slot."""
    strip = heat_strip(fleet, yardstick, width=width, height=height - 1)
    nothing: list[Line] = [[(" no worker: `tq-worker MODULE` starts some, as does W on 3 Workers", "cell--dim")]]
    return [slot_summary(fleet, yardstick), *(strip or nothing)]


def heat_strip(fleet: Fleet, yardstick: Yardstick, *, width: int, height: int) -> list[Line]:
    """One cell for each slot: a named line for each node where that fits, else all in a row.

    Late nodes come first, lost ones last. What does not fit is counted; only what fits is looked at.
    """
    workers: dict[str, list[Member]] = {}
    for worker in fleet.workers:
        workers.setdefault(node_of(worker), []).append(worker)
    health = {node.id: node.health for node in fleet.nodes}
    order = sorted(workers, key=lambda node_id: (_RANK[health.get(node_id, "lost")], node_id))
    for node_id in order:
        workers[node_id].sort(key=lambda worker: worker_order(worker.id))
    blocks = [(node_id, workers[node_id]) for node_id in order]
    name_width = min(NAME, max(8, width // 4))
    lines: list[Line] = []
    for node_id, members in blocks:
        lines += _node_lines(node_id, members, fleet.now_ms, yardstick, width=width, name_width=name_width)
        if len(lines) > height:
            return _flowing(blocks, fleet.now_ms, yardstick, width=width, height=height)
    return lines


def _flowing(
    blocks: Sequence[tuple[str, Sequence[Member]]], now_ms: int, yardstick: Yardstick, *, width: int, height: int
) -> list[Line]:
    """All slots in a row over several lines, a gap after each worker and a stroke after each node."""
    lines: list[list[Span]] = [[(" ", "")]]
    used, first = 1, 0  # the first node on the last line, of which the line may hold only a part
    for position, (_, members) in enumerate(blocks):
        of_node = [slot_signs(member, now_ms, yardstick) or [UNREADABLE] for member in members]
        signs = [sign for of_worker in of_node for sign in (*of_worker, _GAP)][:-1]
        cells = [*signs, _GAP, _STROKE, _GAP] if position + 1 < len(blocks) else signs
        for sign in cells:
            if used >= width - 1:
                if len(lines) == height:
                    left = plural(len(blocks) - first, "node")
                    lines[-1] = [(f" … the slots of {left} do not fit", "cell--dim")]
                    return list(lines)
                lines.append([(" ", "")])
                used, first = 1, position
            lines[-1] += spans_of([sign])
            used += 1
    return list(lines)


def _node_lines(
    node_id: str, workers: Sequence[Member], now_ms: int, yardstick: Yardstick, *, width: int, name_width: int
) -> list[Line]:
    """A node's name, then its workers' slots, a gap between workers, wrapped at the width."""
    lines: list[list[Span]] = [[(f" {_short(node_id, name_width):<{name_width}} ", "cell--dim")]]
    begin = name_width + 2
    used = begin
    room = max(8, width - begin - 1)
    for worker in workers:
        signs = slot_signs(worker, now_ms, yardstick) or [UNREADABLE]
        if used > begin and used + len(signs) > begin + room:
            lines.append([(" " * begin, "")])
            used = begin
        for start in range(0, len(signs), room):
            part = signs[start : start + room]
            if start:
                lines.append([(" " * begin, "")])
                used = begin
            lines[-1] += [*spans_of(part), (" ", "")]
            used += len(part) + 1
    return list(lines)


def rows_wanted(fleet: Fleet, *, most: int) -> int:
    """About how many lines `slot_lines` would fill, up to a number."""
    cells: dict[str, int] = {}
    for worker in fleet.workers:
        slots = worker.info.slots if isinstance(worker.info, WorkerInfo) else 1
        cells[node_of(worker)] = cells.get(node_of(worker), 0) + slots + 1
    return min(most, 1 + max(1, sum(-(-count // CELLS_A_LINE) for count in cells.values())))


def _short(node_id: str, width: int) -> str:
    """A node's id, cut in its middle: it begins with the host, and its end tells it from others there."""
    tail = min(NODE_TAIL, width // 3)
    return node_id if len(node_id) <= width else f"{node_id[: width - tail - 1]}…{node_id[len(node_id) - tail :]}"


def node_of(worker: Member) -> str:
    """The node that a worker belongs to: what it says, else what its id says."""
    said = worker.info.node_id if isinstance(worker.info, WorkerInfo) else ""
    return said or worker.id.rpartition(".")[0] or worker.id


def worker_order(worker_id: str) -> tuple[int, str]:
    """Sorts NODE.2 before NODE.10."""
    number = worker_id.rpartition(".")[2]
    return (int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0, worker_id)


_RANK = {"late": 0, "live": 1, "lost": 2}
