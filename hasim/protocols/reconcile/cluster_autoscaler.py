"""The cluster autoscaler: machines for pods that find no room, and none for nodes that are not needed.

Every scan it puts the pods that wait on the nodes there are and on those to come, in its mind, and asks for as many
machines as the rest takes. When there is nothing to add, it looks for nodes that are used little and whose pods would
find room elsewhere; one that has been so for long enough is drained and let go.

Sources: kubernetes/autoscaler, in cluster-autoscaler: FAQ.md, main.go (flags), clusterstate/clusterstate.go,
core/scaledown/{eligibility/eligibility,planner/planner,unneeded/nodes}.go, utils/backoff/exponential_backoff.go.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.protocols.api import Change, Create, Delete, Done, Refused, Reply, Request, Update
from hasim.protocols.reconcile.controller import Cache, Plan, batch
from hasim.protocols.reconcile.objects import Node, Pod, PodTemplate, Taint
from hasim.units import Count, Seconds, Share

LEAVING: Final = "ToBeDeletedByClusterAutoscaler"
"""The taint of a node that is being drained (utils/taints/taints.go)."""
STARTING_S: Final = 900.0
"""A node this young that is not ready has not started yet (clusterstate.go, MaxNodeStartupTime)."""
OVERDUE_S: Final = 30.0
"""A pod that should have been gone for so long counts no more (utils/drain, PodLongTerminatingExtraThreshold)."""
EXPENDABLE: Final = -10
"""Pods of a lower priority get no machines (--expendable-pods-priority-cutoff)."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine that was asked for at `asked` (seconds), in a zone, with so many millicores of cpu.

    Whoever drives creates the Node of the same name once the machine has come up, and deletes it when the machine is
    deleted.
    """

    name: str
    zone: str
    cpu: int
    asked: float
    version: int = 0


class ClusterAutoscaler(Declared):
    """A group of like nodes, and how it grows and shrinks; its machines are called name-1, name-2 and so on.

    Defaults are those of the Cluster Autoscaler's flags. Several groups take several autoscalers. As with the original,
    `min_nodes` stops the shrinking; a group that begins smaller is not filled up. Its machines never fail.
    """

    name: str = Field(min_length=1, description="Name of the group.")
    min_nodes: Count = Field(ge=0, description="It is not shrunk below so many machines.")
    max_nodes: Count = Field(ge=0, description="It is not grown above so many machines.")
    cpu: Count = Field(ge=1, description="Cpu of one of its nodes, in millicores.")
    pods: Count = Field(default=110, ge=1, description="Pods that one of its nodes takes; the kubelet: 110.")
    zone: str = Field(default="", description="Zone of its nodes, one of the topology; none where left out.")
    scan: Seconds = Field(default=10.0, ge=0.001, description="From one look to the next; Cluster Autoscaler: 10s.")
    provision: Seconds = Field(
        default=900.0, description="A machine without a node for longer is given up; Cluster Autoscaler: 15m."
    )
    threshold: Share = Field(
        default=0.5, description="A node with less of its cpu asked for may be unneeded; Cluster Autoscaler: 50%."
    )
    unneeded: Seconds = Field(default=600.0, description="How long it must have been so; Cluster Autoscaler: 10m.")
    unready: Seconds = Field(default=1200.0, description="How long, if it is not ready; Cluster Autoscaler: 20m.")
    after_add: Seconds = Field(
        default=600.0, description="No node goes so soon after machines were asked for; Cluster Autoscaler: 10m."
    )
    grace: Seconds = Field(
        default=600.0, description="A node that is drained goes after this, come what may; Cluster Autoscaler: 10m."
    )
    at_once: Count = Field(
        default=10,
        ge=1,
        description="Nodes that leave at a time, one with pods at most; Cluster Autoscaler: 10.",
    )
    max_unready: Share = Field(
        default=0.45,
        description="With a greater share of nodes not ready it does nothing; Cluster Autoscaler: 45%.",
    )
    ok_unready: Count = Field(
        default=3, ge=0, description="So few nodes that are not ready never stop it; Cluster Autoscaler: 3."
    )
    backoff_first: Seconds = Field(
        default=300.0, description="After a machine was given up none is asked for; Cluster Autoscaler: 5m."
    )
    backoff_cap: Seconds = Field(
        default=1800.0, description="That wait doubles each time, up to this; Cluster Autoscaler: 30m."
    )
    backoff_reset: Seconds = Field(
        default=10800.0, description="So long after the last it begins anew; Cluster Autoscaler: 3h."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_nodes > self.max_nodes:
            said = f"got {self.min_nodes} with max_nodes {self.max_nodes}; it is at most max_nodes"
            raise ModelError.of([at(("min_nodes",), said)])
        return self


# ------------------------------------------------------------------------------------------ in its mind


@dataclass(slots=True)
class _Place:
    """A node, there or to come, and what is left of it."""

    name: str
    zone: str
    size: int
    cpu: int  # left, as are the slots
    slots: int
    open: bool = True  # it takes pods
    gone: bool = False
    pods: list[Pod] = field(default_factory=list)
    apps: Counter[str] = field(default_factory=Counter)  # of pods that stay

    def put(self, pod: Pod) -> None:
        self.pods.append(pod)
        self.cpu -= pod.template.cpu
        self.slots -= 1
        self.apps[pod.template.app] += pod.deleted is None

    def take_back(self) -> None:
        """Undo the last `put`."""
        pod = self.pods.pop()
        self.cpu += pod.template.cpu
        self.slots += 1
        self.apps[pod.template.app] -= pod.deleted is None

    def has_room(self, template: PodTemplate) -> bool:
        crowded = template.apart and self.apps[template.app] > 0
        return self.open and not self.gone and self.slots > 0 and template.cpu <= self.cpu and not crowded

    def domain(self, template: PodTemplate) -> str:
        return self.zone if template.spread == "zone" else self.name


class _Packing:
    """All places in order; a pod goes to the first that has room, and where its hard spread allows it."""

    def __init__(self, places: list[_Place]) -> None:
        self.places = places
        self._from: dict[PodTemplate, int] = {}  # no place before has room for these, and none gets more

    def put(self, pod: Pod) -> _Place | None:
        """Put it on the first place that takes it; None: none does."""
        template = pod.template
        spread = template.must_spread and template.spread is not None
        allowed = self._domains(template) if spread else None
        index = 0 if spread else self._from.get(template, 0)
        while index < len(self.places):
            place = self.places[index]
            if place.has_room(template) and (allowed is None or place.domain(template) in allowed):
                place.put(pod)
                break
            index += 1
        self._from[template] = index
        return self.places[index] if index < len(self.places) else None

    def clear(self, place: _Place) -> bool:
        """Do without a place, whose pods go to others; False: they find no room, and nothing has changed."""
        place.gone = True
        moved: list[_Place] = []
        for pod in place.pods:
            if pod.deleted is not None:
                continue
            other = self.put(pod)
            if other is None:
                for each in reversed(moved):
                    each.take_back()
                place.gone = False
                self._from.clear()
                return False
            moved.append(other)
        return True

    def _domains(self, template: PodTemplate) -> set[str]:
        """The zones or hosts that one more pod would not skew too much."""
        counts: Counter[str] = Counter()
        for place in self.places:
            if not place.gone:
                counts[place.domain(template)] += place.apps[template.app]
        least = min(counts.values(), default=0)
        return {domain for domain, count in counts.items() if count + 1 - least <= template.max_skew}


class _Scene(NamedTuple):
    """What a scan finds in the cache."""

    nodes: dict[str, Node]
    machines: dict[str, Machine]  # of this group
    on: dict[str, list[Pod]]  # by node
    waiting: list[Pod]  # the most important first


class _Drain(NamedTuple):
    """Since when a node is drained, and whether it had pods."""

    since: float
    full: bool


def _looked_at(cache: Cache, group: str, now: float) -> _Scene:
    on: dict[str, list[Pod]] = {}
    waiting = []
    for pod in cache.all(Pod):
        if pod.node is None:
            if pod.phase == "Pending" and pod.deleted is None and pod.template.priority >= EXPENDABLE:
                waiting.append(pod)
        elif pod.phase != "Failed" and (pod.deleted is None or now <= pod.deleted + pod.template.grace + OVERDUE_S):
            on.setdefault(pod.node, []).append(pod)
    waiting.sort(key=lambda pod: -pod.template.priority)
    machines = {machine.name: machine for machine in cache.all(Machine) if _number(machine.name, group) is not None}
    return _Scene({node.name: node for node in cache.all(Node)}, machines, on, waiting)


def _number(name: str, group: str) -> int | None:
    """The number of a machine of this group; None: it is not of this group."""
    before, _, number = name.rpartition("-")
    return int(number) if before == group and number.isdecimal() else None


def _starting(node: Node, now: float) -> bool:
    return node.ready != "True" and node.created + STARTING_S > now


# --------------------------------------------------------------------------------------------- the loop


class ClusterAutoscalerController:
    """The loop of one group of nodes.

    It asks for a machine with Create(Machine), and lets one go by marking and cordoning its node, deleting the pods
    there, and deleting the machine at the first scan that finds them gone. Pods without an owner keep their node, since
    nobody would make them again. In its mind a node with any taint takes no pods.

    It remembers since when nodes are unneeded, what it drains, what it has asked for and not seen yet, and how long it
    backs off; a new one begins all waits anew and takes back the marks it finds.
    """

    def __init__(self, autoscaler: ClusterAutoscaler) -> None:
        """Nothing is remembered."""
        self._autoscaler = autoscaler
        self._asked: dict[str, Machine] = {}  # and not in the cache yet
        self._numbered = 0
        self._alone: dict[str, float] = {}  # machines without a node, and since when
        self._unneeded: dict[str, float] = {}
        self._marking: dict[str, _Drain] = {}  # under way
        self._draining: dict[str, _Drain] = {}
        self._added = -math.inf
        self._growing = False
        self._wait = 0.0  # the back-off, 0: none
        self._failed = -math.inf

    @property
    def period(self) -> float:
        """Its scan, in seconds."""
        return self._autoscaler.scan

    def keys(self, change: Change, cache: Cache) -> Iterable[str]:
        """No change calls for it, only time."""
        return ()

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        """One scan: go on draining, then add or let go."""
        scene = _looked_at(cache, self._autoscaler.name, now)
        self._forget(scene, now)
        ongoing: list[Request] = [*self._unmarked(scene), *self._drained(scene, now)]
        if self._paralysed(scene, now):
            self._unneeded.clear()
            return Plan(batch(ongoing))
        if lost := [name for name, since in self._alone.items() if since + self._autoscaler.provision < now]:
            self._back_off(now)
            return Plan(batch([*ongoing, *(Delete(Machine, name) for name in lost)]))
        packing, coming = self._packing(scene, now)
        if machines := self._needed(scene, packing, now):
            self._added, self._growing = now, True
            self._asked |= {machine.name: machine for machine in machines}
            return Plan(batch([*ongoing, *map(Create, machines)]))
        if self._growing and not coming:
            self._growing, self._wait = False, 0.0
        for place in coming:
            place.open = False  # nothing is moved to what is not there yet
        self._look_for_unneeded(scene, packing, now)
        leaving = self._leaving(scene, now)
        marks = [Update(_marked(scene.nodes[name], now)) for name in leaving]
        evictions = [each for name in leaving for each in self._evictions(scene, name)]
        return Plan((*batch([*ongoing, *marks]), *batch(evictions)))

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        """A machine may be there unless it was refused; a node is drained once it is marked for certain."""
        if isinstance(request, Create) and isinstance(reply, Refused):
            self._asked.pop(request.thing.name, None)
        if isinstance(request, Update) and isinstance(reply, Done) and request.thing.name in self._marking:
            self._draining[request.thing.name] = self._marking[request.thing.name]

    def _forget(self, scene: _Scene, now: float) -> None:
        """Bring its memory in line with what is there."""
        settings = self._autoscaler
        self._marking.clear()
        self._asked = {
            name: machine
            for name, machine in self._asked.items()
            if name not in scene.machines and machine.asked + settings.provision >= now
        }
        self._alone = {name: self._alone.get(name, now) for name in scene.machines if name not in scene.nodes}
        self._draining = {name: drain for name, drain in self._draining.items() if name in scene.nodes}
        if self._failed + settings.backoff_reset < now:
            self._wait = 0.0

    def _paralysed(self, scene: _Scene, now: float) -> bool:
        """Whether so many nodes are not ready that it had better do nothing (IsClusterHealthy)."""
        unready = sum(node.ready != "True" and not _starting(node, now) for node in scene.nodes.values())
        return unready > self._autoscaler.ok_unready and unready > self._autoscaler.max_unready * len(scene.nodes)

    def _back_off(self, now: float) -> None:
        """Twice as long as before, unless it is backing off already: failures of one request are one failure."""
        settings = self._autoscaler
        over = self._wait > 0.0 and self._failed + self._wait < now
        self._wait = min(2.0 * self._wait, settings.backoff_cap) if over else settings.backoff_first
        self._failed, self._growing = now, False

    # ---------------------------------------------------------------------------------------- growing

    def _packing(self, scene: _Scene, now: float) -> tuple[_Packing, list[_Place]]:
        """All nodes with their pods, and those to come, which are also given apart."""
        places, coming = [], []
        for node in scene.nodes.values():
            starts = node.name in scene.machines and _starting(node, now)
            works = node.ready == "True" and not node.taints
            place = _Place(node.name, node.zone, node.cpu, node.cpu, node.pods)
            place.open = not node.unschedulable and (starts or works)
            for pod in scene.on.get(node.name, ()):
                place.put(pod)
            places.append(place)
            if starts:
                coming.append(place)
        for name in (*self._alone, *self._asked):
            coming.append(self._empty(name))
            places.append(coming[-1])
        return _Packing(places), coming

    def _empty(self, name: str) -> _Place:
        settings = self._autoscaler
        return _Place(name, settings.zone, settings.cpu, settings.cpu, settings.pods)

    def _needed(self, scene: _Scene, packing: _Packing, now: float) -> list[Machine]:
        """The machines to ask for, so that the pods that wait and find no room would; the largest pods first."""
        settings = self._autoscaler
        rest = [pod for pod in scene.waiting if packing.put(pod) is None]
        room = settings.max_nodes - len(scene.machines) - len(self._asked)
        if not rest or room <= 0 or now < self._failed + self._wait:
            return []
        numbers = (_number(name, settings.name) for name in (*scene.machines, *scene.nodes, *self._asked))
        self._numbered = max([self._numbered, *(n for n in numbers if n is not None)])
        machines: list[Machine] = []
        for pod in sorted(rest, key=lambda pod: -pod.template.cpu):
            if packing.put(pod) is not None or len(machines) >= room:
                continue
            name = f"{settings.name}-{self._numbered + 1}"
            packing.places.append(self._empty(name))
            if packing.put(pod) is not None:
                machines.append(Machine(name, settings.zone, settings.cpu, now))
                self._numbered += 1
            else:
                packing.places.pop()  # no machine of this group helps this pod
        return machines

    # -------------------------------------------------------------------------------------- shrinking

    def _look_for_unneeded(self, scene: _Scene, packing: _Packing, now: float) -> None:
        """Note which nodes could go together, those that were unneeded before first."""
        places = {place.name: place for place in packing.places}
        little = {name for name in scene.machines if name in scene.nodes and self._little_used(places[name])}
        little -= set(self._draining)
        order = [*self._unneeded, *(name for name in scene.machines if name not in self._unneeded)]
        self._unneeded = {
            name: self._unneeded.get(name, now) for name in order if name in little and packing.clear(places[name])
        }

    def _little_used(self, place: _Place) -> bool:
        used = place.size - place.cpu
        stays = any(not pod.owner and pod.deleted is None for pod in place.pods)
        return used < self._autoscaler.threshold * place.size and not stays

    def _leaving(self, scene: _Scene, now: float) -> list[str]:
        """The nodes that have been unneeded for long enough, as many as may leave: empty ones first."""
        settings = self._autoscaler
        if now < self._added + settings.after_add:
            return []
        spare = len(scene.machines) - len(self._draining.keys() & scene.machines.keys()) - settings.min_nodes
        free = min(spare, settings.at_once - len(self._draining))
        full = any(drain.full for drain in self._draining.values())
        leaving: list[str] = []
        for name in sorted(self._unneeded, key=lambda name: name in scene.on):
            needed = settings.unneeded if scene.nodes[name].ready == "True" else settings.unready
            has_pods = name in scene.on
            if len(leaving) < free and self._unneeded[name] + needed < now and not (full and has_pods):
                full = full or has_pods
                leaving.append(name)
                self._marking[name] = _Drain(now, has_pods)
        return leaving

    def _drained(self, scene: _Scene, now: float) -> list[Request]:
        """What comes next for nodes that are drained: pods that are still there, or the machine."""
        requests: list[Request] = []
        for name, drain in self._draining.items():
            if name not in scene.machines:
                continue  # it is about to go
            if name not in scene.on or drain.since + self._autoscaler.grace <= now:
                requests.append(Delete(Machine, name))
            else:
                requests += self._evictions(scene, name)
        return requests

    def _evictions(self, scene: _Scene, name: str) -> list[Request]:
        return [Delete(Pod, pod.name) for pod in scene.on.get(name, ()) if pod.deleted is None]

    def _unmarked(self, scene: _Scene) -> list[Request]:
        """Take back the marks of one that went before."""
        nodes = (scene.nodes[name] for name in scene.machines if name in scene.nodes and name not in self._draining)
        return [
            Update(replace(node, unschedulable=False, taints=tuple(t for t in node.taints if t.key != LEAVING)))
            for node in nodes
            if node.tainted(LEAVING)
        ]


def _marked(node: Node, now: float) -> Node:
    return replace(node, unschedulable=True, taints=(*node.taints, Taint(LEAVING, "NoSchedule", now)))
