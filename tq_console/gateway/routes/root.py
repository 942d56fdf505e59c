"""The dialect of the root: tasks, workers, the DLQ, health."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tq_console.gateway import models, numbers, shapes
from tq_console.gateway.acting import must_be_done
from tq_console.gateway.documented import body_of, problems_of
from tq_console.gateway.edge import caller_of, json_answer
from tq_console.gateway.models import RootTask
from tq_console.gateway.problems import ProblemError, invalid
from tq_console.gateway.services import services_of
from tq_console.gateway.submitting import Asked, Sent, arguments_of
from tq_console.view.submission import TaskLine
from tq_core.errors import BrokerError
from tq_core.model import TaskState
from tq_core.roles import inspector, operator

router = APIRouter(tags=["root"])
LIMIT = 50
LIMIT_MAX = 10_000
"""What may be asked for; no more than PAGE_MAX are given."""

Limit = Annotated[int, Query(ge=0, le=LIMIT_MAX, description=f"At most {inspector.PAGE_MAX} are given")]


def _asked(body: RootTask) -> Asked:
    said = body.model_fields_set
    if body.type is not None and body.task_type is not None and body.type != body.task_type:
        raise invalid("task_type", f"is {body.task_type!r}, and type is {body.type!r}: give one of them")
    if "data" in said and "payload" in said:
        raise invalid("payload", "give data or payload, not both")
    is_data = "data" in said
    args = {"data": body.data} if is_data else arguments_of(body.payload)
    task_type = body.type if body.type is not None else body.task_type
    type_in = "task_type" if body.type is None and body.task_type is not None else "type"
    if task_type is None and "payload" in said and isinstance(body.payload, dict):
        named = body.payload.get("type")
        if isinstance(named, str):
            task_type, args, type_in = named, {k: v for k, v in args.items() if k != "type"}, "payload.type"
    if not task_type:
        raise invalid("type", "name the type of the task, in type or task_type")
    if not is_data and "payload" not in said:
        raise invalid("data", "give the data of the task, in data or payload")
    line = TaskLine(
        type=task_type,
        args=args,
        queue=body.queue,
        priority=body.priority,
        at=None if body.execute_after is None else body.execute_after / 1000,
        max_attempts=None if body.max_retries is None else body.max_retries + 1,
        id=body.id,
        depends_on=body.depends_on,
    )
    inside = "payload" if not is_data and isinstance(body.payload, dict) else ""
    return Asked(line=line, arguments_in=inside, type_in=type_in)


@router.post("/tasks", status_code=201, openapi_extra=body_of(RootTask), responses=problems_of(409))
async def submit(request: Request) -> Response:
    """Enqueue a task."""
    body = await models.read(request, RootTask)
    accepted = await services_of(request).submitter.one(_asked(body), caller_of(request), Sent.of(request.headers))
    message = "Task submitted successfully" if accepted.is_new else "Task was submitted before"
    return json_answer({"success": True, "task_id": accepted.task_id, "message": message}, 201)


@router.get("/tasks")
async def list_tasks(request: Request, status: str | None = None, limit: Limit = LIMIT) -> Response:
    """List tasks: those that run, those that wait, in turn, then those that ended, newest first."""
    services = services_of(request)
    if status is not None and status not in shapes.STATES_OF:
        raise invalid("status", f"{status!r} is none: use {', '.join(shapes.STATES_OF)}")
    states = shapes.STATES_OF[status] if status is not None else tuple(TaskState)
    page = await services.link.run(
        inspector.list_tasks(None, states, limit=min(limit, inspector.PAGE_MAX), payload_max=shapes.PREVIEW_BYTES)
    )
    tasks = [shapes.root_task(task, services.masker) for task in page.tasks]
    return json_answer({"tasks": tasks, "count": len(tasks)})


@router.get("/tasks/{task_id}", responses=problems_of(404))
async def show_task(request: Request, task_id: str) -> Response:
    """Show one task."""
    services = services_of(request)
    return json_answer(shapes.root_task(await found_task(request, task_id), services.masker))


@router.get("/workers")
async def list_workers(request: Request) -> Response:
    """List the workers that live."""
    found = await services_of(request).link.run(numbers.read())
    workers = shapes.workers_of(found.fleet)
    return json_answer({"workers": workers, "count": len(workers)})


@router.get("/health")
@router.get("/api/v1/health")
async def health(request: Request) -> Response:
    """Say whether the broker answers, and how much there is to do."""
    services = services_of(request)
    now = models.iso(round(time.time() * 1000))
    try:
        found = await services.link.run(numbers.read())
    except BrokerError as error:
        told = {"status": "unhealthy", "gateway": services.name, "timestamp": now, "error": error.message}
        return json_answer(told, 503)
    return json_answer(
        {
            "status": "healthy",
            "gateway": services.name,
            "workers": found.live_workers,
            "pending_tasks": found.pending,
            "completed_tasks": found.counted("completed"),
            "timestamp": now,
        }
    )


@router.get("/dlq/failed-tasks")
async def dead_letters(request: Request, limit: Limit = LIMIT) -> Response:
    """List what failed for good."""
    services = services_of(request)
    page = await services.link.run(
        inspector.list_tasks(
            None, [TaskState.FAILED], limit=min(limit, inspector.PAGE_MAX), payload_max=shapes.PREVIEW_BYTES
        )
    )
    tasks = [shapes.root_task(task, services.masker) for task in page.tasks]
    now = models.iso(round(time.time() * 1000))
    return json_answer({"total": page.total, "tasks": tasks, "timestamp": now})


@router.post("/dlq/failed-tasks/{task_id}/retry", responses=problems_of(404, 409))
async def retry(request: Request, task_id: str) -> Response:
    """Run a task of the DLQ again, from the start."""
    link = services_of(request).link
    await _must_be_dead(request, task_id)
    (done,) = await link.change(operator.requeue([task_id], actor=caller_of(request).actor))
    await must_be_done(link, done)
    return json_answer({"success": True, "message": f"Task {task_id} was queued again"})


@router.delete("/dlq/failed-tasks/{task_id}", responses=problems_of(404, 409))
async def discard(request: Request, task_id: str) -> Response:
    """Take a task out of the DLQ for good."""
    link = services_of(request).link
    await _must_be_dead(request, task_id)
    (done,) = await link.change(operator.discard([task_id], actor=caller_of(request).actor))
    await must_be_done(link, done)
    return json_answer({"success": True, "message": f"Task {task_id} was removed from the DLQ"})


async def _must_be_dead(request: Request, task_id: str) -> None:
    task = await found_task(request, task_id)
    if task.state is not TaskState.FAILED:
        raise ProblemError(
            404, f"the task {task_id} is {shapes.status_of(task)}: it is not in the DLQ", code="not_found"
        )


async def found_task(request: Request, task_id: str) -> Any:
    """The task of a path.

    Raises:
        ProblemError: 404, there is none; what is no id is nobody's either.
    """
    from tq_core import ids

    if not ids.is_id(task_id):
        raise ProblemError(404, f"no task has the id {task_id[:100]!r}", code="not_found")
    return await services_of(request).link.run(inspector.show_one(task_id))
