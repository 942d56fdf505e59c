"""The Overview and the Tasks screen at three sizes, empty, busy and cut off, compared with how they last looked.

`make test ARGS='tests/tui/test_snapshots.py --snapshot-update'` takes them anew: look at them before they go in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from tests.tui.pictures.shots import NARROW, NORMAL, OVERVIEW, TASKS, WIDE, Shot, staged

EMPTY = Shot("overview-empty", shows="no queue and no worker yet", is_empty=True)
NO_TASK = Shot("tasks-empty", ("4",), shows="no running task", is_empty=True)
SNAPSHOTS = (
    *(
        replace(shot, name=f"{shot.name}-{size[0]}", size=size)
        for shot in (OVERVIEW, TASKS)
        for size in (NARROW, NORMAL, WIDE)
    ),
    *(
        replace(shot, name=f"{shot.name}-{size[0]}", size=size)
        for shot in (EMPTY, NO_TASK)
        for size in (NARROW, NORMAL)
    ),
    replace(OVERVIEW, name="overview-cut-off", shows="STALE 14s", is_cut_off=True, size=NARROW),
    replace(TASKS, name="tasks-cut-off", shows="STALE 14s", is_cut_off=True),
)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times of day are those of UTC, wherever the machine is."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("shot", SNAPSHOTS, ids=lambda shot: shot.name)
def test_the_screen_looks_as_it_did(shot: Shot, snap_compare: Callable[..., bool]) -> None:
    app, act = staged(shot)

    assert snap_compare(app, terminal_size=shot.size, run_before=act)
