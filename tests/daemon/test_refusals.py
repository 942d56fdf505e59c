"""What cannot be run is said in one line, with what to do, and no Python traceback."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.daemon.site import CODE, Site
from tests.interrupting import interrupted_at
from tests.waiting import wait_until
from tq_core.keyspace import keys

DEAD = "redis://127.0.0.1:1/0"
QUEUE = "from tq_core import TaskQueue\ntq = TaskQueue()\n"


def refused(site: Site, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    node = site.run_node(*arguments, env=env)
    code = node.wait()
    assert "Traceback" not in node.log, node.log
    return code, node.log


@pytest.mark.parametrize(
    ("apps", "said"),
    [
        (["nowhere"], "there is no module 'nowhere'"),
        (["traced_tasks.py"], "'traced_tasks.py' names a file: say traced_tasks for the module"),
        (["two_queues"], "has 2 TaskQueues: say which, e.g. two_queues:first"),
        (["two_queues:third"], "has no 'third'; it has first, second"),
        (["two_queues:nothing"], "two_queues:nothing is no TaskQueue but int"),
        (["traced_tasks:"], "traced_tasks: names no object"),
        (["json"], "the module 'json' has no TaskQueue in it"),
    ],
)
def test_code_that_cannot_be_used_ends_the_node(site: Site, apps: list[str], said: str) -> None:
    code, log = refused(site, *apps, "--app-dir", str(CODE))

    assert code == 2, log
    assert said in log
    assert log.count("\n") == 1, log


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import no_such_thing\n", "ModuleNotFoundError: No module named 'no_such_thing' (FILE:1): install it for "),
        ("x = 1\n\nraise RuntimeError('first\\nsecond')\n", "RuntimeError: first (FILE:3)"),
        ("def f(:\n", "SyntaxError: "),
        ("raise RuntimeError('\\x9b31m')\n", "RuntimeError: \\x9b31m (FILE:1)"),
        ("import sys\nsys.exit(0)\n", "SystemExit: 0 (FILE:2)"),
        (f"{QUEUE}tq.task(7)\n", "7 cannot be a task's handler"),
        (f"{QUEUE}@tq.task\ndef f(*a): pass\n", "so *args cannot be filled: list them (FILE:3)"),
        (f"{QUEUE}@tq.task\ndef f(): pass\n@tq.task\ndef f(): pass\n", "is defined twice, by mine.f:3 and mine.f:5"),
    ],
)
def test_code_that_does_not_import_is_named_with_its_line(site: Site, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "mine.py"
    file.write_text(text)

    code, log = refused(site, "mine", "--app-dir", str(tmp_path))

    assert code == 2, log
    assert said.replace("FILE", str(file)) in log
    assert str(file) in log
    assert log.count("\n") == 1, log


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--cpu-affinity", "--processes", "256"], "256 processes cannot have a CPU each, this node may use"),
        (["--max-memory", "5"], "MiB with your code loaded and nothing done, and --max-memory is 5: give it more"),
    ],
)
def test_resources_that_cannot_be_had_end_the_node(site: Site, arguments: list[str], said: str) -> None:
    code, log = refused(site, "traced_tasks", "--app-dir", str(CODE), *arguments)

    assert code == 2, log
    assert said in log
    assert log.count("\n") == 1, log


def test_code_that_kills_its_process_ends_the_node(site: Site, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import os\nos.kill(os.getpid(), 9)\n")

    code, log = refused(site, "mine", "--app-dir", str(tmp_path), "--processes", "2")

    assert code == 1, log
    assert "the first worker was killed by SIGKILL while it loaded your code: see where with `python -X fault" in log
    assert log.count("\n") == 1, log


def test_a_result_that_is_no_json_fails_its_task_alone(site: Site, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        f"{QUEUE}@tq.task\ndef bad() -> object:\n    return object()\n@tq.task\ndef good() -> int:\n    return 7\n"
    )
    site.run_node("mine", "--app-dir", str(tmp_path), "--processes", "1")

    bad = site.ended(site.put_with({"max_attempts": 5}, "bad"))

    assert (bad.state, bad.attempt) == ("failed", 1)  # it has run: once more would change nothing
    wait_until(lambda: "its result (object) cannot be written as JSON" in site.logs(), 5.0, "the log to say why")
    assert site.ended(site.put("good")).result == 7


def test_the_working_directory_comes_first(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("from tq_core import TaskQueue\ntq = TaskQueue('memory://x')\n")
    monkeypatch.chdir(tmp_path)

    code, log = refused(site, "mine")

    assert code == 5, log
    assert "memory://x lives inside one process" in log


def test_a_broker_that_cannot_be_reached_is_named_without_its_password(site: Site) -> None:
    code, log = refused(site, "traced_tasks", "--app-dir", str(CODE), "--url", "redis://me:geheim@127.0.0.1:1/0")

    assert code == 4, log
    assert "no usable connection to redis://me:***@127.0.0.1:1/0" in log
    assert "geheim" not in log


def test_the_default_broker_can_be_forbidden(site: Site) -> None:
    code, log = refused(site, "traced_tasks", "--app-dir", str(CODE), env={"TQ_URL": "", "TQ_REQUIRE_URL": "1"})

    assert code == 4, log
    assert "TQ_REQUIRE_URL" in log


def test_no_argument_shows_how_it_is_done(site: Site) -> None:
    code, log = refused(site)

    assert code == 2
    assert "tq-worker app " in log
    assert "tq-worker --samples" in log


@pytest.mark.parametrize(
    "arguments",
    [["--slots", "0"], ["--processes", "-1"], ["--queues", " , "], ["--queues", "a b"], ["--order", "random"]],
)
def test_options_that_make_no_sense_are_refused(site: Site, arguments: list[str]) -> None:
    code, log = refused(site, "traced_tasks", *arguments)

    assert code == 2, log
    assert arguments[0] in log


def test_the_url_beats_the_one_in_the_code(site: Site, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        f"from tq_core import TaskQueue\ntq = TaskQueue('{DEAD}')\n\n\n"
        "@tq.task\ndef first() -> str:\n    return tq.enqueue_sync('second').id\n\n\n"
        "@tq.task(isolate=True)\ndef second() -> str:\n    return tq.enqueue_sync('third').id\n\n\n"
        "@tq.task\ndef third() -> str:\n    return 'there'\n"
    )
    site.run_node("mine", "--app-dir", str(tmp_path), "--url", site.url, "--processes", "1")

    view = site.ended(site.put("first"))
    for _ in range(2):
        view = site.ended(str(view.result))

    assert view.result == "there"


def test_the_samples_run_without_any_code(site: Site) -> None:
    node = site.run_node("--samples", "--processes", "1")

    site.wait_working(node)

    assert site.node_info(node).types


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["traced_tasks", "--processes", "0"], "'--processes': 0 is not in the range"),
        (["traced_tasks", "--heartbeat", "10.1"], "'--heartbeat': 10.1 is not in the range"),
        (["traced_tasks", "--queues", "a b"], "'a b' cannot be a queue's name"),
        (["traced_tasks", "--queues", "a:0"], "'0' cannot be the weight of the queue 'a'"),
        (["traced_tasks", "--queues", "a:2", "--order", "strict"], "shares have no meaning in strict order"),
        (["traced_tasks", "--autoscale", "3:1"], "'3:1' is no MIN:MAX"),
        (["traced_tasks", "--autoscale", "1:3", "--processes", "2"], "leave out --processes"),
        (["traced_tasks", "--tag", "a b\x1b"], "'a b\\x1b' cannot be a tag"),
        (["traced_tasks", "--max-tasks", "0"], "'--max-tasks': 0 is not in the range"),
        (["traced_tasks", "--lise"], "No such option '--lise'"),
        (["traced_tasks", "--app-dir", "/nowhere\x1b[31m"], "'/nowhere\\x1b[31m' does not exist"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused_in_one_line(site: Site, arguments: list[str], said: str) -> None:
    code, log = refused(site, *arguments)

    assert code == 2, log
    assert said in log
    assert log.startswith("tq-worker: ")
    assert log.endswith("(see `tq-worker --help`)\n")
    assert log.count("\n") == 1, log


def test_ctrl_c_while_it_loads_ends_it_without_a_word() -> None:
    done = interrupted_at("click", "from tq_worker.entry import main; main()", "traced_tasks")

    assert (done.code, done.out, done.err) == (-signal.SIGINT, "", "")


def test_a_queue_that_a_newer_tq_wrote_is_left_alone_and_said_once(site: Site) -> None:
    waiting = site.put("count", queue="newer", n=1)
    site.driver.raw.hset("tq:{newer}:meta", "schema", keys.SCHEMA_VERSION + 1)
    node = site.started("--queues", "default,newer")

    for n in range(3):
        assert site.ended(site.put("count", n=n)).state == "completed"
    wait_until(lambda: node.log.count("written by a newer tq") >= 2, 10, "both processes to say it")
    assert site.view(waiting).state == "pending"
    # The supervisor says it, and the worker.
    assert node.log.count("'newer' was written by a newer tq") == 2, node.log

    code, log = refused(site, "traced_tasks", "--app-dir", str(CODE), "--queues", "newer")
    assert code == 5, log
    assert "upgrade this program" in log
