"""Rollouts that Kubernetes' controllers do: the same controllers, over a store of their own.

A Deployment, a StatefulSet or a DaemonSet is written into a small store, and its controllers look at every change at
once, one sync after the other, until nothing more is to be done. So the moves are exactly theirs; what is left out is
how late the news of a change comes, which a `workload` has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from hasim.machine import Announce, Effect, Send, SetTimer
from hasim.protocols.api import Change, Create, Delete, Done, ObjectStore, Request, Update
from hasim.protocols.reconcile.controller import Controller, Plan
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.objects import Deployment, PodTemplate, ReplicaSet, StatefulSet
from hasim.protocols.reconcile.objects import Pod as PodObject
from hasim.protocols.reconcile.replica_sets import ReplicaSetController
from hasim.protocols.reconcile.stateful_sets import StatefulSetController
from hasim.protocols.rollout.messages import Left, Pause, Ready, Resume, Retry, Scale, Unready
from hasim.protocols.rollout.rollout import TICK_S, Rollout

APP: Final = "app"
LONG_AGO: Final = -1e9
"""Pods that were there before the rollout have been ready since then, in seconds."""
SYNCS_MAX: Final = 1_000_000
"""More syncs without a pause would be a loop of two controllers that undo one another."""


class ReconciledRollout(Rollout):
    """Runs controllers over a store until they are through, after every change; what they do to pods is asked for."""

    def __init__(self, old: str, new: str, initial: Sequence[str], controllers: Sequence[Controller]) -> None:
        """The objects are written by whoever knows their kind, with `put`."""
        super().__init__(old, new, initial)
        self.store = ObjectStore()
        self.templates = {version: PodTemplate(APP, revision=n + 1) for n, version in enumerate((old, new))}
        self._versions = {template.revision: version for version, template in self.templates.items()}
        self._controllers = list(controllers)
        self._queue: dict[tuple[int, str], None] = {}
        self._due: dict[tuple[int, str], float] = {}  # keys that are to be looked at again, and when
        self._told = False  # whether the end of what goes on was told
        self._late = False  # whether the deadline was told

    # What a kind of object says.

    def done(self, now: float) -> bool:
        """Whether all pods are of the target's version, and available."""
        raise NotImplementedError

    def write_template(self, version: str) -> None:
        """Let this be the version that is wanted."""
        raise NotImplementedError

    def stalled(self, now: float) -> bool:
        """Whether there was no progress for too long."""
        return False

    def _rest(self) -> None:
        """Let controllers look at what is there, which is as it should be."""
        self._told = True
        moved = [effect for effect in self.settle(0.0) if isinstance(effect, Send)]
        assert not moved, f"what is at rest moves: {moved}"
        self._due.clear()

    # Driving the controllers.

    def put(self, thing: Any) -> None:
        """Write an object that is there before anything begins."""
        self._apply(Create(thing), 0.0)

    def alter(self, kind: type, name: str, now: float, **fields: Any) -> None:
        """Write some fields of an object."""
        found: Any = self.store.get(kind, name)
        if found is not None:
            self._apply(Update(replace(found, version=0, **fields)), now)

    def begun(self, now: float) -> list[Effect]:
        self._told = self._late = False
        self.write_template(self.target)
        return self.settle(now)

    rolled_back = begun

    def commanded(self, command: Any, now: float) -> list[Effect]:
        if isinstance(command, Retry) and self.target == self.old:
            self.target = self.new
            return [Announce("rollout begun", self._said()), *self.begun(now)]
        return super().commanded(command, now)

    def changed(self, pod: str, message: Any, now: float) -> list[Effect]:
        found = self.store.get(PodObject, pod)
        if found is None:
            return []
        if isinstance(message, Left):
            self._apply(Delete(PodObject, pod, force=True), now)
        elif isinstance(message, Ready) and found.ready_at is None:
            self._apply(Update(replace(found, version=0, phase="Running", ready_at=now)), now)
        elif isinstance(message, Unready) and found.ready_at is not None:
            self._apply(Update(replace(found, version=0, ready_at=None)), now)
        return self.settle(now)

    def fired(self, timer: str, now: float) -> list[Effect]:
        return self.settle(now)

    def settle(self, now: float) -> list[Effect]:
        """Sync until nothing is left to do now."""
        effects: list[Effect] = []
        for ripe in [ripe for ripe, due in self._due.items() if due <= now]:
            del self._due[ripe]
            self._queue[ripe] = None
        for _ in range(SYNCS_MAX):
            if not self._queue:
                break
            number, key = next(iter(self._queue))
            del self._queue[number, key]
            effects += self._sync(number, key, now)
        else:
            raise AssertionError("controllers undo one another for ever")
        return [*effects, *self._ends(now), *self._timers(now)]

    def _sync(self, number: int, key: str, now: float) -> list[Effect]:
        controller = self._controllers[number]
        plan: Plan = controller.plan(key, self.store, now)
        effects: list[Effect] = []
        failed = False
        for batch in plan.batches:
            for request in batch:
                reply, said = self._carry_out(request, now)
                controller.answered(key, request, reply)
                effects += said
                failed = failed or not isinstance(reply, Done)
            if failed:
                break
        if failed:
            self._queue[number, key] = None
        elif plan.again is not None:
            self._due[number, key] = now + plan.again
        return effects

    def _carry_out(self, request: Request, now: float) -> tuple[Any, list[Effect]]:
        """Do what a controller asks for; pods stand where they are put at once."""
        if isinstance(request, Create) and isinstance(request.thing, PodObject):
            request = Create(replace(request.thing, node=request.thing.name))
        reply, change = self._apply(request, now)
        if change is None or change.key[0] is not PodObject:
            return reply, []
        before, after = change
        if before is None:
            version = self._versions[after.template.revision]
            return reply, self.begin_as(after.name, version)
        if after is not None and after.deleted is not None and before.deleted is None:
            return reply, self.leave([after.name])
        return reply, []

    def _apply(self, request: Request, now: float) -> tuple[Any, Change | None]:
        reply, change = self.store.apply(request, now)
        if change is not None:
            for number, controller in enumerate(self._controllers):
                for key in controller.keys(change, self.store):
                    self._queue[number, key] = None
        return reply, change

    def _ends(self, now: float) -> list[Effect]:
        if not self._told and self.done(now):
            self._told = True
            return self.over()
        if not self._told and not self._late and self.stalled(now):
            self._late = True
            return [Announce("progress deadline exceeded")]
        return []

    def _timers(self, now: float) -> list[Effect]:
        if not self._due:
            return []
        wait = max(min(self._due.values()) - now, 0.0) + TICK_S
        return [SetTimer("sync", wait, wait)]


class DeploymentRollout(ReconciledRollout):
    """A Deployment's rolling update, or its recreation: see `protocols/reconcile/deployments.py`.

    `surge` and `unavailable` are numbers of pods, or shares of them like "25%". With `recreate` all old pods go before
    the first new one comes. Its pods are counted as Kubernetes counts them: those that leave come on top. A deadline
    that passes without progress is told, and nothing is done about it.
    """

    def __init__(
        self,
        old: str,
        new: str,
        initial: Sequence[str],
        surge: str | int = "25%",
        unavailable: str | int = "25%",
        min_ready: float = 0.0,
        deadline: float = 600.0,
        recreate: bool = False,
    ) -> None:
        """The Deployment is at rest, with all its pods ready for long."""
        self._deployments = DeploymentController()
        super().__init__(old, new, initial, (self._deployments, ReplicaSetController("r")))
        self.min_ready = min_ready
        replicas = len(initial)
        template = self.templates[old]
        deployment = Deployment(
            APP,
            replicas,
            template,
            strategy="Recreate" if recreate else "RollingUpdate",
            surge=surge,
            unavailable=unavailable,
            min_ready=min_ready,
            progress_deadline=deadline,
            created=LONG_AGO,
        )
        first = ReplicaSet(f"{APP}-1", replicas, template, owner=APP, min_ready=min_ready, created=LONG_AGO)
        for thing in (*_standing(initial, template, first.name), first, deployment):
            self.put(thing)
        self._replicas = replicas
        self._rest()

    def write_template(self, version: str) -> None:
        self.alter(Deployment, APP, 0.0, template=self.templates[version])

    def done(self, now: float) -> bool:
        sets = [each for each in self.store.all(ReplicaSet)]
        wanted = self.templates[self.target]
        pods = [pod for pod in self.store.all(PodObject) if pod.active]
        ready = [pod for pod in pods if pod.template == wanted and self.available(pod.name, now)]
        return (
            len(ready) == len(pods) == self._replicas
            and sum(each.replicas for each in sets if each.template != wanted) == 0
        )

    def stalled(self, now: float) -> bool:
        return self._deployments.stalled(APP, now)

    def sizes(self) -> dict[str, int]:
        """How many replicas the set of each version has, as its `spec` says."""
        return {self._versions[each.template.revision]: each.replicas for each in self.store.all(ReplicaSet)}

    def commanded(self, command: Any, now: float) -> list[Effect]:
        if isinstance(command, Pause | Resume):
            self.alter(Deployment, APP, now, paused=isinstance(command, Pause))
            return self.settle(now)
        if isinstance(command, Scale):
            self._replicas = command.replicas
            self.alter(Deployment, APP, now, replicas=command.replicas)
            return self.settle(now)
        return super().commanded(command, now)

    def _timers(self, now: float) -> list[Effect]:
        timers = super()._timers(now)
        deployment = self.store.get(Deployment, APP)
        assert deployment is not None
        if not (self._told or self._late or deployment.paused):
            self._due.setdefault((0, APP), now + deployment.progress_deadline + 1.0)
            timers = super()._timers(now)
        return timers


class StatefulRollout(ReconciledRollout):
    """A StatefulSet's update, one ordinal after another from the highest: see `protocols/reconcile/stateful_sets.py`.

    Pods below `partition` keep the old version. A pod that never gets ready holds up everything, a rollback as well;
    after a rollback somebody deletes it, if `repairs` says so, as the Kubernetes manual tells people to.
    """

    def __init__(
        self, old: str, new: str, replicas: int, partition: int = 0, parallel: bool = False, repairs: bool = False
    ) -> None:
        """The set is at rest, with all its pods ready for long."""
        names = [f"{APP}-{ordinal}" for ordinal in range(replicas)]
        super().__init__(old, new, names, (StatefulSetController(),))
        template = self.templates[old]
        self.partition, self.repairs = partition, repairs
        for thing in _standing(names, template, APP):
            self.put(thing)
        self.put(
            StatefulSet(
                APP, replicas, template, parallel=parallel, partition=partition, created=LONG_AGO, settled=template
            )
        )
        self._rest()

    def write_template(self, version: str) -> None:
        self.alter(StatefulSet, APP, 0.0, template=self.templates[version])

    def rolled_back(self, now: float) -> list[Effect]:
        effects = self.begun(now)
        if self.repairs:
            for pod in list(self.store.all(PodObject)):
                if pod.template == self.templates[self.new] and not pod.ready and pod.active:
                    effects += self._carry_out(Delete(PodObject, pod.name), now)[1]
        return [*effects, *self.settle(now)]

    def done(self, now: float) -> bool:
        stateful_set = self.store.get(StatefulSet, APP)
        assert stateful_set is not None
        pods = list(self.store.all(PodObject))
        if len(pods) != stateful_set.replicas or not all(pod.serves for pod in pods):
            return False
        first = self.partition if self.target == self.new else 0
        wanted = self.templates[self.target]
        return all(pod.template == wanted for pod in pods if int(pod.name.rpartition("-")[2]) >= first)


def _standing(names: Sequence[str], template: PodTemplate, owner: str) -> list[PodObject]:
    """Pods that have been ready for long, each where it stands."""
    return [
        PodObject(name, template, owner=owner, node=name, phase="Running", ready_at=LONG_AGO, created=LONG_AGO)
        for name in names
    ]
