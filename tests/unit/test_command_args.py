"""What a command to a node may say: all of it is checked before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from tq_core.errors import InvalidInputError
from tq_worker.supervisor.command_args import (
    Args,
    Autoscale,
    KillTask,
    KillWorker,
    Leave,
    LogLevel,
    Scale,
    Stacks,
    read,
)


def test_what_is_well_said_is_read() -> None:
    assert read({}, Args) == Args()
    assert read({"processes": 0, "slots": 1000}, Scale) == Scale(processes=0, slots=1000)
    assert read({"deadline_s": 5}, Leave).deadline_s == 5.0
    assert read({"task_id": "t", "mode": "cancel", "why": "x"}, KillTask) == KillTask(
        task_id="t", mode="cancel", why="x"
    )
    assert read({"worker_id": None}, Stacks) == Stacks()


@pytest.mark.parametrize(
    ("args", "kind", "said"),
    [
        ({"processes": True}, Scale, "processes: Expected `int.*got `bool`"),
        ({"processes": 2.5}, Scale, "processes"),
        ({"processes": "2"}, Scale, "processes"),
        ({"processes": -1}, Scale, "processes"),
        ({"processes": 10**30}, Scale, "processes"),
        ({"processes": 2, "slots": 0}, Scale, "slots"),
        ({"processes": 2, "colour": "red"}, Scale, "unknown field `colour`"),
        ({"least": 1, "most": [2]}, Autoscale, "most"),
        ({"deadline_s": float("nan")}, Leave, "deadline_s"),
        ({"deadline_s": float("inf")}, Leave, "deadline_s"),
        ({"deadline_s": -0.1}, Leave, "deadline_s"),
        ({"deadline_s": False}, Leave, "deadline_s"),
        ({}, KillTask, "task_id"),
        ({"task_id": ""}, KillTask, "task_id"),
        ({"task_id": "x" * 201}, KillTask, "task_id"),
        ({"task_id": "t", "mode": "KILL"}, KillTask, "mode"),
        ({"worker_id": {"a": 1}}, KillWorker, "worker_id"),
        ({"level": "loud"}, LogLevel, "level"),
        ({"x" * 10_000: 1}, Args, "unknown field"),
    ],
)
def test_what_cannot_be_obeyed_is_refused_with_where_it_is_wrong(
    args: dict[str, Any], kind: type[Args], said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said) as refused:
        read(args, kind)
    assert len(refused.value.message) < 400
