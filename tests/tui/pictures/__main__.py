"""Writes every picture into a folder: `python -m tests.tui.pictures FOLDER [NAME...]`."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

FOREIGN = ("TEXTUAL", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "TQ_", "LINES", "COLUMNS")


def main(folder: Path, names: list[str]) -> None:
    """Writes the pictures of these names, or all."""
    from tests.tui.pictures.png import png_of
    from tests.tui.pictures.shots import SHOTS, svg_of

    folder.mkdir(parents=True, exist_ok=True)
    for shot in SHOTS:
        if not names or shot.name in names:
            svg = asyncio.run(svg_of(shot))
            (folder / f"{shot.name}.svg").write_text(svg, "utf-8", newline="\n")
            (folder / f"{shot.name}.png").write_bytes(png_of(svg))


if __name__ == "__main__":
    # Before Textual is imported: it reads some of these only then.
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        del os.environ[name]
    os.environ["TZ"] = "UTC"
    time.tzset()
    main(Path(sys.argv[1]), sys.argv[2:])
