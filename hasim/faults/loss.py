"""Loss: a share of the messages between two nodes never arrives."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World
from hasim.faults.links import Link, directed_links
from hasim.faults.names import together
from hasim.faults.verdict import DROP, PASS, Cut, Draw, Verdict
from hasim.units import Seconds, Share


class Loss(Declared):
    """Lose a share of the messages between two things, each by its own chance, both ways or one way, then heal.

    Over a transport that sends again (tcp) a lost message comes late, and everything behind it waits; a share of
    1 is a cut link. Source: Lianza & Snook, A Byzantine failure in the real world (Cloudflare, 2020), where a
    lossy link, not a cut one, kept a cluster electing.
    """

    link: Link = Field(description="The two hosts, domains or members at its ends.")
    share: Share = Field(gt=0, description="Share of the messages that get lost.")
    one_way: bool = Field(default=False, description="Only from the first end to the second.")
    at: Seconds = Field(description="When the loss begins.")
    lasting: Seconds = Field(gt=0, description="How long until it heals.")

    def __init__(self, *link: str, **data: Any) -> None:
        super().__init__(**(together("link", link, data) if link else data))

    @property
    def targets(self) -> tuple[str, str]:
        """The two ends."""
        return self.link

    def script(self, world: World) -> Script:
        """Wait, lose messages, heal."""
        links = directed_links(world, *self.link, one_way=self.one_way)

        def lossy(src: str, dst: str, draw: Draw) -> Verdict:
            return DROP if (src, dst) in links and draw.random() < self.share else PASS

        yield self.at
        # Where all is lost it is a clean cut, of which anybody can tell who reaches whom.
        with world.rule(Cut(lambda src, dst: (src, dst) in links) if self.share == 1 else lossy):
            yield self.lasting
