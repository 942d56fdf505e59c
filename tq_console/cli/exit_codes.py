"""How a command ends: one table of exit codes, and the only place that turns an error into one."""

from __future__ import annotations

import enum

from tq_core import errors


class ExitCode(enum.IntEnum):
    """What the shell is told; stable."""

    OK = 0
    FAILED = 1
    """It was tried and did not go well: the task failed, the audit found something, the broker is not healthy."""
    USAGE = 2
    """The command line makes no sense as it stands; nothing was done."""
    NOT_FOUND = 3
    UNREACHABLE = 4
    """The broker cannot be reached or used: address, password, version."""
    REFUSED = 5
    """A rule says no: unknown type, wrong arguments, full queue, duplicate, wrong state."""
    WAIT_TIMEOUT = 6
    """What was waited for had not happened in time; it may still happen."""
    INTERRUPTED = 130


_BY_ERROR: tuple[tuple[type[errors.TqError], ExitCode], ...] = (
    (errors.UnknownTaskTypeError, ExitCode.REFUSED),
    (errors.InvalidArgumentsError, ExitCode.REFUSED),
    (errors.PayloadTooLargeError, ExitCode.REFUSED),
    (errors.InvalidInputError, ExitCode.USAGE),
    (errors.RefusedError, ExitCode.REFUSED),
    (errors.NotFoundError, ExitCode.NOT_FOUND),
    (errors.WaitTimeoutError, ExitCode.WAIT_TIMEOUT),
    (errors.BrokerError, ExitCode.UNREACHABLE),
)
"""The first class that fits counts."""


def exit_code_of(error: errors.TqError) -> ExitCode:
    """The exit code of an error; FAILED for those that have none of their own."""
    return next((code for kind, code in _BY_ERROR if isinstance(error, kind)), ExitCode.FAILED)
