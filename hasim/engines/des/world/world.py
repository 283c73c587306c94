"""The world: all nodes, the network between them, and what faults may do to both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from itertools import repeat
from typing import get_args

from hasim.engines.des.draws import draws
from hasim.engines.des.world import verbs
from hasim.engines.des.world.clock import Clock
from hasim.engines.des.world.disk import Disk
from hasim.engines.des.world.leap import LeapingEnvironment
from hasim.engines.des.world.leaping import Rhythm, leap_together
from hasim.engines.des.world.network import Network, Pair, Roads, Transport
from hasim.engines.des.world.node import Node, Note
from hasim.engines.des.world.stream import TcpTiming
from hasim.engines.des.world.touch import Touch
from hasim.errors import ModelError, nearest
from hasim.faults.delays import Delays
from hasim.faults.verdict import Rule
from hasim.machine import Journal, Machine
from hasim.model.laws import Fixed, Law
from hasim.streams import Streams

LAN = Fixed(value="0.3ms")
"""One way between two hosts of one site: etcd's fail-over was measured with 0.2 to 0.4 ms."""

Held = AbstractContextManager[Touch]


class World:
    """Nodes that run machines, and a network between them; everything random comes from `streams`, by name.

    `note(kind, subject, detail)` writes down a fact of this instant. Latencies are laws of one way: one for all
    (`latency`), and exceptions by pair of nodes or pair of zones (`latencies`). Bandwidths are bytes a second.
    `regular` names the timers that keep a beat in all machines: they alone may be leapt over, unless `all_leapt`, for
    machines whose `skipped(by)` moves what they remember. With tcp, messages of the classes in `apart` have a stream of
    their own.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        streams: Streams,
        note: Note,
        *,
        transport: Transport = "tcp",
        latency: Law = LAN,
        latencies: Mapping[Pair, Law] | None = None,
        bandwidth: float | None = None,
        bandwidths: Mapping[Pair, float] | None = None,
        tcp: TcpTiming | None = None,
        regular: Iterable[str] = ("tick",),
        all_leapt: bool = False,
        apart: Iterable[type] = (),
    ) -> None:
        if transport not in get_args(Transport):
            raise ModelError(f"got {transport!r}; a transport is 'tcp' or 'udp'", "transport")
        self.env = env
        self.streams = streams
        self.note = note
        self.nodes: dict[str, Node] = {}
        roads = Roads(latency, latencies or {}, bandwidth, bandwidths or {})
        self.network = Network(env, streams, transport, roads, tcp or TcpTiming(), frozenset(apart))
        self._regular = frozenset(regular)
        self._all_leapt = all_leapt

    @property
    def transport(self) -> Transport:
        """How nodes talk: "tcp", in streams that send again what gets lost, or "udp", each message for itself."""
        return self.network.transport

    def add(
        self,
        name: str,
        build: Callable[[], Machine],
        journal: Journal,
        *,
        clock: Clock | None = None,
        fsync: Law | None = None,
        zone: str | None = None,
        timers_wait_for_disk: bool = True,
        linked: bool = True,
    ) -> Node:
        """Add a node, which is not started yet; it is `linked` with all that are there, or with nobody.

        `build` makes the machine of each life. `fsync` is how long a sync of its disk takes; without it, no time.
        """
        assert name not in self.nodes, f"there is a node {name} already"
        times = repeat(0.0) if fsync is None else draws(fsync, self.streams, f"{name}/fsync")
        node = Node(
            self.env,
            name,
            build,
            clock=clock or Clock(),
            disk=Disk(self.env, journal, times),
            zone=zone,
            streams=self.streams,
            network=self.network,
            note=self.note,
            regular_timers=self._regular,
            all_leapt=self._all_leapt,
            timers_wait_for_disk=timers_wait_for_disk,
        )
        self.network.join(node, list(self.nodes.values()) if linked else [])
        self.nodes[name] = node
        return node

    # What faults may do.

    def nodes_in(self, names: Collection[str]) -> tuple[str, ...]:
        """The nodes that have one of these names or stand in one of these zones, in the order they were added."""
        known = {*self.nodes, *(node.zone for node in self.nodes.values() if node.zone is not None)}
        for name in names:
            if name not in known:
                raise ModelError(f"got {name!r}; no node or zone is called that{nearest(name, sorted(known))}")
        return tuple(name for name, node in self.nodes.items() if name in names or node.zone in names)

    def rule(self, rule: Rule) -> Held:
        """Ask this rule about every message between nodes; the first rule that does not pass it decides."""
        return verbs.ruled(self.network, rule)

    def held_down(self, target: str, why: str) -> Held:
        """Kill what runs on a node or in a zone and keep it down; afterwards it starts again."""
        return verbs.down(self._nodes((target,)), power=False)

    def powered_off(self, targets: Collection[str]) -> Held:
        """Cut the power of nodes or zones in one instant: what was not synced is lost."""
        return verbs.down(self._nodes(targets), power=True)

    def paused(self, node: str) -> Held:
        """Stop a process (SIGSTOP) while messages to it queue."""
        return verbs.paused(self._node(node))

    def slow_disk(self, node: str, extra: Delays) -> Held:
        """Lengthen every sync of a node's disk by a delay drawn from a law."""
        return verbs.slow_disk(self._node(node), extra, self.streams)

    def stalled_disk(self, node: str) -> Held:
        """Let no sync of a node's disk end."""
        return verbs.stalled_disk(self._node(node))

    def full_disk(self, node: str) -> Held:
        """Let every write to a node's disk fail, which ends the process that tries (etcd panics)."""
        return verbs.full_disk(self._node(node))

    def clock_rate(self, node: str, rate: float) -> Held:
        """Let a node's clock run so many times as fast as it did; what it gained or lost stays."""
        return verbs.clock_rate(self._node(node), rate)

    def jump_clock(self, node: str, by: float) -> Held:
        """Set a node's clock forward by so many seconds, or back, and put it right afterwards."""
        return verbs.jumped_clock(self._node(node), by)

    def _node(self, name: str) -> Node:
        if name not in self.nodes:
            raise ModelError(f"got {name!r}; no node is called that{nearest(name, list(self.nodes))}")
        return self.nodes[name]

    def _nodes(self, names: Collection[str]) -> list[Node]:
        return [self.nodes[name] for name in self.nodes_in(names)]

    # Leaping.

    @property
    def is_calm(self) -> bool:
        """Whether nothing is under way but regular timers and messages, as far as the world knows.

        Machines may know better: one that elects a leader sends messages like any other.
        """
        return self.network.is_calm and all(
            (node.process is None or node.process.is_idle)
            and node.clock.rate == 1
            and not (node.disk.extras or node.disk.stalls or node.disk.fulls)
            for node in self.nodes.values()
        )

    def leap(self, rhythm: Rhythm) -> float:
        """Skip calm, if this is the only world of its environment; return the seconds (`leap_together`)."""
        return leap_together([(self, rhythm)])

    def shift(self, by: float) -> None:
        """So many seconds have been leapt over, with what was on its way."""
        self.network.shift(by)
        for node in self.nodes.values():
            if node.process is not None:
                node.process.shift(by)
