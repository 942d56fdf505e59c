"""Puts the gateway together: the framework with its routes, and around it the edge."""

from __future__ import annotations

import contextlib
import http
from collections.abc import AsyncIterator
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp

from tq_console.gateway import models, problems
from tq_console.gateway.access import Doorkeeper
from tq_console.gateway.documented import description
from tq_console.gateway.edge import Edge, Endpoint, problem_answer
from tq_console.gateway.keys import KeyRing
from tq_console.gateway.problems import ProblemError
from tq_console.gateway.routes import api_v1, remote, root, site, steering, tasks
from tq_console.gateway.services import Services
from tq_core.errors import TqError

ROUTERS = (site.router, root.router, api_v1.router, tasks.router, steering.router, remote.router)
"""A router of its own for each dialect, and for remote consoles."""
EXPRESS: dict[tuple[str, str], Endpoint] = {
    ("POST", "/tasks"): root.submit,
    ("POST", "/api/v1/tasks"): api_v1.submit,
    ("POST", "/v1/tasks"): tasks.submit,
    ("POST", "/v1/tasks/batch"): tasks.submit_batch,
}
"""Routes that are asked by the thousand: the framework's way to them costs more than all that they do."""
ABOUT = "Submit tasks, watch them, and steer queues and workers, over HTTP."


def new_app(services: Services) -> ASGIApp:
    """The gateway as an ASGI application.

    Raises:
        InvalidInputError: the key file cannot be used.
        OSError: it cannot be read.
    """
    settings = services.settings
    keys = KeyRing(api_key=settings.api_key, file=settings.key_file)
    app = FastAPI(
        title="tq gateway",
        version=version("tq-console"),
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        lifespan=_lifespan,
        exception_handlers={
            ProblemError: _problem,
            TqError: _refusal,
            RequestValidationError: _wrong_parameters,
            HTTPException: _of_framework,
        },
    )
    app.state.services = services
    app.openapi = lambda: description(app)  # type: ignore[method-assign]
    for router in ROUTERS:
        app.include_router(router)

    return Edge(app, doorkeeper=Doorkeeper(settings, keys), settings=settings, express=EXPRESS)


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    try:
        yield
    finally:
        services.closing.set()
        await services.link.aclose()


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_answer(error, request.url.path)


async def _refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, TqError)
    return problem_answer(problems.problem_of(error), request.url.path)


async def _wrong_parameters(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [{**each, "loc": each["loc"][1:]} for each in error.errors()]
    return problem_answer(models.refused(found), request.url.path)


async def _of_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    said = {404: f"there is nothing at {path[:200]}: see /docs", 405: f"{request.method} is not for {path[:200]}"}
    detail = said.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == http.HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(sorted(_methods(request)))}
    return problem_answer(ProblemError(error.status_code, detail, headers=headers, fields=()), path)


def _methods(request: Request) -> set[str]:
    """What the path of a request can be asked for; the framework names the methods of the first route only."""
    found: set[str] = set()
    for method in ("GET", "POST", "DELETE"):
        scope = {**request.scope, "method": method}
        if any(route.matches(scope)[0] is Match.FULL for route in request.app.router.routes):
            found |= {"GET", "HEAD"} if method == "GET" else {method}
    return found
