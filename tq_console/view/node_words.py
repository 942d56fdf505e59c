"""What a node says of itself, in the words of commands and screens."""

from __future__ import annotations

from tq_console.view.formats import age
from tq_core.roles.registry import Autoscale, NodeInfo


def queue_and_share(info: NodeInfo, queue: str) -> str:
    """A queue as `--queues` takes it: with its share where that is not one."""
    weight = info.weights.get(queue, 1)
    return queue if weight == 1 else f"{queue}:{weight}"


def autoscale_words(scaled: Autoscale, now_ms: int) -> str:
    """The bounds of a node that scales itself, and what it decided last."""
    bounds = f"{scaled.least}:{scaled.most}"
    if not scaled.at_ms:
        return bounds
    return f"{bounds}; {age(now_ms - scaled.at_ms)} ago to {scaled.processes}: {scaled.why}"
