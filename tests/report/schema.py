"""As much of JSON Schema as the schemas here use; anything else in one is an error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
}  # fmt: skip
_KNOWN = {
    "$schema", "$defs", "$ref", "title", "description", "type", "required", "properties",
    "additionalProperties", "items", "enum", "const", "anyOf", "minimum",
}  # fmt: skip


def problems(value: Any, schema: dict[str, Any], root: dict[str, Any], at: str) -> Iterator[str]:
    """What is wrong with a value."""
    unknown = set(schema) - _KNOWN
    assert not unknown, f"this validator does not know {unknown}"
    if "$ref" in schema:
        yield from problems(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root, at)
        return
    if "anyOf" in schema:
        found = [list(problems(value, s, root, at)) for s in schema["anyOf"]]
        if all(found):
            yield from min(found, key=len)
        return
    if "const" in schema and value != schema["const"]:
        yield f"{at}: {value!r} is not {schema['const']!r}"
    if "enum" in schema and value not in schema["enum"]:
        yield f"{at}: {value!r} is none of {schema['enum']}"
    if "minimum" in schema and value < schema["minimum"]:
        yield f"{at}: {value} is too small"
    kinds = schema.get("type")
    if kinds is not None:
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not any(_is(value, kind) for kind in kinds):
            yield f"{at}: {value!r} is no {' or '.join(kinds)}"
            return
    if isinstance(value, dict):
        yield from _object(value, schema, root, at)
    elif isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            yield from problems(item, schema["items"], root, f"{at}[{i}]")


def _is(value: Any, kind: str) -> bool:
    if kind == "integer":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, _TYPES[kind])


def _object(
    value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], at: str
) -> Iterator[str]:
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{at}: {name} is missing"
    named = schema.get("properties", {})
    for name, item in value.items():
        if name in named:
            yield from problems(item, named[name], root, f"{at}.{name}")
        elif "additionalProperties" in schema:
            yield from problems(item, schema["additionalProperties"], root, f"{at}.{name}")
        elif named:
            yield f"{at}: {name} is not in the schema"
