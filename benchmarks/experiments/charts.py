"""How results are drawn: one style, as SVG and as PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("agg")  # before anything of matplotlib asks for a screen

from matplotlib.figure import Figure as Picture
from matplotlib.ticker import FuncFormatter, NullFormatter

from benchmarks.experiments.result import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

    from benchmarks.experiments.experiment import Experiment

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7")
"""Okabe and Ito's, which people tell apart whatever colours they see."""
GREY, DARK_GREY = "#9a9a9a", "#666666"
INCHES = (9.0, 4.6)
DPI = 130
STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.titlesize": 12,
    "font.size": 9,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "tq",
}


def save(experiment: Experiment, result: Result, folder: Path) -> None:
    """Draws a result into NAME.svg and NAME.png."""
    with mpl.rc_context(STYLE):
        picture = Picture(figsize=INCHES, layout="constrained")
        experiment.draw(result, picture)
        suffix = "" if result.is_complete else " (interrupted)"
        picture.suptitle(f"{experiment.title}{suffix}", x=0.01, ha="left", weight="bold")
        picture.supxlabel(_setting(result), x=0.01, ha="left", fontsize=8, color=DARK_GREY)
        picture.savefig(folder / f"{result.name}.svg", metadata={"Date": None})
        picture.savefig(folder / f"{result.name}.png", dpi=DPI)


def _setting(result: Result) -> str:
    return "; ".join(f"{name}: {value}" for name, value in result.setting.items())


def label(axes: Axes, *, x: str = "", y: str = "", title: str = "") -> None:
    """Names the axes, and the picture where there are several."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title)


def from_zero(axes: Axes, *, room: float = 1.08) -> None:
    """Begins the upright axis at nothing, with room above, and writes its numbers in full."""
    axes.set_ylim(bottom=0, top=axes.get_ylim()[1] * room)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def plain_ticks(axis: Axis) -> None:
    """Numbers in full on a logarithmic axis."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def marks(axes: Axes, marked: Sequence[tuple[float, str]]) -> None:
    """Lines for what was done while it was measured."""
    for at_s, what in marked:
        axes.axvline(at_s, color=COLOURS[3], lw=1)
        axes.annotate(
            what, (at_s, 0.02), xycoords=("data", "axes fraction"), xytext=(4, 0), textcoords="offset points",
            color=COLOURS[3], fontsize=8,
        )  # fmt: skip
