"""Parts that come and go, as an adapter does; and steps that change stored data alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.rollout import Rollout
from hasim.protocols.rollout.deploying import DeployRollout, RemoveRollout
from hasim.protocols.rollout.migrating import MigrateRollout
from hasim.units import Count, Seconds


class Deploy(Upgrade):
    """A pool that is not there at first is deployed, all of its pods at once; until then its places are empty."""

    kind: Literal["deploy"] = "deploy"
    replicas: Count | None = Field(default=None, ge=1, description="How many pods; left out: the pool's replicas.")
    min_ready: Seconds = Field(default=0.0, ge=0, description="How long a pod must be ready before it counts.")
    progress_deadline: Seconds = Field(default=600.0, gt=0, description="Not ready for so long is told.")

    STRATEGY: ClassVar[str] = "deploy"

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        assert self.replicas is not None, "a scenario says how many"
        return DeployRollout(old, self.release.version, servers, self.replicas, self.min_ready, self.progress_deadline)

    def room(self, replicas: int) -> int:
        return max(replicas, self.replicas or 0)


class Remove(Upgrade):
    """A pool that is not needed any more is removed; there is no way back."""

    kind: Literal["remove"] = "remove"

    STRATEGY: ClassVar[str] = "remove"
    OBEYS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return RemoveRollout(old, "removed", servers)

    def room(self, replicas: int) -> int:
        return replicas


class Migrate(Upgrade):
    """A step of a change of stored data, while the service runs on as it is: `migrates` says what is done.

    A form comes at once, a backfill takes its time, and a form goes when all items are converted.
    """

    kind: Literal["migrate"] = "migrate"

    STRATEGY: ClassVar[str] = "migrate"
    OBEYS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    @model_validator(mode="after")
    def _of_data_alone(self) -> Self:
        if self.migrates is None:
            raise ValueError("`migrates` is missing; say what is done to the data")
        if self.migrates.rolls is not None or self.migrates.stopped:
            raise ValueError("the step rolls a version, or stops the service: give it to a strategy that does")
        return self

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return MigrateRollout(old, f"{old} ", servers)

    def room(self, replicas: int) -> int:
        return replicas
