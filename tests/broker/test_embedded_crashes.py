"""What is left, and what goes on, when a user, the keeper or the server is killed, or something is deleted."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.broker.processes_of_test import UserProcess, kill_hard, processes_of, servers_of
from tests.waiting import wait_until
from tq_core.broker import EmbeddedBroker, EmbeddedStatus, open_embedded
from tq_core.broker.binaries import ServerBinary
from tq_core.broker.processes import mark
from tq_core.errors import BrokerConfigError, BrokerUnreachableError, RefusedError

NewUser = Callable[..., UserProcess]


def status() -> EmbeddedStatus:
    return EmbeddedBroker().status()


def pids() -> tuple[int, int]:
    now = status()
    assert now.pid is not None
    assert now.keeper_pid is not None
    return now.pid, now.keeper_pid


def gone(folder: Path) -> None:
    wait_until(lambda: not processes_of(folder), 10, "keeper and server to end")


@pytest.mark.usefixtures("any_server")
def test_a_killed_user_leaves_nothing(own_folder: Path, new_user: NewUser) -> None:
    user = new_user()
    user.ask("open")
    user.kill()
    gone(own_folder)
    assert list((own_folder / "run" / "tq").iterdir()) == []


@pytest.mark.usefixtures("any_server")
def test_a_killed_user_does_not_disturb_the_others(new_user: NewUser) -> None:
    first, second = new_user(), new_user()
    first.ask("open")
    second.ask("open")
    first.kill()
    assert second.ask("incr")["value"] == 1


@pytest.mark.usefixtures("any_server")
def test_a_user_killed_while_it_starts_the_server_leaves_nothing(own_folder: Path, new_user: NewUser) -> None:
    user = new_user()
    user.order("open")
    wait_until(lambda: processes_of(own_folder), 10, "the keeper to start")
    user.kill()
    gone(own_folder)
    assert open_embedded_and_count() == 1


@pytest.mark.usefixtures("any_server")
def test_a_server_dies_with_its_killed_keeper(own_folder: Path) -> None:
    with open_embedded():
        kill_hard(pids()[1])
        gone(own_folder)


@pytest.mark.usefixtures("real_server")
def test_a_user_gets_a_new_server_after_the_keeper_was_killed(own_folder: Path) -> None:
    with open_embedded() as lease:
        with redis.Redis.from_url(lease.url) as client:
            client.incr("counter")
        server, keeper = pids()
        kill_hard(keeper)
        lease.revive()
        with redis.Redis.from_url(lease.url) as client:
            assert client.incr("counter") == 2
        assert pids() != (server, keeper)
        assert servers_of(own_folder) == [pids()[0]]


@pytest.mark.usefixtures("real_server")
def test_an_open_right_after_the_keepers_death_does_not_join_the_dying_server(own_folder: Path) -> None:
    for expected in range(1, 8):
        with open_embedded() as first, redis.Redis.from_url(first.url) as client:
            assert client.incr("counter") == 2 * expected - 1
            dying, keeper = pids()
            kill_hard(keeper)
            with open_embedded() as second, redis.Redis.from_url(second.url) as other_client:
                assert pids()[0] != dying
                assert other_client.incr("counter") == 2 * expected
                assert servers_of(own_folder) == [pids()[0]]


@pytest.mark.usefixtures("real_server")
def test_a_server_that_ignores_the_death_of_its_keeper_is_ended_by_the_next_user(own_folder: Path) -> None:
    with open_embedded():
        server, keeper = pids()
        os.kill(server, signal.SIGSTOP)
        kill_hard(keeper)
        with open_embedded(start_timeout_s=2) as lease, redis.Redis.from_url(lease.url) as client:
            assert client.ping()
            assert servers_of(own_folder) == [pids()[0]]
            assert pids()[0] != server


@pytest.mark.usefixtures("any_server")
def test_a_killed_server_is_started_again_while_it_has_users(own_folder: Path) -> None:
    with open_embedded() as lease:
        server, keeper = pids()
        kill_hard(server)
        wait_until(lambda: status().pid not in {None, server}, 10, "another server")
        assert pids()[1] == keeper
        with redis.Redis.from_url(lease.url) as client:
            assert client.ping()
    gone(own_folder)


@pytest.mark.usefixtures("real_server")
def test_a_server_that_dies_again_and_again_is_given_up_and_the_next_open_starts_afresh(own_folder: Path) -> None:
    with open_embedded() as lease:
        killed: set[int] = set()

        def kill_next() -> bool:
            now = status()
            if now.pid is not None and now.pid not in killed:
                killed.add(now.pid)
                kill_hard(now.pid)
            return not processes_of(own_folder)

        wait_until(kill_next, 15, "the keeper to give up")
        assert len(killed) == 4
        assert not status().is_running
        lease.revive()
        with redis.Redis.from_url(lease.url) as client:
            assert client.ping()


@pytest.mark.usefixtures("real_server")
def test_a_server_killed_without_users_is_not_started_again(own_folder: Path) -> None:
    open_embedded(linger_s=3600).close()
    kill_hard(pids()[0])
    gone(own_folder)
    assert not status().is_running


@pytest.mark.usefixtures("real_server")
def test_keeper_and_server_killed_at_once_are_replaced(own_folder: Path) -> None:
    with open_embedded():
        server, keeper = pids()
        kill_hard(keeper)
        kill_hard(server)
        with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
            assert client.ping()
            assert servers_of(own_folder) == [pids()[0]]


@pytest.mark.usefixtures("real_server")
def test_a_keeper_that_is_told_to_end_stops_the_server_cleanly(own_folder: Path) -> None:
    with open_embedded() as lease:
        with redis.Redis.from_url(lease.url) as client:
            client.incr("counter")
        os.kill(pids()[1], signal.SIGTERM)
        gone(own_folder)
        assert "bye bye" in status().log.read_text()
    assert open_embedded_and_count() == 2


@pytest.mark.usefixtures("any_server")
def test_a_stale_socket_is_recognised_and_replaced(own_folder: Path) -> None:
    with open_embedded() as lease:
        path = lease.url.removeprefix("unix://")
    gone(own_folder)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)
    assert Path(path).is_socket()
    assert open_embedded_and_count() == 1


@pytest.mark.usefixtures("real_server")
def test_a_deleted_socket_is_made_anew_while_there_are_users() -> None:
    with open_embedded() as lease:
        path = Path(lease.url.removeprefix("unix://"))
        shutil.rmtree(path.parent)
        wait_until(path.is_socket, 10, "a new socket")
        lease.revive()
        with redis.Redis.from_url(lease.url) as client:
            assert client.ping()


@pytest.mark.usefixtures("real_server")
def test_the_server_of_a_deleted_data_folder_ends_and_leaves_its_successor_alone(own_folder: Path) -> None:
    with open_embedded():
        old, keeper = pids()
        os.kill(keeper, signal.SIGSTOP)
        try:
            shutil.rmtree(own_folder / "state" / "tq" / "default")
            with open_embedded() as lease:
                new = pids()[0]
                assert new != old
                os.kill(keeper, signal.SIGCONT)
                wait_until(lambda: servers_of(own_folder) == [new], 10, "the old server to end")
                with redis.Redis.from_url(lease.url) as client:
                    assert client.ping()
                    assert pids()[0] == new
        finally:
            mark(keeper).send(signal.SIGCONT)


@pytest.mark.usefixtures("real_server")
def test_a_user_whose_data_folder_was_deleted_becomes_a_user_of_a_new_broker(own_folder: Path) -> None:
    with open_embedded() as lease:
        shutil.rmtree(own_folder / "state" / "tq" / "default")
        gone(own_folder)
        lease.revive()
        with redis.Redis.from_url(lease.url) as client:
            assert client.ping()
        assert status().users == (os.getpid(),)


@pytest.mark.usefixtures("real_server")
def test_a_closed_lease_does_not_come_back() -> None:
    lease = open_embedded()
    lease.close()
    with pytest.raises(RefusedError, match="is closed; open another"):
        lease.revive()


@pytest.mark.usefixtures("real_server")
def test_a_server_that_hangs_is_reported_and_can_be_stopped() -> None:
    with open_embedded():
        server = pids()[0]
        os.kill(server, signal.SIGSTOP)
        try:
            with pytest.raises(
                BrokerUnreachableError, match="runs and does not answer; `tq broker stop default` ends it"
            ):
                open_embedded(start_timeout_s=0.3)
            now = status()
            assert (now.is_running, now.is_answering) == (True, False)
        finally:
            os.kill(server, signal.SIGCONT)


@pytest.mark.usefixtures("real_server")
def test_a_hanging_server_and_a_hanging_keeper_are_ended_by_stop(own_folder: Path) -> None:
    lease = open_embedded()
    for pid in pids():
        os.kill(pid, signal.SIGSTOP)
    lease.close()
    assert EmbeddedBroker().stop(timeout_s=1.5)
    assert processes_of(own_folder) == {}


@pytest.mark.usefixtures("real_server")
def test_a_damaged_data_file_is_named_with_its_cure(own_folder: Path) -> None:
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        client.set("key", "value")
    gone(own_folder)
    data = own_folder / "state" / "tq" / "default" / "data"
    for path in data.rglob("*.aof"):
        path.write_bytes(b"nonsense\r\n" * 10)
    with pytest.raises(BrokerConfigError, match="append-only file is damaged; repair it with redis-check-aof"):
        open_embedded()


@pytest.mark.slow
def test_a_server_that_reads_its_data_for_long_is_waited_for_and_not_started_twice(
    own_folder: Path, real_server: ServerBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = 1000
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        client.mset({f"key{number}": "x" * 100 for number in range(keys)})
        client.bgrewriteaof()
        wait_until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, 10, "the rewrite")
    gone(own_folder)
    slow = own_folder / "redis-server"
    options = "--key-load-delay 5000 --loading-process-events-interval-bytes 1024"
    slow.write_text(
        f'#!/bin/sh\nif [ "$1" = --version ]; then o=; else o="{options}"; fi\nexec {real_server.path} "$@" $o\n'
    )
    slow.chmod(0o755)
    monkeypatch.setenv("TQ_REDIS_SERVER", str(slow))
    with pytest.raises(BrokerUnreachableError, match=r"still reading its data after 3 s; try again in a moment"):
        open_embedded(start_timeout_s=3, linger_s=3600)
    loading = servers_of(own_folder)
    with open_embedded(linger_s=0) as lease, redis.Redis.from_url(lease.url) as client:
        assert client.dbsize() == keys
        assert servers_of(own_folder) == loading


@pytest.mark.usefixtures("real_server")
def test_the_torn_tail_of_a_crash_is_accepted(own_folder: Path) -> None:
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        client.set("first", "1")
        client.set("second", "2")
    gone(own_folder)
    data = own_folder / "state" / "tq" / "default" / "data"
    [path] = [path for path in data.rglob("*.aof") if b"second" in path.read_bytes()]
    path.write_bytes(path.read_bytes()[:-5])
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        assert client.get("first") == b"1"


@pytest.mark.usefixtures("real_server")
@pytest.mark.slow
def test_random_kills_and_closes_never_make_two_servers_and_lose_nothing_that_was_on_disk(
    own_folder: Path, new_user: NewUser
) -> None:
    choose = random.Random(20)
    users = [new_user() for _ in range(3)]
    is_open = [False, False, False]
    counted = 0
    for _ in range(60):
        number = choose.randrange(3)
        match choose.choice(["open", "open", "close", "incr", "kill user", "kill keeper", "kill both"]):
            case "open" if not is_open[number]:
                assert "error" not in users[number].ask("open")
                is_open[number] = True
            case "close" if is_open[number]:
                users[number].ask("close")
                is_open[number] = False
            case "incr" if is_open[number]:
                assert "error" not in users[number].ask("revive")
                value = users[number].ask("incr")["value"]
                assert value == counted + 1
                counted = value
            case "kill user":
                users[number].kill()
                users[number] = new_user()
                is_open[number] = False
            case "kill keeper" if any(is_open) and (keeper := status().keeper_pid) is not None:
                kill_hard(keeper)
            case "kill both" if any(is_open) and (found := servers_of(own_folder)):
                keeper = status().keeper_pid
                for pid in (found[0], keeper):
                    if pid is not None:
                        kill_hard(pid)
        if any(is_open):
            assert len(servers_of(own_folder)) <= 1


def open_embedded_and_count() -> int:
    with open_embedded() as lease, redis.Redis.from_url(lease.url) as client:
        value: int = client.incr("counter")
        return value
