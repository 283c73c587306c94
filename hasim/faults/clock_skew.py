"""A skewed clock: it runs too fast or too slow."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class ClockSkew(Declared):
    """Let the clocks of a host, domain or member run at another rate, then at the right one again.

    What a clock gained or lost meanwhile stays. Raft needs no clock to be safe; a lease does. A clock that is wrong by
    more than a hundredfold is not skewed but broken, and costs a simulation that many times the timers.
    Source: Corbett et al., Spanner (OSDI 2012), which takes clocks to drift by at most 200 microseconds a second.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    rate: float = Field(
        ge=0.01, le=100, allow_inf_nan=False, strict=True, description="Seconds it counts in one: 1.1 is 10 % fast."
    )
    at: Seconds = Field(description="When it begins to run wrong.")
    lasting: Seconds = Field(gt=0, description="How long until it runs right again.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @field_validator("rate")
    @classmethod
    def _is_wrong(cls, value: float) -> float:
        if value == 1:
            raise ValueError("got 1; a clock that counts a second a second is not skewed")
        return value

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing whose clocks run wrong."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, change the rate, put it right."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.clock_rate(node, self.rate) for node in nodes):
            yield self.lasting
