"""Reading what failed alike: of queues where nothing has failed or gone since, the last answer is still so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tq_console.tui.watch.snapshot import GroupQuestion, GroupsAnswer
from tq_console.view.failure_groups import merged
from tq_core.roles import failure_groups, inspector
from tq_core.roles.failure_groups import GroupMembers
from tq_core.roles.inspector import Groups
from tq_core.transport.steps import Flow
from tq_core.transport.together import together

GROUPS_OF_A_QUEUE = 1_000
"""Up to so many groups of a queue are read; of more, any."""
SAMPLE = 5
TIMES = 200
"""Of so many tasks of a group in each queue it is read when they failed."""

Tally = Mapping[str, tuple[int, int]]
"""Of each queue how many have failed, and how many did in the minutes at hand."""


@dataclass(frozen=True, slots=True)
class GroupsRead:
    """The groups of each queue, and how its numbers stood before they were read."""

    by_queue: Mapping[str, tuple[tuple[int, int], Groups]]
    answer: GroupsAnswer


def read_groups(
    question: GroupQuestion, names: Sequence[str], tally: Tally, last: GroupsRead | None
) -> Flow[GroupsRead]:
    """The groups of queues; a change is seen a refresh after the numbers have told of it.

    Args:
        tally: As of the last answer; a queue that is not in it is read.
    """
    meant = [q for q in names if question.queue in (None, q)]
    kept: dict[str, tuple[tuple[int, int], Groups]] = {}
    asked = []
    for queue in meant:
        now = tally.get(queue)
        known = last.by_queue.get(queue) if last is not None else None
        if known is not None and known[0] == now:
            kept[queue] = known
        elif now is None or now[0]:
            asked.append(queue)
    flows: list[Flow[Any]] = [inspector.groups([queue], limit=GROUPS_OF_A_QUEUE) for queue in asked]
    sample = _still(question, last, kept)
    wanted = [q for q in question.group_queues if q in names] if question.group and sample is None else []
    if wanted:
        flows.append(failure_groups.members(wanted, question.group, limit=SAMPLE, times=TIMES))
    found = yield from together(flows)
    if wanted:
        sample = found.pop()
    kept |= {queue: (tally.get(queue, _UNKNOWN), groups) for queue, groups in zip(asked, found, strict=True)}
    groups = [group for _, of_queue in kept.values() for group in of_queue.groups]
    total = sum(of_queue.total for _, of_queue in kept.values())
    return GroupsRead(kept, GroupsAnswer(question, tuple(merged(groups)), len(groups), total, sample))


_UNKNOWN = (-1, -1)


def _still(question: GroupQuestion, last: GroupsRead | None, kept: Mapping[str, object]) -> GroupMembers | None:
    """The tasks of the group that were read before, where none of its queues has changed."""
    if last is None or last.answer.question.group != question.group:
        return None
    return last.answer.sample if all(queue in kept for queue in question.group_queues) else None
