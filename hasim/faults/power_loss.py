"""A power loss: several things go dark in one instant, and what was not yet on a disk is gone."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World
from hasim.faults.names import Names, together
from hasim.units import Seconds


class PowerLoss(Declared):
    """Cut the power of several things at once, and give it back after a while.

    A crash of the process leaves what it wrote in the page cache; a power loss keeps only what was synced.
    Source: Pillai et al., All File Systems Are Not Created Equal (OSDI 2014).
    """

    targets: Names = Field(description="Names of the hosts, domains, members or parts that go dark together.")
    at: Seconds = Field(description="When the power fails.")
    lasting: Seconds = Field(gt=0, description="How long they stay dark.")

    def __init__(self, *targets: str, **data: Any) -> None:
        super().__init__(**(together("targets", targets, data) if targets else data))

    def script(self, world: World) -> Script:
        """Wait, cut the power, give it back."""
        yield self.at
        with world.powered_off(self.targets):
            yield self.lasting
