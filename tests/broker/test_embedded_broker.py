"""The embedded broker from outside: status, stop, wipe, and opening it empty."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.broker.processes_of_test import UserProcess, processes_of
from tests.waiting import wait_until
from tq_core.broker import EmbeddedBroker, open_embedded
from tq_core.broker.binaries import ServerBinary
from tq_core.errors import RefusedError

NewUser = Callable[..., UserProcess]


def count() -> int:
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        value: int = client.incr("counter")
        return value


def test_the_status_of_a_broker_that_never_ran_makes_nothing(own_folder: Path) -> None:
    status = EmbeddedBroker("work").status()
    assert (status.name, status.is_running, status.pid, status.version) == ("work", False, None, None)
    assert (status.size_bytes, status.users, status.is_kept) == (0, (), None)
    assert list((own_folder / "state").iterdir()) == []


def test_the_status_names_server_keeper_users_and_size(real_server: ServerBinary, new_user: NewUser) -> None:
    user = new_user()
    user.ask("open")
    with open_embedded() as lease:
        status = EmbeddedBroker().status()
        assert status.is_running
        assert status.is_answering
        assert status.version == str(real_server.version) == lease.server_version
        assert status.binary == str(real_server.path)
        assert status.users == tuple(sorted((os.getpid(), user.pid)))
        assert status.is_kept
        assert lease.url == f"unix://{status.socket}"
        assert status.keeper_pid is not None
        assert f"PPid:\t{status.keeper_pid}\n" in Path(f"/proc/{status.pid}/status").read_text()
        with redis.Redis.from_url(lease.url) as client:
            client.set("big", "x" * 100_000)
        wait_until(lambda: EmbeddedBroker().status().size_bytes > 100_000, 5, "the data to be on disk")
    user.ask("close")
    wait_until(lambda: not EmbeddedBroker().status().is_running, 10, "the server to end")
    status = EmbeddedBroker().status()
    assert status.version == str(real_server.version)
    assert status.size_bytes > 100_000


def test_fakeredis_is_marked_not_kept(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_REDIS_SERVER", "fakeredis")
    with open_embedded() as lease:
        assert not lease.kept
        assert lease.notice is not None
        assert "NOT KEPT" in lease.notice
        assert "apt install redis-server" in lease.notice
        assert "\n" not in lease.notice
        assert EmbeddedBroker().status().is_kept is False
        assert EmbeddedBroker().status().version == "fakeredis 6.2"
    wait_until(lambda: not processes_of(own_folder), 10, "keeper and server to end")
    assert count() == 1  # nothing was kept, as was said


@pytest.mark.usefixtures("any_server")
def test_stop_ends_a_lingering_server_before_it_returns(own_folder: Path) -> None:
    open_embedded(linger_s=3600).close()
    assert EmbeddedBroker().stop()
    assert processes_of(own_folder) == {}
    assert not EmbeddedBroker().stop()


@pytest.mark.usefixtures("real_server")
def test_what_was_written_survives_a_stop() -> None:
    with open_embedded(linger_s=3600) as lease, redis.Redis.from_url(lease.url) as client:
        client.incr("counter")
    EmbeddedBroker().stop()
    assert count() == 2


@pytest.mark.usefixtures("any_server")
def test_stop_and_wipe_are_refused_while_another_process_uses_the_broker(new_user: NewUser) -> None:
    user = new_user()
    user.ask("open")
    for act, done in ((EmbeddedBroker().stop, "stopped"), (EmbeddedBroker().wipe, "wiped")):
        with pytest.raises(RefusedError) as caught:
            act()
        assert f"cannot be {done}: process {user.pid} uses it; end that first" in caught.value.message
    assert user.ask("incr")["value"] == 1


@pytest.mark.usefixtures("any_server")
def test_all_who_use_the_broker_are_named(new_user: NewUser) -> None:
    users = [new_user(), new_user()]
    for user in users:
        user.ask("open")
    with pytest.raises(RefusedError) as caught:
        EmbeddedBroker().stop()
    first, second = sorted(user.pid for user in users)
    assert f"the processes {first}, {second} use it; end those first" in caught.value.message


@pytest.mark.usefixtures("any_server")
def test_ones_own_lease_does_not_stand_in_the_way(own_folder: Path) -> None:
    with open_embedded() as lease:
        assert EmbeddedBroker().stop()
        assert processes_of(own_folder) == {}
        lease.revive()
        with redis.Redis.from_url(lease.url) as client:
            assert client.ping()
        assert EmbeddedBroker().status().users == (os.getpid(),)  # it is a user again


@pytest.mark.usefixtures("real_server")
def test_wipe_deletes_what_was_kept(own_folder: Path) -> None:
    assert count() == 1
    assert EmbeddedBroker().wipe()
    left = {path.name for path in (own_folder / "state" / "tq" / "default").iterdir()}
    assert left == {"users.lock", "start.lock", "server.lock"}
    assert not EmbeddedBroker().wipe()
    assert count() == 1


@pytest.mark.usefixtures("real_server")
def test_a_forced_wipe_cuts_users_off(own_folder: Path, new_user: NewUser) -> None:
    user = new_user()
    user.ask("open")
    user.ask("incr")
    assert EmbeddedBroker().wipe(force=True)
    assert processes_of(own_folder) == {}
    user.ask("revive")
    assert user.ask("incr")["value"] == 1


def test_wiping_what_never_was_makes_nothing(own_folder: Path) -> None:
    assert not EmbeddedBroker("work").wipe()
    assert not EmbeddedBroker("work").stop()
    assert list((own_folder / "state").iterdir()) == []


@pytest.mark.usefixtures("real_server")
def test_a_fresh_broker_starts_empty() -> None:
    assert count() == 1
    with open_embedded(is_fresh=True) as lease, redis.Redis.from_url(lease.url) as client:
        assert client.dbsize() == 0


@pytest.mark.usefixtures("any_server")
def test_of_two_that_want_it_fresh_at_the_same_instant_one_gets_it(new_user: NewUser) -> None:
    users = [new_user() for _ in range(3)]
    for user in users:
        user.order("open", is_fresh=True, linger_s=0)
    answers = [user.answer() for user in users]
    assert sorted(answer.get("error", "") for answer in answers) == ["", "refused", "refused"]


@pytest.mark.usefixtures("real_server")
def test_the_log_of_the_server_does_not_grow_for_ever(own_folder: Path) -> None:
    log = own_folder / "state" / "tq" / "default" / "server.log"
    log.parent.mkdir(parents=True, mode=0o700)
    log.write_bytes(b"x" * 1_000_001)
    assert count() == 1
    assert log.stat().st_size < 10_000
