"""Reading a law from the plain data of a model, such as "30s" or {weibull: {shape: 0.7, mean: 6083h}}."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from hasim.declared import Loc, at, shown
from hasim.errors import ModelError, Problem, nearest
from hasim.model.elections.ticks import MOST_MEMBERS
from hasim.model.laws.election import Election
from hasim.model.laws.empirical import Empirical
from hasim.model.laws.exponential import Exponential
from hasim.model.laws.fixed import Fixed
from hasim.model.laws.gamma import Gamma
from hasim.model.laws.law import Law
from hasim.model.laws.lognormal import Lognormal
from hasim.model.laws.mixture import Mixture
from hasim.model.laws.takeover import Takeover
from hasim.model.laws.total import Total
from hasim.model.laws.uniform import Uniform
from hasim.model.laws.weibull import Weibull
from hasim.units import human, s, seconds, share

LAWS: Final[dict[str, type[Law]]] = {
    "exponential": Exponential,
    "weibull": Weibull,
    "lognormal": Lognormal,
    "gamma": Gamma,
    "fixed": Fixed,
    "uniform": Uniform,
    "election": Election,
    "takeover": Takeover,
    "mixture": Mixture,
    "total": Total,
    "empirical": Empirical,
}
"""The laws that a model file can name. A law made in Python needs no name."""

_ONE_DURATION: Final = {"exponential": "mean", "fixed": "value"}  # laws that may be written {name: duration}
_EXAMPLE: Final = "write '30s' (the mean of an exponential law), {fixed: 30s}, {weibull: {shape: 0.7, mean: 90d}}, …"


def parse_law(value: object) -> Law:
    """Return the law that `value` describes.

    A law is itself; a duration is the mean of an exponential law; a mapping has one key, the name of the law,
    with its parameters. Raises ValueError (a ModelError, with paths, if parameters are wrong).
    """
    if isinstance(value, Law):
        return value
    if isinstance(value, str):
        return _from_text(value)
    if isinstance(value, (s, datetime.timedelta, int, float)):
        return _exponential(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"got {shown(value)}; {_EXAMPLE}")
    if len(value) != 1:
        keys = f"the keys {', '.join(map(str, value))}" if value else "nothing"
        raise ValueError(f"got {keys}; a law is one name with its parameters, like {{fixed: 30s}}")
    name, parameters = next(iter(value.items()))
    if name not in LAWS:
        raise ValueError(f"got {shown(name)}; laws are {', '.join(LAWS)}{nearest(str(name), LAWS)}")
    try:
        return _named(name, parameters)
    except ModelError as error:
        raise ModelError.of(at((name, *problem.loc), problem.message) for problem in error.problems) from None


def _from_text(value: str) -> Law:
    word = value.strip()
    if word and word.replace("_", "").replace("-", "").isalpha():
        match = nearest(word, LAWS)
        if match:
            raise ValueError(f"got {shown(value)}; a law needs its parameters: {_EXAMPLE}{match}")
        raise ValueError(f"got {shown(value)}; a preset is named under `preset`; as a law {_EXAMPLE}")
    return _exponential(value)


def _exponential(value: object) -> Law:
    mean = seconds(value)
    if mean == 0:
        raise ValueError(f"got {value!r}; the mean of an exponential law is above zero; write {{fixed: 0s}}")
    return Exponential(mean=s(mean))


def _named(name: str, parameters: object) -> Law:
    if name == "mixture":
        return _mixture(parameters)
    if name == "total":
        return _total(parameters)
    if isinstance(parameters, Mapping):
        law = LAWS[name]
        wrong = [key for key in parameters if not isinstance(key, str)]
        if wrong:
            raise ModelError(f"got the key {wrong[0]!r}; allowed here: {', '.join(law.model_fields)}")
        read = law(**parameters)
        if isinstance(read, Election) and read.too_slow:
            raise ModelError(
                f"got messages of up to {human(read.latency + read.jitter)} and writes of {human(read.fsync)}; "
                f"together they take at most a third of the election timeout of {human(read.election_timeout)}"
            )
        return read
    if name in _ONE_DURATION:
        return LAWS[name](**{_ONE_DURATION[name]: parameters})
    allowed = ", ".join(LAWS[name].model_fields)
    raise ModelError(f"got {shown(parameters)}; the {name} law takes a mapping of {allowed}")


def _items(value: object, example: str) -> Sequence[Any]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ModelError(f"got {shown(value)}; write a list, like {example}")
    return value


def _mixture(value: object) -> Law:
    parts: list[tuple[float, Law]] = []
    found: list[Problem] = []
    for index, item in enumerate(_items(value, "[{weight: 55%, law: 30s}, {weight: 45%, law: 10m}]")):
        if not isinstance(item, Mapping) or set(item) != {"weight", "law"}:
            found.append(at((index,), f"got {shown(item)}; write {{weight: 55%, law: 30s}}"))
            continue
        weight = _read(share, item["weight"], (index, "weight"), found)
        law = _read(parse_law, item["law"], (index, "law"), found)
        parts.append((weight, law))
    if found:
        raise ModelError.of(found)
    return Mixture(parts=tuple(parts))


def _total(value: object) -> Law:
    found: list[Problem] = []
    items = _items(value, "[{fixed: 30s}, 10m]")
    laws = [_read(parse_law, item, (index,), found) for index, item in enumerate(items)]
    if found:
        raise ModelError.of(found)
    return Total(laws=tuple(laws))


def _read(reader: Any, value: object, loc: Loc, found: list[Problem]) -> Any:
    """Read one item, adding what is wrong with it to `found` instead of stopping there."""
    try:
        return reader(value)
    except ModelError as error:
        found += [at((*loc, *problem.loc), problem.message) for problem in error.problems]
    except ValueError as error:
        found.append(at(loc, str(error)))
    return None


def _parameters(*names: str, required: tuple[str, ...] = ()) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "shape": {"type": "number", "exclusiveMinimum": 0},
        "sigma": {"type": "number", "exclusiveMinimum": 0},
        "data": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        "members": {"type": "integer", "minimum": 3, "maximum": MOST_MEMBERS},
        "down": {"type": "integer", "minimum": 1},
        "pre_vote": {"type": "boolean"},
        "check_quorum": {"type": "boolean"},
        "lease": {"type": ["object", "string"]},
        "standbys": {"type": "integer", "minimum": 0},
    }
    return {
        "type": "object",
        "properties": {name: kinds.get(name, {"type": "string"}) for name in names},
        "required": list(required),
        "additionalProperties": False,
    }


_ANY_LAW: Final = {"type": ["string", "object"]}
_WEIGHTED: Final = {
    "type": "object",
    "properties": {"weight": {"type": ["string", "number"]}, "law": _ANY_LAW},
    "required": ["weight", "law"],
    "additionalProperties": False,
}
LAW_SCHEMA: Final[dict[str, Any]] = {
    "description": "A law of a duration. A plain duration is the mean of an exponential law.",
    "examples": [
        "30s",
        {"fixed": "30s"},
        {"weibull": {"shape": 0.7, "mean": "90d"}},
        {"lognormal": {"mean": "3.3h", "median": "1h"}},
    ],
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                "exponential": {"anyOf": [{"type": "string"}, _parameters("mean", required=("mean",))]},
                "weibull": _parameters("shape", "mean", "scale", required=("shape",)),
                "lognormal": _parameters("mean", "median", "sigma"),
                "gamma": _parameters("shape", "mean", "scale", required=("shape",)),
                "fixed": {"anyOf": [{"type": "string"}, _parameters("value", required=("value",))]},
                "uniform": _parameters("low", "high", required=("low", "high")),
                "election": _parameters(*Election.model_fields, required=("members",)),
                "takeover": _parameters(*Takeover.model_fields),
                "mixture": {"type": "array", "minItems": 1, "items": _WEIGHTED},
                "total": {"type": "array", "minItems": 1, "items": _ANY_LAW},
                "empirical": _parameters("data", "source", "csv", "column", "unit"),
            },
        },
    ],
}
"""JSON Schema of every form that `parse_law` reads; `LAWS` names the same laws."""

LawField = Annotated[
    Law,
    BeforeValidator(parse_law),
    PlainSerializer(lambda law: law.to_plain()),
    WithJsonSchema(LAW_SCHEMA),
]
"""A pydantic field holding a law, in any form that `parse_law` reads."""
