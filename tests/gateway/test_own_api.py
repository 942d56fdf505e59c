"""Beyond the other dialects: batches, waiting, acting, pages, streams, and asking twice."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from tests.gateway.conftest import Gateway, Node
from tests.waiting import wait_until_async
from tq_console.gateway import streams
from tq_console.gateway.app import new_app
from tq_console.gateway.link import Link
from tq_console.gateway.services import Services
from tq_console.gateway.settings import GatewaySettings
from tq_core import ids
from tq_core.model import TaskState
from tq_core.roles import operator, registry
from tq_core.roles.registry import PublishedType
from tq_core.transport.connection import endpoint


async def made(http: httpx.AsyncClient, **body: Any) -> str:
    answer = await http.post("/v1/tasks", json={"type": "t", **body})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/tasks/{answer.json()['id']}"
    return str(answer.json()["id"])


async def test_a_task_takes_all_options_of_submit(gateway: Gateway, http: httpx.AsyncClient) -> None:
    parent = await made(http)
    task_id = await made(
        http,
        args={"n": 1},
        queue="mail",
        priority="low",
        delay="5m",
        max_attempts=2,
        timeout=9,
        soft_timeout="3s",
        unique="k",
        expires="1h",
        depends_on=[parent],
        on_parent_failure="skip",
        limit_key="tenant",
        id="named",
        memory_limit_mb=100,
    )
    task = gateway.queue.beside("mail").view(task_id)
    assert (task.id, task.queue, task.args, task.priority, task.max_attempts) == (
        "named@mail",
        "mail",
        {"n": 1},
        200,
        2,
    )
    options = task.options
    assert (options.timeout_s, options.soft_timeout_s, options.expires_in_s) == (9, 3, 3600)
    assert (options.depends_on, options.on_parent_failure, options.limit_key) == ((parent,), "skip", "tenant")
    assert (options.submitted_by, task.unique_key) == ("anonymous@127.0.0.1", "k")

    again = await http.post("/v1/tasks", json={"type": "t", "id": "named", "queue": "mail"})
    assert (again.status_code, again.json()["is_new"]) == (200, False)
    held = await http.post("/v1/tasks", json={"type": "t", "queue": "mail", "unique": "k"})
    assert (held.status_code, held.json()["errors"][0]["field"]) == (409, "unique")
    wrong = await http.post("/v1/tasks", json={"type": "t", "delay": "soon", "on_parent_failure": "cry"})
    assert [each["field"] for each in wrong.json()["errors"]] == ["on_parent_failure"]
    wrong = await http.post("/v1/tasks", json={"type": "t", "delay": "soon"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "delay")


async def test_of_a_batch_all_tasks_are_enqueued_or_none(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.queue.run(registry.publish_types([PublishedType(name="t", queue="default")]))
    tasks: list[dict[str, Any]] = [{"type": "t", "args": {"n": n}} for n in range(499)]
    for bad, field in (
        ({"type": "u"}, "tasks[1].type"),
        ({"type": "t", "priority": -1}, "tasks[1].priority"),
        ({"type": "t", "colour": 1}, "tasks[1].colour"),
        ({"type": "t", "queue": "a b"}, "tasks[1].queue"),
        ("t", "tasks[1]"),
    ):
        answer = await http.post("/v1/tasks/batch", json={"tasks": [tasks[0], bad]})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    bodies: list[Any] = [{"tasks": []}, {"tasks": [tasks[0]] * 501}, {}, {"tasks": None}]
    for body in bodies:
        assert (await http.post("/v1/tasks/batch", json=body)).status_code == 422
    assert gateway.depths() == {}
    answer = await http.post(
        "/v1/tasks/batch", json={"tasks": [*tasks, {"type": "u", "force": True, "queue": "other"}]}
    )
    found = answer.json()
    assert (found["count"], found["new"], found["tasks"][-1]["queue"]) == (500, 500, "other")
    assert [gateway.queue.view(each["id"]).args for each in found["tasks"][:2]] == [{"n": 0}, {"n": 1}]
    assert gateway.depths() == {"pending": 500}


async def test_a_batch_that_a_second_queue_does_not_take_says_so(gateway: Gateway, http: httpx.AsyncClient) -> None:
    gateway.queue.run(operator.configure_queue("small", {"max_size": 1}, actor="ana"))
    tasks = [{"type": "t"}, *({"type": "t", "queue": "small"} for _ in range(2))]
    for _ in range(2):
        answer = await http.post("/v1/tasks/batch", json={"tasks": tasks}, headers={"Idempotency-Key": "k"})
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert [each["field"] for each in answer.json()["errors"]] == ["tasks[1]", "tasks[2]"]
        assert gateway.depths() == {"pending": 1}
    gateway.queue.run(operator.configure_queue("small", {"max_size": 2}, actor="ana"))
    answer = await http.post("/v1/tasks/batch", json={"tasks": tasks}, headers={"Idempotency-Key": "k"})
    assert [each["is_new"] for each in answer.json()["tasks"]] == [False, True, True]


async def test_odd_values_come_back_or_are_refused(gateway: Gateway, http: httpx.AsyncClient) -> None:
    def nested(levels: int) -> str:
        return "[" * levels + "]" * levels

    for text in ("-0", "1e308", str(2**64), '"\\u0000\\u001b[2J"', nested(100), '{"": {"__proto__": 1}}'):
        answer = await http.post("/tasks", content=f'{{"type": "t", "data": {text}}}')
        assert answer.status_code == 201, (text, answer.text)
        shown = await http.get(f"/tasks/{answer.json()['task_id']}")
        assert json.dumps(shown.json()["data"]) == json.dumps(json.loads(text)), text
    for text in ("1e400", "9" * 5000, nested(400), nested(990), nested(5000)):
        answer = await http.post("/tasks", content=f'{{"type": "t", "data": {text}}}')
        assert answer.status_code in (201, 400), (text[:20], answer.text)
        if answer.status_code == 201:
            assert (await http.get(f"/tasks/{answer.json()['task_id']}")).status_code == 200
    assert (await http.get("/tasks")).status_code == 200
    assert (await http.get("/v1/tasks")).status_code == 200
    assert gateway.depths()["pending"] >= 6


async def test_a_key_makes_a_request_that_may_be_sent_twice(gateway: Gateway, http: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "order 66"}
    table: list[tuple[str, Any, Any]] = [
        ("/tasks", {"type": "t", "data": 1}, {"type": "t", "data": 2}),
        ("/api/v1/tasks", {"payload": {"type": "t", "n": 1}}, {"payload": {"type": "u", "n": 1}}),
        ("/v1/tasks", {"type": "t"}, {"type": "t", "args": {"n": 1}}),
        ("/v1/tasks/batch", {"tasks": [{"type": "t"}] * 2}, {"tasks": [{"type": "u"}] * 2}),
    ]
    for path, body, other in table:
        own = {"Idempotency-Key": f"{key['Idempotency-Key']} {path}"}
        before = sum(gateway.depths().values())
        first = await http.post(path, json=body, headers=own)
        count = sum(gateway.depths().values()) - before
        second = await http.post(path, json=body, headers=own)
        assert count in (1, 2)
        assert sum(gateway.depths().values()) - before == count
        ids = [json.dumps(each.json()).split('id": "')[1].split('"')[0] for each in (first, second)]
        assert ids[0] == ids[1]
        third = await http.post(path, json=other, headers=own)
        assert third.status_code == (400 if path == "/tasks" else 422)
        assert third.json()["errors"][0]["field"] == "Idempotency-Key"
    assert (await http.post("/tasks", json={"type": "t", "data": 1}, headers={"Idempotency-Key": "x" * 256})).is_error


async def test_a_task_goes_on_with_the_trace_of_its_request(gateway: Gateway, http: httpx.AsyncClient) -> None:
    trace = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "tracestate": "vendor=1"}
    answer = await http.post("/tasks", json={"type": "t", "data": 1}, headers=trace)
    options = gateway.queue.view(answer.json()["task_id"]).options
    assert {"traceparent": options.traceparent, "tracestate": options.tracestate} == trace
    later = (await http.post("/v1/tasks", json={"type": "t", "delay": 60}, headers=trace)).json()["id"]
    assert gateway.queue.view(later).options.ready_at_ms is not None
    for wrong in ({"traceparent": "00-0-0-01"}, {"traceparent": trace["traceparent"] + "x"}, {"tracestate": "a=1"}):
        answer = await http.post("/tasks", json={"type": "t", "data": 1}, headers=wrong)
        assert gateway.queue.view(answer.json()["task_id"]).options.traceparent is None


async def test_waiting_ends_with_the_task_or_the_time(gateway: Gateway, http: httpx.AsyncClient) -> None:
    task_id = await made(http, args={"password": "hunter2", "n": 1})
    early = await http.get(f"/v1/tasks/{task_id}/result?timeout_s=0")
    late = await http.get(f"/v1/tasks/{task_id}/result?timeout_s=0.05")
    assert [(each.status_code, each.json()["state"]) for each in (early, late)] == [(202, "pending")] * 2

    waiting = asyncio.ensure_future(http.get(f"/v1/tasks/{task_id}/result?timeout_s=30"))
    await _until_watched(gateway)
    gateway.queue.complete(gateway.queue.take_one(), result=b'{"token":"s3cret","n":2}')
    answer = await asyncio.wait_for(waiting, 10)

    assert answer.status_code == 200
    assert answer.json()["result"] == {"token": "***", "n": 2}
    assert "hunter2" not in answer.text + (await http.get(f"/v1/tasks/{task_id}")).text
    revealed = await http.get(f"/v1/tasks/{task_id}?reveal=true")
    assert revealed.json()["args"] == {"password": "hunter2", "n": 1}
    assert gateway.audit()[0] == ("anonymous@127.0.0.1", "reveal")
    for timeout_s in ("-1", "61", "x", "nan"):
        assert (await http.get(f"/v1/tasks/{task_id}/result?timeout_s={timeout_s}")).status_code == 422

    other = await made(http)
    waiting = asyncio.ensure_future(http.get(f"/v1/tasks/{other}/result?timeout_s=30"))
    await _until_watched(gateway)
    gateway.services.closing.set()
    assert (await asyncio.wait_for(waiting, 10)).status_code == 202
    assert (await http.get("/readyz")).status_code == 503
    assert (await http.get("/livez")).status_code == 200


async def _until_watched(gateway: Gateway) -> None:
    key = gateway.queue.key("waiters")
    await wait_until_async(lambda: bool(gateway.queue.raw.exists(key)), 10, "somebody who waits for the task")


async def test_tasks_are_steered(gateway: Gateway, node: Node, http: httpx.AsyncClient) -> None:
    task_id = await made(http)

    async def post(path: str, body: Any = None, status: int = 200) -> Any:
        answer = await http.post(path, json=body) if body is not None else await http.post(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    assert (await post(f"/v1/tasks/{task_id}/priority", {"priority": "high", "why": "asked"}))["priority"] == 50
    await post(f"/v1/tasks/{task_id}/priority", {"priority": "high"}, status=409)
    await post(f"/v1/tasks/{task_id}/priority", {"priority": "urgent"}, status=422)
    cancelled = await post(f"/v1/tasks/{task_id}/cancel", {"why": "no"})
    assert (cancelled["done"], gateway.queue.state(task_id)) == ("cancelled", TaskState.CANCELLED)
    await post(f"/v1/tasks/{task_id}/cancel", status=409)
    await post(f"/v1/undo/{cancelled['undo_op']}")
    assert gateway.queue.state(task_id) is TaskState.PENDING
    await post(f"/v1/tasks/{task_id}/kill")
    await post(f"/v1/tasks/{task_id}/retry")
    assert (await http.delete(f"/v1/tasks/{task_id}")).json()["done"] == "deleted"
    assert (await http.delete(f"/v1/tasks/{task_id}")).status_code == 404
    assert [do for _, do in gateway.audit()][:3] == ["delete", "requeue", "kill"]

    assert (await post("/v1/queues/default/pause", {"why": "deploy"})) == {
        "queue": "default",
        "is_paused": True,
        "has_changed": True,
    }
    assert (await http.get("/v1/queues/default")).json()["paused"]["by"] == "anonymous@127.0.0.1"
    assert (await post("/v1/queues/default/resume"))["has_changed"] is True
    await post("/v1/queues/defualt/pause", status=404)
    await made(http)
    assert (await post("/v1/queues/default/purge"))["deleted"] == 1
    await post("/v1/queues/default/purge", {"state": "running"}, status=422)

    assert (await post(f"/v1/nodes/{node.id}/scale", {"processes": 4, "slots": 2}))["ok"] is True
    await post(f"/v1/nodes/{node.id}/pause")
    await post(f"/v1/nodes/{node.id}/resume")
    await post("/v1/nodes/none/pause", status=404)
    await post(f"/v1/nodes/{node.id}/scale", {"processes": "4"}, status=422)
    assert [order[:2] for order in node.orders] == [
        *(("scale", {"processes": 4, "slots": 2}), ("pause", {}), ("resume", {})),
    ]
    assert (await http.get("/v1/nodes")).json()["nodes"][0]["processes"] == 4


async def test_pages_follow_one_another_while_tasks_come_and_go(gateway: Gateway, http: httpx.AsyncClient) -> None:
    ids = gateway.queue.put_many(25)
    for task in gateway.queue.take(5):
        gateway.queue.complete(task)
    gateway.queue.beside("other").put_many(10)

    async def pages(**words: Any) -> list[list[str]]:
        found, cursor = [], None
        while True:
            params = {**words, **({"cursor": cursor} if cursor else {})}
            answer = await http.get("/v1/tasks", params=params)
            assert answer.status_code == 200, answer.text
            found.append([task["id"] for task in answer.json()["tasks"]])
            cursor = answer.json()["next"]
            if cursor is None:
                return found

    everything = await pages(limit=7)
    assert [len(page) for page in everything] == [7, 7, 7, 7, 7]
    flat = [task_id for page in everything for task_id in page]
    assert len(set(flat)) == 35
    assert set(flat[-5:]) == set(ids[:5])
    assert sum(map(len, await pages(limit=3, queue="other", state="pending"))) == 10
    assert [len(page) for page in await pages(limit=10, state="completed")] == [5]
    assert [len(page) for page in await pages(limit=2, query="type:work state:completed")] == [2, 2, 1]
    assert await pages(limit=5, query="type:nothing") == [[]]
    first = (await http.get("/v1/tasks?limit=5&queue=default&state=pending")).json()
    await http.delete(f"/v1/tasks/{ids[10]}")  # the one that the cursor names
    second = (
        await http.get(
            "/v1/tasks", params={"limit": 5, "queue": "default", "state": "pending", "cursor": first["next"]}
        )
    ).json()
    assert [task["id"] for task in second["tasks"]] == ids[11:16]
    for params in (
        {"cursor": "x"},
        {"limit": 0},
        {"limit": 501},
        {"state": "nope"},
        {"query": "type:"},
        {"cursor": "W10"},
    ):
        assert (await http.get("/v1/tasks", params=params)).status_code == 422, params
    assert (await http.get("/v1/tasks?queue=nope")).status_code == 404


async def test_what_is_the_same_is_not_sent_again(gateway: Gateway, http: httpx.AsyncClient) -> None:
    task_id = await made(http, delay=3600)
    for path in (f"/v1/tasks/{task_id}/logs", "/v1/tasks", "/v1/types"):
        first = await http.get(path)
        again = await http.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b""), path
    tag = (await http.get("/v1/tasks")).headers["etag"]
    await made(http)
    assert (await http.get("/v1/tasks", headers={"If-None-Match": tag})).status_code == 200
    assert gateway.depths() == {"scheduled": 1, "pending": 1}


async def test_events_are_told_as_they_happen_and_from_where_one_left_off(gateway: Gateway) -> None:
    async def until_told(lines: AsyncIterator[bytes], task_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            while not found or found[-1]["ids"] != [task_id]:
                texts = (await anext(lines)).decode().split("\n\n")
                for text in filter(lambda text: text.startswith("id: "), texts):
                    found.append(json.loads(text.partition("data: ")[2]))
                    assert text.startswith(f"id: {found[-1]['cursor']}\nevent: enqueued\n")
        return found

    gateway.queue.put_one()
    lines = streams.stream(gateway.services, None, None)
    assert (await anext(lines)).startswith(b"retry: ")
    second = gateway.queue.put_one()
    (seen,) = await until_told(lines, second)
    assert gateway.services.streams == 1
    third = gateway.queue.put_one()
    await lines.aclose()  # type: ignore[attr-defined]
    assert gateway.services.streams == 0

    again = streams.stream(gateway.services, ["default"], streams.cursors_of(seen["cursor"], ["default"]))
    assert (await until_told(again, third))[-2]["ids"] == [second]
    closing = asyncio.ensure_future(anext(again, None))
    gateway.services.closing.set()
    assert await asyncio.wait_for(closing, 10) in (None, b": nothing new\n\n")
    await again.aclose()  # type: ignore[attr-defined]


async def test_a_browser_gets_a_page_without_anything_from_elsewhere(http: httpx.AsyncClient) -> None:
    assert set((await http.get("/")).json()) == {"name", "version", "docs", "health"}
    assert (await http.get("/", headers={"Accept": "*/*"})).headers["content-type"] == "application/json"
    assert "dialects" in (await http.get("/info")).json()
    for path in ("/", "/docs"):
        answer = await http.get(path, headers={"Accept": "text/html,application/xhtml+xml;q=0.9"})
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script" not in answer.text
        assert "://" not in answer.text.replace("&quot;", "")
    description = (await http.get("/openapi.json")).json()
    assert {"/tasks", "/api/v1/tasks", "/v1/tasks/batch", "/v1/events"} <= set(description["paths"])
    names = set(description["components"]["schemas"])
    text = json.dumps(description)
    assert {ref.split('"')[0] for ref in text.split("#/components/schemas/")[1:]} <= names


async def test_a_broker_that_is_away_is_told_as_such() -> None:
    link = Link(endpoint("redis://127.0.0.1:1", display="redis://127.0.0.1:1"))
    link.runner._retry_for_s = 0.0
    app = new_app(Services(link, GatewaySettings()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        health = await http.get("/health")
        assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
        for path in ("/tasks", "/readyz", "/v1/queues"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:tq:problem:broker_unreachable")
        assert (await http.post("/tasks", json={"type": "t", "data": 1})).status_code == 503
        metrics = (await http.get("/metrics")).text
        assert "tq_broker_up 0" in metrics
        assert "pending_tasks_total" not in metrics
    await link.aclose()


async def test_a_server_that_was_emptied_is_no_trouble(gateway: Gateway, http: httpx.AsyncClient) -> None:
    await made(http)
    gateway.queue.raw.flushall()
    gateway.queue.beside("first").put_one()
    task_id = await made(http)
    assert gateway.services.link.queue_numbers["default"] == ids.home_of(task_id)
    assert (await http.get(f"/v1/tasks/{task_id}")).status_code == 200
