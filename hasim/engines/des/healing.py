"""Remedies at work on a live cluster: who looks sick, and what is done about it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hasim.engines.des.draws import draws
from hasim.engines.des.requests.replica import Replica
from hasim.engines.des.world import Node as Machine
from hasim.engines.des.world.alarm import Alarm
from hasim.machine import Announce
from hasim.model.healing import NODES, Healing
from hasim.protocols.api import Delete
from hasim.protocols.reconcile.objects import Node, Pod
from hasim.protocols.reconcile.remedy import Begin, RemedyController
from hasim.streams import FEW, uniforms

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.world import KubernetesWorld
    from hasim.engines.des.live import LiveCluster

Sick = Callable[[], dict[str, bool] | None]
"""Whether each is sick; None while nobody can tell."""
Treat = Callable[[str, float, Callable[[bool], None]], None]
"""Treat this for so many seconds, and say in the end whether that can have helped."""


class Healer:
    """One remedy: it looks every `check`, begins what its controller says, and tells it how that ended."""

    def __init__(self, live: LiveCluster, name: str, healing: Healing) -> None:
        self.live = live
        self.env = live.env
        self.name = name
        self._healing = healing
        chance = uniforms(live.streams[f"remedy:{name}/chance"], FEW)
        self._chance = chance
        self._controller = RemedyController(healing.remedy, lambda share: chance() < share)
        self._takes = draws(healing.takes, live.streams, f"remedy:{name}/takes")
        self._sick, self._treat = _of(live, healing)

    def start(self) -> None:
        """Look for the first time at any moment of a first interval."""
        self._look_in(self._healing.remedy.check * self._chance())

    def _look_in(self, delay: float) -> None:
        Alarm(self.env, self.env.now + delay, self._look)  # type: ignore[arg-type]

    def _look(self) -> None:
        sick = self._sick()
        for said in [] if sick is None else self._controller.step(self.env.now, sick):
            if isinstance(said, Begin):
                self._treat(said.name, next(self._takes), partial(self._finished, said.name))
            else:
                self._note(said)
        self._look_in(self._healing.remedy.check)

    def _finished(self, name: str, could_help: bool) -> None:
        worked = could_help and (self._healing.works >= 1 or self._chance() < self._healing.works)
        for said in self._controller.finished(name, self.env.now, worked):
            self._note(said)

    def _note(self, said: Announce) -> None:
        assert not isinstance(said.detail, str)
        detail = dict(said.detail)
        self.live.note(said.kind, detail.pop("name"), {"remedy": self.name, **detail})


def _of(live: LiveCluster, healing: Healing) -> tuple[Sick, Treat]:
    """How to see who is sick, and how to treat, for what a remedy is of."""
    if healing.of == NODES:
        assert live.kubernetes is not None
        nodes = _Nodes(live.kubernetes)
        return nodes.sick, nodes.treat
    if healing.remedy.symptom == "disk full":
        role = next(role for role in live.played if role.part == healing.of)
        disks = _Disks(live, role.world.nodes)
        return disks.sick, disks.treat
    assert live.requests is not None
    servers = _Servers(live, live.requests.pools[healing.of], healing.in_flight)
    return servers.sick, servers.treat


class _Servers:
    """The servers of a pool: those with too much to do, or that hang; treated by a restart."""

    def __init__(self, live: LiveCluster, replicas: list[Replica], in_flight: int | None) -> None:
        self._live = live
        self._replicas = {replica.name: replica for replica in replicas}
        self._in_flight = in_flight

    def sick(self) -> dict[str, bool]:
        return {name: self._is_sick(replica) for name, replica in self._replicas.items() if replica.standing}

    def _is_sick(self, replica: Replica) -> bool:
        if self._in_flight is None:
            return replica.frozen or not replica.running
        return replica.running and replica.in_flight > self._in_flight

    def treat(self, name: str, lasting: float, done: Callable[[bool], None]) -> None:
        live, replica = self._live, self._replicas[name]
        assert live.requests is not None
        replica.crash()
        live.requests.kill(name, down=True)

        def over() -> None:
            if replica.standing and not replica.running:
                replica.start(at_once=True)  # whatever its start takes is within the treatment
            live.requests.kill(name, down=False)  # type: ignore[union-attr]
            done(replica.running)

        Alarm(live.requests.env, live.env.now + lasting, over)


class _Disks:
    """The disks of a quorum's members; treated by making room."""

    def __init__(self, live: LiveCluster, nodes: dict[str, Machine]) -> None:
        self._live = live
        self._nodes = nodes

    def sick(self) -> dict[str, bool]:
        return {name: bool(node.disk.fulls) for name, node in self._nodes.items()}

    def treat(self, name: str, lasting: float, done: Callable[[bool], None]) -> None:
        node = self._nodes[name]

        def over() -> None:
            node.disk.fulls.clear()
            node.has_room()
            done(True)

        Alarm(node.env, self._live.env.now + lasting, over)


class _Nodes:
    """The nodes of Kubernetes that were given up; treated by deleting them with their pods, to join anew.

    Both go through the API: while that does not answer, nothing is seen and nothing is done.
    """

    def __init__(self, kubernetes: KubernetesWorld) -> None:
        self._kubernetes = kubernetes

    def sick(self) -> dict[str, bool] | None:
        if self._kubernetes.api.contact != "open":
            return None
        return {node.name: node.ready != "True" for node in self._kubernetes.api.store.all(Node)}

    def treat(self, name: str, lasting: float, done: Callable[[bool], None]) -> None:
        kubernetes = self._kubernetes
        api, kubelet = kubernetes.api, kubernetes.kubelets[name]
        if api.store.get(Node, name) is None:
            done(False)
            return
        for pod in [pod for pod in api.store.all(Pod) if pod.node == name]:
            api.put(Delete(Pod, pod.name, force=True))
        kubelet.set_power(False, "remedy")
        api.put(Delete(Node, name))

        def over() -> None:
            kubelet.set_power(True, "remedy")  # where the host stands, it joins by itself
            done(kubelet.powered)

        Alarm(api.env, api.env.now + lasting, over)
