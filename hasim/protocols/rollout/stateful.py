"""A StatefulSet: pods with ordinals that are replaced one after another, from the highest down."""

from __future__ import annotations

from hasim.machine import Effect
from hasim.protocols.api import Delete
from hasim.protocols.reconcile.objects import Pod as PodObject
from hasim.protocols.reconcile.objects import StatefulSet
from hasim.protocols.reconcile.stateful_sets import StatefulSetController
from hasim.protocols.rollout.reconciled import APP, LONG_AGO, ReconciledRollout, standing


class StatefulRollout(ReconciledRollout):
    """A StatefulSet's update, one ordinal after another from the highest: see `protocols/reconcile/stateful_sets.py`.

    Pods below `partition` keep the old version. A pod that never gets ready holds up everything, a rollback as well;
    after a rollback somebody deletes it, if `repairs` says so, as the Kubernetes manual tells people to.
    """

    def __init__(
        self, old: str, new: str, replicas: int, partition: int = 0, parallel: bool = False, repairs: bool = False
    ) -> None:
        """The set is at rest, with all its pods ready for long."""
        names = [f"{APP}-{ordinal}" for ordinal in range(replicas)]
        super().__init__(old, new, names, (StatefulSetController(),))
        template = self.templates[old]
        self.partition, self.repairs = partition, repairs
        for thing in standing(names, template, APP):
            self.put(thing)
        self.put(
            StatefulSet(
                APP, replicas, template, parallel=parallel, partition=partition, created=LONG_AGO, settled=template
            )
        )
        self.rest()

    def write_template(self, version: str) -> None:
        self.alter(StatefulSet, APP, 0.0, template=self.templates[version])

    def rolled_back(self, now: float) -> list[Effect]:
        effects = self.begun(now)
        if self.repairs:
            for pod in list(self.store.all(PodObject)):
                if pod.template == self.templates[self.new] and not pod.ready and pod.active:
                    effects += self.carry_out(Delete(PodObject, pod.name), now)[1]
        return [*effects, *self.settle(now)]

    def done(self, now: float) -> bool:
        stateful_set = self.store.get(StatefulSet, APP)
        assert stateful_set is not None
        pods = list(self.store.all(PodObject))
        if len(pods) != stateful_set.replicas or not all(pod.serves for pod in pods):
            return False
        first = self.partition if self.target == self.new else 0
        wanted = self.templates[self.target]
        return all(pod.template == wanted for pod in pods if int(pod.name.rpartition("-")[2]) >= first)
