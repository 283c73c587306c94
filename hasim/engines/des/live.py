"""The live cluster: the state of everything during a run, and the one place where it changes.

Processes (clocks, bursts, the calendar, scripted faults) turn variables; the live cluster passes each change
through the gates, writes down what went down or came up, and lets the roles settle who is active.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from simpy import Environment

from hasim.engines.des.causes import Causes
from hasim.engines.des.crews import RepairCrew, Shelf
from hasim.engines.des.delivery.role import DeliveryRole
from hasim.engines.des.draws import draws
from hasim.engines.des.etcd.role import RaftRole
from hasim.engines.des.gates import Gates
from hasim.engines.des.history import History, turned
from hasim.engines.des.holds import Hold, NamedHold, UnitHold
from hasim.engines.des.kubernetes.world import KubernetesWorld
from hasim.engines.des.leases.role import LeaseRole
from hasim.engines.des.played import PlayedRole
from hasim.engines.des.roles import Role
from hasim.errors import ModelError, nearest
from hasim.model.laws import Law
from hasim.model.parts import Elected, Queue
from hasim.model.structure import Expr, substitute
from hasim.model.system import Switch, System, SystemUnit
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.requests.path import RequestPath

Listener = Callable[[bool], None]

PULSE_CHANGES = 1 << 15
"""Changes of units between two calls of `pulse`: a fifth of a second or so."""


class LiveCluster:
    """A cluster at one instant of a run; everything is up at first.

    `holds` gives the variable that scripted faults turn for each thing they may hold down, and `kills` that of each
    server that a probe or a remedy may kill. `pulse` is called
    now and then, for whoever wants to show how far the run is. With `protocols`, parts that declare one play it.
    """

    def __init__(
        self,
        env: Environment,
        system: System,
        streams: Streams,
        holds: dict[str, int] | None = None,
        pulse: Callable[[], None] | None = None,
        protocols: bool = True,
        kills: dict[str, int] | None = None,
    ) -> None:
        """Wire the gates, then everything that listens to them."""
        self.env = env
        self.system = system
        self.streams = streams
        self.changes = 0
        self._pulse = pulse
        self._pulse_at = 0
        self.gates = Gates(system.variables)
        self.history = History(env, self.gates)
        self.note = self.history.note
        self._down: dict[int, None] = {}  # variables that are false, in order of falling
        self._listeners: list[list[Listener]] = []
        self._instants: list[array[float] | None] = []
        self._within = 0  # depth of `instant` blocks
        self._forced: dict[int, UnitHold] = {}  # units that are held down, and what holds them
        self.unsettled: dict[str, Role | PlayedRole] = {}  # roles among whose members something changed
        self._turned: dict[tuple[str, str], int] = {}  # parts and services that turned, with their nodes
        self._suffering: dict[str, Causes] = {}  # services that are down, or have just come up
        self._holds: dict[str, Hold] = {}

        crews, shelves = system.crews.items(), system.spares.items()
        self.crews = {name: RepairCrew(env, crew, streams[f"crew:{name}"]) for name, crew in crews}
        self.shelves = {
            name: Shelf(env, spares, self.draws_of(spares.restock, f"spares:{name}/restock"))
            for name, spares in shelves
        }
        self.nodes = self._watch_everything()
        self.roles: list[Role | PlayedRole] = [self._role(switch, protocols) for switch in system.switches]
        if protocols:
            self.roles += [LeaseRole(self, name, None) for name in _without_election(system)]
            self.roles += [DeliveryRole(self, name) for name in _with_tasks(system)]
        self.held = holds or {}
        self.kills = kills or {}
        declared = system.cluster.kubernetes
        self.kubernetes = KubernetesWorld(self, declared) if protocols and declared is not None else None
        self.requests: RequestPath | None = None  # the way of requests, where any are played

    # Building.

    def _role(self, switch: Switch, protocols: bool) -> Role | PlayedRole:
        """What plays a failover: a protocol, if the part declares one and it is to be played, or its law."""
        part = self.system.cluster.parts[switch.part]
        if protocols and getattr(part, "raft", None) is not None:
            return RaftRole(self, switch)
        if protocols and getattr(part, "lease", None) is not None:
            return LeaseRole(self, switch.part, switch)
        return Role(self, switch, self.system.cluster.members()[switch.part])

    @property
    def queues(self) -> dict[str, DeliveryRole]:
        """The queues whose tasks are played, by name."""
        return {role.part: role for role in self.roles if isinstance(role, DeliveryRole)}

    @property
    def played(self) -> list[PlayedRole]:
        """The parts whose members run a protocol."""
        return [role for role in self.roles if isinstance(role, PlayedRole)]

    def _watch_everything(self) -> dict[tuple[str, str], int]:
        """Keep the turns of every variable and everything with a name; return the nodes by kind and name."""
        system = self.system
        nodes = {("standing", name): self.gates.add(expr) for name, expr in system.standing.items()}
        nodes.update({("part", name): self.gates.add(expr) for name, expr in system.parts.items()})
        nodes.update({("service", service.name): self.gates.add(service.up) for service in system.services})
        nodes.update({("full", service.name): self.gates.add(service.full) for service in system.services})
        for node in [*range(system.variables), *nodes.values()]:
            self._reach(node)
            self._instants[node] = self.history.watch(node)
        for (kind, name), node in nodes.items():
            if kind in ("part", "service"):
                self.listen(node, partial(self._tell, (kind, name), node))
        self.causes = {service.name: Causes(service.up) for service in system.services}
        for name, causes in self.causes.items():
            self.listen(nodes["service", name], partial(self._suffer, name, causes))
        return nodes

    def listen(self, node: int, listener: Listener) -> None:
        """Call `listener(up)` whenever the node turns, before anything settles."""
        self._reach(node)
        self._listeners[node].append(listener)

    def _reach(self, node: int) -> None:
        while len(self._listeners) <= max(node, len(self.gates.surplus) - 1):
            self._listeners.append([])
            self._instants.append(None)

    def draws(self, law: Law, unit: SystemUnit, what: str) -> Iterator[float]:
        """Durations of one of a unit's laws, from that unit's own stream."""
        return draws(law, self.streams, f"{unit.kind}:{unit.name}/{what}")

    def draws_of(self, law: Law, name: str) -> Iterator[float]:
        """Durations of a law from the stream of that name."""
        return draws(law, self.streams, name)

    # What is.

    def is_up(self, unit: int) -> bool:
        """Whether a unit is up by itself, whatever holds it down."""
        return self._forced[unit].own_up if unit in self._forced else self.gates.is_true(unit)

    # What changes.

    def go_down(self, unit: int, name: str, why: str) -> None:
        """A unit fails."""
        self.history.note(why, name)
        self.turn(unit, False)

    def come_up(self, unit: int, name: str, why: str) -> None:
        """A unit is back."""
        self.history.note(why, name)
        self.turn(unit, True)

    def turn(self, variable: int, up: bool) -> None:
        """Make a variable true or false, which it was not, and let the consequences follow."""
        if variable in self._forced:
            self._forced[variable].turn_underneath(up)
            return
        if up:
            flipped = self.gates.rise(variable)
            self._down.pop(variable, None)  # it may be missing when Ctrl-C cut a change short
        else:
            flipped = self.gates.fall(variable)
            self._down[variable] = None
        now, listeners, histories = self.env.now, self._listeners, self._instants
        for node in flipped:
            instants = histories[node]
            if instants is not None:
                turned(instants, now)
            for listener in listeners[node]:
                listener(up)
        self.changes += 1
        if not self._within:
            self._settle()

    @contextmanager
    def instant(self) -> Iterator[None]:
        """Take several changes together: roles and services see only how things stand after the last."""
        self._within += 1
        try:
            yield
        finally:
            self._within -= 1
        if not self._within:
            self._settle()

    def _settle(self) -> None:
        while self.unsettled:
            part = next(iter(self.unsettled))
            role = self.unsettled.pop(part)
            self._within += 1
            role.settle()
            self._within -= 1
        if self._turned:
            self._announce()
        if self._suffering:
            self._observe()
        if self._pulse is not None and self.changes >= self._pulse_at:
            self._pulse_at = self.changes + PULSE_CHANGES
            self._pulse()

    # Parts and services.

    def _tell(self, thing: tuple[str, str], node: int, up: bool) -> None:
        if thing in self._turned:  # down and up again within one instant: nothing to tell
            del self._turned[thing]
        else:
            self._turned[thing] = node

    def _announce(self) -> None:
        for (kind, name), node in self._turned.items():
            self.history.note(f"{kind} up" if self.gates.is_true(node) else f"{kind} down", name)
        self._turned.clear()

    def _suffer(self, name: str, causes: Causes, up: bool) -> None:
        self._suffering[name] = causes

    def _observe(self) -> None:
        """Count what is down while a service is."""
        now = self.env.now
        for name, causes in list(self._suffering.items()):
            is_down = not self.gates.is_true(self.nodes["service", name])
            causes.observe(now, is_down, self._down)
            if not is_down:
                del self._suffering[name]

    def begin(self) -> None:
        """Forget the warm-up: what is counted and written down begins now."""
        self.changes = self._pulse_at = 0
        self.history.begin()
        for causes in self.causes.values():
            causes.begin(self.env.now)
        for role in self.played:
            role.begin()

    def end(self) -> None:
        """Count what is down up to now."""
        self._observe()

    # Scripted faults.

    def hold(self, target: str) -> Hold:
        """What keeps a unit, host, domain, member or part down."""
        if target not in self._holds:
            units = {unit.name: index for index, unit in enumerate(self.system.units)}
            if target in self.held:
                variable = self.held[target]
                self._holds[target] = NamedHold(self, variable, self._without(target, variable))
            elif target in units:
                self._holds[target] = UnitHold(self, units[target])
            else:
                known = [*self.held, *units]
                raise ModelError(f"got {target!r}; nothing in the cluster is called that{nearest(target, known)}")
        return self._holds[target]

    def _without(self, target: str, variable: int) -> int:
        """The node that is true while the thing would stand if it were not held."""
        expr: Expr = self.system.parts[target] if target in self.system.parts else self.system.standing[target]
        return self.gates.add(substitute(expr, {variable: True}))

    def force(self, unit: int, hold: UnitHold) -> None:
        """Hold a unit down; its clock runs on underneath, and turns the hold instead."""
        if self.gates.is_true(unit):
            self.turn(unit, False)
        self._forced[unit] = hold

    def unforce(self, unit: int) -> None:
        """Let a unit be what its clock says."""
        if self._forced.pop(unit).own_up:
            self.turn(unit, True)


def _with_tasks(system: System) -> list[str]:
    """The queues whose tasks are followed."""
    return [name for name, part in system.cluster.parts.items() if isinstance(part, Queue) and part.work is not None]


def _without_election(system: System) -> list[str]:
    """The parts whose members all act at once, and have something to do."""
    cluster = system.cluster
    busy = [] if cluster.kubernetes is None else [cluster.kubernetes.controllers, cluster.kubernetes.scheduler]
    return [
        name
        for name, part in cluster.parts.items()
        if isinstance(part, Elected) and not part.leader_elect and (part.duty is not None or name in busy)
    ]
