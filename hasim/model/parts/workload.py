"""A workload: pods that a controller keeps up and a scheduler places, so that no member stands on a fixed host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Final, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Loc, at
from hasim.errors import ModelError, Problem
from hasim.model.demand import AnyArrivals
from hasim.model.disruption import DisruptionBudget
from hasim.model.laws import Fixed, LawField
from hasim.model.parts.part import Part
from hasim.model.upgrades.deployed import Pods
from hasim.protocols.health import AnyRestart, CrashLoopBackOff
from hasim.protocols.reconcile.daemon_sets import daemon_bounds
from hasim.protocols.reconcile.objects import (
    GRACE_S,
    NOT_READY,
    TOLERATION_S,
    UNREACHABLE,
    DaemonSet,
    Deployment,
    PodDisruptionBudget,
    PodTemplate,
    ReplicaSet,
    StatefulSet,
)
from hasim.units import Count, Seconds, s

PodSet = Deployment | ReplicaSet | StatefulSet | DaemonSet
"""The object that keeps the pods of a workload up."""

_OF: Final = {
    "surge": ("deployment", "daemon_set"),
    "unavailable": ("deployment", "daemon_set"),
    "min_ready": ("deployment", "daemon_set"),
    "progress_deadline": ("deployment",),
    "strategy": ("deployment",),
    "partition": ("stateful_set",),
}
"""Which controllers know each setting of a rollout."""


class Workload(Part):
    """So many pods, `required` of which must serve; the model's `kubernetes` says who looks after them.

    A pod serves while its container runs on a node that stands, and traffic is sent to it: it is in the endpoints. Only
    `simulate` takes such a part, since where its pods are depends on all that happened before.

    `surge`, `unavailable`, `min_ready`, `progress_deadline`, `strategy` and `partition` are what the object says of
    rollouts; an upgrade (`ha.Rolling` and its like) brings a new version, and may bring other settings. Defaults are
    those of Kubernetes (k/k pkg/apis/apps/v1/defaults.go).
    """

    kind: Literal["workload"] = "workload"
    replicas: Count | None = Field(
        default=None, ge=0, le=10_000, description="Number of pods, 0 to 10 000; a daemon_set has one on each node."
    )
    required: Count = Field(default=1, ge=0, description="Pods that must serve.")
    controller: Literal["deployment", "replica_set", "stateful_set", "daemon_set"] = Field(
        default="deployment",
        description="What keeps them up; a stateful_set has at most one of each ordinal, a daemon_set one a node.",
    )
    version: str = Field(default="v1", min_length=1, max_length=60, description="The version that runs at first.")
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
    strategy: Literal["RollingUpdate", "Recreate"] = Field(
        default="RollingUpdate", description="How a deployment changes its version: a few pods at a time, or all."
    )
    surge: Pods | None = Field(
        default=None,
        description='Pods above the replicas meanwhile, a number or a share, rounded up (maxSurge); left out: "25%" '
        "for a deployment, 0 for a daemon_set.",
    )
    unavailable: Pods | None = Field(
        default=None,
        description='Pods that may be missing meanwhile (maxUnavailable); left out: "25%", rounded down, for a '
        "deployment, 1 for a daemon_set.",
    )
    min_ready: Seconds = Field(
        default=0.0, ge=0, description="How long a pod must be ready before it counts (minReadySeconds)."
    )
    progress_deadline: Seconds = Field(
        default=600.0, gt=0, description="A rollout without progress for so long is told (progressDeadlineSeconds)."
    )
    partition: Count = Field(
        default=0, ge=0, description="Ordinals of a stateful_set below this keep the version before."
    )
    budget: DisruptionBudget | None = Field(
        default=None, description="How many pods evictions leave (PodDisruptionBudget); left out: no limit."
    )

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
        if "spread" in self.model_fields_set and self.spread not in ("zone", "host"):
            raise ValueError(f"got spread {self.spread}; pods spread over zones or hosts")
        return self

    @model_validator(mode="after")
    def _rolls_out(self) -> Self:
        found = [*self._of_other_controllers(), *self._wrong_numbers()]
        if found:
            raise ModelError.of(found)
        return self

    def _of_other_controllers(self) -> Iterator[Problem]:
        for field, controllers in _OF.items():
            if field in self.model_fields_set and self.controller not in controllers:
                yield at((field,), f"is of a {' or a '.join(controllers)}, and this is a {self.controller}")
            elif field in ("surge", "unavailable") and field in self.model_fields_set and self.strategy == "Recreate":
                yield at((field,), "is of a RollingUpdate; with `strategy: Recreate` all pods go at once")
        if self.controller == "daemon_set":
            if self.replicas is not None:
                yield at(("replicas",), f"got {self.replicas}; a daemon_set has one pod on each node: leave it out")
            if self.budget is not None:
                said = "is asked when somebody drains a node, and drains leave the pods of a daemon_set where they are"
                yield at(("budget",), said)
            if self.demand is not None:
                yield at(("demand",), "is for autoscalers, and nobody says how many pods a daemon_set has")

    def _wrong_numbers(self) -> Iterator[Problem]:
        if self.controller == "daemon_set":
            yield from self._wrong_bounds()
        elif self.replicas is None:
            yield at(("replicas",), "is missing and has no default: Number of pods, 0 to 10 000.")
        elif self.required > self.replicas:
            yield at(("required",), f"required is {self.required}, but there are only {self.replicas} pods")
        elif self.partition > self.replicas:
            yield at(("partition",), f"got {self.partition}, and there are {self.replicas} pods: none would change")

    def _wrong_bounds(self) -> Iterator[Problem]:
        daemon_set = self.pod_set("")
        assert isinstance(daemon_set, DaemonSet)
        try:
            daemon_bounds(daemon_set, 1)
        except ModelError as error:
            loc: Loc = (error.problems[0].path.removeprefix("max_"),)
            yield at(loc, error.problems[0].message.replace("max_", ""))

    def assumptions(self) -> list[str]:
        if self.budget is None or not self.replicas or not self.budget.blocks(self.replicas):
            return []
        return [f"its budget never allows an eviction of its {self.replicas} pods: drains of their nodes wait for ever"]

    def pod_set(self, app: str, now: float = 0.0) -> PodSet:
        """The object that keeps its pods up, as somebody first wrote it, at `now` in seconds."""
        template = self.template(app)
        if self.controller == "daemon_set":
            unavailable = 1 if self.unavailable is None else self.unavailable
            surge = 0 if self.surge is None else self.surge
            return DaemonSet(app, template, unavailable, surge, self.min_ready, created=now)
        assert self.replicas is not None
        if self.controller == "replica_set":
            return ReplicaSet(app, self.replicas, template, created=now)
        if self.controller == "stateful_set":
            return StatefulSet(app, self.replicas, template, partition=self.partition, created=now)
        return Deployment(
            app,
            self.replicas,
            template,
            strategy=self.strategy,
            surge="25%" if self.surge is None else self.surge,
            unavailable="25%" if self.unavailable is None else self.unavailable,
            min_ready=self.min_ready,
            progress_deadline=self.progress_deadline,
            created=now,
        )

    def disruption_budget(self, app: str, now: float = 0.0) -> PodDisruptionBudget | None:
        """The object that limits evictions of its pods, if it has one."""
        budget = self.budget
        if budget is None:
            return None
        return PodDisruptionBudget(
            app, app, budget.min_available, budget.max_unavailable, budget.unhealthy, created=now
        )

    def template(self, app: str, revision: int = 1) -> PodTemplate:
        """What the pods of a revision have in common."""
        return PodTemplate(
            app=app,
            revision=revision,
            cpu=self.cpu,
            grace=self.grace,
            priority=self.priority,
            tolerates=((NOT_READY, self.evict_after), (UNREACHABLE, self.evict_after)),
            spread="zone" if self.spread == "zone" else "host" if "spread" in self.model_fields_set else None,
            max_skew=self.max_skew,
            must_spread=self.must_spread,
            apart=self.apart,
        )
