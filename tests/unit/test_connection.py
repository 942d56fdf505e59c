"""What errors of redis-py mean: sent again, given up, and in which words."""

from __future__ import annotations

import pytest
import redis.exceptions as redis_errors

from tq_core.errors import BrokerError, BrokerRefusedError, BrokerTooOldError, BrokerUnreachableError
from tq_core.transport import connection

LOST = [redis_errors.ConnectionError("gone"), redis_errors.TimeoutError("slow"), ConnectionResetError(), OSError("x")]


@pytest.mark.parametrize("error", LOST, ids=repr)
def test_a_broken_connection_is_lost_and_unreachable(error: Exception) -> None:
    assert connection.is_connection_lost(error)
    assert not connection.is_transient(error)
    assert isinstance(connection.translate(error, "x"), BrokerUnreachableError)


@pytest.mark.parametrize(
    ("text", "url", "cure"),
    [
        ("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate", "rediss://h:1", "?ssl_ca_certs=FILE"),
        ("Timeout connecting to server", "rediss://h:1", "does it speak TLS"),
        ("Error 2 connecting to h:1. No such file or directory.", "rediss://h:1?ssl_ca_certs=f", "are the files there"),
        ("Connection closed by server.", "redis://h:1", "write rediss://"),
        ("Connection refused.", "redis://h:1", "is Redis running there?"),
    ],
)
def test_what_to_do_fits_what_happened(text: str, url: str, cure: str) -> None:
    error = connection.translate(redis_errors.ConnectionError(text), url)

    assert error.message.startswith(f"no usable connection to {url} ({text}): ")
    assert cure in error.message


def test_a_wrong_password_is_no_lost_connection() -> None:
    error = redis_errors.AuthenticationError("invalid username-password pair or user is disabled.")

    assert not connection.is_connection_lost(error)
    assert not connection.is_transient(error)
    assert isinstance(connection.translate(error, "x"), BrokerRefusedError)


@pytest.mark.parametrize("text", ["WRONGTYPE Operation against a key", "ERR unknown", "BUSYGROUP exists", ""])
def test_an_answer_that_is_nothing_special_is_an_error_with_its_text(text: str) -> None:
    error = redis_errors.ResponseError(text)

    assert not connection.is_transient(error)
    assert not connection.is_connection_lost(error)
    found = connection.translate(error, "the-broker")
    assert type(found) is BrokerError
    assert "the-broker answered with an error" in str(found)
    assert text in str(found)


def test_the_error_within_an_error_of_a_script_counts() -> None:
    text = "Error running script (call to f_ab): @user_script:4: @user_script: 4: -LOADING Redis is loading"
    assert connection.reply_of(redis_errors.ResponseError(text)) == "LOADING Redis is loading"
    assert connection.is_transient(redis_errors.ResponseError(text))
    assert not connection.is_transient(redis_errors.ResponseError("Error running script: attempt to index nil"))


def test_a_code_is_said_once() -> None:
    assert connection.reply_of(redis_errors.ReadOnlyError("You can't write")) == "READONLY You can't write"
    assert connection.reply_of(redis_errors.ReadOnlyError("READONLY x")) == "READONLY x"
    assert connection.reply_of(ConnectionResetError()) == "ConnectionResetError"


@pytest.mark.parametrize(
    ("version", "is_old"),
    [
        ("6.2.0", False),
        ("6.2.14", False),
        ("7.0.15", False),
        ("10.0", False),
        ("6.0.9", True),
        ("5.2", True),
        ("2.8", True),
    ],
)
def test_versions_are_compared_by_number(version: str, is_old: bool) -> None:
    if is_old:
        with pytest.raises(BrokerTooOldError, match="upgrade the server"):
            connection.check_version({"redis_version": version}, "x")
    else:
        connection.check_version({"redis_version": version}, "x")


@pytest.mark.parametrize("info", [{}, {"redis_version": "unstable"}, {"redis_version": ""}, {"redis_version": "7"}])
def test_a_server_that_tells_no_version_is_accepted(info: dict[str, str]) -> None:
    connection.check_version(info, "x")


def test_a_password_that_is_refused_while_connecting_is_told_as_such() -> None:
    wrapped = redis_errors.ConnectionError("Error connecting")
    wrapped.__cause__ = redis_errors.AuthenticationError("WRONGPASS invalid username-password pair")
    assert not connection.is_connection_lost(wrapped)
    assert "does not accept this user and password" in connection.translate(wrapped, "redis://x").message
