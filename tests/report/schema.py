"""JSON documents against schemas, by the library jsonschema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

import pvhspec.report

SCHEMAS = Path(pvhspec.report.__file__).parent / "schema"


def problems(value: Any, name: str) -> list[str]:
    """What is wrong with a report. A field that its schema does not name is wrong, too: a reader
    may pass over it, but the schema is no longer what is written."""
    schemas = {path.name: _closed(json.loads(path.read_text())) for path in SCHEMAS.glob("*.json")}
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas.values()
    )
    Draft202012Validator.check_schema(schemas[name])
    checker = Draft202012Validator(schemas[name], registry=registry)
    return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(value)]


def _closed(schema: Any) -> Any:
    """The schema with every object that names its fields closed to others."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "type" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
