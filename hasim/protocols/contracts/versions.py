"""Names of versions, and who can talk to whom, as one writes them in a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from hasim.declared import at, shown
from hasim.errors import ModelError, nearest


def _version(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError(f"got the number {value!r}; write versions in quotes: 1.30 without them is 1.3")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value != value.strip():
        raise ValueError(f"got {value!r}; a version has no blanks around it")
    return value


Version = Annotated[str, BeforeValidator(_version), Field(min_length=1)]
"""A pydantic field holding the name of a version: "1.4", "blue"; a whole number is taken as its text."""


def _pairs(value: Any) -> Any:
    """Pairs [["1", "1"], ["1", "2"]] become the mapping {"1": ["1", "2"]}; a mapping stays, one version is a list."""
    if isinstance(value, Mapping):
        return {key: (item,) if isinstance(item, str | int | float) else item for key, item in value.items()}
    if not isinstance(value, list | tuple | set | frozenset):
        raise ValueError(
            f"got {shown(value)}; give a mapping from a caller's version to the server's versions, or a list of pairs"
        )
    gathered: dict[Any, list[Any]] = {}
    for number, pair in enumerate(value if isinstance(value, list | tuple) else sorted(value)):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            said = f"got {shown(pair)}; a pair is [a version of the caller, a version of the server]"
            raise ModelError.of([at((number,), said)])
        gathered.setdefault(pair[0], []).append(pair[1])
    return gathered


Pairs = Annotated[dict[Version, tuple[Version, ...]], BeforeValidator(_pairs)]
"""A pydantic field holding pairs of versions: {"1": ["1", "2"]} or [["1", "1"], ["1", "2"]] in; a mapping inside."""


def known(name: str, names: Iterable[str], field: str, what: str = "versions") -> str:
    """Return the name if it is one of these; else say in a ModelError which there are, and `what` they are."""
    allowed = tuple(names)
    if name not in allowed:
        listed = ", ".join(allowed) or "none"
        raise ModelError(f"got {shown(name)}; {what} are {listed}{nearest(str(name), allowed)}", field)
    return name
