"""Names in a fault: one or several hosts, domains, parts or members, each named once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from hasim.declared import shown
from hasim.errors import ModelError

Name = Annotated[str, Field(min_length=1)]
"""A pydantic field holding the name of one thing."""


def _names(value: Any) -> tuple[Any, ...]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, list | tuple | set | frozenset):
        raise ValueError(f"got {shown(value)}; give a name or a list of names")
    names = tuple(sorted(names)) if isinstance(names, set | frozenset) else tuple(names)
    if not names:
        raise ValueError("is empty; name at least one host, domain or member")
    twice = first_twice(names)
    if twice is not None:
        raise ValueError(f"names {twice!r} twice")
    return names


def first_twice(names: Iterable[Any]) -> Any | None:
    """The first name that stands there for the second time, if any does."""
    seen: list[Any] = []
    for name in names:
        if name in seen:
            return name
        seen.append(name)
    return None


def together(field: str, given: object, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a fault, one of which was given by its place and is not among the others."""
    if field in data:
        raise ModelError(f"got {shown(given)} and {shown(data[field])}; say it once", field)
    return {field: given, **data}


def with_target(given: tuple[object, ...], data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a fault that strikes one thing, whose name may stand alone in front."""
    if len(given) > 1:
        listed = ", ".join(map(repr, given))
        raise ModelError(f"got {listed}; this fault strikes one thing, so make one for each", "target")
    return together("target", given[0], data) if given else dict(data)


Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]
"""A pydantic field holding one or several names: "etcd-1" or ["etcd-1", "etcd-2"] in; a tuple inside."""
