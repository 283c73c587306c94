"""The role of the leader in a quorum that plays Raft: the failover takes what the election takes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from hasim.engines.des.etcd.world import EtcdWorld, leap_again_and_again
from hasim.engines.des.world import LeapingEnvironment
from hasim.model.parts import Quorum
from hasim.model.placement import place
from hasim.model.system import Switch, System

if TYPE_CHECKING:
    from hasim.engines.des.clocks import IdleClock
    from hasim.engines.des.live import LiveCluster

SETTLING_TIMEOUTS = 20
"""Election timeouts before the beginning in which a leader is found; the second campaign fails in one of millions."""


def settling_time(system: System) -> float:
    """Seconds before the beginning in which fresh quorums that play Raft find their first leaders; zero without any."""
    rafts = [getattr(system.cluster.parts[switch.part], "raft", None) for switch in system.switches]
    return SETTLING_TIMEOUTS * max((raft.election_timeout for raft in rafts if raft is not None), default=0.0)


class RaftRole:
    """Members that stand run an etcd process, those that fall lose it, and the world says when somebody leads.

    When a member's host or a domain around it falls, power is lost: its peers hear nothing, and what was not synced
    is gone. When only the member itself falls, its process is killed and its kernel says so.
    """

    def __init__(self, live: LiveCluster, switch: Switch, members: list[str]) -> None:
        """Place the members; they start with `appoint`."""
        self.live = live
        self.switch = switch
        cluster = live.system.cluster
        part = cluster.parts[switch.part]
        assert isinstance(part, Quorum) and part.raft is not None
        assert isinstance(live.env, LeapingEnvironment)
        hosts = place(switch.part, part, cluster.topology)
        self.hosts = dict(zip(members, hosts, strict=True))
        self.members = members
        self.idlers: list[list[IdleClock]] = [[] for _ in members]
        self._settling = False
        self._unpowered: list[str] = []  # members that a fault has cut off from power
        self._paths = paths = cluster.topology.paths()
        zones = {member: paths[host][-2] for member, host in self.hosts.items() if host and len(paths[host]) > 1}
        self.etcd = EtcdWorld(live.env, live.streams, members, part.raft, live.note, zones=zones, turned=self._turned)
        nodes = [live.gates.add(expr) for expr in switch.standing]
        self.standing = [live.gates.is_true(node) for node in nodes]
        for i, node in enumerate(nodes):
            live.listen(node, partial(self._member_turned, i))
        self._host_nodes = {
            member: live.gates.add(live.system.standing[host]) for member, host in self.hosts.items() if host
        }

    def prepare(self) -> None:
        """Start all members, some time before the beginning; the last of such roles lets all skip over calm."""
        self.etcd.start()
        roles = [role for role in self.live.roles if isinstance(role, RaftRole)]
        if roles[-1] is self:
            leap_again_and_again([role.etcd for role in roles])

    def appoint(self, first: bool) -> None:
        """There is a leader already, if enough members stand: see `prepare`."""
        self.settle()

    def settle(self) -> None:
        """Start and end processes as members stand now."""
        self._settling = True
        for member, stands in zip(self.members, self.standing, strict=True):
            node = self.etcd.world.nodes[member]
            if stands == node.upkeep.wanted:
                continue  # whether a process runs there is the node's business
            if stands:
                node.start()
            else:
                host = self._host_nodes.get(member)
                if member in self._unpowered or (host is not None and not self.live.gates.is_true(host)):
                    node.power_off()
                else:
                    node.crash()
        self._settling = False
        self._lead()

    def members_in(self, names: Collection[str]) -> list[str]:
        """The members that are called so, or stand in a host, domain or part that is."""
        if self.switch.part in names:
            return list(self.members)
        return [
            member
            for member in self.members
            if member in names or any(place in names for place in self._paths.get(self.hosts[member] or "", ()))
        ]

    @contextmanager
    def without_power(self, names: Collection[str]) -> Iterator[None]:
        """Let members that fall meanwhile lose power, not just their process."""
        members = self.members_in(names)
        self._unpowered += members
        try:
            yield
        finally:
            for member in members:
                self._unpowered.remove(member)

    def _member_turned(self, member: int, up: bool) -> None:
        self.standing[member] = up
        self.live.unsettled[self.switch.part] = self

    def _turned(self, led: bool) -> None:
        """The world says that somebody leads, or nobody."""
        if not self._settling:
            self._lead()

    def _lead(self) -> None:
        """No failover is going on where too few members stand for one, or while somebody leads."""
        live, switch = self.live, self.switch
        led = self.etcd.led or sum(self.standing) < switch.enough
        if live.gates.is_true(switch.led) != led:
            live.turn(switch.led, led)
