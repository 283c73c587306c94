"""A part whose members run a protocol: processes start and end as members stand and fall."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING

from hasim.engines.des.world import Calm, Node, World
from hasim.model.placement import is_within, place
from hasim.model.structure import Expr

if TYPE_CHECKING:
    from hasim.engines.des.clocks import IdleClock
    from hasim.engines.des.live import LiveCluster


class PlayedRole(ABC):
    """Members that stand run a process, and those that fall lose it; the protocol says when somebody leads.

    When a member's host or a domain around it falls, power is lost: its peers hear nothing, and what was not synced
    is gone. When only the member itself falls, its process is killed and its kernel says so.
    """

    def __init__(self, live: LiveCluster, part: str) -> None:
        """Place the members; they start with `prepare`."""
        self.live = live
        self.part = part
        cluster = live.system.cluster
        self.members = cluster.members()[part]
        self.hosts = dict(zip(self.members, place(part, cluster.parts[part], cluster.topology), strict=True))
        self.idlers: list[list[IdleClock]] = [[] for _ in self.members]
        self._settling = False
        self._unpowered: list[str] = []  # members that a fault has cut off from power
        self._asked: list[str] = []  # members that are asked to stop, and not killed
        self._paths = cluster.topology.paths()
        nodes = [live.gates.add(self.stands(member)) for member in self.members]
        self.standing = [live.gates.is_true(node) for node in nodes]
        for i, node in enumerate(nodes):
            live.listen(node, partial(self._member_turned, i))
        self._host_nodes = {
            member: live.gates.add(live.system.standing[host]) for member, host in self.hosts.items() if host
        }

    def stands(self, member: str) -> Expr:
        """When a member's process runs."""
        return self.live.system.standing[member]

    @property
    def stand_ins(self) -> tuple[Node, ...]:
        """Nodes that are only names in messages, of what is a part elsewhere, or never fails."""
        return ()

    @property
    @abstractmethod
    def world(self) -> World:
        """Where its processes run."""

    @property
    @abstractmethod
    def calm(self) -> Calm:
        """What knows when nothing is to come."""

    @abstractmethod
    def prepare(self) -> None:
        """Start all members, some time before the beginning."""

    @abstractmethod
    def lead(self) -> None:
        """Let the cluster know whether somebody leads, if that has changed."""

    def begin(self) -> None:  # noqa: B027 (most have nothing to say)
        """The history begins: what came before is forgotten, so say again what holds."""

    def zones(self) -> dict[str, str]:
        """The zone of each member whose host stands in one."""
        paths = self._paths
        return {member: paths[host][-2] for member, host in self.hosts.items() if host and len(paths[host]) > 1}

    def appoint(self, first: bool) -> None:
        """There is a leader already, if enough members stand: see `prepare`."""
        self.settle()

    def settle(self) -> None:
        """Start and end processes as members stand now."""
        self._settling = True
        for member, stands in zip(self.members, self.standing, strict=True):
            node = self.world.nodes[member]
            if stands == node.upkeep.wanted:
                continue  # whether a process runs there is the node's business
            if stands:
                self.rise(node)
            else:
                self.fall(node)
        self._settling = False
        self.lead()

    def rise(self, node: Node) -> None:
        """A member stands again."""
        if node.process is not None:
            node.crash()  # it was asked to stop, and has not come to an end
        node.start()

    def fall(self, node: Node) -> None:
        """A member has fallen."""
        host = self._host_nodes.get(node.name)
        if node.name in self._unpowered or (host is not None and not self.live.gates.is_true(host)):
            node.power_off()
        elif node.name in self._asked:
            node.stop()
        else:
            node.crash()

    def members_in(self, names: Collection[str]) -> list[str]:
        """The members that are called so, or stand in a host, domain or part that is."""
        if self.part in names:
            return list(self.members)
        return [member for member in self.members if is_within(member, self.hosts[member], self._paths, names)]

    def without_power(self, names: Collection[str]) -> AbstractContextManager[None]:
        """Let members that fall meanwhile lose power, not just their process."""
        return self._marked(self._unpowered, names)

    def gracefully(self, names: Collection[str]) -> AbstractContextManager[None]:
        """Let members whose process falls meanwhile be asked to stop (SIGTERM), so that they may say goodbye."""
        return self._marked(self._asked, names)

    @contextmanager
    def _marked(self, marked: list[str], names: Collection[str]) -> Iterator[None]:
        members = self.members_in(names)
        marked += members
        try:
            yield
        finally:
            for member in members:
                marked.remove(member)

    def _member_turned(self, member: int, up: bool) -> None:
        self.standing[member] = up
        self.live.unsettled[self.part] = self

    def turned(self, led: bool) -> None:
        """The world says that somebody leads, or nobody."""
        if not self._settling:
            self.lead()
