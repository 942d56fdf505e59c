"""What queues did in some time, as rows and as charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tq_console.tui.charts.axis import per_s, time_ms
from tq_console.tui.charts.plot import Plot, Series, plot_lines
from tq_console.tui.charts.side_by_side import GAP, side_by_side
from tq_console.tui.charts.spread import spread_lines
from tq_console.tui.look.canvas import Line
from tq_console.tui.table.rows import Cell, Column, Row
from tq_console.view.formats import count, duration, rate
from tq_console.view.history import History, Sums, Traffic, below, histogram, share_text, traffic

ALL = "*"
"""Id of the row of all queues; no queue can be called so."""
COLUMNS = (
    Column("QUEUE", (12, 20, 26), is_pinned=True, grows=True),
    Column("OUT", (8, 9, 10), is_right=True),
    Column("FAIL%", (6, 6, 7), is_right=True),
    Column("RUN P50", (7, 8, 9), is_right=True),
    Column("RUN P95", (7, 8, 9), is_right=True),
    Column("WAIT P95", (8, 9, 9), is_right=True),
    Column("TIME", (5, 5, 6), is_right=True),
    Column("IN", (0, 9, 10), is_right=True),
    Column("FAILURES", (0, 9, 9), is_right=True),
    Column("WAIT P50", (0, 0, 9), is_right=True),
    Column("RAN", (0, 0, 12), is_right=True),
)
LOWEST, WIDTHS = 6, (96, 150)
"""Lines that a chart is given at least; from so many cells on there are two, three beside one another."""


def traffic_rows(of: Mapping[str, Sums], everything: Sums | None) -> tuple[Row, ...]:
    """All queues together, then each, the one whose tasks ran longest first."""
    if everything is None:
        return ()
    (whole,) = traffic({ALL: everything})
    return (_row(whole, "all queues"), *(_row(each, each.name) for each in traffic(of)))


def _row(of: Traffic, name: str) -> Row:
    share = of.fail_share
    failing = "cell--dim" if not share else "cell--warn" if share < 0.05 else "cell--bad"
    return Row(
        of.name,
        (
            Cell(name, "cell--bold"),
            Cell(rate(of.done_per_s)),
            Cell(share_text(share), failing),
            _time(of.run_p50_ms),
            _time(of.run_p95_ms),
            _time(of.wait_p95_ms),
            Cell("-" if of.time_share is None else f"{of.time_share:.0%}"),
            Cell(rate(of.in_per_s)),
            Cell(count(of.failures) if of.failures else "-", failing),
            _time(of.wait_p50_ms),
            Cell(duration(of.run_ms) if of.run_ms else "-", "cell--dim"),
        ),
    )


def _time(ms: int | None) -> Cell:
    return Cell(below(ms), "cell--dim" if ms is None else "")


def charts_that_fit(width: int, height: int) -> int:
    """How many charts there is room for."""
    columns, rows = _grid(width, height)
    return min(CHARTS, columns * rows)


def chart_lines(history: History | None, *, first: int, width: int, height: int) -> list[Line]:
    """As many charts as fit, from one of them on."""
    if history is None:
        return [[(" … reading what was counted", "cell--dim")]]
    columns, rows = _grid(width, height)
    shown = range(first, min(CHARTS, first + columns * rows))
    # What is left over is given to those that are there.
    rows = max(1, min(rows, -(-len(shown) // columns)))
    room = (width - GAP * (columns - 1)) // columns
    lines: list[Line] = []
    for row in range(rows):
        high = height // rows + (row < height % rows)
        some = shown[row * columns : (row + 1) * columns]
        lines += side_by_side([_chart(number_, history, room, high - (high > LOWEST)) for number_ in some], room)
        lines += [[]] * (high > LOWEST)
    return lines


def _grid(width: int, height: int) -> tuple[int, int]:
    columns = 1 + sum(width >= least for least in WIDTHS)
    return columns, max(1, min(-(-CHARTS // columns), height // LOWEST))


def _chart(which: int, history: History, width: int, height: int) -> list[Line]:
    if which < len(_PLOTS):
        return plot_lines(_PLOTS[which](history), width=width, height=height)
    kind, style = (("wait", "cell--accent"), ("run", "cell--busy"))[which - len(_PLOTS)]
    bars = histogram(history.total, kind, most=max(1, height - 1))
    whole = sum(bar.hits for bar in bars)
    title = f"{kind} times" + (f", {whole:,} measured" if whole else "")
    return spread_lines(title, bars, width=width, height=height, style=style)


def _throughput(history: History) -> Plot:
    series = (
        Series("done", history.rates_per_s("completed"), "cell--good"),
        Series("in", history.rates_per_s("enqueued"), "cell--accent"),
    )
    return Plot(title="throughput", series=series, unit=per_s, span_ms=_span_ms(history))


def _latency(kind: str) -> Callable[[History], Plot]:
    def plot(history: History) -> Plot:
        series = (
            Series("p95", history.latencies_ms(kind, 0.95), "cell--warn"),
            Series("p50", history.latencies_ms(kind, 0.5), "cell--busy"),
        )
        return Plot(title=f"{kind} time", series=series, unit=time_ms, is_time_ms=True, span_ms=_span_ms(history))

    return plot


def _failures(history: History) -> Plot:
    series = (Series("failures", history.rates_per_s("failures"), "cell--bad"),)
    return Plot(title="failed attempts", series=series, unit=per_s, has_bars=True, span_ms=_span_ms(history))


def _span_ms(history: History) -> tuple[int, int]:
    return history.starts_ms[0], history.starts_ms[-1] + history.step_ms


_PLOTS = (_throughput, _latency("wait"), _latency("run"), _failures)
CHARTS = len(_PLOTS) + 2
