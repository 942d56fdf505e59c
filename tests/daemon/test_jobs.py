"""Jobs on a real node: its upkeep does what nobody else is doing."""

from __future__ import annotations

from tests.daemon.site import Site
from tests.waiting import wait_until
from tq_core.model import TaskState
from tq_core.roles import jobs
from tq_core.roles.jobs import Job


def test_a_node_does_a_job_whose_command_is_gone(site: Site) -> None:
    site.driver.put_many(450, delay_s=3600)
    job = Job(action="cancel", states=(TaskState.SCHEDULED, TaskState.PENDING), by="ann")
    job_id = site.driver.run(jobs.start([site.driver.queue], job))
    site.driver.run(jobs.advance(site.driver.queue, job_id))

    site.started()

    def status() -> str:
        return site.driver.run(jobs.jobs(job_id=job_id))[0].status

    wait_until(lambda: status() == "done", 20, f"the job\n{site.logs()}")
    assert site.driver.depths() == {"cancelled": 450}
