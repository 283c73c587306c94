"""Hosts that are upgraded as a whole: what runs there is stopped, the host is away for a while, all comes back."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from hasim.engines.des.draws import draws
from hasim.engines.des.requests.replica import Replica
from hasim.engines.des.upgrades.places import Behaviour
from hasim.engines.des.world.alarm import Alarm
from hasim.model.upgrades import NodeByNode
from hasim.protocols.contracts.skew import violations
from hasim.protocols.rollout import Left, Ready, Unready

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

PAUSE_S = 0.01
"""How often a host looks whether its servers have ended, in seconds."""


@dataclass(eq=False)
class Machine:
    """One host: its version, whether all is well on it, and what it holds."""

    name: str
    version: str | None
    members: dict[str, str]  # members that stand there, and their parts
    servers: list[Replica]
    ready: bool = True  # as the rollout knows it
    well: bool = True  # whether all that stands there runs, whatever its parts do
    leaving: bool = False
    away: bool = False
    held: list[str] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)  # what must be true for all to be well
    gates: list[int] = field(default_factory=list)  # and what else, before the next host may go


class Machines:
    """The hosts of one upgrade, in the place of the pods that others have."""

    def __init__(self, live: LiveCluster, upgrade: NodeByNode) -> None:
        """All hosts have the version before, and are well."""
        self.live, self.upgrade = live, upgrade
        cluster = live.system.cluster
        self.part = ", ".join(upgrade.hosts)
        self.version = upgrade.was
        names = [host for name in upgrade.hosts for host in (cluster.topology.hosts_in(name) or [name])]
        self.places = [self._machine(name) for name in dict.fromkeys(names)]
        self.fronts: list[Any] = []
        self.lanes: list[Any] = []
        self.behaviours: dict[str, Behaviour] = {}
        self.hear: Callable[[str, Any], None] | None = None
        self.seen: Callable[[], None] | None = None
        self.gate = "ready"
        self.graceful = True
        self.owner: Any = None
        self.queue: deque[Any] = deque()
        self.writers: list[Any] = []
        self.touched = False  # what a hold wants to tell whoever holds
        self.told: set[str] = set()  # breaches of the skew policy that were told
        self._takes: Iterator[float] = draws(upgrade.takes, live.streams, f"upgrade:{upgrade.called}/takes")

    def _machine(self, name: str) -> Machine:
        live, cluster = self.live, self.live.system.cluster
        placement = cluster.placement()
        parts = {member: part for part, members in cluster.members().items() for member in members}
        members = {member: parts[member] for member, host in placement.items() if host == name}
        pools = {} if live.requests is None else live.requests.pools
        servers = [replica for replicas in pools.values() for replica in replicas if replica.name in members]
        machine = Machine(name, self.upgrade.was, members, servers)
        machine.nodes = [live.nodes["standing", each] for each in (name, *members)]
        if self.upgrade.gate == "parts":
            machine.gates = [live.nodes["part", part] for part in dict.fromkeys(members.values())]
        for node in (*machine.nodes, *machine.gates):
            live.listen(node, partial(self._turned, machine))
        for replica in servers:
            replica.watchers.append(partial(self._look, machine))
        return machine

    # What an upgrader asks for.

    def pods(self) -> list[str]:
        """The hosts, in order."""
        return [machine.name for machine in self.places]

    def count(self, version: str) -> tuple[int, int, int]:
        """Hosts of a version that are well, on their way, and leaving."""
        mine = [machine for machine in self.places if machine.version == version]
        ready = sum(machine.well and not machine.leaving for machine in mine)
        leaving = sum(machine.leaving for machine in mine)
        return ready, len(mine) - ready - leaving, leaving

    def is_ready(self, name: str) -> bool:
        """Whether all is well on a host."""
        return self._named(name).ready

    def leave(self, name: str) -> None:
        """Stop everything on a host: servers finish what they have, members of protocols say goodbye."""
        machine = self._named(name)
        machine.leaving, machine.well = True, False
        self._say_ready(machine, False)
        live, members = self.live, list(machine.members)
        with ExitStack() as graceful:
            if self.graceful:
                for role in live.played:
                    graceful.enter_context(role.gracefully(members))
                if live.requests is not None:
                    names = [replica.name for replica in machine.servers]
                    live.requests.stopping += names
            with live.instant():
                for member in members:
                    self._hold(machine, member)
            if self.graceful and live.requests is not None:
                for replica in machine.servers:
                    live.requests.stopping.remove(replica.name)
        self._wait_for_servers(machine)

    def _hold(self, machine: Machine, name: str) -> None:
        self.live.hold(name).close_on(self)  # type: ignore[arg-type]
        machine.held.append(name)

    def _wait_for_servers(self, machine: Machine) -> None:
        if any(replica.alive for replica in machine.servers):
            self._later(PAUSE_S, lambda: self._wait_for_servers(machine))
            return
        machine.leaving, machine.away = False, True
        self._hold(machine, machine.name)
        self._say(machine, Left())

    def begin(self, name: str, version: str) -> None:
        """Upgrade a host whose servers have ended, and bring it back."""
        machine = self._named(name)
        machine.version = None
        self._later(next(self._takes), lambda: self._back(machine, version))

    def _back(self, machine: Machine, version: str) -> None:
        machine.version, machine.away = version, False
        with self.live.instant():
            for name in reversed(machine.held):
                self.live.hold(name).let_go(self)  # type: ignore[arg-type]
        machine.held.clear()
        self._judge_versions()
        self._look(machine)

    def warn(self, name: str, on: bool) -> None:
        """Hosts are not warned: their servers are stopped gracefully."""

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        Alarm(self.live.env, self.live.env.now + delay, call)  # type: ignore[arg-type]

    def _named(self, name: str) -> Machine:
        return next(machine for machine in self.places if machine.name == name)

    # What happens to hosts.

    def _turned(self, machine: Machine, up: bool) -> None:
        self._later(0.0, lambda: self._look(machine))  # when all has settled

    def _look(self, machine: Machine) -> None:
        """See whether all is well on a host, and say so if it is news."""
        if machine.leaving or machine.away or machine.version is None:
            return
        is_true = self.live.gates.is_true
        machine.well = all(map(is_true, machine.nodes)) and all(replica.seen_ready for replica in machine.servers)
        self._say_ready(machine, machine.well and all(map(is_true, machine.gates)))
        for each in self.writers:
            each.write()

    def _say_ready(self, machine: Machine, ready: bool) -> None:
        if machine.ready != ready:
            machine.ready = ready
            self._say(machine, Ready() if ready else Unready())

    def _say(self, machine: Machine, message: Any) -> None:
        if self.hear is not None:
            self.hear(machine.name, message)

    # Versions beside one another.

    def _judge_versions(self) -> None:
        """Hold the versions of what runs against the skew policy."""
        kinds: dict[str, dict[str, str]] = {"apiserver": {}, "controller": {}, "kubelet": {}, "proxy": {}}
        for machine in self.places:
            for member, part in machine.members.items():
                component = self.upgrade.components.get(part)
                if component is not None and machine.version is not None:
                    local = self.upgrade.local and component in ("apiserver", "controller")
                    key = machine.name if local and component == "apiserver" else member
                    kinds[component][machine.name if local else key] = machine.version.rstrip("'")
        if not kinds["apiserver"]:
            return
        found = violations(
            kinds["apiserver"], kinds["controller"], kinds["kubelet"], proxies=kinds["proxy"], local=self.upgrade.local
        )
        for violation in found:
            if violation.sentence not in self.told:
                self.told.add(violation.sentence)
                self.live.note("version skew", violation.name, {"rule": violation.rule, "what": violation.sentence})

    def close(self, end: float) -> None:
        """The run has ended."""

    def begin_counting(self) -> None:
        """The run begins."""
