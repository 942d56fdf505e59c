"""A list that is searched together is gathered in parts, seen again, and gathered anew after a rest."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from tq_console.tui.lists.hunt import LOOK_MORE, REST_S, REST_SHARE, STALE_S, HuntFeed
from tq_console.tui.table.rows import Cell, Row, Wanted
from tq_console.tui.watch.snapshot import HuntAnswer, TaskList, TaskListQuestion
from tq_core.model import TaskState, TaskView
from tq_core.roles.browser import Placed
from tq_core.roles.search import Search, Spot

WANTED = Wanted(0, 10, None, 0)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def task(name: str, state: TaskState = TaskState.FAILED, attempt: int = 1) -> TaskView:
    return TaskView(
        id=f"{name}@mail", type=name, queue="mail", state=state, priority=100, attempt=attempt, max_attempts=4
    )


def answer(
    asked: TaskListQuestion, rows: Sequence[tuple[TaskView, float]], *, looked: int, again: dict[str, TaskView | None]
) -> TaskList:
    at = Search((Spot(queue="mail", state=TaskState.FAILED, total=5_000, looked=looked, is_done=looked >= 5_000),))
    return TaskList(asked, 0, 0, tuple(Placed(*row) for row in rows), HuntAnswer(at, 0, again))


def names(feed: HuntFeed) -> list[str]:
    window = feed.window(lambda view: Row(view.id, (Cell(view.type),)), WANTED)
    return [row.cells[0].text for row in window.rows]


def test_a_hunt_goes_on_is_seen_again_and_begins_anew_the_more_seldom_the_longer_it_takes() -> None:
    clock = Clock()
    feed = HuntFeed((TaskState.RUNNING, TaskState.FAILED), words="x", clock=clock)
    first = feed.question(WANTED)
    assert first.hunt is not None
    assert first.hunt.search is None
    assert feed.accept(answer(first, [(task("old"), 1.0), (task("new"), 2.0)], looked=500, again={}))
    # The newest failure first; what is on screen is asked for again.
    assert names(feed) == ["new", "old"]
    assert not feed.accept(answer(TaskListQuestion(TaskState.FAILED), [], looked=1, again={}))
    asked = feed.question(WANTED)
    assert asked.hunt is not None
    assert asked.hunt.again == (("new@mail", "mail"), ("old@mail", "mail"))

    # An answer to what was asked before changes nothing twice.
    clock.now_s = 3.0
    again = {f"{n}@mail": None for n in ("old", "b", "c", "d", "e")}
    came = answer(asked, [(task("late", TaskState.RUNNING), 0.0)], looked=2_000, again={**again})
    assert feed.accept(came)
    assert feed.accept(came)
    assert names(feed) == ["late", "new"]
    assert (feed.is_searching, feed.is_whole) == (False, False)

    # As far as it may: then it rests, sees again, and goes on when it is told to.
    asked = feed.question(WANTED)
    assert asked.hunt is not None
    assert asked.hunt.look_max == 0
    feed.accept(answer(asked, [], looked=2_000, again={"new@mail": task("new", attempt=3)}))
    assert [row.task.attempt for row in feed.rows()] == [1, 3]
    assert feed.search_on()
    assert feed.look_max == 2_000 + LOOK_MORE
    asked = feed.question(WANTED)
    clock.now_s = 4.0
    feed.accept(answer(asked, [], looked=5_000, again={}))
    assert (feed.is_whole, feed.search_on()) == (True, False)

    # The next gathering is behind what is shown until it is over.
    clock.now_s += max(REST_S, REST_SHARE * 4.0) - 0.1
    asked = feed.question(WANTED)
    assert asked.hunt is not None
    assert asked.hunt.look_max == 0
    clock.now_s += 0.2
    asked = feed.question(WANTED)
    assert feed.is_gathering
    feed.accept(answer(asked, [(task("other"), 9.0)], looked=500, again={}))
    assert names(feed) == ["late", "new"]
    feed.accept(answer(feed.question(WANTED), [], looked=5_000, again={}))
    assert names(feed) == ["other"]


def test_a_hunt_whose_rows_have_gone_is_gathered_sooner() -> None:
    clock = Clock()
    feed = HuntFeed((TaskState.FAILED,), words="x", clock=clock)
    rows = [(task(name), 1.0) for name in "abcd"]
    feed.accept(answer(feed.question(WANTED), rows, looked=5_000, again={}))
    feed.accept(answer(feed.question(WANTED), [], looked=5_000, again={f"{n}@mail": None for n in "ab"}))
    clock.now_s = STALE_S
    asked = feed.question(WANTED)
    assert asked.hunt is not None
    assert asked.hunt.look_max > 0
    assert names(feed) == ["d", "c"]


def test_a_sorted_hunt_keeps_its_rows_in_place_while_they_change() -> None:
    feed = HuntFeed((TaskState.FAILED,), clock=Clock())
    rows = [(task(name, attempt=n), float(n)) for n, name in enumerate("cab")]
    feed.accept(answer(feed.question(WANTED), rows, looked=5_000, again={}))
    feed.sort(lambda view: view.type, is_reversed=True)
    assert names(feed) == ["c", "b", "a"]
    feed.accept(
        answer(feed.question(WANTED), [], looked=5_000, again={"b@mail": msgspec.structs.replace(task("b"), type="zz")})
    )
    assert names(feed) == ["c", "zz", "a"]
    held = Wanted(0, 2, "a@mail", 1)
    window = feed.window(lambda view: Row(view.id, ()), held)
    assert (window.total, window.offset, [row.id for row in window.rows]) == (3, 1, ["b@mail", "a@mail"])
