"""The pictures in screenshots/ come out the same everywhere, and show what the console shows now."""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tui.pictures.png import png_of
from tests.tui.pictures.shots import SHOTS

ROOT = Path(__file__).parents[2]
ONE_SIGN = """\
<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">
<text class="one" x="2" y="18" textLength="10.8" font-size="18" font-family="Fira Code">{}</text></svg>"""
IN_NO_FONT = "\ue0ff"
ELSEWHERE = {
    "TZ": "Asia/Kathmandu",
    "LANG": "tr_TR.UTF-8",
    "LC_ALL": "C",
    "NO_COLOR": "1",
    "COLUMNS": "40",
    "TEXTUAL_THEME": "nord",
    "TQ_SECRET_NAMES": "order",
    "PYTHONHASHSEED": "7",
}


def taken(folder: Path, *names: str, environment: dict[str, str] | None = None) -> dict[str, bytes]:
    """Takes pictures in a process of its own; all where none is named."""
    subprocess.run(
        [sys.executable, "-m", "tests.tui.pictures", str(folder), *names],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        check=True,
        timeout=55,
    )
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_two_runs_in_different_surroundings_give_the_same_bytes(tmp_path: Path) -> None:
    with ThreadPoolExecutor() as pool:
        # One task has times of day in it; taken second, it must not know of what was taken before.
        here = pool.submit(taken, tmp_path / "here", "task", environment={"PYTHONHASHSEED": "1"})
        there = pool.submit(taken, tmp_path / "there", "disconnected", "task", environment=ELSEWHERE)

    assert list(here.result()) == ["task.png", "task.svg"]
    assert here.result().items() < there.result().items()


@pytest.mark.slow
def test_the_pictures_in_the_repository_are_those_of_this_console(tmp_path: Path) -> None:
    assert taken(tmp_path) == contents(ROOT / "screenshots"), "run `make screenshots`, and look at them"


def test_every_sign_in_the_pictures_is_in_the_fonts() -> None:
    svgs = [path.read_text("utf-8") for path in (ROOT / "screenshots").glob("*.svg")]
    signs = {sign for svg in svgs for sign in html.unescape(svg)} - set(" \n\xa0")

    assert signs > set("▌●▶‖✗○◷↻□⊘✓⏎█▁…")
    assert [sign for sign in sorted(signs) if drawn(sign) in (drawn(""), drawn(IN_NO_FONT))] == []


def drawn(sign: str) -> bytes:
    return png_of(ONE_SIGN.format(html.escape(sign)))


def test_every_picture_that_the_readme_shows_is_there() -> None:
    shown = re.findall(r"\]\(screenshots/([a-z0-9-]+)\.png\)", (ROOT / "README.md").read_text("utf-8"))

    assert shown
    assert set(shown) <= {shot.name for shot in SHOTS}
    assert all((ROOT / "screenshots" / f"{name}.{kind}").is_file() for name in shown for kind in ("svg", "png"))
