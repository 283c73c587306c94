"""A workload: pods that a controller keeps up and a scheduler places, so that no member stands on a fixed host."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.model.demand import AnyArrivals
from hasim.model.laws import Fixed, LawField
from hasim.model.parts.part import Part
from hasim.protocols.health import AnyRestart, CrashLoopBackOff
from hasim.protocols.reconcile.objects import GRACE_S, NOT_READY, TOLERATION_S, UNREACHABLE, PodTemplate
from hasim.units import Count, Seconds, s


class Workload(Part):
    """So many pods, `required` of which must serve; the model's `kubernetes` says who looks after them.

    A pod serves while its container runs on a node that stands, and traffic is sent to it: it is in the endpoints. Only
    `simulate` takes such a part, since where its pods are depends on all that happened before.
    """

    kind: Literal["workload"] = "workload"
    replicas: Count = Field(ge=0, le=10_000, description="Number of pods, 0 to 10 000.")
    required: Count = Field(default=1, ge=0, description="Pods that must serve.")
    controller: Literal["deployment", "replica_set", "stateful_set"] = Field(
        default="deployment", description="What keeps them up; a stateful_set has at most one of each ordinal."
    )
    start: LawField = Field(description="From a pod's being bound to a node to its being ready, image and all.")
    stop: LawField = Field(
        default=Fixed(value=s(0)), description="From being told to stop to being gone, cut at the grace period."
    )
    crash: LawField | None = Field(default=None, description="Time until a container crashes; left out: never.")
    restart: AnyRestart = Field(default=CrashLoopBackOff(), description="How its kubelet starts a crashed one again.")
    cpu: Count = Field(default=100, ge=0, description="CPU that a pod asks for, in millicores.")
    grace: Seconds = Field(default=GRACE_S, ge=0, description="Longest time to stop; Kubernetes: 30s.")
    evict_after: Seconds = Field(
        default=TOLERATION_S, ge=0, description="How long a pod tolerates a node that is unreachable; Kubernetes: 300s."
    )
    priority: Count = Field(default=0, description="Who is placed first; higher is.")
    max_skew: Count = Field(default=1, ge=1, description="Most by which two places of `spread` may differ in pods.")
    must_spread: bool = Field(
        default=False, strict=True, description="A pod that would exceed the skew waits; else it is only avoided."
    )
    apart: bool = Field(default=False, strict=True, description="No two of its pods on one node (anti-affinity).")

    demand: AnyArrivals | None = Field(
        default=None, description="Requests a second, for autoscalers: what they make pods use is shared evenly."
    )
    cost: Seconds | None = Field(default=None, gt=0, description="CPU time of a request, with `demand`.")

    FLOATING: ClassVar[bool] = True

    @model_validator(mode="after")
    def _floats(self) -> Self:
        for field in ("on", "per_host"):
            if field in self.model_fields_set:
                raise ValueError(f"`{field}` is of members with a fixed host; pods run on the `nodes` of `kubernetes`")
        if (self.demand is None) != (self.cost is None):
            raise ValueError("`demand` says how many requests come and `cost` what each takes: give both")
        if self.required > self.replicas:
            raise ValueError(f"required is {self.required}, but there are only {self.replicas} pods")
        if "spread" in self.model_fields_set and self.spread not in ("zone", "host"):
            raise ValueError(f"got spread {self.spread}; pods spread over zones or hosts")
        return self

    def template(self, app: str) -> PodTemplate:
        """What its pods have in common."""
        return PodTemplate(
            app=app,
            cpu=self.cpu,
            grace=self.grace,
            priority=self.priority,
            tolerates=((NOT_READY, self.evict_after), (UNREACHABLE, self.evict_after)),
            spread="zone" if self.spread == "zone" else "host" if "spread" in self.model_fields_set else None,
            max_skew=self.max_skew,
            must_spread=self.must_spread,
            apart=self.apart,
        )
