"""A partition: groups of nodes that cannot reach one another, both ways."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from hasim.declared import Declared, shown
from hasim.errors import ModelError
from hasim.faults.fault import Script, World
from hasim.faults.names import Names, first_twice
from hasim.faults.verdict import Cut
from hasim.units import Seconds


def _as_groups(value: Any) -> Any:
    if isinstance(value, str) or not isinstance(value, list | tuple):
        raise ValueError(f"got {shown(value)}; give a list of groups, like [['etcd-1', 'etcd-2'], ['etcd-3']]")
    return tuple(value)


class Partition(Declared):
    """Cut groups of nodes off from everybody else, or two groups from each other, then heal.

    `Partition("etcd-1", "etcd-2", …)` cuts one group off, `sides=[[…], […]]` each of several. With `between=(a, b)`
    only those two do not reach each other, and a third group reaches both: a partial partition.
    Messages sent meanwhile are lost, or delayed by a transport that sends again. Clients still reach every node.
    Source: Gilbert & Lynch, Brewer's Conjecture (2002); Alquraan et al., An Analysis of Network-Partitioning
    Failures in Cloud Systems (OSDI 2018), for the partial kind.
    """

    sides: Annotated[tuple[Names, ...], BeforeValidator(_as_groups)] = Field(
        default=(), description="Groups of hosts, domains or members, each cut off from everything outside it."
    )
    between: Annotated[tuple[Names, Names], BeforeValidator(_as_groups)] | None = Field(
        default=None, description="Two groups cut off from each other alone."
    )
    at: Seconds = Field(description="When the network splits.")
    lasting: Seconds = Field(gt=0, description="How long until it heals.")

    def __init__(self, *side: str, **data: Any) -> None:
        if side and "sides" in data:
            raise ModelError("say either one side by its names or `sides`, not both", "sides")
        super().__init__(**({"sides": (side,)} if side else {}), **data)

    @model_validator(mode="after")
    def _sides_lie_apart(self) -> Self:
        if (not self.sides) == (self.between is None):
            said = "both" if self.sides else "neither"
            raise ValueError(f"got {said} of sides and between; a partition takes exactly one of them")
        twice = first_twice(self.targets)
        if twice is not None:
            raise ValueError(f"{twice!r} is on two sides; sides lie apart")
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """Everything that is named on any side."""
        return tuple(name for group in self._groups() for name in group)

    def _groups(self) -> tuple[tuple[str, ...], ...]:
        return self.sides if self.between is None else self.between

    def script(self, world: World) -> Script:
        """Wait, split, heal."""
        side_of: dict[str, int] = {}  # all others are on side 0
        for number, group in enumerate(self._groups(), start=1):
            for node in world.nodes_in(group):
                if node in side_of:
                    raise ModelError(f"{node} stands on two sides of a partition of {', '.join(self.targets)}")
                side_of[node] = number
        partial = self.between is not None

        def apart(src: str, dst: str) -> bool:
            one, other = side_of.get(src, 0), side_of.get(dst, 0)
            return one != other and not (partial and one * other == 0)

        yield self.at
        with world.rule(Cut(apart)):
            yield self.lasting
