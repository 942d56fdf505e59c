"""What is secret is masked in every output, and revealing it is written down."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver
from tq_console.view.secrets import Masker

SECRET = "hunter2"
ARGS = {
    "user": "ana",
    "password": SECRET,
    "headers": [{"Authorization": f"Bearer {SECRET}", "x-api-key": SECRET}],
    "refreshToken": {"value": SECRET},
    "url": f"https://ana:{SECRET}@example.org/x",
    "max_tokens": 5,
}


@pytest.fixture
def failed_id(mail: QueueDriver) -> str:
    """A failed task with secrets in its arguments, in its error and in its history."""
    task_id = mail.put_one(ARGS)
    detail = {"type": "E", "message": f"no route to redis://x:{SECRET}@h", "token": SECRET}
    mail.fail(mail.take_one(), verdict="fatal", reason="fatal", detail=detail)
    return task_id


OUTPUTS = (
    ["tasks", "list"],
    ["tasks", "list", "--json"],
    ["tasks", "show", "ID"],
    ["tasks", "show", "ID", "--json"],
    ["tasks", "wait", "ID"],
    ["tasks", "wait", "ID", "--json"],
    ["dlq", "list"],
    ["dlq", "list", "--json"],
    ["dlq", "groups"],
    ["dlq", "groups", "--json"],
    ["dlq", "show", "ID"],
    ["dlq", "export"],
    ["events"],
    ["audit", "--log"],
    ["stats", "--json"],
)


@pytest.mark.parametrize("words", OUTPUTS, ids=" ".join)
def test_no_output_shows_a_secret(tq: Tq, failed_id: str, words: list[str]) -> None:
    ran = tq(*(failed_id if word == "ID" else word for word in words))
    assert ran.code in {0, 1}
    assert SECRET not in ran.out + ran.err


def test_what_was_submitted_comes_back_masked(tq: Tq, mail: QueueDriver) -> None:
    ran = tq.ok("submit", "t", "--queue", "mail", "--data", json.dumps(ARGS), "--json")
    assert SECRET not in ran.out + ran.err
    assert ran.record["args"]["password"] == "***"
    assert mail.view(ran.record["id"]).args == ARGS


def test_a_result_is_masked_too(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    mail.complete(mail.take_one(), result=json.dumps({"token": SECRET, "n": 1}).encode())
    assert tq.ok("tasks", "wait", task_id).out == '{"token":"***","n":1}\n'


def test_revealing_shows_everything_and_is_written_down_first(tq: Tq, failed_id: str) -> None:
    assert tq.ok("tasks", "show", failed_id, "--reveal", "--json").record["args"] == ARGS
    assert SECRET in tq.ok("dlq", "export", "--reveal").out
    log = tq.ok("audit", "--log", "--json").records
    assert [(entry["by"], entry["action"]) for entry in log] == [("ana@desk", "reveal"), ("ana@desk", "reveal")]
    assert [entry["detail"]["tasks"] for entry in log] == [1, 1]


def test_looking_without_revealing_is_not_written_down(tq: Tq, failed_id: str) -> None:
    tq.ok("tasks", "show", failed_id)
    assert tq.ok("audit", "--log", "--json").out == ""


def test_more_names_can_be_made_secret(tq: Tq, mail: QueueDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQ_SECRET_NAMES", "iban, patient_name")
    mail.put_one({"customer_iban": "DE00", "patientName": "Ana", "city": "Rome"})
    args = tq.ok("tasks", "list", "--json").record["args"]
    assert args == {"customer_iban": "***", "patientName": "***", "city": "Rome"}


def test_a_payload_that_is_no_object_is_only_described(tq: Tq, mail: QueueDriver) -> None:
    task_id = mail.put_one()
    body = mail.raw.hget(mail.key("bodies"), task_id)
    mail.raw.hset(mail.key("bodies"), task_id, body.removesuffix(b"{}") + f'{{"password": "{SECRET}'.encode())
    for words in (["tasks", "list"], ["tasks", "show", task_id], ["tasks", "list", "--json"]):
        assert SECRET not in tq.ok(*words).out
    assert "no JSON object" in tq.ok("tasks", "list").out


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "PASSWORD",
        "db_password",
        "userPasswd",
        "api_key",
        "apiKey",
        "X-Api-Key",
        "Authorization",
        "token",
        "access_token",
        "accessToken",
        "client_secret",
        "privateKey",
        "credentials",
        "cookie",
        "pin",
        "jwt",
    ],
)
def test_names_that_are_secret(name: str) -> None:
    assert Masker().is_secret(name)


@pytest.mark.parametrize(
    "name", ["max_tokens", "tokenizer", "author", "authority", "key", "monkey", "shipping", "opinion", "path", ""]
)
def test_names_that_are_not_secret(name: str) -> None:
    assert not Masker().is_secret(name)
