"""Deployments: the pods of one template give way to those of the next, a few at a time or all at once.

Source: k/k pkg/controller/deployment (deployment_controller.go, sync.go, rolling.go, recreate.go, progress.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from hasim.errors import ModelError
from hasim.protocols.api import Change, Create, Reply, Request, Update
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan
from hasim.protocols.reconcile.expectations import TICK_S
from hasim.protocols.reconcile.objects import Deployment, Pod, PodTemplate, ReplicaSet
from hasim.protocols.reconcile.rolling import Size, new_replicas, old_replicas, proportions, resolve


class DeploymentController:
    """Sizes the ReplicaSets of deployments, one move a sync; a key is the name of a Deployment.

    The set of a template is "<deployment>-<revision>". A template that comes back, as in a rollback, finds its set
    again. There is no going back by itself: a rollout whose pods never become available stays where it is, and
    `stalled` says so.

    Sets are written over the version that was seen, one after another, the oldest first; so of two instances, or of
    two syncs before the cache has caught up, one is refused.
    """

    period: float | None = None

    def __init__(self) -> None:
        """No rollout has been seen."""
        self._progress: dict[str, _Progress] = {}

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """The deployment that changed, or the one whose set or pod did."""
        kind, name = change.key
        thing = change.before if change.after is None else change.after
        if kind is Deployment:
            yield name
            return
        owner = cache.get(ReplicaSet, thing.owner) if kind is Pod else thing if kind is ReplicaSet else None
        if owner is not None and owner.owner:
            yield owner.owner

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """The next move: scale if the number of replicas has changed, else go on with the rollout."""
        deployment = cache.get(Deployment, key)
        if deployment is None:
            self._progress.pop(key, None)
            return NOTHING
        found = _look(deployment, cache, now)
        self._progress[key] = _progress(found, self._progress.get(key))
        return Plan(tuple((request,) for request in _moves(found)), _until_available(found))

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """Whatever the answer was, the next plan looks at what is."""

    def stalled(self, name: str, now: float) -> bool:
        """Whether a rollout has made no progress for longer than its deadline (ProgressDeadlineExceeded).

        Progress is another pod of the new template, one fewer of the old ones, or another that is ready or available. A
        pause stops the clock, which begins anew after it. A rollout that has ended once is never stalled, however its
        pods fare later. This is the memory of one process: the next leader counts from when it first looks.
        """
        last = self._progress.get(name)
        return last is not None and not (last.done or last.paused) and now - last.since > last.deadline


class _Figures(NamedTuple):
    """How far a rollout is, in active pods."""

    updated: int
    old: int
    ready: int
    available: int


@dataclass(frozen=True, slots=True)
class _Progress:
    """When a rollout last got on."""

    template: PodTemplate
    figures: _Figures
    since: float
    done: bool
    paused: bool
    deadline: float


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is of a deployment: its set of the newest template, the others from the oldest on, and their pods.

    Of the pods of each set, `active` are those that count, and `waits` says of each of these how much longer until it
    is available; `running` are the sets of which any has not ended.
    """

    deployment: Deployment
    new: ReplicaSet | None
    olds: list[ReplicaSet]
    active: dict[str, list[Pod]]
    waits: dict[str, list[float | None]]
    running: set[str]
    surge: int
    unavailable: int
    now: float

    @property
    def sets(self) -> list[ReplicaSet]:
        """All its sets, the newest template's last."""
        return self.olds if self.new is None else [*self.olds, self.new]

    @property
    def sized(self) -> tuple[int, int]:
        """What is written down with the size of each set."""
        return self.deployment.replicas, self.deployment.replicas + self.surge

    def size(self, replica_set: ReplicaSet) -> Size:
        """What it should have and what of it is available: ready for at least `min_ready`."""
        return Size(replica_set.replicas, self.waits[replica_set.name].count(0.0))

    def resized(self, replica_set: ReplicaSet, replicas: int) -> list[Request]:
        """The request that gives it this size, if it has another."""
        written = replace(replica_set, replicas=replicas, sized=self.sized)
        return [] if written == replica_set else [Update(written)]


def _look(deployment: Deployment, cache: Cache, now: float) -> _Found:
    sets = [each for each in cache.all(ReplicaSet) if each.owner == deployment.name]
    sets.sort(key=lambda each: each.created)
    new = next((each for each in sets if each.template == deployment.template), None)
    if new is None and any(each.name == _set_name(deployment) for each in sets):
        revision = deployment.template.revision
        raise ModelError(
            f"got {revision} for two templates of {deployment.name!r}; another template takes another revision",
            "template.revision",
        )
    active: dict[str, list[Pod]] = {each.name: [] for each in sets}
    running: set[str] = set()
    for pod in cache.all(Pod):
        if pod.owner in active and pod.phase != "Failed":
            running.add(pod.owner)
            if pod.active:
                active[pod.owner].append(pod)
    waits = {each.name: [_wait(pod, each, now) for pod in active[each.name]] for each in sets}
    surge, unavailable = 0, 0
    if deployment.strategy == "RollingUpdate":
        surge, unavailable = resolve(deployment.surge, deployment.unavailable, deployment.replicas)
    olds = [each for each in sets if each is not new]
    return _Found(deployment, new, olds, active, waits, running, surge, unavailable, now)


def _set_name(deployment: Deployment) -> str:
    return f"{deployment.name}-{deployment.template.revision}"


# ------------------------------------------------------------------------------------------ moves


def _moves(found: _Found) -> list[Request]:
    deployment, new = found.deployment, found.new
    if new is not None and new.min_ready != deployment.min_ready:
        return [Update(replace(new, min_ready=deployment.min_ready))]
    if deployment.paused:
        return _scale(found)
    rescaled = any(each.replicas > 0 and each.sized and each.sized[0] != deployment.replicas for each in found.sets)
    scaling = _scale(found) if rescaled else []
    return scaling or (_recreate(found) if deployment.strategy == "Recreate" else _roll(found))


def _scale(found: _Found) -> list[Request]:
    """Follow the number of replicas without going on with the rollout (sync.go, scale)."""
    replicas, new = found.deployment.replicas, found.new
    active = [each for each in found.sets if each.replicas > 0]
    if len(active) <= 1:
        only = active or found.sets[-1:]
        return [request for each in only for request in found.resized(each, replicas)]
    if new is not None and found.size(new) == (replicas, replicas) and new.sized and new.sized[0] == replicas:
        return [request for old in found.olds if old.replicas > 0 for request in found.resized(old, 0)]
    if found.deployment.strategy == "Recreate":
        return []
    active.reverse()  # the newest first
    total = sum(each.replicas for each in active)
    before = [(each.replicas, (each.sized and each.sized[1]) or total) for each in active]
    after = proportions(replicas, found.surge, before)
    return [request for each, size in zip(active, after, strict=True) for request in found.resized(each, size)]


def _recreate(found: _Found) -> list[Request]:
    """All old pods go, and only when the last has gone do new ones come (recreate.go)."""
    down = [request for old in found.olds if old.replicas > 0 for request in found.resized(old, 0)]
    running = any(old.name in found.running for old in found.olds)
    return down if down or running else _grow(found, found.deployment.replicas)


def _roll(found: _Found) -> list[Request]:
    """New pods as far as the surge allows, or else fewer old ones as far as enough are available (rolling.go)."""
    replicas, new = found.deployment.replicas, found.new
    size = Size(0, 0) if new is None else found.size(new)
    total = sum(each.replicas for each in found.sets)
    target = new_replicas(replicas, found.surge, size.replicas, total)
    if new is None or target != size.replicas:
        return _grow(found, target)
    kept = old_replicas(replicas, found.unavailable, size, [found.size(old) for old in found.olds])
    pairs = zip(found.olds, kept, strict=True)
    return [request for old, keep in pairs if keep != old.replicas for request in found.resized(old, keep)]


def _grow(found: _Found, replicas: int) -> list[Request]:
    """Give the new set this size; make it, if there is none."""
    deployment, new = found.deployment, found.new
    if new is not None:
        return found.resized(new, replicas) if replicas != new.replicas else []
    made = ReplicaSet(
        _set_name(deployment),
        replicas,
        deployment.template,
        owner=deployment.name,
        min_ready=deployment.min_ready,
        created=found.now,
        sized=found.sized,
    )
    return [Create(made)]


# ----------------------------------------------------------------------------------- availability


def _wait(pod: Pod, replica_set: ReplicaSet, now: float) -> float | None:
    """How much longer until a pod is available, in seconds, if it stays ready; None while it is not ready."""
    if pod.ready_at is None:
        return None
    # Ready is ready where nothing is waited for, even if this clock lags behind the kubelet's.
    return max(pod.ready_at + replica_set.min_ready - now, 0.0) if replica_set.min_ready > 0 else 0.0


def _until_available(found: _Found) -> float | None:
    """When the next ready pod becomes available without another change, in seconds from now."""
    waits = (wait for each in found.waits.values() for wait in each if wait)
    return min((max(wait, TICK_S) for wait in waits), default=None)


def _progress(found: _Found, last: _Progress | None) -> _Progress:
    """How far the rollout is now, and since when (progress.go; deployment_util.go, DeploymentProgressing)."""
    deployment, new = found.deployment, found.new
    figures = _Figures(
        updated=0 if new is None else len(found.active[new.name]),
        old=sum(len(found.active[old.name]) for old in found.olds),
        ready=sum(len(each) - each.count(None) for each in found.waits.values()),
        available=sum(found.size(each).available for each in found.sets),
    )
    replicas = deployment.replicas
    done = (figures.updated, figures.old, figures.available) == (replicas, 0, replicas)
    since = found.now
    if last is not None and last.template == deployment.template and (deployment.paused or not last.paused):
        done = done or last.done
        then = last.figures
        more = any(now > before for now, before in zip(figures[::2], then[::2], strict=True))
        if not (more or figures.available > then.available or figures.old < then.old):
            since = last.since
    return _Progress(deployment.template, figures, since, done, deployment.paused, deployment.progress_deadline)
