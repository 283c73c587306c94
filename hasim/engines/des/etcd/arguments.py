"""What somebody may give to a simulated etcd cluster, checked: lengths of time, laws, revisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hasim.errors import ModelError
from hasim.model.laws import Law
from hasim.model.laws.reading import parse_law
from hasim.units import seconds


def laws(latencies: Mapping[Any, Any] | None) -> dict[tuple[str, str], Law]:
    """Latencies by pairs of members or zones, as laws."""
    found: dict[tuple[str, str], Law] = {}
    for pair, value in (latencies or {}).items():
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ModelError(f"got {pair!r}; latencies are by pairs of members or zones", "latencies")
        try:
            found[pair] = parse_law(value)
        except ValueError as error:
            raise ModelError(str(error), f"latencies[{', '.join(map(str, pair))}]") from None
    return found


def length_of(text: Any, path: str = "duration") -> float:
    """A length of time in seconds, from a text with its unit."""
    try:
        length = seconds(text)
    except (ValueError, TypeError) as error:
        raise ModelError(str(error), path) from None
    if length <= 0:
        raise ModelError(f"got {text!r}; time only passes forward", path)
    return length


def revision_of(number: Any) -> int:
    """A revision of the store."""
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ModelError(f"got {number!r}; a revision is a whole number of at least 1", "revision")
    return number
