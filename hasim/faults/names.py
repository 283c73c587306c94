"""Names in a fault: one or several hosts, domains, parts or members, each named once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from hasim.declared import shown

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


Names = Annotated[tuple[Name, ...], BeforeValidator(_names)]
"""A pydantic field holding one or several names: "etcd-1" or ["etcd-1", "etcd-2"] in; a tuple inside."""
