"""Small clusters of Kubernetes as text, and questions to what happened in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import hasim as ha
from hasim.engines.des.kubernetes.world import KubernetesWorld
from hasim.faults import Fault
from hasim.faults.fault import Script
from hasim.model.cluster import Cluster
from hasim.results.run import Run
from hasim.trace import Fact

WEB = "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 5s}, cpu: 500}"
LEASE = "lease: {}"


def toy(
    *workloads: str,
    nodes: Iterable[int] = (2, 2, 2),
    controllers: str = LEASE,
    scheduler: str = LEASE,
    etcd: str = "",
    parts: str = "",
    more: str = "",
    up: str = "[web]",
) -> Cluster:
    """Three control hosts cp-1 to cp-3, and zones a, b, … with so many nodes, called n-1, n-2, … through all of them.

    `workloads` and `parts` are lines of YAML, `controllers` and `scheduler` how those elect, `more` what else
    `kubernetes` says.
    """
    zones, names = [], []
    for zone, count in zip("abcdefgh", nodes, strict=False):
        here = [f"n-{len(names) + i + 1}" for i in range(count)]
        names += here
        zones.append(f"    {zone}: {{hosts: [{', '.join(here)}]}}")
    on = "on: [cp-1, cp-2, cp-3]"
    lines = [
        "hasim: 1",
        "name: toy",
        "topology:",
        "  hosts: [cp-1, cp-2, cp-3]",
        "  zones:",
        *zones,
        "parts:",
        f"  etcd: {{kind: quorum, members: 3, {on}{etcd}}}",
        f"  apiserver: {{kind: pool, replicas: 3, {on}, needs: etcd}}",
        f"  kcm: {{kind: elected, replicas: 3, {on}, {controllers}, needs: apiserver}}",
        f"  scheduler: {{kind: elected, replicas: 3, {on}, {scheduler}, needs: apiserver}}",
        *(f"  {line}" for line in (workloads or (WEB,))),
        *([f"  {parts}"] if parts else []),
        f"kubernetes: {{api: apiserver, controllers: kcm, scheduler: scheduler, nodes: [{', '.join(names)}]{more}}}",
        f"up: {up}",
    ]
    return ha.loads("\n".join(lines).replace("ALL_NODES", f"[{', '.join(names)}]"))


def play(cluster: Cluster, *faults: Fault, over: str = "30m", seed: int = 1) -> Run:
    """One history."""
    return ha.simulate(cluster.during(*faults), over=over, seed=seed)


class Deed:
    """A fault that does something to the live Kubernetes, or looks at it, at a time: what no declared fault can."""

    targets = ("n-1",)

    def __init__(self, at: float, deed: Callable[[KubernetesWorld], object]) -> None:
        self._at = at
        self._deed = deed
        self.found: list[object] = []

    def script(self, world: Any) -> Script:
        yield self._at
        self.found.append(self._deed(world.live.kubernetes))


def facts(
    run: Run, kind: str, subject: str | None = None, since: float | None = None, until: float | None = None
) -> list[Fact]:
    """What happened of a kind, to somebody, at some time."""
    return list(run.trace.filter(kind, subject, since, until))  # type: ignore[attr-defined]


def times(
    run: Run, kind: str, subject: str | None = None, since: float | None = None, until: float | None = None
) -> list[float]:
    """When it happened."""
    return [fact.at for fact in facts(run, kind, subject, since, until)]


class Ending:
    """How things stand at the end of a run, or at `until`, read off the facts alone.

    `began` are the pods that were there, and ready, at the beginning. `pods` has where each pod is (None: nowhere yet;
    "?": where it was at the beginning), `ready` those that the API says are ready, `going` those that were deleted and
    are not gone; `unready` and `tainted` are nodes, and `endpoints` is how many pods traffic is sent to, by app, for
    those of which it has changed.
    """

    def __init__(self, run: Run, began: Iterable[str] = (), until: float | None = None) -> None:
        self.pods: dict[str, str | None] = dict.fromkeys(began, "?")
        self.ready = set(self.pods)
        self.going: set[str] = set()
        self.unready: set[str] = set()
        self.tainted: set[str] = set()
        self.endpoints: dict[str, int] = {}
        for fact in run.trace.filter(until=until):  # type: ignore[attr-defined]
            self._take(fact)

    def _take(self, fact: Fact) -> None:
        kind, name, detail = fact.kind, fact.subject, fact.detail
        pods = {"pod ready": self.ready.add, "pod unready": self.ready.discard, "pod deleted": self.going.add}
        nodes = {
            "node not ready": self.unready.add,
            "node ready": self.unready.discard,
            "node tainted": self.tainted.add,
            "node untainted": self.tainted.discard,
        }
        if kind == "pod created":
            assert name not in self.pods, f"two pods are called {name} at {fact.at}"
            self.pods[name] = None
        elif kind == "pod bound":
            assert self.pods[name] is None, f"{name} is bound twice"
            self.pods[name] = detail["node"]
        elif kind == "pod gone":
            del self.pods[name]
            self.ready.discard(name)
            self.going.discard(name)
        elif kind == "endpoints":
            self.endpoints[name] = detail["pods"]
        elif kind in pods:
            assert name in self.pods, f"{fact} of a pod that is not there"
            pods[kind](name)
        elif kind in nodes:
            nodes[kind](name)


def deployed(app: str, count: int) -> list[str]:
    """The pods of a deployment at the beginning."""
    return [f"{app}-1-0-{i + 1}" for i in range(count)]


def ordinals(app: str, count: int) -> list[str]:
    """The pods of a StatefulSet."""
    return [f"{app}-{i}" for i in range(count)]
