"""The worker's end of the line to its supervisor, on a thread of its own: orders arrive although the event loop hangs.

The same thread watches the loop (tq_worker.worker.watchdog). When the line ends, the supervisor is gone: nobody would
clean up behind this process, so it gives its tasks back and ends.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

import msgspec

from tq_worker import frames

TICK_S = 0.5


class Channel:
    """Reads and writes frames; writing is safe from any thread."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(True)
        self._buffer = bytearray()
        self._sending = threading.Lock()

    def send(self, frame: frames.FromWorker) -> None:
        """Says something; a supervisor that is gone is noticed by reading."""
        with contextlib.suppress(OSError), self._sending:
            self._socket.sendall(frames.encode(frame))

    def receive(self, timeout_s: float | None = None) -> frames.FromSupervisor | None:
        """The next frame; None when none came in time.

        Raises:
            EOFError: the supervisor is gone.
        """
        while True:
            line, found, rest = self._buffer.partition(b"\n")
            if found:
                self._buffer = rest
                try:
                    return frames.decode_for_worker(bytes(line))
                except msgspec.DecodeError as error:
                    raise EOFError(f"the supervisor said what nobody understands: {error}") from error
            if not select.select([self._socket], [], [], timeout_s)[0]:
                return None
            try:
                more = self._socket.recv(65536)
            except OSError as error:
                raise EOFError("the line to the supervisor broke") from error
            if not more:
                raise EOFError("the supervisor is gone")
            self._buffer += more


class ChannelThread(threading.Thread):
    """Hands on what arrives, and does something else twice a second."""

    def __init__(
        self,
        channel: Channel,
        *,
        received: Callable[[frames.FromSupervisor], None],
        orphaned: Callable[[], None],
        tick: Callable[[], None],
        fault: Callable[[Exception], None],
    ) -> None:
        super().__init__(name="tq-channel", daemon=True)
        self._fault = fault
        self._is_orphan = False
        self._never = threading.Event()
        self._channel, self._received, self._orphaned, self._tick = channel, received, orphaned, tick

    def run(self) -> None:
        while True:
            try:
                self._pass()
            except Exception as error:  # noqa: BLE001 - one pass of a service: without it nobody could stop this process
                self._fault(error)

    def _pass(self) -> None:
        if self._is_orphan:
            self._never.wait(TICK_S)
        else:
            try:
                frame = self._channel.receive(TICK_S)
            except EOFError:
                self._is_orphan = True
                self._orphaned()
            else:
                if frame is not None:
                    self._received(frame)
        self._tick()
