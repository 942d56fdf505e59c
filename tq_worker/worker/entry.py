"""From the first line of a worker process to its last."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import socket
import sys
import threading
from queue import SimpleQueue
from typing import Never

import msgspec

from tq_core import settings
from tq_core.broker_url import BrokerScheme
from tq_core.errors import RefusedError, TqError
from tq_core.keyspace import sealing
from tq_core.settings import BrokerAddress
from tq_core.transport import backend, call_spans
from tq_worker import exit_codes, frames, trace_export
from tq_worker.app_loading import AppRefusedError, LoadedApps, load_apps
from tq_worker.board import Board
from tq_worker.code_version import code_version
from tq_worker.exit_codes import exit_code_of
from tq_worker.exits import DUMP_SIGNAL
from tq_worker.lifecycle_log import LifecycleLog
from tq_worker.settings import DEFAULT_QUEUE
from tq_worker.worker.channel import Channel, ChannelThread
from tq_worker.worker.event_loop import new_event_loop, run_to_end
from tq_worker.worker.leases import rss_bytes
from tq_worker.worker.process import WorkerProcess

STDERR = 2


class _Mailbox:
    """Frames that arrive before the process can obey them."""

    def __init__(self) -> None:
        self.frames: SimpleQueue[frames.FromSupervisor] = SimpleQueue()
        self.process: WorkerProcess | None = None
        self._moving = threading.Lock()
        self.log: LifecycleLog | None = None

    def received(self, frame: frames.FromSupervisor) -> None:
        with self._moving:
            if self.process is None:
                self.frames.put(frame)
                return
        self.process.orders.receive(frame)

    def hand_over(self, process: WorkerProcess) -> None:
        """Gives the process what has come so far, and from now on what comes."""
        with self._moving:
            while not self.frames.empty():
                process.orders.receive(self.frames.get())
            self.process = process

    def orphaned(self) -> None:
        if self.process is None:
            os._exit(1)
        self.process.orphaned()

    def fault(self, error: Exception) -> None:
        if self.log is not None:
            self.log.write("error", "fault", text=f"channel: {type(error).__name__}: {error}")

    def tick(self) -> None:
        if self.process is not None:
            self.process.tick()


def run_worker(*, channel: int, board: int, dump: int, forker: socket.socket | None = None) -> Never:
    """Runs the worker; the process ends here.

    Args:
        channel: The line to the supervisor, over which all else comes.
        board: The slot board.
        dump: A file for stacks that a signal asks for.
        forker: The line to the zygote that this process was forked from, if it was.
    """
    for fd in (channel, board, dump):
        os.set_inheritable(fd, False)
    # Ctrl-C, Ctrl-\ and the end of a terminal reach all that was started from it; they are meant for the supervisor.
    # Not SIG_IGN, which programs that a handler starts would inherit; what nohup has set stays.
    signal.signal(signal.SIGINT, lambda *_: None)
    for number in (signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
    faulthandler.register(DUMP_SIGNAL, dump, all_threads=True)
    line = Channel(channel)
    mailbox = _Mailbox()
    # From here on the end of the supervisor is noticed, whatever the users' code does while it is imported.
    ChannelThread(
        line, received=mailbox.received, orphaned=mailbox.orphaned, tick=mailbox.tick, fault=mailbox.fault
    ).start()
    setup = mailbox.frames.get()
    assert isinstance(setup, frames.Setup)
    log = mailbox.log = LifecycleLog(_own_stderr(), style=setup.log_format, level=setup.log_level)
    code = exit_codes.FAILED
    try:
        code = _run(setup, mailbox, line, Board(board), log, forker)
    except TqError as error:
        code = exit_code_of(error)
        line.send(frames.Refused(message=error.message, exit_code=code))
    finally:
        trace_export.flush()
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        log.close()
        # Threads that do not stop, ours or the users', must not keep the process.
        os._exit(code)


def _own_stderr() -> int:
    """A descriptor that no handler knows: were 2 closed by one, the log would be written into what is opened next."""
    try:
        return os.dup(STDERR)
    except OSError:
        return STDERR


def _run(  # noqa: PLR0917 - private, and each is a different thing
    setup: frames.Setup,
    mailbox: _Mailbox,
    channel: Channel,
    board: Board,
    log: LifecycleLog,
    forker: socket.socket | None,
) -> int:
    if isinstance(sys.stdout, object) and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)
    if setup.cpu is not None:
        with contextlib.suppress(OSError):  # taken from this machine meanwhile: any other will do
            os.sched_setaffinity(0, {setup.cpu})
    address, apps = _load(setup)
    if setup.max_memory_mb is not None and rss_bytes() > setup.max_memory_mb << 20:
        raise AppRefusedError(
            f"a worker takes {rss_bytes() >> 20} MiB with your code loaded and nothing done, and --max-memory is "
            f"{setup.max_memory_mb}: give it more"
        )
    loop = new_event_loop(setup.event_loop)
    if setup.tracing == "on":
        trace_export.install(setup.worker_id, lambda text: log.write("warning", "tracing", text=text))
    call_spans.shows_every_call = setup.tracing != "off" and os.environ.get("TQ_TRACE_REDIS") == "1"
    queues = setup.queues or tuple(dict.fromkeys([*(t.queue for t in apps.tasks.values()), DEFAULT_QUEUE]))
    channel.send(
        frames.Ready(
            url=address.url,
            display=address.display_url,
            notice=address.notice or "",
            queues=queues,
            types=tuple(definition.published() for definition in apps.tasks.values()),
            schedules=tuple(apps.schedules.values()),
            code_version=code_version(setup.apps[0].partition(":")[0] if setup.apps else ""),
        )
    )
    go = mailbox.frames.get()
    while not isinstance(go, frames.Go):
        if isinstance(go, frames.Order) and go.do in ("drain", "stop"):
            return 0
        go = mailbox.frames.get()
    # They may have been changed while the code was loaded.
    setup = msgspec.structs.replace(setup, slots=go.slots or setup.slots, log_level=go.log_level or setup.log_level)
    log.set_level(setup.log_level)
    broker = backend.open_endpoint(address, client_name=f"tq-worker-{setup.worker_id}")
    process = WorkerProcess(
        setup,
        tasks=apps.tasks,
        queues=queues,
        endpoint=broker.endpoint,
        told_url=address.url if setup.url or setup.context else None,
        board=board,
        channel=channel,
        log=log,
        forker=forker,
    )
    # What was loaded stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()

    async def serve() -> int:
        serving = asyncio.ensure_future(process.serve(is_paused=go.is_paused))
        await asyncio.sleep(0)
        mailbox.hand_over(process)
        return await serving

    return run_to_end(loop, serve(), lambda text: log.write("error", "loop", text=text, worker_id=setup.worker_id))


def _load(setup: frames.Setup) -> tuple[BrokerAddress, LoadedApps]:
    told: BrokerAddress | None = None
    if setup.url or setup.context:
        told = settings.resolve_broker(setup.url, context=setup.context)
        os.environ["TQ_URL"] = told.url  # for programs that a handler starts
    apps = load_apps(setup.apps, setup.app_dir)
    sealing.current()  # keys that cannot be read are told now, not by the first task
    if told is not None:
        for task_queue in apps.task_queues:
            task_queue.redirect(told)
    else:
        addresses = {queue.address.url: queue.address for queue in apps.task_queues}
        if len(addresses) > 1:
            shown = ", ".join(sorted(address.display_url for address in addresses.values()))
            raise AppRefusedError(
                f"the task queues are on different brokers ({shown}): start one tq-worker for each, or give --url"
            )
        (told,) = addresses.values()
    if told.scheme == BrokerScheme.MEMORY:
        raise RefusedError(
            f"{told.display_url} lives inside one process and cannot be shared: use embedded:// or redis://, or "
            "tq_worker.inline.InlineWorker inside your program"
        )
    if told.scheme.is_gateway:
        raise RefusedError(f"{told.display_url} is a gateway: workers need the broker itself, redis://…")
    return told, apps
