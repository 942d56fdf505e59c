"""The life of an embedded broker when nothing goes wrong: started, shared, kept for a while, stopped."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.broker.processes_of_test import ROOT, UserProcess, processes_of, servers_of
from tests.waiting import wait_until
from tq_core.broker import EmbeddedBroker, embedded_names, open_embedded
from tq_core.broker.binaries import ServerBinary
from tq_core.errors import InvalidInputError

NewUser = Callable[..., UserProcess]


def gone(folder: Path) -> None:
    wait_until(lambda: not processes_of(folder), 10, "keeper and server to end")


def test_the_first_user_starts_a_server_that_keeps_to_the_design(real_server: ServerBinary) -> None:
    with open_embedded() as lease, redis.Redis.from_url(lease.url, decode_responses=True) as client:
        assert client.incr("counter") == 1
        wanted = {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "port": "0",
            "save": "",
            "unixsocketperm": "700",
        }
        assert {name: client.config_get(name)[name] for name in wanted} == wanted
        assert client.info("server")["redis_version"] == lease.server_version
    assert lease.kept
    assert lease.notice is None
    assert lease.binary == str(real_server.path)


@pytest.mark.usefixtures("real_server")
def test_what_was_written_is_there_after_a_restart(own_folder: Path) -> None:
    for expected in (1, 2, 3):
        with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
            assert client.incr("counter") == expected
        gone(own_folder)


@pytest.mark.usefixtures("any_server")
def test_every_user_of_the_machine_gets_the_same_server(new_user: NewUser) -> None:
    first, second = new_user(), new_user()
    seen = [user.ask("open") for user in (first, second)]
    assert seen[0]["url"] == seen[1]["url"]
    assert [user.ask("incr")["value"] for user in (first, second)] == [1, 2]
    first.end()
    assert second.ask("incr")["value"] == 3


@pytest.mark.usefixtures("real_server")
def test_processes_that_start_at_the_same_instant_share_one_server(own_folder: Path, new_user: NewUser) -> None:
    users = [new_user() for _ in range(3)]
    rounds = 15
    for number in range(rounds):
        for user in users:
            user.order("open")
        seen = [user.answer() for user in users]
        assert {one.get("run_id") for one in seen} == {seen[0]["run_id"]}, seen
        assert len(servers_of(own_folder)) == 1
        values = [user.ask("incr")["value"] for user in users]
        assert values == [number * 3 + 1, number * 3 + 2, number * 3 + 3]
        for user in users:
            user.ask("close")
        if number % 2:
            gone(own_folder)  # in the other rounds the next start meets the stop of this one


@pytest.mark.usefixtures("real_server")
def test_two_users_within_one_process_are_two_users(own_folder: Path) -> None:
    first, second = open_embedded(), open_embedded()
    first.close()
    first.close()
    assert EmbeddedBroker().status().is_running
    with redis.Redis.from_url(second.url) as client:
        assert client.ping()
    second.close()
    gone(own_folder)


@pytest.mark.usefixtures("any_server")
def test_without_linger_the_server_goes_with_its_last_user(own_folder: Path) -> None:
    open_embedded(linger_s=0).close()
    gone(own_folder)
    assert not EmbeddedBroker().status().is_running
    assert list((own_folder / "run" / "tq").iterdir()) == []


@pytest.mark.usefixtures("real_server")
def test_the_server_lingers_and_a_new_user_within_that_time_keeps_it(
    own_folder: Path,
) -> None:
    open_embedded(linger_s=3600).close()
    pid = EmbeddedBroker().status().pid
    assert pid is not None
    lease = open_embedded(linger_s=0.3)
    assert EmbeddedBroker().status().pid == pid
    lease.close()
    gone(own_folder)  # the last one who opened it decides how long it stays


@pytest.mark.usefixtures("real_server")
def test_the_server_stays_for_as_long_as_it_was_told_to(own_folder: Path) -> None:
    open_embedded(linger_s=0.6).close()
    left_at_s = time.monotonic()
    gone(own_folder)
    assert time.monotonic() - left_at_s >= 0.6


@pytest.mark.usefixtures("real_server")
def test_a_lingering_server_holds_no_pipe_of_the_command_that_started_it() -> None:
    code = "from tq_core.broker import open_embedded; open_embedded(linger_s=3600).close(); print('done')"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=20, check=True
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
    assert EmbeddedBroker().stop()


@pytest.mark.usefixtures("real_server")
def test_names_are_separate_brokers() -> None:
    with open_embedded("one") as one, open_embedded("two") as two:
        assert one.url != two.url
        assert embedded_names() == ("one", "two")


@pytest.mark.parametrize("name", ["", "Work", "-a", "a/b", "..", "a" * 33, "a b", "a\n"])
def test_names_that_could_be_anything_else_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="broker name"):
        open_embedded(name)


@pytest.mark.usefixtures("real_server")
def test_nobody_else_can_read_data_or_reach_the_socket(own_folder: Path) -> None:
    old = os.umask(0)
    try:
        with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
            client.set("secret", "x")
            paths = [own_folder / "state" / "tq", own_folder / "run" / "tq"]
            paths += [path for parent in tuple(paths) for path in parent.rglob("*")]
            assert len(paths) > 8
            open_to_others = [path for path in paths if stat.S_IMODE(path.lstat().st_mode) & 0o077]
            assert open_to_others == []
    finally:
        os.umask(old)


@pytest.mark.usefixtures("real_server")
def test_it_works_without_a_runtime_folder(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setenv("TMPDIR", str(own_folder / "run"))
    with open_embedded() as lease:
        assert f"/run/tq-{os.geteuid()}/" in lease.url


@pytest.mark.usefixtures("real_server")
def test_users_with_different_runtime_folders_find_the_same_server(own_folder: Path, new_user: NewUser) -> None:
    (own_folder / "cron").mkdir(mode=0o700)
    first, second = new_user(), new_user({"XDG_RUNTIME_DIR": "", "TMPDIR": str(own_folder / "cron")})
    assert first.ask("open") == second.ask("open")


@pytest.mark.usefixtures("real_server")
def test_paths_may_hold_blanks_and_letters_of_any_language(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, leaf in (("XDG_STATE_HOME", "mein Zustand ü#?%"), ("XDG_RUNTIME_DIR", "läuft %20 #?")):
        (own_folder / leaf).mkdir(mode=0o700)
        monkeypatch.setenv(variable, str(own_folder / leaf))
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        assert client.incr("counter") == 1


@pytest.mark.usefixtures("real_server")
def test_a_program_started_by_a_user_does_not_keep_the_server(own_folder: Path, new_user: NewUser) -> None:
    user = new_user()
    user.ask("open")
    user.ask("start_child")
    user.ask("close")
    gone(own_folder)


@pytest.mark.usefixtures("real_server")
def test_opening_a_running_broker_starts_no_process(own_folder: Path) -> None:
    with open_embedded():
        before = processes_of(own_folder)
        with open_embedded():
            assert processes_of(own_folder) == before


def test_a_start_timeout_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_EMBEDDED_START_TIMEOUT_S", "soon")
    with pytest.raises(InvalidInputError, match="TQ_EMBEDDED_START_TIMEOUT_S=soon"):
        open_embedded()


def test_a_negative_linger_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="linger_s=-1"):
        open_embedded(linger_s=-1)


@pytest.mark.usefixtures("real_server")
def test_the_server_gets_no_settings_or_secrets_of_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "s3cret")
    with open_embedded():
        status = EmbeddedBroker().status()
        for pid in (status.pid, status.keeper_pid):
            environ = Path(f"/proc/{pid}/environ").read_bytes()
            assert b"s3cret" not in environ
            assert b"TQ_" not in environ


def test_a_module_in_the_working_directory_is_not_imported(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own_folder / "fakeredis.py").write_text("raise SystemExit('the wrong module')")
    (own_folder / "json.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(own_folder)
    monkeypatch.setenv("TQ_REDIS_SERVER", "fakeredis")
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        assert client.ping()
