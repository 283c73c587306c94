"""Unready: a server whose health checks fail although it serves."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class Unready(Declared):
    """Let health checks of some servers fail for a while, though requests are served as ever.

    A check that asks for too much does that, and takes good servers out; a server that wants to be left alone does
    it on purpose, before it stops.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    at: Seconds = Field(description="When its checks begin to fail.")
    lasting: Seconds = Field(gt=0, description="How long they fail.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing whose checks fail."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, let the checks of all its servers fail, let them pass again."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.unready(node) for node in nodes):
            yield self.lasting
