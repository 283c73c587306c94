"""Blue-green: a second set of pods beside the first, and one switch of all requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.model.laws import LawField
from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.rollout import BlueGreenRollout, Rollout
from hasim.units import Seconds, Share


class BlueGreen(Upgrade):
    """A second set of pods beside the first, and one switch of all requests; blue is kept for a while.

    Green pods are ready, then warm up, then are tested, where a bad version is found with the chance `catches`; then
    balancers switch, each `propagation` later, or, for each client by itself, `client_propagation` later (as where
    every node has rules of its own, or names are looked up). A rollback while blue is kept is a switch back.

    With `state: own`, green has a copy of the data as of the begin: what blue wrote since then is lost by the switch,
    and what green wrote by a switch back. Green is ready when its pods are, which balancers may find out only later,
    and a switch fails until they do; with `gate: balancer` it waits for that. With `checked: false` balancers learn of
    green servers at the switch and take them for up until their checks fail, as HAProxy does with servers that leave
    maintenance.
    """

    kind: Literal["blue_green"] = "blue_green"
    warm: Seconds = Field(default=0.0, ge=0, description="From all green pods being ready to the tests.")
    tests: Seconds = Field(default=0.0, ge=0, description="How long tests on green take.")
    catches: Share = Field(default=0.0, description="Chance that the tests find out that a version is bad.")
    keep: Seconds = Field(default=0.0, ge=0, description="How long blue is kept after the switch.")
    min_ready: Seconds = Field(default=0.0, ge=0, description="How long a green pod must be ready before it counts.")
    waits: bool = Field(default=True, strict=True, description="Whether the switch waits until green is ready.")
    checked: bool = Field(default=True, strict=True, description="Whether balancers check green before the switch.")
    gate: Literal["ready", "balancer"] = Field(
        default="ready", description="Whether green is ready when its pods are, or when every balancer would use them."
    )
    propagation: LawField | None = Field(
        default=None, description="From the switch until a balancer knows; left out: at once."
    )
    client_propagation: LawField | None = Field(
        default=None, description="From the switch until a client's requests follow; left out: with the balancer."
    )
    state: Literal["shared", "own"] = Field(
        default="shared", description="Whether both colours write to one store, or green to a copy of its own."
    )
    progress_deadline: Seconds = Field(default=600.0, gt=0, description="Green not ready for so long is told.")

    STRATEGY: ClassVar[str] = "blue-green"
    BALANCED: ClassVar[bool] = True

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.catches and not self.tests:
            raise ValueError("`catches` is the chance that `tests` find something: say how long tests take")
        if not self.waits and (self.warm or self.tests or self.min_ready):
            raise ValueError("without `waits` the switch comes at once; warm, tests and min_ready would never count")
        if self.gate == "balancer" and not (self.checked and self.waits):
            raise ValueError("`gate: balancer` waits for checks of green: leave `checked` and `waits` true")
        return self

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return BlueGreenRollout(
            old, self.release.version, servers, self.warm, self.tests, self.keep, self.min_ready, self.waits,
            self.progress_deadline,
        )  # fmt: skip

    def room(self, replicas: int) -> int:
        return 2 * replicas
