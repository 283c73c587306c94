"""Upgrades by a Deployment: how many pods may be on top or missing, and what people may order."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from hasim.errors import ModelError
from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.reconcile.rolling import resolve
from hasim.units import Seconds


def _in_pods(value: object) -> object:
    """A number of pods, or a share of them in percent."""
    try:
        resolve(value, 0, 1)  # type: ignore[arg-type]
    except ModelError as error:
        raise ValueError(error.problems[0].message) from None
    return value


Pods = Annotated[int | str, BeforeValidator(_in_pods)]
"""A whole number of pods, or a share of the replicas like "25%"."""


def _of_all(value: object) -> object:
    """As `_in_pods`, and no more than all of them (k/k pkg/apis/apps/validation, IsNotMoreThan100Percent)."""
    if isinstance(_in_pods(value), str) and int(str(value)[:-1]) > 100:
        raise ValueError(f"got {value!r}; at most all pods may be missing, 100%")
    return value


class Deployed(Upgrade):
    """What upgrades by a Deployment have in common."""

    min_ready: Seconds = Field(
        default=0.0, ge=0, description="How long a pod must be ready before it counts (minReadySeconds)."
    )
    progress_deadline: Seconds = Field(
        default=600.0, gt=0, description="Without progress for so long it is told (progressDeadlineSeconds)."
    )
    surge: Pods = Field(default="25%", description="Pods above the replicas, rounded up (maxSurge).")
    unavailable: Annotated[int | str, BeforeValidator(_of_all)] = Field(
        default="25%", description="Pods that may be missing, rounded down (maxUnavailable)."
    )

    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back", "pause", "resume", "scale", "retry"})

    def room(self, replicas: int) -> int:
        most = max([replicas, *(order.replicas for order in self.orders if order.replicas is not None)])
        return 2 * most + resolve(self.surge, self.unavailable, most)[0]
