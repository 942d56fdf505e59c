"""A private Redis and real workers, which all end with the block that made them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import redis

from benchmarks.experiments import machine
from tq_core.broker import binaries
from tq_core.keyspace import keys
from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, operator, producer, registry
from tq_core.transport import connection
from tq_core.transport.runner import SyncRunner

ROOT = Path(__file__).resolve().parents[2]
QUEUE = "default"
START_S, STOP_S = 20.0, 20.0
BATCH = 500
ACTOR = "experiment"
_PR_SET_PDEATHSIG = 1


class Sample(NamedTuple):
    """The queue at one moment."""

    at_s: float
    """Since the lab was opened."""
    enqueued: int
    completed: int
    pending: int
    running: int
    retrying: int
    failed: int

    @property
    def live(self) -> int:
        """Tasks that have not ended."""
        return self.enqueued - self.completed - self.failed


class LabError(Exception):
    """Something that an experiment needs did not come about."""


class Lab:
    """One server and the nodes on it."""

    def __init__(self, server: str | None = None) -> None:
        """Starts nothing yet; `server` is a program, else the newest that is found."""
        self._program = server or _newest_server()
        self._nodes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="tq-lab-"))
        self.opened_at = time.monotonic()
        try:
            self._start_server()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends every process; a second Ctrl-C meanwhile changes nothing."""
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for node in self._nodes:
                if node.poll() is None:
                    node.send_signal(signal.SIGQUIT)  # gives back what it runs, and ends
            for node in list(self._nodes):
                try:
                    node.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    self.kill_node(node)
            if (server := getattr(self, "_server", None)) is not None:
                server.kill()
                server.wait(STOP_S)
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            signal.signal(signal.SIGINT, before)

    def _start_server(self) -> None:
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder))
        with (self.folder / "redis.log").open("wb") as log:
            self._server = subprocess.Popen([self._program, *options], stdout=log, stderr=log, preexec_fn=_die_with_us)
        self.raw: Any = redis.Redis(port=self.port)
        deadline = time.monotonic() + START_S
        while True:
            try:
                self.raw.ping()
                break
            except redis.exceptions.ConnectionError as error:
                if self._server.poll() is not None or time.monotonic() > deadline:
                    log_text = (self.folder / "redis.log").read_text(errors="replace")[-300:]
                    raise LabError(f"{self._program} does not start: {log_text}") from error
                time.sleep(0.02)
        self.runner = SyncRunner(connection.endpoint(self.url, display=self.url))
        self.runner.run(registry.register_queue(QUEUE))
        self.runner.run(operator.configure_queue(QUEUE, {"keep_completed": 10_000_000}, actor=ACTOR))

    @property
    def redis_version(self) -> str:
        """What runs here."""
        return str(self.raw.info("server")["redis_version"])

    # --- workers ---

    def start_node(self, *options: str, processes: int = 1, slots: int = 10) -> subprocess.Popen[bytes]:
        """Starts a `tq-worker` and returns when its workers are there."""
        known = {member.id for member in self.runner.run(registry.fleet()).nodes}
        node = self.launch_node(*options, processes=processes, slots=slots)
        self._wait(lambda: self._works(node, known, processes), START_S, "the workers to start")
        return node

    def launch_node(self, *options: str, processes: int = 1, slots: int = 10) -> subprocess.Popen[bytes]:
        """Starts a `tq-worker` and returns at once."""
        app = ("benchmarks.experiments.app", "--app-dir", str(ROOT))
        numbers = ("--processes", str(processes), "--slots", str(slots), "--log-level", "warning", "--heartbeat", "1")
        environment = {**os.environ, "TQ_URL": self.url, "OTEL_SDK_DISABLED": "true"}
        with (self.folder / f"node-{len(self._nodes)}.log").open("wb") as log:
            node = subprocess.Popen(
                [sys.executable, "-m", "tq_worker", *app, *numbers, *options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_us,
            )
        self._nodes.append(node)
        return node

    def _works(self, node: subprocess.Popen[bytes], known: set[str], processes: int) -> bool:
        if node.poll() is not None:
            raise LabError(f"tq-worker ended: {(self.folder / 'node-0.log').read_text(errors='replace')[-500:]}")
        fleet = self.runner.run(registry.fleet())
        there = {worker.id for worker in fleet.workers}
        for member in fleet.nodes:
            info = member.info
            if isinstance(info, registry.NodeInfo) and info.pid == node.pid and member.id not in known:
                return len(info.worker_ids) == processes and there >= set(info.worker_ids)
        return False

    def stop_node(self, node: subprocess.Popen[bytes]) -> None:
        """Ends a node, which finishes what it runs."""
        node.terminate()
        node.wait(STOP_S)
        self._nodes.remove(node)

    def kill_node(self, node: subprocess.Popen[bytes]) -> None:
        """Kills a node with all of its processes, as a lost machine would be."""
        for pid in machine.family_of(node.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        node.wait(STOP_S)
        self._nodes.remove(node)

    def worker_pids(self) -> list[int]:
        """The worker processes of all live nodes."""
        workers = [w.info for w in self.runner.run(registry.fleet()).workers if w.health == "live"]
        return [info.pid for info in workers if isinstance(info, registry.WorkerInfo)]

    def order(self, do: str, *, timeout_s: float = 20.0, **args: Any) -> None:
        """Has every live node obey a command."""
        for member in self.runner.run(registry.fleet()).nodes:
            command = self.runner.run(registry.send_command(member.id, do, actor=ACTOR, args=args))
            answer = self.runner.run(registry.await_ack(command, timeout_s=timeout_s))
            if answer is None or not answer.ok:
                raise LabError(f"the node did not {do}: {answer}")

    def cpu_s(self) -> tuple[float, float]:
        """CPU time of all nodes with their workers, and of the server."""
        nodes = sum(machine.cpu_s(pid) for node in self._nodes for pid in machine.family_of(node.pid))
        return nodes, machine.cpu_s(self._server.pid)

    # --- tasks ---

    def put(self, task_type: str, args: Sequence[dict[str, Any]], *, priority: str | int = "normal") -> list[str]:
        """Enqueues tasks, 500 a call, and returns their ids."""
        ids: list[str] = []
        for first in range(0, len(args), BATCH):
            some = [producer.new_task(task_type, each, priority=priority) for each in args[first : first + BATCH]]
            ids += [each.task_id for each in self.runner.run(producer.enqueue(QUEUE, some))]
        return ids

    def look(self) -> Sample:
        """The queue at this moment."""
        (found,) = self.runner.run(inspector.stats([QUEUE], minutes=1))
        depth, count = found.depths, found.counters
        return Sample(
            at_s=time.monotonic() - self.opened_at,
            enqueued=count.get("enqueued", 0),
            completed=count.get("completed", 0),
            pending=depth[TaskState.PENDING],
            running=depth[TaskState.RUNNING],
            retrying=depth[TaskState.RETRYING],
            failed=depth[TaskState.FAILED],
        )

    def watch(self, *, every_s: float, until_s: float) -> Iterator[Sample]:
        """Samples at a steady pace, until nothing is live any more.

        Raises:
            LabError: tasks were still live after `until_s`.
        """
        began = time.monotonic()
        for turn in range(1, 1_000_000):
            sample = self.look()
            yield sample
            if not sample.live:
                return
            if time.monotonic() - began > until_s:
                raise LabError(f"{sample.live:,} tasks have not ended after {until_s:g} s")
            time.sleep(max(0.0, began + turn * every_s - time.monotonic()))

    def ended(self, limit: int) -> list[TaskView]:
        """Completed tasks, the last ones first."""
        found: list[TaskView] = []
        while len(found) < limit:
            page = self.runner.run(
                inspector.page(
                    QUEUE,
                    TaskState.COMPLETED,
                    offset=len(found),
                    limit=min(500, limit - len(found)),
                    newest_first=True,
                    payload_max=0,
                )
            )
            found += page.tasks
            if not page.tasks:
                break
        return found

    def _wait(self, is_so: Any, within_s: float, what: str) -> None:
        deadline = time.monotonic() + within_s
        while not is_so():
            if time.monotonic() > deadline:
                raise LabError(f"waited {within_s:g} s for {what}")
            time.sleep(0.02)


def prefix() -> str:
    """What every key of the queue begins with."""
    return keys.queue_prefix(QUEUE)


def _newest_server() -> str:
    found = [binary for binary in binaries.candidates(os.environ) if binary.path]
    if not found:
        raise LabError(f"there is no Redis here: {binaries.HOW_TO_INSTALL}")
    return str(max(found, key=lambda binary: binary.version.numbers).path)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _die_with_us() -> None:
    """Has the kernel end this child when we are killed; runs between fork and exec."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
