"""Taint eviction: pods leave a node that is tainted NoExecute once they have tolerated it long enough.

Source: k/k pkg/controller/tainteviction/taint_eviction.go (a controller of its own since KEP-3902).
"""

from __future__ import annotations

from collections.abc import Iterator

from hasim.protocols.api import Change, Delete, Reply, Request
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan, batch
from hasim.protocols.reconcile.objects import Node, Pod, PodTemplate, Taint
from hasim.protocols.reconcile.zones import ROUNDING_S


class TaintEviction:
    """Deletes pods from nodes with NoExecute taints; its keys are names of pods.

    A pod goes as soon as the first of the taints has outlasted its toleration: at once where it has none, never where
    it tolerates them for ever. A taint that goes takes its deadline with it. A controller counts from when it began at
    the earliest, whatever the taint's age, as the real one's timers do: with a new leader the seconds begin again.
    """

    def __init__(self) -> None:
        """A controller that has just begun to lead."""
        self._began: float | None = None  # its own clock when it was first asked

    @property
    def period(self) -> float | None:
        """None: it only follows changes."""
        return None

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """The pods of a node whose NoExecute taints changed; a pod that came, moved or tolerates otherwise."""
        before, after = change
        if isinstance(after, Node) and _no_execute(before) != _no_execute(after):
            yield from (pod.name for pod in cache.all(Pod) if pod.node == after.name)
        elif isinstance(after, Pod) and after.node is not None and _lies(before) != _lies(after):
            yield after.name

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """Delete the pod, or look again when it is due."""
        if self._began is None:
            self._began = now
        pod = cache.get(Pod, key)
        if pod is None or pod.node is None or pod.deleted is not None:
            return NOTHING
        due = []
        for taint in _no_execute(cache.get(Node, pod.node)):
            lasting = pod.template.toleration(taint.key)
            if lasting is not None:
                due.append(max(taint.at, self._began) + lasting)
        if not due:
            return NOTHING
        wait = min(due) - now
        return Plan(batch([Delete(Pod, key, version=pod.version)])) if wait <= ROUNDING_S else Plan(again=wait)

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """Nothing: a pod that is still there is asked for again."""


def _lies(pod: Pod | None) -> tuple[str | None, PodTemplate] | None:
    return None if pod is None else (pod.node, pod.template)


def _no_execute(node: Node | None) -> tuple[Taint, ...]:
    return () if node is None else tuple(taint for taint in node.taints if taint.effect == "NoExecute")
