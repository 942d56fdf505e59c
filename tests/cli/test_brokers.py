"""Brokers that cannot be used, and the embedded one."""

from __future__ import annotations

import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.redis_servers import PrivateServer


class OldRedis(socketserver.StreamRequestHandler):
    """Speaks as a Redis 5 does: says OK to everything, and its version to INFO."""

    INFO = b"# Server\r\nredis_version:5.0.7\r\n"

    def handle(self) -> None:
        while head := self.rfile.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2])
            is_info = words[0].upper() == b"INFO"
            self.wfile.write(b"$%d\r\n%s\r\n" % (len(self.INFO), self.INFO) if is_info else b"+OK\r\n")


@pytest.fixture
def old_redis() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), OldRedis) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"redis://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def said(ran_err: str) -> str:
    """The one line on stderr."""
    (line,) = ran_err.splitlines()
    assert line.startswith("tq: ")
    return line


def test_a_broker_that_is_not_there_is_exit_code_4_and_one_line(tq: Tq) -> None:
    ran = tq("stats", "--url", "redis://:hunter2@127.0.0.1:1")
    assert (ran.code, ran.out) == (4, "")
    assert "127.0.0.1:1" in said(ran.err)
    assert "hunter2" not in ran.err


def test_a_wrong_password_says_where_the_right_one_goes(tq: Tq, new_redis_server: Callable[..., PrivateServer]) -> None:
    server = new_redis_server()
    with server._client() as client:
        client.config_set("requirepass", "right")
    address = f"127.0.0.1:{server.port}"
    for url in (f"redis://:wrong@{address}", f"redis://{address}"):
        ran = tq("stats", "--url", url)
        assert (ran.code, ran.out) == (4, "")
        assert "redis://USER:PASSWORD@HOST" in said(ran.err)
        assert "wrong@" not in ran.err
    assert tq("stats", "--url", f"redis://:right@{address}").code == 0


def test_a_redis_that_is_too_old_is_refused(tq: Tq, old_redis: str) -> None:
    ran = tq("submit", "t", "--url", old_redis)
    assert (ran.code, ran.out) == (4, "")
    assert "runs Redis 5.0.7; tq needs 6.2 or newer" in said(ran.err)


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("memory://", 5, "embedded://"),
        ("redis+cluster://h:1/7", 4, "cluster"),
        ("nonsense", 4, "scheme"),
        ("ftp://h", 4, "scheme"),
        ("redis://h:notaport", 4, "port"),
    ],
)
def test_addresses_that_cannot_be_used_are_refused(tq: Tq, url: str, code: int, words: str) -> None:
    ran = tq("stats", "--url", url)
    assert (ran.code, ran.out) == (code, "")
    assert words in said(ran.err)


def test_address_and_context_together_are_refused(tq: Tq) -> None:
    assert tq("stats", "--url", "redis://x", "--context", "y").code == 2


def test_a_context_that_is_not_there_is_exit_code_4(tq: Tq) -> None:
    assert tq("stats", "--context", "nope").code == 4


def test_where_an_address_is_required_the_default_is_refused(tq: Tq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_REQUIRE_URL", "1")
    ran = tq("submit", "t")
    assert (ran.code, ran.out) == (4, "")
    assert "TQ_URL" in said(ran.err)


def test_shared_options_may_stand_before_or_after_the_command(tq: Tq, redis_url: str) -> None:
    for words in (
        ["--url", redis_url, "--json", "queues", "list"],
        ["queues", "--url", redis_url, "list", "--json"],
        ["queues", "list", "--json", "--url", redis_url],
    ):
        assert tq(*words).code == 0


@pytest.mark.server
def test_the_embedded_broker_is_named_used_looked_at_stopped_and_wiped(tq: Tq) -> None:
    assert "does not run" in tq.ok("broker", "status").out
    ran = tq.ok("submit", "t")
    assert "using the embedded broker 'default'" in ran.err
    assert ran.err.count("embedded") == 1
    assert tq.ok("tasks", "list", "--json").record["id"] == ran.out.strip()
    status = tq.ok("broker", "status", "--json").record
    assert (status["name"], status["is_kept"]) == ("default", True)
    tq.ok("broker", "stop")
    assert tq.ok("broker", "status", "--json").record["is_running"] is False
    assert tq.ok("tasks", "list", "--json").record["id"] == ran.out.strip()
    assert tq("broker", "wipe").code == 2
    tq.ok("broker", "wipe", "--yes")
    assert tq.ok("tasks", "list", "--json").out == ""
    tq.ok("broker", "stop")


def test_a_server_is_not_ours_to_stop(tq: Tq, redis_url: str) -> None:
    for verb in ("status", "stop", "wipe"):
        assert tq("broker", verb, "--url", redis_url).code == 5, verb


def config_file() -> Path:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "tq" / "config.toml"
    path.parent.mkdir(exist_ok=True)
    return path


def test_contexts_are_listed_without_their_passwords_and_chosen(tq: Tq) -> None:
    text = '# mine\n[contexts.a]\nurl = "redis://u:hunter2@a"\n\n[contexts.b]\nurl = "redis://b"\nread_only = true\n'
    config_file().write_text(text)
    ran = tq.ok("config", "list")
    assert "redis://u:***@a" in ran.out
    assert "hunter2" not in ran.out
    tq.ok("config", "use", "b")
    assert config_file().read_text() == f'context = "b"\n{text}'
    assert tq.ok("config", "show", "--json").record["context"] == "b"
    tq.ok("config", "use", "a")
    assert config_file().read_text() == f'context = "a"\n{text}'
    assert [r["is_chosen"] for r in tq.ok("config", "list", "--json").records] == [True, False]
    ran = tq("config", "use", "c")
    assert (ran.code, config_file().read_text()) == (3, f'context = "a"\n{text}')


def test_the_actor_is_user_and_host_where_nobody_says_otherwise(tq: Tq, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tq.ok("config", "show", "--json").record["actor"] == "ana@desk"
    monkeypatch.delenv("TQ_ACTOR")
    actor = tq.ok("config", "show", "--json").record["actor"]
    assert "@" in actor.strip("@")


@pytest.mark.parametrize("option", ["--url", "--context"])
def test_an_empty_address_is_refused_rather_than_replaced(tq: Tq, option: str) -> None:
    ran = tq("stats", option, "")
    assert (ran.code, ran.out) == (2, "")
    assert f"'{option}': it is empty" in ran.err
