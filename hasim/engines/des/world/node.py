"""A node: a place with power, a clock and a disk, on which a process may run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

from hasim.engines.des.world.chance import uniforms
from hasim.engines.des.world.clock import Clock
from hasim.engines.des.world.disk import Disk
from hasim.engines.des.world.process import Answerer, Process
from hasim.machine import Event, Machine, Started, Stopping
from hasim.protocols.etcd.requests import CONNECTION_LOST, CONNECTION_REFUSED, Gone
from hasim.streams import Streams
from hasim.trace import Detail

if TYPE_CHECKING:
    from hasim.engines.des.world.leap import LeapingEnvironment
    from hasim.engines.des.world.network import Network

Note = Callable[[str, str, Detail], None]
"""Writes down a fact of this instant: kind, subject, detail."""


class Link(Protocol):
    """What carries messages from one node to another, or to itself."""

    def send(self, message: Any, size: int = 0) -> None:
        """Take a message on; whether it arrives is the link's secret."""


class _Loopback:
    """The link from a node to itself: no time, nothing lost, in order."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def send(self, message: Any, size: int = 0) -> None:
        """The process hears it as soon as its step is done with."""
        process = self._node.process
        assert process is not None
        process.hear_self(message)


class Node:
    """A place by name: its verbs are what can be done to it, `process` is what runs there, if anything does.

    `regular_timers` keep a beat: one that is heard late (the disk was busy, the process paused) is due again on the
    beat, as Go's ticker has it, and the world may leap over them. Any other timer counts from when it is set.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        name: str,
        build: Callable[[], Machine],
        *,
        clock: Clock,
        disk: Disk,
        zone: str | None,
        streams: Streams,
        network: Network,
        note: Note,
        regular_timers: frozenset[str],
        timers_wait_for_disk: bool,
    ) -> None:
        self.env = env
        self.name = name
        self.zone = zone
        self.clock = clock
        self.skews: tuple[float, ...] = ()  # by how much faults have it run faster
        self.disk = disk
        self.note = note
        self.regular_timers = regular_timers
        self.timers_wait_for_disk = timers_wait_for_disk
        self.powered = True
        self.paused = False
        self.process: Process | None = None
        self.links: dict[str, Link] = {name: _Loopback(self)}
        self.take: Callable[[Event], None] = _nobody  # where what arrives goes
        self._rate = clock.rate
        self._build = build
        self._network = network
        self._streams = streams
        self._chances: dict[str, Iterator[float]] = {}

    def chance(self, timer: str) -> float:
        """A number from 0 to 1 from the stream of one of the node's timers."""
        if timer not in self._chances:
            self._chances[timer] = uniforms(self._streams, f"{self.name}/{timer}")
        return next(self._chances[timer])

    # Life and death.

    def start(self) -> None:
        """Switch on if need be, and start a process with what the disk has."""
        assert self.process is None, f"{self.name} is running already"
        self.powered = True
        process = self.process = Process(self, self._build())
        self.take = process.take
        self.note("process started", self.name, "")
        self._network.opened(self)
        process.take(Started(self.disk.saved()))

    def crash(self) -> None:
        """Kill the process, if one runs: what it wrote is on the disk or in the page cache, all else is gone."""
        if self.process is not None:
            self._end("process crashed", "")

    def exited(self, why: str) -> None:
        """The process ends by itself."""
        self._end("process exited", why)

    def power_off(self) -> None:
        """Cut the power: what was not synced is gone too, and no peer is told that the connections are."""
        self.powered = False
        if self.process is not None:
            self._end("power lost", "")
        self.disk.lose_power()

    def _end(self, kind: str, detail: str) -> None:
        process = self.process
        assert process is not None
        waiting = process.die()
        self.process = None
        self.take = _nobody
        self.paused = False
        self.note(kind, self.name, detail)
        self._network.closed(self)
        for ref, answer in waiting.items():
            # A client of a node without power hears nothing and gives up in its own time; it is spared the wait.
            answer(ref, Gone(CONNECTION_LOST))

    def pause(self) -> None:
        """Stop the process from doing anything (SIGSTOP); what is sent to it queues in the kernel."""
        if self.process is not None and not self.paused:
            self.paused = True
            self.process.freeze()
            self.take = self.process.hold
            self.note("process paused", self.name, "")
            self._network.paused(self)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        if self.process is not None and self.paused:
            process = self.process
            self.paused = False
            self.take = process.take
            self.note("process resumed", self.name, "")
            process.thaw()
            self._network.resumed(self)

    def stop(self) -> None:
        """Ask the process to leave (SIGTERM); it does when its machine says `Exit`."""
        if self.process is not None:
            self.take(Stopping())

    # What clients do.

    def propose(self, command: Any, ref: str, answer: Answerer) -> None:
        """Ask the machine for something; `answer` gets the reference and the result, or `Gone`."""
        if self.process is None:
            answer(ref, Gone(CONNECTION_REFUSED))
        else:
            self.process.propose(command, ref, answer)

    # The clock.

    def read_clock(self) -> float:
        """What the node's clock shows, in seconds."""
        return self.clock.read(self.env._now)

    def set_rate(self, rate: float) -> None:
        """Let the clock pass `rate` seconds a second, faults apart; timers run out accordingly."""
        self._rate = rate
        self.set_skews(self.skews)

    def set_skews(self, skews: Sequence[float]) -> None:
        """Let faults make the clock so many times as fast, each of them."""
        self.skews = tuple(skews)
        self.clock.set_rate(self._rate * prod(self.skews), self.env._now)
        self._retime()

    def jump(self, by: float) -> None:
        """Set the clock forward by so many seconds, or back; timers mind it only if the clock says so."""
        self.clock.jump(by)
        self._retime()

    def _retime(self) -> None:
        if self.process is not None:
            self.process.retime(self.clock.offset, self.clock.rate)


def _nobody(event: Event) -> None:
    """Nothing runs here: what arrives is lost."""
