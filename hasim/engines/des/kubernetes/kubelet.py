"""A node and its kubelet: it renews its lease, starts the pods that are bound to it, and says how they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hasim.engines.des.kubernetes.container import Container
from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.alarm import Alarm
from hasim.model.serving import AnyRestart
from hasim.protocols.api import Change, Create, Delete, Done, ObjectStore, Patch, Refused, Reply
from hasim.protocols.reconcile.admission import admits
from hasim.protocols.reconcile.objects import Node, NodeLease, Pod

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.world import KubernetesWorld

RENEW_S: Final = 10.0
"""A quarter of nodeLeaseDurationSeconds, 40 s (k/k pkg/kubelet, nodelease)."""
RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 7.0
"""Waits after a renewal that failed: 200 ms, doubling up to 7 s (component-helpers, lease controller, maxBackoff)."""


@dataclass(frozen=True)
class Laws:
    """Durations of a workload's pods, drawn one after another, and who starts its containers again."""

    start: Iterator[float]
    stop: Iterator[float]
    crash: Iterator[float] | None
    restart: AnyRestart


class Kubelet:
    """A node: `powered` while its host stands, `up` while its kubelet runs too, and `frozen` while nothing on it does.

    Containers run on without a kubelet, but nobody starts them again, and no news of them gets out. When the host falls
    all of them end. A kubelet that comes back starts what is bound to it and was not deleted meanwhile.
    """

    def __init__(self, world: KubernetesWorld, name: str, laws: Mapping[str, Laws], phase: float) -> None:
        """A node in place, whose next renewal comes in `phase` seconds."""
        self.world = world
        self.env: LeapingEnvironment = world.env
        self.name = name
        self.laws: Mapping[str, Laws] = laws
        self.powered = True
        self.runs = True
        self.frozen = False
        self.containers: dict[str, Container] = {}
        self._deaf = 0  # how often it has been frozen or away: answers from before count for nothing
        self._retry = RETRY_FIRST_S
        self._held: list[Change] = []
        self._renewal = Alarm(self.env, self.env._now + phase, self._renew)
        self._close = world.api.watch(self)

    @property
    def up(self) -> bool:
        """Whether its kubelet works."""
        return self.powered and self.runs and not self.frozen

    # The lease.

    def _renew(self) -> None:
        if not self.up:
            return
        lease = self.world.api.store.get(NodeLease, self.name)
        renewals = 0 if lease is None else lease.renewals + 1
        request = Patch(NodeLease, self.name, (("renewals", renewals),))
        deaf = self._deaf
        self.world.api.ask(self.name, request, lambda reply: self._renewed(reply) if deaf == self._deaf else None)

    def _renewed(self, reply: Reply | None) -> None:
        if isinstance(reply, Done):
            self._retry, wait = RETRY_FIRST_S, RENEW_S
        else:
            if reply == Refused("not found"):
                self.world.api.ask(self.name, Create(NodeLease(self.name)), lambda _: None)
            wait, self._retry = self._retry, min(2 * self._retry, RETRY_MOST_S)
        self._renewal = Alarm(self.env, self.env._now + wait, self._renew)

    # Pods.

    def wants(self, change: Change) -> bool:
        """Whether it is of a pod on this node."""
        thing = change.before if change.after is None else change.after
        return isinstance(thing, Pod) and thing.node == self.name

    def hear(self, change: Change) -> None:
        """A pod of this node has come, changed or gone."""
        if self.frozen:
            self._held.append(change)
        elif self.up:
            self._mind(change.before.name if change.after is None else change.after.name, change.after)

    def resync(self, store: ObjectStore) -> None:
        """All pods of this node, as they are now."""
        if not self.up:
            return
        mine = {pod.name: pod for pod in store.all(Pod) if pod.node == self.name}
        for name in [*mine, *(name for name in list(self.containers) if name not in mine)]:
            self._mind(name, mine.get(name))

    def _mind(self, name: str, pod: Pod | None) -> None:
        """Bring a pod where it should be."""
        container = self.containers.get(name)
        if pod is None:  # gone by force: nobody waits for it to stop
            if container is not None:
                container.die()
                del self.containers[name]
        elif pod.deleted is not None:
            if container is None:
                self._say_gone(name)
            else:
                container.stop(lambda: self._gone(name))
        elif container is None:
            if pod.phase != "Failed":
                self._take(pod)
        elif pod.ready is not (container.state == "running"):  # somebody else, or nobody, has said how it is
            self.report(name, ready_at=self.env._now if container.state == "running" else None)

    def _take(self, pod: Pod) -> None:
        node = self.world.api.store.get(Node, self.name)
        running = [container.pod for container in self.containers.values()]
        why = None if node is None else admits(node, running, pod)
        if why is not None:
            self.report(pod.name, phase="Failed", reason=why, ready_at=None)
            return
        self.containers[pod.name] = Container(self, pod)

    def adopt(self, pod: Pod) -> None:
        """A pod that has been running here for long when the history begins."""
        self.containers[pod.name] = Container(self, pod, since=0.0)

    def _gone(self, name: str) -> None:
        self.containers.pop(name, None)
        self._say_gone(name)

    def _say_gone(self, name: str) -> None:
        self._insist(lambda answer: self.world.api.ask(self.name, Delete(Pod, name, force=True), answer))

    def report(self, name: str, **fields: Any) -> None:
        """Say how a pod is."""
        patch = Patch(Pod, name, tuple(fields.items()))
        self._insist(lambda answer: self.world.api.ask(self.name, patch, answer))

    def _insist(self, ask: Callable[[Callable[[Reply | None], None]], None], wait: float = RETRY_FIRST_S) -> None:
        """Ask until there is an answer, whatever it says; a kubelet that has gone asks no more."""
        deaf = self._deaf
        if not self.up:
            return

        def answered(reply: Reply | None) -> None:
            if reply is None and deaf == self._deaf:
                again = min(2 * wait, RETRY_MOST_S)
                Alarm(self.env, self.env._now + wait, lambda: self._insist(ask, again) if deaf == self._deaf else None)

        ask(answered)

    # What becomes of the node.

    def set_power(self, powered: bool) -> None:
        """The host falls, with all that runs on it, or is back."""
        if powered == self.powered:
            return
        self.powered = powered
        if powered:
            self._come_back()
        else:
            self._deaf += 1
            for container in self.containers.values():
                container.die()
            self.containers.clear()
            self.world.all_turned()

    def set_runs(self, runs: bool) -> None:
        """The kubelet alone falls, or is back."""
        if runs != self.runs:
            self.runs = runs
            self._deaf += not runs
            if runs:
                self._come_back()

    def freeze(self) -> None:
        """Nothing on the node does anything."""
        self.frozen = True
        self._deaf += 1
        self.world.all_turned()

    def thaw(self) -> None:
        """All of it goes on: a renewal that is overdue comes at once."""
        self.frozen = False
        self.world.all_turned()
        held, self._held = self._held, []
        for change in held:
            self.hear(change)
        self._come_back()

    def _come_back(self) -> None:
        if not self.up:
            return
        self._renewal.cancel()
        self._retry = RETRY_FIRST_S
        self._renewal = Alarm(self.env, self.env._now, self._renew)
        self._close()
        self._close = self.world.api.watch(self)
