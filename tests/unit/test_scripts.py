"""The script loader: parts put in once, comments left out, digests that Redis agrees with."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import fakeredis
import pytest

import tq_core
from tq_core.keyspace import script_loader

FOLDER = Path(tq_core.__file__).parent / "keyspace" / "scripts"


def test_every_script_in_the_folder_is_known_and_no_part_is() -> None:
    assert script_loader.script_names() == sorted(p.stem for p in FOLDER.glob("*.lua"))
    assert "prelude" not in script_loader.script_names()


@pytest.mark.parametrize("name", script_loader.script_names())
def test_what_is_sent_is_the_script_without_comments_and_with_its_parts(name: str) -> None:
    source = script_loader.source(name)

    assert source.sha == hashlib.sha1(source.text.encode()).hexdigest()
    assert "@include" not in source.text
    assert not [line for line in source.text.splitlines() if line.startswith("--") or not line or line != line.strip()]
    assert source.text.isascii()
    assert source is script_loader.source(name)


@pytest.mark.parametrize("name", script_loader.script_names())
def test_each_part_is_put_in_once(name: str) -> None:
    functions = re.findall(r"^local function (\w+)", script_loader.load_source(name), re.MULTILINE)

    assert len(functions) == len(set(functions))


@pytest.mark.parametrize("name", script_loader.script_names())
def test_the_server_gives_a_script_the_same_digest(name: str) -> None:
    source = script_loader.source(name)
    with fakeredis.FakeRedis(version=(6, 2)) as client:
        assert client.script_load(source.text) in {source.sha, source.sha.encode()}


def test_an_unknown_script_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        script_loader.load_source("nothing")


def test_every_script_is_used_and_every_used_script_is_there() -> None:
    code = "".join(p.read_text("utf-8") for p in FOLDER.parents[1].rglob("*.py"))
    used = set(re.findall(r'Script\(\s*"(\w+)"', code))

    assert used == set(script_loader.script_names())


def test_every_part_is_used() -> None:
    included = set(
        re.findall(r"^--@include (\w+)", "".join(p.read_text() for p in FOLDER.rglob("*.lua")), re.MULTILINE)
    )

    assert included == {p.stem for p in (FOLDER / "includes").glob("*.lua")}
