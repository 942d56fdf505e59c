"""A list of tasks is read around the row that its table holds on to."""

from __future__ import annotations

from dataclasses import replace

from tq_console.tui.lists.feed import TaskFeed
from tq_console.tui.table.rows import Cell, Row, Wanted
from tq_console.tui.watch.snapshot import TaskList, TaskListQuestion
from tq_core.model import TaskState, TaskView
from tq_core.roles.browser import Placed


def task(number: int) -> TaskView:
    return TaskView(
        id=f"t{number:06}@mail",
        type="work",
        queue="mail",
        state=TaskState.PENDING,
        priority=100,
        attempt=0,
        max_attempts=4,
        created_at_ms=1,
    )


def loaded(first: int, count: int, total: int) -> TaskFeed:
    feed = TaskFeed(TaskState.PENDING)
    rows = tuple(Placed(task(n), float(n)) for n in range(first, first + count))
    assert feed.accept(TaskList(TaskListQuestion(TaskState.PENDING), total, first, rows))
    return feed


def test_the_first_question_asks_for_the_start_of_the_list() -> None:
    asked = TaskFeed(TaskState.PENDING, queue="mail").question(Wanted(0, 80, None, 0))
    assert asked == TaskListQuestion(TaskState.PENDING, queue="mail", first=0, count=80)


def test_the_row_that_is_held_on_to_is_the_place_of_the_next_question() -> None:
    asked = loaded(100, 100, 10_000).question(Wanted(110, 80, "t000150@mail", 150))
    assert asked.place is not None
    assert (asked.place.task_id, asked.before, asked.count - asked.before) == ("t000150@mail", 40, 40)


def test_a_list_that_is_scrolled_on_is_read_from_its_nearest_loaded_row() -> None:
    asked = loaded(0, 100, 10_000).question(Wanted(120, 80, "t000010@mail", 10))
    assert asked.place is not None
    assert (asked.place.task_id, asked.before) == ("t000010@mail", 0)
    assert asked.count >= 190
    asked = loaded(300, 100, 10_000).question(Wanted(220, 80, "gone@mail", 230))
    assert asked.place is not None
    assert (asked.place.task_id, asked.before) == ("t000300@mail", 80)


def test_a_jump_far_away_asks_by_index() -> None:
    asked = loaded(0, 100, 1_000_000).question(Wanted(999_900, 100, "t000010@mail", 10))
    assert (asked.place, asked.first, asked.count) == (None, 999_900, 100)


def test_an_answer_about_another_list_is_not_taken() -> None:
    feed = loaded(0, 3, 3)
    other = TaskList(TaskListQuestion(TaskState.FAILED), 1, 0, (Placed(task(9), 9.0),))
    assert not feed.accept(other)
    assert not feed.accept(replace(other, question=TaskListQuestion(TaskState.PENDING, words="x")))
    assert feed.task("t000001@mail") is not None
    assert feed.task("t000009@mail") is None


def test_what_is_loaded_is_a_window() -> None:
    window = loaded(10, 3, 50).window(lambda view: Row(view.id, (Cell(view.type),)))
    assert (window.total, window.offset, [row.id for row in window.rows]) == (
        50,
        10,
        ["t000010@mail", "t000011@mail", "t000012@mail"],
    )
