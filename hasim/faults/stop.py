"""A stop on purpose: a notice, then the process is asked to leave, or killed, and stays away for a while."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds


class Stop(Declared):
    """Stop some servers, or members of a protocol, as an operator or an upgrade does, and start them again.

    First, for `notice`, their checks fail while they serve, so that balancers take them out. Then, if `graceful`, they
    close their listener and finish what they have (SIGTERM), at most for their grace period; else they die at once.
    A candidate for a lease that leads gives it back, if its lease says `release`.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    at: Seconds = Field(description="When its checks begin to fail.")
    notice: Seconds = Field(default=0.0, ge=0, description="From then to the stop itself.")
    lasting: Seconds = Field(gt=0, description="From the stop to the start of the next process.")
    graceful: bool = Field(default=True, strict=True, description="Whether what is under way is finished.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing that is stopped."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, give notice, stop, start again."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        if self.notice:
            with all_held(world.unready(node) for node in nodes):
                yield self.notice
        ways = [world.gracefully(nodes)] if self.graceful else []
        # A host goes on when its servers stop.
        with all_held([*ways, *(world.held_down(node, "stop") for node in nodes)]):
            yield self.lasting
