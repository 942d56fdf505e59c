"""Charts: what is drawn is what was measured, on axes that read well, at any size."""

from __future__ import annotations

import pytest

from tq_console.tui.charts.axis import ceiling, number, per_s, time_labels, time_ms
from tq_console.tui.charts.plot import Plot, Series, plot_lines
from tq_console.tui.charts.side_by_side import side_by_side
from tq_console.tui.charts.spread import spread_lines
from tq_console.tui.look.canvas import Line
from tq_console.view.history import Bar, histogram

MINUTE = 60_000


def text(line: Line) -> str:
    return "".join(part for part, _ in line)


def plotted(*values: float | None, width: int = 18, height: int = 6, has_bars: bool = False) -> list[str]:
    series = (Series("done", values, "cell--good"),)
    plot = Plot(title="out", series=series, span_ms=(0, 5 * MINUTE), unit=per_s, has_bars=has_bars)
    return [text(line) for line in plot_lines(plot, width=width, height=height)]


@pytest.mark.parametrize(("top", "wanted"), [(0, 1), (0.03, 0.05), (1, 1), (3, 5), (5.1, 10), (1700, 2000)])
def test_the_ceiling_is_a_number_that_reads_well(top: float, wanted: float) -> None:
    assert ceiling(top) == pytest.approx(wanted)


def test_times_have_ceilings_of_their_own() -> None:
    assert [time_ms(ceiling(ms, is_time_ms=True)) for ms in (3, 900, 45_000, 3_000_000, 90_000_000)] == (
        ["5ms", "1s", "1m", "1h", "2d"]
    )
    assert [number(n) for n in (0.05, 2, 500, 9999, 20_000, 3e6)] == ["0.05", "2", "500", "9999", "20k", "3M"]


def test_a_line_is_as_high_as_its_value_and_has_a_gap_where_nothing_is_known() -> None:
    lines = plotted(0, None, 10, 10, 5, width=18)
    assert lines[0] == "out  done 5/s"
    assert lines[1][:8] == "  10/s │"
    assert lines[4][:8] == "   0/s │"
    assert lines[4][8:12] == "⣀⣀  ", "nothing is drawn where nothing is known"
    assert lines[1][8:] == "    ⠉⠉⠉⠉⡇ "
    assert [line[16] for line in lines[2:5]] == ["⣇", " ", " "]


def test_bars_are_eighths_and_what_is_not_nothing_is_seen() -> None:
    lines = plotted(0, 0.001, 10, width=17, height=5, has_bars=True)
    assert [line[8:] for line in lines[1:4]] == ["      ███", "      ███", "   ▁▁▁███"]


@pytest.mark.parametrize("size", [(1, 1), (8, 3), (15, 4), (16, 4), (60, 9), (200, 40)])
def test_a_chart_has_exactly_its_size(size: tuple[int, int]) -> None:
    width, height = size
    for lines in (
        plotted(1, 2, None, 3, width=width, height=height),
        plotted(width=width, height=height),
        plotted(None, width=width, height=height, has_bars=True),
        [text(line) for line in spread_lines("run", [Bar(1, 3, 1.0)], width=width, height=height, style="")],
    ):
        assert len(lines) == height
        assert max(map(len, lines[1:]), default=0) <= max(width, 24)


def test_a_histogram_has_no_gaps_and_puts_the_short_times_together() -> None:
    counts = {"run0": 2, "run3": 6, "run20": 2, "runner": 9, "wait5": 1}
    bars = histogram(counts, "run")
    assert [bar.below_ms for bar in bars] == [2**n for n in range(21)]
    assert [bar.hits for bar in histogram(counts, "run", most=3)] == [8, 0, 2]
    assert histogram({}, "run") == []
    assert sum(bar.share for bar in bars) == pytest.approx(1)


def test_blocks_stand_beside_one_another_whatever_is_in_them() -> None:
    left: list[Line] = [[("long as it is [/b]", "")], [("\x1b[31m", "")]]
    lines = side_by_side([left, [[("right", "")]]], 8)
    assert text(lines[0]) == "long as…  right"
    assert text(lines[1]) == "\\x1b[31m  "
    assert time_labels(0, MINUTE, 4) == " " * 4
