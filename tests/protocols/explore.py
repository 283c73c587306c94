"""Every order of events in a small Raft cluster, within stated bounds: breadth first, each state once.

- A message may be delivered at any time or never, so losses need no step of their own.
- A crash is followed by the next boot at once: a server that stays down longer hears nothing, which is a loss.
- Timers may run out at any time; servers differ in name only, so that the first to time out is the first server.
- A sync ends at once, but for so many (`holds`) that last until somebody says so; a crash comes in two kinds, with
  what was not synced and without.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cluster import Cluster, Node, Packet, make_cluster

from hasim.checks.invariant import InvariantBroken
from hasim.checks.raft import RaftInvariants
from hasim.machine import Effect, Received, Send
from hasim.protocols.raft.messages import AppendReply, HeartbeatReply, VoteReply
from hasim.protocols.raft.saved import Record
from hasim.trace import Fact

Key = tuple[Any, ...]


class Left(NamedTuple):
    """What may still happen, beside deliveries and timeouts."""

    writes: int
    crashes: int
    duplicates: int
    heartbeats: int
    holds: int


@dataclass(frozen=True)
class Scope:
    """The bounds of a search: highest term, number of steps, and how often each kind of event may happen."""

    terms: int
    depth: int
    writes: int = 1
    crashes: int = 1
    duplicates: int = 0
    heartbeats: int = 0
    holds: int = 0
    servers: int = 3
    pre_vote: bool = False

    @property
    def left(self) -> Left:
        return Left(self.writes, self.crashes, self.duplicates, self.heartbeats, self.holds)


@dataclass
class Seen:
    """What a search has come to: states at each depth, transitions, and how often each `sometimes` was seen."""

    states: list[int] = field(default_factory=list)
    transitions: int = 0
    sometimes: dict[str, int] = field(default_factory=dict)

    def note(self, what: str) -> None:
        self.sometimes[what] = self.sometimes.get(what, 0) + 1


class Step(NamedTuple):
    """A way to go on: who does what, which message that takes, and what is left afterwards."""

    who: str
    kind: str
    item: Any = None
    hold: bool = False
    keep: bool = False  # the message arrives twice
    left: Left = Left(0, 0, 0, 0, 0)

    def __str__(self) -> str:
        if isinstance(self.item, Packet):
            said = f"{self.who} {'hears twice' if self.keep else 'hears'} {self.item.sender}: {self.item.message}"
        else:
            said = f"{self.who} {self.kind} {self.item or ''}"
        return said.strip() + (" (slow to sync)" if self.hold else "")


class Local(NamedTuple):
    """What a step does to its server, by number, and what leaves it: messages, and words to the judge."""

    node: int
    sends: tuple[int, ...]
    reports: tuple[Any, ...]


@dataclass(frozen=True)
class Place:
    """A state of the whole cluster; servers and messages go by their numbers."""

    nodes: tuple[int, ...]
    bag: tuple[int, ...]  # sorted
    left: Left
    judge: RaftInvariants
    way: Any

    def key(self) -> Key:
        judge = self.judge  # only what is not in the servers any more
        leaders = tuple((term, fact.subject) for term, fact in judge.leaders.items())
        return (
            self.nodes,
            self.bag,
            self.left,
            leaders,
            tuple(judge.committed.values()),
            tuple(sorted(judge.commits.items())),
        )


class Reports:
    """In the judge's place: writes down what it would be told."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def observe(self, fact: Fact) -> None:
        self.told.append(fact)

    def disk(self, name: str, record: Record, at: float) -> None:
        self.told.append((name, record))


class Search:
    """A breadth-first search; what a server does in a state it has been in before is looked up."""

    def __init__(self, scope: Scope, prepare: Callable[[Cluster], None] | None = None) -> None:
        self.scope = scope
        self.names = tuple(f"n{number}" for number in range(1, scope.servers + 1))
        self.start = make_cluster(self.names, pre_vote=scope.pre_vote)
        if prepare is not None:
            prepare(self.start)
        self.nodes: list[Node] = []
        self.packets: list[Packet] = []
        self._numbers: dict[Any, int] = {}
        self._locals: dict[Any, Local] = {}
        self._idle: dict[tuple[int, int], bool] = {}
        self.seen = Seen([1])

    def run(self) -> Seen:
        """Go everywhere; the first broken invariant raises, with the way that led there."""
        gc.disable()  # nothing here is in a cycle, and there is a lot of it
        try:
            return self._run()
        finally:
            gc.enable()

    def _run(self) -> Seen:
        numbers = tuple(self._node_number(node) for node in self.start.nodes.values())
        bag = tuple(sorted(self._packet_number(packet) for packet in self.start.bag))
        frontier = [Place(numbers, bag, self.scope.left, self.start.judge, ())]
        known = {frontier[0].key()}
        for _ in range(self.scope.depth):
            reached = []
            for place in frontier:
                for step in self.steps(place):
                    after = self.take(place, step)
                    key = after.key()
                    if key not in known:
                        known.add(key)
                        reached.append(after)
                        self._look(place, after, step)
            self.seen.states.append(len(reached))
            frontier = reached
        return self.seen

    def steps(self, place: Place) -> Iterator[Step]:
        """All that may happen next."""
        left, scope, holds = place.left, self.scope, (False, True) if place.left.holds else (False,)
        for number in dict.fromkeys(place.bag):
            packet = self.packets[number]
            for hold in holds:
                yield Step(packet.to, "hears", packet, hold, left=left._replace(holds=left.holds - hold))
            if left.duplicates:
                fewer = left._replace(duplicates=left.duplicates - 1)
                yield Step(packet.to, "hears", packet, keep=True, left=fewer)
        begun = place.bag or any(self.nodes[number].member.raft.state.term for number in place.nodes)
        for name, number in zip(self.names, place.nodes, strict=True):
            node = self.nodes[number]
            state = node.member.raft.state
            if node.syncing:
                yield Step(name, "syncs", left=left)
            if state.role != "leader" and state.term < scope.terms and (begun or name == "n1"):
                for hold in holds:
                    yield Step(name, "times out", hold=hold, left=left._replace(holds=left.holds - hold))
            if state.role == "leader" and left.writes:
                data = f"w{scope.writes - left.writes + 1}"
                for hold in holds:
                    fewer = left._replace(writes=left.writes - 1, holds=left.holds - hold)
                    yield Step(name, "writes", data, hold, left=fewer)
            if state.role == "leader" and left.heartbeats:
                yield Step(name, "beats", left=left._replace(heartbeats=left.heartbeats - 1))
            if left.crashes:
                fewer = left._replace(crashes=left.crashes - 1)
                for how in ("crashes", "loses power") if node.cached else ("crashes",):
                    yield Step(name, how, left=fewer)

    def take(self, place: Place, step: Step) -> Place:
        """The state after a step, once the judge has heard of it."""
        self.seen.transitions += 1
        who = self.names.index(step.who)
        local = self._local(place.nodes[who], step)
        nodes = (*place.nodes[:who], local.node, *place.nodes[who + 1 :])
        bag = list(place.bag)
        if isinstance(step.item, Packet) and not step.keep:
            bag.remove(self._packet_number(step.item))
        bag += local.sends
        bag = [number for number in bag if not self._is_idle(number, nodes)]
        judge = place.judge
        if local.reports:
            judge = judge.clone()
            try:
                for report in local.reports:
                    if isinstance(report, Fact):
                        judge.observe(report)
                    else:
                        judge.disk(*report)
            except InvariantBroken as broken:
                broken.add_note("way: " + "; ".join(map(str, _unrolled((place.way, step)))))
                raise
        return Place(nodes, tuple(sorted(bag)), step.left, judge, (place.way, step))

    def _local(self, number: int, step: Step) -> Local:
        item = self._packet_number(step.item) if isinstance(step.item, Packet) else step.item
        key = (number, step.kind, item, step.hold)
        found = self._locals.get(key)
        if found is None:
            found = self._locals[key] = self._act(self.nodes[number], step)
        return found

    def _act(self, node: Node, step: Step) -> Local:
        """Take the step on a server that stands alone, and write down what leaves it."""
        reports, who = Reports(), step.who
        alone = Cluster({name: node for name in self.names}, reports, self.start.build)  # type: ignore[arg-type]
        alone.disown()
        alone.hold = step.hold
        if step.kind == "hears":
            alone.step(who, Received(step.item.sender, step.item.message))
        elif step.kind == "times out":
            alone.fire(who)
        elif step.kind == "beats":
            alone.fire(who, "heartbeat")
        elif step.kind == "writes":
            alone.write(who, step.item)
        elif step.kind == "syncs":
            alone.sync(who)
        else:
            alone.crash(who, power=step.kind == "loses power")
            alone.boot(who)
        log = alone.state(who).log
        assert log.applied <= log.commit <= log.last, f"{who}: {log.applied} applied, commit {log.commit} of {log.last}"
        sends = tuple(self._packet_number(packet) for packet in alone.bag)
        return Local(self._node_number(alone.nodes[who]), sends, tuple(reports.told))

    # ------------------------------------------------------------------------------------- numbers

    def _node_number(self, node: Node) -> int:
        """A number for all of a server that may matter later."""
        state, safe = node.member.raft.state, node.safe
        log, leads = state.log, ()
        if state.role == "leader":
            leads = tuple(
                (each.match, each.next, each.state, each.paused, tuple(each.flights))
                for each in state.progress.values()
            )
        disk = safe and (safe.term, safe.vote, safe.commit, tuple(safe.entries))
        memory = (state.name, state.term, state.vote, state.role, state.leader, tuple(state.votes.items()), leads)
        logs = (tuple(log.entries), log.commit, log.applied)
        put_off = tuple((type(effect), _told(effect), effect) for effect in node.put_off)
        key = (memory, logs, disk, node.cached, node.syncing, put_off)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.nodes)
            self.nodes.append(node)
        return number

    def _packet_number(self, packet: Packet) -> int:
        key = (type(packet.message), packet)  # named tuples of different kinds may be equal
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self.packets)
            self.packets.append(packet)
        return number

    def _is_idle(self, number: int, nodes: tuple[int, ...]) -> bool:
        """Whether a message can never have an effect again, so that it may be taken out of the bag."""
        packet = self.packets[number]
        at = nodes[self.names.index(packet.to)]
        idle = self._idle.get((number, at))
        if idle is None:
            idle = self._idle[number, at] = not self.scope.pre_vote and has_no_effect(self.nodes[at], packet)
        return idle

    # ------------------------------------------------------------------------------------ sometimes

    def _look(self, place: Place, after: Place, step: Step) -> None:
        """Note what proves that the search is not vacuous."""
        note, who = self.seen.note, self.names.index(step.who)
        old = self.nodes[place.nodes[who]].member.raft.state
        new = self.nodes[after.nodes[who]].member.raft.state
        if after.judge is not place.judge:
            for term in after.judge.leaders.keys() - place.judge.leaders.keys():
                note(f"a leader in term {term}")
            for index in range(place.judge.committed_last + 1, after.judge.committed_last + 1):
                term, data = after.judge.committed[index]
                if data is not None:
                    note("a write was committed")
                if term < new.term:
                    note("a later leader committed an entry of an earlier term")
        if any(one != other for one, other in zip(old.log.entries, new.log.entries, strict=False)):
            note("an entry was overwritten")
        if step.kind in ("crashes", "loses power"):
            if old.role == "leader" and old.log.last > old.log.commit:
                note("a leader crashed with an uncommitted entry")
            if (old.term, old.vote) != (new.term, new.vote):
                note("a vote was lost with the power")
            if old.log.last > new.log.last:
                note("an entry was lost with the power")
        if new.role == "leader" != old.role:
            roles = [self.nodes[number].member.raft.state.role for number in after.nodes]
            if roles.count("leader") > 1:
                note("two leaders at once, of different terms")


def _told(effect: Effect) -> type | None:
    """The kind of message that is sent; named tuples of different kinds may be equal."""
    return type(effect.message) if isinstance(effect, Send) else None


def has_no_effect(node: Node, packet: Packet) -> bool:
    """Whether the disk knows a term in which this message says nothing, and without pre-votes brings no answer."""
    safe, message = node.safe, packet.message
    if safe is None or message.term > safe.term:
        return False
    if message.term < safe.term:
        return True
    role = node.member.raft.state.role
    if isinstance(message, VoteReply):
        return role != "candidate"
    return isinstance(message, AppendReply | HeartbeatReply) and role not in ("candidate", "leader")


def _unrolled(way: Any) -> list[Step]:
    steps = []
    while way:
        way, step = way
        steps.append(step)
    return steps[::-1]
