"""The OpenAPI document, made from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.json_schema import models_json_schema

from adapters.base import Route
from version import VERSION

PATH_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
Schemas = Mapping[Any, dict[str, Any]]
"""References to a model's schema, by (model, "validation")."""


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """An OpenAPI 3.1 document of these endpoints."""
    models = {model for route in routes for model in (route.body, route.answer) if model is not None}
    schemas, definitions = models_json_schema(
        [
            (model, "validation")
            for model in sorted(models, key=lambda each: (each.__module__, each.__name__))
        ],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        # some platforms are answered with and without a last slash: that is one endpoint
        operations = paths.setdefault(PATH_PARAMETER.sub(r"{\1}", route.path.rstrip("/")), {})
        for method in route.methods:
            if method == "OPTIONS":  # a browser's own question, no endpoint
                continue
            operations[method.lower()] = _operation(route, method, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Yingda", "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {"apiKey": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, method: str, schemas: Schemas) -> dict[str, Any]:
    name = re.sub(r"[^a-z0-9]+", "_", route.path.lower()).strip("_")
    answered: dict[str, Any] = {"description": "Answered"}
    if route.answer is not None:
        answered["content"] = {route.content_type: {"schema": schemas[route.answer, "validation"]}}
    elif route.content_type != "application/json":
        answered["content"] = {route.content_type: {"schema": {"type": "string"}}}
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": f"{method.lower()}_{name}",
        "responses": {
            "200": answered,
            "default": {"description": "Refused, in the platform's own error shape"},
        },
    }
    if parameters := [*_path_parameters(route), *_query_parameters(route)]:
        operation["parameters"] = parameters
    if route.tag:
        operation["tags"] = [route.tag]
    if route.body is not None and method != "GET":
        body = {"application/json": {"schema": schemas[route.body, "validation"]}}
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in PATH_PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    shape = route.query.model_json_schema()
    required = shape.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": schema}
        for name, schema in shape["properties"].items()
    ]
