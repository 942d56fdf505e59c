"""Loads the users' code once and forks a process for each task: a fork costs milliseconds, a new interpreter much more.

One fork is always there already, so that a task waits for none.

A fork is only safe from a process without threads, event loop or connections, and this one has none of its own. Where
the users' code starts a thread as it is imported, no fork is made: each process runs one task itself and is replaced.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from tq_core.errors import TqError
from tq_core.settings import resolve_broker
from tq_core.tasks.task import TaskDefinition
from tq_worker import trace_export
from tq_worker.app_loading import load_apps
from tq_worker.isolated import messages
from tq_worker.isolated.lifeline import die_with_parent
from tq_worker.isolated.task_process import TaskProcess
from tq_worker.worker import log_records

MAX_LOAD_BYTES = 65536
THREADS_END_S = 0.2
OOM_SCORE = "500"
"""Of 1000, which is added to the share of memory that a process uses."""


def serve(channel: socket.socket, *, loaded: Callable[[], None]) -> None:
    """Runs tasks until the worker is gone.

    Args:
        channel: The line to the worker.
        loaded: Called when the users' code is loaded.
    """
    said = channel.recv(MAX_LOAD_BYTES)
    if not said:
        return
    load = msgspec.json.decode(said, type=messages.Load)
    if load.url is not None:
        os.environ["TQ_URL"] = load.url  # for programs that a handler starts
    if load.cpu is not None:
        with contextlib.suppress(OSError):  # taken from this machine meanwhile: any other will do
            os.sched_setaffinity(0, {load.cpu})
    try:
        apps = load_apps(load.apps, load.app_dir)
        if load.url is not None:
            for task_queue in apps.task_queues:
                task_queue.redirect(resolve_broker(load.url))
    except TqError as error:
        channel.send(messages.line(messages.Loaded(can_fork=False, problem=error.message)))
        return
    loaded()
    tasks = apps.tasks
    log_records.install_plain()
    if load.tracing == "on":
        # Before it is forked, so that no task pays for the imports. Its worker has the same collector, and complains.
        trace_export.install(f"isolated-{os.getpid()}", lambda _: None, is_forked=True)
        _let_threads_end()
    can_fork = _count_threads() == 1
    gc.collect()
    gc.freeze()
    channel.send(messages.line(messages.Loaded(can_fork=can_fork)))
    if can_fork:
        _fork_for_each(channel, tasks)
        return
    given = _receive(channel)
    if given is not None:
        line, output = given
        channel.close()
        _print_to(output)
        _offer_to_the_oom_killer()
        TaskProcess(line, tasks).run()


def _fork_for_each(channel: socket.socket, tasks: Mapping[str, TaskDefinition]) -> None:
    """Keeps one fork ready, which waits for a task and says when it has one; then the next is made."""
    deaths, note_death = os.pipe()
    os.set_blocking(note_death, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(note_death, warn_on_full_buffer=False)
    taken, note_taken = os.pipe()
    own_pid = os.getpid()
    poll = select.poll()
    for watched in (deaths, taken):
        poll.register(watched, select.POLLIN)
    poll.register(channel, 0)  # tasks are for the forks: here only its end is of interest
    spare = 0
    while True:
        if not spare:
            spare = os.fork()
            if spare == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                die_with_parent(own_pid)
                os.setsid()  # so that what the handler starts can be ended with it
                for ours in (deaths, note_death, taken):
                    os.close(ours)
                _offer_to_the_oom_killer()
                _wait_and_run(channel, note_taken, tasks)
            with contextlib.suppress(OSError):
                channel.send(messages.line(messages.Ready(pid=spare)))
        ready = dict(poll.poll())
        if channel.fileno() in ready:
            return
        if taken in ready:
            os.read(taken, 1)
            spare = 0
        if deaths in ready:
            os.read(deaths, 4096)
            if spare in _report_deaths(channel):
                spare = 0


def _wait_and_run(channel: socket.socket, note_taken: int, tasks: Mapping[str, TaskDefinition]) -> None:
    """Never returns."""
    try:
        given = _receive(channel)
        if given is not None:
            os.write(note_taken, b".")
            line, output = given
            os.close(note_taken)
            channel.close()
            _print_to(output)
            _run_and_exit(line, tasks)
    finally:
        os._exit(1)


def _run_and_exit(line: socket.socket, tasks: Mapping[str, TaskDefinition]) -> None:
    code = 1
    try:
        TaskProcess(line, tasks).run()
        code = 0
    finally:
        # Not sys.exit: it would run what the zygote registered to be run at its own end.
        os._exit(code)


def _print_to(output: int) -> None:
    """Has all that is printed here, also by programs that the handler starts, go to this pipe."""
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)


def _offer_to_the_oom_killer() -> None:
    """When the machine runs short of memory, the task goes before its worker and all neighbours do."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE, encoding="ascii")


def _receive(channel: socket.socket) -> tuple[socket.socket, int] | None:
    """The line to the next task's worker, and where the task prints to; None when the worker is gone."""
    try:
        said, descriptors, _, _ = socket.recv_fds(channel, 16, 2)
    except ConnectionError:
        return None
    if not said or len(descriptors) != 2:
        return None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptors[0]), descriptors[1]


def _report_deaths(channel: socket.socket) -> set[int]:
    """Collects forks that have ended and says so; returns which they were."""
    dead: set[int] = set()
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return dead
        if pid == 0:
            return dead
        dead.add(pid)
        died = messages.Died(pid=pid, exit_code=os.waitstatus_to_exitcode(status))
        try:
            channel.send(messages.line(died))
        except OSError:
            return dead


def _let_threads_end() -> None:
    """Returns when no thread is left, or soon: OpenTelemetry looks for its resources in some that end by themselves."""
    deadline = time.monotonic() + THREADS_END_S
    while _count_threads() > 1 and time.monotonic() < deadline:
        time.sleep(0.001)


def _count_threads() -> int:
    """Threads of this process; those that are not Python's count as well."""
    tasks = Path("/proc/self/task")
    return len(list(tasks.iterdir())) if tasks.is_dir() else threading.active_count()
