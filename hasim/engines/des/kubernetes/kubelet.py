"""A node and its kubelet: it renews its lease, starts the pods that are bound to it, and says how they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hasim.engines.des.kubernetes.container import Container, Laws
from hasim.engines.des.kubernetes.reports import Reports
from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.alarm import Alarm, Beat
from hasim.protocols.api import Change, Create, Done, Get, ObjectStore, Patch, Refused, Reply
from hasim.protocols.reconcile.admission import admits
from hasim.protocols.reconcile.objects import Node, NodeLease, Pod

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.world import KubernetesWorld

RENEW_S: Final = 10.0
"""A quarter of nodeLeaseDurationSeconds, 40 s (k/k pkg/kubelet, nodelease)."""
RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 7.0
"""Waits after a renewal that failed: 200 ms, doubling up to 7 s (component-helpers, lease controller, maxBackoff)."""


class Kubelet:
    """A node: `powered` while its host stands, `awake` while it is not frozen either, `up` while its kubelet runs too.

    Containers run on without a kubelet, but nobody starts them again, and no news of them gets out. When the host falls
    all of them end. A kubelet that comes back starts what is bound to it and was not deleted meanwhile.
    """

    kinds = (Pod,)

    def __init__(self, world: KubernetesWorld, node: Node, laws: Callable[[Pod], Laws], phase: float) -> None:
        """A node in place, whose next renewal comes in `phase` seconds."""
        self.world = world
        self.env: LeapingEnvironment = world.env
        self.name = node.name
        self.runs = True
        self.containers: dict[str, Container] = {}
        self._node = node  # its size does not change
        self._laws = laws
        self._off: dict[str, None] = {}  # what keeps it without power
        self._frozen = 0  # by how many
        self._reports = Reports(world.api, node.name)
        self._deaf = 0  # how often it has been away: answers from before count for nothing
        self._renewals = 0
        self._retry = RETRY_FIRST_S
        self._renewal: Alarm = Beat(self.env, self.env._now + phase, self._renew)
        self._watch = world.api.watch(self)

    @property
    def powered(self) -> bool:
        """Whether its host stands."""
        return not self._off

    @property
    def awake(self) -> bool:
        """Whether anything on it does anything."""
        return self.powered and not self._frozen

    @property
    def up(self) -> bool:
        """Whether its kubelet works."""
        return self.awake and self.runs

    @property
    def now(self) -> float:
        """The time of day, as objects have it."""
        return self.world.api.now

    @property
    def is_settled(self) -> bool:
        """Whether the control plane thinks of it what is so, and nothing is to come of it but renewals."""
        node = self.world.api.store.get(Node, self.name)
        if node is None:
            return True
        if self.up:
            return node.ready == "True" and self._retry == RETRY_FIRST_S
        return node.ready != "True" and any(taint.effect == "NoExecute" for taint in node.taints)

    # The lease.

    def _renew(self) -> None:
        self._renewals += 1
        request = Patch(NodeLease, self.name, (("renewals", self._renewals),))
        deaf = self._deaf
        self.world.api.ask(self.name, request, lambda reply: self._renewed(reply) if deaf == self._deaf else None)

    def _renewed(self, reply: Reply | None) -> None:
        if isinstance(reply, Done):
            self._retry, wait = RETRY_FIRST_S, RENEW_S
        else:
            if reply == Refused("not found"):
                self.world.api.ask(self.name, Create(NodeLease(self.name)), lambda _: None)
            wait, self._retry = self._retry, min(2 * self._retry, RETRY_MOST_S)
        self._renewal = Beat(self.env, self.env._now + wait, self._renew)

    def _register(self) -> None:
        """See whether the API knows the node, and make it known otherwise (kubelet_node_status.go)."""
        deaf = self._deaf

        def heard(reply: Reply | None) -> None:
            if deaf != self._deaf:
                return
            if reply is None:
                Alarm(self.env, self.env._now + RENEW_S, lambda: self._register() if deaf == self._deaf else None)
            elif reply == Refused("not found"):
                self._node = replace(self._node, created=self.now)
                self.world.api.ask(self.name, Create(self._node), heard)

        self.world.api.ask(self.name, Get(Node, self.name), heard)

    # Pods.

    def wants(self, change: Change) -> bool:
        """Whether it is of a pod on this node."""
        pod: Pod = change.before if change.after is None else change.after
        return pod.node == self.name

    def hear(self, change: Change) -> None:
        """A pod of this node has come, changed or gone."""
        self._mind(change.key[1], change.after)

    def resync(self, store: ObjectStore) -> None:
        """All pods of this node, as they are now."""
        mine = {pod.name: pod for pod in store.all(Pod) if pod.node == self.name}
        for name in [*mine, *(name for name in list(self.containers) if name not in mine)]:
            self._mind(name, mine.get(name))

    def adopt(self, pod: Pod) -> None:
        """A pod that has been running here for long when the history begins."""
        self.containers[pod.name] = Container(self, pod, self._laws(pod), since=self.now)

    def report(self, container: Container) -> None:
        """Say how a pod is; what is not said now is found to differ when the kubelet is back."""
        if self.up:
            running = {"phase": "Running"} if container.has_run else {}
            self._reports.status(container.pod, ready_at=container.ready_at, restarts=container.restarts, **running)

    def ended(self, container: Container) -> None:
        """A container has stopped, as it was told to."""
        del self.containers[container.pod.name]
        if self.up:
            self._reports.gone(container.pod)

    def _mind(self, name: str, pod: Pod | None) -> None:
        """Bring a pod where it should be."""
        container = self.containers.get(name)
        if container is not None and (pod is None or pod.created != container.pod.created):
            container.die()  # gone by force: nobody waits for it to stop
            del self.containers[name]
            container = None
        if pod is None:
            return
        if pod.deleted is not None:
            if container is None:
                self._reports.gone(pod)
            else:
                container.stop()
        elif container is None:
            if pod.phase != "Failed":
                self._take(pod)
        elif _differs(pod, container):
            self.report(container)

    def _take(self, pod: Pod) -> None:
        """Start a pod, if there is room for it; one that is said to be ready is so no longer."""
        why = admits(self._node, [container.pod for container in self.containers.values()], pod)
        if why is not None:
            self._reports.status(pod, phase="Failed", reason=why, ready_at=None)
            return
        container = Container(self, pod, self._laws(pod))
        self.containers[pod.name] = container
        if pod.ready:
            self.report(container)

    # What becomes of the node.

    def set_power(self, powered: bool, why: str = "host") -> None:
        """The host falls, with all that runs on it, or is back; it stands when nothing keeps it down any more."""
        before = self.powered
        if powered:
            self._off.pop(why, None)
        else:
            self._off[why] = None
        if self.powered == before:
            return
        if self.powered:
            self._come_back()
            return
        self._go_away()
        for container in self.containers.values():
            container.die()
        self.containers.clear()

    def set_runs(self, runs: bool) -> None:
        """The kubelet alone falls, or is back."""
        if runs == self.runs:
            return
        self.runs = runs
        if runs:
            self._come_back()
        else:
            self._go_away()

    def freeze(self) -> None:
        """Nothing on the node does anything, until all who froze it let it."""
        self._frozen += 1
        if self._frozen == 1:
            self._go_away()
            for container in self.containers.values():
                container.freeze()
            self.world.all_turned()

    def thaw(self) -> None:
        """All of it goes on: a renewal that is overdue comes at once, and the pods are listed anew."""
        self._frozen -= 1
        if not self._frozen:
            self.world.all_turned()
            self._let_go_on()
            self._come_back()

    def end(self) -> None:
        """The machine is given back."""
        self.set_power(False)

    def _go_away(self) -> None:
        self._deaf += 1
        self._renewal.cancel()
        self._reports.forget()
        self._watch.close()

    def _come_back(self) -> None:
        if not self.up:
            return
        self._retry = RETRY_FIRST_S
        self._renewal = Alarm(self.env, self.env._now, self._renew)
        self._watch.close()
        self._watch = self.world.api.watch(self)
        self._register()
        self._let_go_on()

    def _let_go_on(self) -> None:
        for container in list(self.containers.values()):
            container.go_on()


def _differs(pod: Pod, container: Container) -> bool:
    """Whether the API thinks of a pod what is not so."""
    ready = container.ready_at is not None
    return (
        pod.ready is not ready or pod.restarts != container.restarts or (container.has_run and pod.phase == "Pending")
    )
