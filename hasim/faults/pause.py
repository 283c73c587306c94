"""A pause: a process stops dead for a while and does not know it."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class Pause(Declared):
    """Freeze everything that runs on a host, in a domain or as a member, then let it go on as if nothing were.

    That is what SIGSTOP, a long garbage collection or the migration of a virtual machine does: connections stay
    up, messages queue in the kernel, and on waking the process believes its old clock for a moment. It hits the
    processes that run: one that is started meanwhile is free.
    Source: Kingsbury, Jepsen: etcd 3.4.3 (2020), where pauses break locks that rest on leases.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    at: Seconds = Field(description="When it freezes.")
    lasting: Seconds = Field(gt=0, description="How long it stays frozen.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing that freezes."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, freeze all its nodes, let them go on."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.paused(node) for node in nodes):
            yield self.lasting
