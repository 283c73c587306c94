"""Which workloads serve: enough of their pods answer, and traffic is sent to them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.alarm import Alarm
from hasim.model.parts import Workload
from hasim.protocols.reconcile.objects import Endpoints, Pod

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.kubelet import Kubelet
    from hasim.engines.des.live import LiveCluster
    from hasim.protocols.api import ObjectStore


class Serving:
    """Turns the variable of each workload as its pods turn.

    It looks when all that happens in an instant has happened, so that a node that falls with fifty pods, in the middle
    of other changes, is one change.
    """

    def __init__(
        self, live: LiveCluster, env: LeapingEnvironment, store: ObjectStore, kubelets: Mapping[str, Kubelet]
    ) -> None:
        """All workloads are up at first, as everything is."""
        self._live = live
        self._env = env
        self._store = store
        self._kubelets = kubelets
        parts = live.system.cluster.parts
        self.workloads = {name: part for name, part in parts.items() if isinstance(part, Workload)}
        units = {unit.name: index for index, unit in enumerate(live.system.units) if unit.kind == "workload"}
        self._variables = {name: units[name] for name in self.workloads}
        self.listeners: list[Callable[[str], None]] = []  # told of each workload that was looked at
        self._turned: dict[str, None] = {}

    def turned(self, app: str) -> None:
        """Something has happened to a pod of a workload."""
        if not self._turned:
            Alarm(self._env, self._env._now, self._look)
        self._turned[app] = None

    def all_turned(self) -> None:
        """Something has happened to a node."""
        for name in self.workloads:
            self.turned(name)

    def _look(self) -> None:
        """See after the workloads to whose pods something has happened."""
        turned, self._turned = self._turned, {}
        with self._live.instant():
            for app in turned:
                self._look_at(app)
        for app in turned:
            for listener in list(self.listeners):
                listener(app)

    def pods_of(self, app: str) -> list[str]:
        """The pods of a workload that answer, and that traffic is sent to."""
        endpoints = self._store.get(Endpoints, app)
        return [] if endpoints is None else [name for name in endpoints.pods if self._serves(name)]

    def _look_at(self, app: str) -> None:
        variable, up = self._variables[app], len(self.pods_of(app)) >= self.workloads[app].required
        if self._live.is_up(variable) != up:
            self._live.turn(variable, up)

    def _serves(self, name: str) -> bool:
        pod = self._store.get(Pod, name)
        kubelet = None if pod is None or pod.node is None else self._kubelets.get(pod.node)
        container = None if kubelet is None else kubelet.containers.get(name)
        return container is not None and container.serving
