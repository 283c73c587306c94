"""The cloud: a machine that is asked for becomes a node after a while, and one that is given back goes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hasim.engines.des.kubernetes.api import Api
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Change, Create, Delete
from hasim.protocols.reconcile.cluster_autoscaler import Machine
from hasim.protocols.reconcile.objects import Node, NodeLease


class Cloud:
    """Machines beside those of the topology.

    `takes` is how long each takes to come, in seconds; `pods` is how many pods it may have. `begun(node)` and
    `ended(name)` are called when a machine begins to run and when it has been switched off.
    """

    def __init__(
        self, api: Api, takes: Iterator[float], pods: int, begun: Callable[[Node], None], ended: Callable[[str], None]
    ) -> None:
        """No machine has been asked for."""
        self._api = api
        self._takes = takes
        self._pods = pods
        self._begun = begun
        self._ended = ended
        self._coming: dict[str, Alarm] = {}

    def hear(self, change: Change) -> None:
        """A machine has been asked for, or given back."""
        machine, env = change.after, self._api.env
        if machine is None:
            self._give_back(change.before.name)
        elif change.before is None:
            at = env._now + next(self._takes)
            self._coming[machine.name] = Alarm(env, at, lambda: self._appear(machine))

    def _appear(self, machine: Machine) -> None:
        del self._coming[machine.name]
        node = Node(machine.name, machine.zone, machine.cpu, self._pods, created=self._api.now)
        self._api.put(Create(NodeLease(node.name)))
        self._api.put(Create(node))
        self._begun(node)

    def _give_back(self, name: str) -> None:
        coming = self._coming.pop(name, None)
        if coming is not None:
            coming.cancel()
            return
        self._ended(name)
        self._api.put(Delete(Node, name))
        self._api.put(Delete(NodeLease, name))
