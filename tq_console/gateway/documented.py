"""What the description of the API says of bodies and errors, and the page that shows it.

Bodies are read by `models.read`, not by the framework, so the framework is told here what they are.
"""

from __future__ import annotations

import html
import http
import json
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from tq_console.gateway import problems

_SCHEMAS: dict[str, Any] = {}
"""Every body's schema, and those that they refer to."""
_REF = "#/components/schemas/{model}"
PROBLEM: dict[str, Any] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "errors", "error"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "problem"],
                "properties": {"field": {"type": "string"}, "problem": {"type": "string"}},
            },
        },
        "error": {"type": "string", "description": "The same as detail"},
    },
}


def body_of(model: type[BaseModel], *, is_required: bool = True) -> dict[str, Any]:
    """What a route says of its body."""
    schema = model.model_json_schema(ref_template=_REF)
    _SCHEMAS.update(schema.pop("$defs", {}))
    _SCHEMAS[model.__name__] = schema
    content = {"application/json": {"schema": {"$ref": _REF.format(model=model.__name__)}}}
    return {"requestBody": {"required": is_required, "content": content}}


def problems_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route says of its errors, beside those of every route of its kind."""
    return {status: _problem(status) for status in statuses}


def also(status: int, meaning: str) -> dict[int | str, dict[str, Any]]:
    """What a route says of another answer that is no error."""
    return {status: {"description": meaning}}


def _problem(status: int) -> dict[str, Any]:
    content = {problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(model="Problem")}}}
    return {"description": http.HTTPStatus(status).phrase, "content": content}


def description(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    from fastapi.openapi.utils import get_openapi

    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update({"Problem": PROBLEM, **_SCHEMAS})
        components["securitySchemes"] = {
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        document["security"] = [{}, {"key": []}, {"bearer": []}]
        for path, methods in document["paths"].items():
            for operation in methods.values():
                _complete(path, operation)
        app.openapi_schema = document
    return app.openapi_schema


def _complete(path: str, operation: dict[str, Any]) -> None:
    """Says what every route of its kind may answer; the framework's own words for wrong parameters are not ours."""
    told: dict[str, Any] = operation["responses"]
    told.pop("422", None)
    statuses = [401, 403, 429, 503]
    if "requestBody" in operation:
        statuses += [400, 408, 413, 415, 422]
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        statuses.append(422)
    for status in {problems.status_at(status, path) for status in statuses}:
        told.setdefault(str(status), _problem(status))
    operation["responses"] = dict(sorted(told.items()))


STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .6rem .8rem; border: 1px solid #8884; border-radius: 4px; }
h2 { margin-top: 2.2rem; border-bottom: 1px solid #8884; }
details { margin: .5rem 0; padding-left: 1rem; text-indent: -1rem; }
pre { text-indent: 0; } summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.2rem; }
""".strip()


def page(title: str, body: str) -> bytes:
    """A page without a script and without anything from elsewhere; `body` is HTML."""
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return f"{head}{view}<style>{STYLE}</style></head><body>{body}</body></html>".encode()


def docs_page(document: dict[str, Any]) -> bytes:
    """The API as a page: each path with what it takes."""
    groups: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            groups.setdefault((operation.get("tags") or ["other"])[0], []).append(_operation(path, method, operation))
    info = document["info"]
    parts = [f"<h1>{html.escape(info['title'])} {html.escape(info['version'])}</h1>"]
    parts.append(f"<p>{html.escape(info.get('description', ''))}</p>")
    parts.append('<p>For programs: <a href="openapi.json">openapi.json</a> (OpenAPI 3.1).</p>')
    for tag, operations in groups.items():
        parts += [f"<h2>{html.escape(tag)}</h2>", *operations]
    parts.append("<h2>schemas</h2>")
    for name, schema in document["components"]["schemas"].items():
        text = html.escape(json.dumps(schema, indent=2))
        anchor = html.escape(name, quote=True)
        parts.append(
            f'<details id="{anchor}"><summary><code>{html.escape(name)}</code></summary><pre>{text}</pre></details>'
        )
    return page(f"{info['title']}: API", "".join(parts))


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    lines = []
    for parameter in operation.get("parameters", ()):
        schema = json.dumps(parameter.get("schema", {}))
        lines.append(f"{parameter['in']} {parameter['name']}: {schema}")
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        name = content["schema"].get("$ref", "").rpartition("/")[2]
        fields = json.dumps(_SCHEMAS[name].get("properties", {}), indent=2) if name in _SCHEMAS else ""
        lines.append(f"body: {kind} {name}\n{fields}".rstrip())
    lines.append("answers: " + ", ".join(sorted(operation["responses"])))
    told = html.escape("\n".join(lines))
    said = html.escape(operation.get("description") or operation.get("summary", ""))
    head = f"<b>{method.upper()}</b> <code>{html.escape(path)}</code>"
    return f"<details><summary>{head} — {said}</summary><pre>{told}</pre></details>"
