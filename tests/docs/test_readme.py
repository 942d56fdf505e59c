"""What the README shows is run here, in its order, as a reader would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.readme_blocks import File, Shell, blocks
from tests.waiting import wait_until

README = Path(__file__).parents[2] / "README.md"
RUN_ELSEWHERE = ("make demo", "python3.11 -m venv")
"""Commands that the CI run executes as its own steps: the demo, and an installation into a clean environment."""


class Reader:
    """Somebody who follows the page in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        bin_folder = str(Path(sys.executable).parent)
        self.environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
        self.background: list[subprocess.Popen[str]] = []

    def follow(self, block: File | Shell) -> None:
        if isinstance(block, File):
            (self.folder / block.name).write_text(block.text, "utf-8")
        elif block.is_background:
            self.start(block.command.removesuffix("&"))
        else:
            self._run(block)

    def start(self, command: str) -> None:
        """Starts a node, which goes on until the end."""
        log = self.folder / "background.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                command.split(), cwd=self.folder, env=self.environment, stdout=output, stderr=output, text=True
            )
        self.background.append(process)
        wait_until(lambda: "serves" in log.read_text("utf-8"), timeout_s=20, what=f"{command} to start")

    def _run(self, block: Shell) -> None:
        printed = self.output(block.command, exit_code=block.exit_code)
        assert block.is_shown_in(printed), f"$ {block.command}\n{printed}"

    def output(self, command: str, *, exit_code: int = 0) -> str:
        """What a command prints, on both streams."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=50,
            check=False,
        )
        assert done.returncode == exit_code, f"$ {command}\n{done.stdout}"
        return done.stdout

    def leave(self) -> None:
        for process in self.background:
            process.send_signal(signal.SIGTERM)
        for process in self.background:
            process.wait(30)


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    one = Reader(tmp_path)
    yield one
    one.leave()


@pytest.mark.server
@pytest.mark.timeout(120)
def test_every_block_of_the_readme_does_what_it_says(reader: Reader) -> None:
    steps = blocks(README)

    for step in steps:
        if not (isinstance(step, Shell) and step.command.startswith(RUN_ELSEWHERE)):
            reader.follow(step)
        if isinstance(step, File) and step.name.startswith("test_"):
            reader.follow(Shell(f"python {step.name}", 0, ()))

    assert sum(isinstance(s, Shell) for s in steps) > 5
    assert [p.poll() for p in reader.background] == [None]


def test_output_that_is_not_shown_is_noticed() -> None:
    shell = Shell("tq", 0, ("one … three", "last"))

    assert shell.is_shown_in("zero\none two three\nlast\n")
    assert not shell.is_shown_in("one two\nlast\n")
    assert not shell.is_shown_in("last\none two three\n")
