"""A slow link: messages between two nodes take longer than they should."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.delays import DelaysField
from hasim.faults.fault import Script, World
from hasim.faults.links import Link, directed_links
from hasim.faults.names import together
from hasim.faults.verdict import PASS, Delay, Draw, Verdict
from hasim.units import Seconds


class SlowLink(Declared):
    """Add a delay to every message between two things, both ways or one way, then heal.

    Source: Gunawi et al., Fail-Slow at Scale (FAST 2018).
    """

    link: Link = Field(description="The two hosts, domains or members at its ends.")
    extra: DelaysField = Field(description="What each message takes longer: a duration (always that long) or a law.")
    one_way: bool = Field(default=False, description="Only from the first end to the second.")
    at: Seconds = Field(description="When the link slows down.")
    lasting: Seconds = Field(gt=0, description="How long until it heals.")

    def __init__(self, *link: str, **data: Any) -> None:
        super().__init__(**(together("link", link, data) if link else data))

    @property
    def targets(self) -> tuple[str, str]:
        """The two ends."""
        return self.link

    def script(self, world: World) -> Script:
        """Wait, slow it down, heal."""
        links = directed_links(world, *self.link, one_way=self.one_way)

        def slow(src: str, dst: str, draw: Draw) -> Verdict:
            return Delay(float(self.extra.draw(draw, 1)[0])) if (src, dst) in links else PASS

        yield self.at
        with world.rule(slow):
            yield self.lasting
