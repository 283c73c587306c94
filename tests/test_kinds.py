"""A field of several kinds takes objects, mappings and short forms, and says what it would have taken."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import Discriminator, InstanceOf, SerializeAsAny, Tag
from pydantic.json_schema import SkipJsonSchema

from hasim.declared import Declared
from hasim.errors import ModelError
from hasim.kinds import InShort, by_name, tag_of


class Colour(Declared):
    """Any colour."""


class Red(Colour):
    """Red, of some depth."""

    kind: Literal["red"] = "red"
    depth: int = 1


class Blue(Colour):
    """Blue."""

    kind: Literal["blue"] = "blue"


class Mine(Colour):
    """A colour that no file can hold."""

    name: str


Union = Annotated[
    Annotated[Red, Tag("kind=red")]
    | Annotated[Blue, Tag("kind=blue")]
    | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Colour]]], Tag("kind=instance")],
    Discriminator(tag_of(Colour)),
]


def _of_depth(value: Any) -> Any:
    return {"kind": "red", "depth": value} if isinstance(value, int) else value


class Paint(Declared):
    """Two fields that hold colours."""

    named: Annotated[Union, by_name("red", "blue")] = Blue()
    deep: Annotated[Union, InShort(_of_depth, {"type": "integer"})] = Blue()


GOOD = [
    ({"named": "red"}, Red()),
    ({"named": {"kind": "red", "depth": 3}}, Red(depth=3)),
    ({"named": {"kind": "blue"}}, Blue()),
    ({"deep": 4}, Red(depth=4)),
    ({"deep": {"kind": "blue"}}, Blue()),
]
BAD = [
    ({"named": "rid"}, "named.kind: got 'rid'; kinds are red, blue; did you mean 'red'?"),
    ({"named": {"depth": 3}}, "named: has no kind; kinds are red, blue"),
    ({"named": {"kind": "instance"}}, "named.kind: got 'instance'; kinds are red, blue"),
    ({"named": 3}, "named: got 3; write a mapping with a kind, like {kind: red, …}; kinds are red, blue"),
    ({"named": {"kind": "blue", "depth": 3}}, "named.depth: unknown key; allowed here: kind"),
    ({"deep": "red"}, "deep: got 'red'; write a mapping with a kind, like {kind: red, …}; kinds are red, blue"),
]


@pytest.mark.parametrize(("given", "colour"), GOOD, ids=str)
def test_a_kind_is_read_from_its_name_a_mapping_or_a_short_form(given: dict[str, Any], colour: Colour) -> None:
    paint = Paint(**given)
    (field,) = given
    assert getattr(paint, field) == colour
    assert Paint(**paint.model_dump()) == paint
    jsonschema.validate(given, Paint.model_json_schema())


@pytest.mark.parametrize(("given", "said"), BAD, ids=[said for _, said in BAD])
def test_what_is_no_kind_is_refused_by_the_reader_and_by_the_schema(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError) as refusal:
        Paint(**given)
    assert str(refusal.value) == said
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(given, Paint.model_json_schema())


def test_an_object_of_any_class_is_kept_and_one_of_another_family_refused() -> None:
    paint = Paint(named=Mine(name="teal"))
    assert paint.named == Mine(name="teal") and paint.model_dump()["named"] == {"name": "teal"}
    with pytest.raises(ModelError, match=r"named: got Paint.*; write a mapping with a kind"):
        Paint(named=Paint())
