"""Disruption budgets: how many pods of an app may be evicted on purpose, and what the eviction API answers.

Only the eviction API asks a budget. Crashes cost it without asking, and so do rolling updates, scaling down, and
everybody who deletes a pod outright. Source: k/k pkg/controller/disruption/disruption.go and
pkg/registry/core/pod/storage/eviction.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from hasim.errors import ModelError
from hasim.protocols.api import Change, Delete, Reply, Request, Update
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan
from hasim.protocols.reconcile.expectations import TICK_S
from hasim.protocols.reconcile.objects import (
    BudgetStatus,
    Deployment,
    Pod,
    PodDisruptionBudget,
    ReplicaSet,
    StatefulSet,
)
from hasim.protocols.reconcile.shares import rounded_up

DELETION_S: Final = 120.0
"""A pod whose eviction was allowed and that is not being deleted by then counts again (DeletionTimeout)."""
DISRUPTED_MAX: Final = 2000
"""With more evictions than that on which the controller has not caught up none is allowed (MaxDisruptedPodSize)."""

# ------------------------------------------------------------------------------------------- the eviction API


class Evict(NamedTuple):
    """The request to let a pod go if its budget allows (a POST of its subresource `eviction`)."""

    name: str


Code = Literal[201, 403, 404, 429, 500]
"""Evicted; refused for good; no such pod; refused for now; more than one budget covers the pod."""


class Verdict(NamedTuple):
    """What the eviction API answers, and the requests that it carries out first, one after another.

    They hold for the store as it was when the verdict was asked for; when one is refused, the verdict has to be asked
    for again (the API server does so up to 20 times, half a second apart).
    """

    code: Code
    requests: tuple[Request, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the pod goes."""
        return self.code == 201


def verdict(name: str, store: Cache, now: float) -> Verdict:
    """Whether a pod may be evicted at `now` (seconds of the API server's clock), as the store has it and its budget.

    Pods that serve nobody yet or any more (pending, failed, being deleted) go without a budget. A pod that is not ready
    goes, at no cost, if the others are enough, or whenever its budget always allows that; if it is ready by the time of
    the deletion, the version that was seen refuses it. All others cost one disruption each.
    """
    pod = store.get(Pod, name)
    if pod is None:
        return Verdict(404)
    deletion = Delete(Pod, name)
    unchanged = Delete(Pod, name, version=pod.version)
    if pod.phase == "Failed" or pod.deleted is not None:
        return Verdict(201, (deletion,))
    if pod.phase == "Pending":
        return Verdict(201, (unchanged,))
    budgets = [each for each in store.all(PodDisruptionBudget) if each.app == pod.template.app]
    if len(budgets) > 1:
        return Verdict(500)
    if not budgets:
        return Verdict(201, (deletion,))
    budget = budgets[0]
    status = budget.status
    enough = status.healthy >= status.desired > 0
    if not pod.ready and (budget.unhealthy == "AlwaysAllow" or enough):
        return Verdict(201, (unchanged,))
    if status.observed != budget.spec:  # its controller has not seen it yet
        return Verdict(429)
    if len(status.disrupted) > DISRUPTED_MAX:
        return Verdict(403)
    if status.allowed <= 0:
        return Verdict(429)
    disrupted = tuple({**dict(status.disrupted), name: now}.items())
    spent = replace(status, allowed=status.allowed - 1, disrupted=disrupted)
    return Verdict(201, (Update(replace(budget, status=spent)), deletion))


# ------------------------------------------------------------------------------------------- the controller


class DisruptionController:
    """Works out how many disruptions each budget allows; a key is the name of a PodDisruptionBudget.

    Between an eviction and the news of it the eviction API counts for itself: it takes one off what is allowed, and
    writes down the pod, which counts as lost from then on. Both are written over the version that was seen, so of an
    eviction and a controller that does not know of it yet one is refused. A change of an owner's size is only noticed
    with the next change of a pod.
    """

    period: float | None = None

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """The budget that changed, or the first that covers the pod that did."""
        kind, name = change.key
        if kind is PodDisruptionBudget:
            yield name
        elif kind is Pod:
            app = (change.before if change.after is None else change.after).template.app
            yield from [each.name for each in cache.all(PodDisruptionBudget) if each.app == app][:1]

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """Write the status down if it has changed, and look again when an eviction that led to nothing runs out."""
        budget = cache.get(PodDisruptionBudget, key)
        if budget is None:
            return NOTHING
        status = budget_status(budget, cache, now)
        ends = [at + DELETION_S - now for _, at in status.disrupted]
        again = max(min(ends), TICK_S) if ends else None
        return Plan(((Update(replace(budget, status=status)),),) if status != budget.status else (), again)

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """Whatever the answer was, the next plan looks at what is."""


def budget_status(budget: PodDisruptionBudget, cache: Cache, now: float) -> BudgetStatus:
    """The status of a budget as the pods in the cache have it at `now` (trySync, updatePdbStatus).

    A pod whose owner has no size that could be asked for, such as one of a DaemonSet, or whose owner is gone, stops
    everything while its budget has to know how many pods there should be: nothing more is allowed (failSafe).
    """
    pods = [pod for pod in cache.all(Pod) if pod.template.app == budget.app]
    expected = expected_pods(budget, pods, cache)
    if expected is None:
        return replace(budget.status, allowed=0)
    desired = desired_healthy(budget, expected)
    disrupted = _not_yet_going(pods, dict(budget.status.disrupted), now)
    healthy = sum(pod.serves and pod.name not in disrupted for pod in pods)
    allowed = max(healthy - desired, 0) if expected > 0 else 0
    return BudgetStatus(allowed, healthy, desired, expected, tuple(disrupted.items()), budget.spec)


def desired_healthy(budget: PodDisruptionBudget, expected: int) -> int:
    """How many pods must stay healthy of so many that there should be.

    Shares are rounded up, that of what may be missing as well: of 1 pod, 1% may be missing. Two bounds at once are a
    ModelError.
    """
    least, missing = budget.min_available, budget.max_unavailable
    if least is not None and missing is not None:
        raise ModelError(f"got {missing!r}, and {least!r} for min_available; only one is given", "max_unavailable")
    if missing is not None:
        return max(expected - rounded_up(missing, expected, "max_unavailable"), 0)
    return 0 if least is None else rounded_up(least, expected, "min_available")


def expected_pods(budget: PodDisruptionBudget, pods: Iterable[Pod], cache: Cache) -> int | None:
    """How many pods there should be: what the owners of these ask for, each once; None if one cannot be asked.

    A whole number of pods that must stay needs no such thing, and counts the pods there are. Pods without an owner
    count for nothing (getExpectedPodCount, getExpectedScale).
    """
    if budget.min_available is None and budget.max_unavailable is None:
        return 0
    if isinstance(budget.min_available, int) and budget.max_unavailable is None:
        return sum(1 for _ in pods)
    scales: dict[tuple[type, str], int] = {}
    for owner in dict.fromkeys(pod.owner for pod in pods if pod.owner):
        scale = _scale(owner, cache)
        if scale is None:
            return None
        scales[type(scale), scale.name] = scale.replicas
    return sum(scales.values())


def _scale(owner: str, cache: Cache) -> Deployment | ReplicaSet | StatefulSet | None:
    """Who says how many pods there should be, for pods with this owner."""
    replica_set = cache.get(ReplicaSet, owner)
    if replica_set is None:
        return cache.get(StatefulSet, owner)
    return cache.get(Deployment, replica_set.owner) if replica_set.owner else replica_set


def _not_yet_going(pods: Iterable[Pod], disrupted: Mapping[str, float], now: float) -> dict[str, float]:
    """Those of the evicted pods that are there, are not being deleted, and still may be (buildDisruptedPodMap)."""
    staying = (pod.name for pod in pods if pod.deleted is None and pod.name in disrupted)
    return {name: disrupted[name] for name in staying if disrupted[name] + DELETION_S > now}
