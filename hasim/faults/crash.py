"""A crash: something is down for a while."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class Crash(Declared):
    """Take a host, a domain, a member or a whole part down at a time, and bring it back after a while.

    A server of requests that crashes by its own name leaves a host that refuses connections at once; with its host or
    domain nothing answers, and requests wait for somebody's timeout.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    at: Seconds = Field(description="When it goes down.")
    lasting: Seconds = Field(gt=0, description="How long it stays down.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing that crashes."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, hold it down, let go."""
        yield self.at
        with world.held_down(self.target, "crash"):
            yield self.lasting
