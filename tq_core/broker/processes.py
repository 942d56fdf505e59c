"""Other processes, told apart from later ones that got the same number."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessMark:
    """A process id and when that process started, in the kernel's ticks; 0 where the system does not tell."""

    pid: int
    started_ticks: int

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs; one that has ended and was not yet collected does not."""
        state, ticks = _stat(self.pid)
        if state:
            return state not in "ZX" and ticks == self.started_ticks
        if Path("/proc/self/stat").exists():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def send(self, signal_number: signal.Signals) -> bool:
        """Signal this very process; False where it has ended or belongs to somebody else."""
        try:
            # The descriptor is taken before the look, so the number cannot pass to another process in between.
            fd = os.pidfd_open(self.pid)
        except AttributeError:
            return self.is_alive and _kill(self.pid, signal_number)
        except OSError:
            return False
        try:
            if not self.is_alive:
                return False
            signal.pidfd_send_signal(fd, signal_number)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True


def mark(pid: int) -> ProcessMark:
    """Mark a process that is known to run now."""
    return ProcessMark(pid=pid, started_ticks=_stat(pid)[1])


def _kill(pid: int, signal_number: signal.Signals) -> bool:
    try:
        os.kill(pid, signal_number)
    except OSError:
        return False
    return True


def _stat(pid: int) -> tuple[str, int]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", 0
    # The name stands in brackets and may hold anything, also brackets and spaces.
    fields = text.rpartition(")")[2].split()
    return fields[0], int(fields[19])
