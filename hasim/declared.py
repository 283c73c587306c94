"""What every declared thing has in common: frozen, comparable, strict about its fields, and clear about mistakes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hasim.errors import ModelError, Problem, nearest

Loc = tuple[str | int, ...]


class Declared(BaseModel):
    """A frozen value that is checked when it is made; every mistake in it is named at once in a ModelError."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=False)

    def __init__(self, /, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise ModelError.of(problems(error, type(self))) from None


def problems(error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """Pydantic's findings in hasim's words: the path, what was given, what is allowed, the nearest match."""
    found: dict[Problem, None] = {}
    for detail in error.errors(include_url=False):
        for problem in _translate(detail, model):
            found[problem] = None
    hollow = [problem for problem in found if problem.message.endswith(_KINDS_OF_VALUE["too_short"])]
    for problem in hollow:  # a list of which every item was wrong counts as empty; what was wrong says more
        if any(other.loc[: len(problem.loc)] == problem.loc != other.loc for other in found):
            del found[problem]
    return list(found)


def at(loc: Sequence[str | int], message: str) -> Problem:
    """A problem at a location inside the declared thing."""
    return Problem(path=path_text(loc), message=message, loc=tuple(loc))


def path_text(loc: Sequence[str | int]) -> str:
    """The location as one reads it: parts.etcd.members, failures.host[1].mttr."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f"{'.' if text else ''}{step}"
    return text


def _translate(detail: ErrorDetails, model: type[BaseModel]) -> list[Problem]:
    loc = tuple(step for step in detail["loc"] if not (isinstance(step, str) and step.startswith("kind=")))
    cause = detail.get("ctx", {}).get("error")
    if isinstance(cause, ModelError):
        return [at((*loc, *problem.loc), problem.message) for problem in cause.problems]
    given, kind = detail.get("input"), detail["type"]
    if kind == "extra_forbidden":
        allowed = list(model.model_fields)
        return [at(loc, f"unknown key; allowed here: {', '.join(allowed)}{nearest(str(loc[-1]), allowed)}")]
    if kind == "missing":
        field = model.model_fields.get(str(loc[-1]))
        said = f": {field.description}" if field is not None and field.description else ""
        return [at(loc, f"is missing and has no default{said}")]
    if kind == "value_error":
        return [at(loc, str(cause))]
    if kind == "union_tag_invalid":
        return [_of_no_kind(loc, given, str(detail.get("ctx", {}).get("expected_tags", "")))]
    return [at(loc, f"got {shown(given)}; {_expected(detail, model)}")]


def _of_no_kind(loc: Loc, given: object, expected: str) -> Problem:
    """A part whose kind is missing or unknown; `expected` lists the tags, like "'kind=pool', 'kind=unit'"."""
    kinds = [kind for kind in re.findall(r"'kind=(\w+)'", expected) if kind != "instance"]
    allowed = f"kinds are {', '.join(kinds)}"
    if not isinstance(given, Mapping):
        return at(loc, f"got {shown(given)}; write a mapping with a kind, like {{kind: {kinds[0]}, …}}; {allowed}")
    if given.get("kind") is None:
        return at(loc, f"has no kind; {allowed}")
    word = given["kind"]
    return at((*loc, "kind"), f"got {shown(word)}; {allowed}{nearest(str(word), kinds)}")


def _expected(detail: ErrorDetails, model: type[BaseModel]) -> str:
    """What would have been right, in words that need no knowledge of pydantic."""
    kind, ctx = detail["type"], detail.get("ctx", {})
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", ctx["expected"])
        return f"allowed is {ctx['expected']}{nearest(str(detail.get('input')), words)}"
    if kind in _KINDS_OF_VALUE:
        return _KINDS_OF_VALUE[kind]
    if kind in _NUMBERS:
        field = model.model_fields.get(str(detail["loc"][0])) if detail["loc"] else None
        number = "a whole number" if field is not None and "int" in str(field.annotation) else "a number"
        return f"give {number}{_range([] if field is None else _bounds(field))}"
    return _lowered(detail["msg"])


_KINDS_OF_VALUE = {
    "dict_type": "give a mapping, like {name: …}",
    "model_type": "give a mapping of its fields",
    "model_attributes_type": "give a mapping of its fields",
    "list_type": "give a list, like [a, b]",
    "tuple_type": "give a list, like [a, b]",
    "string_type": "give a text",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "too_short": "name at least one",
    "string_too_short": "give a text that is not empty",
}
_NUMBERS = (
    *("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"),
    *("int_type", "int_parsing", "int_parsing_size", "int_from_float", "float_type", "float_parsing"),
)


def _bounds(field: FieldInfo) -> list[object]:
    """A field's metadata, and that of the one choice of `X | None` that has some."""
    choices = [choice for choice in get_args(field.annotation) if get_origin(choice) is Annotated]
    inner = [item for choice in choices[:1] for item in choice.__metadata__] if len(choices) == 1 else []
    return [*field.metadata, *(part for item in inner for part in getattr(item, "metadata", [item]))]


def _range(metadata: Sequence[object]) -> str:
    """What the bounds in a field's metadata allow: " from 1 to 99", " of at least 1", " above 0"."""
    bounds = {
        name: getattr(item, name) for item in metadata for name in ("ge", "gt", "le", "lt") if hasattr(item, name)
    }
    if "ge" in bounds and "le" in bounds:
        return f" from {bounds['ge']} to {bounds['le']}"
    words = {"ge": "of at least", "gt": "above", "le": "of at most", "lt": "below"}
    said = [f"{words[name]} {bound:g}" for name, bound in bounds.items() if bound is not None]
    return f" {' and '.join(said)}" if said else ""


def shown(value: object) -> str:
    """What was given, short enough for one line."""
    if value is None:
        return "nothing"
    text = repr(dict(value)) if isinstance(value, Mapping) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _lowered(message: str) -> str:
    return message[:1].lower() + message[1:]
