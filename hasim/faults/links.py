"""Which links between nodes a fault means when it names two hosts, domains or members."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.faults.fault import World
from hasim.faults.names import Name

Directed = frozenset[tuple[str, str]]
"""Pairs (sender, receiver)."""


def directed_links(world: World, first: str, second: str, one_way: bool = False) -> Directed:
    """All links from the nodes of `first` to those of `second`, and unless `one_way` also back."""
    from_nodes, to_nodes = (world.nodes_in((name,)) for name in (first, second))
    both = [node for node in from_nodes if node in to_nodes]
    if both:
        raise ModelError(f"{both[0]} stands at both ends, in {first} and in {second}; a link has two ends")
    there = {(a, b) for a in from_nodes for b in to_nodes}
    return frozenset(there if one_way else there | {(b, a) for a, b in there})


def two_ends(ends: tuple[str, str]) -> tuple[str, str]:
    """Refuse a link from a thing to itself."""
    if ends[0] == ends[1]:
        raise ValueError(f"both ends are {ends[0]!r}; a link has two ends")
    return ends


def _pair(value: Any) -> Any:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"got {shown(value)}; a link has two ends, like 'etcd-1', 'etcd-2'")
    return tuple(value)


Link = Annotated[tuple[Name, Name], BeforeValidator(_pair), AfterValidator(two_ends)]
"""A pydantic field holding a link: the names of the two things at its ends."""
