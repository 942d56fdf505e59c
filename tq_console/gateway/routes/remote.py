"""The broker for remote consoles and commands: what they would send to Redis, within the role of their key."""

from __future__ import annotations

import logging
from importlib.metadata import version

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from tq_console.gateway.documented import problems_of
from tq_console.gateway.edge import caller_of
from tq_console.gateway.keys import KeyRole
from tq_console.gateway.problems import ProblemError
from tq_console.gateway.remote_calls import answer
from tq_console.gateway.services import services_of
from tq_core.roles.acl import Role
from tq_core.roles.remote_access import CommandRefusedError, OtherVersionError
from tq_core.transport.remote import wire
from tq_core.transport.remote.answers import VERSION_HEADER

_log = logging.getLogger("tq.gateway")
router = APIRouter(tags=["v1"])
_BODY = {
    "requestBody": {"required": True, "content": {wire.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}


@router.post(wire.PATH, openapi_extra=_BODY, responses=problems_of(400, 409, 415))
async def call_broker(request: Request) -> Response:
    """Answer a console or command of tq that runs elsewhere; not meant for other programs."""
    if request.headers.get("content-type") != wire.MEDIA_TYPE:
        raise ProblemError(415, f"send {wire.MEDIA_TYPE}: this is for tq itself, and /docs shows what else there is")
    services, caller = services_of(request), caller_of(request)
    role = Role.VIEWER if caller.role is KeyRole.VIEWER or not services.link.is_writable else Role.OPERATOR
    try:
        body = await answer(
            services.link.runner,
            await request.body(),
            role,
            masker=services.masker,
            may_migrate=caller.role is KeyRole.ADMIN,
            # The audit log has the actor that the client names.
            writes=lambda names: _log.info("%s: %s", caller.actor, ", ".join(names)),
        )
    except wire.WireError as error:
        raise ProblemError(400, str(error)) from error
    except CommandRefusedError as error:
        raise ProblemError(403 if error.is_forbidden else 400, str(error)) from error
    except OtherVersionError as error:
        theirs = request.headers.get(VERSION_HEADER, "an unknown one")[:40]
        raise ProblemError(
            409,
            f"this gateway is of tq {version('tq-console')}, the client of {theirs}; their scripts differ: use one",
            code="other_version",
        ) from error
    return Response(body, media_type=wire.MEDIA_TYPE)
