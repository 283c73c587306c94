"""The request path of a live cluster: pools, balancers and callers, wired to what stands and what does not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from hasim.engines.des.draws import draws
from hasim.engines.des.etcd.role import RaftRole
from hasim.engines.des.requests.caller import Caller
from hasim.engines.des.requests.checker import Checker
from hasim.engines.des.requests.collections import collect
from hasim.engines.des.requests.direct import Direct
from hasim.engines.des.requests.front import Front
from hasim.engines.des.requests.kubelet import Kubelet
from hasim.engines.des.requests.links import Links
from hasim.engines.des.requests.needs import Needs
from hasim.engines.des.requests.notes import RequestNotes
from hasim.engines.des.requests.pair import Pair
from hasim.engines.des.requests.replica import Replica
from hasim.engines.des.requests.sharing import SharingReplica
from hasim.engines.des.requests.source import ClosedLoop, OpenLoop
from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.leap import LeapingEnvironment
from hasim.engines.des.world.touch import Touch
from hasim.engines.des.world.verbs import Lasting
from hasim.errors import CannotModel
from hasim.faults import Rule
from hasim.model.demand import Load
from hasim.model.demand.route import route_of
from hasim.model.parts import Balancer, Part, Pool, Standby
from hasim.model.placement import is_within, place
from hasim.model.structure import Expr, Var, all_of, any_of, substitute

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster


class RequestPath:
    """Everything that requests meet, and the verbs of faults that act on it."""

    def __init__(self, live: LiveCluster, loads: Sequence[Load], pools: Sequence[str] = ()) -> None:
        """Build the way of each load, and these pools, whose servers come and go; nothing is asked before `start`."""
        assert isinstance(live.env, LeapingEnvironment)
        self.live = live
        self.env = live.env
        self.cluster = live.system.cluster
        self.links = Links(self.env, live.streams["requests/links"])
        self.pools: dict[str, list[Replica]] = {}
        self.fronts: dict[str, Front] = {}
        self.callers: list[Caller] = []
        self._checkers: list[Checker] = []
        self._kubelets: list[Kubelet] = []
        self._instances: dict[str, dict[str, str | None]] = {}  # members of each balancer, and their hosts
        self.stopping: list[str] = []  # members that go down gracefully, not by crashing
        self._unpowered: list[str] = []  # members that a fault has cut off from power
        self._hosts: dict[str, int] = {}  # the node of each replica's host, where it has one
        self._pairs: dict[str, set[str]] = {}  # members of each pair, and what they stand in
        self._instances_within: dict[str, set[str]] = {}  # the same of each balancer
        self._around: dict[str, set[str]] = {}  # what each replica and balancer is called, and stands in
        self._quiet = not loads
        for name in pools:
            self._pool(name)
        for load in loads:
            route = route_of(load, self.cluster.parts)
            replicas = self._pool(route.pool)
            front: Front | Direct
            if route.balancer is not None:
                front = self._front(route.balancer, replicas)
            else:
                front = Direct(self.env, load.name, replicas, load.clients.dns, live.streams, self.links)
            self.callers.append(Caller(self.env, load, front, RequestNotes(), live.streams))

    # Building.

    def _pool(self, name: str) -> list[Replica]:
        if name not in self.pools:
            pool = self.cluster.parts[name]
            if isinstance(pool, Standby):
                self.pools[name] = [self._pair(name, pool)]
                return self.pools[name]
            assert isinstance(pool, Pool) and pool.serving is not None
            kind = SharingReplica if pool.serving.discipline == "sharing" else Replica
            members = self.cluster.members()[name]
            self.pools[name] = [
                kind(self.env, member, i, pool.serving, self.live.streams, self.live.note)
                for i, member in enumerate(members)
            ]
            self._wire_pool(name, pool)
        return self.pools[name]

    def _pair(self, name: str, pair: Standby) -> Replica:
        """An active member and its standbys, as one server that fails over."""
        assert pair.serving is not None
        live = self.live
        kind = SharingReplica if pair.serving.discipline == "sharing" else Replica
        replica = kind(self.env, name, 0, pair.serving, live.streams, live.note)
        if pair.sync is not None:
            replica.pay_on_top(draws(pair.sync, live.streams, f"{name}/sync"))
        stands = live.gates.add(self._some_stand(name))
        led = [Var(switch.led) for switch in live.system.switches if switch.part == name]
        hosts_stand, its = self._grounds(name, pair)
        self._pairs[name] = its

        def heard() -> bool:
            return live.gates.is_true(hosts_stand) and name not in self._unpowered

        role = live.gates.add(all_of(led))
        Pair(replica, live.gates, stands, role, in_step=pair.sync is not None, heard=heard).watch(live.listen)
        self._watch_needs(name, replica, None)
        self._surround(name, (), ())  # one server wherever it stands: only the pair as a whole can be meant
        return replica

    def _wire_pool(self, name: str, pool: Pool) -> None:
        """Let replicas follow their members and hosts, and what the pool needs."""
        standing, live = self.live.system.standing, self.live
        hosts = place(name, pool, self.cluster.topology)
        assert pool.serving is not None
        for replica, host in zip(self.pools[name], hosts, strict=True):
            self._surround(replica.name, (name,), (host,))
            stands = all_of([standing[replica.name], live.system.open[name]])
            killed = live.kills.get(replica.name)  # for the figures of time; the process itself knows how it is
            node = live.gates.add(stands if killed is None else substitute(stands, {killed: True}))
            host_node = None if host is None else live.gates.add(standing[host])
            if host_node is not None:
                self._hosts[replica.name] = host_node
            live.listen(node, partial(self._member_turned, replica, host_node))
            if host_node is not None:  # power that comes back under a process which stays down is seen, too
                live.listen(host_node, partial(self._host_turned, replica))
            self._watch_needs(name, replica, host)
            if pool.serving.liveness is not None or pool.serving.readiness is not None:
                kubelet = Kubelet(self.env, replica, live.streams, self._quiet)
                self._kubelets.append(kubelet)
                kubelet.killed = partial(self.kill, replica.name)

    def renew_check(self, front: Front, replica: Replica) -> None:
        """A balancer learns of a server anew, and takes it for what its checks begin with."""
        for checker in self._checkers:
            if checker.is_of(front, replica):
                checker.renew()

    def forget(self, front: Front, replica: Replica) -> None:
        """A balancer knows that a server has gone, and need not find out."""
        front.mark(replica.index, False, "not there any more")
        for checker in self._checkers:
            if checker.is_of(front, replica):
                checker.renew(there=False)

    def kill(self, name: str, down: bool) -> None:
        """A liveness probe or a remedy has ended a process, or it is there again: figures of time hear of it."""
        variable = self.live.kills.get(name)
        if variable is not None and self.live.is_up(variable) == down:
            self.live.turn(variable, not down)

    def _grounds(self, name: str, part: Part) -> tuple[int, set[str]]:
        """The node that is true while all hosts of a part's members stand, and what these members are and stand in."""
        hosts = [host for host in place(name, part, self.cluster.topology) if host is not None]
        node = self.live.gates.add(all_of(self.live.system.standing[host] for host in hosts))
        paths = self.cluster.topology.paths()
        return node, {*self.cluster.members()[name], *(where for host in hosts for where in paths[host])}

    def _some_stand(self, name: str) -> Expr:
        """When a member of a part stands, and nothing holds the part as a whole."""
        system = self.live.system
        return all_of([any_of(system.standing[member] for member in self.cluster.members()[name]), system.open[name]])

    def _watch_needs(self, name: str, replica: Replica, host: str | None) -> None:
        """Let a replica know when what it needs is there; of a quorum that is played, also the member beside it."""
        needed = self._needed(name, host)
        if needed is None:
            return
        needs = Needs(replica)
        self.live.listen(self.live.gates.add(needed), needs.listener())
        for role in self.live.roles:
            if isinstance(role, RaftRole) and self.cluster.needs(name).get(role.switch.part) == "local":
                for member, its in role.hosts.items():
                    if its == host:
                        role.etcd.watch(member, needs.listener())

    def _needed(self, name: str, host: str | None) -> Expr | None:
        """When what a replica on this host needs is there; None if it needs nothing."""
        system, exprs = self.live.system, []
        for other, kind in self.cluster.needs(name).items():
            if kind == "degraded":
                continue
            exprs.append(system.parts[other])
            if kind == "local":
                members = self.cluster.members()[other]
                its = place(other, self.cluster.parts[other], self.cluster.topology)
                near = [system.standing[member] for member, where in zip(members, its, strict=True) if where == host]
                exprs.append(any_of(near))
        return all_of(exprs) if exprs else None

    def _front(self, name: str, replicas: Sequence[Replica]) -> Front:
        if name in self.fronts:
            return self.fronts[name]
        part, live = self.cluster.parts[name], self.live
        assert isinstance(part, Balancer)
        self._around[name] = {name}
        hosts = place(name, part, self.cluster.topology)
        self._instances[name] = dict(zip(self.cluster.members()[name], hosts, strict=True))
        front = self.fronts[name] = Front(self.env, name, part, replicas, live.streams, self.links, live.note)
        led = [Var(switch.led) for switch in live.system.switches if switch.part == name]
        hosts_stand, self._instances_within[name] = self._grounds(name, part)

        def turned(alive: bool) -> None:
            # Which of the instances held the address is not known: if a host has gone, silence is taken for its fate.
            front.set_alive(alive, heard=live.gates.is_true(hosts_stand) and name not in self._unpowered)

        live.listen(live.gates.add(all_of([self._some_stand(name), *led])), turned)
        for replica in replicas:
            if part.check is not None:
                self._checkers.append(Checker(self.env, part.check, front, replica, self.links, live.streams))
            elif part.view_delay is not None:
                replica.watchers.append(partial(self._news, front, replica, part.view_delay))
            replica.watchers.append(partial(self._leaving, front, replica))
        return front

    def _news(self, front: Front, replica: Replica, delay: float) -> None:
        """Endpoints: what is known of a replica's readiness, some time later."""
        ready = replica.seen_ready
        Alarm(self.env, self.env._now + delay, lambda: front.mark(replica.index, ready, "endpoints"))

    def _leaving(self, front: Front, replica: Replica) -> None:
        heard = not (self.links.rules and self.links.cut(replica.name, front.name))
        if heard and (replica.closing or (not replica.running and replica.powered)):
            front.server_leaves(replica.index)

    # What happens to members.

    def _member_turned(self, replica: Replica, host: int | None, up: bool) -> None:
        replica.standing = up
        if up:
            replica.start()
        elif replica.name in self._unpowered or (host is not None and not self.live.gates.is_true(host)):
            replica.power_off()
        elif replica.name in self.stopping:
            replica.stop()
        else:
            replica.crash()

    def _power_on(self, replica: Replica) -> None:
        """Power is back where a process stays down, unless its host is still without."""
        host = self._hosts.get(replica.name)
        if host is None or self.live.gates.is_true(host):
            replica.power_on()

    def _host_turned(self, replica: Replica, up: bool) -> None:
        if up:
            if replica.name not in self._unpowered:
                replica.power_on()
        else:
            replica.power_off()

    # The run.

    def start(self, end: float) -> None:
        """Start checks, probes and collectors, and let the loads begin."""
        for checker in self._checkers:
            checker.start()
        for kubelet in self._kubelets:
            kubelet.start()
        for replica in self._replicas():
            if replica.serving.collections is not None:
                self.env.process(collect(self.env, replica, replica.serving.collections, self.live.streams))
        for caller in self.callers:
            load = caller.load
            if load.rate is None:
                ClosedLoop(self.env, caller, load, self.live.streams, end)
            else:
                OpenLoop(self.env, caller, load.rate, self.live.streams, end)

    def close(self) -> None:
        """The run has ended."""
        for caller in self.callers:
            caller.close()

    def pool_of(self, caller: Caller) -> str:
        """The name of the pool that serves a caller."""
        return route_of(caller.load, self.cluster.parts).pool

    def _replicas(self) -> list[Replica]:
        return [replica for replicas in self.pools.values() for replica in replicas]

    def _replica(self, name: str) -> Replica:
        if name in self.fronts:
            why = f"{name} is a balancer, which is up, down or cut off, and nothing between"
            raise CannotModel(f"a fault of {name}", why, "use ha.Crash, or a fault of the network", "simulate")
        return next(replica for replica in self._replicas() if replica.name == name)

    # The verbs of faults.

    def members_in(self, names: Collection[str]) -> list[str]:
        """The replicas and balancers that are called so, or stand in a host, domain or part that is."""
        wanted = set(names)
        found = [name for name, around in self._around.items() if not wanted.isdisjoint(around)]
        return found + [name for name in self.fronts if name not in found and self._is_within(name, wanted)]

    def _is_within(self, balancer: str, wanted: set[str]) -> bool:
        """Whether all instances of a balancer are meant; where only some are, the address is with another.

        An instance that is named by itself is refused: which one holds the address, and what the others do then,
        is not played.
        """
        paths = self.cluster.topology.paths()
        instances = self._instances[balancer]
        if len(instances) > 1 and not wanted.isdisjoint(instances) and not wanted >= set(instances):
            why = f"only {balancer} as a whole is played: it is up, down or cut off"
            raise CannotModel(
                "a fault of an instance of a balancer", why, f"name {balancer}, or use ha.Crash", "simulate"
            )
        return all(is_within(member, host, paths, wanted) for member, host in instances.items())

    def _surround(self, name: str, called: Collection[str], hosts: Collection[str | None]) -> None:
        """Remember what a server or balancer is called and stands in, for faults that name it."""
        paths = self.cluster.topology.paths()
        self._around[name] = {name, *called, *(place for host in hosts if host is not None for place in paths[host])}

    def rule(self, rule: Rule) -> Lasting:
        """Ask this rule about every message between a balancer and its servers."""
        return self.links.ruled(rule)

    @contextmanager
    def paused(self, node: str) -> Iterator[Touch]:
        """Stop a process while its connections stay."""
        replica = self._replica(node)
        process = replica.freeze()
        try:
            yield Touch(replica.running)
        finally:
            replica.thaw(process)

    @contextmanager
    def slowed(self, node: str, factor: float) -> Iterator[Touch]:
        """Let requests that begin on a server take so many times as long."""
        replica = self._replica(node)
        replica.slow_down(factor)
        try:
            yield Touch(True)
        finally:
            replica.speed_up(factor)

    @contextmanager
    def failing(self, node: str, share: float) -> Iterator[Touch]:
        """Let a share of a server's answers be errors; its checks stay good."""
        replica = self._replica(node)
        replica.fail_more(share)
        try:
            yield Touch(True)
        finally:
            replica.fail_less(share)

    @contextmanager
    def unready(self, node: str) -> Iterator[Touch]:
        """Let a server's checks fail while it serves."""
        replica = self._replica(node)
        replica.set_unready(1)
        fronts = [front for front in self.fronts.values() if replica in front.replicas]
        asked = any(front.part.check is not None or front.part.view_delay is not None for front in fronts)
        try:
            yield Touch(asked)
        finally:
            replica.set_unready(-1)

    @contextmanager
    def without_power(self, names: Collection[str]) -> Iterator[None]:
        """Let servers that fall meanwhile go dark: nobody hears of it."""
        wanted = set(names)
        members = [name for name, around in self._around.items() if not wanted.isdisjoint(around)]
        # Of a pair, or of a balancer's instances, whoever goes dark may be the one that mattered.
        for name, its in {**self._pairs, **self._instances_within}.items():
            if name not in members and not wanted.isdisjoint(its):
                members.append(name)
        self._unpowered += members
        for replica in self._replicas():
            if replica.name in members and not replica.standing:
                replica.power_off()  # it is down already, but its host still spoke
        try:
            yield
        finally:
            for member in members:
                self._unpowered.remove(member)
            for replica in self._replicas():
                if replica.name in members and not replica.standing and replica.name not in self._unpowered:
                    self._power_on(replica)

    @contextmanager
    def drained(self, node: str) -> Iterator[Touch]:
        """Let balancers send a server nothing new."""
        replica = self._replica(node)
        fronts = [front for front in self.fronts.values() if replica in front.replicas]
        for front in fronts:
            front.drain(replica.index, by=1)
        try:
            yield Touch(bool(fronts))
        finally:
            for front in fronts:
                front.drain(replica.index, by=-1)

    @contextmanager
    def gracefully(self, nodes: Collection[str]) -> Iterator[Touch]:
        """Let servers that go down meanwhile stop gracefully."""
        for node in nodes:
            self._replica(node)  # refuses a balancer
        self.stopping += nodes
        try:
            yield Touch(True)
        finally:
            for node in nodes:
                self.stopping.remove(node)
