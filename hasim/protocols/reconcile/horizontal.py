"""The horizontal autoscaler: as many replicas as it takes for each to use the share of its cpu that it should.

Every sync it works out a number of replicas from what the pods use, remembers it, and goes there as fast as it may:

    metrics ─▶ grouped ─▶ recommended ─▶ steadied by the last minutes ─▶ held to the limits ─▶ Update

Sources: k/k pkg/controller/podautoscaler/replica_calculator.go, metrics/utilization.go and horizontal.go; for its
settings, pkg/apis/autoscaling/v2/defaults.go and the documentation, "Horizontal Pod Autoscaling".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import Field, field_validator, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.protocols.api import Change, Done, Reply, Request, Update
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan, batch
from hasim.protocols.reconcile.objects import Deployment, Pod, ReplicaSet, StatefulSet
from hasim.units import Count, Seconds, Share, share_text

if TYPE_CHECKING:
    from hasim.protocols.health.laws import Delay

Metrics = Callable[[str], Mapping[str, float]]
"""What the metrics server has of an app's pods: by name, the share of the cpu asked for that each uses (1.0 = all)."""


class HorizontalAutoscaler(Declared):
    """Which replicas are scaled, to what use of their cpu, and how fast.

    Defaults are Kubernetes's, with the limits that its API states (spec.behavior). An autoscaler whose manifest has no
    `behavior` grows to at most max(4, twice as many) a sync instead.
    """

    target: str = Field(min_length=1, description="Name of the Deployment, ReplicaSet or StatefulSet that is scaled.")
    min_replicas: Count = Field(default=1, ge=1, description="Fewest replicas; Kubernetes: 1.")
    max_replicas: Count = Field(ge=1, description="Most replicas.")
    utilization: Share = Field(
        default=0.8,
        ge=0.01,
        description="Share of the cpu asked for that pods should use, in whole percents; Kubernetes: 80%.",
    )
    tolerance: Share = Field(
        default=0.1, description="Nothing is done while use is off by no more than this share; Kubernetes: 10%."
    )
    sync: Seconds = Field(default=15.0, ge=0.001, description="From one look to the next; Kubernetes: 15s.")
    up_window: Seconds = Field(
        default=0.0, description="It grows to no more than was wanted at any time for so long; Kubernetes: 0s."
    )
    down_window: Seconds = Field(
        default=300.0, description="It shrinks to no less than was wanted at any time for so long; Kubernetes: 5m."
    )
    up_pods: Count = Field(default=4, ge=0, description="It may grow by so many pods each period; Kubernetes: 4.")
    up_percent: Count = Field(
        default=100, ge=0, description="Or by so many percent, whichever is more; Kubernetes: 100."
    )
    up_period: Seconds = Field(default=15.0, gt=0, description="Period of what it may grow by; Kubernetes: 15s.")
    down_percent: Count = Field(
        default=100, ge=0, le=100, description="It may shrink by so many percent each period; Kubernetes: 100."
    )
    down_period: Seconds = Field(default=15.0, gt=0, description="Period of what it may shrink by; Kubernetes: 15s.")
    cpu_initialization: Seconds = Field(
        default=300.0, description="So young, a pod counts only while it is ready and measured since; Kubernetes: 5m."
    )
    initial_readiness_delay: Seconds = Field(
        default=30.0, description="A pod last ready at less than this age has never been ready; Kubernetes: 30s."
    )
    metric_window: Seconds = Field(
        default=15.0,
        description="What a sample of use spans; a step shows in full once it is over; metrics-server: 15s.",
    )

    @field_validator("utilization")
    @classmethod
    def _in_whole_percents(cls, utilization: float) -> float:
        if abs(100.0 * utilization - round(100.0 * utilization)) > 1e-9:
            raise ValueError(f"got {share_text(utilization)}; it is a whole number of percents")
        return utilization

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_replicas > self.max_replicas:
            said = f"got {self.min_replicas} with max_replicas {self.max_replicas}; it is at most max_replicas"
            raise ModelError.of([at(("min_replicas",), said)])
        return self


def desired(current: int, ratio: float, tolerance: float, pods: int | None = None) -> int:
    """How many replicas bring use to its target, ⌈pods · ratio⌉; `current` if the ratio is within the tolerance of 1.

    `ratio` is use over target, and `pods` how many it was measured on; left out: all that there are.
    """
    if 1.0 - tolerance <= ratio <= 1.0 + tolerance:
        return current
    return math.ceil(ratio * (current if pods is None else pods))


class Grouped(NamedTuple):
    """Pods as the autoscaler counts them; those that are leaving or have failed are in no group."""

    measured: tuple[Pod, ...] = ()  # their use counts
    unready: tuple[Pod, ...] = ()  # pending, or too young to be judged
    missing: tuple[Pod, ...] = ()  # they run, and nothing is known of their use


def grouped(
    pods: Iterable[Pod],
    use: Mapping[str, float],
    autoscaler: HorizontalAutoscaler,
    now: float,
    seen_ready: Mapping[str, float],
) -> Grouped:
    """Sort pods by what their use says at `now` (groupPods).

    `seen_ready` has, by name, when a pod was last seen ready, in seconds. A pod's life begins with its creation.
    """
    measured, unready, missing = [], [], []
    for pod in pods:
        if not pod.active:
            continue
        if pod.phase == "Pending":
            unready.append(pod)
        elif pod.name not in use:
            missing.append(pod)
        elif _too_young(pod, autoscaler, now, seen_ready.get(pod.name, pod.created)):
            unready.append(pod)
        else:
            measured.append(pod)
    return Grouped(tuple(measured), tuple(unready), tuple(missing))


def _too_young(pod: Pod, autoscaler: HorizontalAutoscaler, now: float, seen_ready: float) -> bool:
    """Whether its use still says more of its start than of the load."""
    if pod.created + autoscaler.cpu_initialization > now:
        return pod.ready_at is None or now < pod.ready_at + autoscaler.metric_window
    return pod.ready_at is None and seen_ready < pod.created + autoscaler.initial_readiness_delay


def recommended(current: int, pods: Grouped, use: Mapping[str, float], autoscaler: HorizontalAutoscaler) -> int | None:
    """How many replicas the use of these pods calls for (GetResourceReplicas); None: it says nothing.

    Pods that are not known to be idle or busy are taken as whatever moves it less: those without metrics as using all
    they asked for when it would shrink and nothing when it would grow, those that are not ready as using nothing when
    it would grow. If that turns the direction round, it stays where it is.
    """
    asked = {pod.name: pod.template.cpu for group in pods for pod in group}
    used = {pod.name: _millicores(use[pod.name], pod.template.cpu) for pod in pods.measured}
    ratio = _ratio(used, asked, autoscaler.utilization)
    if ratio is None:
        return None
    with_unready = bool(pods.unready) and ratio > 1.0
    if not with_unready and not pods.missing:
        return desired(current, ratio, autoscaler.tolerance, len(used))
    if ratio < 1.0:
        used |= {pod.name: pod.template.cpu for pod in pods.missing}
    elif ratio > 1.0:
        used |= {pod.name: 0 for pod in pods.missing}
    if with_unready:
        used |= {pod.name: 0 for pod in pods.unready}
    again = _ratio(used, asked, autoscaler.utilization)
    assert again is not None, "what was measured before has not gone"
    if (ratio < 1.0 < again) or (again < 1.0 < ratio):
        return current
    count = desired(current, again, autoscaler.tolerance, len(used))
    turned = (again < 1.0 and count > current) or (again > 1.0 and count < current)
    return current if turned else count


def _millicores(share: float, cpu: int) -> int:
    """What a pod uses, rounded up as quantities are; a millionth is a rounding error of the share."""
    return math.ceil(round(share * cpu, 6))


def _ratio(used: Mapping[str, int], asked: Mapping[str, int], target: float) -> float | None:
    """Use over target, both in whole percents of what was asked for (GetResourceUtilizationRatio); None: of nothing."""
    total = sum(asked[name] for name in used)
    return None if total == 0 else (sum(used.values()) * 100 // total) / round(100.0 * target)


class HorizontalController:
    """The loop of one horizontal autoscaler.

    It is asked every sync, and scales the first Deployment, ReplicaSet or StatefulSet of its target's name; one with 0
    replicas it leaves alone. It remembers what it recommended, how it scaled, and which pods it saw ready: a new one
    shrinks nothing for a whole `down_window`, and takes a pod that is not ready for one that never was.
    """

    def __init__(self, autoscaler: HorizontalAutoscaler, metrics: Metrics) -> None:
        """Nothing is remembered; `metrics` is asked with the app of the target's pods."""
        self._autoscaler = autoscaler
        self._metrics = metrics
        self._recommended: list[tuple[float, int]] = []  # when, and how many
        self._scaled: list[tuple[float, int]] = []  # when, and by how much
        self._asked: tuple[float, int] | None = None  # the same of the request under way
        self._seen_ready: dict[str, float] = {}

    @property
    def period(self) -> float:
        """Its sync, in seconds."""
        return self._autoscaler.sync

    def keys(self, change: Change, cache: Cache) -> Iterable[str]:
        """No change calls for it, only time."""
        return ()

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """Update the target if it is to have another number of replicas."""
        target = self._target(cache)
        if target is None:
            return NOTHING
        if not self._recommended:
            self._recommended.append((now, target.replicas))
        wanted = self._wanted(target, cache, now)
        if wanted == target.replicas:
            return NOTHING
        self._asked = now, wanted - target.replicas
        return Plan(batch([Update(replace(target, replicas=wanted))]))

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """What was scaled counts for the limits; what nobody knows of does not."""
        if self._asked is not None and isinstance(reply, Done):
            self._scaled.append(self._asked)
        self._asked = None

    def _target(self, cache: Cache) -> Deployment | ReplicaSet | StatefulSet | None:
        name = self._autoscaler.target
        return cache.get(Deployment, name) or cache.get(ReplicaSet, name) or cache.get(StatefulSet, name)

    def _wanted(self, target: Deployment | ReplicaSet | StatefulSet, cache: Cache, now: float) -> int:
        """How many replicas there should be from now on (reconcileAutoscaler)."""
        settings, current = self._autoscaler, target.replicas
        pods = [pod for pod in cache.all(Pod) if pod.template.app == target.template.app]
        kept = {pod.name: self._seen_ready.get(pod.name) for pod in pods}
        self._seen_ready = {name: seen for name, seen in kept.items() if seen is not None}
        self._seen_ready |= {pod.name: now for pod in pods if pod.ready}
        if current == 0:
            return 0
        if not settings.min_replicas <= current <= settings.max_replicas:
            return min(max(current, settings.min_replicas), settings.max_replicas)
        use = self._metrics(target.template.app)
        number = recommended(current, grouped(pods, use, settings, now, self._seen_ready), use, settings)
        return current if number is None else self._limited(current, self._steadied(current, number, now), now)

    def _steadied(self, current: int, number: int, now: float) -> int:
        """As near to `current` as what was recommended lately asks for (stabilizeRecommendationWithBehaviors)."""
        settings = self._autoscaler
        longest = max(settings.up_window, settings.down_window)
        self._recommended = [(when, n) for when, n in self._recommended if when > now - longest]
        least = min([number, *(n for when, n in self._recommended if when > now - settings.up_window)])
        most = max([number, *(n for when, n in self._recommended if when > now - settings.down_window)])
        self._recommended.append((now, number))
        return min(max(current, least), most)

    def _limited(self, current: int, number: int, now: float) -> int:
        """As near to `number` as the limits let it go at once (convertDesiredReplicasWithBehaviorRate)."""
        settings = self._autoscaler
        if number > current:
            began = self._began_with(current, settings.up_period, now)
            most = max(began + settings.up_pods, math.ceil(began * (1.0 + settings.up_percent / 100.0)))
            return min(number, settings.max_replicas, max(most, current))
        if number < current:
            began = self._began_with(current, settings.down_period, now)
            least = int(began * (1.0 - settings.down_percent / 100.0))
            return max(number, settings.min_replicas, min(least, current))
        return number

    def _began_with(self, current: int, period: float, now: float) -> int:
        """How many replicas there were a period ago."""
        longest = max(self._autoscaler.up_period, self._autoscaler.down_period)
        self._scaled = [(when, by) for when, by in self._scaled if when > now - longest]
        return current - sum(by for when, by in self._scaled if when > now - period)


def reaction(autoscaler: HorizontalAutoscaler, start: float) -> Delay:
    """How long from a step of the load, at a random moment, until the pods that it calls for serve.

    The metrics show it after a `metric_window`, they are looked at U(0, sync) later, and a pod takes `start` seconds to
    be scheduled and to become ready: by default U(0, 15 s) + 15 s + start. That is of a step which one scaling answers;
    what the limits put off comes a period later.
    """
    from hasim.protocols.health.laws import Delay, Piece  # NumPy, of which nothing else here has need

    first = autoscaler.metric_window + start
    return Delay((Piece(1.0, first, first + autoscaler.sync),))
