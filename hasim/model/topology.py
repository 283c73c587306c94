"""Where things stand: failure domains nested freely, with hosts as leaves.

A topology is a tree. Its levels are region, zone, rack and host, in any nesting and any of them may be left out;
whatever stands in a domain is down while the domain is down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, field_validator, model_validator

from hasim.declared import Declared
from hasim.errors import nearest

if TYPE_CHECKING:
    import networkx

LEVELS = ("region", "zone", "rack", "host")


class Domain(Declared):
    """A failure domain and what it contains; an empty one is a host's whole content."""

    regions: dict[str, Domain] = Field(default={}, description="Regions by name.")
    zones: dict[str, Domain] = Field(default={}, description="Availability zones by name.")
    racks: dict[str, Domain] = Field(default={}, description="Racks by name.")
    hosts: tuple[str, ...] = Field(default=(), description="Names of the hosts that stand directly here.")

    @field_validator("hosts", mode="before")
    @classmethod
    def _hosts_are_a_list(cls, value: Any) -> Any:
        if isinstance(value, str):
            raise ValueError(f"got {value!r}; hosts is a list of names, like [cp-1, cp-2]")
        return value

    @field_validator("regions", "zones", "racks", mode="before")
    @classmethod
    def _domains_are_a_mapping(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            raise ValueError(
                f"got a list; write a mapping from name to content, like {{{value[0]}: {{hosts: [h1]}}}}"
                if value and isinstance(value[0], str)
                else "got a list; write a mapping from name to content"
            )
        return value

    def children(self) -> Iterator[tuple[str, str, Domain]]:
        """(level, name, domain) of everything directly inside, hosts last."""
        for level, group in (("region", self.regions), ("zone", self.zones), ("rack", self.racks)):
            for name, domain in group.items():
                yield level, name, domain
        for name in self.hosts:
            yield "host", name, EMPTY

    def walk(self, path: tuple[str, ...] = ()) -> Iterator[tuple[str, tuple[str, ...]]]:
        """(level, path) of every domain and host below, outer ones first; a path ends with the thing's own name."""
        for level, name, domain in self.children():
            yield level, (*path, name)
            yield from domain.walk((*path, name))


EMPTY = Domain()


class Topology(Domain):
    """The whole tree; names are unique over all levels."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        seen: dict[str, str] = {}
        for level, path in self.walk():
            if path[-1] in seen:
                raise ValueError(
                    f"the name {path[-1]!r} stands twice (as {seen[path[-1]]} and as {level}); "
                    "every domain and host needs a name of its own"
                )
            seen[path[-1]] = level
        return self

    def paths(self) -> dict[str, tuple[str, ...]]:
        """The path from the outermost domain to each domain and host, by name, in order of declaration."""
        return {path[-1]: path for _, path in self.walk()}

    def levels(self) -> dict[str, str]:
        """The level of each domain and host, by name."""
        return {path[-1]: level for level, path in self.walk()}

    def all_hosts(self) -> list[str]:
        """Host names in order of declaration."""
        return [path[-1] for level, path in self.walk() if level == "host"]

    def hosts_in(self, name: str) -> list[str]:
        """The hosts inside a domain, or the host itself; KeyError with the nearest match for an unknown name."""
        paths = self.paths()
        if name not in paths:
            raise KeyError(f"unknown host or domain {name!r}{nearest(name, paths)}")
        levels = self.levels()
        return [host for host, path in paths.items() if name in path and levels[host] == "host"]

    def at_level(self, level: str) -> list[str]:
        """Names of everything at one level, in order of declaration."""
        return [name for name, its_level in self.levels().items() if its_level == level]

    def graph(self) -> networkx.DiGraph[str]:
        """The tree as a networkx graph from container to content, each node with its `level`."""
        import networkx

        graph: networkx.DiGraph[str] = networkx.DiGraph()
        for level, path in self.walk():
            graph.add_node(path[-1], level=level)
            if len(path) > 1:
                graph.add_edge(path[-2], path[-1])
        return graph
