"""Every request that the documents of other task queues print works as printed, with a slash at its end and without."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from tests.gateway.conftest import Gateway, Node

DOCUMENTS = {path.stem: path.read_text() for path in sorted((Path(__file__).parent / "documented").glob("*.txt"))}
BODIES = {"POST /api/v1/workers": '{"name": "worker-9", "max_workers": 5, "poll_interval": 0.1}'}


class Printed(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: str | None
    status: int
    fields: list[str]


def requests_of(text: str) -> list[Printed]:
    """The requests of a document, in order."""
    found = []
    for block in re.split(r"\n\s*\n", text):
        if "curl" in block:
            command, _, expected = block.partition("=>")
            lines = [line for line in command.splitlines() if not line.startswith(("#", "for ", "done"))]
            found.append(_of_curl("\n".join(lines).replace("$i", "1"), expected.split()))
        for method, path, expected in re.findall(r"^\| (\w+) \| `([^`]+)` \| ([^|]+) \|", block, re.MULTILINE):
            status, *fields = expected.split()
            found.append(Printed(method, path, {}, BODIES.get(f"{method} {path}"), int(status), fields))
    return found


def _of_curl(command: str, expected: list[str]) -> Printed:
    words = shlex.split(command.replace("\\\n", " "))
    assert words.pop(0) == "curl"
    method, headers, body, url = "", dict[str, str](), None, ""
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, _, value = words.pop(0).partition(":")
                headers[name] = value.strip()
            case "-d":
                body = words.pop(0)
            case word:
                url = word
    path = re.sub(r"^https?://localhost:\d+", "", url)
    return Printed(method or ("POST" if body else "GET"), path, headers, body, int(expected[0]), expected[1:])


def failed_task(gateway: Gateway) -> str:
    """A task of the DLQ."""
    gateway.queue.put_one(max_attempts=1, priority=0)
    failing = gateway.queue.take_one()
    gateway.queue.fail(failing, verdict="fatal")
    return failing.id


@pytest.mark.usefixtures("node")
@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("ending", ["", "/"], ids=["plain", "slash"])
async def test_printed_requests_work(gateway: Gateway, document: str, ending: str) -> None:
    requests = requests_of(DOCUMENTS[document])
    assert len(requests) >= 4
    async with gateway.client() as http:
        created = await http.post("/tasks", json={"type": "process", "data": 1})
        task_id = created.json()["task_id"]
        for printed in requests:
            path = printed.path
            if "{FAILED_ID}" in path:
                path = path.replace("{FAILED_ID}", failed_task(gateway))
            path = re.sub("{(TASK_ID|task_id)}", task_id, path).replace("{worker_name}", "worker-9")
            answer = await http.request(
                printed.method, path.rstrip("/") + ending, headers=printed.headers, content=printed.body
            )
            assert answer.status_code == printed.status, (printed, answer.text)
            if answer.headers["content-type"].startswith("application/json"):
                found = answer.json()
                assert set(printed.fields) <= set(found), (printed, found)
                task_id = found["task_id"] if isinstance(found, dict) and "task_id" in found else task_id
            else:
                assert all(word in answer.text for word in printed.fields), printed


async def test_what_is_answered_has_the_types_that_clients_read(
    gateway: Gateway, node: Node, http: httpx.AsyncClient
) -> None:
    one = (await http.post("/tasks", json={"type": "process", "data": [1, {"a": None}], "priority": "high"})).json()
    assert one == {"success": True, "task_id": one["task_id"], "message": "Task submitted successfully"}

    shown = (await http.get(f"/tasks/{one['task_id']}")).json()

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", shown.pop("created_at"))
    assert shown == {
        "id": one["task_id"],
        "type": "process",
        "data": [1, {"a": None}],
        "status": "pending",
        "priority": "high",
        "worker_id": None,
        "retry_count": 0,
        "max_retries": 3,
    }
    assert "result" not in shown
    workers = (await http.get("/workers")).json()
    assert workers["count"] == 1
    assert re.fullmatch(r"\d{4}-.*Z", workers["workers"][0].pop("last_heartbeat"))
    assert workers["workers"] == [{"id": f"{node.id}.1", "status": "idle", "tasks_processed": 4}]
    health = (await http.get("/health")).json()
    assert health["gateway"].startswith("gateway-")
    assert {k: health[k] for k in ("status", "workers", "pending_tasks", "completed_tasks")} == {
        "status": "healthy",
        "workers": 1,
        "pending_tasks": 1,
        "completed_tasks": 0,
    }

    claimed = gateway.queue.take_one()
    assert (await http.get(f"/tasks/{claimed.id}")).json()["status"] == "processing"
    assert [t["id"] for t in (await http.get("/tasks?status=processing")).json()["tasks"]] == [claimed.id]
    gateway.queue.complete(claimed, result=b'{"n":1}')
    ended = (await http.get(f"/tasks/{claimed.id}")).json()
    assert (ended["status"], ended["result"]) == ("completed", {"n": 1})
    assert (await http.get("/tasks?status=pending")).json() == {"tasks": [], "count": 0}


async def test_documents_of_errors_say_what_clients_look_for(http: httpx.AsyncClient, gateway: Gateway) -> None:
    for body in ({"data": 1}, {"type": "process"}, {"type": "", "data": 1}, {}):
        answer = await http.post("/tasks", json=body)
        assert answer.status_code == 400, body
        problem = answer.json()
        assert set(problem) == {"type", "title", "status", "detail", "errors", "error"}
        assert problem["errors"][0]["field"] in ("type", "data")
    for path in ("/tasks/nope", "/tasks/01jd7q0v3k0a19c8x7v6b5n4m2", "/api/v1/tasks/nope", "/v1/tasks/x@y"):
        answer = await http.get(path)
        assert (answer.status_code, answer.json()["error"]) == (404, answer.json()["detail"]), path
    assert gateway.depths() == {}


async def test_other_methods_are_told_what_there_is(http: httpx.AsyncClient) -> None:
    for path, allowed in (
        ("/tasks/", "GET, HEAD, POST"),
        ("/health", "GET, HEAD"),
        ("/v1/tasks/x@y", "DELETE, GET, HEAD"),
        ("/api/v1/queue/clear", "DELETE"),
    ):
        answer = await http.options(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert (await http.head("/health")).status_code == 200
    assert (await http.head("/v1/events")).status_code == 405
