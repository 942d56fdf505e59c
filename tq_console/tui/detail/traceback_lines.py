"""A Python traceback as spans: what is ours bright, a library's dim, the error last; told by its lines alone."""

from __future__ import annotations

import re

from tq_console.tui.detail.rows import broken
from tq_console.tui.look.canvas import Line
from tq_console.view.text import visible_lines

LINES_MAX = 400
_FRAME = re.compile(r'^(\s*)File "(.*)", line (\d+)(?:, in (.*))?$')
_LIBRARY = re.compile(r"(^|[/\\])(site-packages|dist-packages|lib[/\\]python[0-9.]*|tq_worker|tq_core)[/\\]|^<frozen ")
_CARETS = re.compile(r"^\s*[~^]+\s*$")
_ERROR = re.compile(r"^([A-Za-z_][\w.]*)(: .*)?$")
_BETWEEN = ("Traceback (most recent call last)", "During handling of the above", "The above exception was the direct")


def traceback_spans(text: str, width: int) -> list[Line]:
    """The traceback in lines of at most so many cells."""
    lines: list[Line] = []
    is_library = False
    texts = visible_lines(text.rstrip("\n"))
    for n, raw in enumerate(texts):
        if len(lines) >= LINES_MAX:
            lines.append([(f"… {len(texts) - n:,} more lines", "cell--dim")])
            break
        if frame := _FRAME.match(raw):
            is_library = bool(_LIBRARY.search(frame.group(2)))
            lines += _frame(raw, frame, width, is_library=is_library)
        elif raw.startswith(_BETWEEN):
            lines += broken(raw, width, "cell--dim")
        elif _CARETS.match(raw):
            lines += broken(raw, width, "cell--dim" if is_library else "cell--warn")
        elif raw.startswith("  "):
            lines += broken(raw, width, "cell--dim" if is_library else "cell--bold")
        elif (error := _ERROR.match(raw)) and len(raw) <= width:
            lines.append([(error.group(1), "cell--bad"), (error.group(2) or "", "")])
        else:
            lines += broken(raw, width, "cell--bad" if _ERROR.match(raw) else "")
    return lines


def _frame(raw: str, frame: re.Match[str], width: int, *, is_library: bool) -> list[Line]:
    if is_library or len(raw) > width:
        return broken(raw, width, "cell--dim" if is_library else "cell--accent")
    indent, path, line, name = frame.groups()
    spans = [(f"{indent}File ", "cell--dim"), (f'"{path}"', "cell--accent"), (", line ", "cell--dim")]
    spans.append((line, "cell--accent"))
    return [[*spans, *([(", in ", "cell--dim"), (name, "cell--key")] if name else [])]]
