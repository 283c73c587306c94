"""The strategies: how one version of a service is replaced by the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.model.laws import LawField
from hasim.model.upgrades.release import Analysis
from hasim.model.upgrades.upgrade import Upgrade
from hasim.protocols.reconcile.rolling import resolve
from hasim.protocols.rollout import (
    BlueGreenRollout,
    CanaryRollout,
    DeploymentRollout,
    InPlaceRollout,
    Rollout,
    StatefulRollout,
    WindowRollout,
    canaries,
)
from hasim.units import Count, Seconds, Share


def _pods(value: object) -> object:
    """A number of pods, or a share of them in percent."""
    try:
        resolve(value, 0, 1)  # type: ignore[arg-type]
    except ModelError as error:
        raise ValueError(error.problems[0].message) from None
    return value


Pods = Annotated[int | str, BeforeValidator(_pods)]
"""A whole number of pods, or a share of the replicas like "25%"."""


class _Deployed(Upgrade):
    """What upgrades by a Deployment have in common."""

    min_ready: Seconds = Field(
        default=0.0, ge=0, description="How long a pod must be ready before it counts (minReadySeconds)."
    )
    progress_deadline: Seconds = Field(
        default=600.0, gt=0, description="Without progress for so long it is told (progressDeadlineSeconds)."
    )
    surge: Pods = Field(default="25%", description="Pods above the replicas, rounded up (maxSurge).")
    unavailable: Pods = Field(default="25%", description="Pods that may be missing, rounded down (maxUnavailable).")

    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back", "pause", "resume", "scale", "retry"})

    def room(self, replicas: int) -> int:
        most = max([replicas, *(order.replicas for order in self.orders if order.replicas is not None)])
        return 2 * most + resolve(self.surge, self.unavailable, most)[0]


class Rolling(_Deployed):
    """A few pods at a time, as a Deployment of Kubernetes does it: new ones up to `surge`, old ones as they may go.

    Pods that leave are not counted, so that for as long as they drain there are more. Source of algorithm and defaults:
    k/k pkg/controller/deployment/rolling.go, pkg/apis/apps/v1/defaults.go.
    """

    kind: Literal["rolling"] = "rolling"

    STRATEGY: ClassVar[str] = "rolling"

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return DeploymentRollout(
            old, self.release.version, servers, self.surge, self.unavailable, self.min_ready, self.progress_deadline
        )


class Recreate(Upgrade):
    """All old pods go, and when the last one is gone the new ones come, as a Deployment with `Recreate` does it."""

    kind: Literal["recreate"] = "recreate"
    min_ready: Seconds = Field(default=0.0, ge=0, description="How long a pod must be ready before it counts.")
    progress_deadline: Seconds = Field(default=600.0, gt=0, description="Without progress for so long it is told.")

    STRATEGY: ClassVar[str] = "recreate"
    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back", "pause", "resume", "retry"})

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        version = self.release.version
        return DeploymentRollout(
            old, version, servers, min_ready=self.min_ready, deadline=self.progress_deadline, recreate=True
        )

    def room(self, replicas: int) -> int:
        return replicas


class Ordered(Upgrade):
    """One pod after another from the last to the first, as a StatefulSet does it; those below `partition` stay.

    A pod that never gets ready holds up everything, and a rollback too: it goes on only if somebody deletes the pod,
    which `repairs` says. Source: k/k pkg/controller/statefulset/stateful_set_control.go.
    """

    kind: Literal["ordered"] = "ordered"
    partition: Count = Field(default=0, ge=0, description="Ordinals below this keep the old version.")
    repairs: bool = Field(
        default=False, strict=True, description="Whether a rollback is helped by deleting pods that are not ready."
    )

    STRATEGY: ClassVar[str] = "ordered"

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return StatefulRollout(old, self.release.version, len(servers), self.partition, repairs=self.repairs)

    def room(self, replicas: int) -> int:
        return replicas


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

    @model_validator(mode="after")
    def _all(self) -> Self:
        if self.batch != "100%":
            raise ModelError.of([at(("batch",), f"got {self.batch!r}; all at once is 100%; use InPlace for fewer")])
        return self


class BlueGreen(Upgrade):
    """A second set of pods beside the first, and one switch of all requests; blue is kept for a while.

    Green pods are ready, then warm up, then are tested, where a bad version is found with the chance `catches`; then
    balancers switch, each `propagation` later, or, for each client by itself, `client_propagation` later (as where
    every node has rules of its own, or names are looked up). A rollback while blue is kept is a switch back.

    With `state: own`, green has a copy of the data as of the begin: what blue wrote since then is lost by the switch,
    and what green wrote by a switch back. With `checked: false` balancers learn of green servers at the switch and take
    them for up until their checks fail, as HAProxy does with servers that leave maintenance.
    """

    kind: Literal["blue_green"] = "blue_green"
    warm: Seconds = Field(default=0.0, ge=0, description="From all green pods being ready to the tests.")
    tests: Seconds = Field(default=0.0, ge=0, description="How long tests on green take.")
    catches: Share = Field(default=0.0, description="Chance that the tests find out that a version is bad.")
    keep: Seconds = Field(default=0.0, ge=0, description="How long blue is kept after the switch.")
    min_ready: Seconds = Field(default=0.0, ge=0, description="How long a green pod must be ready before it counts.")
    waits: bool = Field(default=True, strict=True, description="Whether the switch waits until green is ready.")
    checked: bool = Field(default=True, strict=True, description="Whether balancers check green before the switch.")
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

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.catches and not self.tests:
            raise ValueError("`catches` is the chance that `tests` find something: say how long tests take")
        if not self.waits and (self.warm or self.tests or self.min_ready):
            raise ValueError("without `waits` the switch comes at once; warm, tests and min_ready would never count")
        return self

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return BlueGreenRollout(
            old, self.release.version, servers, self.warm, self.tests, self.keep, self.min_ready, self.waits,
            self.progress_deadline,
        )  # fmt: skip

    def room(self, replicas: int) -> int:
        return 2 * replicas


class CanaryStep(Declared):
    """One step of a canary: a share of requests, and how long it is watched."""

    share: Share = Field(gt=0, le=1, description="Share of the requests, and of the replicas that come on top.")
    bake: Seconds = Field(gt=0, description="How long it is watched before the next step.")


class Canary(_Deployed):
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

    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        return WindowRollout(old, self.release.version, servers, self.lasting, self.work, self.min_ready)

    def room(self, replicas: int) -> int:
        return replicas
