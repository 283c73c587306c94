"""A Deployment: the pods of one template give way to those of the next, a few at a time or all at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from hasim.machine import CancelTimer, Effect, SetTimer
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.objects import Deployment, ReplicaSet
from hasim.protocols.reconcile.objects import Pod as PodObject
from hasim.protocols.reconcile.replica_sets import ReplicaSetController
from hasim.protocols.rollout.messages import Pause, Resume, Scale
from hasim.protocols.rollout.reconciled import APP, LONG_AGO, ReconciledRollout, standing

DEADLINE_SLACK_S: Final = 1.0
"""So much later than the progress deadline somebody looks whether it has passed."""


class DeploymentRollout(ReconciledRollout):
    """A Deployment's rolling update, or its recreation: see `protocols/reconcile/deployments.py`.

    `surge` and `unavailable` are numbers of pods, or shares of them like "25%". With `recreate` all old pods go before
    the first new one comes. Its pods are counted as Kubernetes counts them: those that leave come on top. A deadline
    that passes without progress is told, and nothing is done about it; a pause stops the clock. A rollback ends a
    pause, since a Deployment that is paused cannot be undone (kubectl pkg/polymorphichelpers/rollback.go).
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
        for thing in (*standing(initial, template, first.name), first, deployment):
            self.put(thing)
        self._replicas, self.deadline = replicas, deadline
        self._since = 0.0  # when the rollout last got on
        self._late_at: float | None = None  # when that will have been too long ago
        self.rest()

    def write_template(self, version: str) -> None:
        self.alter(Deployment, APP, 0.0, template=self.templates[version])

    def done(self, now: float) -> bool:
        wanted = self.templates[self.target]
        sizes = {each.template.revision: each.replicas for each in self.store.all(ReplicaSet)}
        if sizes.pop(wanted.revision, 0) != self._replicas or any(sizes.values()):
            return False
        pods = [pod for pod in self.store.all(PodObject) if pod.active]
        return len(pods) == self._replicas and all(
            pod.template.revision == wanted.revision and self.available(pod.name, now) for pod in pods
        )

    def rolled_back(self, now: float) -> list[Effect]:
        self.alter(Deployment, APP, now, paused=False)
        return self.begun(now)

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

    def timers(self, now: float) -> list[Effect]:
        deployment = self.store.get(Deployment, APP)
        assert deployment is not None
        # Kubernetes looks a second later than the deadline, too (progress.go, requeueStuckDeployment).
        wait = self.deadline + DEADLINE_SLACK_S
        if not self._deployments.stalled(APP, self._since + wait):  # it has got on just now
            self._since = now
        due = None if self.told or self.late or deployment.paused else self._since + wait
        timers = super().timers(now)
        if due != self._late_at:
            self._late_at = due
            timers.append(CancelTimer("deadline") if due is None else SetTimer("deadline", due - now, due - now))
        return timers
