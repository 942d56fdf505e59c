"""The program behind a page: the console with the driver that its environment names, for the broker it names."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Runs one console; returns its exit code."""
    from tq_console.tui.launch import run_console
    from tq_core.errors import TqError
    from tq_core.settings import resolve_broker

    try:
        address = resolve_broker()
    except TqError as error:
        sys.stderr.write(f"tq: {error.message}\n")
        return 1
    actor = os.environ.get("TQ_ACTOR", "web")
    return run_console(address, actor=actor, is_read_only="--read-only" in sys.argv[1:], is_in_browser=True)


if __name__ == "__main__":
    sys.exit(main())
