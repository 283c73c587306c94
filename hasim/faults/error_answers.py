"""Error answers: a server that answers wrongly, and looks well."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World, all_held
from hasim.faults.names import Name, with_target
from hasim.units import Seconds, Share


class ErrorAnswers(Declared):
    """Let a share of the answers of some servers be errors (500) for a while, unseen by their health checks.

    A bad release or a lost dependency does that; only a balancer that looks at answers takes such a server out. An
    error takes as long as an answer: add a `SlowServer` with a small factor for a server that fails fast.
    """

    target: Name = Field(description="Name of a host, domain, member or part.")
    share: Share = Field(default=1.0, gt=0, description="Share of its answers that are errors.")
    at: Seconds = Field(description="When the errors begin.")
    lasting: Seconds = Field(gt=0, description="How long they go on.")

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(**with_target(target, data))

    @property
    def targets(self) -> tuple[str, ...]:
        """The one thing that answers wrongly."""
        return (self.target,)

    def script(self, world: World) -> Script:
        """Wait, let all its servers fail requests, let them go."""
        nodes = world.nodes_in(self.targets)
        yield self.at
        with all_held(world.failing(node, self.share) for node in nodes):
            yield self.lasting
