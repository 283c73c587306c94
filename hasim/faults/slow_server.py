"""A slow server: alive, checked as healthy, and many times slower than it should be."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class SlowServer(Declared):
    """Let requests that begin on some servers meanwhile take `factor` times as long; health checks stay good.

    A bad disk, a noisy neighbour, a cold cache or a throttled processor: gray failure, which balancers that only ask
    whether a server lives do not see. Source: Huang et al., Gray Failure (HotOS 2017).
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    factor: float = Field(ge=1e-6, le=1e6, description="How many times as long a request takes.")
    at: Seconds = Field(description="When it becomes slow.")
    lasting: Seconds = Field(gt=0, description="How long it stays slow.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing that is slow."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, slow all its servers down, let them go."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.slowed(node, self.factor) for node in nodes):
            yield self.lasting
