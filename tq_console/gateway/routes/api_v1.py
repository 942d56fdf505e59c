"""The dialect of /api/v1."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from tq_console.gateway import models, numbers, shapes
from tq_console.gateway.acting import clear, live_nodes, must_be_obeyed, order, roomiest
from tq_console.gateway.documented import body_of, problems_of
from tq_console.gateway.edge import caller_of, json_answer
from tq_console.gateway.keys import KeyRole
from tq_console.gateway.models import ApiTask, ApiWorker
from tq_console.gateway.problems import ProblemError, invalid
from tq_console.gateway.routes.root import found_task
from tq_console.gateway.services import Services, services_of
from tq_console.gateway.submitting import Asked, Sent, arguments_of
from tq_console.view.records import queue_record
from tq_console.view.submission import TaskLine
from tq_core import ids
from tq_core.model import TaskState, TaskView
from tq_core.roles import inspector, registry
from tq_core.roles.registry import Fleet, NodeInfo
from tq_core.transport.steps import Flow

router = APIRouter(prefix="/api/v1", tags=["api/v1"])
LIMIT_MAX = 1000


async def _asked(request: Request, body: ApiTask) -> Asked:
    args = arguments_of(body.payload)
    task_type, type_in = (body.type, "type") if body.type is not None else (body.task_type, "task_type")
    if task_type is None:
        named = body.payload.get("type") if isinstance(body.payload, dict) else None
        if not isinstance(named, str) or not named:
            raise invalid("payload.type", "name the type of the task there, or in type")
        task_type, type_in = named, "payload.type"
        published = (await services_of(request).link.types()).get(named)
        if published is None or "type" not in (published.schema.get("properties") or {}):
            args = {name: value for name, value in args.items() if name != "type"}
    line = TaskLine(
        type=task_type,
        args=args,
        queue=body.queue,
        priority=body.priority,
        at=None if body.execute_after is None else body.execute_after / 1000,
        max_attempts=None if body.max_retries is None else body.max_retries + 1,
    )
    inside = "payload" if isinstance(body.payload, dict) else ""
    return Asked(line=line, arguments_in=inside, type_in=type_in)


@router.post("/tasks", openapi_extra=body_of(ApiTask), responses=problems_of(409))
async def submit(request: Request) -> Response:
    """Enqueue a task, and show it."""
    body = await models.read(request, ApiTask)
    services = services_of(request)
    asked = await _asked(request, body)
    accepted = await services.submitter.one(asked, caller_of(request), Sent.of(request.headers))
    (task,) = await services.link.run(inspector.show([accepted.task_id], queue=accepted.queue))
    if task is None:
        # It ran, and its queue keeps nothing.
        task = TaskView(
            id=accepted.task_id,
            type=asked.line.type or "",
            queue=accepted.queue,
            state=TaskState.COMPLETED,
            priority=body.priority or 0,
            attempt=1,
            max_attempts=asked.line.max_attempts or 1,
            args=asked.line.args,
            created_at_ms=ids.created_at_ms(accepted.task_id) or 0,
        )
    return json_answer(shapes.api_task(task, services.masker))


@router.get("/tasks/{task_id}", responses=problems_of(404))
async def show_task(request: Request, task_id: str) -> Response:
    """Show one task."""
    task = await found_task(request, task_id)
    return json_answer(shapes.api_task(task, services_of(request).masker))


@router.get("/stats")
async def stats(request: Request) -> Response:
    """Show the queues in numbers, and the workers."""
    found = await services_of(request).link.run(numbers.read())
    return json_answer(
        {
            "queue_size": sum(queue.waiting for queue in found.queues),
            "dead_letter_count": found.depth(TaskState.FAILED),
            "max_size": found.max_size,
            "rate_limit": found.rate_limit,
            "workers": shapes.workers_of(found.fleet),
        }
    )


@router.get("/dead-letters")
async def dead_letters(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=LIMIT_MAX)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Response:
    """List what failed for good, the newest first."""
    services = services_of(request)
    tasks: list[TaskView] = []
    skip = offset
    # One queue after the other: an offset over all of them at once would read everything before it.
    for queue in await services.link.run(registry.queue_numbers()):
        total = 0
        while (room := min(limit - len(tasks), inspector.PAGE_MAX)) > 0:
            page = await services.link.run(_failed(queue, skip, room))
            tasks += page.tasks
            skip, total = skip + len(page.tasks), page.total
            if len(page.tasks) < room:
                break
        skip = max(0, skip - total)
    return json_answer([shapes.api_task(task, services.masker) for task in tasks])


def _failed(queue: str, offset: int, limit: int) -> Flow[inspector.Page]:
    return inspector.page(
        queue, TaskState.FAILED, offset=offset, limit=limit, newest_first=True, payload_max=shapes.PREVIEW_BYTES
    )


@router.post("/workers", openapi_extra=body_of(ApiWorker), responses=problems_of(409))
async def create_worker(request: Request) -> Response:
    """Have a node that lives start one worker more."""
    body = await models.read(request, ApiWorker)
    services, caller = services_of(request), caller_of(request)
    services.link.must_be_writable()
    nodes = await live_nodes(services.link)
    fleet: Fleet = await services.link.run(registry.fleet())
    if body.name in services.workers_by_name or any(worker.id == body.name for worker in fleet.workers):
        raise ProblemError(409, f"there is a worker {body.name!r} already", code="duplicate_worker")
    node, info = roomiest(nodes)
    args = {"processes": info.processes + 1}
    answers = await order(services.link, [node.id], "scale", args=args, caller=caller)
    must_be_obeyed(answers)
    services.workers_by_name[body.name] = node.id
    details = {
        "worker_name": body.name,
        "max_workers": body.max_workers,
        "node_id": node.id,
        "processes": args["processes"],
        "slots": info.slots,
        "answers": [answer.record for answer in answers],
    }
    return json_answer({"message": f"Worker '{body.name}' created successfully", "details": details})


@router.post("/workers/start", responses=problems_of(409))
async def start_workers(request: Request) -> Response:
    """Let all workers claim tasks again."""
    return await _tell_all(request, "resume", "All workers started")


@router.post("/workers/stop", responses=problems_of(409))
async def stop_workers(request: Request) -> Response:
    """Stop all workers from claiming tasks; running ones finish."""
    return await _tell_all(request, "pause", "All workers stopped")


async def _tell_all(request: Request, do: str, message: str) -> Response:
    services = services_of(request)
    services.link.must_be_writable()
    nodes = await live_nodes(services.link)
    answers = await order(services.link, [node.id for node in nodes], do, args={}, caller=caller_of(request))
    must_be_obeyed(answers)
    details = {"nodes": len(nodes), "answers": [answer.record for answer in answers]}
    return json_answer({"message": message, "details": details})


@router.delete("/workers/{worker_name}", responses=problems_of(404, 409))
async def remove_worker(request: Request, worker_name: str) -> Response:
    """Have a node run one worker less; its tasks finish first."""
    services = services_of(request)
    services.link.must_be_writable()
    await live_nodes(services.link)
    fleet: Fleet = await services.link.run(registry.fleet())
    node_id = _node_of(services, fleet, worker_name)
    info = next((n.info for n in fleet.nodes if n.id == node_id and n.health != "lost"), None)
    if not isinstance(info, NodeInfo) or info.processes < 1:
        raise ProblemError(409, f"the node {node_id} of that worker does not live, or has no worker")
    args = {"processes": info.processes - 1}
    answers = await order(services.link, [node_id], "scale", args=args, caller=caller_of(request))
    must_be_obeyed(answers)
    services.workers_by_name.pop(worker_name, None)
    details = {"node_id": node_id, **args, "answers": [answer.record for answer in answers]}
    return json_answer({"message": f"Worker '{worker_name}' removed successfully", "details": details})


def _node_of(services: Services, fleet: Fleet, name: str) -> str:
    """The node that is to have one worker less: it made room for the name, has the worker of that id, or is it."""
    if name in services.workers_by_name:
        return services.workers_by_name[name]
    if any(worker.id == name for worker in fleet.workers):
        return name.rpartition(".")[0]
    if any(node.id == name for node in fleet.nodes):
        return name
    raise ProblemError(404, f"there is no worker {name[:100]!r}: GET /workers lists them", code="not_found")


@router.delete("/queue/clear")
async def clear_queue(request: Request) -> Response:
    """Delete what waits and what failed, in all queues; what runs goes on."""
    caller = caller_of(request)
    caller.must_be(KeyRole.ADMIN)
    cleared, dead, undo_op = await clear(services_of(request).link, caller)
    details = {"tasks_cleared": cleared, "dead_letters_cleared": dead, "undo_op": undo_op or None}
    return json_answer({"message": "Queue cleared successfully", "details": details})


@router.get("/metrics/json")
async def metrics_json(request: Request) -> Response:
    """The numbers of each queue."""
    found = await services_of(request).link.run(numbers.read())
    return json_answer(
        {
            "queues": [queue_record(queue) for queue in found.queues],
            "workers": shapes.workers_of(found.fleet),
            "tasks": {
                "submitted": found.counted("enqueued"),
                "completed": found.counted("completed"),
                "failed": found.counted("failed"),
                "pending": found.pending,
                "in_dlq": found.depth(TaskState.FAILED),
            },
        }
    )
