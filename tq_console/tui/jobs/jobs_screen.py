"""The jobs on many tasks, open ones and those that ended lately; asked again each second while on screen."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from tq_console.tui.actions import jobs as job_plans
from tq_console.tui.actions.desk import Desk
from tq_console.tui.actions.messages import NothingToDo, PlanMade
from tq_console.tui.frame.hints import hint_line
from tq_console.tui.look.canvas import Canvas, Line
from tq_console.tui.look.wrapping import wrapped
from tq_console.view.formats import age, count, rate
from tq_console.view.job_rows import JobRow, job_rows
from tq_console.view.text import fit, pad, visible
from tq_core.errors import TqError
from tq_core.roles import jobs, registry
from tq_core.transport.together import together

REFRESH_S = 1.0
_SIGNS = {
    "open": ("▶ open", "cell--busy"),
    "done": ("✓ done", "cell--good"),
    "failed": ("✗ failed", "cell--bad"),
    "cancelled": ("⊘ cancelled", "cell--dim"),
}


async def open_jobs(desk: Desk) -> None:
    """Shows the jobs; the app's own keys lead back."""
    if not isinstance(desk.app.screen, JobsScreen):
        await desk.app.push_screen(JobsScreen(desk))


class JobsScreen(Screen[None]):
    """All jobs, the latest first."""

    DEFAULT_CSS = """
    JobsScreen {
        #jobs-head, #jobs-hints { height: 1; background: $surface; }
        #jobs-list { height: 1fr; }
        #jobs-one { height: 5; border-top: solid $border; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "move(1)", "next", show=False, tooltip="The next job", id="jobs.down"),
        Binding("k,up", "move(-1)", "before", show=False, tooltip="The job before", id="jobs.up"),
        Binding("X", "cancel", "end it", tooltip="End the job; what it has done stays", id="jobs.cancel"),
    ]

    def __init__(self, desk: Desk) -> None:
        super().__init__()
        self._desk = desk
        self._rows: list[JobRow] | None = None
        self._before: dict[str, tuple[int, int]] = {}
        self._rates: dict[str, float] = {}
        self._now_ms = 0
        self._at_id: str | None = None
        self._trouble = ""

    def compose(self) -> ComposeResult:
        """How many, each, the one under the cursor, the keys."""
        yield Canvas(id="jobs-head")
        yield Canvas(id="jobs-list")
        yield Canvas(id="jobs-one")
        yield Canvas(id="jobs-hints")

    def on_mount(self) -> None:
        """Asks, and again each second."""
        self._paint()
        self._look()
        self.set_interval(REFRESH_S, self._look)

    def on_resize(self) -> None:
        """Fits it anew."""
        self.call_after_refresh(self._paint)

    def _look(self) -> None:
        self.run_worker(self._bring(), group="jobs", exclusive=True, exit_on_error=False)

    async def _bring(self) -> None:
        try:
            parts, now_ms = await self._desk.link.ask(together([jobs.jobs(), registry.server_time_ms()]))
        except TqError as error:
            self._trouble = error.message
        else:
            self._take(job_rows(parts), now_ms)
        if self.is_mounted:
            self._paint()

    def _take(self, rows: list[JobRow], now_ms: int) -> None:
        # How fast it goes is measured between two looks.
        for row in rows:
            looked, at_ms = self._before.get(row.id, (row.looked, now_ms))
            if now_ms > at_ms:
                self._rates[row.id] = (row.looked - looked) * 1000 / (now_ms - at_ms)
        self._before = {row.id: (row.looked, now_ms) for row in rows}
        self._rows, self._now_ms, self._trouble = rows, now_ms, ""
        if self._at_id not in self._before:
            self._at_id = rows[0].id if rows else None

    # --- what is shown ---

    @property
    def _at(self) -> int:
        return next((n for n, row in enumerate(self._rows or ()) if row.id == self._at_id), 0)

    @property
    def _chosen(self) -> JobRow | None:
        return self._rows[self._at] if self._rows else None

    def _paint(self) -> None:
        if not self.query("#jobs-hints"):
            return
        rows = self._rows
        open_jobs = sum(row.status == "open" for row in rows or ())
        head: Line = [
            (" jobs ", "cell--title"),
            ("… asking" if rows is None else f"{open_jobs} open of {len(rows)}", "cell--dim"),
            (f"  STALE: {self._trouble}" if self._trouble else "", "cell--bad"),
        ]
        self.query_one("#jobs-head", Canvas).paint([head])
        self.query_one("#jobs-list", Canvas).paint(self._list())
        one = self.query_one("#jobs-one", Canvas)
        one.paint(self._about(max(20, self.size.width - 2)))
        hints = hint_line(list(self.active_bindings.values()), self.size.width)
        self.query_one("#jobs-hints", Canvas).paint([hints])

    def _list(self) -> list[Line]:
        if self._rows is None:
            return []
        if not self._rows:
            return [[(" no job yet · one begins with `tq tasks cancel --filter … --background`", "cell--dim")]]
        height = max(1, self.query_one("#jobs-list").size.height - 1)
        first = max(0, min(self._at - height // 2, len(self._rows) - height))
        is_wide = self.size.width >= 100
        head = f"  {'JOB':12}  {'STATUS':11}  {'LOOKED':>9}  {'DONE':>9}" + (f"  {'RATE':>8}  BEGUN" if is_wide else "")
        lines: list[Line] = [[(f"{head}  DOES", "cell--dim")]]
        for n, row in enumerate(self._rows[first : first + height], first):
            word, style = _SIGNS.get(row.status, ("? " + row.status, ""))
            speed = rate(self._rates[row.id]) if row.status == "open" and row.id in self._rates else "-"
            begun = age(self._now_ms - row.begun_at_ms)
            more = f"  {speed:>8}  {begun:>5}" if is_wide else ""
            lines.append(
                [
                    ("▌ " if n == self._at else "  ", "cell--accent"),
                    (pad(fit(visible(row.id), 12), 12), "cell--bold" if n == self._at else ""),
                    (f"  {word:11}", style),
                    (f"  {count(row.looked):>9}  {count(row.done):>9}{more}  ", ""),
                    (row.does, ""),
                ]
            )
        return lines

    def _about(self, width: int) -> list[Line]:
        row = self._chosen
        if row is None:
            return []
        by = f"by {row.by or '?'}, {age(self._now_ms - row.begun_at_ms)} ago" + (f": {row.why}" if row.why else "")
        held = "somebody is at it now" if row.is_held else "nobody is at it now: a worker of its queues goes on"
        state = held if row.status == "open" else f"{row.status} {age(self._now_ms - row.changed_at_ms)} ago"
        return [
            *wrapped((f" {row.does}", ""), width, 2),
            [(f" {by}", "cell--dim")],
            [(f" {state}; {count(row.left)} left as they were", "cell--dim")],
        ]

    # --- keys ---

    def action_move(self, step: int) -> None:
        """Another job."""
        if self._rows:
            self._at_id = self._rows[max(0, min(len(self._rows) - 1, self._at + step))].id
            self._paint()

    def action_cancel(self) -> None:
        """Ends the job under the cursor."""
        row = self._chosen
        if row is None:
            self.post_message(NothingToDo("no job here"))
        elif row.status != "open":
            self.post_message(NothingToDo(f"the job {row.id} is {row.status} already"))
        else:
            self.post_message(PlanMade(job_plans.cancel(row, actor=self._desk.actor)))
