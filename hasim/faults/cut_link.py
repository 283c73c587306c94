"""A cut link: two nodes cannot reach each other, though both reach everybody else."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hasim.declared import Declared
from hasim.faults.fault import Script, World
from hasim.faults.links import Link, directed_links
from hasim.faults.names import together
from hasim.faults.verdict import Cut
from hasim.units import Seconds


class CutLink(Declared):
    """Cut the link between two things, both ways, then heal: reachability is no longer transitive.

    Source: Lianza & Snook, A Byzantine failure in the real world (Cloudflare, 2020); Howard & Abraham, Raft does
    not Guarantee Liveness in the face of Network Faults (2020).
    """

    link: Link = Field(description="The two hosts, domains or members at its ends.")
    at: Seconds = Field(description="When the link is cut.")
    lasting: Seconds = Field(gt=0, description="How long until it heals.")

    def __init__(self, *link: str, **data: Any) -> None:
        super().__init__(**(together("link", link, data) if link else data))

    @property
    def targets(self) -> tuple[str, str]:
        """The two ends."""
        return self.link

    def script(self, world: World) -> Script:
        """Wait, cut, heal."""
        links = directed_links(world, *self.link)
        yield self.at
        with world.rule(Cut(lambda src, dst: (src, dst) in links)):
            yield self.lasting
