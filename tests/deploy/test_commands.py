"""Every command of ours in deploy/ is one that exists, and those that containers start do start, answer and leave."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from tests.deploy.manifests import Told, commands, health_check, pods
from tests.deploy.running import Service, System
from tests.redis_servers import PrivateServer
from tests.waiting import wait_until
from tq_console.cli.main import tq as tq_command
from tq_core import TaskQueue
from tq_core.model import TaskState
from tq_worker.cli import command as tq_worker

HELD = """
import asyncio, os
from tq_core import TaskQueue

tq = TaskQueue()


@tq.task
async def hold(gate: str) -> None:
    while not os.path.exists(gate):
        await asyncio.sleep(0.01)
"""
PROGRAMS: dict[str, click.Command] = {"tq": tq_command, "tq-worker": tq_worker}


@pytest.mark.parametrize("told", commands(), ids=lambda told: told.where)
def test_every_command_is_understood(told: Told) -> None:
    program, *words = told.argv
    command = PROGRAMS[program]
    context = command.make_context(program, words)
    while isinstance(command, click.Group):
        words = [*context._protected_args, *context.args]
        if not words and command.invoke_without_command:
            return
        name, found, words = command.resolve_command(context, words)
        assert found is not None, name
        command, context = found, found.make_context(name, words, parent=context)


def test_a_worker_is_healthy_and_a_pod_that_goes_finishes_what_it_runs(
    new_redis_server: Callable[..., PrivateServer], tmp_path: Path
) -> None:
    (container,) = pods()["worker"]["spec"]["containers"]
    (tmp_path / "held.py").write_text(HELD)
    redis = new_redis_server()
    worker, tq = Service("worker", redis, tmp_path, WORKER_APP="held"), TaskQueue(redis.url)
    try:
        assert health_check()[-1].endswith("/healthcheck.py")
        worker.wait_listening()
        assert worker.health().returncode == 0
        wait_until(lambda: worker.get("/readyz").status_code == 200, 15, "the worker to take tasks")
        task = tq.enqueue_sync("hold", {"gate": str(tmp_path / "gate")})
        wait_until(lambda: "tq_node_running_tasks 1" in worker.get("/metrics").text, 10, "the task to run")

        hook = worker.run(container["lifecycle"]["preStop"]["exec"]["command"])
        assert hook.returncode == 0, hook.stderr
        assert worker.get("/readyz").json()["reasons"] == ["draining"]
        worker.process.terminate()
        (tmp_path / "gate").touch()

        assert worker.process.wait(20) == 0, worker.log
        shown = task.status_sync()
        assert (shown.state, shown.attempt) == (TaskState.COMPLETED, 1)
        assert "refused" in worker.health().stderr
    finally:
        tq.close()
        worker.close()


def test_the_gateway_is_healthy_while_it_works(system: System) -> None:
    gateway = system.services["gateway"]

    assert gateway.health().returncode == 0
    (container,) = pods()["gateway"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert gateway.get(container[probe]["httpGet"]["path"]).status_code == 200


def test_the_console_in_a_browser_is_healthy_under_its_own_name_and_asks_for_its_token(
    new_redis_server: Callable[..., PrivateServer], tmp_path: Path
) -> None:
    (container,) = pods()["dashboard"]["spec"]["containers"]
    dashboard = Service("dashboard", new_redis_server(), tmp_path)
    try:
        dashboard.wait_listening()
        assert dashboard.health().returncode == 0
        probe = container["readinessProbe"]["httpGet"]
        named = {header["name"]: header["value"] for header in probe["httpHeaders"]}
        assert dashboard.get(probe["path"], **named).status_code == 200
        assert dashboard.get("/").status_code == 401
        found = re.search(r"http://localhost:5001(/\?token=\S+)", dashboard.log)
        assert found, dashboard.log
        assert dashboard.get(found[1]).status_code == 303
        assert dashboard.stop() == 0
    finally:
        dashboard.close()
