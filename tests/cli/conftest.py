"""Runs `tq` against a private server, in this process or in one of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.queue_driver import QueueDriver
from tq_console.cli import main
from tq_core.roles import registry

LONGEST_S = 40.0


@dataclass(frozen=True)
class Ran:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def record(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        (record,) = self.records
        return record

    @property
    def records(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout, one on each line."""
        return [json.loads(line) for line in self.lines]


class Tq:
    """The command."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *words: str, stdin: str = "") -> Ran:
        """Runs it in this process, where no stream is a terminal."""
        streams = {
            "stdin": io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"),
            "stdout": io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True),
            "stderr": io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True),
        }
        with self._monkeypatch.context() as patch:
            for name, stream in streams.items():
                patch.setattr(sys, name, stream)
            code = main.run(words)
        out, err = (streams[name].buffer.getvalue().decode() for name in ("stdout", "stderr"))
        return Ran(code, out, err)

    def ok(self, *words: str, stdin: str = "") -> Ran:
        """Runs it and expects it to go well."""
        ran = self(*words, stdin=stdin)
        assert ran.code == 0, ran
        return ran

    def process(self, *words: str, stdin: bytes | Any = b"") -> Ran:
        """Runs it as a command of its own; `stdin` is what a pipe brings, or a file."""
        given: dict[str, Any] = {"input": stdin} if isinstance(stdin, bytes) else {"stdin": stdin}
        done = subprocess.run(self.command(*words), capture_output=True, timeout=LONGEST_S, check=False, **given)
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    @staticmethod
    def command(*words: str) -> list[str]:
        """What starts it."""
        return [sys.executable, "-c", "from tq_console.cli.main import main; main()", *words]


@pytest.fixture
def tq(monkeypatch: pytest.MonkeyPatch) -> Tq:
    """The command, on whatever broker the environment says."""
    monkeypatch.setenv("TQ_ACTOR", "ana@desk")
    return Tq(monkeypatch)


@pytest.fixture
def mail(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[QueueDriver]:
    """The queue `mail` on a private server, which is also the one that commands use."""
    monkeypatch.setenv("TQ_URL", redis_url)
    driver = QueueDriver(redis_url, has_clock=False)
    yield driver
    driver.close()


SEND_MAIL = registry.PublishedType(
    name="send_mail",
    queue="mail",
    schema={
        "type": "object",
        "properties": {"to": {"type": "string"}, "copies": {"type": "integer", "minimum": 1}},
        "required": ["to"],
        "additionalProperties": False,
    },
    max_attempts=7,
)


@pytest.fixture
def published(mail: QueueDriver) -> QueueDriver:
    """The queue `mail`, with one type published: send_mail(to: str, copies: int = 1)."""
    mail.run(registry.publish_types([SEND_MAIL]))
    return mail


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes lines into a file and returns its path; what is no text becomes JSON."""

    def write(*lines: Any) -> str:
        path = tmp_path / "lines.ndjson"
        texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("".join(f"{text}\n" for text in texts))
        return os.fspath(path)

    return write
