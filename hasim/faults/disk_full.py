"""A full disk: nothing more can be saved."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class DiskFull(Declared):
    """Let every write to the disks of a host, domain or member fail, until there is room again.

    What a process does then is its own business: etcd ends when it cannot write its log ahead. Its quota on the
    database is another thing and trips earlier.
    Source: Rebello et al., Can Applications Recover from fsync Failures? (USENIX ATC 2020).
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    at: Seconds = Field(description="When the disk is full.")
    lasting: Seconds = Field(gt=0, description="How long until there is room again.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing whose disks are full."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, fill the disks, make room."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.full_disk(node) for node in nodes):
            yield self.lasting
