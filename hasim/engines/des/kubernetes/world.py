"""The Kubernetes of a live cluster: who leads its control loops, what stands of its nodes, and the verbs of faults."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from hasim.engines.des.draws import draws, durations
from hasim.engines.des.kubernetes.api import Api, subject_of
from hasim.engines.des.kubernetes.beginning import bring_about
from hasim.engines.des.kubernetes.cloud import Cloud
from hasim.engines.des.kubernetes.control import ControlProcess
from hasim.engines.des.kubernetes.kubelet import RENEW_S, Kubelet
from hasim.engines.des.kubernetes.lives import Lives
from hasim.engines.des.kubernetes.metrics import Metrics
from hasim.engines.des.kubernetes.notes import told
from hasim.engines.des.kubernetes.pace import CONTROLLERS_PACE, SCHEDULER_PACE
from hasim.engines.des.kubernetes.proxy import Proxy
from hasim.engines.des.kubernetes.releases import Releases
from hasim.engines.des.kubernetes.serving import Serving
from hasim.engines.des.leases.role import LeaseRole
from hasim.engines.des.leases.world import OUT_OF_OFFICE
from hasim.engines.des.reach import Reach
from hasim.engines.des.requests.links import Links
from hasim.engines.des.world import LeapingEnvironment, Touch
from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.verbs import Lasting, lasting
from hasim.faults import Rule
from hasim.model.kubernetes import Kubernetes
from hasim.model.placement import place
from hasim.protocols.api import Change, Create, Refused, Request
from hasim.protocols.reconcile.cluster_autoscaler import ClusterAutoscalerController, Machine
from hasim.protocols.reconcile.controller import Controller
from hasim.protocols.reconcile.daemon_sets import DaemonSetController
from hasim.protocols.reconcile.deployments import DeploymentController
from hasim.protocols.reconcile.disruption import DisruptionController
from hasim.protocols.reconcile.endpoints import EndpointsController
from hasim.protocols.reconcile.horizontal import HorizontalController
from hasim.protocols.reconcile.node_lifecycle import NodeLifecycleController
from hasim.protocols.reconcile.objects import (
    DaemonSet,
    Deployment,
    Endpoints,
    Node,
    NodeLease,
    Pod,
    PodDisruptionBudget,
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
    from hasim.engines.des.kubernetes.rollouts import WorkloadRollout
    from hasim.engines.des.live import LiveCluster

T = TypeVar("T")

KINDS: Final = (
    *(Node, NodeLease, Pod, ReplicaSet, Deployment, StatefulSet, Endpoints, Machine),
    *(DaemonSet, PodDisruptionBudget),
)
API: Final = "kubernetes/api"
"""What rules about messages call the API servers, behind whatever balances them; no declared name has a slash."""


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
        streams = live.streams
        self._chance = uniforms(streams["kubernetes"], FEW)
        self._links = Links(self.env, streams["kubernetes/links"])
        latency = durations(declared.latency, streams, "kubernetes/latency")
        self.api = Api(self.env, API, self._links, latency, self._chance, self._changed, self._conflict)
        self.serving = Serving(live, self.env, self.api.store, self.kubelets)
        self.turned, self.all_turned = self.serving.turned, self.serving.all_turned
        self.releases = Releases(streams, self.serving.workloads)
        self.listeners: list[Callable[[Change], None]] = []  # told of every change but those of leases
        self.rollouts: dict[str, WorkloadRollout] = {}  # the last upgrade of each workload that has begun
        self.under_way: dict[object, None] = {}  # what goes by the store's clock, so that no calm may be leapt over
        self._lives: dict[str, Lives] = {}
        self.processes: dict[tuple[str, str], ControlProcess] = {}
        self._reach = Reach(live, [declared.api], self._reach_turned)
        topology = live.system.cluster.topology
        self._paths = topology.paths()
        self._hosts = list(dict.fromkeys(host for name in declared.nodes for host in topology.hosts_in(name)))
        zones = topology.at_level("zone")
        self._zones = {host: next((place for place in self._paths[host] if place in zones), "") for host in self._hosts}
        self._proxies_run: dict[str, bool] = {}
        self._cloud = self._found_cloud()

    def _found_cloud(self) -> Cloud | None:
        autoscaler, takes = self.declared.autoscaler, self.declared.provisioning
        if autoscaler is None or takes is None:
            return None
        provisioning = draws(takes, self.live.streams, "kubernetes/provisioning")
        return Cloud(self.api, provisioning, autoscaler.pods, self._add_node, self._remove_node)

    # The beginning.

    def prepare(self) -> None:
        """Put nodes and pods in place, as they are after a long time in which nothing failed; then wire what falls."""
        store, now = self.api.store, self.api.now
        requests: list[Request] = []
        for host in self._hosts:
            node = Node(host, self._zones[host], self.declared.cpu, self.declared.pods, created=now)
            requests += [Create(node), Create(NodeLease(host))]
        for name, part in self.serving.workloads.items():
            requests.append(Create(part.pod_set(name, now)))
            budget = part.disruption_budget(name, now)
            if budget is not None:
                requests.append(Create(budget))
        bring_about(store, requests, [*self._settling_controllers(), Scheduler()], now)
        for node in store.all(Node):
            self._add_node(node)
        for pod in store.all(Pod):
            if pod.node is not None:
                self.kubelets[pod.node].adopt(pod)
        self.all_turned()
        self._wire()

    def _settling_controllers(self) -> list[Controller]:
        return [
            DeploymentController(),
            ReplicaSetController("0"),
            StatefulSetController(),
            DaemonSetController("0"),
            EndpointsController(),
            DisruptionController(),
        ]

    def _add_node(self, node: Node) -> None:
        name = node.name
        self.kubelets[name] = Kubelet(self, node, self.releases.laws, RENEW_S * self._chance())
        if self.declared.proxies is not None and name in self._zones:
            self.proxies[name] = Proxy(self, name, self._chance)
            self._proxies_run[name] = True

    def _remove_node(self, name: str) -> None:
        self.kubelets.pop(name).set_power(False)

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
            DaemonSetController(member),
            DisruptionController(),
        ]
        if self.declared.autoscaler is not None:
            controllers.append(ClusterAutoscalerController(self.declared.autoscaler))
        for autoscaler in self.declared.horizontal:
            controllers.append(HorizontalController(autoscaler, Metrics(self.env, self.serving, autoscaler)))
        return ControlProcess(self.api, member, KINDS, controllers, CONTROLLERS_PACE)

    def _scheduler(self, member: str) -> ControlProcess:
        return ControlProcess(self.api, member, (Node, Pod), [Scheduler(member)], SCHEDULER_PACE)

    def _member_heard(self, start: Callable[[str], ControlProcess], kind: str, member: str) -> None:
        """Something has happened to a candidate: its loops begin and end with its term of office."""
        what = (start.__name__, member)
        process = self.processes.get(what)
        if kind == "leading":
            assert process is None, f"{member} leads already"
            self.processes[what] = start(member)
        elif process is None:
            return
        elif kind in OUT_OF_OFFICE:
            process.end()
            del self.processes[what]
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
        self._proxies_run[host] = up
        self._see_proxy(host)

    def _see_proxy(self, host: str) -> None:
        proxy = self.proxies.get(host)
        if proxy is not None:
            proxy.set_up(self._proxies_run[host] and self.kubelets[host].awake)

    # What the store says.

    def _changed(self, change: Change) -> None:
        """The store has changed."""
        for fact, subject, detail in told(change):
            self.note(fact, subject, detail)
        kind, name = change.key
        if kind is not NodeLease:
            for listener in list(self.listeners):
                listener(change)
        if kind is Endpoints:
            self.turned(name)
        elif kind is Machine and self._cloud is not None:
            self._cloud.hear(change)

    def _conflict(self, who: str, request: Request, reply: Refused) -> None:
        kind, name = subject_of(request)
        self.note("conflict", who, {"over": f"{kind.__name__} {name}", "why": reply.why})

    # Upgrades.

    def lives_of(self, app: str) -> Lives:
        """The lives of a workload's pods, from when they are first asked for."""
        if app not in self._lives:
            lives = self._lives[app] = Lives(self.env, self.api.store, self.releases, app)
            self.listeners.append(lives.hear)
        return self._lives[app]

    def leading(self, kind: type[T]) -> list[T]:
        """The controllers of a kind in all processes that lead."""
        processes = self.processes.values()
        return [each for process in processes for each in process.controllers if isinstance(each, kind)]

    # The verbs of faults.

    def nodes_in(self, names: Collection[str]) -> list[str]:
        """The nodes that are called so, or stand in a domain that is; and the API, where its servers do."""
        found = [host for host in self._hosts if any(place in names for place in self._paths[host])]
        return [*found, API] if self._reach.stands_in(names) else found

    def has(self, node: str) -> bool:
        """Whether it is one of these."""
        return node == API or node in self.kubelets

    def rule(self, rule: Rule) -> Lasting:
        """Ask this rule about every message between the API and anybody."""
        self.api.rules_changed()
        return self._links.ruled(rule)

    @lasting
    def paused(self, node: str) -> Iterator[Touch]:
        """Freeze a node with all that runs on it; or the API."""
        if node == API:
            self.api.freeze()
            yield Touch(True)
            self.api.thaw()
            return
        kubelet = self.kubelets[node]
        touch = Touch(kubelet.powered)
        kubelet.freeze()
        self._see_proxy(node)
        yield touch
        kubelet.thaw()
        self._see_proxy(node)
