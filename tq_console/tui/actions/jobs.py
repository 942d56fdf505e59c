"""Plans for jobs on many tasks."""

from __future__ import annotations

from collections.abc import Sequence

from tq_console.tui.actions.plan import Level, Plan, Told, command_line
from tq_console.view.formats import plural
from tq_console.view.job_rows import JobRow
from tq_core.roles import jobs
from tq_core.roles.jobs import Part


def cancel(job: JobRow, *, actor: str) -> Plan:
    """Ends a job before it is done; what it has done stays."""

    def tell(parts: Sequence[Part]) -> Told:
        done = sum(part.done for part in parts)
        return Told(f"the job {job.id} has ended; it had acted on {plural(done, 'task')}, see Z or `tq undo --list`")

    return Plan(
        title=f"End the job {job.id}",
        command=command_line("jobs", "cancel", job.id),
        level=Level.BAR,
        flow=lambda _told: jobs.cancel_job(job.id, actor=actor),
        tell=tell,
        facts=(job.does, f"it has acted on {plural(job.done, 'task')} so far, which stays so"),
        word=job.id,
    )
