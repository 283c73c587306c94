"""The network: links between all nodes, and the rules that say what becomes of each message."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from hasim.engines.des.draws import durations
from hasim.engines.des.world.datagram import Datagrams
from hasim.engines.des.world.line import Line
from hasim.engines.des.world.stream import Stream, TcpTiming
from hasim.engines.des.world.touch import Touch
from hasim.engines.des.world.two_streams import TwoStreams
from hasim.faults.verdict import DROP, PASS, Copies, Cut, Delay, Rule
from hasim.model.laws import Law
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.world.leap import LeapingEnvironment
    from hasim.engines.des.world.node import Node

Transport = Literal["tcp", "udp"]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Roads:
    """How long messages take and how much a link carries: by (node, node), else (zone, zone), else for all.

    A pair that is given one way round holds for the other as well, unless that is given too. Latencies are laws of
    one way, in seconds; bandwidths are bytes a second.
    """

    latency: Law
    latencies: Mapping[Pair, Law] = field(default_factory=dict)
    bandwidth: float | None = None
    bandwidths: Mapping[Pair, float] = field(default_factory=dict)

    def latency_of(self, src: Node, dst: Node) -> Law:
        """The law of the time from one node to another."""
        return next((self.latencies[pair] for pair in _pairs(src, dst) if pair in self.latencies), self.latency)

    def bandwidth_of(self, src: Node, dst: Node) -> float | None:
        """What a link carries, None for no limit."""
        return next((self.bandwidths[pair] for pair in _pairs(src, dst) if pair in self.bandwidths), self.bandwidth)


def _pairs(src: Node, dst: Node) -> list[Pair]:
    pairs = [(src.name, dst.name), (dst.name, src.name)]
    if src.zone is not None and dst.zone is not None:
        pairs += [(src.zone, dst.zone), (dst.zone, src.zone)]
    return pairs


class Network:
    """All links, by (sender, receiver); with tcp they are streams that break and are dialled again."""

    def __init__(
        self,
        env: LeapingEnvironment,
        streams: Streams,
        transport: Transport,
        roads: Roads,
        timing: TcpTiming,
        apart: frozenset[type] = frozenset(),
    ) -> None:
        self.env = env
        self.transport = transport
        self.timing = timing
        self.rules: dict[int, tuple[Rule, Touch]] = {}  # in order of coming into force
        self.watchers: list[Callable[[], None]] = []  # told whenever the rules change
        self.connections: dict[Pair, Stream] = {}  # with tcp
        self.streams: list[Stream] = []  # these, and those that carry the messages kept apart
        self._apart = apart
        self.datagrams: dict[Pair, Datagrams] = {}  # with udp
        self.lines: dict[Pair, Line] = {}
        self.laws: dict[Law, None] = {}  # the latency laws in use
        self._streams = streams
        self._roads = roads
        self._rules_made = 0

    def join(self, node: Node, others: list[Node]) -> None:
        """Link a new node with all others, both ways."""
        for src, dst in [(a, b) for other in others for a, b in ((node, other), (other, node))]:
            pair = (src.name, dst.name)
            law = self._roads.latency_of(src, dst)
            self.laws[law] = None
            latency = durations(law, self._streams, f"{src.name}>{dst.name}/latency")
            bandwidth = self._roads.bandwidth_of(src, dst)
            line = None if bandwidth is None else self.lines.setdefault(pair, Line(bandwidth))
            if self.transport == "udp":
                self.datagrams[pair] = src.links[dst.name] = Datagrams(self.env, self, src, dst, latency, line)
                continue
            back = self._roads.latency_of(dst, src)
            trip = law.mean + back.mean
            stream = self.connections[pair] = src.links[dst.name] = Stream(self, src, dst, latency, line, trip)
            self.streams.append(stream)
            if self._apart:
                own = durations(law, self._streams, f"{src.name}>{dst.name}/latency apart")
                aside = Stream(self, src, dst, own, line, trip)
                self.streams.append(aside)
                src.links[dst.name] = TwoStreams(stream, aside, self._apart)

    def beat_phase(self, src: Node, dst: Node) -> float:
        """Where in its period a stream's signs of life fall, from 0 to 1."""
        return float(self._streams[f"{src.name}>{dst.name}/signs of life"].random())

    # Rules.

    def add_rule(self, rule: Rule) -> tuple[int, Touch]:
        """Ask a rule about every message from now on; the first that does not pass decides."""
        self._rules_made += 1
        touch = Touch()
        self.rules[self._rules_made] = (rule, touch)
        for watcher in self.watchers:
            watcher()
        for stream in self.streams:
            stream.weather_changed()
        return self._rules_made, touch

    def remove_rule(self, number: int) -> None:
        """Ask that rule no more."""
        del self.rules[number]
        for watcher in self.watchers:
            watcher()
        for stream in self.streams:
            stream.weather_changed()

    def fate(self, src: str, dst: str) -> tuple[int, float]:
        """How many copies of a message arrive, and how many seconds later than usual."""
        draw = self._streams[f"{src}>{dst}/rules"]
        for rule, touch in self.rules.values():
            verdict = rule(src, dst, draw)
            if verdict is PASS:
                continue
            touch.touched = True
            if verdict is DROP:
                return 0, 0.0
            if isinstance(verdict, Delay):
                return 1, verdict.seconds
            assert isinstance(verdict, Copies), f"a rule answered {verdict!r}, which is no verdict"
            return verdict.number, 0.0
        return 1, 0.0

    def extra(self, src: Node, dst: Node) -> float | None:
        """How many seconds later than usual a segment of a stream arrives; None if it is lost.

        A host without power neither sends nor takes anything in. Copies of a segment change nothing.
        """
        if not (src.powered and dst.powered):
            return None
        if not self.rules:
            return 0.0
        copies, extra = self.fate(src.name, dst.name)
        return extra if copies else None

    def reaches(self, src: str, dst: str) -> bool:
        """Whether no clean cut lies on the way; losses and delays do not count."""
        return not any(isinstance(rule, Cut) and rule.apart(src, dst) for rule, _ in self.rules.values())

    # Processes come and go.

    def opened(self, node: Node) -> None:
        """A process has begun to listen, and dials its peers."""
        for stream in self.streams:
            if stream.dst is node:
                stream.dialer.dial()
            elif stream.src is node:
                stream.dialer.answered()

    def closed(self, node: Node) -> None:
        """A process is no more; while the host has power its kernel says so to the peers."""
        for stream in self.streams:
            if stream.src is node:
                stream.writer_died()
            elif stream.dst is node:
                stream.reader_died()

    def paused(self, node: Node) -> None:
        """A process stops sending what keeps its idle streams alive."""
        for stream in self.streams:
            if stream.src is node:
                stream.weather_changed()

    def resumed(self, node: Node) -> None:
        """A process goes on: it answers those who dialled meanwhile, and sees which streams are overdue."""
        for stream in self.streams:
            if stream.src is node:
                stream.dialer.answered()
            elif stream.dst is node:
                stream.look()

    @property
    def is_calm(self) -> bool:
        """Whether no rule is in force and no stream is in trouble."""
        return not self.rules and all(stream.is_calm for stream in self.streams)

    def shift(self, by: float) -> None:
        """The world has leapt over so many seconds."""
        for line in self.lines.values():
            line.free_at += by
        for stream in self.streams:
            stream.shift(by)
        for datagrams in self.datagrams.values():
            datagrams.shift(by)
