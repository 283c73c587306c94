"""Fields that hold one of several kinds: an object, a mapping with its kind, or something short that means one.

`policy: {kind: random}`, `policy: random` and `policy=ha.Random()` are the same. A union of kinds is written as

    AnyColour = Annotated[
        Annotated[Red, Tag("kind=red")]
        | Annotated[Blue, Tag("kind=blue")]
        | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Colour]]], Tag("kind=instance")],
        Discriminator(tag_of(Colour)),
        by_name("red", "blue"),
    ]

The tags stand in pydantic's paths of errors, where `hasim.declared` knows them by their "kind=".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

Read = Callable[[Any], Any]


def tag_of(abstract: type) -> Callable[[Any], str]:
    """Return the function that tells the tag of a value: "kind=instance" for an object, "kind=red" for a mapping.

    An object is one of any class that derives from `abstract`. Anything else gets a tag that no kind has.
    """

    def tag(value: Any) -> str:
        if isinstance(value, abstract):
            return "kind=instance"
        kind = value.get("kind") if isinstance(value, Mapping) else None
        return "kind=?" if kind == "instance" else f"kind={kind}"

    return tag


class InShort:
    """An annotation of a union of kinds: what is given in short is spelled out before it is read."""

    def __init__(self, spelled_out: Read, *forms: dict[str, Any]) -> None:
        """Take what turns the short form into a mapping, and lets all else through; `forms` are JSON Schemas of it."""
        self.spelled_out = spelled_out
        self.forms = forms

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Read what was spelled out."""
        return core_schema.no_info_before_validator_function(self.spelled_out, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Put the short forms beside the mappings, which must say their kind."""
        kinds = [{**kind, "required": ["kind"]} for kind in handler(schema)["oneOf"]]
        return {"anyOf": [*self.forms, {"oneOf": kinds}]}


def by_name(*kinds: str) -> InShort:
    """Return the annotation by which a bare name is that kind with its defaults: `random` is `{kind: random}`."""
    return InShort(_named, {"enum": list(kinds)})


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value
