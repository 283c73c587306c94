"""Rollouts that Kubernetes' controllers do: the same controllers, over a store of their own.

A Deployment, a StatefulSet or a DaemonSet is written into a small store, and its controllers look at every change at
once, one sync after the other, until nothing more is to be done. So the moves are exactly theirs; what is left out is
how late the news of a change comes, which a `workload` has. One kind of object a file beside this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from hasim.machine import Announce, Effect, Send, SetTimer
from hasim.protocols.api import Change, Create, Delete, Done, ObjectStore, Request, Update
from hasim.protocols.reconcile.controller import Controller, Plan
from hasim.protocols.reconcile.objects import Pod as PodObject
from hasim.protocols.reconcile.objects import PodTemplate
from hasim.protocols.rollout.messages import Left, Ready, Retry, Unready
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
        self.told = False  # whether the end of what goes on was told
        self.late = False  # whether the deadline was told

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

    def placed(self, pod: PodObject) -> PodObject:
        """A pod that is to be made, on its node: one of its own, where the kind of object does not care."""
        return replace(pod, node=pod.name)

    def rest(self) -> None:
        """Let controllers look at what is there, which is as it should be."""
        self.told = True
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
        self.told = self.late = False
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
        return [*effects, *self._ends(now), *self.timers(now)]

    def _sync(self, number: int, key: str, now: float) -> list[Effect]:
        controller = self._controllers[number]
        plan: Plan = controller.plan(key, self.store, now)
        effects: list[Effect] = []
        failed = False
        for batch in plan.batches:
            for request in batch:
                reply, said = self.carry_out(request, now)
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

    def carry_out(self, request: Request, now: float) -> tuple[Any, list[Effect]]:
        """Do what a controller asks for; pods stand where they are put at once."""
        if isinstance(request, Create) and isinstance(request.thing, PodObject):
            request = Create(self.placed(request.thing))
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
        if not self.told and self.done(now):
            self.told = True
            return self.over()
        if not self.told and not self.late and self.stalled(now):
            self.late = True
            return [Announce("progress deadline exceeded")]
        return []

    def timers(self, now: float) -> list[Effect]:
        """When to look again without news."""
        if not self._due:
            return []
        wait = max(min(self._due.values()) - now, 0.0) + TICK_S
        return [SetTimer("sync", wait, wait)]


def standing(names: Sequence[str], template: PodTemplate, owner: str) -> list[PodObject]:
    """Pods that have been ready for long, each where it stands."""
    return [
        PodObject(name, template, owner=owner, node=name, phase="Running", ready_at=LONG_AGO, created=LONG_AGO)
        for name in names
    ]
