"""The declared cluster: topology, parts, failures and services, checked as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError, Problem, nearest
from hasim.faults import Fault
from hasim.model.contracting import contract_problems
from hasim.model.demand import Load
from hasim.model.demand.route import NoRoute, route_of
from hasim.model.failures import Burst, Crew, Failure, Failures, Maintenance, Spares
from hasim.model.healing import NODES, Healing
from hasim.model.kubernetes import Kubernetes
from hasim.model.parts import AnyPart, Balancer, Elected, Pool, Standby, Workload
from hasim.model.placement import Misplaced, member_names, place
from hasim.model.scenario import Scenario
from hasim.model.service import Service
from hasim.model.topology import LEVELS, Topology
from hasim.model.upgrades import AnyUpgrade
from hasim.model.upgrades.calendar import Releases, release_problems
from hasim.protocols.contracts.compatibility import Compatibility

if TYPE_CHECKING:
    import networkx

    from hasim.model.upgrades import Upgrade

PROCESS = "process"  # failures for the members of every part that has none of its own
SERVICE = "cluster"  # the name of the one service of a model that says `up` instead of `services`


class Cluster(Declared):
    """A cluster as somebody would draw it: where things stand, what they need, how they fail, what users see.

    The same value goes into `ha.solve`, `ha.estimate` and `ha.simulate`. In place of `services`, a model with one
    service may say `up` (and `slo`) at the top.
    """

    hasim: Literal[1] = Field(default=1, description="Version of the model format.")
    name: str = Field(min_length=1, max_length=200, description="What the cluster is called in results.")
    about: str = Field(default="", description="One line that says what the model shows.")
    topology: Topology = Field(default=Topology(), description="Failure domains and hosts.")
    failures: dict[str, Failures] = Field(
        default={},
        description="How things fail, by level (zone, host, process), by part or by name; the nearest counts.",
    )
    crews: dict[str, Crew] = Field(default={}, description="Repair crews of limited size, by name.")
    spares: dict[str, Spares] = Field(default={}, description="Stocks of spares, by name.")
    bursts: dict[str, Burst] = Field(default={}, description="Events that take several hosts at once, by name.")
    maintenance: dict[str, Maintenance] = Field(default={}, description="Planned windows, by name.")
    upgrades: dict[str, Releases] = Field(default={}, description="Planned releases, by name.")
    rollouts: tuple[AnyUpgrade, ...] = Field(
        default=(),
        description="Upgrades that happen once; `simulate` plays them, figures of time are the same without.",
    )
    parts: dict[str, AnyPart] = Field(min_length=1, description="The parts, by name.")
    kubernetes: Kubernetes | None = Field(
        default=None, description="Who looks after the pods of `workload` parts, and where they run."
    )
    remedies: dict[str, Healing] = Field(
        default={}, description="Self-healing, by name: what is looked for, and what is done about it."
    )
    services: dict[str, Service] = Field(
        min_length=1, description="What users see, by name; the first is the main one."
    )
    contracts: tuple[Compatibility, ...] = Field(
        default=(), description="Which versions of one pool can talk to which of another; `simulate` plays it."
    )
    loads: dict[str, Load] = Field(
        default={}, description="Requests, by name; `simulate` plays them, and figures of time are the same without."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_service_in_short(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not ({"up", "slo"} & set(data)):
            return data
        if "services" in data:
            short = "up" if "up" in data else "slo"
            raise ModelError.of([at((short,), f"say either `{short}` (one service) or `services` (several), not both")])
        if "up" not in data:
            raise ModelError.of([at(("slo",), "an slo needs `up`, which says when the service counts as up")])
        rest = {key: value for key, value in data.items() if key not in ("up", "slo")}
        slo = {"slo": data["slo"]} if data.get("slo") is not None else {}
        return {**rest, "services": {SERVICE: {"up": data["up"], **slo}}}

    @field_validator(
        *("parts", "services", "failures", "crews", "spares", "bursts", "maintenance", "upgrades", "remedies", "loads")
    )
    @classmethod
    def _names_read_well(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not name or name != name.strip() or any(char in name for char in ".[]\n\t/"):
                raise ValueError(f"got the name {name!r}; a name has no dots, slashes, brackets or outer blanks")
        return value

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        found = list(_check(self))
        if found:
            raise ModelError.of(found)
        return self

    # What the engines and the checks read.

    def members(self) -> dict[str, list[str]]:
        """Names of the members of each part."""
        return {name: member_names(name, part) for name, part in self.parts.items()}

    def placement(self) -> dict[str, str | None]:
        """The host of each member, by the member's name; None for a member on no host."""
        hosts: dict[str, str | None] = {}
        for name, part in self.parts.items():
            hosts.update(zip(member_names(name, part), place(name, part, self.topology), strict=True))
        return hosts

    def names(self) -> list[str]:
        """Everything that has a name and can be up or down: domains, hosts, parts and their members."""
        members = [member for group in self.members().values() for member in group]
        return list(dict.fromkeys([*self.topology.paths(), *self.parts, *members]))

    def needs(self, name: str) -> dict[str, str]:
        """What a part depends on, a balancer's targets included."""
        part = self.parts[name]
        return {**part.needs, **part.to} if isinstance(part, Balancer) else dict(part.needs)

    def assumptions(self) -> list[str]:
        """What the model takes for granted and a reader should know."""
        notes = []
        for name, part in self.parts.items():
            declared = self.failures.get(name) or self.failures.get(PROCESS)
            own = declared or any(member in self.failures for member in self.members()[name])
            if not (own or part.on or part.FLOATING):
                notes.append(f"{name} never fails by itself: no failures are declared for it")
            if (
                part.count > 1
                and hasattr(part, "failover")
                and part.switch is None
                and getattr(part, "leader_elect", True)
            ):
                notes.append(f"{name} fails over in no time: no failover is declared for it")
            notes += [f"{name}: {note}" for note in part.assumptions()]
        for target, failures in self.failures.items():
            notes += [f"{target}: {note}" for failure in failures for note in failure.assumptions()]
        notes += [
            f"{name}: outages of releases are full-outage equivalents, as long as all requests would have had to fail"
            for name, releases in self.upgrades.items()
            if releases.measured is not None
        ]
        return notes + self._pods_that_fit_nowhere()

    def _pods_that_fit_nowhere(self) -> list[str]:
        if self.kubernetes is None:
            return []
        grown = self.kubernetes.autoscaler
        most = max(self.kubernetes.cpu, grown.cpu if grown is not None and grown.max_nodes else 0)
        workloads = [(name, part) for name, part in self.parts.items() if isinstance(part, Workload)]
        return [
            f"{name} fits on no node: a pod asks for {part.cpu} millicores, and the largest node has {most}"
            for name, part in workloads
            if part.cpu > most
        ]

    # Ways to make another one from this one.

    def during(self, *events: Fault | Load | Upgrade) -> Scenario:
        """This cluster with scripted faults, loads and upgrades, for `ha.simulate`."""
        from hasim.model.scenario import scenario_of

        return scenario_of(self, events)

    def replace(self, path: str, value: Any) -> Cluster:
        """The same cluster with one field changed: `cluster.replace("etcd.members", 5)`.

        A path starts at the cluster (`services.api.slo.availability`) or, in short, at a part (`etcd.members`).
        """
        from hasim.model.editing import replaced

        return replaced(self, path, value)

    def to_plain(self) -> dict[str, Any]:
        """The cluster as plain data, the way a model file has it."""
        from hasim.model.editing import plain

        data = plain(self)
        assert isinstance(data, dict)
        return data

    def to_yaml(self, header: str | None = None) -> str:
        """The cluster as the text of a model file; reading it gives an equal cluster."""
        from hasim.model.yaml_writer import write_yaml

        return write_yaml(self.to_plain(), header=header)

    def graph(self) -> networkx.DiGraph[str]:
        """Topology and placement as one networkx graph; nodes have a `level`, members also their `part`."""
        graph = self.topology.graph()
        hosts = self.placement()
        for part, members in self.members().items():
            for member in members:
                graph.add_node(member, level=PROCESS, part=part)
                host = hosts[member]
                if host is not None:
                    graph.add_edge(host, member)
        return graph


def _check(cluster: Cluster) -> Iterator[Problem]:
    yield from _check_names(cluster)
    yield from _check_failures(cluster)
    yield from _check_parts(cluster)
    yield from _check_cycles(cluster)
    yield from _check_targets(cluster)
    yield from _check_services(cluster)
    yield from _check_loads(cluster)
    yield from release_problems(cluster)
    yield from _check_kubernetes(cluster)
    yield from _check_remedies(cluster)
    yield from contract_problems(cluster)


def _check_names(cluster: Cluster) -> Iterator[Problem]:
    reserved = (*LEVELS, PROCESS)
    for name in cluster.topology.paths():
        if name in reserved:
            yield at(("topology",), f"{name!r} is the name of a level; call the host or domain something else")
    for name in cluster.parts:
        if name in reserved:
            yield at(("parts", name), f"{name!r} is the name of a level; call the part something else")
    taken = {name: f"a {level}" for name, level in cluster.topology.levels().items()}
    for name in cluster.parts:
        if name in taken:
            yield at(("parts", name), f"the name is already that of {taken[name]}; every name may stand once")
        taken[name] = "a part"
    for part, members in cluster.members().items():
        for member in members:
            if member != part and member in taken:
                yield at(
                    ("parts", part),
                    f"its member would be called {member!r}, which is already the name of {taken[member]}; "
                    "every name may stand once",
                )
            taken[member] = f"a member of {part}"
    for name in cluster.services:
        if name in LEVELS:
            yield at(("services", name), f"{name!r} is the name of a level; choose another")


def _check_failures(cluster: Cluster) -> Iterator[Problem]:
    levels = set(cluster.topology.levels().values())
    known = [*LEVELS, PROCESS, *cluster.names()]
    for target, failures in cluster.failures.items():
        loc = ("failures", target)
        if isinstance(cluster.parts.get(target), Workload):
            yield at(loc, f"{target} is a workload: its containers fail as its `crash` says, and its nodes as hosts do")
        elif target not in known:
            yield at(loc, f"nothing is called {target!r}{nearest(target, known)}; give a level, a part or a name")
        elif target in LEVELS and target not in levels:
            yield at(loc, f"the topology has no {target}, so this failure would never strike")
        names = [failure.name for failure in failures]
        if not failures:
            yield at(loc, "the list is empty; leave the target out instead")
        if len(failures) > 1 and (None in names or len(set(names)) < len(names)):
            yield at(loc, f"several failures of {target!r} need different names (`name:`)")
        for i, failure in enumerate(failures):
            yield from _check_failure(cluster, target, failure, (*loc, i))


def _check_failure(cluster: Cluster, target: str, failure: Failure, loc: tuple[str | int, ...]) -> Iterator[Problem]:
    for field, kept in (("crew", cluster.crews), ("spares", cluster.spares)):
        wanted = getattr(failure, field)
        if wanted is not None and wanted not in kept:
            yield at((*loc, field), f"unknown {field} {wanted!r}{nearest(wanted, kept)}; declared: {_listed(kept)}")
    if failure.scope == "whole" and target not in cluster.parts:
        yield at((*loc, "scope"), f"`whole` is for parts; {target!r} is not a part")
    if failure.common_cause and target not in cluster.parts and target != PROCESS:
        yield at((*loc, "common_cause"), f"a common cause strikes the members of a part; {target!r} is not a part")


def _check_parts(cluster: Cluster) -> Iterator[Problem]:
    for name, part in cluster.parts.items():
        loc = ("parts", name)
        try:
            place(name, part, cluster.topology)
        except Misplaced as error:
            yield at((*loc, "on"), str(error))
        if part.on and part.spread != "host" and part.spread not in cluster.topology.levels().values():
            yield at((*loc, "spread"), f"the topology has no {part.spread} to spread over")
        fields = {"to": part.to, "needs": part.needs} if isinstance(part, Balancer) else {"needs": part.needs}
        for field, needs in fields.items():
            for other, kind in needs.items():
                yield from _check_need(cluster, name, (*loc, field, other), kind)


def _check_need(cluster: Cluster, name: str, loc: tuple[str, ...], kind: str) -> Iterator[Problem]:
    other, part = loc[-1], cluster.parts[name]
    if other not in cluster.parts:
        yield at(loc, f"{name} needs {other!r}, which is not a part{nearest(other, cluster.parts)}")
    elif other == name:
        yield at(loc, f"{name} needs itself")
    elif kind == "local":
        try:
            mine, its = (set(place(n, cluster.parts[n], cluster.topology)) for n in (name, other))
        except Misplaced:
            return
        if None in mine or None in its or not mine <= its:
            yield at(loc, f"a local need takes a member of {other} on every host of {name}; say `on` for both")
        if part.switch is not None:
            yield at(
                loc,
                f"a {getattr(part, 'kind', 'part')} that fails over cannot have a local need; use a hard one",
            )


def _check_cycles(cluster: Cluster) -> Iterator[Problem]:
    state: dict[str, int] = {}

    def visit(name: str, trail: tuple[str, ...]) -> tuple[str, ...] | None:
        if state.get(name) == 2 or name not in cluster.parts:
            return None
        if state.get(name) == 1:
            return (*trail[trail.index(name) :], name)
        state[name] = 1
        for other in cluster.needs(name):
            cycle = None if other == name else visit(other, (*trail, name))
            if cycle:
                return cycle
        state[name] = 2
        return None

    for name in cluster.parts:
        cycle = visit(name, ())
        if cycle:
            yield at(("parts", cycle[0], "needs"), f"parts need each other in a circle: {' -> '.join(cycle)}")
            return


def _check_targets(cluster: Cluster) -> Iterator[Problem]:
    places = cluster.topology.levels()
    for name, burst in cluster.bursts.items():
        loc = ("bursts", name, "within")
        domains = cluster.topology.at_level(burst.within) if burst.within in LEVELS else [burst.within]
        if not domains or any(domain not in places for domain in domains):
            allowed = [*places.values(), *places]
            yield at(loc, f"no domain or level {burst.within!r} in the topology{nearest(burst.within, allowed)}")
            continue
        fewest = min(len(cluster.topology.hosts_in(domain)) for domain in domains)
        if burst.hosts is not None and burst.hosts > fewest:
            yield at(
                ("bursts", name, "hosts"),
                f"got {burst.hosts}, but a domain of {burst.within!r} has only {fewest} hosts",
            )
    known = cluster.names()
    for name, window in cluster.maintenance.items():
        for i, target in enumerate(window.on):
            if target not in known:
                yield at(("maintenance", name, "on", i), f"nothing is called {target!r}{nearest(target, known)}")


def _check_services(cluster: Cluster) -> Iterator[Problem]:
    known = cluster.names()
    for name, service in cluster.services.items():
        for wanted in service.up.names():
            if wanted not in known:
                yield at(("services", name, "up"), f"nothing is called {wanted!r}{nearest(wanted, known)}")


def _check_loads(cluster: Cluster) -> Iterator[Problem]:
    for name, load in cluster.loads.items():
        try:
            route_of(load, cluster.parts)
        except NoRoute as error:
            yield at(("loads", name, "to"), str(error))
    for name, part in cluster.parts.items():
        if isinstance(part, Balancer):
            # A pair is one server to its balancer, whichever member is active.
            known = [
                server
                for other in part.to
                for server in (
                    [other] if isinstance(cluster.parts.get(other), Standby) else cluster.members().get(other, [])
                )
            ]
            for member in part.weights:
                if member not in known:
                    said = f"{name} forwards to no {member!r}{nearest(member, known)}"
                    yield at(("parts", name, "weights", member), said)


def _check_kubernetes(cluster: Cluster) -> Iterator[Problem]:
    kubernetes, parts = cluster.kubernetes, cluster.parts
    workloads = [name for name, part in parts.items() if isinstance(part, Workload)]
    if kubernetes is None:
        for name in workloads:
            yield at(("parts", name), "a workload takes `kubernetes`, which says who looks after it and where it runs")
        return
    loc = ("kubernetes",)
    for field in ("api", "controllers", "scheduler", "kubelets", "proxies"):
        wanted = getattr(kubernetes, field)
        if wanted is not None and wanted not in parts:
            yield at((*loc, field), f"nothing is called {wanted!r}{nearest(wanted, parts)}; name a part")
        elif wanted in workloads:
            yield at((*loc, field), f"{wanted} is a workload, which is looked after; name another part")
        elif field == "api" and isinstance(parts[wanted], Elected):
            yield at((*loc, field), f"{wanted} is an elected part; name the API servers, or the balancer before them")
        elif field in ("controllers", "scheduler"):
            part = parts[wanted]
            if not isinstance(part, Elected) or (part.lease is None and part.leader_elect):
                said = f"{wanted} is no elected part with a `lease`, nor one with `leader_elect: false`"
                yield at((*loc, field), f"{said}: nobody would know which of its members acts")
    yield from _check_horizontal(kubernetes, parts)
    known = cluster.topology.paths()
    nodes: dict[str, None] = {}
    for i, name in enumerate(kubernetes.nodes):
        if name not in known:
            yield at((*loc, "nodes", i), f"no host or domain is called {name!r}{nearest(name, known)}")
        elif not cluster.topology.hosts_in(name):
            yield at((*loc, "nodes", i), f"no hosts stand in {name}")
        else:
            nodes.update(dict.fromkeys(cluster.topology.hosts_in(name)))
    yield from _check_daemon_sets(kubernetes, parts, len(nodes))
    if kubernetes.autoscaler is not None:
        group = kubernetes.autoscaler.name
        parted = {name: name.rpartition("-") for name in cluster.names()}
        taken = [name for name, (before, _, number) in parted.items() if before == group and number.isdecimal()]
        if taken:
            said = f"its machines are called {group}-1 and so on, and {taken[0]} is there already"
            yield at((*loc, "autoscaler", "name"), f"got {group!r}; {said}")
        zone, zones = kubernetes.autoscaler.zone, cluster.topology.at_level("zone")
        if zone and zone not in zones:
            said = f"no zone is called {zone!r}{nearest(zone, zones)}; name a zone, or leave it out for none"
            yield at((*loc, "autoscaler", "zone"), said)
    for field in ("kubelets", "proxies"):
        wanted = getattr(kubernetes, field)
        if wanted not in parts:
            continue
        try:
            where = place(wanted, parts[wanted], cluster.topology)
        except Misplaced:
            continue
        if sorted(where, key=str) != sorted(nodes):
            yield at((*loc, field), "takes one member on every node; say `on` with the same hosts")


def _check_daemon_sets(kubernetes: Kubernetes, parts: Mapping[str, AnyPart], nodes: int) -> Iterator[Problem]:
    for name, part in parts.items():
        if isinstance(part, Workload) and part.controller == "daemon_set":
            if part.required > nodes:
                said = f"required is {part.required}, but there are only {nodes} nodes, each with one pod"
                yield at(("parts", name, "required"), said)
            if kubernetes.autoscaler is not None:
                said = (
                    "the autoscaler takes the pods of a daemon_set for pods that could move; leave one of the two out"
                )
                yield at(("parts", name, "controller"), said)


def _check_horizontal(kubernetes: Kubernetes, parts: Mapping[str, AnyPart]) -> Iterator[Problem]:
    workloads = [name for name, part in parts.items() if isinstance(part, Workload)]
    sized: set[str] = set()
    for i, autoscaler in enumerate(kubernetes.horizontal):
        name, loc = autoscaler.target, ("kubernetes", "horizontal", i)
        target = parts.get(name)
        if not isinstance(target, Workload):
            yield at((*loc, "target"), f"no workload is called {name!r}{nearest(name, workloads)}")
        elif target.demand is None:
            yield at((*loc, "target"), f"{name} has no `demand` that it could follow")
        elif target.cpu == 0:
            yield at((*loc, "target"), f"{name} asks for no `cpu`, so there is no share of it to be used")
        elif name in sized:
            yield at((*loc, "target"), f"{name} has an autoscaler already; two would undo one another's work")
        elif autoscaler.max_replicas < (target.required or 0):
            said = f"got {autoscaler.max_replicas}; {name} needs {target.required} (`required`) to be up"
            yield at((*loc, "max_replicas"), said)
        sized.add(name)


def _check_remedies(cluster: Cluster) -> Iterator[Problem]:
    for name, healing in cluster.remedies.items():
        loc, part = ("remedies", name, "of"), cluster.parts.get(healing.of)
        symptom = healing.remedy.symptom
        if symptom == "node not ready":
            if healing.of != NODES or cluster.kubernetes is None:
                yield at(loc, f"got {healing.of!r}; {symptom!r} is of {NODES!r}, those of `kubernetes`")
        elif part is None:
            yield at(loc, f"nothing is called {healing.of!r}{nearest(healing.of, cluster.parts)}; name a part")
        elif symptom == "disk full":
            if getattr(part, "raft", None) is None:
                yield at(loc, f"{healing.of} has no disks that are played; {symptom!r} is of a quorum with `raft`")
        elif not isinstance(part, Pool) or part.serving is None:
            yield at(loc, f"{healing.of} is no pool with `serving`, of which {symptom!r} is a symptom")


def _listed(names: Mapping[str, Any]) -> str:
    return ", ".join(names) if names else "none"
