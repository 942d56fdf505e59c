"""Text for the clipboard of the terminal, over SSH and through tmux and screen.

Source: OSC 52 of xterm's control sequences; tmux(1), set-clipboard and load-buffer; screen(1), DCS strings.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping

BASE64_MAX = 74_994
"""Characters of the encoded text: many terminals take no longer sequence."""
SCREEN_CHUNK = 500
"""screen forgets a string that is longer than 768 bytes."""
TMUX_TIMEOUT_S = 2.0


def fitting(text: str) -> str:
    """The text, or as much of its beginning as terminals take; never half a character."""
    data = text.encode("utf-8", "replace")
    most = BASE64_MAX // 4 * 3
    return text if len(data) <= most else data[:most].decode("utf-8", "ignore")


def sequence(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """What is to be written to the terminal, wrapped so that tmux or screen hands it on.

    Args:
        text: At most as long as `fitting` makes it.
        environ: Says what is between us and the terminal.
    """
    encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
    plain = f"\x1b]52;c;{encoded}\a"
    if environ.get("TMUX"):
        return "\x1bPtmux;" + plain.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if environ.get("STY") or environ.get("TERM", "").startswith("screen"):
        parts = [plain[i : i + SCREEN_CHUNK] for i in range(0, len(plain), SCREEN_CHUNK)]
        return "".join(f"\x1bP{part}\x1b\\" for part in parts)
    return plain


def give_to_tmux(text: str) -> bool:
    """Has tmux take the text into its buffer and hand it to the terminal; False where it cannot.

    It does so with its default settings, in which it lets no program write to the clipboard.
    """
    try:
        ran = subprocess.run(
            ("tmux", "load-buffer", "-w", "-"),
            input=text.encode("utf-8", "replace"),
            capture_output=True,
            timeout=TMUX_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return ran.returncode == 0
