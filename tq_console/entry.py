"""The commands `tq` and `tq-console`, from the first moment to the last: Ctrl-C never shows what Python thinks of it.

Loading a command takes a tenth of a second in which nothing can catch an interruption; so SIGINT ends the process as
it ends a C program, until the command is there to say `interrupted`, and again once it has ended. Nothing is imported
here before that is arranged.
"""

from __future__ import annotations

import signal
import sys

_INTERRUPTED = 130


def tq() -> None:
    """Runs the command `tq`."""
    is_ours = _end_silently()
    _leave_out_metrics()
    from tq_console.cli.main import main

    try:
        if is_ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        main()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)


def tq_console() -> None:
    """Runs the command `tq-console`."""
    _end_silently()
    _leave_out_metrics()
    from tq_console.cli.main import console_main

    console_main()


def _end_silently() -> bool:
    """Lets SIGINT end this process without a word; False where it is ignored, as below nohup or `&` in a script."""
    is_ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return is_ours


def _leave_out_metrics() -> None:
    """Keeps redis-py from loading OpenTelemetry's metrics where they are installed: 45 ms for what no command uses."""
    sys.modules.setdefault("opentelemetry.sdk.metrics", None)  # type: ignore[arg-type]
