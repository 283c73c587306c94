"""A DaemonSet: one pod in each of the given places, replaced place by place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hasim.protocols.reconcile.daemon_sets import DaemonSetController, daemon_template
from hasim.protocols.reconcile.objects import DaemonSet, Node
from hasim.protocols.reconcile.objects import Pod as PodObject
from hasim.protocols.rollout.reconciled import APP, LONG_AGO, ReconciledRollout, standing


class DaemonRollout(ReconciledRollout):
    """A DaemonSet's update, one place after another: see `protocols/reconcile/daemon_sets.py`.

    `unavailable` and `surge` are numbers of places, or shares of them like "10%", both rounded up; one of the two is 0.
    Without surge the old pod of a place goes before the new one comes, and both are called as the place is. With surge
    they stand there together for a while; a pod that finds the name of its place taken is called "<place>/2", or the
    next that is free. A DaemonSet knows no progress deadline and no pause.
    """

    def __init__(
        self,
        old: str,
        new: str,
        places: Sequence[str],
        unavailable: str | int = 1,
        surge: str | int = 0,
        min_ready: float = 0.0,
    ) -> None:
        """The set is at rest, with a pod in every place that has been ready for long."""
        super().__init__(old, new, places, (DaemonSetController("d"),))
        self.min_ready = min_ready
        self._places = tuple(places)
        daemon_set = DaemonSet(
            APP,
            self.templates[old],
            max_unavailable=unavailable,
            max_surge=surge,
            min_ready=min_ready,
            created=LONG_AGO,
        )
        pods = standing(places, daemon_template(self.templates[old]), APP)
        for thing in (*map(Node, places), *pods, daemon_set):
            self.put(thing)
        self.rest()

    def placed(self, pod: PodObject) -> PodObject:
        place, number = pod.node, 1
        assert place is not None, "a DaemonSet makes its pods for a node"
        name = place
        while self.store.get(PodObject, name) is not None:
            number += 1
            name = f"{place}/{number}"
        return replace(pod, name=name)

    def write_template(self, version: str) -> None:
        self.alter(DaemonSet, APP, 0.0, template=self.templates[version])

    def done(self, now: float) -> bool:
        wanted = self.templates[self.target].revision
        staying = [pod for pod in self.store.all(PodObject) if pod.active]
        return len(staying) == len(self._places) and all(
            pod.template.revision == wanted and self.available(pod.name, now) for pod in staying
        )
