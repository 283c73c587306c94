"""Lets a field take the bare name of a kind where it takes a mapping: `round_robin` for `{kind: round_robin}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema


class ByName:
    """An annotation of a union of kinds: a text is read as the kind of that name, with its defaults."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.kinds = kinds

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(_spelled_out, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"enum": list(self.kinds)}, handler(schema)]}


def tag(value: Any, made: type) -> str:
    """The tag of a value in a union of kinds: "kind=instance" for an object, "kind=pool" for a mapping of that kind."""
    if isinstance(value, made):
        return "kind=instance"
    kind = value.get("kind") if isinstance(value, Mapping) else None
    return f"kind={kind}" if kind != "instance" else "kind=?"


def _spelled_out(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value
