"""Every error as one document: RFC 9457, with the fields at fault, and `error` for clients that look for that.

Nothing of what was asked is done where one is answered, but for 503: then the broker may have done some of it.
"""

from __future__ import annotations

import http
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tq_core import errors

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1


class FieldProblem(msgspec.Struct, frozen=True):
    """What is wrong with one field."""

    field: str
    """As it stands in the request: `priority`, `payload.to`, `tasks[3].type`; the name of a header or parameter."""
    problem: str


class ProblemError(Exception):
    """An error that is answered."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str = "",
        fields: Iterable[FieldProblem] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.fields = status, detail, tuple(fields)
        self.code = code or http.HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")
        self.headers = dict(headers or {})


def document(error: ProblemError, status: int) -> dict[str, Any]:
    """The body of the answer."""
    return {
        "type": f"urn:tq:problem:{error.code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "detail": error.detail,
        "errors": [{"field": each.field, "problem": each.problem} for each in error.fields],
        "error": error.detail,
    }


_STATUS: tuple[tuple[type[errors.TqError], int], ...] = (
    (errors.PayloadTooLargeError, 413),
    (errors.InvalidInputError, 422),
    (errors.QueueFullError, 503),
    (errors.RefusedError, 409),
    (errors.NotFoundError, 404),
    (errors.WaitTimeoutError, 408),
    (errors.BrokerError, 503),
)
"""The first class that fits counts."""


def problem_of(error: errors.TqError) -> ProblemError:
    """What an error of the queue layer is to a client."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    fields: list[FieldProblem] = []
    if isinstance(error, errors.UnknownTaskTypeError):
        fields = [FieldProblem("type", error.message)]
    elif isinstance(error, errors.InvalidArgumentsError):
        fields = [FieldProblem(name, problem) for name, problem in error.problems.items()]
    elif isinstance(error, errors.UnknownParentError):
        fields = [FieldProblem("depends_on", error.message)]
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == http.HTTPStatus.SERVICE_UNAVAILABLE else None
    return ProblemError(status, error.message, code=error.code, fields=fields, headers=headers)


def invalid(field: str, problem: str) -> ProblemError:
    """The refusal of one field."""
    return ProblemError(422, f"{field}: {problem}", code="invalid_input", fields=[FieldProblem(field, problem)])


def status_at(status: int, path: str) -> int:
    """The status that a client of a path expects: those of the root know 400 only where others know 422."""
    if status == http.HTTPStatus.UNPROCESSABLE_ENTITY and not path.startswith(("/v1/", "/api/v1/")):
        return http.HTTPStatus.BAD_REQUEST
    return status
