"""Our own API: queues, nodes, and taking back what was done."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tq_console.gateway import models
from tq_console.gateway.acting import known_queue, must_be_obeyed, order
from tq_console.gateway.documented import also, body_of, problems_of
from tq_console.gateway.edge import caller_of, json_answer
from tq_console.gateway.keys import KeyRole
from tq_console.gateway.models import Purge, Scale, Why
from tq_console.gateway.routes.tasks import WHY_BODY, tagged
from tq_console.gateway.services import services_of
from tq_console.view.records import fleet_records, queue_record
from tq_core.errors import NotFoundError
from tq_core.model import TaskState
from tq_core.roles import inspector, operator, registry, undo

router = APIRouter(prefix="/v1", tags=["v1"])
ORDERED = problems_of(404, 409) | also(202, "The node has not answered yet")


@router.get("/queues")
async def list_queues(request: Request) -> Response:
    """List the queues in numbers."""
    found = await services_of(request).link.run(inspector.stats())
    return tagged(request, {"queues": [queue_record(queue) for queue in found], "count": len(found)})


@router.get("/queues/{queue}", responses=problems_of(404))
async def show_queue(request: Request, queue: str) -> Response:
    """Show a queue in numbers."""
    link = services_of(request).link
    (found,) = await link.run(inspector.stats([await known_queue(link, queue)]))
    return tagged(request, queue_record(found))


@router.post("/queues/{queue}/pause", openapi_extra=WHY_BODY, responses=problems_of(404))
async def pause_queue(request: Request, queue: str) -> Response:
    """Stop a queue's tasks from being claimed; running ones go on."""
    body = await models.read(request, Why, may_be_empty=True)
    flow = operator.pause_queue(queue, actor=caller_of(request).actor, why=body.why)
    return json_answer({"queue": queue, "is_paused": True, "has_changed": await services_of(request).link.change(flow)})


@router.post("/queues/{queue}/resume", openapi_extra=WHY_BODY, responses=problems_of(404))
async def resume_queue(request: Request, queue: str) -> Response:
    """Let a queue's tasks be claimed again."""
    body = await models.read(request, Why, may_be_empty=True)
    flow = operator.resume_queue(queue, actor=caller_of(request).actor, why=body.why)
    told = {"queue": queue, "is_paused": False, "has_changed": await services_of(request).link.change(flow)}
    return json_answer(told)


@router.post("/queues/{queue}/purge", openapi_extra=body_of(Purge, is_required=False), responses=problems_of(404))
async def purge_queue(request: Request, queue: str) -> Response:
    """Admins: delete a queue's tasks of one state."""
    caller = caller_of(request)
    caller.must_be(KeyRole.ADMIN)
    body = await models.read(request, Purge, may_be_empty=True)
    link = services_of(request).link
    link.must_be_writable()
    await known_queue(link, queue)
    bulk = await link.change(operator.purge(queue, actor=caller.actor, why=body.why, state=TaskState(body.state)))
    return json_answer({"queue": queue, "state": body.state, "deleted": bulk.done, "undo_op": bulk.undo_op or None})


@router.get("/nodes")
async def list_nodes(request: Request) -> Response:
    """List the nodes with their workers and what these run."""
    found = fleet_records(await services_of(request).link.run(registry.fleet()))
    return json_answer({"nodes": found, "count": len(found)})


@router.post("/nodes/{node_id}/scale", openapi_extra=body_of(Scale), responses=ORDERED)
async def scale(request: Request, node_id: str) -> Response:
    """Set how many worker processes a node runs."""
    body = await models.read(request, Scale)
    args = {"processes": body.processes} | ({"slots": body.slots} if body.slots is not None else {})
    return await _order(request, node_id, "scale", args)


@router.post("/nodes/{node_id}/pause", responses=ORDERED)
async def pause_node(request: Request, node_id: str) -> Response:
    """Stop a node from claiming tasks."""
    return await _order(request, node_id, "pause", {})


@router.post("/nodes/{node_id}/resume", responses=ORDERED)
async def resume_node(request: Request, node_id: str) -> Response:
    """Let a paused node claim tasks again."""
    return await _order(request, node_id, "resume", {})


async def _order(request: Request, node_id: str, do: str, args: dict[str, int]) -> Response:
    link = services_of(request).link
    link.must_be_writable()
    fleet = await link.run(registry.fleet())
    if not any(node.id == node_id for node in fleet.nodes):
        raise NotFoundError(f"there is no node {node_id[:200]!r}: GET /v1/nodes lists them")
    answers = await order(link, [node_id], do, args=args, caller=caller_of(request))
    must_be_obeyed(answers)
    (answer,) = answers
    return json_answer(answer.record, 200 if answer.ack is not None else 202)


@router.post("/undo/{op}", openapi_extra=WHY_BODY, responses=problems_of(404))
async def take_back(request: Request, op: str) -> Response:
    """Put back what an operation deleted or cancelled."""
    body = await models.read(request, Why, may_be_empty=True)
    bulk = await services_of(request).link.change(undo.undo(op, actor=caller_of(request).actor, why=body.why))
    left = [{"id": done.task_id, "word": done.word} for done in bulk.skipped]
    return json_answer({"op": op, "restored": bulk.done, "left": left})
