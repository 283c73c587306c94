"""A drain: balancers send a server nothing new, and what it has is finished."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class Drain(Declared):
    """Let the operator take some servers out of all balancers for a while, as before work on them.

    Requests under way are finished, and new ones go elsewhere at once, whatever the checks say (HAProxy, `set server …
    state drain`). Clients that reach servers by themselves do not notice, and sticky connections stay until they break.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    at: Seconds = Field(description="When they are taken out.")
    lasting: Seconds = Field(gt=0, description="How long they stay out.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing that is drained."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, take all its servers out, let them in again."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.drained(node) for node in nodes):
            yield self.lasting
