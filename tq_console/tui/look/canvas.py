"""A surface of styled lines that sends to the terminal only the cells that changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, TypeAlias

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tq_console.tui.look.context_colors import PREFIX, text_on
from tq_console.view.text import visible

Span: TypeAlias = tuple[str, str]
"""A text from anywhere, made safe when it is painted, and what styles it: a component class, or a block's colour (see
context_colors); "" = nothing."""
Line: TypeAlias = Sequence[Span]


class Canvas(Widget):
    """Lines of spans, painted by its owner."""

    STYLES: ClassVar[set[str]] = {
        "cell--good",
        "cell--busy",
        "cell--warn",
        "cell--bad",
        "cell--dim",
        "cell--accent",
        "cell--bold",
        "cell--title",
        "cell--key",
        "cell--badge",
        "cell--badge-good",
        "cell--badge-warn",
        "cell--badge-bad",
        "cell--selected",
    }
    COMPONENT_CLASSES: ClassVar[set[str]] = STYLES
    DEFAULT_CSS = """
    Canvas {
        .cell--good { color: $success; }
        .cell--busy { color: $primary; }
        .cell--warn { color: $warning; }
        .cell--bad { color: $error; text-style: bold; }
        .cell--dim { color: $text-muted; }
        .cell--accent { color: $accent; }
        .cell--bold { text-style: bold; }
        .cell--title { color: $secondary; text-style: bold; }
        .cell--key { color: $accent; text-style: bold; }
        .cell--badge { background: $panel; color: $foreground; text-style: bold; }
        .cell--badge-good { background: $success; color: $background; text-style: bold; }
        .cell--badge-warn { background: $warning; color: $background; text-style: bold; }
        .cell--badge-bad { background: $error; color: $background; text-style: bold; }
        .cell--selected { background: $primary; color: $background; text-style: bold; }
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, classes=classes)
        self._lines: list[tuple[Span, ...]] = []
        self._strips: dict[int, Strip] = {}
        self._rich: dict[str, Style] = {}

    @property
    def text(self) -> str:
        """What is painted, without its styles."""
        return "\n".join("".join(text for text, _ in line) for line in self._lines)

    def paint(self, lines: Sequence[Line]) -> None:
        """Shows these lines; what is the same as before is not sent again."""
        new = [tuple((visible(text), style) for text, style in line) for line in lines]
        old, self._lines = self._lines, new
        if len(old) != len(new) and self.styles.auto_dimensions:
            self._strips.clear()
            self.refresh(layout=True)
            return
        for y in range(max(len(old), len(new))):
            before = old[y] if y < len(old) else ()
            now = new[y] if y < len(new) else ()
            if before != now:
                self._strips.pop(y, None)
                first, last = _changed(before, now)
                self.refresh(Region(first, y, max(1, last - first), 1))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as there is room."""
        del viewport
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One cell for each line."""
        del container, viewport, width
        return max(1, len(self._lines))

    def notify_style_update(self) -> None:
        """Forgets styles of another theme."""
        self._rich.clear()
        self._strips.clear()
        super().notify_style_update()

    def on_resize(self) -> None:
        """Forgets lines of another width."""
        self._strips.clear()

    def render_line(self, y: int) -> Strip:
        """One line, exactly as wide as the widget."""
        strip = self._strips.get(y)
        # What was painted while the terminal was being resized may have been drawn for the width of before.
        if strip is None or strip.cell_length != self.size.width:
            strip = self._strips[y] = self._drawn(self._lines[y] if y < len(self._lines) else ())
        return strip

    def _drawn(self, line: Sequence[Span]) -> Strip:
        width, base = self.size.width, self.rich_style
        segments: list[Segment] = []
        used = 0
        for text, style in line:
            room = width - used
            if room <= 0:
                break
            cells = cell_len(text)
            segments.append(Segment(set_cell_size(text, room) if cells > room else text, base + self._style(style)))
            used += min(cells, room)
        if used < width:
            segments.append(Segment(" " * (width - used), base))
        return Strip(segments, width)

    def _style(self, name: str) -> Style:
        if not name:
            return Style.null()
        found = self._rich.get(name)
        if found is None:
            found = _block(name) if name.startswith(PREFIX) else self.get_component_rich_style(name)
            self._rich[name] = found
        return found


def _block(style: str) -> Style:
    color = style.removeprefix(PREFIX)
    return Style(color=text_on(color), bgcolor=color, bold=True)


def _changed(before: Sequence[Span], now: Sequence[Span]) -> tuple[int, int]:
    """First cell that differs between two lines, and the one after the last."""
    start = 0
    for old, new in zip(before, now, strict=False):
        if old != new:
            if old[1] == new[1]:
                start += _common(old[0], new[0])
            break
        start += cell_len(old[0])
    width = max(sum(cell_len(text) for text, _ in line) for line in (before, now))
    end = width
    if sum(cell_len(t) for t, _ in before) == sum(cell_len(t) for t, _ in now):
        for old, new in zip(reversed(before), reversed(now), strict=False):
            if old != new:
                if old[1] == new[1]:
                    end -= _common(old[0][::-1], new[0][::-1])
                break
            end -= cell_len(old[0])
    return start, max(start + 1, end)


def _common(one: str, other: str) -> int:
    """Cells that two texts begin with alike; whole wide characters only."""
    cells = 0
    for a, b in zip(one, other, strict=False):
        if a != b or not a.isascii():
            break
        cells += 1
    return cells
