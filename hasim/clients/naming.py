"""A policy is given as an object, as a mapping with its kind, or by the name of its kind alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hasim.declared import Declared


def by_name(value: Any) -> Any:
    """Read a bare name as that kind with all its defaults: `full_jitter` is `{kind: full_jitter}`."""
    return {"kind": value} if isinstance(value, str) else value


def kind_tag(value: Any) -> str:
    """The tag by which pydantic finds the class of a policy; an object is taken as it is, of whatever class."""
    if isinstance(value, Declared):
        return "kind=instance"
    return f"kind={value.get('kind') if isinstance(value, Mapping) else None}"


class OrItsName:
    """Marks a union of kinds whose JSON Schema also takes a bare name, and no objects of Python."""

    def __init__(self, abstract: str, *names: str) -> None:
        """Take the name of the abstract class, which no file holds, and the names of the kinds."""
        self.abstract = abstract
        self.names = names

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Put the names beside the mappings, which must say their kind."""
        kinds = [kind for kind in handler(schema)["oneOf"] if not kind.get("$ref", "").endswith(f"/{self.abstract}")]
        return {"anyOf": [{"enum": list(self.names)}, *({**kind, "required": ["kind"]} for kind in kinds)]}
