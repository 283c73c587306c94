"""What users care about: named services, when each counts as up, and what was promised."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from hasim.declared import Declared, shown
from hasim.errors import nearest
from hasim.units import Seconds, Share

Rule = Literal["all_of", "any_of", "at_least"]
_UP_SCHEMA = {
    "description": "Parts (or hosts, domains, members) that must be up: a list (all of them), or one rule.",
    "anyOf": [
        {"type": "string"},
        {"type": "array", "minItems": 1},
        {
            "type": "object",
            "properties": {
                "all_of": {"type": "array", "minItems": 1},
                "any_of": {"type": "array", "minItems": 1},
                "at_least": {"type": "integer", "minimum": 1},
                "of": {"type": "array", "minItems": 1},
            },
            "additionalProperties": False,
        },
    ],
}


class Up(Declared):
    """A condition over names: all of them, any of them, or at least k of them, nested as needed."""

    rule: Rule
    of: tuple[str | Up, ...]
    k: int = 0

    def names(self) -> Iterator[str]:
        """Every name in the condition, in order."""
        for item in self.of:
            if isinstance(item, Up):
                yield from item.names()
            else:
                yield item

    def to_plain(self) -> Any:
        """The form that a model file has."""
        items = [item.to_plain() if isinstance(item, Up) else item for item in self.of]
        if self.rule == "all_of":
            return items
        return {"any_of": items} if self.rule == "any_of" else {"at_least": self.k, "of": items}


def parse_up(value: Any) -> Up:
    """Read a condition: [lb, api] or {any_of: [a, b]} or {at_least: 2, of: [a, b, c]}."""
    if isinstance(value, Up):
        return value
    if isinstance(value, str):
        return Up(rule="all_of", of=(value,))
    if isinstance(value, list | tuple):
        return _rule("all_of", value, 0)
    if not isinstance(value, Mapping):
        raise ValueError(f"got {shown(value)}; give part names, like [lb, apiserver]")
    keys = set(value)
    if keys == {"at_least", "of"}:
        k = value["at_least"]
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"at_least: got {shown(k)}; give a whole number from 1 to the number of names")
        return _rule("at_least", value["of"], k)
    for rule in ("all_of", "any_of"):
        if keys == {rule}:
            return _rule(rule, value[rule], 0)
    odd = next((str(key) for key in value if key not in ("all_of", "any_of", "at_least", "of")), "")
    raise ValueError(
        f"got {shown(value)}; write one of all_of: […], any_of: […], at_least: k with of: […]"
        + nearest(odd, ["all_of", "any_of", "at_least", "of"])
    )


def _rule(rule: Rule, items: Any, k: int) -> Up:
    if isinstance(items, str):
        items = [items]
    if not isinstance(items, list | tuple) or not items:
        raise ValueError(f"got {shown(items)}; name at least one part that must be up")
    if k > len(items):
        raise ValueError(f"at_least: got {k}, but only {len(items)} are named")
    return Up(rule=rule, of=tuple(item if isinstance(item, str) else parse_up(item) for item in items), k=k)


class SLO(Declared):
    """A promise: the share of a window during which the service is up."""

    availability: Share = Field(gt=0, lt=1, description="Promised share of time, like 99.95%.")
    window: Seconds = Field(
        default=30 * 86400.0, gt=0, description="Window over which it is judged; 30 days unless said."
    )

    @property
    def budget_s(self) -> float:
        """Down time allowed in a window, in seconds."""
        return (1 - self.availability) * self.window


class Service(Declared):
    """A named service; without an SLO it is best effort."""

    up: Annotated[Up, BeforeValidator(parse_up), WithJsonSchema(_UP_SCHEMA)] = Field(
        description="What must be up for the service to be up."
    )
    slo: SLO | None = Field(default=None, description="What was promised; left out: best effort.")

    @model_validator(mode="before")
    @classmethod
    def _bare_condition(cls, data: Any) -> Any:
        bare = isinstance(data, list | str | Up)
        rule = isinstance(data, Mapping) and bool(data) and set(data) <= {"all_of", "any_of", "at_least", "of"}
        return {"up": data} if bare or rule else data

    @model_validator(mode="after")
    def _window_not_below_a_second(self) -> Self:
        if self.slo is not None and self.slo.window < 1:
            raise ValueError(f"an SLO window of {self.slo.window:g} s is too short to judge anything")
        return self
