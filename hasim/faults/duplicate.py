"""Duplication: a share of the messages between two nodes arrives twice."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.errors import CannotModel
from hasim.faults.fault import Script, World
from hasim.faults.links import Link, directed_links
from hasim.faults.names import together
from hasim.faults.verdict import PASS, Copies, Draw, Verdict
from hasim.units import Seconds, Share


class Duplicate(Declared):
    """Deliver a share of the messages between two things twice, both ways or one way, then heal.

    Only a transport without streams (udp) does that; over tcp the kernel throws the second one away.
    Source: Postel, RFC 768 (1980): "delivery and duplicate protection are not guaranteed".
    """

    link: Link = Field(description="The two hosts, domains or members at its ends.")
    share: Share = Field(gt=0, description="Share of the messages that arrive twice.")
    one_way: bool = Field(default=False, description="Only from the first end to the second.")
    at: Seconds = Field(description="When the duplication begins.")
    lasting: Seconds = Field(gt=0, description="How long until it heals.")

    def __init__(self, *link: str, **data: Any) -> None:
        super().__init__(**(together("link", link, data) if link else data))

    @property
    def targets(self) -> tuple[str, str]:
        """The two ends."""
        return self.link

    def script(self, world: World) -> Script:
        """Wait, deliver twice, heal."""
        links = directed_links(world, *self.link, one_way=self.one_way)
        if world.transport != "udp":
            raise CannotModel(
                f"Duplicate of {', '.join(self.link)}",
                f"the nodes talk over {world.transport}, which delivers nothing twice",
                "use ha.Loss, which delays, or a transport of udp",
                "simulate",
            )

        def doubling(src: str, dst: str, draw: Draw) -> Verdict:
            return Copies(2) if (src, dst) in links and draw.random() < self.share else PASS

        yield self.at
        with world.rule(doubling):
            yield self.lasting
