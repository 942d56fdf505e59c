"""Tasks as JSON lines: a file is checked whole before the first is sent, a pipe goes in chunks as it comes."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from tq_console.cli.exit_codes import ExitCode
from tq_console.cli.progress import Interrupted, Progress
from tq_console.cli.room import room_waits
from tq_console.cli.task_types import read_rules
from tq_console.view.submission import SubmissionRules, TaskLine
from tq_core.errors import (
    BrokerError,
    InvalidInputError,
    PayloadTooLargeError,
    QueueFullError,
    RefusedError,
    TqError,
)
from tq_core.model import NewTask
from tq_core.roles import backpressure, producer, registry

if TYPE_CHECKING:
    from tq_console.cli.invocation import Invocation

CHUNK_BYTES = 8 * 1024 * 1024
MAX_LINE_BYTES = 4 * 1024 * 1024
MAX_PROBLEMS = 20
"""How many bad lines are named; the others are counted."""
IDLE_S = 0.5
"""A pipe that is silent for so long has its tasks sent, though the chunk is not full."""
_READ_BYTES = 64 * 1024
_decode = msgspec.json.Decoder(TaskLine).decode

Numbered = tuple[int, bytes | None]
"""Line number and text; None = longer than MAX_LINE_BYTES."""


def submit_batch(
    invocation: Invocation,
    source: str,
    defaults: TaskLine,
    *,
    is_skipping: bool,
    is_forced: bool,
    wait_for_room_s: float | None = None,
) -> ExitCode:
    """Enqueues the tasks of a file or of stdin (`-`) and prints their ids, in the order of the lines.

    Raises:
        RefusedError: a line is bad; says which, why, and how many were enqueued before it.
        BrokerError: the broker failed on the way; says after which line, and how many were enqueued by then.
    """
    rules = read_rules(invocation, is_forced=is_forced)
    with ExitStack() as stack:
        file: BinaryIO = sys.stdin.buffer if source == "-" else stack.enter_context(Path(source).open("rb"))
        total = None
        if _is_regular(file):
            start = file.tell()
            total = _check_all(rules, file, source, defaults, is_skipping=is_skipping)
            file.seek(start)
            lines: Iterator[Numbered | None] = iter(file_lines(file))
        else:
            lines = pipe_lines(file.fileno())
        batch = _Batch(invocation, rules, defaults, is_skipping=is_skipping, wait_for_room_s=wait_for_room_s)
        with Progress("enqueued", total=total) as progress:
            return batch.run(lines, progress)


def _is_regular(file: BinaryIO) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _check_all(rules: SubmissionRules, file: BinaryIO, source: str, defaults: TaskLine, *, is_skipping: bool) -> int:
    """Reads a file once without sending anything; returns how many good tasks it holds."""
    problems: list[str] = []
    bad = good = 0
    with Progress("lines checked") as progress:
        for number, text in file_lines(file):
            if text is None or text.strip():
                try:
                    read_line(rules, text, defaults)
                    good += 1
                except TqError as error:
                    bad += 1
                    if bad <= MAX_PROBLEMS:
                        problems.append(f"line {number}: {error.message}")
            progress.reach(number)
    if bad and not is_skipping:
        name = "stdin" if source == "-" else source
        for problem in problems:
            print(f"tq: {problem}", file=sys.stderr)
        raise RefusedError(
            f"{name}: {bad:,} of {bad + good:,} lines are bad; 0 enqueued: correct them, or --skip-bad leaves them out"
        )
    return good


class _Batch:
    """The sending of lines, chunk by chunk."""

    def __init__(
        self,
        invocation: Invocation,
        rules: SubmissionRules,
        defaults: TaskLine,
        *,
        is_skipping: bool,
        wait_for_room_s: float | None,
    ) -> None:
        self._invocation, self._rules, self._defaults = invocation, rules, defaults
        self._is_skipping = is_skipping
        self._wait_for_room_s = wait_for_room_s
        self._chunk: list[tuple[str, NewTask]] = []
        self._chunk_bytes = 0
        self._sent_line = self._last_line = 0
        self._numbers: dict[str, int] = {}
        self._skipped = self._duplicates = self._replaced = 0

    def run(self, lines: Iterator[Numbered | None], progress: Progress) -> ExitCode:
        """Sends all lines."""
        try:
            for line in lines:
                if line is None:
                    self._send(progress)
                else:
                    self._take(line, progress)
            self._send(progress)
        except KeyboardInterrupt as error:
            raise Interrupted(f"interrupted after line {self._sent_line}; {progress.done:,} enqueued") from error
        self._sum_up(progress)
        return ExitCode.OK

    def _take(self, line: Numbered, progress: Progress) -> None:
        number, text = line
        if text is not None and not text.strip():
            self._last_line = number
            return
        try:
            queue, task = read_line(self._rules, text, self._defaults)
        except TqError as error:
            if not self._is_skipping:
                self._send(progress)
                progress.clear()
                raise RefusedError(f"line {number}: {error.message}; {progress.done:,} enqueued") from error
            self._skipped += 1
            if self._skipped <= MAX_PROBLEMS:
                progress.clear()
                self._invocation.out.talk(f"tq: line {number}: {error.message}; left out")
            self._last_line = number
            return
        if self._chunk_bytes + len(task.payload) > CHUNK_BYTES:
            self._send(progress)
        self._chunk.append((queue, task))
        self._chunk_bytes += len(task.payload)
        self._last_line = number
        if len(self._chunk) >= producer.MAX_BATCH:
            self._send(progress)

    def _send(self, progress: Progress) -> None:
        """Enqueues the chunk, one call for each of its queues, or where lines wait for others, in their order."""
        chunk, self._chunk, self._chunk_bytes = self._chunk, [], 0
        ids = [""] * len(chunk)
        try:
            for queue, places in _calls(chunk):
                if queue not in self._numbers:
                    self._numbers[queue] = self._invocation.change(registry.register_queue(queue))
                tasks = [chunk[i][1] for i in places]
                self._send_to(queue, tasks, places=iter(places), ids=ids, progress=progress)
            self._sent_line = self._last_line
        except RefusedError as error:
            raise RefusedError(
                f"lines {self._sent_line + 1} to {self._last_line}: {error.message}; {progress.done:,} enqueued"
            ) from error
        except BrokerError as error:
            # Its class is its exit code. What was on its way when the connection broke may have arrived.
            raise type(error)(
                f"after line {self._sent_line}: {error.message}; {progress.done:,} enqueued for certain"
            ) from error
        finally:
            self._print(list(filter(None, ids)), progress)

    def _send_to(
        self, queue: str, tasks: list[NewTask], *, places: Iterator[int], ids: list[str], progress: Progress
    ) -> None:
        """Enqueues tasks of one queue, as room comes where that is asked for; writes their ids to their places."""

        def take(outcomes: list[producer.Enqueued]) -> None:
            for outcome in outcomes:
                ids[next(places)] = outcome.task_id
            new = sum(outcome.is_new for outcome in outcomes)
            replaced = sum(outcome.duplicate_of == "replaced" for outcome in outcomes)
            self._replaced += replaced
            self._duplicates += len(outcomes) - new - replaced
            progress.advance(new)

        def tell(full: QueueFullError) -> None:
            progress.clear()
            room_waits(self._invocation, self._wait_for_room_s)(full)

        flow = backpressure.enqueue(
            queue,
            tasks,
            number=self._numbers[queue],
            wait_for_room_s=self._wait_for_room_s,
            on_wait=tell,
            on_done=take,
        )
        self._invocation.change(flow)

    def _print(self, ids: list[str], progress: Progress) -> None:
        if not ids:
            return
        if sys.stdout.isatty():
            progress.clear()
        if self._invocation.is_json:
            from tq_console.cli.task_reading import print_records

            print_records(self._invocation, ids)
        else:
            print("\n".join(ids))
        sys.stdout.flush()

    def _sum_up(self, progress: Progress) -> None:
        progress.clear()
        words = [f"{progress.done:,} enqueued"]
        if self._replaced:
            words.append(f"{self._replaced:,} took the place of one that waited")
        if self._duplicates:
            words.append(f"{self._duplicates:,} there already")
        if self._skipped:
            words.append(f"{self._skipped:,} bad lines left out")
        self._invocation.out.talk(f"tq: {', '.join(words)}")


def read_line(rules: SubmissionRules, text: bytes | None, defaults: TaskLine) -> tuple[str, NewTask]:
    """The queue and the task of one line.

    Raises:
        InvalidInputError: something in it is not allowed.
    """
    if text is None:
        raise PayloadTooLargeError(f"it is longer than {MAX_LINE_BYTES} bytes")
    try:
        line = _decode(text.removeprefix(b"\xef\xbb\xbf"))
    except msgspec.ValidationError as error:
        fields = ", ".join(TaskLine.__struct_fields__)
        raise InvalidInputError(f"{error} (a line may hold {fields})") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInputError(f"it is no valid JSON: {error}") from error
    return rules.checked(line.over(defaults))


def file_lines(file: BinaryIO) -> Iterator[Numbered]:
    """The lines of a file, numbered from 1; None for one that is too long, which is not kept."""
    number = 0
    while text := file.readline(MAX_LINE_BYTES):
        number += 1
        if len(text) == MAX_LINE_BYTES and not text.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                pass
            yield number, None
        else:
            yield number, text


def pipe_lines(descriptor: int) -> Iterator[Numbered | None]:
    """The lines of a pipe as they come, numbered from 1; a bare None when it has been silent for IDLE_S."""
    number, is_too_long, is_idle = 0, False, True
    buffer = bytearray()
    while True:
        if not is_idle and not select.select([descriptor], [], [], IDLE_S)[0]:
            is_idle = True
            yield None
        data = os.read(descriptor, _READ_BYTES)
        is_idle = False
        if not data:
            break
        buffer += data
        *lines, rest = buffer.split(b"\n")
        buffer = rest
        for line in lines:
            number += 1
            yield number, None if is_too_long or len(line) > MAX_LINE_BYTES else bytes(line)
            is_too_long = False
        if len(buffer) > MAX_LINE_BYTES:
            is_too_long = True
            buffer.clear()
    if buffer or is_too_long:
        yield number + 1, None if is_too_long else bytes(buffer)


def _calls(chunk: Sequence[tuple[str, NewTask]]) -> list[tuple[str, list[int]]]:
    """Which lines go in one call, and to which queue: a parent of another queue must be there before its child."""
    is_in_order = any(task.options.depends_on for _, task in chunk)
    calls: list[tuple[str, list[int]]] = []
    of_queue: dict[str, list[int]] = {}
    for i, (queue, _) in enumerate(chunk):
        if queue not in of_queue or (is_in_order and calls[-1][0] != queue):
            of_queue[queue] = []
            calls.append((queue, of_queue[queue]))
        of_queue[queue].append(i)
    return calls
