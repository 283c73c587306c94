"""A slow disk: every sync takes longer than it should."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.delays import DelaysField
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class SlowDisk(Declared):
    """Lengthen every sync to the disks of a host, domain or member, then heal.

    A quorum keeps up with its fastest majority, so one slow disk shows only where it is the leader's. Source:
    Gunawi et al., Fail-Slow at Scale (FAST 2018); etcd's hardware guide asks for syncs below 10 ms (99th centile).
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    extra: DelaysField = Field(description="What each sync takes longer: a duration (always that long) or a law.")
    at: Seconds = Field(description="When the disk slows down.")
    lasting: Seconds = Field(gt=0, description="How long until it is itself again.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing whose disks are slow."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, slow the disks down, heal."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.slow_disk(node, self.extra) for node in nodes):
            yield self.lasting
