"""A disk stall: syncs hang, and nothing says that anything is wrong."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class DiskStall(Declared):
    """Let no sync to the disks of a host, domain or member end before the stall does.

    The process lives and answers what needs no disk; a stall longer than the election timeout costs a leader its
    office. Source: Gunawi et al., Fail-Slow at Scale (FAST 2018), where disks stop for seconds.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    at: Seconds = Field(description="When the disk stalls.")
    lasting: Seconds = Field(gt=0, description="How long until its syncs go on.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing whose disks stall."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, stall the disks, let them go on."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.stalled_disk(node) for node in nodes):
            yield self.lasting
