"""How far a rollout is, as the objects tell, and whether it has come to a stop, as the leader's controller says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from hasim.engines.des.kubernetes.api import Api
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.reconcile.daemon_sets import daemon_template, place_for
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.objects import DaemonSet, Node, Pod, PodTemplate, StatefulSet

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.world import KubernetesWorld

LOOK_S: Final = 1.0
"""So often somebody asks whether a rollout has stalled, once it might have."""


class Progress:
    """One workload, as `kubectl rollout status` sees it (k/k staging/src/k8s.io/kubectl/pkg/polymorphichelpers)."""

    def __init__(self, api: Api, kind: type[Any], app: str) -> None:
        self._api, self._kind, self._app = api, kind, app

    @property
    def wanted(self) -> Any:
        """The object that says what there should be."""
        found = self._api.store.get(self._kind, self._app)
        assert found is not None
        return found

    @property
    def template(self) -> PodTemplate:
        """The template that the pods should have."""
        template: PodTemplate = self.wanted.template
        return template

    @property
    def replicas(self) -> int:
        """How many pods there should be."""
        wanted = self.wanted
        if not isinstance(wanted, DaemonSet):
            return int(wanted.replicas)
        return sum(place_for(wanted.template, node).runs for node in self._api.store.all(Node))

    def pods(self) -> list[Pod]:
        """All its pods."""
        return [pod for pod in self._api.store.all(Pod) if pod.template.app == self._app]

    def counts(self) -> dict[int, tuple[int, int, int]]:
        """Pods by revision: those that are ready, on their way, and leaving."""
        found: dict[int, list[int]] = {}
        for pod in self.pods():
            if pod.active or pod.deleted is not None:
                counts = found.setdefault(pod.template.revision, [0, 0, 0])
                counts[2 if pod.deleted is not None else 0 if pod.ready else 1] += 1
        return {revision: (ready, starting, leaving) for revision, (ready, starting, leaving) in found.items()}

    @property
    def is_done(self) -> bool:
        """Whether all pods are of the template, and available; pods that leave do not count."""
        return self.wait == 0.0

    @property
    def wait(self) -> float | None:
        """How long until it is done if ready pods stay so, in seconds; None while something else is missing."""
        wanted, now = self.wanted, self._api.now
        template = daemon_template(wanted.template) if isinstance(wanted, DaemonSet) else wanted.template
        active = [pod for pod in self.pods() if pod.active]
        free = wanted.partition if isinstance(wanted, StatefulSet) else 0  # ordinals that may be of any template
        bound = [pod for pod in active if not free or int(pod.name.rpartition("-")[2]) >= free]
        if len(active) != self.replicas or any(pod.template != template for pod in bound):
            return None
        waits = []
        for pod in active:
            if pod.ready_at is None:
                return None
            waits.append(pod.ready_at + getattr(wanted, "min_ready", 0.0) - now)
        return max(0.0, *waits, 0.0)


class Stall:
    """Watches for a deployment's progress deadline, and calls `told()` once when it has passed.

    Only the controller in the leader knows since when there is no progress. While it runs, the clock that it goes by
    must not be leapt over.
    """

    def __init__(self, kubernetes: KubernetesWorld, app: str, told: Callable[[], None]) -> None:
        """Nothing is on its way."""
        self._kubernetes, self._app, self._told = kubernetes, app, told
        self._deadline = 0.0
        self._stirred_at = 0.0
        self._next: Alarm | None = None

    def watch(self, deadline: float) -> None:
        """A rollout goes on, with so many seconds for each bit of progress."""
        self.stop()
        self._deadline, self._stirred_at = deadline, self._kubernetes.env.now
        self._kubernetes.under_way[self] = None
        self._later()

    def stirred(self) -> None:
        """A pod has changed, which may be progress."""
        self._stirred_at = self._kubernetes.env.now

    def stop(self) -> None:
        """Nothing goes on any more."""
        self._kubernetes.under_way.pop(self, None)
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _later(self) -> None:
        env = self._kubernetes.env
        self._next = Alarm(env, max(self._stirred_at + self._deadline, env.now) + LOOK_S, self._look)

    def _look(self) -> None:
        kubernetes = self._kubernetes
        controllers = kubernetes.leading(DeploymentController)
        if any(each.stalled(self._app, kubernetes.api.now) for each in controllers):
            self.stop()
            self._told()
        else:
            self._later()
