"""In place: servers are stopped and started where they stand, some or all at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import at
from hasim.errors import ModelError
from hasim.model.upgrades.deployed import Pods
from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.reconcile.rolling import resolve
from hasim.protocols.rollout import InPlaceRollout, Rollout
from hasim.units import Seconds


class InPlace(Upgrade):
    """Servers are stopped and started where they stand, `batch` at a time (a playbook with `serial`).

    First their checks fail for `notice` while they serve; the next batch follows `pause` after all of this one are
    ready, or used again by every balancer (`gate: balancer`).
    """

    kind: Literal["in_place"] = "in_place"
    batch: Pods = Field(default=1, description='Servers at a time: a number, or a share like "25%", rounded up.')
    notice: Seconds = Field(default=0.0, ge=0, description="How long their checks fail before they are stopped.")
    pause: Seconds = Field(default=0.0, ge=0, description="From the end of one batch to the next.")
    gate: Literal["ready", "balancer"] = Field(default="ready", description="When a server counts as back.")
    min_ready: Seconds = Field(default=0.0, ge=0, description="How long a server must be ready before it counts.")
    progress_deadline: Seconds | None = Field(default=None, gt=0, description="A batch that takes longer is told.")

    STRATEGY: ClassVar[str] = "in place"
    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back", "pause", "resume"})

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if resolve(self.batch, 0, 1)[0] < 1:
            raise ModelError.of([at(("batch",), f"got {self.batch!r}; a batch is at least one server, or above 0%")])
        return self

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        batch = max(resolve(self.batch, 0, len(servers))[0], 1)
        return InPlaceRollout(
            old, self.release.version, servers, batch, self.notice, self.pause, self.min_ready, self.progress_deadline
        )

    def room(self, replicas: int) -> int:
        return replicas


class AllAtOnce(InPlace):
    """All servers are stopped and started with the new version at once, as a global push of a configuration does."""

    kind: Literal["all_at_once"] = "all_at_once"  # type: ignore[assignment]
    batch: Pods = Field(default="100%", description="All of them.")

    STRATEGY: ClassVar[str] = "all at once"

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    @model_validator(mode="after")
    def _all(self) -> Self:
        if self.batch != "100%":
            raise ModelError.of([at(("batch",), f"got {self.batch!r}; all at once is 100%; use InPlace for fewer")])
        return self
