"""A clock jump: a clock is suddenly elsewhere."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class ClockJump(Declared):
    """Set the clocks of a host, domain or member forward or back in one step, and put them right after a while.

    That is what a mistaken administrator or time server does. Source: Mills et al., RFC 5905 (2010): a client that
    is off by more than 128 ms steps its clock instead of slewing it.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    by: Seconds = Field(gt=0, description="How far it jumps.")
    back: bool = Field(default=False, description="Backwards instead of forwards.")
    at: Seconds = Field(description="When it jumps.")
    lasting: Seconds = Field(gt=0, description="How long until it is put right.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing whose clocks jump."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, jump, jump back."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.jump_clock(node, -self.by if self.back else self.by) for node in nodes):
            yield self.lasting
