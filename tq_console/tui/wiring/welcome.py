"""What is said to whoever opens the console for the first time, and never again."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from tq_console.tui.frame.hints import key_name

if TYPE_CHECKING:
    from tq_console.tui.app import ConsoleApp

SHOWN_S = 15.0
_WAYS = (
    ("app.help", "shows every key of a screen"),
    ("app.command", "takes commands"),
    ("app.palette", "finds things"),
)


def welcome(app: ConsoleApp, remembered: Path) -> None:
    """Says which keys lead to all others, unless it was said before.

    Args:
        app: The console.
        remembered: An empty file; where it is, it was said.
    """
    if remembered.exists():
        return
    keys = {active.binding.id: active.binding.key for active in app.screen.active_bindings.values()}
    ways = [f"{key_name(keys[name])} {words}" for name, words in _WAYS if name in keys]
    app.notify("\n".join(ways), title="the first time here?", timeout=SHOWN_S)
    # Where nothing can be written it is said again the next time.
    with contextlib.suppress(OSError):
        remembered.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remembered.touch(mode=0o600)
