"""Our own API: tasks."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tq_console.gateway import models, pages
from tq_console.gateway.acting import known_queue, must_be_done
from tq_console.gateway.documented import also, body_of, problems_of
from tq_console.gateway.edge import caller_of, json_answer
from tq_console.gateway.keys import KeyRole
from tq_console.gateway.models import Batch, NewPriority, NewTask, Why
from tq_console.gateway.routes.root import found_task
from tq_console.gateway.services import Services, services_of
from tq_console.gateway.submitting import Asked, Sent
from tq_console.view.records import task_detail, task_record
from tq_console.view.secrets import Masker, Revealer
from tq_core.errors import WaitTimeoutError
from tq_core.model import TaskState, TaskView, parse_priority
from tq_core.query.query import parse_query
from tq_core.roles import inspector, operator, registry, task_logs
from tq_core.roles.operator import Done
from tq_core.roles.why import in_words
from tq_core.transport.steps import Flow

router = APIRouter(prefix="/v1", tags=["v1"])
WAIT_MAX_S = 60.0
PAGE_MAX = 500
BATCH_BODY = body_of(Batch)


def _asked(body: NewTask) -> Asked:
    return Asked(line=body.line(), is_forced=body.force)


def tagged(request: Request, value: Any) -> Response:
    """An answer that a client may keep: it is not sent again while it is the same."""
    response = json_answer(value)
    tag = f'"{hashlib.blake2b(response.body, digest_size=12).hexdigest()}"'
    seen = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if tag in seen or "*" in seen:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response


@router.post(
    "/tasks",
    status_code=201,
    openapi_extra=body_of(NewTask),
    responses=problems_of(409) | also(200, "It was there already"),
)
async def submit(request: Request) -> Response:
    """Enqueue a task; with the header Idempotency-Key it may be sent again."""
    body = await models.read(request, NewTask)
    accepted = await services_of(request).submitter.one(_asked(body), caller_of(request), Sent.of(request.headers))
    told = {"id": accepted.task_id, "queue": accepted.queue, "is_new": accepted.is_new}
    return json_answer(told, 201 if accepted.is_new else 200, {"Location": f"/v1/tasks/{accepted.task_id}"})


@router.post("/tasks/batch", openapi_extra=BATCH_BODY, responses=problems_of(409))
async def submit_batch(request: Request) -> Response:
    """Enqueue up to 500 tasks; where one of them is refused, none is enqueued.

    A queue takes all of its tasks or none. Where a second queue is full, the answer says which tasks it did not take.
    """
    body = await models.read(request, Batch)
    found = await services_of(request).submitter.many(
        [_asked(task) for task in body.tasks],
        caller_of(request),
        Sent.of(request.headers),
    )
    tasks = [
        {"id": each.task_id, "queue": each.queue, "is_new": each.is_new, "duplicate_of": each.duplicate_of or None}
        for each in found
    ]
    return json_answer({"tasks": tasks, "count": len(tasks), "new": sum(each.is_new for each in found)})


@router.get("/tasks", responses=problems_of(404))
async def list_tasks(  # noqa: PLR0917 - the framework calls it by name
    request: Request,
    state: Annotated[list[TaskState] | None, Query(description="May be given again; all by default")] = None,
    queue: Annotated[list[str] | None, Query(description="May be given again; all by default")] = None,
    query: Annotated[str | None, Query(max_length=1000, description="As `tq tasks list --filter`")] = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 50,
    cursor: Annotated[str | None, Query(max_length=1000, description="`next` of the page before")] = None,
) -> Response:
    """List tasks page by page: those that run, those that wait, in turn, then those that ended, newest first."""
    services = services_of(request)
    named = [await known_queue(services.link, each) for each in dict.fromkeys(queue)] if queue else None
    meant = parse_query(query, masker=services.masker) if query else None
    found = await services.link.run(
        pages.page(named, tuple(state or TaskState), query=meant, cursor=cursor, limit=limit)
    )
    tasks = [task_record(task, services.masker) for task in found.tasks]
    return tagged(request, {"tasks": tasks, "count": len(tasks), "looked": found.looked, "next": found.next})


@router.get("/tasks/{task_id}", responses=problems_of(404))
async def show_task(
    request: Request,
    task_id: str,
    reveal: Annotated[bool, Query(description="Admins: also what is masked; it is written down")] = False,
) -> Response:
    """Show all that is known of a task, and why it is where it is."""
    services = services_of(request)
    task = await found_task(request, task_id)
    masker: Masker = services.masker
    if reveal:
        caller = caller_of(request)
        caller.must_be(KeyRole.ADMIN)
        detail = {"id": task.id, "through": "gateway"}
        await services.link.change(operator.note(task.queue, actor=caller.actor, action="reveal", detail=detail))
        masker = Revealer()
    why = await services.link.run(in_words(task))
    return tagged(request, task_detail(task, why, masker))


@router.get("/tasks/{task_id}/result", responses=problems_of(404) | also(202, "It has not ended yet"))
async def wait_for_result(
    request: Request, task_id: str, timeout_s: Annotated[float, Query(ge=0, le=WAIT_MAX_S)] = 30.0
) -> Response:
    """Wait for a task's end: 200 with the task once it has ended, 202 with it where it has not in time."""
    services = services_of(request)
    task = await found_task(request, task_id)
    if not task.state.is_terminal and timeout_s > 0:
        task = await _end_of(services, task, timeout_s)
    return json_answer(task_record(task, services.masker), 200 if task.state.is_terminal else 202)


async def _end_of(services: Services, task: TaskView, timeout_s: float) -> TaskView:
    waiting = asyncio.ensure_future(services.link.end_of(task.id, timeout_s=timeout_s))
    closing = asyncio.ensure_future(services.closing.wait())
    try:
        await asyncio.wait({waiting, closing}, return_when=asyncio.FIRST_COMPLETED)
        if waiting.done():
            return waiting.result()
    except WaitTimeoutError:
        pass
    finally:
        waiting.cancel()
        closing.cancel()
        await asyncio.gather(waiting, closing, return_exceptions=True)
    return await services.link.run(inspector.show_one(task.id))


@router.get("/tasks/{task_id}/logs", responses=problems_of(404))
async def logs(request: Request, task_id: str) -> Response:
    """Show the last lines that the task's handlers said."""
    services = services_of(request)
    await found_task(request, task_id)
    lines = await services.link.run(task_logs.read(task_id))
    shown = [{"at_ms": line.at_ms, "text": services.masker.masked(line.text)} for line in lines]
    return tagged(request, {"lines": shown, "count": len(shown)})


async def _act(request: Request, flow: Flow[Any], words: Mapping[str, Any] | None = None) -> Response:
    link = services_of(request).link
    found = await link.change(flow)
    done: Done = await must_be_done(link, found[0])
    told = {"id": done.task_id, "done": done.word, "worker_id": done.worker_id or None}
    return json_answer({**told, "undo_op": getattr(found, "undo_op", "") or None, **(words or {})})


async def _reason(request: Request, task_id: str) -> str:
    body = await models.read(request, Why, may_be_empty=True)
    await found_task(request, task_id)
    return body.why


WHY_BODY = body_of(Why, is_required=False)


@router.post("/tasks/{task_id}/cancel", openapi_extra=WHY_BODY, responses=problems_of(404, 409))
async def cancel(request: Request, task_id: str) -> Response:
    """End a task that has not run; ask one that runs to stop."""
    why = await _reason(request, task_id)
    return await _act(request, operator.cancel([task_id], actor=caller_of(request).actor, why=why))


@router.post("/tasks/{task_id}/kill", openapi_extra=WHY_BODY, responses=problems_of(404, 409))
async def kill(request: Request, task_id: str) -> Response:
    """End a task, also one that runs and does not listen."""
    why = await _reason(request, task_id)
    return await _act(request, operator.cancel([task_id], actor=caller_of(request).actor, why=why, kill=True))


@router.post("/tasks/{task_id}/retry", openapi_extra=WHY_BODY, responses=problems_of(404, 409))
async def retry(request: Request, task_id: str) -> Response:
    """Run an ended task again, from the start."""
    why = await _reason(request, task_id)
    return await _act(request, operator.requeue([task_id], actor=caller_of(request).actor, why=why))


@router.post("/tasks/{task_id}/priority", openapi_extra=body_of(NewPriority), responses=problems_of(404, 409))
async def reprioritise(request: Request, task_id: str) -> Response:
    """Give a task that waits another priority."""
    body = await models.read(request, NewPriority)
    await found_task(request, task_id)
    priority = parse_priority(body.priority)
    flow = operator.reprioritise([task_id], priority, actor=caller_of(request).actor, why=body.why)
    return await _act(request, flow, {"priority": priority})


@router.delete("/tasks/{task_id}", responses=problems_of(404, 409))
async def delete(request: Request, task_id: str) -> Response:
    """Delete a task that does not run, with all that is kept of it."""
    await found_task(request, task_id)
    return await _act(request, operator.discard([task_id], actor=caller_of(request).actor, action="delete"))


@router.get("/types")
async def types(request: Request) -> Response:
    """List the task types that workers have published, with the schemas of their arguments."""
    found = await services_of(request).link.run(registry.published_types())
    shown = [
        {
            "name": each.name,
            "queue": each.queue,
            "doc": each.doc,
            "schema": each.schema,
            "max_attempts": each.max_attempts,
            "timeout_s": each.timeout_s,
        }
        for each in found.values()
    ]
    return tagged(request, {"types": shown, "count": len(shown)})
