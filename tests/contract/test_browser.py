"""Windows of one state's tasks over several queues: always a piece of the one sorted list."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.queue_driver import QueueDriver
from tq_core.model import TaskState
from tq_core.roles import browser, inspector, operator, producer, registry
from tq_core.roles.browser import END, START, Place, Placed, TaskWindow
from tq_core.transport.steps import Batch, Command, Flow, Pause
from tq_core.transport.together import together

QUEUES = ("alpha", "beta", "gamma")
EMPTY = "empty"


def fill(q: QueueDriver, *, tasks: int = 90, seed: int = 7) -> None:
    """Scheduled tasks of several queues, many of them due at the same moments."""
    rng = random.Random(seed)
    for queue in (*QUEUES, EMPTY):
        q.run(registry.register_queue(queue))
    for _ in range(tasks):
        queue = rng.choice(QUEUES)
        q.run(producer.enqueue_one(queue, producer.new_task("t", {}, delay_s=rng.randint(1, 12))))


def whole_list(q: QueueDriver, state: TaskState = TaskState.SCHEDULED) -> list[tuple[float, str, str]]:
    """The one sorted list, made the slow way."""
    found = []
    for queue in QUEUES:
        for task_id, score in q.raw.zrange(f"tq:{{{queue}}}:{state}", 0, -1, withscores=True):
            found.append((float(score), queue, task_id.decode()))
    return sorted(found, key=lambda row: (row[0], row[1], row[2].encode()))


def ids(window: TaskWindow) -> list[str]:
    return [row.task.id for row in window.rows]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_window_around_any_task_is_a_piece_of_the_sorted_list(q: QueueDriver, newest_first: bool) -> None:
    fill(q)
    expected = whole_list(q)[:: -1 if newest_first else 1]
    wanted = [task_id for _, _, task_id in expected]

    for index in range(0, len(wanted), 7):
        score, queue, task_id = expected[index]
        found = q.run(
            browser.window(
                (*QUEUES, EMPTY),
                TaskState.SCHEDULED,
                place=Place(score, queue, task_id),
                before=8,
                from_there=13,
                newest_first=newest_first,
            )
        )
        first = max(0, index - 8)
        assert (found.total, found.place_index, found.offset) == (len(wanted), index, first)
        assert ids(found) == wanted[first : index + 13]


@pytest.mark.parametrize("newest_first", [False, True])
def test_the_list_has_a_start_and_an_end(q: QueueDriver, newest_first: bool) -> None:
    fill(q, tasks=20)
    wanted = [task_id for _, _, task_id in whole_list(q)[:: -1 if newest_first else 1]]
    start, end = (END, START) if newest_first else (START, END)

    def read(place: Place | None, before: int, from_there: int) -> TaskWindow:
        return q.run(
            browser.window(
                QUEUES,
                TaskState.SCHEDULED,
                place=place,
                before=before,
                from_there=from_there,
                newest_first=newest_first,
            )
        )

    assert ids(read(None, 5, 6)) == ids(read(start, 5, 6)) == wanted[:6]
    last = read(end, 6, 5)
    assert (ids(last), last.offset, last.place_index) == (wanted[-6:], 14, 20)


def test_a_place_stays_where_it_was_when_its_task_has_gone(q: QueueDriver) -> None:
    fill(q, tasks=40)
    before = whole_list(q)
    score, queue, task_id = before[20]
    q.run(operator.cancel([task_id], actor="ann"))
    wanted = [row[2] for row in whole_list(q)]

    found = q.run(
        browser.window(
            QUEUES, TaskState.SCHEDULED, place=Place(score, queue, task_id), before=4, from_there=4, newest_first=False
        )
    )

    assert found.total == 39
    # Among tasks of the very same moment there may be a few of its queue before it; the place is never far away.
    assert abs(found.place_index - 20) <= sum(row[0] == score for row in before)
    assert ids(found) == wanted[found.offset : found.offset + len(found.rows)]


def test_many_queues_share_a_window_which_is_shorter_but_never_wrong(q: QueueDriver) -> None:
    queues = [f"q{n:02}" for n in range(12)]
    rng = random.Random(3)
    for queue in queues:
        q.run(registry.register_queue(queue))
    for _ in range(200):
        q.run(producer.enqueue_one(rng.choice(queues[:9]), producer.new_task("t", {}, delay_s=rng.randint(1, 40))))
    scored = sorted(
        (float(score), queue, task_id.decode())
        for queue in queues
        for task_id, score in q.raw.zrange(f"tq:{{{queue}}}:scheduled", 0, -1, withscores=True)
    )
    score, queue, task_id = scored[100]

    found = q.run(
        browser.window(
            queues,
            TaskState.SCHEDULED,
            place=Place(score, queue, task_id),
            before=30,
            from_there=30,
            newest_first=False,
        )
    )

    assert (found.total, found.place_index) == (200, 100)
    assert len(found.rows) > 20
    assert ids(found) == [row[2] for row in scored[found.offset : found.offset + len(found.rows)]]


def test_one_queue_among_many_may_hold_the_whole_window(q: QueueDriver) -> None:
    queues = [f"q{number:02}" for number in range(12)]
    for number, queue in enumerate(queues):
        delays = range(1, 61) if queue == "q05" else (100 + number,)
        q.run(producer.enqueue(queue, [producer.new_task("t", {}, delay_s=delay) for delay in delays]))
    expected = [
        task_id.decode() for task_id in q.raw.zrange("tq:{q05}:scheduled", 0, -1) if not task_id.startswith(b"#")
    ]
    middle = Place(float(q.raw.zscore("tq:{q05}:scheduled", expected[30])), "q05", expected[30])

    start = q.run(browser.window(queues, TaskState.SCHEDULED, from_there=50))
    around = q.run(browser.window(queues, TaskState.SCHEDULED, place=middle, before=25, from_there=25))

    assert ids(start) == expected[:50]
    assert (ids(around), around.offset) == (expected[5:55], 5)


@pytest.mark.parametrize("right", [True, False])
def test_what_is_expected_of_each_queue_saves_reading_and_changes_nothing(q: QueueDriver, right: bool) -> None:
    names = [f"q{n:02}" for n in range(30)]
    for n, name in enumerate(names):
        for _ in range(12 if n == 4 else n % 3):
            q.run(producer.enqueue_one(name, producer.new_task("t", {}, delay_s=10 + n % 7)))
    plain = q.run(browser.window(names, TaskState.SCHEDULED, from_there=10))
    held = plain.rows[6].place
    around = browser.window(names, TaskState.SCHEDULED, place=held, before=5, from_there=6)
    expected = Counter(row.task.queue for row in plain.rows) if right else {"q29": 10}

    trips: list[int] = []
    found = q.run(counted(browser.window(names, TaskState.SCHEDULED, from_there=10, expected=expected), trips))
    assert ids(found) == ids(plain)
    assert sum(trips) == 30 if right else sum(trips) > 30
    assert ids(
        q.run(browser.window(names, TaskState.SCHEDULED, place=held, before=5, from_there=6, expected=expected))
    ) == ids(q.run(around))


def counted(flow: Flow[TaskWindow], asked: list[int]) -> Flow[TaskWindow]:
    """The flow, and of each round trip how many queues were asked."""
    answer = None
    while True:
        try:
            step = flow.send(answer)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        asked.append(len(step.steps) if isinstance(step, Batch) else 1)
        answer = yield step


def test_running_tasks_are_counted_and_read_without_the_sentinel(q: QueueDriver) -> None:
    q.put_many(5)
    taken = {task.id for task in q.take(5)}
    for newest_first in (False, True):
        found = q.run(browser.window([q.queue], TaskState.RUNNING, newest_first=newest_first))
        assert (found.total, found.offset, set(ids(found))) == (5, 0, taken)
        end = START if newest_first else END
        last = q.run(browser.window([q.queue], TaskState.RUNNING, place=end, before=9, newest_first=newest_first))
        assert (last.place_index, set(ids(last))) == (5, taken)


def test_ended_tasks_come_newest_first_and_no_queue_gives_an_empty_list(q: QueueDriver) -> None:
    q.put_many(3)
    order: list[str] = []
    for task in q.take(3):
        q.clock.advance(10)
        q.complete(task)
        order.insert(0, task.id)
    assert ids(q.run(browser.window([q.queue], TaskState.COMPLETED))) == order
    assert q.run(browser.window([], TaskState.COMPLETED)) == TaskWindow(total=0, offset=0, place_index=0, rows=())


@pytest.mark.parametrize("queues", [QUEUES[:1], QUEUES])
def test_an_index_far_away_has_a_place_near_it(q: QueueDriver, queues: tuple[str, ...]) -> None:
    fill(q, tasks=90)
    numbers = q.run(inspector.stats(queues))
    depths = [n.depths[TaskState.SCHEDULED] for n in numbers]
    for index in (0, 3, sum(depths) // 2, sum(depths) - 1, sum(depths), 10**9):
        place = q.run(browser.place_at(queues, TaskState.SCHEDULED, index, depths))
        found = q.run(browser.window(queues, TaskState.SCHEDULED, place=place))
        allowed = 0 if len(queues) == 1 else 20
        assert abs(found.place_index - min(index, sum(depths))) <= allowed


# --- together ---


def test_flows_that_run_together_share_one_round_trip(q: QueueDriver) -> None:
    q.put_many(2)
    flows = together([inspector.stats([q.queue]), registry.fleet(), browser.window([q.queue], TaskState.PENDING)])
    step = next(flows)
    assert len(step.steps) == 3  # type: ignore[union-attr]
    with pytest.raises(StopIteration) as end:
        flows.send(q.ask(step))
    numbers, fleet, window = end.value.value
    assert (numbers[0].depths[TaskState.PENDING], fleet.nodes, window.total) == (2, (), 2)


def test_flows_of_different_length_and_with_nothing_to_ask_run_together(q: QueueDriver) -> None:
    q.put_many(1)

    def nothing(word: str) -> Flow[str]:
        if not word:
            yield Command(("PING",))
        return word

    found = q.run(together([nothing("at once"), inspector.stats(), registry.server_time_ms()]))
    assert found[0] == "at once"
    assert found[1][0].queue == q.queue
    assert found[2] > 0


def test_an_error_is_raised_in_all_flows_and_a_flow_that_waits_is_refused(q: QueueDriver) -> None:
    closed = []

    def careful() -> Flow[None]:
        try:
            yield Command(("GET", "tq:queues"))
            yield Command(("PING",))
        finally:
            closed.append(True)

    q.run(registry.register_queue("mail"))
    with pytest.raises(Exception, match="WRONGTYPE"):
        q.run(together([careful(), registry.server_time_ms()]))
    assert closed == [True]

    def waiting() -> Flow[None]:
        yield Pause(1)

    with pytest.raises(ValueError, match="Pause"):
        q.run(together([waiting()]))


def test_a_row_knows_its_place(q: QueueDriver) -> None:
    q.put_many(1)
    (row,) = q.run(browser.window([q.queue], TaskState.PENDING)).rows
    assert isinstance(row, Placed)
    assert row.place == Place(row.score, q.queue, row.task.id)
