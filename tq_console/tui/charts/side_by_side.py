"""Blocks of lines beside one another."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from tq_console.tui.look.canvas import Line, Span
from tq_console.view.text import fit, visible

GAP = 2


def side_by_side(blocks: Sequence[Sequence[Line]], width: int) -> list[Line]:
    """One block of lines made of several, each as wide as `width` says."""
    if len(blocks) == 1:
        return list(blocks[0])
    lines: list[Line] = []
    for y in range(max(map(len, blocks))):
        spans: list[Span] = []
        for i, block in enumerate(blocks):
            part, used = _cut(block[y] if y < len(block) else [], width)
            spans += part
            if i + 1 < len(blocks):
                spans.append((" " * (width - used + GAP), ""))
        lines.append(spans)
    return lines


def _cut(line: Line, width: int) -> tuple[list[Span], int]:
    """A line of at most so many cells, and how many it has."""
    spans: list[Span] = []
    used = 0
    for text, style in line:
        safe = fit(visible(text), width - used)
        spans.append((safe, style))
        used += cell_len(safe)
        if used >= width:
            break
    return spans, used
