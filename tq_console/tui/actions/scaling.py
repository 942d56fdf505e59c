"""Presses of + and - gathered into one number for each node, so that five presses are one order."""

from __future__ import annotations

from dataclasses import dataclass

from tq_console.tui.actions.workers import PROCESSES_MAX
from tq_core.roles.registry import NodeInfo

SETTLE_S = 0.6
"""After the last press; then the order goes out."""
TRUSTED_S = 5.0
"""So long what was ordered counts, though the node still says the old number."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a node to have."""

    node: NodeInfo
    """As it was at the first press."""
    processes: int
    settles_at_s: float


class Scaling:
    """What is wanted and not yet ordered, by node."""

    def __init__(self) -> None:
        self.wishes: dict[str, Wish] = {}
        self._ordered: dict[str, tuple[int, int, float]] = {}

    def press(self, node: NodeInfo, step: int, now_s: float) -> Wish:
        """One process more or less than is wanted by now."""
        before = self.wishes.get(node.node_id)
        from_here = before.processes if before else self._present(node, now_s)
        processes = min(PROCESSES_MAX, max(0, from_here + step))
        wish = Wish(before.node if before else node, processes, now_s + SETTLE_S)
        self.wishes[node.node_id] = wish
        return wish

    def settled(self, now_s: float) -> list[Wish]:
        """Takes out the wishes that nobody has touched for SETTLE_S; one that changes nothing is dropped."""
        ripe = [wish for wish in self.wishes.values() if wish.settles_at_s <= now_s]
        for wish in ripe:
            del self.wishes[wish.node.node_id]
        wanted = [wish for wish in ripe if wish.processes != self._present(wish.node, now_s)]
        for wish in wanted:
            # Down to none is asked about first, and the answer may be no.
            if wish.processes:
                self._ordered[wish.node.node_id] = (wish.node.processes, wish.processes, now_s)
        return wanted

    def drop(self, node_id: str) -> bool:
        """Forgets what is wanted of a node; False where nothing was."""
        return self.wishes.pop(node_id, None) is not None

    def _present(self, node: NodeInfo, now_s: float) -> int:
        """What the node has, or was just told to have: its heartbeat comes after the order."""
        was, ordered, at_s = self._ordered.get(node.node_id, (-1, 0, 0.0))
        return ordered if was == node.processes and now_s - at_s < TRUSTED_S else node.processes
