"""A broker, some nodes and what their tasks wrote down: everything that a test of the daemon needs."""

from __future__ import annotations

import collections
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests import invariants
from tests.queue_driver import QueueDriver
from tests.waiting import wait_until
from tq_core.model import TaskView
from tq_core.roles import operator, producer, registry
from tq_core.roles.registry import Ack, Fleet, Member

CODE = Path(__file__).parent / "code"
ACTOR = "test"
FAST = ("--lease", "3", "--heartbeat", "0.3")
START_S = 15.0
END_S = 20.0


ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "tq_worker", *sys.argv[1:]])
"""
"""Makes standard input the terminal of its session, as it is for what a shell starts."""


class Node:
    """One `tq-worker` daemon."""

    def __init__(
        self, arguments: Sequence[str], environment: dict[str, str], log: Path, *, terminal: int | None = None
    ) -> None:
        self.log_file = log
        self._log = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, *(("-m", "tq_worker") if terminal is None else ("-c", ON_TERMINAL)), *arguments],
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=self._log if terminal is None else terminal,
            stderr=self._log if terminal is None else terminal,
            env=environment,
            start_new_session=True,
        )

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def wait(self, timeout_s: float = END_S) -> int:
        """The exit code of the node, once it has ended."""
        return self.process.wait(timeout_s)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(END_S)
        self._log.close()


class Site:
    """Nodes on one broker."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.token = uuid.uuid4().hex
        self.driver = QueueDriver(url, queue="default", has_clock=False)
        self.trace_file = folder / "trace"
        self.nodes: list[Node] = []
        self.is_audited = True
        self.accepted: set[str] = set()
        """Ids in the queue `default`; a test that makes the broker forget forgets them too."""

    # --- nodes ---

    def start(self, *arguments: str, app: str = "traced_tasks", env: dict[str, str] | None = None) -> Node:
        """Starts a node and returns at once; options that are not given are short for tests."""
        return self.run_node(app, "--app-dir", str(CODE), "--processes", "1", *FAST, *arguments, env=env)

    def run_node(self, *arguments: str, env: dict[str, str] | None = None, terminal: int | None = None) -> Node:
        """Starts a node with these arguments and nothing else; by `terminal`, a file descriptor, from a terminal."""
        environment = {
            "TQ_LOOP": "asyncio",
            **os.environ,
            "TQ_URL": self.url,
            "TRACE_FILE": str(self.trace_file),
            "DAEMON_TEST": self.token,
            **(env or {}),
        }
        node = Node(arguments, environment, self.folder / f"node-{len(self.nodes)}.log", terminal=terminal)
        self.nodes.append(node)
        return node

    def started(self, *arguments: str, app: str = "traced_tasks", env: dict[str, str] | None = None) -> Node:
        """Starts a node and returns when all of its workers run."""
        known = {member.id for member in self.fleet().nodes}
        node = self.start(*arguments, app=app, env=env)
        self.wait_working(node, known)
        return node

    def wait_working(self, node: Node, known: set[str] | None = None) -> str:
        """Returns the node's id when all of its workers run."""

        def working() -> str:
            assert node.process.poll() is None, node.log
            for member in self.fleet().nodes:
                info = member.info
                if (
                    isinstance(info, registry.NodeInfo)
                    and info.pid == node.process.pid
                    and member.id not in (known or ())
                    and len(info.worker_ids) == info.processes
                    and {w.id for w in self.fleet().workers} >= set(info.worker_ids)
                ):
                    return member.id
            return ""

        return wait_until(working, START_S, f"the node to work: {node.log}")

    def id_of(self, node: Node) -> str:
        return self.node_info(node).node_id

    def node_info(self, node: Node) -> registry.NodeInfo:
        (found,) = [
            m.info
            for m in self.fleet().nodes
            if isinstance(m.info, registry.NodeInfo) and m.info.pid == node.process.pid
        ]
        return found

    def workers_of(self, node: Node) -> list[registry.WorkerInfo]:
        node_id = self.id_of(node)
        return [
            m.info
            for m in self.fleet().workers
            if isinstance(m.info, registry.WorkerInfo) and m.info.node_id == node_id
        ]

    def worker_of(self, node: Node) -> registry.WorkerInfo:
        (found,) = self.workers_of(node)
        return found

    def fleet(self) -> Fleet:
        return self.driver.run(registry.fleet())

    def members(self) -> tuple[Member, ...]:
        fleet = self.fleet()
        return fleet.nodes + fleet.workers

    def command(self, node: Node, do: str, *, timeout_s: float = 25.0, **args: Any) -> Ack:
        """Sends a command to a node and returns its answer."""
        command_id = self.driver.run(registry.send_command(self.id_of(node), do, actor=ACTOR, args=args))
        answer = self.driver.run(registry.await_ack(command_id, timeout_s=timeout_s))
        assert answer is not None, f"no answer to {do}: {node.log}"
        return answer

    def processes(self) -> dict[int, str]:
        """Living processes that belong to this site, by pid, with their command lines."""
        needle = f"DAEMON_TEST={self.token}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (
                    needle in (folder / "environ").read_bytes()
                    and (folder / "stat").read_text().rsplit(")")[1].split()[0] != "Z"
                ):
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
        return found

    # --- tasks ---

    def put(self, task_type: str, *, queue: str = "default", **args: Any) -> str:
        """Enqueues one task and returns its id."""
        return self.put_with({}, task_type, queue=queue, **args)

    def put_with(self, options: dict[str, Any], task_type: str, *, queue: str = "default", **args: Any) -> str:
        """As `put`, with options of `producer.new_task`; one attempt unless they say more."""
        task = producer.new_task(task_type, args, **{"max_attempts": 1, **options})
        task_id = self.driver.run(producer.enqueue_one(queue, task))
        if queue == self.driver.queue:
            self.accepted.add(task_id)
        return task_id

    def put_many(self, task_type: str, count: int, **args: Any) -> list[str]:
        tasks = [producer.new_task(task_type, args or {"n": n}, max_attempts=1) for n in range(count)]
        ids = [e.task_id for first in range(0, count, 500) for e in self.driver.put(*tasks[first : first + 500])]
        self.accepted |= set(ids)
        return ids

    def view(self, task_id: str) -> TaskView:
        return self.driver.view(task_id)

    def cancel(self, task_id: str, *, kill: bool = False) -> None:
        self.driver.run(operator.cancel([task_id], actor=ACTOR, why="the test wants it", kill=kill))

    def ended(self, task_id: str, timeout_s: float = END_S) -> TaskView:
        """The task, once it has ended."""

        def look() -> TaskView | None:
            view = self.view(task_id)
            return view if view.state.is_terminal else None

        return wait_until(look, timeout_s, f"{task_id} to end: {self.view(task_id)}\n{self.logs()}")  # type: ignore[return-value]

    def all_ended(self, timeout_s: float = END_S) -> dict[str, int]:
        """How many tasks each state holds, once all have ended."""

        def look() -> dict[str, int]:
            depths = self.driver.depths()
            live = sum(n for state, n in depths.items() if state not in ("completed", "failed", "cancelled"))
            return {} if live else depths

        return wait_until(look, timeout_s, f"all to end: {self.driver.depths()}")

    def counters(self) -> dict[str, int]:
        return {k: v for k, v in self.driver.stats().counters.items() if k not in ("seq", "fence", "run_ms")}

    # --- what the handlers wrote down ---

    def trace(self) -> list[tuple[str, str, int]]:
        """(word, task id, pid) of every line."""
        try:
            lines = self.trace_file.read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(word, task_id, int(pid)) for word, task_id, pid in (line.split() for line in lines)]

    def runs_of(self, task_id: str) -> int:
        return sum(1 for word, traced, _ in self.trace() if word == "start" and traced == task_id)

    def runs(self) -> collections.Counter[str]:
        return collections.Counter(task_id for word, task_id, _ in self.trace() if word == "start")

    def wait_started(self, task_id: str, timeout_s: float = END_S) -> int:
        """The process of the task's first run, once it has started."""

        def look() -> int:
            return next((pid for word, traced, pid in self.trace() if word == "start" and traced == task_id), 0)

        return wait_until(look, timeout_s, f"{task_id} to start\n{self.logs()}")

    def gate(self) -> Path:
        """A file that does not exist yet: handlers wait for it."""
        return self.folder / f"gate-{uuid.uuid4().hex[:8]}"

    def logs(self) -> str:
        return "\n".join(f"--- {node.log_file.name}\n{node.log}" for node in self.nodes)

    # --- the end ---

    def close(self) -> None:
        """Ends the nodes; every process must be gone soon after, and every invariant hold."""
        for node in self.nodes:
            if node.process.poll() is None:
                node.signal(signal.SIGCONT)
                node.signal(signal.SIGQUIT)
        try:
            for node in self.nodes:
                node.wait(END_S)
            wait_until(lambda: not self.processes(), 10.0, f"no process to be left: {self.processes()}\n{self.logs()}")
            if self.is_audited:
                wrong = invariants.check(self.driver, accepted=self.accepted, runs=self.runs())
                assert wrong == [], self.logs()
        finally:
            for node in self.nodes:
                node.close()
            for pid in self.processes():
                os.kill(pid, signal.SIGKILL)
            self.driver.close()
