"""`tq alerts`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from tests.cli.conftest import Tq
from tests.queue_driver import QueueDriver

RULES = """
[[alerts]]
when = "depth(mail) > 2"
name = "mail piles up"

[[alerts]]
when = "workers(mail) < 1 for 30s"

[[alerts]]
when = "oldest(none) > 1s"
"""


def write_config(text: str) -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "tq" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_rules_are_checked_those_of_the_file_and_those_given(tq: Tq) -> None:
    assert "no alert" in tq.ok("alerts", "check").err
    write_config(RULES)
    assert tq.ok("alerts", "check").lines[1].startswith("depth(mail) > 2")
    assert tq.ok("config", "check").out == ""
    ran = tq("alerts", "check", "dlq > 1", "dlq ! 1")
    assert ran.code == 1
    assert "at character 5" in ran.err
    assert len(tq("alerts", "check", "dlq > 1", "dlq ! 1", "--json").records) == 2

    write_config(RULES + '[[alerts]]\nwhen = "dlq >"\nbel = true\n')
    ran = tq("alerts", "check")
    assert ran.code == 1
    assert "number 4: 'dlq >', at character 6" in ran.err
    assert "number 4: 'dlq >', at character 6" in tq("config", "check").out


def test_each_rule_is_measured_once(tq: Tq, mail: QueueDriver) -> None:
    write_config(RULES)
    mail.put_many(2)
    assert [r["is_met"] for r in tq("alerts", "list", "--json").records] == [False, True, False]
    mail.put_one()
    ran = tq("alerts", "list")
    assert ran.code == 1
    assert [line.split()[0] for line in ran.lines[1:]] == ["firing", "met", "unknown"]
    assert "mail piles up" in ran.out
    write_config("[[alerts]]\nwhen = 5\n")
    assert tq("alerts", "list").code == 2
    write_config("")
    assert tq.ok("alerts", "list").out == ""
    assert tq("alerts", "watch").code == 5


def test_watching_prints_what_fires_until_ctrl_c(tq: Tq, mail: QueueDriver) -> None:
    write_config(RULES)
    watching = subprocess.Popen(
        tq.command("alerts", "watch", "--every", "100ms", "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watching.stdout is not None
    assert watching.stderr is not None
    try:
        assert "watching 3 alerts" in watching.stderr.readline()
        mail.put_many(3)
        event = json.loads(watching.stdout.readline())
        assert (event["event"], event["name"], event["value"]) == ("fired", "mail piles up", 3.0)
        watching.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=10)
        assert (watching.returncode, out, err) == (130, "", "tq: interrupted\n")
    finally:
        watching.kill()
        watching.wait()
