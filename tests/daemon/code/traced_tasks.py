"""Tasks for the tests of the daemon: each writes down when it starts and ends, in a file that outlives its process."""

# Handlers that wait and block are what is tested here.
# ruff: noqa: ASYNC110, ASYNC240, ASYNC251, T201, TID251

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tq_core import RetryPolicy, TaskContext, TaskQueue, current_context
from tq_core.errors import SoftTimeoutError

tq = TaskQueue()
once = RetryPolicy(max_attempts=1)
_trace = os.open(os.environ["TRACE_FILE"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def note(word: str) -> None:
    context = current_context()
    assert context is not None
    os.write(_trace, f"{word} {context.task_id} {os.getpid()}\n".encode())


def wait_for_file(path: str) -> None:
    while not Path(path).exists():
        time.sleep(0.005)


@tq.task(retry=once)
async def count(n: int) -> int:
    note("start")
    return n + 1


@tq.task(retry=once)
async def loop_module() -> str:
    return type(asyncio.get_running_loop()).__module__


@tq.task(retry=once)
def count_plain(n: int) -> int:
    note("start")
    return n + 1


@tq.task(retry=once, isolate=True)
def count_isolated(n: int) -> dict[str, int]:
    note("start")
    print("a handler may print what it likes")
    return {"n": n + 1, "pid": os.getpid()}


@tq.task(retry=once)
async def wait(gate: str) -> str:
    """Runs until the file `gate` exists."""
    note("start")
    while not Path(gate).exists():
        await asyncio.sleep(0.01)
    note("end")
    return "through"


@tq.task(retry=once)
async def wait_tidily(gate: str) -> str:
    note("start")
    try:
        while not Path(gate).exists():
            await asyncio.sleep(0.01)
    finally:
        note("tidied")
    return "through"


@tq.task(retry=once)
async def sleep_tidily(seconds: float) -> str:
    """Says when it has stopped, however it was ended."""
    note("start")
    try:
        await asyncio.sleep(seconds)
    finally:
        note("tidied")
    return "slept"


@tq.task(retry=once)
async def ignore_cancel(gate: str) -> str:
    note("start")
    while not Path(gate).exists():
        try:
            await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            note("ignored")
    return "through"


@tq.task(retry=once)
def wait_in_python(gate: str) -> str:
    """A plain function that can be interrupted between two bytecodes."""
    note("start")
    try:
        wait_for_file(gate)
    finally:
        note("tidied")
    return "through"


@tq.task(retry=once)
def wait_in_c(seconds: float) -> str:
    """A plain function that cannot be interrupted."""
    note("start")
    time.sleep(seconds)
    return "slept"


@tq.task(retry=once)
async def block_loop(seconds: float) -> str:
    """Holds up the event loop, as no async handler should."""
    note("start")
    time.sleep(seconds)
    return "slept"


@tq.task(retry=once)
def ask_for_cancel(context: TaskContext) -> str:
    note("start")
    while not context.wait_cancelled(0.01):
        pass
    context.check_cancelled()
    return "not reached"


@tq.task(retry=once, timeout_s=0.3)
async def slow_async() -> None:
    note("start")
    await asyncio.sleep(60)


@tq.task(retry=once, timeout_s=0.3)
def slow_plain() -> None:
    note("start")
    wait_for_file("/nonexistent")


@tq.task(retry=once, timeout_s=0.3, isolate=True)
def slow_isolated() -> None:
    note("start")
    time.sleep(60)


@tq.task(retry=RetryPolicy(max_attempts=3, initial_delay_s=0.05))
async def fail_twice(context: TaskContext) -> str:
    note("start")
    if context.attempt < 3:
        raise ValueError(f"attempt {context.attempt}\x1b[31m\nof three")
    return "at last"


def _call_oneself() -> None:
    _call_oneself()


@tq.task(retry=once)
def leave_by(how: str) -> None:
    note("start")
    if how == "SystemExit":
        sys.exit(3)
    if how == "KeyboardInterrupt":
        raise KeyboardInterrupt
    if how == "RecursionError":
        _call_oneself()
    if how == "unserialisable":
        return object()  # type: ignore[return-value]
    raise BaseExceptionGroup("several", [ValueError(how)])


@tq.task(retry=once)
async def leave_async_by(how: str) -> None:
    note("start")
    await asyncio.sleep(0)
    if how == "SystemExit":
        sys.exit(3)
    if how == "KeyboardInterrupt":
        raise KeyboardInterrupt
    if how == "CancelledError":
        raise asyncio.CancelledError
    raise GeneratorExit(how)


@tq.task(retry=once)
def die(how: str) -> None:
    """Takes its process with it."""
    note("start")
    if how == "os._exit":
        os._exit(9)
    if how == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), signal.SIGKILL)


@tq.task(retry=once)
async def wait_then_count(seconds: float) -> str:
    """A healthy neighbour: short, but long enough to be running when its process dies."""
    note("start")
    await asyncio.sleep(seconds)
    return "healthy"


@tq.task(retry=once, isolate=True)
def die_isolated(how: str) -> None:
    note("start")
    if how == "os._exit":
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)


@tq.task(retry=once, isolate=True)
def wait_isolated(gate: str) -> str:
    note("start")
    wait_for_file(gate)
    return "through"


@tq.task(retry=once)
def report_progress(gate: str, context: TaskContext) -> str:
    note("start")
    context.progress(0.25, "a quarter")
    context.log("said by the handler \x1b[2J")
    wait_for_file(gate)
    return threading.current_thread().name


@tq.task(retry=once)
def hold_interpreter(seconds: int) -> None:
    """Does not let go of the interpreter, as a bad extension module would."""
    note("start")
    ctypes.PyDLL(None).sleep(seconds)


async def _use_soft_time() -> str:
    note("start")
    try:
        await asyncio.sleep(60)
    except SoftTimeoutError:
        await asyncio.sleep(0.01)
        return "tidy"
    return "not reached"


def _use_soft_time_plainly() -> str:
    note("start")
    try:
        wait_for_file("/nonexistent")
    except SoftTimeoutError:
        return "tidy"
    return "not reached"


tq.task(name="own_soft_async", retry=once)(_use_soft_time)
tq.task(name="own_soft_plain", retry=once)(_use_soft_time_plainly)
tq.task(name="own_soft_async_isolated", retry=once, isolate=True)(_use_soft_time)
tq.task(name="own_soft_plain_isolated", retry=once, isolate=True)(_use_soft_time_plainly)
tq.task(name="soft_async", retry=once, soft_timeout_s=0.3)(_use_soft_time)
tq.task(name="soft_plain", retry=once, soft_timeout_s=0.3)(_use_soft_time_plainly)
tq.task(name="soft_async_isolated", retry=once, soft_timeout_s=0.3, isolate=True)(_use_soft_time)
tq.task(name="soft_plain_isolated", retry=once, soft_timeout_s=0.3, isolate=True)(_use_soft_time_plainly)


@tq.task(retry=once)
def return_much(n_bytes: int) -> str:
    note("start")
    return "x" * n_bytes


@tq.task(retry=once, isolate=True)
def use_up_memory() -> int:
    note("start")
    resource.setrlimit(resource.RLIMIT_AS, (300_000_000, 300_000_000))
    return len(bytearray(1_000_000_000))


@tq.task(retry=once, isolate=True)
def ignore_sigterm(gate: str) -> str:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note("start")
    wait_for_file(gate)
    return "through"


said = contextvars.ContextVar("said", default="nothing")
said.set("on import")


@tq.task(retry=once)
async def say_async(word: str) -> str:
    before = said.get()
    said.set(word)
    await asyncio.sleep(0)
    return before


@tq.task(retry=once)
def say_plain(word: str) -> str:
    before = said.get()
    said.set(word)
    return before


@tq.task(retry=once)
def end_a_program() -> list[int]:
    """What a program that the handler starts does when it is told to end."""
    codes = []
    for number in (signal.SIGTERM, signal.SIGINT):
        program = subprocess.Popen(["/bin/sleep", "30"])
        program.send_signal(number)
        codes.append(program.wait(10))
    return codes


tq.task(name="end_a_program_isolated", retry=once, isolate=True)(end_a_program.handler)


@tq.task(retry=once, isolate=True, memory_limit_mb=150)
def grow(mib: int) -> str:
    """Uses so much memory, and touches it."""
    note("start")
    print("it grows", flush=True)
    held = [bytearray(b"x") * (1 << 20) for _ in range(mib)]
    return Path("/proc/self/oom_score_adj").read_text().strip() if len(held) < 10 else wait_isolated.handler("/nowhere")


@tq.task(retry=once, isolate=True)
def print_and_die(how: str) -> None:
    note("start")
    print("on stdout \x1b[31m\udcff".encode("utf-8", "surrogateescape").decode("latin-1"))
    sys.stderr.write("on stderr\n")
    subprocess.run(["/bin/echo", "by a program"], check=True)
    os.write(1, b"no text: \xff\n")
    for number in range(300 if how == "flood" else 0):
        print("line", number)
    print("its last words", end="")
    if how == "os._exit":
        os._exit(3)
    if how == "segfault":
        ctypes.string_at(0)


_hoard: list[bytearray] = []


@tq.task(retry=once)
def hoard(mib: int, gate: str) -> str:
    """Leaks, as a library might."""
    note("start")
    _hoard.extend(bytearray(b"x") * (1 << 20) for _ in range(mib))
    wait_for_file(gate)
    return "through"


@tq.task(retry=once)
def talk(gate: str) -> str:
    """Prints at its end, whoever listens."""
    note("start")
    wait_for_file(gate)
    print("done", flush=True)
    sys.stderr.write("really\n")
    return "through"
