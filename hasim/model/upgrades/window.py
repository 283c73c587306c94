"""A maintenance window: a notice for everybody while all servers are stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.rollout import Rollout, WindowRollout
from hasim.units import Seconds


class Window(Upgrade):
    """A maintenance window: requests get a notice while all servers are stopped, worked on, and started.

    It lasts as long as announced, and longer if the servers are not ready by then. Somebody who gets the notice is not
    served, but knows when to come back. A rollback is another window.
    """

    kind: Literal["window"] = "window"
    lasting: Seconds = Field(gt=0, description="How long the window is announced to last.")
    work: Seconds = Field(
        default=0.0, ge=0, description="Work between the last server's end and the first one's start."
    )
    min_ready: Seconds = Field(default=0.0, ge=0, description="How long servers must be ready before it is closed.")

    STRATEGY: ClassVar[str] = "window"
    BALANCED: ClassVar[bool] = True

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return WindowRollout(old, self.release.version, servers, self.lasting, self.work, self.min_ready)

    def room(self, replicas: int) -> int:
        return replicas
