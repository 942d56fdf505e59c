"""The gateway as a process: real sockets, a real Redis, a real worker, slow clients, and how it stops."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tests.gateway.conftest import Served
from tests.queue_driver import QueueDriver
from tests.waiting import wait_until
from tq_console.cli import gateway as command
from tq_console.cli.invocation import Invocation
from tq_core.roles import operator, producer

pytestmark = pytest.mark.server


def connections_of(served: Served) -> int:
    """How many clients the gateway is connected to."""
    open_files = Path(f"/proc/{served.process.pid}/fd")
    inodes = {str(file.readlink()) for file in open_files.iterdir() if file.is_symlink()}
    found = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        is_ours = int(fields[1].partition(":")[2], 16) == served.port and f"socket:[{fields[9]}]" in inodes
        found += is_ours and fields[3] != "0A"
    return found


def answer_on(connection: socket.socket) -> bytes:
    """One whole answer with a body of known length."""
    found = b""
    while b"\r\n\r\n" not in found or not found.partition(b"\r\n\r\n")[2].endswith(b"}"):
        piece = connection.recv(65_536)
        assert piece, found
        found += piece
    return found


def test_a_task_goes_from_submit_to_its_result(serve: Callable[..., Served], redis_url: str) -> None:
    served = serve()
    worker = subprocess.Popen(
        [sys.executable, "-m", "tq_worker", "--samples", "--url", redis_url, "--processes", "1"],
        stderr=subprocess.DEVNULL,
    )
    try:
        body = {"type": "simple", "data": "Hello", "priority": "high"}
        with served.http.stream("GET", "/v1/events") as events:
            lines = events.iter_lines()
            assert next(lines).startswith("retry:")
            task_id = served.http.post("/tasks/", json=body).json()["task_id"]
            assert any(task_id in line for line in lines)
        ended = served.http.get(f"/v1/tasks/{task_id}/result?timeout_s=20")
        assert (ended.status_code, ended.json()["result"]) == (200, "Completed: Hello")
        wait_until(lambda: _seen(served) == (1, 1), 20, "the worker and what it did to be seen")
        assert served.http.post("/api/v1/workers/stop/").status_code == 200
        wanted = served.http.post("/api/v1/workers", json={"name": "mine", "max_workers": 5, "poll_interval": 0.1})
        assert wanted.json()["details"]["processes"] == 2
        assert served.http.get("/tasks/x", headers={"Connection": "close"}).status_code == 404
    finally:
        worker.terminate()
        worker.wait(20)


def _seen(served: Served) -> tuple[int, int]:
    told = served.http.get("/health").json()
    return told["workers"], told["completed_tasks"]


def test_stopping_lets_requests_end_and_streams_go(serve: Callable[..., Served], redis_url: str) -> None:
    served = serve()
    queue = QueueDriver(redis_url, queue="default", has_clock=False)
    task_id = queue.put_one()
    with served.connect() as slow, served.connect() as waiting, served.connect() as idle:
        idle.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in answer_on(idle)
        body = b'{"type": "t", "data": 1}'
        head = f"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        slow.sendall(head + body[:5])
        waiting.sendall(f"GET /v1/tasks/{task_id}/result HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_until(lambda: bool(queue.raw.exists(queue.key("waiters"))), 10, "the wait to begin")
        served.process.send_signal(signal.SIGTERM)
        assert answer_on(waiting).startswith(b"HTTP/1.1 202")
        assert idle.recv(4096) == b""
        slow.sendall(body[5:])
        assert answer_on(slow).startswith(b"HTTP/1.1 201")
        _, said = served.process.communicate(timeout=20)
    assert (served.process.returncode, "has stopped" in said, "Traceback" in said) == (0, True, False), said
    assert queue.depths() == {"pending": 2}
    queue.close()


def test_slow_and_broken_clients_cost_only_themselves(
    serve: Callable[..., Served], redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import sys, dataclasses; from tq_console.gateway import settings; "
        "of = settings.settings_of; settings.settings_of = lambda *a, **k: "
        "dataclasses.replace(of(*a, **k), head_timeout_s=0.3, body_timeout_s=0.3, send_timeout_s=0.3); "
        "from tq_console.cli.main import main; main()"
    )
    monkeypatch.setattr(Tq, "command", staticmethod(lambda *words: [sys.executable, "-c", program, *words]))
    served = serve()
    head = b"POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
    with served.connect() as nothing, served.connect() as half, served.connect() as slow, served.connect() as kept:
        half.sendall(b"GET /livez HT")
        slow.sendall(head + b"\r\n{")
        kept.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in answer_on(kept)
        kept.sendall(b"GET /li")
        assert nothing.recv(100) == b""
        assert half.recv(100) == b""
        assert kept.recv(100) == b""
        answer = answer_on(slow)
        assert answer.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in answer
    for bad in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5, 6\r\n\r\n",
        b"\n" * 1000,
    ):
        with served.connect() as broken:
            broken.sendall(bad)
            broken.shutdown(socket.SHUT_WR)
            while broken.recv(65536):
                pass
    queue = QueueDriver(redis_url, queue="default", has_clock=False)
    queue.put(*[producer.new_task("t", {"data": "x" * 4000})] * 500)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", served.port))
        for _ in range(8):  # more than all buffers between hold
            deaf.sendall(b"GET /tasks?limit=500 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: connections_of(served) == 1, 20, "the connection to be cut")  # that of served.http
    queue.close()
    assert served.http.get("/livez").status_code == 200
    code, said = served.stop()
    assert (code, "Traceback" in said) == (0, False), said


def test_an_address_that_is_taken_or_an_extra_that_is_missing_is_one_line(
    tq: Tq, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = tq("gateway", "--url", redis_url, "--port", str(taken.getsockname()[1]))
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "cannot listen" in ran.err
    ran = tq("gateway", "--url", "http://127.0.0.1:1")
    assert (ran.code, "is a gateway itself" in ran.err) == (5, True)
    monkeypatch.setattr(command, "EXTRA", ("fastapi", "no_such_module"))
    ran = tq("gateway", "--url", redis_url)
    assert (ran.code, ran.err.count("\n")) == (5, 1)
    assert "needs no_such_module" in ran.err
    assert "pip install 'tq-console[gateway]'" in ran.err


def test_keys_are_made_by_a_command(tq: Tq, serve: Callable[..., Served], tmp_path: Path) -> None:
    file = str(tmp_path / "keys")
    key = tq.ok("gateway", "new-key", "web", "--keys", file).lines[0]
    assert tq("gateway", "new-key", "web", "--keys", file).code == 2
    assert tq("gateway", "new-key", "a/b", "--keys", file).code == 2
    served = serve("--keys", file)
    assert served.http.get("/tasks").status_code == 401
    task = {"type": "t", "data": 1}
    assert served.http.post("/tasks", json=task).status_code == 401
    answer = served.http.post("/tasks", json=task, headers={"X-API-Key": key})
    assert answer.status_code == 201
    shown = served.http.get(f"/v1/tasks/{answer.json()['task_id']}", headers={"Authorization": f"Bearer {key}"})
    assert shown.json()["submitted_by"] == "web@127.0.0.1"
    code, said = served.stop()
    assert (code, key in said) == (0, False)


def test_a_context_may_forbid_writes_until_somebody_says_why(
    redis_url: str, own_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_environment / "config" / "tq"
    folder.mkdir()
    contexts = {"plain": "", "reading": "read_only = true", "guarded": "protected = true"}
    lines = [f'[contexts.{name}]\nurl = "{redis_url}"\n{word}\n' for name, word in contexts.items()]
    (folder / "config.toml").write_text("\n".join(lines))

    def refusal(name: str) -> str:
        with contextlib.closing(Invocation()) as invocation:
            invocation.context = name
            return command._refusal(invocation)

    assert refusal("plain") == ""
    assert "read_only" in refusal("reading")
    assert "--unlock" in refusal("guarded")
    monkeypatch.setenv("TQ_UNLOCK", "deploy 7")
    assert refusal("guarded") == ""
    queue = QueueDriver(redis_url, queue="default", has_clock=False)
    assert [(each.action, each.detail["why"]) for each in queue.run(operator.audit_log())] == [("unlock", "deploy 7")]
    queue.close()
