"""The Workers screen: the fleet as a tree, and orders to nodes and worker processes."""

from __future__ import annotations

from typing import Any

import pytest
from rich.cells import cell_len
from textual.widgets import Input

from tests.cli.test_hostile_text import DANGEROUS, HOSTILE
from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import ConsoleOnQueue, console_on
from tests.tui.scenes import NOW_MS, PaneApp, node, queue, slot, snapshot, worker
from tests.waiting import wait_until_async
from tq_console.tui.actions.plan import Level
from tq_console.tui.actions.scale_screen import ScaleScreen, parse_size
from tq_console.tui.actions.scaling import SETTLE_S, TRUSTED_S, Scaling
from tq_console.tui.lists.fail_rates import FailRates
from tq_console.tui.lists.slots import Yardstick
from tq_console.tui.lists.worker_rows import COLUMNS, node_lines, row_of, slot_lines, tree, window
from tq_console.tui.panes.pane import PlaceChosen
from tq_console.tui.panes.workers import WorkersPane
from tq_console.tui.table.rows import Row, Wanted
from tq_console.tui.watch.snapshot import Snapshot
from tq_core.errors import InvalidInputError
from tq_core.model import TaskState
from tq_core.roles import registry
from tq_core.roles.registry import Ack, Fleet, Member, NodeInfo, WorkerInfo

NO_YARDSTICK = Yardstick([])


def fleet(*nodes: Member, workers: tuple[Member, ...] = ()) -> Fleet:
    return Fleet(now_ms=NOW_MS, nodes=nodes, workers=workers)


def info(processes: int = 4) -> NodeInfo:
    return NodeInfo(node_id="n", host="h", pid=1, processes=processes)


def cells(row: Row) -> dict[str, str]:
    """A row's texts by the title of their column."""
    return {column.title: cell.text for column, cell in zip(COLUMNS, row.cells, strict=True)}


# --- the tree ---


def test_each_node_is_followed_by_its_workers_and_lost_ones_come_last() -> None:
    found = fleet(
        node("a-lost", silent_ms=45_000),
        node("b"),
        workers=(
            worker("b.1", silent_ms=45_000),
            worker("b.10"),
            worker("b.2"),
            worker("a-lost.1", silent_ms=45_000),
        ),
    )
    assert [leaf.id for leaf in tree(found)] == ["b", "b.2", "b.10", "b.1", "a-lost", "a-lost.1"]


def test_workers_whose_node_is_not_on_the_register_are_shown_all_the_same() -> None:
    found = fleet(workers=(worker("gone.1"), worker("odd")))
    leaves = tree(found)
    assert [(leaf.id, leaf.node) for leaf in leaves] == [("gone", None), ("gone.1", None), ("odd", None)]
    assert cells(row_of(leaves[0], found, NO_YARDSTICK))["TASK / QUEUES"] == "its node says nothing"


def test_a_node_sums_up_its_workers() -> None:
    found = fleet(
        node("n", processes=3, tq_version="0.3.0", code_version="abc", started_at_ms=NOW_MS - 7_200_000),
        workers=(
            worker("n.1", running=[slot("a" * 26), slot("b" * 26)], completed=5, failed=1),
            worker("n.2", completed=2),
            worker("n.3", silent_ms=45_000, completed=9),
        ),
    )
    row = cells(row_of(tree(found)[0], found, NO_YARDSTICK))
    assert (row["STATE"], row["BUSY"], row["SLOTS"]) == ("● running", "2/8", "2/3 up")
    assert (row["TASK / QUEUES"], row["DONE"], row["FAIL"]) == ("mail", "7", "1")
    assert (row["VERSION"], row["UP"], row["BEAT"]) == ("0.3.0 abc", "2h", "1s")


def test_failures_a_minute_are_told_of_what_was_counted_while_one_looked() -> None:
    rates = FailRates()

    def at(after_ms: int, failed: int, *, started_at_ms: int = 1) -> dict[str, str]:
        info = worker("a.1", failed=failed, started_at_ms=started_at_ms)
        fleet = Fleet(now_ms=NOW_MS + after_ms, nodes=(node("a"),), workers=(info,))
        rates.look(fleet)
        rows = [row_of(leaf, fleet, Yardstick([]), rates) for leaf in tree(fleet)]
        return {title: cell.text for title, cell in zip((c.title for c in COLUMNS), rows[1].cells, strict=True)}

    assert at(0, 5)["FAIL/m"] == "-"
    assert at(5_000, 6)["FAIL/m"] == "-"
    assert at(30_000, 8)["FAIL/m"] == "6.0"
    assert at(60_000, 8)["FAIL/m"] == "3.0"
    assert at(130_000, 8)["FAIL/m"] == "0"
    # A worker of the same name that is another one has failed nothing yet.
    assert at(140_000, 2, started_at_ms=9)["FAIL/m"] == "-"


def test_a_worker_tells_what_it_has_run_the_longest() -> None:
    found = fleet(
        node("n"),
        workers=(
            worker(
                "n.1",
                running=[
                    slot("a" * 26, ran_ms=1_000, task_type="quick"),
                    slot("b" * 26, ran_ms=90_000, task_type="slow"),
                ],
                cpu_percent=12.4,
                loop_lag_ms=3,
            ),
        ),
    )
    row = cells(row_of(tree(found)[1], found, NO_YARDSTICK))
    assert (row["BUSY"], row["SLOTS"], row["TASK / QUEUES"], row["FOR"]) == ("2/4", "◆▮··", "slow", "1m")
    assert (row["CPU"], row["MEM"], row["LAG"], row["PID"]) == ("12%", "50 MiB", "3 ms", "4712")


def test_of_a_lost_worker_nobody_knows_for_how_long_it_runs_what_it_ran() -> None:
    found = fleet(workers=(worker("n.1", silent_ms=45_000, running=[slot("a" * 26)]),))
    row = cells(row_of(tree(found)[1], found, NO_YARDSTICK))
    assert (row["STATE"], row["SLOTS"], row["FOR"], row["BEAT"]) == ("✗ lost", "✗✗✗✗", "-", "45s")


def test_what_cannot_be_read_is_said() -> None:
    found = fleet(node("n", is_readable=False), workers=(worker("n.1", is_readable=False),))
    rows = [cells(row_of(leaf, found, NO_YARDSTICK)) for leaf in tree(found)]
    assert [(row["STATE"], row["TASK / QUEUES"]) for row in rows] == [
        ("? unknown", "what it says cannot be read"),
    ] * 2


def test_of_a_large_fleet_only_the_rows_that_are_wanted_are_made() -> None:
    found = fleet(
        *(node(f"n{n:04}") for n in range(1000)),
        workers=tuple(worker(f"n{n:04}.{w}") for n in range(1000) for w in range(2)),
    )
    leaves = tree(found)
    shown = window(leaves, Wanted(900, 90, "n0310", 930), found, NO_YARDSTICK)
    assert (shown.total, shown.offset, len(shown.rows)) == (3000, 900, 90)
    # Two nodes with their workers came in above: the row that the cursor is on keeps its distance to the first.
    more = fleet(node("a"), node("b"), *found.nodes, workers=(worker("a.1"), *found.workers))
    moved = window(tree(more), Wanted(900, 90, "n0310", 930), more, NO_YARDSTICK)
    assert moved.offset == 903
    assert moved.rows[30].id == "n0310"
    assert window([], Wanted(5, 50, "n", 6), fleet(), NO_YARDSTICK).rows == ()


# --- what runs ---


def text_of(lines: object) -> str:
    return "\n".join("".join(text for text, _ in line) for line in lines)  # type: ignore[attr-defined]


def test_the_slots_of_a_worker_tell_progress_and_who_runs_alone() -> None:
    busy = worker("n.1", running=[slot("a" * 26, ran_ms=5_000, progress=0.4, is_alone=True), slot("b" * 26, ran_ms=7)])
    lines = slot_lines(busy, fleet(), NO_YARDSTICK, width=120, height=8)
    assert text_of(lines).count("\n") == 2
    assert "5 s  send  mail  " + "a" * 26 + "  ████░░░░░░ 40%  alone in its process" in text_of(lines)


def test_more_running_tasks_than_lines_are_counted() -> None:
    busy = worker("n.1", running=[slot(f"{n:026}", ran_ms=n * 1000) for n in range(1, 31)], slots=30)
    lines = slot_lines(busy, fleet(), NO_YARDSTICK, width=120, height=6)
    assert len(lines) == 6
    assert "… 26 more" in text_of(lines[-1:])
    assert "30 s" in text_of(lines[1:2])


def test_a_node_tells_its_facts_and_what_runs_the_longest() -> None:
    broken = node("n", python="3.11.7", restarts=2, trouble="it died\x1b")
    found = fleet(broken, workers=(worker("n.1", running=[slot("a" * 26)]),))
    text = text_of(node_lines(tree(found)[0], found, NO_YARDSTICK, width=60, height=9))
    assert "2 restarts" in text
    assert "it died\\x1b" in text
    assert "Python 3.11.7" in text
    assert "send" in text


# --- + and - ---


def test_presses_become_one_order() -> None:
    scaling = Scaling()
    for at_s in (0.0, 0.3, 0.7):
        scaling.press(info(), 1, at_s)
    assert scaling.settled(0.7 + SETTLE_S - 0.01) == []
    (wish,) = scaling.settled(0.7 + SETTLE_S)
    assert wish.processes == 7
    assert scaling.settled(99.0) == []


def test_presses_that_cancel_out_are_no_order() -> None:
    scaling = Scaling()
    scaling.press(info(), 1, 0.0)
    scaling.press(info(), -1, 0.1)
    assert scaling.settled(9.0) == []


def test_a_node_has_between_none_and_all_processes() -> None:
    scaling = Scaling()
    assert scaling.press(info(0), -1, 0.0).processes == 0
    assert scaling.press(info(0), 1000, 0.0).processes == 256


def test_what_was_just_ordered_counts_until_the_node_says_its_number() -> None:
    scaling = Scaling()
    scaling.press(info(4), 1, 0.0)
    assert scaling.settled(1.0)
    assert scaling.press(info(4), 1, 1.5).processes == 6
    scaling.drop("n")
    assert scaling.press(info(5), 1, 1.6).processes == 6
    scaling.drop("n")
    assert scaling.press(info(4), 1, 1.0 + TRUSTED_S + 1).processes == 5


def test_a_size_is_one_or_two_numbers() -> None:
    assert parse_size(" 4 ") == (4, None)
    assert parse_size("4, 10") == (4, 10)
    for wrong in ("", "x", "-1", "4 0", "4 1001", "257", "1 2 3", "٣", "9" * 30):
        with pytest.raises(InvalidInputError):
            parse_size(wrong)


# --- keys ---


class Clock:
    """Our monotonic clock, set by the test."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def scene(shown: WorkersPane, **said: Any) -> Snapshot:
    return snapshot(
        shown.question(),
        queues=[queue("mail")],
        nodes=[node("n", processes=4, **said), node("z", silent_ms=99_000)],
        workers=[worker("n.1", running=[slot("a" * 26)]), worker("n.2"), worker("z.1", silent_ms=99_000)],
    )


def pane(clock: Clock | None = None) -> WorkersPane:
    return WorkersPane(actor="ann", id="workers", clock=clock or Clock())


async def test_p_pauses_the_node_or_lets_it_go_on_from_its_workers_too() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.press("p", "j", "p")
        shown.show(scene(shown, state="paused"))
        await pilot.press("p")
        assert [plan.command for plan in app.plans] == ["tq workers pause n"] * 2 + ["tq workers resume n"]


async def test_plus_and_minus_are_gathered_and_shown_while_they_wait() -> None:
    clock = Clock()
    shown = pane(clock)
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.press("plus", "plus", "plus", "minus")
        assert "n: 4 → 6 in a moment" in app.canvas(".workers-line")
        assert app.plans == []
        clock.now_s += SETTLE_S + 0.1
        await wait_until_async(lambda: app.plans, 5, "the order")
        assert [plan.command for plan in app.plans] == ["tq workers scale n 6"]
        assert "in a moment" not in app.canvas(".workers-line")


async def test_escape_drops_what_is_not_yet_ordered() -> None:
    clock = Clock()
    shown = pane(clock)
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.press("plus", "plus", "escape")
        assert "in a moment" not in app.canvas(".workers-line")
        await pilot.press("plus")
        clock.now_s += SETTLE_S + 0.1
        await wait_until_async(lambda: app.plans, 5, "the order")
        assert [plan.command for plan in app.plans] == ["tq workers scale n 5"]


async def test_down_to_no_process_asks_first() -> None:
    clock = Clock()
    shown = pane(clock)
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.press(*["minus"] * 5)
        clock.now_s += SETTLE_S + 0.1
        await wait_until_async(lambda: app.plans, 5, "the order")
        assert [(plan.command, plan.level) for plan in app.plans] == [("tq workers scale n 0", Level.BAR)]


async def test_equals_asks_for_exact_numbers() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.press("equals_sign")
        await wait_until_async(lambda: isinstance(app.screen, ScaleScreen), 5, "the window")
        app.screen.query_one(Input).value = "8 1001"
        await pilot.press("enter")
        assert "from 1 to 1000" in app.screen.query_one("#scale-after").text  # type: ignore[attr-defined]
        app.screen.query_one(Input).value = "8 20"
        await pilot.press("enter")
        await pilot.pause()
        assert [plan.command for plan in app.plans] == ["tq workers scale n 8 --slots 20"]
        for typed, command in (("1:8", "tq workers autoscale n 1:8"), ("off", "tq workers autoscale n off")):
            await pilot.press("equals_sign")
            await wait_until_async(lambda: isinstance(app.screen, ScaleScreen), 5, "the window")
            app.screen.query_one(Input).value = typed
            await pilot.press("enter")
            await pilot.pause()
            assert app.plans[-1].command == command
        inverse = app.plans[0].inverse
        assert inverse is not None
        assert inverse().command == "tq workers scale n 4 --slots 4"
        await pilot.press("u")
        await pilot.pause()
        assert (app.plans[-1].command, app.plans[-1].level) == ("tq workers reload n", Level.BAR)
        await pilot.press("equals_sign", "escape")
        await pilot.pause()
        assert len(app.plans) == 4
        assert not isinstance(app.screen, ScaleScreen)


async def test_stopping_a_node_says_what_runs_there() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.press("j", "T")
        (plan,) = app.plans
        assert (plan.command, plan.level) == ("tq workers stop n", Level.MODAL)
        assert "4 worker processes, 1 running task" in plan.facts


async def test_killing_is_for_worker_processes_and_asks_the_more_the_more_it_costs() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.press("K", "j", "K", "j", "K")
        assert app.refusals == ["K kills a worker process: go to one. T stops a whole node"]
        assert [(plan.command, plan.level) for plan in app.plans] == [
            ("tq workers kill n.1", Level.MODAL),
            ("tq workers kill n.2", Level.BAR),
        ]


async def test_nothing_is_ordered_where_nobody_listens() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("p", "plus", "T", "K", "L", "W")
        assert len(app.refusals) == 6
        shown.show(scene(shown))
        await pilot.press("G", "p", "plus", "equals_sign", "T", "K")
        assert app.refusals[6:] == [
            "z is lost: nobody is there to pause",
            "z is lost: nobody is there to scale",
            "z is lost: nobody is there to scale",
            "z is lost: nobody is there to stop",
            "z is lost: nobody is there to kill a worker",
        ]
        unreadable = snapshot(shown.question(), nodes=[node("n", is_readable=False)])
        shown.show(unreadable)
        await pilot.press("g", "p")
        assert app.refusals[-1] == "n cannot be told to pause: it does not say what it is"
        assert app.plans == []


async def test_enter_shows_what_runs() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.press("enter")
        (place,) = [event for event in app.asked if isinstance(event, PlaceChosen)]
        assert (place.screen_name, place.state) == ("tasks", TaskState.RUNNING)


async def test_the_preview_follows_the_cursor() -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=(120, 40)) as pilot:
        shown.show(scene(shown))
        await pilot.pause()
        assert "queues mail" in app.canvas(".workers-preview")
        await pilot.press("j")
        assert "a" * 26 in app.canvas(".workers-preview")
        await pilot.press("j")
        assert "nothing runs here" in app.canvas(".workers-preview")


@pytest.mark.parametrize("size", [(60, 13), (80, 21), (120, 36), (200, 26)])
async def test_whatever_workers_say_the_terminal_gets_only_text(size: tuple[int, int]) -> None:
    shown = pane()
    app = PaneApp(shown)
    async with app.run_test(size=size) as pilot:
        said: dict[str, Any] = {
            "host": HOSTILE,
            "queues": (HOSTILE,),
            "types": (HOSTILE,),
            "tq_version": HOSTILE,
            "state": HOSTILE,
        }
        running = [slot(HOSTILE, task_type=HOSTILE, queue=HOSTILE, progress=7.0)]
        shown.show(
            snapshot(
                shown.question(),
                nodes=[node(HOSTILE, **said)],
                workers=[worker(f"{HOSTILE}.1", running=running, state=HOSTILE)],
            )
        )
        for _ in range(2):
            await pilot.press("j")
            lines = app.lines
            assert not (DANGEROUS | {"\n"}) & set("".join(lines))
            assert {cell_len(line) for line in lines} == {size[0]}


# --- over a real queue ---


def beat(q: QueueDriver, **said: Any) -> None:
    """A node `n` and its worker say that they live."""
    q.run(registry.heartbeat(NodeInfo(node_id="n", host="h", pid=1, queues=("mail",), **said)))
    q.run(registry.heartbeat(WorkerInfo(worker_id="n.1", node_id="n", pid=2, slots=4)))


async def obey(console: ConsoleOnQueue, q: QueueDriver, ack: Ack) -> registry.NodeCommand:
    """Waits for an order to the node `n` and answers it, as its supervisor would."""
    command: registry.NodeCommand = await console.until(lambda: q.command_for("n"), "an order to the node")
    q.run(registry.acknowledge(command.id, ack))
    return command


async def test_an_order_reaches_the_node_once_and_its_answer_is_told(q: QueueDriver) -> None:
    beat(q, processes=2)
    async with console_on(q, first="workers") as console:
        await console.until_shown("0/4")
        await console.press("plus", "plus", "plus")
        command = await obey(console, q, Ack(ok=True))
        assert (command.do, command.by, command.args) == ("scale", "ann", {"processes": 5})
        await console.until(lambda: "n: 2 → 5 worker processes" in "".join(console.toasts), "the answer")
        assert console.done == ["tq workers scale n 5"]
        await console.press("p")
        command = await obey(console, q, Ack(ok=False, text="the node is leaving"))
        assert command.do == "pause"
        await console.until(lambda: "refused: the node is leaving" in "".join(console.toasts), "the refusal")


async def test_a_kill_is_confirmed_and_hits_the_worker_under_the_cursor(q: QueueDriver) -> None:
    beat(q)
    async with console_on(q, first="workers") as console:
        await console.until_shown("└ .1")
        await console.press("j", "K")
        await console.until_shown("Kill the worker process n.1?")
        await console.press("y")
        command = await obey(console, q, Ack(ok=True))
        assert (command.do, command.args) == ("kill_worker", {"worker_id": "n.1"})


async def test_stacks_are_shown_as_the_node_tells_them_and_asked_again_by_a_key(q: QueueDriver) -> None:
    beat(q)
    async with console_on(q, first="workers") as console:
        await console.until(lambda: console.table.cursor_id == "n", "the node")
        await console.press("j", "S")
        stack = 'Thread\n  File "/srv/app/mail.py", line 3, in send\n    wait()\n'
        command = await obey(console, q, Ack(ok=True, data={"n.1 [/x]": stack}))
        assert (command.do, command.args) == ("stacks", {"worker_id": "n.1"})
        await console.until_shown('File "/srv/app/mail.py", line 3, in send')
        assert "n.1 [/x]" in console.screen_text
        await console.press("r")
        await obey(console, q, Ack(ok=False, text="the node is leaving"))
        await console.until_shown("what follows is how it was: refused: the node is leaving")
        await console.press("escape")
        await console.until(lambda: console.app.screen is console.app.base, "the window to close")


async def test_a_read_only_console_orders_nothing(q: QueueDriver) -> None:
    beat(q)
    async with console_on(q, first="workers", is_read_only=True) as console:
        await console.until_shown("└ .1")
        await console.press("p")
        await console.until(lambda: "read-only" in "".join(console.toasts), "the refusal")
        await console.press("W")
        await console.until(lambda: "no worker is started" in "".join(console.toasts), "the other refusal")
        assert q.command_for("n") is None
