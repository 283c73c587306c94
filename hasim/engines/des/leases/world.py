"""Candidates for one lease in the SimPy world, the store that keeps it, and the resource that the leader writes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from hasim.engines.des.draws import durations
from hasim.engines.des.reach import Contact, let_meet
from hasim.engines.des.world import Clock, LeapingEnvironment, Node, Rhythm, World
from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.connection import Connection, connect
from hasim.machine import Machine
from hasim.model.laws import Law
from hasim.model.leasing import one_way
from hasim.protocols.health import Restarts
from hasim.protocols.lease.candidate import LOST, Candidate
from hasim.protocols.lease.coordinated import CoordinatedCandidate
from hasim.protocols.lease.coordinator import AGAIN_S, PING_WAIT_S, Coordinator
from hasim.protocols.lease.office import Office
from hasim.protocols.lease.resource import Resource, keep_last
from hasim.protocols.lease.server import LeaseServer, keep
from hasim.protocols.lease.settings import Duty, Lease, TtlLease
from hasim.protocols.lease.ttl import TtlCandidate
from hasim.protocols.lease.ttl_server import Held, TtlServer, keep_held
from hasim.protocols.lease.unelected import Unelected
from hasim.streams import FEW, Streams, uniforms
from hasim.trace import Detail

Note = Callable[[str, str, Detail], None]

Seeker = Candidate | CoordinatedCandidate | TtlCandidate | Unelected

ONE_VERSION: Final = "1.0"  # of all candidates, where nothing is said of versions
OUT_OF_OFFICE: Final = ("stopped leading", "process crashed", "process exited", "power lost")
CALM_POLLS: Final = 10
"""Polls of a candidate after which the phase of its next is as good as any: it is off by 0.3^10 = 6e-6 then."""


class LeaseWorld:
    """Candidates on a node each, the store on one of its own, and the resource, where leaders have a duty.

    `office` has the processes that believe they lead, with their terms: usually one, none during a failover, and two
    while an old leader does not know yet. The lease is led while one of them is awake and reaches the store;
    `turned(led)` is called whenever that changes. A process that ends since it has lost its lease is started again as
    `restarts` says, of which each member has its own.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        streams: Streams,
        part: str,
        names: Iterable[str],
        lease: Lease | TtlLease | None,
        note: Note,
        *,
        latency: Law,
        service: tuple[float, float] = (0.0, 0.0),
        restarts: Mapping[str, Restarts],
        duty: Duty | None = None,
        zones: Mapping[str, str] | None = None,
        versions: Mapping[str, str] | None = None,
        turned: Callable[[bool], None] | None = None,
    ) -> None:
        """Put everything in place; nothing runs before `start`.

        `latency` is one way between any two, `service` the least and the most that the store takes for a request, in
        seconds. Without a `lease` there is no store, and all act. `versions` are what the next process of each runs,
        for a lease that is `coordinated`; left out, they are all the same.
        """
        self.env = env
        self.part = part
        self.names = tuple(names)
        self.lease = lease
        self.duty = duty
        self.versions = dict.fromkeys(self.names, ONE_VERSION) | dict(versions or {})
        self.office: dict[str, int] = {}
        self.led = False
        self.changed_at = env.now
        self._phase = 0.0  # of a renewal, for the next leap
        self.leapt = 0.0
        self._note = note
        self._turned = turned
        self._restarts = restarts
        self._starts: dict[str, Alarm] = {}
        self.listeners: list[Callable[[str, str], None]] = []  # told of every fact about a candidate: kind, name
        self._started: dict[str, float] = {}
        self._machines: dict[str, Seeker | Office] = {}
        self._lives = dict.fromkeys(self.names, 0)
        self._chance = uniforms(streams[f"{part}/starts"], FEW)
        self.world = World(env, streams, self._observe, transport="udp", latency=latency, regular=(), all_leapt=True)
        self.world.network.watchers.append(self._review)
        self._connections: list[Connection] = []
        self._way = one_way(latency)
        self._server: LeaseServer | TtlServer | None = None
        self.store = None if lease is None else self._add_store(f"{part} store", lease, service)
        self.resource = None if duty is None else self._add_resource(f"{part} resource", duty)
        for name in self.names:
            self._add(name, (zones or {}).get(name), streams, latency)

    # Building.

    def _add_store(self, name: str, lease: Lease | TtlLease, service: tuple[float, float]) -> Node:
        journal = keep if isinstance(lease, Lease) else keep_held
        return self.world.add(name, lambda: self._build_store(lease, service), journal)

    def _build_store(self, lease: Lease | TtlLease, service: tuple[float, float]) -> Machine:
        low, high = service
        if isinstance(lease, TtlLease):
            self._server = TtlServer(lease, self.names, low, high)
        elif lease.coordinated:
            # A write of its own takes as long as one of a candidate's.
            own = low + 2 * self._way[0], high + 2 * self._way[1]
            self._server = LeaseServer(low, high, Coordinator(self.part, *own))
        else:
            self._server = LeaseServer(low, high)
        return self._server

    def _add_resource(self, name: str, duty: Duty) -> Node:
        return self.world.add(name, lambda: Resource(duty.fence), keep_last)

    def _add(self, name: str, zone: str | None, streams: Streams, latency: Law) -> None:
        node = self.world.add(name, lambda: self._build(name), keep_last, clock=Clock(), zone=zone)
        for other in (self.store, self.resource):
            if other is None:
                continue
            network = self.world.network
            there = durations(latency, streams, f"{name}>{other.name}/latency")
            here = durations(latency, streams, f"{other.name}>{name}/latency")
            self._connections += connect(network, node, other, there, here)

    def _build(self, name: str) -> Machine:
        self._lives[name] += 1
        identity = self._identity(name)  # client-go: the host's name and a UUID of the process
        candidate: Seeker
        if self.lease is None or self.store is None:
            candidate = Unelected(identity)
        elif isinstance(self.lease, Lease) and self.lease.coordinated:
            candidate = CoordinatedCandidate(self.lease, self.part, identity, self.store.name, self.versions[name])
        elif isinstance(self.lease, Lease):
            candidate = Candidate(self.lease, self.part, identity, self.store.name)
        else:
            candidate = TtlCandidate(self.lease, identity, self.store.name)
        machine: Seeker | Office = candidate
        if self.duty is not None and self.resource is not None:
            machine = Office(candidate, self.duty, self.resource.name)
        self._machines[name] = machine
        return machine

    def start(self) -> None:
        """Start the store, and within a longest wait all candidates, the first of them first.

        Where all act, each begins at any time of a round of the duty.
        """
        for server in (self.store, self.resource):
            if server is not None:
                server.start()
        if self.lease is None:
            spread = 0.0 if self.duty is None else self.duty.every
            for name in self.names:
                self.start_later(name, self.env.now + spread * self._chance())
            return
        period = self.renewal_period
        first = self.env.now + period * self._chance()
        for i, name in enumerate(self.names):
            at = first if i == 0 else first + period + self.longest_wait * self._chance()
            self.start_later(name, at)

    # What is known from outside.

    @property
    def renewal_period(self) -> float:
        """From one renewal to the next, in seconds."""
        return 0.0 if self.lease is None else self.lease.renewal_period

    @property
    def longest_wait(self) -> float:
        """The longest wait of a candidate between two tries, in seconds."""
        return 0.0 if self.lease is None else self.lease.longest_retry

    @property
    def leader(self) -> str | None:
        """Who leads; of two, who took the lease later."""
        return max(self.office, key=lambda name: self.office[name], default=None)

    # Processes.

    def start_later(self, name: str, at: float) -> None:
        """Start a candidate's process at that time, unless it falls or is started before."""
        self.cancel_start(name)
        self._starts[name] = Alarm(self.env, at, lambda: self._start(name))

    def cancel_start(self, name: str) -> None:
        """A candidate's process is not to be started again by itself."""
        alarm = self._starts.pop(name, None)
        if alarm is not None:
            alarm.cancel()

    def _start(self, name: str) -> None:
        node = self.world.nodes[name]
        if node.process is None:
            node.start()

    def set_contact(self, contact: Contact) -> None:
        """From now on requests to the store meet this."""
        if self.store is not None:
            let_meet(self.store, contact, by=self)

    # Facts.

    def begin(self) -> None:
        """Say again who leads, for a history that begins now."""
        for name, term in self.office.items():
            self._note("leading", name, {"term": term, "since": "before"})

    def _observe(self, kind: str, subject: str, detail: Detail) -> None:
        self.changed_at = self.env._now
        self._phase = self._chance()
        if subject in (_name(self.store), _name(self.resource)):
            self._observe_server(kind, subject, detail)
            return
        if kind == "leading":
            assert not isinstance(detail, str)
            self.office[subject] = detail["term"]
        elif kind in OUT_OF_OFFICE:
            self.office.pop(subject, None)
        if kind == "process started":
            self._started[subject] = self.env._now
        elif kind in OUT_OF_OFFICE[1:]:
            self._broken(subject, power=kind != "power lost")
        if kind == "process exited" and detail == LOST:
            delay = self._restarts[subject].delay(self._started[subject], self.env._now)
            if delay < float("inf"):
                self.start_later(subject, self.env._now + delay)
            else:
                self._note("restart given up", subject, "")
        self._note(kind, subject, detail)
        for listener in self.listeners:
            listener(kind, subject)
        self._review()

    def _observe_server(self, kind: str, subject: str, detail: Detail) -> None:
        """The lives of the store and the resource are a means; what they say of writes and of elections is noted."""
        if kind == "process crashed":
            self._broken(subject, power=True)
        if kind in ("effect", "write refused", "elected", "asked to go"):
            self._note(kind, subject, detail)
        self._review()

    def _broken(self, name: str, power: bool) -> None:
        """A process has ended: where there is power, its kernel tells those it was connected with."""
        if power:
            for connection in self._connections:
                if connection.dst.name == name:
                    connection.broken()

    def _review(self) -> None:
        """See whether anybody leads, and tell if that has changed."""
        led = any(self._acts(name) for name in self.office)
        if led != self.led:
            self.led = led
            if self._turned is not None:
                self._turned(led)

    def _acts(self, name: str) -> bool:
        node, network = self.world.nodes[name], self.world.network
        if node.process is None or node.paused:
            return False
        store = _name(self.store)
        return store is None or not network.rules or (network.reaches(name, store) and network.reaches(store, name))

    # Leaps.

    @property
    def rhythm(self) -> Rhythm:
        """Calm goes on for any time: all phases stay as they are.

        What the next period brings depends on the past only through these phases, which are as good as any after some
        polls. A message makes a difference when it takes so long that its sender gives up.
        """
        tries = 2 + len(self.names) * 2
        return Rhythm(None, self.lease.patience / 2, tries / self.longest_wait) if self.lease else Rhythm(None, 1.0)

    @property
    def is_calm(self) -> bool:
        """Whether nothing but renewals and vain tries is to come until something happens from outside."""
        if self._starts and any(alarm.pending for alarm in self._starts.values()):
            return False
        views = {self._machines[name].calm() for name in self.names if self.world.nodes[name].process is not None}
        leaders = [name for name in self.office if self.world.nodes[name].process is not None]
        if None in views:
            return False
        if self.store is None:
            return True
        if len(leaders) != 1 or self.store.process is None or self.store.paused:
            return False
        if isinstance(self._server, LeaseServer) and not self._server.is_calm(self._identities()):
            return False
        return len(views - {"?"}) == 1

    def _identity(self, name: str) -> str:
        return f"{name}_{self._lives[name]}"

    def _identities(self) -> set[str]:
        """Of the processes that run."""
        return {self._identity(name) for name in self.names if self.world.nodes[name].process is not None}

    @property
    def calm_after(self) -> float:
        """How long nothing must have happened before calm may be leapt over, in seconds.

        A leader renews like clockwork from when it was elected: whatever comes after the leap must find it at any
        moment of its period.
        """
        return CALM_POLLS * self.longest_wait + self._phase * self.renewal_period

    def leap_over(self, by: float) -> None:
        """So many seconds have been leapt over."""
        self.leapt += by
        for connection in self._connections:
            connection.shift(by)
        held = None if self.store is None else self.store.disk.saved()
        if self.store is not None and isinstance(held, Held):
            self.store.disk.replace(held.later(by))
        elif self.store is not None and isinstance(self._server, LeaseServer) and self._server.coordinator is not None:
            self.store.disk.replace(self._server.store.copy())


def settling_time(lease: Lease | TtlLease) -> float:
    """Seconds in which candidates that start together have found a leader and their phases are as good as any."""
    settling = 2 * lease.renewal_period + (1 + CALM_POLLS) * lease.longest_retry
    if isinstance(lease, Lease) and lease.coordinated:  # the first may have to make way for one of an older version
        settling += lease.duration + AGAIN_S + PING_WAIT_S
    return settling


def _name(node: Node | None) -> str | None:
    return None if node is None else node.name
