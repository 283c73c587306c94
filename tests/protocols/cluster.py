"""A Raft cluster of which nothing happens by itself: whoever drives it says what is delivered, fires, syncs, crashes.

Messages lie in a bag until they are delivered, in any order; one that never is counts as lost. Disks commit in groups,
as in the world of SimPy: while a sync is under way, steps go on in memory and what they ask for waits. A cluster can
`fork`: the copies share all that neither of them touches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hasim.checks.raft import RaftInvariants
from hasim.machine import (
    Announce,
    Answer,
    Draw,
    Drawn,
    Effect,
    Fired,
    Proposed,
    Received,
    Save,
    Send,
    SetTimer,
    Started,
)
from hasim.protocols.raft import Continuous, RaftConfig, RaftMember, Read, Snapshot, Write, genesis, journal
from hasim.protocols.raft.config import MESSAGE_BYTES_MAX
from hasim.protocols.raft.log import Log
from hasim.protocols.raft.machine import Raft
from hasim.protocols.raft.messages import VoteReply, VoteRequest
from hasim.protocols.raft.progress import Progress
from hasim.protocols.raft.saved import Record, Saved
from hasim.protocols.raft.state import Reads, State
from hasim.trace import Fact

Build = Callable[[RaftConfig], RaftMember]


class Packet(NamedTuple):
    """A message on its way."""

    sender: str
    to: str
    message: Any


@dataclass
class Node:
    """One server: its machine, what its disk holds for good, what is written but not synced, and what waits for it."""

    config: RaftConfig
    member: RaftMember
    safe: Saved | None = None
    cached: tuple[Record, ...] = ()
    syncing: bool = False
    put_off: tuple[Effect, ...] = ()  # what waits for the sync under way, more saves among it
    up: bool = True
    clock: float = 0.0

    def fork(self) -> Node:
        return Node(
            self.config,
            clone(self.member),
            copy_saved(self.safe),
            self.cached,
            self.syncing,
            self.put_off,
            self.up,
            self.clock,
        )


def copy_saved(saved: Saved | None) -> Saved | None:
    if saved is None:
        return None
    return Saved(saved.term, saved.vote, saved.commit, saved.snapshot, saved.entries.copy())


def _copy_slots(old: Any, new: Any, slots: Sequence[str]) -> Any:
    for slot in slots:
        setattr(new, slot, getattr(old, slot))
    return new


def clone(member: RaftMember) -> RaftMember:
    """A member in the same state that shares nothing with the old one that either may change."""
    old = member.raft.state
    new: State = object.__new__(State)
    new.__dict__.update(old.__dict__)
    new.log = _copy_slots(old.log, object.__new__(Log), Log.__slots__)
    new.log.entries = old.log.entries.copy()
    new.votes = old.votes.copy()
    new.progress = {}
    for name, progress in old.progress.items():
        new.progress[name] = copied = _copy_slots(progress, object.__new__(Progress), Progress.__slots__)
        copied.flights = progress.flights.copy()
    new.reads = _copy_slots(old.reads, object.__new__(Reads), Reads.__slots__)
    new.reads.pending = {ticket: (*each[:3], each[3].copy()) for ticket, each in old.reads.pending.items()}
    new.reads.early, new.reads.beats = old.reads.early.copy(), old.reads.beats.copy()
    new.beats = (old.beats[0], old.beats[1].copy())
    new.confirmed = old.confirmed.copy()
    new.asks, new.sends, new.after = old.asks.copy(), old.sends.copy(), old.after.copy()
    raft: Raft = object.__new__(Raft)
    raft.config, raft.state = member.raft.config, new
    twin: RaftMember = object.__new__(type(member))
    twin.__dict__.update(member.__dict__)
    twin.raft, twin.writes = raft, member.writes.copy()
    return twin


@dataclass
class Cluster:
    """Servers, the bag of messages between them, and the judge of all that happens."""

    nodes: dict[str, Node]
    judge: RaftInvariants
    build: Build
    bag: list[Packet] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)  # of every client, by its reference
    facts: list[Fact] | None = None  # kept where somebody wants to read them
    draw: Callable[[int, int], int] = lambda low, high: high
    at: float = 0.0
    hold: bool = False  # syncs take their time, until somebody says `sync`

    def __post_init__(self) -> None:
        self._owned: set[str] = set(self.nodes)

    def fork(self) -> Cluster:
        """Another cluster of the same past."""
        self._owned = set()
        other = Cluster(
            self.nodes.copy(), self.judge.clone(), self.build, self.bag.copy(), self.answers.copy(), None, self.draw
        )
        other._owned = set()
        other.at = self.at
        return other

    def disown(self) -> None:
        """From now on nodes are shared with somebody: copy them before they change."""
        self._owned = set()

    def node(self, name: str) -> Node:
        """A node to change."""
        node = self.nodes[name]
        if name not in self._owned:
            node = self.nodes[name] = node.fork()
            self._owned.add(name)
        return node

    def state(self, name: str) -> State:
        """What the machine knows, to look at."""
        return self.nodes[name].member.raft.state

    # ------------------------------------------------------------------------------ what may happen

    def deliver(self, packet: Packet, keep: bool = False) -> None:
        """Deliver one message of the bag; with `keep` it is there twice."""
        if not keep:
            self.bag.remove(packet)
        if self.nodes[packet.to].up:
            self.step(packet.to, Received(packet.sender, packet.message))

    def fire(self, name: str, timer: str = "election") -> None:
        self.step(name, Fired(timer))

    def write(self, name: str, data: Any, size: int = 0) -> None:
        self.step(name, Proposed(Write(data, size), f"write {data}"))

    def read(self, name: str, ref: str, lease: bool = False) -> None:
        self.step(name, Proposed(Read(lease), ref))

    def crash(self, name: str, power: bool) -> None:
        """The process dies; with a power failure, so does what the disk has not synced."""
        node = self.node(name)
        node.up, node.syncing, node.put_off = False, False, ()
        if power:
            node.cached = ()

    def boot(self, name: str) -> None:
        node = self.node(name)
        saved = copy_saved(node.safe)
        for record in node.cached:
            saved = journal(saved, record)
        node.member, node.up = self.build(node.config), True
        self.step(name, Started(saved))

    def sync(self, name: str) -> None:
        """The sync under way on this node ends; what was put off meanwhile is written and begins another."""
        node = self.node(name)
        effects, node.put_off, node.syncing = node.put_off, (), False
        self._make_safe(name, node)
        hold, self.hold = self.hold, False
        self._perform(name, node, effects)
        self.hold = hold

    def step(self, name: str, event: Any) -> None:
        """Let the machine hear an event, and do what it asks for."""
        node = self.node(name)
        self._perform(name, node, node.member.step(event, node.clock))

    # -------------------------------------------------------------------------------- what becomes of it

    def _perform(self, name: str, node: Node, effects: Sequence[Effect]) -> None:
        own: list[Any] = []
        for effect in effects:
            kind = type(effect)
            if kind is Announce:
                fact = Fact(self.at, effect.kind, name, effect.detail)
                if self.facts is not None:
                    self.facts.append(fact)
                self.judge.observe(fact)
            elif kind is SetTimer:
                pass  # any timer may fire at any time
            elif kind is Draw:
                self._perform(
                    name, node, node.member.step(Drawn(effect.name, self.draw(effect.low, effect.high)), node.clock)
                )
            elif node.syncing:
                node.put_off = (*node.put_off, effect)
            elif kind is Save:
                node.cached = (*node.cached, effect.record)
                if effect.sync and self.hold:
                    node.syncing = True
                elif effect.sync:
                    self._make_safe(name, node)
            elif kind is Send:
                if effect.to == name:
                    own.append(effect.message)
                elif effect.to in self.nodes:
                    self.bag.append(Packet(name, effect.to, effect.message))
            elif kind is Answer:
                self.answers[effect.ref] = effect.result
        for message in own:
            self.step(name, Received(name, message))

    def _make_safe(self, name: str, node: Node) -> None:
        for record in node.cached:
            node.safe = journal(node.safe, record)
            self.judge.disk(name, record, self.at)
        node.cached = ()

    # ----------------------------------------------------------------------------- for stories and searches

    def packets(self, sender: str = "", to: str = "", kind: type | None = None) -> list[Packet]:
        """The messages on their way, from and to these, in the order they were sent."""
        return [
            packet
            for packet in self.bag
            if sender in ("", packet.sender) and to in ("", packet.to) and kind in (None, type(packet.message))
        ]

    def relay(self, sender: str, *to: str, keep: bool = False) -> None:
        """Deliver what is on its way from one node to others now, in order, and not what that brings about."""
        for packet in [packet for packet in self.bag if packet.sender == sender and packet.to in to]:
            self.deliver(packet, keep)

    def replicate(self, leader: str, *to: str, rounds: int = 3) -> None:
        """Let appends go out and their answers come back, so many times."""
        for _ in range(rounds):
            for name in to:
                self.relay(leader, name)
                self.relay(name, leader)

    def pass_on(self, *names: str) -> None:
        """Deliver, in order, everything that these nodes say to each other, until they fall silent."""
        while packets := [packet for packet in self.bag if packet.sender in names and packet.to in names]:
            self.deliver(packets[0])

    def drop(self, *names: str) -> None:
        """Lose everything from and to these nodes, or everything."""
        self.bag = [packet for packet in self.bag if names and not {packet.sender, packet.to} & set(names)]

    def elect(self, name: str, *voters: str) -> None:
        """Let one time out and win with these votes, and with no answers to its first appends."""
        self.fire(name)
        for _ in range(2):  # a pre-vote, and the vote
            for voter in voters:
                for packet in self.packets(name, voter, VoteRequest):
                    self.deliver(packet)
            for voter in voters:
                for packet in self.packets(voter, name, VoteReply):
                    self.deliver(packet)
            if self.state(name).role == "leader":
                return

    def leaders(self) -> Iterator[str]:
        return (name for name, node in self.nodes.items() if node.up and self.state(name).role == "leader")


def make_cluster(
    names: Sequence[str],
    *,
    voters: Sequence[str] = (),
    build: Build = RaftMember,
    raising: bool = True,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    start: Snapshot | None = None,
    pre_vote: bool = False,
    check_quorum: bool = False,
    clock_drift_max: float | None = None,
) -> Cluster:
    """A cluster that has just booted; timers are the paper's, and fire when they are told to."""
    start = start or genesis(tuple(voters or names))
    judge = RaftInvariants(raising)
    cluster = Cluster({}, judge, build)
    for name in names:
        config = RaftConfig(
            name,
            start,
            Continuous(),
            pre_vote,
            check_quorum,
            clock_drift_max,
            message_bytes_max=message_bytes_max,
            log_facts=True,
        )
        cluster.nodes[name] = Node(config, build(config))
        cluster._owned.add(name)
        cluster.boot(name)
    return cluster
