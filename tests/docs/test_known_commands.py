"""The README's table of commands that people know from elsewhere: its right column is run, from top to bottom."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.experiments.__main__ import NAMES
from tests.docs.test_readme import README, Reader
from tests.waiting import wait_until

ROOT = README.parent
HEADING = "## Commands that you know from elsewhere"
CODE = re.compile(r"`([^`]+)`")
COMMAND = re.compile(r"(?:[A-Z_]+=\S+ )*(?:tq|tq-worker|seq|pip|make|python|docker|kubectl) ")
ON_A_CLUSTER = ("docker ", "kubectl ")
"""There is no engine to run them on: what they name must be there."""
RUN_ELSEWHERE = ("make ", "pip install ", "tq console")
"""What the CI run does as steps of its own, and what needs a terminal: tests/tui."""
END = ""
EXPERIMENT = "python -m benchmarks.experiments "
"""Run by tests/benchmarks."""


def table() -> list[tuple[str, list[str]]]:
    """(left column, commands of the right one) of every row."""
    section = README.read_text("utf-8").partition(HEADING)[2].partition("\n## ")[0]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in section.splitlines() if line.startswith("| ")]
    return [
        (left, [code for code in CODE.findall(right.replace(r"\|", "|")) if COMMAND.match(f"{code} ")])
        for left, right in rows[1:]
    ]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    one = Reader(tmp_path)
    yield one
    one.leave()


def test_every_row_names_a_command() -> None:
    rows = table()
    assert len(rows) > 20
    assert [left for left, commands in rows if not commands] == []


@pytest.mark.server
@pytest.mark.timeout(150)
def test_what_stands_for_the_commands_of_others_works(reader: Reader) -> None:
    commands = list(dict.fromkeys(command for _, row in table() for command in row))
    experiments = {command.removeprefix(EXPERIMENT) for command in commands if command.startswith(EXPERIMENT)}
    assert experiments <= {*NAMES, "all"}

    lines: list[str] = []  # of `tq shell`: each line is a command as it stands, and ten of them take the time of one
    for command in [*commands, END]:
        if command.startswith((*RUN_ELSEWHERE, EXPERIMENT, *ON_A_CLUSTER)):
            continue
        if command.startswith("tq ") and not command.endswith((" -f", " shell", " WORKER")):
            lines.append(command.replace(" ID", " ID@default"))
            continue
        (reader.folder / "lines").write_text("\n".join(lines), "utf-8")
        reader.output("tq shell < lines")
        lines.clear()
        if command.startswith("tq-worker"):
            reader.start(command)
            lines += ["submit echo word=hello --id ID", "tasks wait ID@default"]
        elif command.endswith(" -f"):
            follow(reader, command, exit_code=130)
        elif command.endswith("tq gateway"):
            follow(reader, re.sub(r"PORT=\d+", f"PORT={free_port()}", command), exit_code=0)
        elif command != END:
            reader.output(command.replace("WORKER", worker_of(reader) if "WORKER" in command else ""))

    assert reader.background[0].wait(20) == 0, "it was told to stop"


def worker_of(reader: Reader) -> str:
    """The id of a worker."""
    node = json.loads(reader.output("tq workers list --json").splitlines()[-1])
    return str(node["workers"][-1]["worker_id"])


def follow(reader: Reader, command: str, *, exit_code: int) -> None:
    """Runs a command that goes on until Ctrl-C."""
    words = command.split()
    variables = dict(word.split("=") for word in words if "=" in word)
    log = reader.folder / "followed"
    with log.open("w") as output:
        process = subprocess.Popen(
            words[len(variables) :],
            env={**reader.environment, **variables},
            stdout=output,
            stderr=output,
            cwd=reader.folder,
        )
    try:
        wait_until(lambda: re.search(r"\d\d:\d\d:\d\d| serves ", log.read_text()), 30, f"{command} to say something")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == exit_code, log.read_text()
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_what_containers_and_clusters_are_told_names_what_is_there() -> None:
    manifest = (ROOT / "deploy/k8s/deployment.yaml").read_text("utf-8")
    services = (ROOT / "deploy/compose.yaml").read_text("utf-8")
    commands = [command for _, row in table() for command in row if command.startswith(ON_A_CLUSTER)]
    assert len(commands) > 4
    for command in commands:
        for file in re.findall(r"(?:compose|apply) -f (\S+)", command):
            assert (ROOT / file).is_file(), command
        for word, name in re.findall(r"(deployment|svc)[ /](\w+) ", f"{command} "):
            kind = {"svc": "Service"}.get(word, "Deployment")
            assert re.search(rf"kind: {kind}\nmetadata:\n  name: {name}\n", manifest), command
        for name in re.findall(r"--scale (\w+)=", command):
            assert f"\n  {name}:\n" in services, command
