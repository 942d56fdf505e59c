"""The overview: what is wrong comes first, in words, and enter goes there."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.cli.test_hostile_text import DANGEROUS, HOSTILE
from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import console_on
from tests.tui.scenes import (
    NOW_MS,
    PaneApp,
    act,
    failed_task,
    node,
    queue,
    slot,
    snapshot,
    worker,
)
from tests.waiting import wait_until_async
from tq_console.tui.lists.attention import FACTS_MAX, attention_rows
from tq_console.tui.lists.overview_lines import act_lines, failure_lines, queue_lines, rate_lines, summed
from tq_console.tui.lists.slots import IDLE, LONG, LOST, RUNNING, Yardstick, heat_strip, slot_signs
from tq_console.tui.look.canvas import Canvas
from tq_console.tui.panes.overview import RUNNING_MAX, OverviewPane, room_for
from tq_console.tui.panes.pane import PlaceChosen, SubmitWanted
from tq_console.tui.watch.snapshot import Question
from tq_console.view.attention import Urgency, all_facts
from tq_console.view.secrets import Masker
from tq_core.model import TaskState
from tq_core.roles import registry
from tq_core.roles.inspector import Paused, QueueStats
from tq_core.roles.registry import Fleet, Member

FAILED_RECENTLY = {0: {"failed": 3, "failures": 9, "completed": 1}}


def fleet(*nodes: Member, workers: tuple[Member, ...] = ()) -> Fleet:
    return Fleet(now_ms=NOW_MS, nodes=nodes, workers=workers)


def ids(queues: list[QueueStats], found: Fleet) -> list[str]:
    return [fact.id for fact in all_facts(queues, found)]


# --- what needs attention ---


@pytest.mark.parametrize(
    ("numbers", "members", "text", "screen"),
    [
        (queue("mail"), fleet(node("n", silent_ms=45_000)), "node n has been silent for 45s", "workers"),
        (queue("mail"), fleet(node("n", silent_ms=15_000)), "node n is late: silent for 15s", "workers"),
        (
            queue("mail", depths={TaskState.PENDING: 2}),
            fleet(),
            "queue mail has 2 pending tasks and no live worker",
            "queues",
        ),
        (
            queue("mail", paused=Paused("ana@desk", "smtp down", NOW_MS - 60_000)),
            fleet(node("n")),
            "queue mail was paused 1m ago by ana@desk: smtp down",
            "queues",
        ),
        (
            queue("mail", depths={TaskState.PENDING: 5}, max_size=5),
            fleet(node("n")),
            "queue mail is full: 5 of 5 waiting tasks",
            "queues",
        ),
        (
            queue("mail", minutes=FAILED_RECENTLY),
            fleet(node("n")),
            "3 tasks of mail failed for good in the last 5 minutes",
            "dlq",
        ),
        (
            queue("mail", minutes=FAILED_RECENTLY),
            fleet(node("n")),
            "90% of the attempts of mail fail: 9 in the last 5 minutes",
            "tasks",
        ),
        (
            queue("mail", depths={TaskState.PENDING: 1}, oldest_ms=180_000),
            fleet(node("n")),
            "the oldest pending task of mail has waited 3m, and nothing was completed in the last minute",
            "tasks",
        ),
        (
            queue("mail", depths={TaskState.RUNNING: 1}),
            fleet(node("n", queues=("other",))),
            "1 running task of mail and no live worker: they wait for one to be given back",
            "tasks",
        ),
        (
            queue("mail", minutes={1: {"lost": 2}}),
            fleet(node("n")),
            "2 tasks of mail lost their worker in the last 5 minutes",
            "queues",
        ),
        (
            queue("mail", minutes={1: {"crashed": 1}}),
            fleet(node("n")),
            "1 task of mail took their process down in the last 5 minutes",
            "queues",
        ),
        (queue("mail"), fleet(node("n", is_readable=False)), "what node n says cannot be read", "workers"),
        (
            queue("mail"),
            fleet(node("n"), workers=(worker("n.1", is_readable=False),)),
            "what worker n.1 says cannot be read",
            "workers",
        ),
        (
            msgspec.structs.replace(queue("mail"), rules={"breaker:work": "open"}),
            fleet(node("n")),
            "the breaker of work in mail is open: its tasks are held back",
            "queues",
        ),
        (
            queue("mail"),
            fleet(node("n", trouble="7 workers in a row died at once")),
            "node n cannot keep its workers: 7 workers in a row died at once",
            "workers",
        ),
        (
            queue("mail", depths={TaskState.PENDING: 9}),
            fleet(node("n", state="paused"), node("m", state="draining")),
            "queue mail has 9 pending tasks, and all of its nodes are paused",
            "workers",
        ),
        (
            queue("mail", depths={TaskState.PENDING: 9}),
            fleet(node("m", state="draining")),
            "queue mail has 9 pending tasks, and all of its nodes are leaving",
            "workers",
        ),
        (
            queue("mail"),
            fleet(*(node(f"n{i}", silent_ms=45_000 + i) for i in range(4))),
            "4 nodes have been silent for 45s or more: n0, n1, n2, …",
            "workers",
        ),
        (
            queue("mail", depths={TaskState.FAILED: 31}),
            fleet(node("n")),
            "31 tasks in the dead letter queue",
            "dlq",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said_with_where_to_go(numbers: QueueStats, members: Fleet, text: str, screen: str) -> None:
    assert (text, screen) in [(fact.text, fact.screen) for fact in all_facts([numbers], members)]


def test_tasks_that_wait_for_paused_nodes_are_urgent_once_they_are_old_and_are_told_once() -> None:
    paused = fleet(node("n", state="paused"))
    fresh = queue("mail", depths={TaskState.PENDING: 1}, oldest_ms=1_000)
    old = queue("mail", depths={TaskState.PENDING: 1}, oldest_ms=180_000)

    assert [(f.kind, f.urgency) for f in all_facts([fresh], paused)] == [("nodes_paused", Urgency.SOON)]
    assert [(f.kind, f.urgency) for f in all_facts([old], paused)] == [("nodes_paused", Urgency.NOW)]


def test_running_tasks_whose_lease_ran_out_are_told() -> None:
    task = msgspec.structs.replace(failed_task("a" * 26, ""), state=TaskState.RUNNING, lease_end_ms=NOW_MS - 12_000)
    numbers = queue("mail", depths={TaskState.RUNNING: 1})
    (fact,) = all_facts([numbers], fleet(node("n")), [task])
    assert fact.text == "1 running task of mail has not renewed its lease for 12s"
    assert (fact.screen, fact.queue, fact.state) == ("tasks", "mail", TaskState.RUNNING)


def test_a_lease_that_holds_and_a_share_of_two_are_nothing_to_tell() -> None:
    task = msgspec.structs.replace(failed_task("a" * 26, ""), state=TaskState.RUNNING, lease_end_ms=NOW_MS + 5_000)
    numbers = queue("mail", depths={TaskState.RUNNING: 1}, minutes={0: {"failures": 2, "completed": 2}})
    assert all_facts([numbers], fleet(node("n")), [task]) == []


def test_what_failed_before_the_last_minutes_is_no_news() -> None:
    assert ids([queue("mail", minutes={5: {"failed": 3, "failures": 9}})], fleet(node("n"))) == []


def test_the_most_urgent_comes_first() -> None:
    queues = [
        queue("later", paused=Paused("ana", "", NOW_MS)),
        queue("mail", depths={TaskState.PENDING: 1, TaskState.FAILED: 4}),
    ]
    facts = all_facts(queues, fleet(node("late", silent_ms=15_000, queues=()), node("gone", silent_ms=99_000)))
    assert [fact.urgency for fact in facts] == sorted(fact.urgency for fact in facts)
    assert facts[0].id == "lost:gone"
    assert facts[-1].id == "dlq:"
    assert facts[-1].urgency is Urgency.SOME_TIME


def test_a_fact_keeps_its_id_while_its_numbers_change() -> None:
    before = ids([queue("mail", depths={TaskState.PENDING: 1})], fleet())
    assert before == ids([queue("mail", depths={TaskState.PENDING: 2})], fleet())


def test_when_all_is_well_it_says_so_with_the_numbers() -> None:
    numbers = queue("mail", depths={TaskState.PENDING: 3}, oldest_ms=2_000, minutes={0: {"completed": 60}})
    members = fleet(node("n"), workers=(worker("n.1", running=[slot("a" * 26)]),))
    well, facts = attention_rows([], [numbers], members)
    assert well.cells[0].text.startswith("✓ all is well")
    assert facts.cells[0].text == "  1 queue, 3 pending, the oldest 2s, 1 of 4 slots busy, 32.7/m out"


def test_an_empty_system_says_what_to_do_next() -> None:
    text = "\n".join(row.cells[0].text for row in attention_rows([], [], fleet()))
    assert "tq-worker --samples" in text
    assert "n submits a task" in text


def test_very_many_facts_are_counted() -> None:
    queues = [queue(f"q{n}", depths={TaskState.PENDING: 1}) for n in range(FACTS_MAX + 50)]
    rows = attention_rows(all_facts(queues, fleet()), queues, fleet())
    assert len(rows) == FACTS_MAX + 1
    assert rows[-1].cells[0].text == "… and 50 more"


# --- slots ---


def test_a_slot_is_idle_running_long_or_lost() -> None:
    yardstick = Yardstick([queue("mail", minutes={0: {"run12": 10}})])
    busy = worker("n.1", running=[slot("a" * 26, ran_ms=60_000), slot("b" * 26, ran_ms=9_000)])
    assert slot_signs(busy, NOW_MS, yardstick) == [LONG, RUNNING, IDLE, IDLE]
    assert slot_signs(worker("n.1", silent_ms=15_000), NOW_MS, yardstick) == [LONG] * 4
    assert slot_signs(worker("n.1", silent_ms=45_000), NOW_MS, yardstick) == [LOST] * 4


def test_long_is_measured_by_the_queue_and_a_minute_where_nothing_was_measured() -> None:
    yardstick = Yardstick([queue("slow", minutes={0: {"run16": 10}}), queue("new")])
    assert not yardstick.is_long(slot("a", ran_ms=200_000, queue="slow"), NOW_MS)
    assert yardstick.is_long(slot("a", ran_ms=300_000, queue="slow"), NOW_MS)
    assert not yardstick.is_long(slot("a", ran_ms=50_000, queue="new"), NOW_MS)
    assert yardstick.is_long(slot("a", ran_ms=61_000, queue="new"), NOW_MS)


def test_nodes_stand_on_lines_of_their_own_late_ones_first_and_lost_ones_last() -> None:
    found = fleet(
        *(node("a"), node("0", silent_ms=99_000), node("z", silent_ms=15_000)),
        workers=(worker("a.10"), worker("a.2", slots=2), worker("0.1"), worker("z.1")),
    )
    lines = ["".join(text for text, _ in line) for line in heat_strip(found, Yardstick([]), width=60, height=5)]
    assert [line.split()[0] for line in lines] == ["z", "a", "0"]
    assert lines[1].split()[1:] == ["··", "····"]


@given(
    nodes=st.integers(0, 60),
    workers=st.integers(0, 5),
    slots=st.integers(1, 40),
    width=st.integers(36, 200),
    height=st.integers(1, 20),
)
def test_the_strip_keeps_to_its_room(nodes: int, workers: int, slots: int, width: int, height: int) -> None:
    found = fleet(
        *(node(f"n{n}") for n in range(nodes)),
        workers=tuple(worker(f"n{n}.{w}", slots=slots) for n in range(nodes) for w in range(workers)),
    )
    lines = heat_strip(found, Yardstick([]), width=width, height=height)
    assert len(lines) <= height
    assert all(sum(cell_len(text) for text, _ in line) <= width for line in lines)
    if lines and nodes * workers:
        text = "".join(text for line in lines for text, _ in line)
        assert text.count(IDLE.glyph) == nodes * workers * slots or "do not fit" in text


# --- what is only looked at ---


def text_of(lines: object) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines)  # type: ignore[attr-defined]


def test_queues_stand_by_the_age_of_their_oldest_task() -> None:
    queues = [
        queue("young", depths={TaskState.PENDING: 900}, oldest_ms=1_000),
        queue("none"),
        queue("old", depths={TaskState.PENDING: 1}, oldest_ms=60_000),
    ]
    lines = queue_lines(queues, fleet(node("n", queues=("young", "old"))), width=80, height=3)
    assert [text_of([line]).split()[0] for line in lines[1:]] == ["old", "young"]
    assert " of 3" in text_of(lines[:1])


def test_throughput_is_that_of_all_queues_together() -> None:
    queues = [
        queue("a", minutes={0: {"completed": 10, "run4": 1}, 1: {"completed": 5}}),
        queue("b", minutes={0: {"completed": 20, "failures": 3, "run10": 9}}),
    ]
    together = summed(queues)
    assert together is not None
    assert [m.counts.get("completed") for m in together.minutes] == [5, 30]
    text = text_of(rate_lines(queues, width=60))
    assert " 35" in text
    assert "p50 ≤1 s" in text


def test_nothing_measured_is_a_dash() -> None:
    assert "p50 -" in text_of(rate_lines([queue("a")], width=60))
    assert "nothing measured" in text_of(rate_lines([], width=60))


def test_failures_and_acts_are_told_newest_first_as_many_as_fit() -> None:
    failures = [failed_task(f"{n:026}", f"boom {n}", ago_ms=n * 1000) for n in range(10)]
    text = text_of(failure_lines(failures, NOW_MS, Masker(), width=100, height=4))
    assert "boom 0" in text
    assert "boom 2" in text
    assert "boom 3" not in text
    text = text_of(act_lines([act("ana@desk", "purge", "mail", count=40)], NOW_MS, width=100, height=4))
    assert "1m ago" in text
    assert "purge mail  40 tasks" in text


def test_secrets_in_errors_stay_masked() -> None:
    failures = [failed_task("a" * 26, "no answer from redis://u:hunter2@h/0")]
    assert "hunter2" not in text_of(failure_lines(failures, NOW_MS, Masker(), width=200, height=4))


# --- room ---


@given(st.integers(40, 250), st.integers(10, 80), st.integers(1, 60))
def test_the_parts_fill_the_screen_and_no_more(width: int, height: int, rows: int) -> None:
    room = room_for(width, height, rows)
    middle = max(room.queues, room.slots + (0 if room.is_split else room.rates)) if room.is_columns else 0
    if not room.is_columns:
        middle = room.queues + room.slots + room.rates
    bottom = max(room.failures, room.acts + room.events) if room.is_split else room.failures + room.acts
    assert room.attention + middle + bottom <= height
    assert min(room.attention, room.slots) >= 3 or height < 13
    assert room.queues >= 3 or height < 13


def test_small_screens_show_what_matters_and_large_ones_all() -> None:
    small = room_for(80, 21, 5)
    assert small.attention == 6
    assert small.queues >= 6
    assert small.slots >= 4
    for size in ((120, 36), (200, 56), (90, 40)):
        room = room_for(*size, 5)
        assert all((room.attention, room.queues, room.slots, room.rates, room.failures, room.acts)), size


@pytest.mark.parametrize("size", [(120, 36), (160, 50), (200, 56)])
def test_few_queues_and_nodes_leave_their_room_to_the_failures(size: tuple[int, int]) -> None:
    few, many = room_for(*size, 5, queues=6, slots=4), room_for(*size, 5)

    assert few.queues == (7 if few.is_split else 10)
    assert few.failures > many.failures
    assert few.queues + few.failures <= many.queues + many.failures


# --- on screen ---


def pane() -> OverviewPane:
    return OverviewPane(masker=Masker(), id="overview")


@pytest.mark.parametrize("size", [(80, 21), (60, 13), (120, 36), (200, 56), (40, 8)])
async def test_whatever_names_are_called_the_terminal_gets_only_text(size: tuple[int, int]) -> None:
    shown = pane()
    app = PaneApp(shown)
    hostile = queue(HOSTILE, depths={TaskState.PENDING: 9}, oldest_ms=5, paused=Paused(HOSTILE, HOSTILE, NOW_MS))
    async with app.run_test(size=size) as pilot:
        shown.show(
            snapshot(
                shown.question(),
                queues=[hostile],
                nodes=[node(HOSTILE, silent_ms=99_000)],
                workers=[worker(f"{HOSTILE}.1", running=[slot(HOSTILE, task_type=HOSTILE)])],
                failures=(failed_task("a" * 26, HOSTILE, task_type=HOSTILE),),
                audited=(act(HOSTILE, HOSTILE, HOSTILE),),
            )
        )
        await pilot.pause()
        lines = app.lines
        assert not (DANGEROUS | {"\n"}) & set("".join(lines))
        assert {cell_len(line) for line in lines} == {size[0]}


async def test_enter_goes_to_what_is_wrong() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(100, 30)) as pilot:
        numbers = queue("mail", depths={TaskState.PENDING: 1}, oldest_ms=180_000, paused=None)
        shown.show(snapshot(shown.question(), queues=[numbers], nodes=[node("n"), node("x", silent_ms=99_000)]))
        await pilot.press("enter", "j", "enter")
        places = [e for e in app.asked if isinstance(e, PlaceChosen)]
        assert [(p.screen_name, p.queue, p.state) for p in places] == [
            ("workers", None, None),
            ("tasks", "mail", TaskState.PENDING),
        ]


async def test_what_is_over_leaves_the_list_and_the_cursor_goes_to_the_top() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(100, 30)) as pilot:
        shown.show(snapshot(shown.question(), queues=[queue("mail")], nodes=[node("n")]))
        await pilot.pause()
        assert "all is well" in "\n".join(app.lines)
        shown.show(snapshot(shown.question(), queues=[queue("mail")], nodes=[node("n", silent_ms=99_000)]))
        await pilot.pause()
        assert "all is well" not in "\n".join(app.lines)
        assert shown.table.cursor_id == "lost:n"
        assert not shown.table.is_ghost


async def test_what_is_more_urgent_is_on_screen_for_who_has_not_gone_down() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(60, 13)) as pilot:
        late, lost = node("m", silent_ms=20_000), node("n", silent_ms=99_000)
        shown.show(snapshot(shown.question(), queues=[queue("mail")], nodes=[late]))
        await pilot.pause()
        assert shown.table.cursor_id == "late:m"
        shown.show(snapshot(shown.question(), queues=[queue("mail")], nodes=[late, lost]))
        await pilot.pause()
        assert shown.table.cursor_id == "lost:n"
        await pilot.press("j")
        await wait_until_async(lambda: shown.table.cursor_id == "late:m", 10, "the row below")
        shown.show(snapshot(shown.question(), queues=[queue("mail")], nodes=[late, lost, node("o", silent_ms=99_000)]))
        await pilot.pause()
        assert shown.table.cursor_id == "late:m"


async def test_n_submits_a_task_on_an_empty_system_too() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(80, 24)) as pilot:
        shown.show(snapshot(shown.question()))
        await pilot.press("n", "G", "enter")
        assert [type(event) for event in app.asked] == [SubmitWanted, SubmitWanted]


async def test_another_size_of_the_terminal_shares_out_anew() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(200, 56)) as pilot:
        shown.show(snapshot(shown.question(), queues=[queue("mail")], nodes=[node("n")], workers=[worker("n.1")]))
        for size in ((60, 13), (120, 36), (80, 21)):
            await pilot.resize_terminal(*size)
            await pilot.pause()
            await wait_until_async(
                lambda: "── slots" in "\n".join(app.lines) and "── queues" in "\n".join(app.lines), 5, f"{size}"
            )


async def test_the_same_numbers_again_paint_nothing() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 36)) as pilot:
        scene = snapshot(shown.question(), queues=[queue("mail")], nodes=[node("n")], workers=[worker("n.1")])
        shown.show(scene)
        await pilot.pause()
        painted: list[object] = []
        for widget in shown.query("*"):
            widget.refresh = lambda *args, **more: painted.append((args, more))  # type: ignore[method-assign, assignment]
        shown.show(scene)
        assert painted == []


async def test_running_tasks_are_read_only_while_they_are_few() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 36)):
        assert shown.question() == Question("overview", minutes=15, failures=16, audited=5)
        for running, is_read in ((1, True), (RUNNING_MAX, True), (RUNNING_MAX + 1, False)):
            shown.show(snapshot(shown.question(), queues=[queue("mail", depths={TaskState.RUNNING: running})]))
            assert (shown.question().tasks is not None) is is_read


# --- over a real queue ---


async def test_an_operator_sees_what_is_wrong_and_goes_there(q: QueueDriver) -> None:
    q.put_many(2)
    async with console_on(q) as console:
        await console.until_shown("queue mail has 2 pending tasks and no live worker")
        await console.press("enter")
        await console.until(lambda: console.app.pane.id == "queues", "the queues")


async def test_a_task_that_nobody_renews_is_told(q: QueueDriver) -> None:
    q.put_one()
    q.run(registry.heartbeat(registry.NodeInfo(node_id="n", host="h", pid=1, queues=("mail",))))
    q.take_one(lease_ms=1)
    async with console_on(q) as console:
        await console.until_shown("1 running task of mail has not renewed its lease")
    q.reclaim(grace_ms=0)


async def test_failures_and_acts_of_people_are_there(q: QueueDriver) -> None:
    q.put_one()
    q.fail(q.take_one(), verdict="fatal", reason="fatal", detail={"type": "ValueError", "message": "[/foo] boom"})
    async with console_on(q) as console:
        await console.until_shown("ValueError: [/foo] boom")
        await console.until_shown("1 task of mail failed for good in the last 5 minutes")


async def test_a_large_terminal_shows_what_happens(q: QueueDriver) -> None:
    async with console_on(q, size=(200, 60)) as console:
        await console.until_shown("nothing has happened yet")
        q.put_many(3)
        await console.until_shown("SUBMITTED  mail")
        q.fail(q.take_one(), verdict="fatal", reason="[/x]")
        await console.until_shown("DLQ ")
        feed = console.app.pane.query_one(".over-events", Canvas)
        await console.until(lambda: "[/x] node.1" in feed.text, "why and where")
        assert [line.split()[1] for line in feed.text.splitlines()[1:4]] == ["DLQ", "ASSIGNED", "SUBMITTED"]
        assert feed.text.count("3 tasks") == 1
