"""Nodes and their workers as the rows of a tree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tq_console.tui.lists.fail_rates import FailRates
from tq_console.tui.lists.slots import Yardstick, node_of, slot_signs, worker_order
from tq_console.tui.look.canvas import Line, Span
from tq_console.tui.look.glyphs import CRASHING, MEMBER_SIGNS, UNKNOWN, Sign
from tq_console.tui.look.wrapping import wrapped
from tq_console.tui.table.rows import Cell, Column, Row, Wanted, Window
from tq_console.view.formats import age, duration, percent, plural, short_id, size
from tq_console.view.node_words import autoscale_words, queue_and_share
from tq_console.view.text import visible
from tq_core.roles.registry import Fleet, Member, NodeInfo, SlotInfo, WorkerInfo

COLUMNS = (
    Column("NODE / WORKER", (20, 24, 28), is_pinned=True),
    Column("STATE", (10, 10, 10)),
    Column("BUSY", (7, 7, 9), is_right=True),
    Column("SLOTS", (10, 12, 16)),
    Column("TASK / QUEUES", (13, 17, 24), grows=True),
    Column("FOR", (5, 5, 6), is_right=True),
    Column("BEAT", (5, 5, 5), is_right=True),
    Column("DONE", (0, 8, 9), is_right=True),
    Column("FAIL", (0, 0, 6), is_right=True),
    Column("FAIL/m", (0, 6, 6), is_right=True),
    Column("CPU", (0, 5, 5), is_right=True),
    Column("MEM", (0, 8, 8), is_right=True),
    Column("HOST", (0, 0, 14)),
    Column("PID", (0, 0, 8), is_right=True),
    Column("VERSION", (0, 0, 18)),
    Column("UP", (0, 0, 5), is_right=True),
    Column("LAG", (0, 0, 7), is_right=True),
)
BAR = 16
"""Slots that a row draws one by one; more are told by their number."""
CPU_HIGH = 90.0
LAG_HIGH_MS = 500


@dataclass(frozen=True, slots=True)
class Leaf:
    """A line of the tree: a node, or one of its workers."""

    id: str
    node_id: str
    node: Member | None
    """None: workers say that they belong to it, and it is not on the register."""
    worker: Member | None
    """None: this is the node's own line."""
    workers: tuple[Member, ...] = ()
    """On the node's own line: all of its."""


def tree(fleet: Fleet) -> list[Leaf]:
    """Each node followed by its workers; among both the lost ones last."""
    by_node: dict[str, list[Member]] = {node.id: [] for node in fleet.nodes}
    for worker in fleet.workers:
        by_node.setdefault(node_of(worker), []).append(worker)
    nodes = {node.id: node for node in fleet.nodes}

    def is_lost(node_id: str) -> bool:
        node = nodes.get(node_id)
        return node.health == "lost" if node else all(w.health == "lost" for w in by_node[node_id])

    leaves = []
    for node_id in sorted(by_node, key=lambda i: (is_lost(i), i)):
        workers = sorted(by_node[node_id], key=lambda w: (w.health == "lost", worker_order(w.id)))
        node = nodes.get(node_id)
        leaves.append(Leaf(node_id, node_id, node, None, tuple(workers)))
        # A worker that is called like its node would be the same row twice.
        leaves += [Leaf(w.id, node_id, node, w) for w in workers if w.id != node_id]
    return leaves


def window(
    leaves: Sequence[Leaf], wanted: Wanted, fleet: Fleet, yardstick: Yardstick, *, rates: FailRates | None = None
) -> Window:
    """The part of the tree that a table wants, as rows; the others are not made."""
    first = wanted.first
    if wanted.anchor_id is not None:
        index = next((i for i, leaf in enumerate(leaves) if leaf.id == wanted.anchor_id), None)
        first += 0 if index is None else index - wanted.anchor_index
    first = max(0, min(first, len(leaves) - 1))
    # Some more to either side: the table asks again only when it runs out.
    shown = leaves[first : first + wanted.count]
    return Window(len(leaves), first, tuple(row_of(leaf, fleet, yardstick, rates) for leaf in shown))


def row_of(leaf: Leaf, fleet: Fleet, yardstick: Yardstick, rates: FailRates | None = None) -> Row:
    """A line of the tree as a row under COLUMNS."""
    rates = rates or FailRates()
    if leaf.worker is None:
        return _node_row(leaf, fleet, rates)
    return _worker_row(leaf, leaf.worker, fleet, yardstick, rates=rates)


def member_sign(member: Member | None) -> Sign:
    """What a node or worker says it does; late, lost or unreadable where that is so."""
    if member is None:
        return UNKNOWN
    if member.health != "live":
        return MEMBER_SIGNS[member.health]
    if isinstance(member.info, NodeInfo) and member.info.trouble:
        return CRASHING
    return UNKNOWN if member.info is None else MEMBER_SIGNS.get(member.info.state, UNKNOWN)


def _node_row(leaf: Leaf, fleet: Fleet, rates: FailRates) -> Row:
    node = leaf.node
    info = node.info if node is not None and isinstance(node.info, NodeInfo) else None
    sign = member_sign(node)
    live = [w for w in leaf.workers if w.health != "lost"]
    said = [w.info for w in live if isinstance(w.info, WorkerInfo)]
    busy, slots = sum(len(w.running) for w in said), sum(w.slots for w in said)
    wanted = info.processes if info else None
    count = f"{len(live)}/{wanted}" if wanted is not None else str(len(live))
    if info is not None:
        queues = ", ".join(queue_and_share(info, queue) for queue in info.queues) or "no queue"
    else:
        queues = "what it says cannot be read" if node else "its node says nothing"
    version = " ".join(part for part in (info.tq_version, info.code_version) if part) if info else ""
    return Row(
        leaf.id,
        (
            Cell(leaf.id, "cell--bold"),
            Cell(str(sign), sign.style),
            Cell(f"{busy}/{slots}" if said else "-", "cell--busy" if busy else "cell--dim"),
            Cell(f"{count} up", "" if wanted in (None, len(live)) else "cell--warn"),
            Cell(queues, "cell--accent" if info else "cell--warn"),
            Cell(""),
            Cell(
                age(node.silent_ms) if node else "-", "cell--dim" if sign.word not in ("late", "lost") else sign.style
            ),
            _number(sum(w.completed for w in said), bool(said)),
            _number(sum(w.failed for w in said), bool(said), "cell--bad"),
            _rate([rates.per_minute(w, fleet.now_ms) for w in said]),
            Cell(""),
            Cell(""),
            Cell(info.host if info else "-", "cell--dim"),
            Cell(str(info.pid) if info else "-", "cell--dim"),
            Cell(version or "-", "cell--dim"),
            Cell(_up(info, fleet), "cell--dim"),
            Cell(""),
        ),
    )


def _worker_row(leaf: Leaf, worker: Member, fleet: Fleet, yardstick: Yardstick, *, rates: FailRates) -> Row:
    sign = member_sign(worker)
    prefix = f"{leaf.node_id}."
    name = f"  └ .{worker.id[len(prefix) :]}" if worker.id.startswith(prefix) else f"  └ {worker.id}"
    head = (Cell(name), Cell(str(sign), sign.style))
    beat = Cell(age(worker.silent_ms), "cell--dim" if sign.word not in ("late", "lost") else sign.style)
    info = worker.info
    if not isinstance(info, WorkerInfo):
        blank = [Cell("-", "cell--dim")] * (len(COLUMNS) - 7)
        said = (Cell("-"), Cell("-"), Cell("what it says cannot be read", "cell--warn"), Cell("-"))
        return Row(leaf.id, (*head, *said, beat, *blank))
    longest = longest_of(info)
    # Of a lost one nobody knows what it still runs.
    is_lost = worker.health == "lost"
    is_long = longest is not None and not is_lost and yardstick.is_long(longest, fleet.now_ms)
    return Row(
        leaf.id,
        (
            *head,
            Cell(f"{len(info.running)}/{info.slots}", "cell--busy" if info.running else "cell--dim"),
            Cell(
                _bar(worker, fleet.now_ms, yardstick),
                "cell--bad" if is_lost else "cell--warn" if is_long else "cell--busy",
            ),
            Cell(longest.type or short_id(longest.task_id)) if longest else Cell("-", "cell--dim"),
            Cell("-" if is_lost else _ran(longest, fleet.now_ms), "cell--warn" if is_long else ""),
            beat,
            _number(info.completed),
            _number(info.failed, style="cell--bad"),
            _rate([None if is_lost else rates.per_minute(info, fleet.now_ms)]),
            Cell(f"{info.cpu_percent:.0f}%", "cell--warn" if info.cpu_percent >= CPU_HIGH else "cell--dim"),
            Cell(size(info.rss_bytes), "cell--dim"),
            Cell(""),
            Cell(str(info.pid), "cell--dim"),
            Cell(""),
            Cell(_up(info, fleet), "cell--dim"),
            Cell(f"{info.loop_lag_ms} ms", "cell--warn" if info.loop_lag_ms >= LAG_HIGH_MS else "cell--dim"),
        ),
        "cell--dim" if is_lost else "",
    )


def longest_of(info: WorkerInfo) -> SlotInfo | None:
    """The task that a worker has been running the longest."""
    return min(info.running, key=lambda slot: slot.started_at_ms or 2**62, default=None)


def slot_lines(worker: Member, fleet: Fleet, yardstick: Yardstick, *, width: int, height: int) -> list[Line]:
    """What a worker is doing: each running task, the longest first, under a heading."""
    info = worker.info
    sign = member_sign(worker)
    heading: list[Span] = [(f" {worker.id} ", "cell--title"), (str(sign), sign.style)]
    if not isinstance(info, WorkerInfo):
        return [heading, [(" what it says cannot be read", "cell--warn")]]
    heading.append((f"  {len(info.running)} of {plural(info.slots, 'slot')} busy", "cell--dim"))
    if worker.health != "live":
        heading.append((f"  as it said {age(worker.silent_ms)} ago", sign.style))
    lines: list[Line] = [heading]
    if not info.running:
        return [*lines, [(" nothing runs here", "cell--dim")]]
    running = sorted(info.running, key=lambda slot: slot.started_at_ms or 2**62)
    room = max(1, height - 1)
    shown = running if len(running) <= room else running[: room - 1]
    lines += [_slot_line(slot, fleet.now_ms, yardstick, width) for slot in shown]
    if len(shown) < len(running):
        lines.append([(f" … {len(running) - len(shown):,} more", "cell--dim")])
    return lines


def _slot_line(slot: SlotInfo, now_ms: int, yardstick: Yardstick, width: int) -> Line:
    is_long = yardstick.is_long(slot, now_ms)
    line: list[Span] = [
        (" ◆ " if is_long else " ▮ ", "cell--warn" if is_long else "cell--busy"),
        (f"{_took(slot, now_ms):>9}  ", "cell--warn" if is_long else ""),
        (f"{slot.type or '?'}  ", "cell--bold"),
        (f"{slot.queue or '?'}  ", "cell--dim"),
        (slot.task_id if width >= 100 else short_id(slot.task_id), "cell--dim"),
    ]
    if slot.progress is not None:
        share = min(1.0, max(0.0, slot.progress))
        filled = round(share * 10)
        line.append((f"  {'█' * filled}{'░' * (10 - filled)} {percent(share)}", "cell--accent"))
    if slot.is_alone:
        line.append(("  alone in its process", "cell--warn"))
    return line


def node_lines(leaf: Leaf, fleet: Fleet, yardstick: Yardstick, *, width: int, height: int) -> list[Line]:
    """A node in facts, then the longest running tasks of all its workers."""
    node = leaf.node
    info = node.info if node is not None and isinstance(node.info, NodeInfo) else None
    sign = member_sign(node)
    lines: list[Line] = [[(f" {leaf.node_id} ", "cell--title"), (str(sign), sign.style)]]
    if info is not None:
        facts = [info.host, f"pid {info.pid}", f"up {_up(info, fleet)}", plural(info.restarts, "restart")]
        versions = [f"tq {info.tq_version or '-'}", f"code {info.code_version or '-'}", f"Python {info.python or '-'}"]
        groups = [facts + versions] if width >= 100 else [facts, versions]
        lines += [[(f" {' · '.join(group)}", "cell--dim")] for group in groups]
        if info.trouble:
            lines.append([(f" {visible(info.trouble)}", "cell--bad")])
        queues = ", ".join(queue_and_share(info, queue) for queue in info.queues) or "none"
        strict = "  the first that has tasks" if info.order == "strict" else ""
        tags = f"  tags {', '.join(info.tags)}" if info.tags else ""
        lines.append([(" queues ", "cell--dim"), (queues, "cell--accent"), (f"{strict}{tags}", "cell--dim")])
        if info.autoscale is not None:
            scales = wrapped((autoscale_words(info.autoscale, fleet.now_ms), ""), width - 9, 2)
            lines += [[(" " * 8 if i else " scales ", "cell--dim"), *line] for i, line in enumerate(scales)]
        types = f"{', '.join(info.types[:12])}{' …' if len(info.types) > 12 else ''}" if info.types else "not said"
        lines.append([(" types  ", "cell--dim"), (types, "")])
    running = [s for w in leaf.workers if w.health != "lost" and isinstance(w.info, WorkerInfo) for s in w.info.running]
    running.sort(key=lambda slot: slot.started_at_ms or 2**62)
    lines += [_slot_line(slot, fleet.now_ms, yardstick, width) for slot in running[: max(0, height - len(lines))]]
    return lines[:height]


def _bar(worker: Member, now_ms: int, yardstick: Yardstick) -> str:
    signs = slot_signs(worker, now_ms, yardstick)
    return "".join(sign.glyph for sign in signs[:BAR]) + ("…" if len(signs) > BAR else "")


def _took(slot: SlotInfo, now_ms: int) -> str:
    return duration(now_ms - slot.started_at_ms) if slot.started_at_ms else "-"


def _ran(slot: SlotInfo | None, now_ms: int) -> str:
    """How long a task has been running, coarsely."""
    return age(now_ms - slot.started_at_ms) if slot is not None and slot.started_at_ms else "-"


def _up(info: NodeInfo | WorkerInfo | None, fleet: Fleet) -> str:
    return age(fleet.now_ms - info.started_at_ms) if info is not None and info.started_at_ms else "-"


def _rate(rates: Sequence[float | None]) -> Cell:
    """Failures a minute of one or several workers; `-` where none of them is known yet."""
    known = [rate for rate in rates if rate is not None]
    if not known:
        return Cell("-", "cell--dim")
    number = sum(known)
    text = f"{number:,.0f}" if number >= 10 or not number else f"{number:.1f}"
    return Cell(text, "cell--bad" if number else "cell--dim")


def _number(number: int, is_known: bool = True, style: str = "") -> Cell:
    if not is_known:
        return Cell("-", "cell--dim")
    return Cell(f"{number:,}", style if number else "cell--dim")
