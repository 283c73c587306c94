"""Endpoints: the pods of an app that traffic is sent to (k/k pkg/controller/endpointslice; k8s.io/endpointslice)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hasim.protocols.api import Change, Create, Reply, Request, Update
from hasim.protocols.reconcile.controller import NOTHING, Cache, Plan
from hasim.protocols.reconcile.objects import Endpoints, Pod


class EndpointsController:
    """Writes the names of the pods of each app that are ready and not being deleted; a key is the name of an app.

    The pods of a node that is not ready are left out because the node's controller marks them as not ready, and only
    from then on. Nothing is written that would change nothing; what is written is written over the version that was
    seen, so that of two instances one is refused.
    """

    period: float | None = None

    def keys(self, change: Change, cache: Cache) -> Iterator[str]:
        """The app of the pod that changed, or whose endpoints somebody else has written."""
        kind, name = change.key
        if kind is Endpoints:
            yield name
        elif kind is Pod:
            yield from dict.fromkeys(pod.template.app for pod in change if pod is not None)

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """Write the names in order, if they are others than those written."""
        pods = tuple(sorted(pod.name for pod in cache.all(Pod) if pod.serves and pod.template.app == key))
        written = cache.get(Endpoints, key)
        if pods == (() if written is None else written.pods):
            return NOTHING
        request = Create(Endpoints(key, pods)) if written is None else Update(replace(written, pods=pods))
        return Plan(((request,),))

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """Whatever the answer was, the next plan looks at what is."""
