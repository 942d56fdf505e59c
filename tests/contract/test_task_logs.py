"""What handlers say of themselves is kept with the task: capped, once, and only while the task is there."""

from __future__ import annotations

from typing import Any

from tests.queue_driver import QueueDriver
from tq_core.model import Progress
from tq_core.roles import consumer, operator, task_logs
from tq_core.roles.consumer import ClaimedTask
from tq_core.roles.task_logs import Line, Said
from tq_core.roles.why import in_words


def note(q: QueueDriver, task: ClaimedTask, seq: int, *lines: str, ago_ms: int = 0, **more: Any) -> None:
    said = Said(task_id=task.id, token=task.token, seq=seq, lines=[(ago_ms, text) for text in lines], **more)
    q.run(task_logs.note(q.queue, [said]))


def texts(q: QueueDriver, task_id: str) -> list[str]:
    return [line.text for line in q.run(task_logs.read(task_id))]


def test_lines_and_progress_are_kept_and_outlive_the_run(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    assert q.run(task_logs.read(task.id)) == []

    note(q, task, 1, "begun", "a\nb|c\x1b[31m ü", ago_ms=250, progress=(0.625, "row 5 | of 8"))

    now = q.clock.now_ms
    assert q.run(task_logs.read(task.id)) == [Line(now - 250, "begun"), Line(now - 250, "a\nb|c\x1b[31m ü")]
    assert q.view(task.id).progress == Progress(now, 0.625, "row 5 | of 8")
    assert q.run(in_words(q.view(task.id))).startswith("62% done: row 5 | of 8; taken")
    q.complete(task)
    assert texts(q, task.id) == ["begun", "a\nb|c\x1b[31m ü"]


def test_a_call_that_is_sent_again_adds_nothing_and_the_next_attempt_goes_on(q: QueueDriver) -> None:
    q.put_one(max_attempts=3)
    task = q.take_one()
    note(q, task, 1, "one")
    note(q, task, 1, "one")
    note(q, task, 2, "two")
    q.fail(task, delay_ms=0)
    note(q, task, 3, "last words")
    again = q.take_one()
    note(q, again, 1, "three", progress=(0.5, ""))

    assert texts(q, task.id) == ["one", "two", "last words", "three"]
    note(q, task, 4, progress=(0.9, "of a claim that is over"))
    progress = q.view(task.id).progress
    assert progress is not None
    assert progress.fraction == 0.5


def test_only_the_last_lines_are_kept(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    for part in range(3):
        note(q, task, part + 1, *(f"{part} {n}" for n in range(60)))
    assert texts(q, task.id)[0] == "1 20"
    assert len(texts(q, task.id)) == 100

    note(q, task, 4, *("x" * 2000 for _ in range(9)))
    assert len(q.raw.hget(q.key("logs"), task.id)) < 17_000
    assert texts(q, task.id) == ["x" * 2000] * 8


def test_they_go_with_the_task_and_nothing_is_kept_of_one_that_is_gone(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    note(q, task, 1, "words", progress=(1.0, ""))
    q.run(consumer.release([task]))
    q.run(operator.discard([task.id], actor="ann"))
    note(q, task, 2, "too late", progress=(1.0, ""))

    assert not q.raw.exists(q.key("logs"), q.key("progress"))


def test_a_follower_sees_each_line_once_and_ends_with_the_task(q: QueueDriver) -> None:
    q.put_one()
    task = q.take_one()
    note(q, task, 1, "one")
    first = q.run(task_logs.follow(task.id, []))
    note(q, task, 2, "two")
    second = q.run(task_logs.follow(task.id, first.lines))
    q.complete(task)
    last = q.run(task_logs.follow(task.id, second.lines))

    assert [[line.text for line in more.new] for more in (first, second, last)] == [["one"], ["two"], []]
    assert [more.has_ended for more in (first, second, last)] == [False, False, True]


def test_what_is_new_is_found_though_the_oldest_are_gone() -> None:
    lines = [Line(n, str(n)) for n in range(9)]
    assert task_logs.newer(lines[:5], lines[2:]) == lines[5:]
    assert task_logs.newer(lines[:2], lines[4:]) == lines[4:]
    assert task_logs.newer([], lines) == lines
    assert task_logs.newer(lines, lines) == []
