"""The Metrics screen: charts of the queue under the cursor, over a time that one chooses, at any size."""

from __future__ import annotations

import pytest

from tests.queue_driver import QueueDriver
from tests.tui.console_on_queue import console_on
from tq_console.tui.lists.traffic_rows import CHARTS, chart_lines, charts_that_fit
from tq_console.tui.look.canvas import Canvas
from tq_console.view.history import History
from tq_core.model import TaskState


@pytest.mark.parametrize("size", [(20, 3), (58, 8), (78, 13), (118, 26), (198, 45)])
@pytest.mark.parametrize("counts", [(None, None), ({}, {"completed": 5, "run_ms": 9, "run3": 5, "wait70": 1})])
def test_charts_fill_the_room_that_they_are_given(
    size: tuple[int, int], counts: tuple[dict[str, int] | None, ...]
) -> None:
    width, height = size
    history = History(now_ms=120_000, step_ms=60_000, starts_ms=(0, 60_000), counts=counts)
    for first in range(CHARTS):
        lines = chart_lines(history, first=first, width=width, height=height)
        assert len(lines) == height
        assert max(sum(len(text) for text, _ in line) for line in lines) <= max(width, 40)
    assert 1 <= charts_that_fit(width, height) <= CHARTS


@pytest.mark.server
async def test_charts_and_table_show_what_was_counted_and_follow_the_cursor(q: QueueDriver) -> None:
    other = QueueDriver(q.url, queue="other", has_clock=False)
    q.put_many(4)
    for n, task in enumerate(q.take(4)):
        q.fail(task, verdict="fatal") if n == 0 else q.complete(task)
    other.put_many(2)
    async with console_on(q, first="metrics", size=(120, 40)) as console:
        await console.until_shown(" 25.0% ")
        await console.until(lambda: "reading what" not in console.screen_text, "all of it to be read")
        charts = console.app.pane.query_one(".charts", Canvas)
        await console.until_shown("run times, 3 measured")
        assert "throughput" in charts.text
        assert console.table.total == 3

        await console.press("j", "j")
        await console.until(lambda: console.app.pane.subject == "other", "the other queue")
        await console.until(lambda: "3 measured" not in charts.text, "its charts")
        assert "nothing measured in this time" in charts.text

        await console.press("right_curly_bracket", "right_curly_bracket")
        await console.until_shown("15 minutes a step")
        await console.until(lambda: any("24 h is the longest" in toast for toast in console.toasts), "why not more")
        await console.press("right_square_bracket")
        await console.until(lambda: any("all charts are on screen" in toast for toast in console.toasts), "why not")
        await console.pilot.resize_terminal(60, 16)
        await console.until_shown("charts 1-1 of 6")
        await console.press("left_square_bracket")
        await console.until_shown("charts 6-6 of 6")
        await console.press("enter")
        await console.until(lambda: console.app.pane.id == "tasks", "its tasks")
        assert console.app.pane.feed.queue == "other"  # type: ignore[attr-defined]
    assert q.depths() == {str(TaskState.COMPLETED): 3, str(TaskState.FAILED): 1}
    other.close()
