"""Tells a service manager how the node is, as systemd's sd_notify(3) does: one datagram each.

Loaded only where there is one.
"""

from __future__ import annotations

import contextlib
import os
import socket

SENT_WITHIN_S = 0.5
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class ServiceManager:
    """The line to a service manager."""

    def __init__(self, address: str, watchdog_s: float | None) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self.watchdog_s = watchdog_s
        """The node is taken for dead when it has said nothing for so long; None = nobody watches."""
        self._last = ""

    def ready(self, status: str) -> None:
        """The node serves."""
        self._last = status
        self._send(f"READY=1\nSTATUS={status}")

    def status(self, text: str) -> None:
        """A line for `systemctl status`; said when it has changed."""
        if text != self._last:
            self._last = text
            self._send(f"STATUS={text}")

    def stopping(self, status: str, within_s: float) -> None:
        """The node leaves, which may take so long."""
        self._last = status
        self._send(f"STOPPING=1\nSTATUS={status}\nEXTEND_TIMEOUT_USEC={int(within_s * 1_000_000)}")

    def alive(self) -> None:
        """Answers the watchdog."""
        self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        # A socket for each: none is inherited by a process that is forked. Nobody may listen any more, and the tasks do
        # not depend on it.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.settimeout(SENT_WITHIN_S)
            line.sendto(text.encode(), self._address)


def service_manager() -> ServiceManager | None:
    """The one that started this process, or None; its variables are removed, as they are not for our children."""
    address, usec, pid = (os.environ.pop(name, "") for name in _VARIABLES)
    if address[:1] not in ("/", "@"):
        return None
    is_watched = usec.isdecimal() and int(usec) > 0 and pid in ("", str(os.getpid()))
    return ServiceManager(address, int(usec) / 1_000_000 if is_watched else None)
