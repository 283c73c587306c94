"""A one-way cut: messages get lost in one direction and pass in the other."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from hasim.declared import Declared
from hasim.errors import ModelError
from hasim.faults.fault import Script, World
from hasim.faults.links import directed_links, two_ends
from hasim.faults.names import Name, together
from hasim.faults.verdict import Cut
from hasim.units import Seconds


class OneWay(Declared):
    """Lose everything that goes from one thing to another, while the way back is open, then heal.

    `OneWay("etcd-1", "etcd-2", …)`: etcd-1 cannot reach etcd-2. A leader that still sends but hears nothing is
    the classic victim. Source: Alquraan et al., An Analysis of Network-Partitioning Failures in Cloud Systems
    (OSDI 2018), where it is called a simplex partition.
    """

    src: Name = Field(description="Host, domain or member whose messages get lost.")
    dst: Name = Field(description="Host, domain or member that they do not reach.")
    at: Seconds = Field(description="When the direction is cut.")
    lasting: Seconds = Field(gt=0, description="How long until it heals.")

    def __init__(self, *ends: str, **data: Any) -> None:
        if len(ends) > 2:
            raise ModelError(f"got {', '.join(map(repr, ends))}; one direction has a sender and a receiver", "src")
        for name, end in zip(("src", "dst"), ends, strict=False):
            data = together(name, end, data)
        super().__init__(**data)

    @model_validator(mode="after")
    def _has_two_ends(self) -> Self:
        two_ends(self.targets)
        return self

    @property
    def targets(self) -> tuple[str, str]:
        """Sender and receiver."""
        return (self.src, self.dst)

    def script(self, world: World) -> Script:
        """Wait, cut one direction, heal."""
        links = directed_links(world, self.src, self.dst, one_way=True)
        yield self.at
        with world.rule(Cut(lambda src, dst: (src, dst) in links)):
            yield self.lasting
