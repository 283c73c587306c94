"""Canary: a few pods of the new version first, watched for a while, then more, then all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.model.upgrades.deployed import Deployed
from hasim.model.upgrades.release import Analysis
from hasim.protocols.rollout import CanaryRollout, Rollout, canaries
from hasim.units import Seconds, Share


class CanaryStep(Declared):
    """One step of a canary: a share of requests, and how long it is watched."""

    share: Share = Field(gt=0, le=1, description="Share of the requests, and of the replicas that come on top.")
    bake: Seconds = Field(gt=0, description="How long it is watched before the next step.")


class Canary(Deployed):
    """A few pods of the new version on top, watched for a while, then more, then a rolling update of all.

    With `traffic: weights` the canaries get exactly the share of each step; with `pods` they get what falls to them as
    some pods among others, which is about their share of the pods for policies that know no better. `analysis` tests
    their failed requests against those of the old version at the end of each bake time; `detection` acts beside it.
    """

    kind: Literal["canary"] = "canary"
    steps: tuple[CanaryStep, ...] = Field(min_length=1, description="Shares and their bake times, one after another.")
    traffic: Literal["weights", "pods"] = Field(default="weights", description="How canaries get their requests.")
    analysis: Analysis | None = Field(default=None, description="Automatic analysis; left out: none.")

    STRATEGY: ClassVar[str] = "canary"
    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back", "pause", "resume"})

    def __init__(self, *target: str, **data: Any) -> None:
        super().__init__(*target, **data)

    @model_validator(mode="after")
    def _grows(self) -> Self:
        shares = [step.share for step in self.steps]
        if shares != sorted(shares):
            raise ModelError.of([at(("steps",), f"got shares of {shares}; each step is at least as large as the last")])
        return self

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        steps = [(step.share, step.bake) for step in self.steps]
        return CanaryRollout(
            old, self.release.version, servers, steps, self.traffic == "weights", self.surge, self.unavailable,
            self.min_ready, self.progress_deadline,
        )  # fmt: skip

    def room(self, replicas: int) -> int:
        return super().room(replicas) + canaries(self.steps[-1].share, replicas)
