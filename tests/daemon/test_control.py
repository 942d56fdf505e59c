"""What people can make a node do; each command is answered after it took effect."""

from __future__ import annotations

import json

import pytest

from tests.daemon.site import Node, Site
from tests.waiting import wait_until
from tq_core.keyspace import keys
from tq_core.roles import registry


def cut_off(site: Site, node: Node) -> None:
    """Cuts all connections of the supervisor, as a restart of the broker does: no command may be lost to that."""
    for client in site.driver.raw.client_list():
        if client["name"].startswith(f"tq-node-{site.id_of(node)}"):
            site.driver.raw.client_kill(client["addr"])


def test_a_paused_node_claims_nothing_until_it_is_resumed(site: Site) -> None:
    node = site.started("--processes", "2")

    assert site.command(node, "pause").text == "paused"
    ids = site.put_many("count", 20)
    assert site.node_info(node).state == "paused"
    cut_off(site, node)
    # Longer than a worker waits before it looks on suspicion.
    site.driver.raw.blpop("nothing", 1.5)
    assert site.driver.depths() == {"pending": 20}

    assert site.command(node, "resume").ok
    assert site.all_ended() == {"completed": 20}
    assert site.runs() == dict.fromkeys(ids, 1)
    assert site.node_info(node).state == "running"


def test_a_worker_that_starts_while_the_node_is_paused_is_paused(site: Site) -> None:
    node = site.started()
    site.command(node, "pause")

    answer = site.command(node, "kill_worker", worker_id=site.worker_of(node).worker_id)

    assert answer.ok, answer
    site.put("count", n=1)
    wait_until(lambda: [w.state for w in site.workers_of(node)] == ["paused"], 10, "the next worker")
    assert site.driver.depths() == {"pending": 1}


def test_scaling_up_and_down_keeps_every_task(site: Site) -> None:
    gate = site.gate()
    node = site.started("--slots", "2")
    ids = [site.put("wait", gate=str(gate)) for _ in range(6)]

    answer = site.command(node, "scale", processes=3)

    assert answer.ok, answer
    assert answer.text == "3 workers, 2 new"
    for task_id in ids:
        site.wait_started(task_id)
    assert len({pid for _, _, pid in site.trace()}) == 3
    answer = site.command(node, "scale", processes=1)
    assert answer.text == "1 workers, 2 drain"
    after = site.put_many("count", 4)
    assert site.driver.depths() == {"running": 6, "pending": 4}
    gate.touch()
    assert site.all_ended() == {"completed": 10}
    assert site.runs() == dict.fromkeys(ids + after, 1)
    wait_until(lambda: len(site.workers_of(node)) == 1, 10, "the surplus to be gone")
    assert site.node_info(node).processes == 1
    assert site.node_info(node).restarts == 0

    # It has nothing to wait for then, and still answers before it goes.
    assert site.command(node, "scale", processes=0).text == "0 workers, 1 drain"
    wait_until(lambda: site.workers_of(node) == [], 10, "the last worker to be gone")
    cut_off(site, node)
    assert site.command(node, "drain").text == "draining"
    assert node.wait() == 0


def test_slots_can_be_changed_while_tasks_run(site: Site) -> None:
    gate = site.gate()
    node = site.started("--slots", "1")
    ids = [site.put("wait", gate=str(gate)) for _ in range(5)]
    site.wait_started(ids[0])
    assert site.driver.depths() == {"running": 1, "pending": 4}

    assert site.command(node, "scale", slots=4).ok

    wait_until(lambda: len(site.runs()) == 4, 10, "four to run")
    assert site.node_info(node).slots == 4
    gate.touch()
    assert site.all_ended() == {"completed": 5}


def test_a_node_without_workers_can_be_scaled_up_again(site: Site) -> None:
    node = site.started()
    assert site.command(node, "scale", processes=0).ok
    wait_until(lambda: site.workers_of(node) == [], 10, "the worker to leave")
    task_id = site.put("count", n=1)
    assert site.command(node, "scale", processes=1).ok

    assert site.ended(task_id).state == "completed"


def test_draining_by_command_ends_the_node(site: Site) -> None:
    gate = site.gate()
    node = site.started()
    task_id = site.put("wait", gate=str(gate))
    site.wait_started(task_id)

    assert site.command(node, "drain", deadline_s=20).text == "draining"
    late = site.put("count", n=1)
    gate.touch()

    assert node.wait() == 0
    assert site.view(task_id).state == "completed"
    assert site.view(late).state == "pending"


def test_stopping_by_command_gives_everything_back(site: Site) -> None:
    node = site.started()
    task_id = site.put("wait", gate=str(site.gate()))
    site.wait_started(task_id)

    assert site.command(node, "stop").ok

    assert node.wait() == 0
    assert site.driver.depths() == {"pending": 1}
    assert site.counters() == {"enqueued": 1, "released": 1}


def test_a_killed_worker_is_answered_for_when_its_tasks_are_back(site: Site) -> None:
    gate = site.gate()
    node = site.started("--lease", "60")
    task_id = site.put("wait", gate=str(gate))
    pid = site.wait_started(task_id)

    answer = site.command(node, "kill_worker", worker_id=site.worker_of(node).worker_id)

    assert answer.ok, answer
    assert site.view(task_id).crashes == 1
    gate.touch()
    assert site.ended(task_id).state == "completed"
    assert site.worker_of(node).pid != pid
    assert not site.command(node, "kill_worker", worker_id="nobody.1").ok


def test_stacks_show_where_each_task_is(site: Site) -> None:
    node = site.started()
    ids = [site.put("wait", gate=str(site.gate())), site.put("wait_in_c", seconds=20)]
    for task_id in ids:
        site.wait_started(task_id)

    data = site.command(node, "stacks").data

    (text,) = data.values()
    assert all(task_id in text for task_id in ids)
    assert "in wait\n" in text
    assert "in wait_in_c" in text


def test_stacks_are_told_while_the_event_loop_hangs(site: Site) -> None:
    node = site.started()
    task_id = site.put("block_loop", seconds=1.5)
    site.wait_started(task_id)

    (text,) = site.command(node, "stacks").data.values()

    assert "in block_loop" in text


@pytest.mark.slow
def test_stacks_are_told_while_the_interpreter_is_held_up(site: Site) -> None:
    node = site.started("--lease", "60")
    task_id = site.put("hold_interpreter", seconds=4)
    site.wait_started(task_id)

    (text,) = site.command(node, "stacks").data.values()

    assert "in hold_interpreter" in text
    assert site.ended(task_id).state == "completed"


def test_the_log_level_can_be_changed(site: Site) -> None:
    node = site.started("--log-level", "warning", "--log-format", "json")
    site.ended(site.put("count", n=1))
    assert site.command(node, "log_level", level="info").ok
    seen = site.put("count", n=2)
    site.ended(seen)
    wait_until(lambda: "COMPLETED" in node.log, 5, "the line")

    events = [json.loads(line) for line in node.log.splitlines()]
    assert {line.get("task_id") for line in events if line["event"] == "COMPLETED"} == {seen}
    assert not site.command(node, "log_level", level="loud").ok


def test_a_command_that_makes_no_sense_is_answered_with_why_and_changes_nothing(site: Site) -> None:
    node = site.started()

    assert "processes: Expected `int` >= 0" in site.command(node, "scale", processes=-1).text
    assert "slots" in site.command(node, "scale", processes=0, slots=True).text
    assert "say processes or slots" in site.command(node, "scale").text
    assert "the least not above the most" in site.command(node, "autoscale", least=3, most=1).text
    assert not site.command(node, "kill_task").ok
    info = site.node_info(node)
    assert (info.processes, info.slots, info.autoscale) == (1, 10, None)
    for number, said in enumerate(('"do":"fly"', '"do":"pause","args":{"now":1}', '"do":7', '"do":"pause","args":[]')):
        # What a newer client could send, or anybody who may write there.
        site.driver.raw.rpush(keys.inbox(info.node_id), f'9999999999999|{{"id":"odd{number}",{said}}}')
        answer = site.driver.run(registry.await_ack(f"odd{number}"))
        assert answer is not None
        assert not answer.ok
        assert any(word in answer.text for word in ("'fly' is not known", "cannot be done", "cannot be read")), answer
    assert site.ended(site.put("count", n=1)).state == "completed"
