"""Somebody who drains nodes in the small world of the controllers, with its eviction API and machines that obey."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from reconciling import Kubelets, Reconciling

from hasim.protocols.api import Create, Delete, Done, Update
from hasim.protocols.reconcile.disruption import Evict, Verdict, verdict
from hasim.protocols.reconcile.draining import Drain, DrainStep
from hasim.protocols.reconcile.objects import Node, Pod
from hasim.protocols.reconcile.scheduling import Scheduler


class Machines(Kubelets):
    """Kubelets that bind nothing: their pods are placed by a scheduler, or made where they shall run."""

    def _bind(self, pod: Pod) -> None:
        pass


def evict(world: Reconciling, name: str) -> Verdict:
    """The eviction API: the verdict, with its requests carried out."""
    answer = verdict(name, world.store, world.now)
    for request in answer.requests:
        assert isinstance(world.do(request), Done)
    return answer


class Kubectl:
    """A drain under way: when it ended, and every verdict with its time."""

    def __init__(self, world: Reconciling, drain: Drain) -> None:
        self.world, self.drain = world, drain
        self.ended_at: float | None = None
        self.verdicts: list[tuple[float, str, int]] = []
        world.after(0.0, self._go_on)

    def _go_on(self) -> None:
        step = DrainStep()
        while not self.drain.ended:
            step = self.drain.plan(self.world.store, self.world.now)
            if not step.requests:
                break
            for request in step.requests:
                if isinstance(request, Evict):
                    answer = evict(self.world, request.name)
                    self.verdicts.append((self.world.now, request.name, answer.code))
                    self.drain.answered(request, answer, self.world.now)
                else:
                    self.drain.answered(request, self.world.do(request), self.world.now)
        if self.drain.ended:
            self.ended_at = self.world.now
        else:
            assert step.again is not None and step.again > 0
            self.world.after(step.again, self._go_on)

    @property
    def outcomes(self) -> list[str]:
        return list(self.drain.outcomes.values())


def cluster(
    nodes: int,
    starts: Callable[[Pod], float | None] = lambda pod: 1.0,
    drains: Callable[[Pod], float | None] = lambda pod: 1.0,
) -> Reconciling:
    """A world with so many nodes, n1, n2, …, and a scheduler."""
    world = Reconciling()
    Machines(world, starts, drains)
    for number in range(1, nodes + 1):
        world.do(Create(Node(f"n{number}", created=float(number))))
    world.add(Scheduler())
    return world


def crash(world: Reconciling, pod: Pod) -> None:
    """The pod fails, and asks nobody."""
    found = world.store.get(Pod, pod.name)
    assert found is not None
    world.do(Update(replace(found, phase="Failed", ready_at=None)))


def vanish(world: Reconciling, pod: Pod) -> None:
    """The pod is gone at once, as when its node is."""
    world.do(Delete(Pod, pod.name, force=True))


def ready(world: Reconciling, app: str | None = None) -> int:
    """How many pods serve, of one app or of all."""
    return sum(pod.serves for pod in world.pods() if app in (None, pod.template.app))
