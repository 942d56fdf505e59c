"""What is about the gateway itself: its page, its description, probes, metrics and the stream of events."""

from __future__ import annotations

import html
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from tq_console.gateway import documented, metrics, numbers, streams
from tq_console.gateway.acting import known_queue
from tq_console.gateway.documented import problems_of
from tq_console.gateway.edge import json_answer
from tq_console.gateway.problems import ProblemError
from tq_console.gateway.services import services_of
from tq_core.errors import BrokerError
from tq_core.exposition import CONTENT_TYPE
from tq_core.roles import readiness, registry

router = APIRouter(tags=["gateway"])
NAME = "tq gateway"
LINKS = (
    ("docs", "/docs", "the API"),
    ("health", "/health", "whether the broker answers"),
    ("metrics", "/metrics", "for Prometheus"),
    ("tasks", "/tasks", "what there is to do"),
    ("workers", "/workers", "who does it"),
)


def _info(request: Request) -> dict[str, Any]:
    services = services_of(request)
    return {
        "name": NAME,
        "version": version("tq-console"),
        "docs": "/docs",
        "health": "/health",
        "gateway": services.name,
        "dialects": ["/", "/api/v1", "/v1"],
    }


def _wants_page(request: Request) -> bool:
    accepted = [each.partition(";")[0].strip().lower() for each in request.headers.get("accept", "").split(",")]
    return "text/html" in accepted


@router.get("/")
async def root(request: Request) -> Response:
    """Say what this is; to a browser as a page."""
    info = _info(request)
    if not _wants_page(request):
        return json_answer({name: info[name] for name in ("name", "version", "docs", "health")})
    links = "".join(
        f'<li><a href="{path}">{html.escape(word)}</a>: {html.escape(text)}</li>' for word, path, text in LINKS
    )
    see = "<p>To watch and steer: <code>tq console</code>; in a browser: <code>tq console --web</code>.</p>"
    body = f"<h1>{html.escape(NAME)} {html.escape(info['version'])}</h1><ul>{links}</ul>{see}"
    return Response(documented.page(NAME, body), media_type="text/html; charset=utf-8")


@router.get("/info")
async def info(request: Request) -> Response:
    """Say which gateway this is."""
    return json_answer(_info(request))


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> Response:
    """The API as a page, without scripts and without anything from elsewhere."""
    page = documented.docs_page(documented.description(request.app))
    return Response(page, media_type="text/html; charset=utf-8")


@router.get("/openapi.json", include_in_schema=False)
async def openapi(request: Request) -> Response:
    """The API for programs."""
    return json_answer(documented.description(request.app))


@router.get("/livez")
async def live(request: Request) -> Response:
    """Say that the process answers."""
    del request
    return json_answer({"status": "ok"})


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """Say whether requests should come here: the broker takes writes, and the gateway is not about to stop."""
    services = services_of(request)
    if services.closing.is_set():
        raise ProblemError(503, "the gateway is stopping")
    try:
        found = await services.link.run(readiness.check())
    except BrokerError as error:
        raise ProblemError(503, error.message, code=error.code) from error
    return json_answer({"status": "ok", "problems": list(found.problems), "warnings": list(found.warnings)})


@router.get("/metrics", response_class=Response)
@router.get("/api/v1/metrics", response_class=Response)
async def scrape(request: Request) -> Response:
    """Tell Prometheus what is the same wherever it is asked."""
    services = services_of(request)
    try:
        found = await services.link.run(numbers.read())
    except BrokerError:
        found = None
    return Response(metrics.text(found, started_at_s=services.started_at_s), headers={"Content-Type": CONTENT_TYPE})


@router.get("/v1/events", response_class=StreamingResponse, responses=problems_of(404))
async def events(
    request: Request,
    queue: Annotated[list[str] | None, Query(description="May be given again; all, and the fleet, by default")] = None,
) -> Response:
    """Follow what happens, as server-sent events; the header Last-Event-ID goes on after one that was seen."""
    services = services_of(request)
    streams.must_have_room(services)
    named = [await known_queue(services.link, each) for each in dict.fromkeys(queue)] if queue else None
    cursors = None
    if last_id := request.headers.get("last-event-id"):
        followed = named if named is not None else list(await services.link.run(registry.queue_numbers()))
        cursors = streams.cursors_of(last_id, followed)
    lines = streams.stream(services, named, cursors)
    return StreamingResponse(lines, media_type=streams.MEDIA_TYPE, headers={"X-Accel-Buffering": "no"})
