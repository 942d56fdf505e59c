"""Lines of the log: whole, safe, and never in the way."""

from __future__ import annotations

import json
import logging
import os
import resource
import threading

import pytest

from tests.waiting import wait_until
from tq_core.tasks.context import TaskContext, running_in
from tq_worker.lifecycle_log import Labels, LifecycleLog, escape
from tq_worker.worker.log_records import RecordHandler, install


def read_all(fd: int) -> bytes:
    parts = []
    while part := os.read(fd, 65536):
        parts.append(part)
    return b"".join(parts)


def lines_of(write: object, *, style: str = "text", level: str = "info") -> list[str]:
    reading, writing = os.pipe()
    log = LifecycleLog(writing, style=style, level=level)
    write(log)  # type: ignore[operator]
    log.close()
    os.close(writing)
    text = read_all(reading).decode()
    os.close(reading)
    return text.splitlines()


def test_text_and_json_say_the_same() -> None:
    def write(log: LifecycleLog) -> None:
        log.write("error", "ERROR", Labels(task_id="t1", attempt=2), text="it broke", duration_ms=7, reason=None)

    (text,) = lines_of(write)
    (raw,) = lines_of(write, style="json")

    assert text.split(" ", 1)[1] == "ERROR   ERROR     it broke task_id=t1 attempt=2 duration_ms=7"
    found = json.loads(raw)
    assert text.startswith(found.pop("time")[:16])
    assert found == {
        "level": "error",
        "event": "ERROR",
        "task_id": "t1",
        "attempt": 2,
        "text": "it broke",
        "duration_ms": 7,
    }


def test_what_a_command_says_is_json_in_both_forms() -> None:
    def write(log: LifecycleLog) -> None:
        log.write("info", "command", text="scale by ann", args={"processes": 3, "x": "\x1b"})

    (text,) = lines_of(write)
    (raw,) = lines_of(write, style="json")

    assert text.endswith(r'scale by ann args={"processes":3,"x":"\u001b"}')
    assert json.loads(raw)["args"] == {"processes": 3, "x": "\x1b"}


def test_a_command_that_says_too_much_is_cut() -> None:
    (raw,) = lines_of(lambda log: log.write("info", "command", args={"x": "y" * 100_000}), style="json")

    assert len(raw) < 10_000
    assert json.loads(raw)["args"].startswith('{"x":"yyy')


def test_what_could_steer_a_terminal_is_escaped() -> None:
    hostile = "a\x1b[2Jb\nc\x07\x9b31m\u202egnp.exe\u200b"

    assert escape(hostile) == r"a\x1b[2Jb\nc\x07\x9b31m\u202egnp.exe\u200b"
    (line,) = lines_of(lambda log: log.write("info", "LOG", Labels(type=hostile), text=hostile))
    assert all(character.isprintable() for character in line)


def test_lines_below_the_level_are_not_written() -> None:
    def write(log: LifecycleLog) -> None:
        log.write("info", "STARTED", text="no")
        log.set_level("debug")
        log.write("debug", "x", text="yes")

    assert [line.split()[-1] for line in lines_of(write, level="warning")] == ["yes"]


def test_a_very_long_text_is_cut() -> None:
    (line,) = lines_of(lambda log: log.write("info", "LOG", text="x" * 100_000))

    assert len(line) < 1000
    assert line.endswith("…")


def test_lines_of_many_writers_stay_whole() -> None:
    reading, writing = os.pipe()
    logs = [LifecycleLog(os.dup(writing)) for _ in range(4)]
    os.close(writing)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(read_all(reading)))
    reader.start()
    for n in range(2000):
        for number, log in enumerate(logs):
            log.write("info", "COMPLETED", Labels(worker_id=f"w{number}", n=n), text="a result")
    for log in logs:
        log.close()
        os.close(log._fd)
    reader.join(10)
    os.close(reading)

    lines = found[0].decode().splitlines()
    assert len(lines) == 8000
    assert {line.split(" ", 1)[1].split("worker_id")[0] for line in lines} == {"INFO    COMPLETED a result "}


def test_a_reader_that_is_too_slow_holds_up_nobody() -> None:
    reading, writing = os.pipe()
    log = LifecycleLog(writing)
    for n in range(60_000):
        log.write("info", "COMPLETED", Labels(n=n), text="x" * 50)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(read_all(reading)))
    reader.start()
    log.close()
    os.close(writing)
    reader.join(20)
    os.close(reading)

    lines = found[0].decode().splitlines()
    assert len(lines) < 60_000
    assert sum("lines left out" in line for line in lines) >= 1


def test_half_a_character_ends_no_log() -> None:
    def write(log: LifecycleLog) -> None:
        log.write("info", "LOG", Labels(type="a\udc80"), text="b\udc80", args={"c": "\udc80"})
        log.write("info", "LOG", text="the next")

    (first, second) = map(json.loads, lines_of(write, style="json"))
    (text, _) = lines_of(write)

    assert (first["type"], first["text"]) == ("a\\udc80", "b\\udc80")
    assert "c" in first["args"]
    assert second["text"] == "the next"
    assert "args=" in text


@pytest.mark.parametrize("style", ["text", "json"])
def test_no_value_and_no_lack_of_files_ends_a_log(style: str) -> None:
    class Word(str):
        __slots__ = ()

    class Number(int): ...

    def write(log: LifecycleLog) -> None:
        log.write("info", "LOG", text=Word("a"), extra={"word": Word("b"), "number": Number(3)})
        log.write("info", "LOG", text="odd", extra={(1, 2): object()})
        log.flush()
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
        try:
            log.write("info", "LOG", text="no files", extra={"word": "c"})
            log.flush()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        log.write("info", "LOG", text="the next")

    lines = lines_of(write, style=style)

    assert len(lines) == 4
    assert "cannot be shown" in lines[0]
    assert "no files" in lines[2]
    assert "the next" in lines[3]


def test_a_line_is_whole_also_where_the_file_does_not_wait() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    log = LifecycleLog(writing)
    for _ in range(500):
        log.write("info", "LOG", text="x" * 590)
    wait_until(lambda: len(log._lines) < 450, 5, "the pipe to be full")
    seen = b""
    while seen.count(b"\n") < 500:
        seen += os.read(reading, 65536)
    log.close()
    os.close(reading)
    os.close(writing)
    assert all(line.endswith(b"x" * 590) for line in seen.splitlines())


def test_a_record_of_logging_becomes_a_line_of_its_task(monkeypatch: pytest.MonkeyPatch) -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("not to be shown")

    class Number(float): ...

    def write(log: LifecycleLog) -> None:
        handler = RecordHandler(log, lambda context: Labels(task_id=context.task_id))
        logger = logging.getLogger("shop")
        monkeypatch.setattr(logger, "propagate", False)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(handler)
        with running_in(TaskContext(task_id="t1", task_type="t", queue="q")):
            logger.warning("%d of %s", 3, "five", extra={"odd": Odd(), "big": 2**70, "numpy": Number(0.5)})
            logger.critical("%d", "no number")
            logger.critical(Odd())
        logger.info("outside of a task")
        logger.removeHandler(handler)

    (first, second, odd, third) = map(json.loads, lines_of(write, style="json"))

    del first["time"]
    assert first == {
        "level": "warning",
        "event": "LOG",
        "task_id": "t1",
        "text": "3 of five",
        "logger": "shop",
        "extra": {"odd": "<Odd>", "big": 2**70, "numpy": 0.5},
    }
    assert (second["level"], second["text"]) == ("error", "%d")
    assert odd["text"] == "<Odd>"
    assert "task_id" not in third


def test_logging_that_somebody_has_set_up_is_left_alone() -> None:
    before = logging.getLogger().handlers.copy()
    assert before, "pytest takes what is logged"

    lines = lines_of(lambda log: install(log, "info", lambda _: Labels()))

    assert lines == []
    assert logging.getLogger().handlers == before


def test_nobody_reading_at_all_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    log = LifecycleLog(writing)
    log.write("info", "LOG", text="into the void")
    log.close()
    os.close(writing)
    wait_until(lambda: not log._lines, 5, "the line to be gone")
