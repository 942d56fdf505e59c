"""What the commands for the configuration file do to it, and what they find in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cli.conftest import Tq
from tq_console.tui.wiring.keymap import usable
from tq_console.view.preferences import needs_ascii
from tq_console.view.toml_text import with_value, without
from tq_core.credentials import opened_url
from tq_core.errors import BrokerConfigError, InvalidInputError
from tq_core.settings import resolve_broker

MINE = """\
# mine
theme = "dark"   # at night

[contexts.a]   # the first
url = "redis://a"
# about b
[contexts.b]
url = "redis://b"   # a # in it
password_command = [
  "pass",   # a store
]

# the keys
[keys]
"tasks.retry" = "r"
"""


def config_file() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"]) / "tq" / "config.toml"


def test_one_value_changes_and_all_else_stays_as_it_was_written() -> None:
    assert with_value(MINE, ("theme",), "light") == MINE.replace('"dark"', '"light"')
    assert with_value(MINE, ("contexts", "b", "url"), "redis://c") == MINE.replace("redis://b", "redis://c")
    added = 'url = "redis://a"\nprotected = true\n'
    assert with_value(MINE, ("contexts", "a", "protected"), True) == MINE.replace('url = "redis://a"\n', added)
    assert with_value(MINE, ("keys", "app.copy"), "f5") == MINE + '"app.copy" = "f5"\n'
    assert with_value(MINE, ("contexts", "b", "password_command"), ["x", 'y "z"']).count("a store") == 0
    assert "about b" not in without(MINE, ("contexts", "b"))
    assert without(MINE, ("keys", "tasks.retry")) == MINE.removesuffix('"tasks.retry" = "r"\n')
    for text, path in (("a = {b = 1}\n", ("a", "b")), ("[[a]]\nb = 1\n", ("a", "b")), (MINE, ("theme", "x"))):
        with pytest.raises(InvalidInputError):
            with_value(text, path, 2)


def test_contexts_are_added_checked_changed_and_removed(tq: Tq, own_environment: Path) -> None:
    assert tq.ok("config", "path").lines == [str(config_file())]
    tq.ok("config", "check")
    secret = own_environment / "secret"
    secret.write_text("p@ss/word\nnot this\n")
    secret.chmod(0o600)
    tq.ok("config", "add", "prod", "--url", "redis://u@h:1/0", "--protected", "--color", "red", "--use",
          "--password-file", str(secret))  # fmt: skip
    assert config_file().stat().st_mode & 0o077 == 0
    assert tq.ok("config", "show", "--json").record["context"] == "prod"
    address = resolve_broker()
    assert opened_url(address) == "redis://u:p%40ss%2Fword@h:1/0"
    assert "ss" not in address.display_url.removeprefix("redis")
    tq.ok("config", "check")
    secret.chmod(0o644)
    ran = tq("config", "check")
    assert (ran.code, "chmod 600" in ran.out) == (1, True)
    for words in (
        ("add", "prod", "--url", "redis://h"),
        ("add", "x", "--url", "http+x://h"),
        ("add", "x", "--url", "redis://h", "--color", "reddish"),
        ("set", "contexts.nope.url", "redis://h"),
        ("set", "contexts.prod.protected", "yes"),
        ("set", "theme", "dar"),
        ("set", "colour", "red"),
        ("remove", "nope"),
    ):
        before = config_file().read_text()
        assert tq("config", *words).code in (2, 3, 4), words
        assert config_file().read_text() == before, words
    tq.ok("config", "set", "contexts.prod.read_only", "true")
    tq.ok("config", "set", "theme", "light")
    assert tq("config", "add", "lab", "--url", "redis://u:hunter2@h").err.count("--password-file") == 1
    tq.ok("config", "remove", "prod")
    assert config_file().read_text() == 'theme = "light"\n\n[contexts.lab]\nurl = "redis://u:hunter2@h"\n'
    config_file().write_text('teme = "dark"\nascii = 1\ncontext = "x"\n[contexts.y]\nurl = "a:b"\ncolour = "red"\n')
    found = tq("config", "check", "--json")
    problems = " ".join(each["problem"] for each in found.records)
    for word in ("did you mean theme", "ascii = 1", "context = 'x'", "did you mean color", "[contexts.y]"):
        assert word in problems
    assert found.code == 1


def test_a_password_that_cannot_be_had_is_said_without_it(tq: Tq) -> None:
    config_file().parent.mkdir()
    for command, why in (
        ('["sh", "-c", "echo locked >&2; exit 3"]', "locked"),
        ('["no-such-program"]', "cannot be run"),
    ):
        config_file().write_text(f'context = "a"\n[contexts.a]\nurl = "redis://h"\npassword_command = {command}\n')
        with pytest.raises(BrokerConfigError, match=why):
            opened_url(resolve_broker())
        assert why in tq("stats").err
    config_file().write_text(
        'context = "a"\n[contexts.a]\nurl = "rediss+sentinel://u@h:1,i:2/m"\npassword_command = ["echo", "pw"]\n'
    )
    assert opened_url(resolve_broker()) == "rediss+sentinel://u:pw@h:1,i:2/m"


def test_keys_are_listed_with_their_ids_and_changed_where_they_are_free(tq: Tq) -> None:
    tq.ok("config", "set", "keys.tasks.retry", "ctrl+y")
    keys = {record["id"]: record for record in tq.ok("config", "keys", "--json").records}
    assert keys["tasks.retry"]["keys"] == ["ctrl+y"]
    assert [name for name, record in keys.items() if record["is_changed"]] == ["tasks.retry"]
    assert all(record["text"] and record["keys"] for record in keys.values())
    for name, key, why in (
        ("tasks.retri", "x", "did you mean tasks.retry"),
        ("tasks.retry", "c", "app.copy"),
        ("queues.pause", "n", "queues.new"),
        ("app.freeze", "ctrl+i", "the same for tab"),
        ("app.freeze", "ctl+f", "no such modifier"),
        ("app.freeze", "foo9", "no such key"),
    ):
        ran = tq("config", "set", f"keys.{name}", key)
        assert (ran.code, why in ran.err) == (2, True), ran
    assert usable({"a": "ctl+x", "b": "ctrl+y, f5", "c": ",", "d": "\x1b"}) == {"b": "ctrl+y, f5"}
    config_file().write_text('[keys]\n"tasks.retry" = "c"\n')
    assert "app.copy" in tq("config", "check").out


@pytest.mark.parametrize(
    ("environ", "is_needed"),
    [
        ({}, False),
        ({"LANG": "en_US.UTF-8"}, False),
        ({"LC_ALL": "C.utf8", "LANG": "C"}, False),
        ({"TQ_ASCII": "1", "LANG": "en_US.UTF-8"}, True),
        ({"TQ_ASCII": "0", "LC_ALL": "de_DE.ISO-8859-1"}, False),
    ],
)
def test_ascii_is_drawn_where_it_is_asked_for(environ: dict[str, str], is_needed: bool) -> None:
    assert needs_ascii(environ) is is_needed
