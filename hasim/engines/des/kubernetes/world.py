"""The Kubernetes of a live cluster: who leads its control loops, what stands of its nodes, which workloads serve."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from hasim.engines.des.draws import draws, durations
from hasim.engines.des.kubernetes.api import Api
from hasim.engines.des.kubernetes.beginning import bring_about
from hasim.engines.des.kubernetes.control import CONTROLLERS_PACE, SCHEDULER_PACE, ControlProcess
from hasim.engines.des.kubernetes.kubelet import RENEW_S, Kubelet, Laws
from hasim.engines.des.kubernetes.notes import told
from hasim.engines.des.kubernetes.proxy import Proxy
from hasim.engines.des.leases.role import LeaseRole
from hasim.engines.des.leases.world import OUT_OF_OFFICE
from hasim.engines.des.reach import Reach
from hasim.engines.des.requests.links import Links
from hasim.engines.des.world import LeapingEnvironment, Touch
from hasim.engines.des.world.alarm import Alarm
from hasim.faults import Rule
from hasim.model.kubernetes import Kubernetes
from hasim.model.parts import Workload
from hasim.model.placement import place
from hasim.protocols.api import Change, Create, Delete, Request
from hasim.protocols.reconcile.cluster_autoscaler import ClusterAutoscalerController, Machine
from hasim.protocols.reconcile.controller import Controller
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.endpoints import EndpointsController
from hasim.protocols.reconcile.node_lifecycle import NodeLifecycleController
from hasim.protocols.reconcile.objects import (
    Deployment,
    Endpoints,
    Node,
    NodeLease,
    Pod,
    ReplicaSet,
    StatefulSet,
)
from hasim.protocols.reconcile.pod_gc import PodCollector
from hasim.protocols.reconcile.replica_sets import ReplicaSetController
from hasim.protocols.reconcile.scheduling import Scheduler
from hasim.protocols.reconcile.stateful_sets import StatefulSetController
from hasim.protocols.reconcile.taint_eviction import TaintEviction
from hasim.streams import FEW, uniforms

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

KINDS = (Node, NodeLease, Pod, ReplicaSet, Deployment, StatefulSet, Endpoints, Machine)


class KubernetesWorld:
    """Everything that looks after pods, and the verbs of faults that act on nodes.

    A workload is up while enough of its pods serve: the container answers, and the endpoints name it.
    """

    def __init__(self, live: LiveCluster, declared: Kubernetes) -> None:
        """Wire everything; the objects come into being with `prepare`."""
        assert isinstance(live.env, LeapingEnvironment)
        self.live = live
        self.env = live.env
        self.declared = declared
        self.note = live.note
        self.kubelets: dict[str, Kubelet] = {}
        self.proxies: dict[str, Proxy] = {}
        self._chance = uniforms(live.streams["kubernetes"], FEW)
        self._links = Links(self.env, live.streams["kubernetes/links"])
        latency = durations(declared.latency, live.streams, "kubernetes/latency")
        self.api = Api(self.env, declared.api, self._links, latency, self._chance, self._changed)
        parts = live.system.cluster.parts
        self._workloads = {name: part for name, part in parts.items() if isinstance(part, Workload)}
        units = {unit.name: index for index, unit in enumerate(live.system.units) if unit.kind == "workload"}
        self._variables = {name: units[name] for name in self._workloads}
        self._laws = {name: self._laws_of(name, part) for name, part in self._workloads.items()}
        self._processes: dict[tuple[str, str], ControlProcess] = {}
        self._reach = Reach(live, [declared.api], self._reach_turned)
        topology = live.system.cluster.topology
        self._paths = topology.paths()
        hosts = dict.fromkeys(host for name in declared.nodes for host in topology.hosts_in(name))
        self._hosts = list(hosts)
        self._zones = {host: self._paths[host][-2] if len(self._paths[host]) > 1 else "" for host in hosts}
        self._provisioning = (
            None
            if declared.provisioning is None
            else draws(declared.provisioning, live.streams, "kubernetes/provisioning")
        )

    def _laws_of(self, name: str, part: Workload) -> Laws:
        streams = self.live.streams
        crash = None if part.crash is None else draws(part.crash, streams, f"{name}/crash")
        return Laws(
            draws(part.start, streams, f"{name}/start"), draws(part.stop, streams, f"{name}/stop"), crash, part.restart
        )

    # The beginning.

    def prepare(self) -> None:
        """Put nodes and pods in place, as they are after a long time in which nothing failed; then wire what falls."""
        store, now = self.api.store, self.env._now
        requests: list[Request] = []
        for host in self._hosts:
            node = Node(host, self._zones[host], self.declared.cpu, self.declared.pods, created=now)
            requests += [Create(node), Create(NodeLease(host))]
        requests += [Create(self._set_of(name, part, now)) for name, part in self._workloads.items()]
        bring_about(store, requests, [*self._settling_controllers(), Scheduler()], now)
        for host in self._hosts:
            self._add_node(host)
        for pod in store.all(Pod):
            if pod.node is not None:
                self.kubelets[pod.node].adopt(pod)
        self.all_turned()
        self._wire()

    def _settling_controllers(self) -> list[Controller]:
        return [DeploymentController(), ReplicaSetController("0"), StatefulSetController(), EndpointsController()]

    def _set_of(self, name: str, part: Workload, now: float) -> Deployment | ReplicaSet | StatefulSet:
        template = part.template(name)
        if part.controller == "deployment":
            return Deployment(name, part.replicas, template, created=now)
        if part.controller == "replica_set":
            return ReplicaSet(name, part.replicas, template, created=now)
        return StatefulSet(name, part.replicas, template, created=now)

    def _add_node(self, name: str) -> None:
        self.kubelets[name] = Kubelet(self, name, self._laws, RENEW_S * self._chance())
        if self.declared.proxies is not None and name in self._zones:
            self.proxies[name] = Proxy(self, name, self._chance)

    def _wire(self) -> None:
        live, gates = self.live, self.live.gates
        for host in self._hosts:
            node = gates.add(live.system.standing[host])
            live.listen(node, partial(self._host_turned, host))
        self._wire_members(self.declared.kubelets, self._kubelet_turned)
        self._wire_members(self.declared.proxies, self._proxy_turned)
        for part, start in ((self.declared.controllers, self._controllers), (self.declared.scheduler, self._scheduler)):
            role = next(role for role in live.played if isinstance(role, LeaseRole) and role.part == part)
            role.leases.listeners.append(partial(self._member_heard, start))

    def _wire_members(self, part: str | None, turned: Callable[[str, bool], None]) -> None:
        """Follow the members of a part that has one on every node, if it is declared."""
        if part is None:
            return
        live, cluster = self.live, self.live.system.cluster
        hosts = place(part, cluster.parts[part], cluster.topology)
        for member, host in zip(cluster.members()[part], hosts, strict=True):
            assert host is not None, f"{member} stands on no node"
            live.listen(live.gates.add(live.system.standing[member]), partial(turned, host))

    # The control plane.

    def _controllers(self, member: str) -> ControlProcess:
        controllers: list[Controller] = [
            NodeLifecycleController(self.declared.node_lifecycle),
            TaintEviction(),
            DeploymentController(),
            ReplicaSetController(member),
            StatefulSetController(),
            PodCollector(),
            EndpointsController(),
        ]
        if self.declared.autoscaler is not None:
            controllers.append(ClusterAutoscalerController(self.declared.autoscaler))
        return ControlProcess(self.api, member, KINDS, controllers, CONTROLLERS_PACE)

    def _scheduler(self, member: str) -> ControlProcess:
        return ControlProcess(self.api, member, (Node, Pod), [Scheduler(member)], SCHEDULER_PACE)

    def _member_heard(self, start: Callable[[str], ControlProcess], kind: str, member: str) -> None:
        """Something has happened to a candidate: its loops begin and end with its term of office."""
        what = (start.__name__, member)
        process = self._processes.get(what)
        if kind == "leading":
            assert process is None, f"{member} leads already"
            self._processes[what] = start(member)
        elif process is None:
            return
        elif kind in OUT_OF_OFFICE:
            process.end()
            del self._processes[what]
        elif kind == "process paused":
            process.freeze()
        elif kind == "process resumed":
            process.thaw()

    def _reach_turned(self) -> None:
        # Later in the same instant: a failover may begin and end meanwhile.
        Alarm(self.env, self.env._now, lambda: self.api.set_contact(self._reach.contact))

    # What stands.

    def _host_turned(self, host: str, up: bool) -> None:
        self.kubelets[host].set_power(up)
        self._see_proxy(host)

    def _kubelet_turned(self, host: str, up: bool) -> None:
        self.kubelets[host].set_runs(up)

    def _proxy_turned(self, host: str, up: bool) -> None:
        self.proxies[host].set_up(up)

    def _see_proxy(self, host: str) -> None:
        proxy = self.proxies.get(host)
        if proxy is not None and not self.kubelets[host].powered:
            proxy.set_up(False)

    # What serves.

    def all_turned(self) -> None:
        """Something has happened to a node: see after all workloads."""
        for name in self._workloads:
            self.turned(name)

    def turned(self, app: str) -> None:
        """Something has happened to a pod of a workload: see whether enough of them serve."""
        part = self._workloads.get(app)
        if part is None:
            return
        endpoints = self.api.store.get(Endpoints, app)
        serving = 0 if endpoints is None else sum(map(self._serves, endpoints.pods))
        variable, up = self._variables[app], serving >= part.required
        if self.live.is_up(variable) != up:
            self.live.turn(variable, up)

    def _serves(self, name: str) -> bool:
        pod = self.api.store.get(Pod, name)
        kubelet = None if pod is None or pod.node is None else self.kubelets.get(pod.node)
        container = None if kubelet is None else kubelet.containers.get(name)
        return container is not None and container.serving

    def _changed(self, change: Change) -> None:
        """The store has changed."""
        for kind, subject, detail in told(change):
            self.note(kind, subject, detail)
        thing = change.before if change.after is None else change.after
        if isinstance(thing, Endpoints):
            self.turned(thing.name)
        elif isinstance(thing, Machine):
            self._machine(thing, change.after is None)

    def _machine(self, machine: Machine, gone: bool) -> None:
        """The cloud: a machine that is asked for comes after a while, and one that is given back goes at once."""
        if gone:
            kubelet = self.kubelets.get(machine.name)
            if kubelet is not None:
                kubelet.set_power(False)
                self.api.put(Delete(Node, machine.name))
                self.api.put(Delete(NodeLease, machine.name))
        elif self._provisioning is not None and machine.name not in self.kubelets:
            Alarm(self.env, self.env._now + next(self._provisioning), lambda: self._appear(machine))

    def _appear(self, machine: Machine) -> None:
        if self.api.store.get(Machine, machine.name) is None:
            return
        self.api.put(Create(NodeLease(machine.name)))
        self.api.put(Create(Node(machine.name, machine.zone, machine.cpu, self.declared.pods, created=self.env._now)))
        self._add_node(machine.name)

    # The verbs of faults.

    def nodes_in(self, names: Collection[str]) -> list[str]:
        """The nodes that are called so, or stand in a domain that is."""
        return [host for host in self._hosts if any(place in names for place in self._paths[host])]

    @contextmanager
    def rule(self, rule: Rule) -> Iterator[Touch]:
        """Ask this rule about every message between the API and anybody."""
        touch = Touch()
        entry = (rule, touch)
        self._links.rules.append(entry)
        yield touch
        self._links.rules.remove(entry)

    @contextmanager
    def paused(self, node: str) -> Iterator[Touch]:
        """Freeze a node with all that runs on it."""
        kubelet = self.kubelets[node]
        touch = Touch()
        touch.touched = kubelet.powered
        kubelet.freeze()
        yield touch
        kubelet.thaw()
