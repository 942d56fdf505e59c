"""Who may do what, from where, with which key; and how much of it."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.gateway.conftest import ELSEWHERE, HERE, Gateway
from tq_console.gateway import keys
from tq_console.gateway.keys import KeyRing, KeyRole, add_key
from tq_console.gateway.rates import Rates
from tq_console.gateway.settings import settings_of
from tq_core.errors import InvalidInputError

READ, WRITE, CLEAR = ("GET", "/tasks"), ("POST", "/tasks"), ("DELETE", "/api/v1/queue/clear")
TASK = {"type": "t", "data": 1}


IN_CONTAINER = {"host": "0.0.0.0", "is_open": True, "hosts": frozenset({"gateway"})}


async def status(gateway: Gateway, request: tuple[str, str], remote: str = HERE, **headers: str) -> int:
    async with gateway.client(remote) as http:
        answer = await http.request(
            *request,
            json=TASK if request == WRITE else None,
            headers={k.replace("_", "-"): v for k, v in headers.items()},
        )
    for name in ("x-content-type-options", "content-security-policy", "x-frame-options", "referrer-policy"):
        assert name in answer.headers
    if answer.is_error:
        assert answer.json()["error"]
    if answer.status_code == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    return answer.status_code


@pytest.mark.parametrize(
    ("settings", "remote", "headers", "read", "write", "clear"),
    [
        # without a key: this machine may do everything, others may look
        ({}, HERE, {}, 200, 201, 200),
        ({}, "::1", {}, 200, 201, 200),
        ({}, "::ffff:127.0.0.1", {}, 200, 201, 200),
        ({}, ELSEWHERE, {}, 200, 401, 401),
        ({}, "", {}, 200, 401, 401),
        ({"is_open": True}, ELSEWHERE, {}, 200, 201, 403),
        # what a proxy or a browser's page brings is not this machine
        ({}, HERE, {"X_Forwarded_For": ELSEWHERE}, 200, 401, 401),
        ({}, HERE, {"Forwarded": "for=192.0.2.7"}, 200, 401, 401),
        ({}, HERE, {"Host": "evil.example"}, 403, 403, 403),
        ({"host": "0.0.0.0"}, HERE, {"Host": "gateway:8000"}, 200, 401, 401),
        ({"api_key": "s3cret"}, HERE, {"Host": "evil.example", "X_API_Key": "s3cret"}, 200, 201, 200),
        ({"hosts": frozenset({"tq.example"})}, HERE, {"Host": "tq.example"}, 200, 201, 200),
        ({}, HERE, {"Host": "127.0.0.1:8000"}, 200, 201, 200),
        ({}, HERE, {"Host": "[::1]:8000"}, 200, 201, 200),
        ({}, HERE, {"Origin": "https://evil.example"}, 200, 403, 403),
        ({}, HERE, {"Origin": "null"}, 200, 403, 403),
        ({}, HERE, {"Origin": "http://localhost:8000"}, 200, 201, 200),
        ({}, HERE, {"Sec_Fetch_Site": "cross-site"}, 200, 403, 403),
        ({"is_open": True}, ELSEWHERE, {"Origin": "https://evil.example"}, 200, 403, 403),
        # one that is open in a container, and was told its names: by them and by addresses, not by a name pointed there
        (IN_CONTAINER, ELSEWHERE, {"Host": "localhost:8000"}, 200, 201, 403),
        (IN_CONTAINER, ELSEWHERE, {"Host": "gateway:8000"}, 200, 201, 403),
        (IN_CONTAINER, ELSEWHERE, {"Host": "172.18.0.5:8000"}, 200, 201, 403),
        (IN_CONTAINER, ELSEWHERE, {"Host": "evil.example:8000", "Origin": "http://evil.example:8000"}, 403, 403, 403),
        # API_KEY: writes need it, also here; reads do not
        ({"api_key": "s3cret"}, HERE, {}, 200, 401, 401),
        ({"api_key": "s3cret", "is_open": True}, ELSEWHERE, {}, 200, 401, 401),
        ({"api_key": "s3cret"}, ELSEWHERE, {"X_API_Key": "s3cret"}, 200, 201, 200),
        ({"api_key": "s3cret"}, ELSEWHERE, {"Authorization": "Bearer s3cret"}, 200, 201, 200),
        ({"api_key": "s3cret"}, HERE, {"X_API_Key": "s3cre"}, 401, 401, 401),
        ({"api_key": "s3cret"}, HERE, {"Authorization": "Basic s3cret"}, 200, 401, 401),
        ({}, HERE, {"X_API_Key": "anything"}, 200, 201, 200),
    ],
)
async def test_who_may_do_what(
    new_gateway: Callable[..., Gateway],
    settings: dict[str, object],
    remote: str,
    headers: dict[str, str],
    read: int,
    write: int,
    clear: int,
) -> None:
    gateway = new_gateway(**settings)
    found = [await status(gateway, request, remote, **headers) for request in (READ, WRITE, CLEAR)]
    assert found == [read, write, clear]
    if write >= 400:
        assert gateway.depths() == {}
    assert await status(gateway, ("GET", "/health"), remote) == 200


async def test_keys_of_a_file_have_roles_and_names(new_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    file = tmp_path / "keys"
    shown = {role: add_key(file, role.word, role) for role in KeyRole}
    assert not any(key in file.read_text() for key in shown.values())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    gateway = new_gateway(key_file=file)

    for role, expected in (
        (KeyRole.VIEWER, [200, 403, 403]),
        (KeyRole.OPERATOR, [200, 201, 403]),
        (KeyRole.ADMIN, [200, 201, 200]),
    ):
        found = [await status(gateway, each, ELSEWHERE, X_API_Key=shown[role]) for each in (READ, WRITE, CLEAR)]
        assert found == expected, role
    assert [await status(gateway, each) for each in (READ, WRITE, ("GET", "/metrics"))] == [401] * 3
    assert [await status(gateway, ("GET", path)) for path in ("/livez", "/docs", "/openapi.json")] == [200] * 3
    reveal = ("GET", "/v1/tasks/x@default?reveal=true")
    assert await status(gateway, reveal, X_API_Key=shown[KeyRole.ADMIN]) == 404
    assert gateway.audit()[0] == (f"admin@{ELSEWHERE}", "purge")


async def test_a_key_comes_and_goes_while_the_gateway_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "LOOK_AGAIN_S", 0.0)
    file = tmp_path / "keys"
    first = add_key(file, "first", KeyRole.VIEWER)
    file.write_text(file.read_text().rstrip("\n"))  # as an editor may leave it
    ring = KeyRing(file=file)
    second = add_key(file, "second", KeyRole.ADMIN, 5)
    found = ring.find(second)
    assert found is not None
    assert (found.name, found.role, found.rate_per_s) == ("second", KeyRole.ADMIN, 5)
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "first" not in line))
    assert ring.find(first) is None
    file.write_text(f"{file.read_text()}half a li")
    assert ring.find(second) == found
    file.unlink()
    assert ring.find(second) == found
    assert ring.find("") is None
    assert ring.find("\udcff") is None
    with pytest.raises(InvalidInputError, match="there is a key"):
        add_key(tmp_path / "other", "x", KeyRole.VIEWER) and add_key(tmp_path / "other", "x", KeyRole.VIEWER)


@pytest.mark.parametrize(
    "text",
    [
        "name viewer",
        "name boss sha256:" + "0" * 64,
        "name viewer sha256:" + "0" * 63,
        "name viewer md5:" + "0" * 64,
        "na/me viewer sha256:" + "0" * 64,
        "name viewer sha256:" + "0" * 64 + " fast",
        "name viewer sha256:" + "0" * 64 + " -1",
        "api-key viewer sha256:" + "0" * 64,
        ("name viewer sha256:" + "0" * 64 + "\n") * 2,
    ],
)
def test_a_key_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=r"line [12] of the key file"):
        KeyRing(file=file)
    file.write_text("")
    Path(file).chmod(0o666)
    with pytest.raises(InvalidInputError, match="others may write"):
        KeyRing(file=file)


async def test_who_asks_too_often_is_told_to_wait(new_gateway: Callable[..., Gateway]) -> None:
    gateway = new_gateway(api_key="s3cret", rate_per_s=0.02)
    assert [await status(gateway, READ, ELSEWHERE) for _ in range(2)] == [200, 429]
    assert await status(gateway, READ, HERE) == 200
    assert [await status(gateway, WRITE, ELSEWHERE, X_API_Key="s3cret") for _ in range(2)] == [201, 429]
    assert await status(gateway, WRITE, HERE, X_API_Key="s3cret") == 429  # it is the key that counts
    async with gateway.client() as http:
        answer = await http.post("/tasks", json=TASK, headers={"X-API-Key": "s3cret"})
        assert int(answer.headers["retry-after"]) >= 1
    guesses = [await status(gateway, READ, ELSEWHERE, X_API_Key=f"guess {n}") for n in range(40)]
    assert set(guesses[:30]) == {401}
    assert guesses[-1] == 429
    assert gateway.depths() == {"pending": 1}


def test_buckets_fill_with_time_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    rates = Rates(lambda: now)
    assert [rates.wait_s("a", 10) for _ in range(10)] == [0.0] * 10
    assert rates.wait_s("a", 10) == pytest.approx(0.1)
    assert rates.wait_s("b", 0.5) == 0.0
    now = 0.1
    assert rates.wait_s("a", 10) == 0.0
    assert rates.wait_s("a", 10) > 0
    monkeypatch.setattr("tq_console.gateway.rates.MAX_BUCKETS", 5)
    for n in range(20):
        rates.wait_s(f"n{n}", 1)
    assert len(rates._full_at) <= 7


async def test_a_body_that_is_too_large_is_not_read(new_gateway: Callable[..., Gateway]) -> None:
    gateway = new_gateway(max_body_bytes=2000)
    http = gateway.client()
    read = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(100):
            read += 1
            yield b"x" * 500

    for content in (b"x" * 2001, pieces()):
        answer = await http.post("/tasks", content=content)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    assert read <= 6
    assert (await http.post("/v1/tasks", content=b"x", headers={"Content-Length": "x"})).status_code == 413
    other = new_gateway()
    large = {"type": "t", "data": "x" * (1024 * 1024 + 1)}
    answer = await other.client().post("/tasks", json=large)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (413, "data")
    assert (gateway.depths(), other.depths()) == ({}, {})


def test_settings_come_from_the_command_line_then_from_the_environment(tmp_path: Path) -> None:
    environ = {"PORT": "5001", "API_KEY": "k", "TQ_GATEWAY_OPEN": "1", "TQ_GATEWAY_RATE": "5"}
    found = settings_of({**environ, "TQ_GATEWAY_KEYS": str(tmp_path)})
    assert (found.host, found.port, found.api_key, found.is_open, found.rate_per_s, found.key_file) == (
        *("127.0.0.1", 5001, "k", True, 5, tmp_path),
    )
    assert settings_of(environ, port=80, rate_per_s=1, host="::").port == 80
    assert settings_of({}).port == 8000
    for name, value in (("PORT", "x"), ("PORT", "0"), ("TQ_GATEWAY_OPEN", "yes"), ("TQ_GATEWAY_RATE", "nan")):
        with pytest.raises(InvalidInputError, match=name):
            settings_of({name: value})
