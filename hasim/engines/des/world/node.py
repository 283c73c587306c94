"""A node: a place with power, a clock and a disk, on which a process may run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Final, Protocol

from hasim.engines.des.world.clock import Clock
from hasim.engines.des.world.disk import Disk
from hasim.engines.des.world.process import Answerer, Process
from hasim.engines.des.world.touch import Touch
from hasim.engines.des.world.upkeep import Upkeep
from hasim.machine import LOST, REFUSED, Event, Gone, Machine, Started, Stopping
from hasim.streams import FEW, Streams, uniforms
from hasim.trace import Detail

if TYPE_CHECKING:
    from hasim.engines.des.world.leap import LeapingEnvironment
    from hasim.engines.des.world.network import Network

BY_HAND: Final = "by hand"  # who pauses a process, if no fault does

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
    beat, as Go's ticker has it, and the world may leap over them. Any other timer counts from when it is set; with
    `all_leapt` the world may leap over those too.
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
        all_leapt: bool,
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
        self.all_leapt = all_leapt
        self.timers_wait_for_disk = timers_wait_for_disk
        self.powered = True
        self.paused = False
        self.upkeep = Upkeep()
        self.process: Process | None = None
        self.links: dict[str, Link] = {name: _Loopback(self)}
        self.take: Callable[[Event], None] = _nobody  # where what arrives goes
        self._rate = clock.rate
        self._build = build
        self._network = network
        self._streams = streams
        self._chances: dict[str, Callable[[], float]] = {}

    def chance(self, timer: str) -> float:
        """A number from 0 to 1 from the stream of one of the node's timers."""
        if timer not in self._chances:
            self._chances[timer] = uniforms(self._streams[f"{self.name}/{timer}"], FEW)
        return self._chances[timer]()

    # Life and death.

    def start(self) -> None:
        """Let a process run here from now on, switching on if need be; while a fault holds the node down, none does."""
        assert self.process is None, f"{self.name} is running already"
        self.upkeep.start()
        self.keep_up()

    def keep_up(self) -> None:
        """Start a process with what the disk has, if there should be one and there is none."""
        if self.process is None and self.upkeep.runs:
            self._boot()

    def _boot(self) -> None:
        self.powered = True
        process = self.process = Process(self, self._build())
        self.take = process.take
        self.note("process started", self.name, "")
        self._network.opened(self)
        process.take(Started(self.disk.saved()))

    def crash(self) -> None:
        """Kill the process, if one runs: what it wrote is on the disk or in the page cache, all else is gone."""
        self.upkeep.wanted = False
        self._kill()

    def power_off(self) -> None:
        """Cut the power: what was not synced is gone too, and no peer is told that the connections are."""
        self.upkeep.wanted = False
        self._cut_power()

    def hold_down(self, hold: Touch, power: bool) -> None:
        """Crash, or cut the power, and let no process run before the `release` of this hold."""
        if self.process is not None or (power and self.powered):
            hold.touched = True
        self.upkeep.holds.append(hold)
        if power:
            self._cut_power()
        else:
            self._kill()

    def release(self, hold: Touch) -> None:
        """Let a process run again, if this was the last that held it down and nothing else speaks against it."""
        self.upkeep.holds.remove(hold)
        self.keep_up()

    def exited(self, why: str) -> None:
        """The process ends by itself, and nothing but a new `start` brings another."""
        self.upkeep.has_left = True
        self._end("process exited", why)

    def found_no_room(self) -> None:
        """The process ends since its disk is full; another starts when there is room."""
        self.upkeep.lacks_room = True
        self._end("process exited", "disk full")

    def has_room(self) -> None:
        """The disk is full no more."""
        self.upkeep.lacks_room = False
        self.keep_up()

    def _kill(self) -> None:
        if self.process is not None:
            self._end("process crashed", "")

    def _cut_power(self) -> None:
        self.powered = False
        if self.process is not None:
            self._end("power lost", "")
        self.disk.lose_power()

    @property
    def backlog_max(self) -> int:
        """How many messages of one sender wait for a paused process, here and there; what exceeds that is lost."""
        return self._network.timing.unsent_max

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
            answer(ref, Gone(LOST))

    def pause(self, by: object = BY_HAND) -> None:
        """Stop the process from doing anything (SIGSTOP); what is sent to it queues in the kernel.

        It goes on when all who paused it have let it. A pause hits the process that runs, not one that starts later.
        """
        process = self.process
        if process is None or by in process.paused_by:
            return
        process.paused_by.append(by)
        if not self.paused:
            self.paused = True
            process.freeze()
            self.take = process.hold
            self.note("process paused", self.name, "")
            self._network.paused(self)

    def resume(self, by: object = BY_HAND) -> None:
        """Let a process go on (SIGCONT) that nobody else has paused."""
        process = self.process
        if process is None or by not in process.paused_by:
            return
        process.paused_by.remove(by)
        if not process.paused_by:
            self.paused = False
            self.take = process.take
            self.note("process resumed", self.name, "")
            process.thaw()
            self._network.resumed(self)

    def stop(self) -> None:
        """Ask the process to leave (SIGTERM); it does when its machine says `Exit`."""
        self.upkeep.wanted = False
        if self.process is not None:
            self.take(Stopping())

    # What clients do.

    def propose(self, command: Any, ref: str, answer: Answerer) -> None:
        """Ask the machine for something; `answer` gets the reference and the result, or `Gone`."""
        if self.process is None:
            answer(ref, Gone(REFUSED))
        else:
            self.process.propose(command, ref, answer)

    # The clock.

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
