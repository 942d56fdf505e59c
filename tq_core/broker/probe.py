"""Whether a server answers on a Unix socket; speaks the protocol itself because the keeper must start fast."""

from __future__ import annotations

import enum
import socket
from pathlib import Path

PROBE_TIMEOUT_S = 1.0


class Answer(enum.Enum):
    """What a server says when it is asked for a sign of life."""

    ABSENT = "nobody listens"
    SILENT = "no answer came in time"
    LOADING = "it is up and still reads its data"
    READY = "it answers commands"


def tell(socket_path: Path, command: bytes) -> bool:
    """Send one command of one word, whatever the answer; False where nobody takes it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PROBE_TIMEOUT_S)
        try:
            connection.connect(str(socket_path))
            connection.sendall(command + b"\r\n")
            connection.recv(256)  # leaving at once would take the command back
        except OSError:
            return False
    return True


def ask(socket_path: Path, timeout_s: float = PROBE_TIMEOUT_S) -> Answer:
    """Send PING and read one line."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            reply = connection.recv(256)
        except TimeoutError:
            return Answer.SILENT
        except OSError:
            return Answer.ABSENT
    if reply.startswith(b"-LOADING"):
        return Answer.LOADING
    # Any other error (a full disk, a password that somebody set) is the answer of a server that runs.
    return Answer.READY if reply else Answer.ABSENT
