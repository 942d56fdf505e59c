"""fakeredis inside the process."""

from __future__ import annotations

import subprocess
import sys
import uuid

import pytest

from tests.broker.processes_of_test import ROOT
from tq_core.broker.memory import async_memory_client, forget_memory_server, memory_client, memory_server
from tq_core.errors import InvalidInputError


@pytest.fixture
def name() -> str:
    return uuid.uuid4().hex


def test_the_same_name_is_the_same_server(name: str) -> None:
    assert memory_server(name) is memory_server(name)
    assert memory_server(name) is not memory_server("another")


async def test_clients_of_one_name_see_the_same_keys(name: str) -> None:
    with memory_client(name) as client:
        client.set("key", "value")
    async with async_memory_client(name, decode_responses=True) as client_of_loop:
        assert await client_of_loop.get("key") == "value"


def test_scripts_run_and_the_server_acts_like_the_floor(name: str) -> None:
    with memory_client(name) as client:
        assert client.eval("return redis.call('incrby', KEYS[1], ARGV[1])", 1, "key", 2) == 2
    assert memory_server(name).version == (6, 2)
    assert memory_server("newer", version=(7, 0)).version == (7, 0)


def test_a_forgotten_server_is_made_anew(name: str) -> None:
    with memory_client(name) as client:
        client.set("key", "value")
    forget_memory_server(name)
    with memory_client(name) as client:
        assert client.get("key") is None


def test_a_name_that_could_be_anything_else_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="broker name"):
        memory_server("No Such Name")


@pytest.mark.parametrize("missing", ["fakeredis", "lupa"])
def test_without_fakeredis_or_lua_the_message_says_how_to_get_it(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from tq_core.broker.memory import memory_server\n"
        "from tq_core.errors import BrokerConfigError\n"
        "try: memory_server()\n"
        "except BrokerConfigError as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pip install 'tq-console[embedded]'" in done.stdout
