"""How `tq-worker` ends, as the shell is told; the same numbers as those of `tq`."""

from __future__ import annotations

from tq_core import errors

OK = 0
FAILED = 1
USAGE = 2
"""The command, or the users' code, cannot be used as it is."""
UNREACHABLE = 4
"""The broker cannot be reached or used: address, password, version."""
REFUSED = 5
"""A rule says no."""


def exit_code_of(error: errors.TqError) -> int:
    """The exit code of what kept a node from running."""
    if isinstance(error, errors.RefusedError):
        return REFUSED
    if isinstance(error, errors.BrokerError):
        return UNREACHABLE
    return USAGE if isinstance(error, errors.InvalidInputError) else FAILED
