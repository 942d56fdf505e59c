"""What the clients of other task queues send becomes our tasks, and comes back in their words."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Gateway, Node
from tq_core.model import TaskState, TaskView
from tq_core.roles import operator, registry
from tq_core.roles.registry import PublishedType

SEND = PublishedType(
    name="send",
    queue="mail",
    schema={
        "type": "object",
        "properties": {"to": {"type": "string"}, "copies": {"type": "integer"}},
        "required": ["to"],
        "additionalProperties": False,
    },
    max_attempts=7,
)
TYPED = PublishedType(name="typed", queue="default", schema={"type": "object", "properties": {"type": {}}})


async def accepted(http: httpx.AsyncClient, path: str, body: Any) -> str:
    answer = await http.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["task_id"])


async def test_payloads_become_arguments(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.queue.run(registry.publish_types([TYPED]))

    async def view(path: str, **body: Any) -> TaskView:
        return gateway.queue.view(await accepted(http, path, {**body, "type": body.get("type", "typed")}))

    assert (await view("/tasks", data={"to": 1})).args == {"data": {"to": 1}}
    assert (await view("/tasks", data=None)).args == {"data": None}
    assert (await view("/tasks", payload={"to": 1})).args == {"to": 1}
    assert (await view("/tasks", payload=[1])).args == {"data": [1]}
    assert (await view("/api/v1/tasks", payload={"to": 1})).args == {"to": 1}
    assert (await view("/api/v1/tasks", payload="x")).args == {"data": "x"}
    # Where nothing else names the type, the payload does; it stays an argument of a type that has one of that name.
    untyped = await accepted(http, "/api/v1/tasks", {"payload": {"type": "typed", "data": 2}})
    assert gateway.queue.view(untyped).args == {"type": "typed", "data": 2}
    task_id = await accepted(http, "/tasks", {"payload": {"type": "typed", "data": 2}})
    assert (gateway.queue.view(task_id).type, gateway.queue.view(task_id).args) == ("typed", {"data": 2})
    assert (await http.get(f"/api/v1/tasks/{untyped}")).json()["payload"] == {"type": "typed", "data": 2}


@pytest.mark.parametrize("asked", ["critical", "high", "normal", "low", "7", 0, 1, 50, 100, 200, 255])
async def test_a_priority_comes_back_in_the_form_it_came_in(http: httpx.AsyncClient, asked: int | str) -> None:
    for body in ({"type": "t", "data": 1}, {"task_type": "t", "payload": {}}):
        task_id = await accepted(http, "/tasks", {**body, "priority": asked})
        assert (await http.get(f"/tasks/{task_id}")).json()["priority"] == asked
    if isinstance(asked, int) and asked <= 100:
        answer = await http.post("/api/v1/tasks", json={"priority": asked, "payload": {"type": "t"}})
        assert answer.json()["priority"] == asked
        assert (await http.get(f"/api/v1/tasks/{answer.json()['task_id']}")).json() == answer.json()


async def test_a_priority_that_an_operator_changed_is_the_new_one(gateway: Gateway, http: httpx.AsyncClient) -> None:
    task_id = await accepted(http, "/tasks", {"type": "t", "data": 1, "priority": 50})
    gateway.queue.run(operator.reprioritise([task_id], 100, actor="ana"))
    assert (await http.get(f"/tasks/{task_id}")).json()["priority"] == "normal"


async def test_a_time_may_have_a_zone_or_none_or_be_seconds(
    gateway: Gateway, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    try:
        for asked in ("2100-01-01T02:00:00", "2100-01-01T00:00:00Z", "2100-01-01T01:00:00+01:00", 4102444800):
            body = {"priority": 1, "payload": {"type": "t"}, "execute_after": asked, "max_retries": 0}
            answer = (await http.post("/api/v1/tasks", json=body)).json()
            assert (answer["execute_after"], answer["status"], answer["max_retries"]) == (4102444800.0, "pending", 0)
            assert abs(answer["created_at"] - time.time()) < 60
            root = (await http.get(f"/tasks/{answer['task_id']}")).json()
            assert (root["execute_after"], root["status"]) == ("2100-01-01T00:00:00.000Z", "pending")
    finally:
        monkeypatch.undo()
        time.tzset()
    wrongs: list[Any] = ["soon", "18:00", True, -1, "1960-01-01T00:00:00Z", [], 1e300]
    for wrong in wrongs:
        answer = await http.post("/api/v1/tasks", json={"payload": {"type": "t"}, "execute_after": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "execute_after"), wrong
    assert gateway.depths() == {"scheduled": 4}


async def test_retries_are_counted_as_clients_count_them(gateway: Gateway, http: httpx.AsyncClient) -> None:
    task_id = await accepted(http, "/tasks", {"type": "t", "data": 1, "max_retries": 1})
    task = gateway.queue.take_one()
    gateway.queue.fail(task, delay_ms=10)
    shown = (await http.get(f"/tasks/{task_id}")).json()
    assert (shown["status"], shown["retry_count"], shown["max_retries"]) == ("retrying", 1, 1)


async def test_what_is_wrong_is_named_and_nothing_is_enqueued(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.queue.run(registry.publish_types([SEND]))
    send: dict[str, Any] = {"type": "send", "payload": {"to": "a"}}
    table: list[tuple[str, Any, int, str]] = [
        ("/tasks", {**send, "colour": 1}, 400, "colour"),
        ("/tasks", {**send, "priority": "urgent"}, 400, "priority"),
        ("/tasks", {**send, "priority": 256}, 400, "priority"),
        ("/tasks", {**send, "priority": 1.5}, 400, "priority"),
        ("/tasks", {**send, "priority": True}, 400, "priority"),
        ("/tasks", {**send, "max_retries": -1}, 400, "max_retries"),
        ("/tasks", {**send, "max_retries": "3"}, 400, "max_retries"),
        ("/tasks", {**send, "type": 5}, 400, "type"),
        ("/tasks", {**send, "type": "no spaces"}, 400, "type"),
        ("/tasks", {**send, "type": "sned"}, 400, "type"),
        ("/tasks", {**send, "data": 1}, 400, "payload"),
        ("/tasks", {**send, "task_type": "other"}, 400, "task_type"),
        ("/tasks", {**send, "payload": {"to": 5}}, 400, "payload.to"),
        ("/tasks", {**send, "payload": {"to": "a", "cc": 1}}, 400, "payload.cc"),
        ("/tasks", {"type": "send", "data": "a"}, 400, "data"),
        ("/tasks", {**send, "queue": "no spaces"}, 400, "queue"),
        ("/tasks", {**send, "depends_on": ["nothing such"]}, 400, "depends_on"),
        ("/tasks", {**send, "depends_on": ["gone"]}, 409, "depends_on"),
        ("/tasks", {**send, "id": "no spaces"}, 400, "id"),
        ("/api/v1/tasks", {"priority": 101, "payload": {"type": "send"}}, 422, "priority"),
        ("/api/v1/tasks", {"priority": "high", "payload": {"type": "send"}}, 422, "priority"),
        ("/api/v1/tasks", {"priority": 1, "payload": {"to": "a"}}, 422, "payload.type"),
        ("/api/v1/tasks", {"priority": 1, "payload": {"type": "sned"}}, 422, "payload.type"),
        ("/api/v1/tasks", {"priority": 1, "payload": {"type": "send", "to": 1}}, 422, "payload.to"),
        ("/api/v1/tasks", {"priority": 1}, 422, "payload"),
        ("/api/v1/tasks", {"payload": {"type": "send", "to": "a"}, "x": 1}, 422, "x"),
        ("/api/v1/workers", {"name": ""}, 422, "name"),
        ("/api/v1/workers", {"name": "w", "max_workers": 0}, 422, "max_workers"),
        ("/tasks", [1], 400, ""),
        ("/tasks", "text", 400, ""),
    ]
    for path, body, status, field in table:
        answer = await http.post(path, json=body)
        fields = [each["field"] for each in answer.json()["errors"]]
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), body
        assert not field or field in fields, (body, answer.json())
    for raw in (b"", b"{", b'{"type": "send", "data": NaN}', b"\xff", b"[" * 100_000, b'{"a": "\\ud800"}'):
        assert (await http.post("/tasks", content=raw)).status_code == 400, raw[:20]
    assert (await http.post("/tasks", content=b"<a/>", headers={"Content-Type": "text/xml"})).status_code == 415
    for path, field in (
        ("/tasks?status=nope", "status"),
        ("/tasks?limit=-1", "limit"),
        ("/api/v1/dead-letters?limit=0", "limit"),
        ("/api/v1/dead-letters?offset=x", "offset"),
    ):
        answer = await http.get(path)
        assert answer.status_code in (400, 422)
        assert answer.json()["errors"][0]["field"] == field
    assert gateway.depths() == {}
    assert (await http.post("/tasks", json=send)).status_code == 201
    mail = gateway.queue.beside("mail")
    assert mail.view(mail.take_one().id).max_attempts == 7


async def test_a_type_that_was_just_published_is_known(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.queue.run(registry.publish_types([TYPED]))
    assert (await http.post("/tasks", json={"type": "send", "payload": {"to": "a"}})).status_code == 400
    gateway.queue.run(registry.publish_types([SEND]))
    gateway.services.link._types_at -= 1.0  # a second later
    assert (await http.post("/tasks", json={"type": "send", "payload": {"to": "a"}})).status_code == 201


async def test_tasks_may_wait_for_others_by_their_names(gateway: Gateway, http: httpx.AsyncClient) -> None:
    await accepted(http, "/tasks", {"type": "t", "data": 1, "id": "task-1"})
    child = await accepted(http, "/tasks", {"type": "t", "data": 2, "id": "task-2", "depends_on": ["task-1"]})
    assert child == "task-2@default"
    assert gateway.queue.state(child) is TaskState.BLOCKED
    assert (await http.get("/tasks/task-2@default")).json()["status"] == "pending"


async def test_the_dlq_is_listed_page_by_page(gateway: Gateway, http: httpx.AsyncClient) -> None:
    for queue in (gateway.queue, gateway.queue.beside("other")):
        queue.put_many(3)
        for task in queue.take(3):
            queue.fail(task, verdict="fatal")
    everything = (await http.get("/api/v1/dead-letters")).json()
    assert [task["status"] for task in everything] == ["failed"] * 6

    pages = [(await http.get(f"/api/v1/dead-letters?limit=2&offset={offset}")).json() for offset in range(0, 8, 2)]

    assert [task for page in pages for task in page] == everything
    assert len((await http.get("/api/v1/dead-letters?limit=4&offset=1")).json()) == 4
    listed = (await http.get("/dlq/failed-tasks")).json()
    assert (listed["total"], listed["tasks"][0]["error"]["type"]) == (6, "ValueError")
    one = everything[0]["task_id"]
    assert (await http.post(f"/dlq/failed-tasks/{one}/retry")).json()["success"] is True
    assert (await http.post(f"/dlq/failed-tasks/{one}/retry")).status_code == 404
    assert (await http.delete(f"/dlq/failed-tasks/{one}")).status_code == 404
    assert gateway.audit()[0] == ("anonymous@127.0.0.1", "requeue")


async def test_workers_are_steered_by_orders_to_nodes(node: Node, http: httpx.AsyncClient) -> None:
    async def ok(method: str, path: str, body: Any = None) -> Any:
        answer = await http.request(method, path, json=body)
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"message", "details"}
        return answer.json()["details"]

    await ok("POST", "/api/v1/workers/stop")
    await ok("POST", "/api/v1/workers/start")
    assert (await ok("POST", "/api/v1/workers", {"name": "mine", "max_workers": 5}))["processes"] == 3
    assert (await http.post("/api/v1/workers", json={"name": "mine"})).status_code == 409
    assert (await ok("DELETE", "/api/v1/workers/mine"))["processes"] == 2
    assert (await ok("DELETE", f"/api/v1/workers/{node.id}.1"))["processes"] == 1
    assert (await http.delete("/api/v1/workers/mine")).status_code == 404
    assert [(do, args.get("processes")) for do, args, _ in node.orders] == [
        *(("pause", None), ("resume", None), ("scale", 3), ("scale", 2), ("scale", 1)),
    ]
    assert {by for _, _, by in node.orders} == {"anonymous@127.0.0.1"}
    node.refuses = "leaving"
    answer = await http.post("/api/v1/workers/stop")
    assert (answer.status_code, "leaving" in answer.json()["detail"]) == (409, True)


async def test_without_a_node_workers_cannot_be_made(http: httpx.AsyncClient) -> None:
    for method, path in (
        ("POST", "/api/v1/workers/start"),
        ("POST", "/api/v1/workers/stop"),
        ("DELETE", "/api/v1/workers/w"),
    ):
        assert (await http.request(method, path)).status_code == 409
    answer = await http.post("/api/v1/workers", json={"name": "w", "max_workers": 5, "poll_interval": 0.1})
    assert (answer.status_code, "starts no program" in answer.json()["error"]) == (409, True)


async def test_clearing_takes_what_waits_and_failed_and_can_be_undone(
    gateway: Gateway, http: httpx.AsyncClient
) -> None:
    queue = gateway.queue
    queue.put_many(4)
    queue.put_one(delay_s=60)
    failing, running, ended, _ = queue.take(4)
    queue.fail(failing, verdict="fatal")
    queue.complete(ended)
    queue.put_many(2)
    before = gateway.depths()

    details = (await http.delete("/api/v1/queue/clear")).json()["details"]

    assert (details["tasks_cleared"], details["dead_letters_cleared"]) == (3, 1)
    assert gateway.depths() == {"running": 2, "completed": 1}
    assert (await http.post(f"/v1/undo/{details['undo_op']}")).json()["restored"] == 4
    assert gateway.depths() == before
    assert queue.state(running.id) is TaskState.RUNNING


async def test_numbers_of_the_whole(gateway: Gateway, node: Node, http: httpx.AsyncClient) -> None:
    queue = gateway.queue
    queue.put_many(3)
    queue.fail(queue.take_one(), verdict="fatal")
    queue.run(operator.configure_queue("default", {"max_size": 10}, actor="ana"))
    stats = (await http.get("/api/v1/stats")).json()
    assert {name: stats[name] for name in ("queue_size", "dead_letter_count", "max_size", "rate_limit")} == {
        "queue_size": 2,
        "dead_letter_count": 1,
        "max_size": 10,
        "rate_limit": None,
    }
    assert stats["workers"][0]["id"] == f"{node.id}.1"
    answer = await http.get("/api/v1/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = answer.text.splitlines()
    for line in (
        'task_submissions_total{queue="default"} 3',
        'pending_tasks_total{queue="default"} 2',
        'tasks_in_dlq_total{queue="default"} 1',
        "active_workers_total 1",
        'tq_queue_tasks{queue="default",state="failed"} 1',
        'tq_nodes{health="live"} 1',
        "tq_broker_up 1",
    ):
        assert line in lines
    assert any(line.startswith('tq_queue_oldest_pending_age_seconds{queue="default"} ') for line in lines)


async def test_a_full_queue_says_when_to_come_again(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.queue.run(operator.configure_queue("default", {"max_size": 1}, actor="ana"))
    await accepted(http, "/tasks", {"type": "t", "data": 1})
    answer = await http.post("/tasks", json={"type": "t", "data": 2})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["type"] == "urn:tq:problem:queue_full"


async def test_a_context_for_reading_only_refuses_every_write(new_gateway: Callable[..., Gateway]) -> None:
    gateway = new_gateway(refusal="the context 'prod' is marked read_only")
    http = gateway.client()
    for method, path, body in (
        ("POST", "/tasks", {"type": "t", "data": 1}),
        ("POST", "/v1/tasks/batch", {"tasks": [{"type": "t"}]}),
        ("DELETE", "/api/v1/queue/clear", None),
        ("POST", "/api/v1/workers/stop", None),
    ):
        answer = await http.request(method, path, json=body)
        assert (answer.status_code, "read_only" in answer.json()["detail"]) == (403, True)
    assert (await http.get("/tasks")).status_code == 200
