"""A fault at play in a world: its verbs are watched, so that a run can tell when it began and if it did anything."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from simpy import Event

from hasim.engines.des.world.playing import Playing
from hasim.engines.des.world.touch import Touch
from hasim.errors import CannotModel
from hasim.faults.delays import Delays
from hasim.faults.fault import Fault
from hasim.faults.verdict import Rule
from hasim.trace import Detail

if TYPE_CHECKING:
    from hasim.engines.des.world.world import Held, World

Note = Callable[[str, str, Detail], None]


class Watched:
    """The world as one fault sees it: each verb passes on, and leaves a mark.

    The facts are "fault begun", with the first verb, and "fault ended", which says so if nothing was touched.

    A verb heals only while the script goes on: see `Playing`.
    """

    def __init__(self, world: World, fault: Fault, note: Note) -> None:
        """Wait for the script to do something."""
        self._world = world
        self._fault = fault
        self._note = note
        self._begun = False
        self._script = Playing(fault.script(self), type(fault).__name__)
        self.touched = False

    @property
    def _who(self) -> tuple[str, dict[str, Any]]:
        return ", ".join(self._fault.targets), {"fault": type(self._fault).__name__}

    def play(self) -> Generator[Event, Any, None]:
        """The script as a process of SimPy."""
        yield from self._script.steps(self._world.env)
        subject, detail = self._who
        self._note("fault ended", subject, detail if self.touched else {**detail, "touched": "nothing"})

    @contextmanager
    def _watch(self, held: Held) -> Iterator[Touch]:
        if not self._begun:
            self._begun = True
            self._note("fault begun", *self._who)
        touch = held.__enter__()
        try:
            yield touch
        finally:
            if self._script.going:
                held.__exit__(None, None, None)
                self.touched = self.touched or touch.touched

    # The verbs of `hasim.faults.World`.

    @property
    def transport(self) -> str:
        """How nodes talk."""
        return self._world.transport

    def nodes_in(self, names: Collection[str]) -> tuple[str, ...]:
        """The nodes that are called so or stand in such zones."""
        return self._world.nodes_in(names)

    def rule(self, rule: Rule) -> Held:
        """Ask this rule about every message."""
        return self._watch(self._world.rule(rule))

    def held_down(self, target: str, why: str) -> Held:
        """Kill what runs on a node or in a zone and keep it down."""
        return self._watch(self._world.held_down(target, why))

    def powered_off(self, targets: Collection[str]) -> Held:
        """Cut the power of nodes or zones in one instant."""
        return self._watch(self._world.powered_off(targets))

    def paused(self, node: str) -> Held:
        """Stop a process while messages to it queue."""
        return self._watch(self._world.paused(node))

    def slow_disk(self, node: str, extra: Delays) -> Held:
        """Lengthen every sync of a node's disk."""
        return self._watch(self._world.slow_disk(node, extra))

    def stalled_disk(self, node: str) -> Held:
        """Let no sync of a node's disk end."""
        return self._watch(self._world.stalled_disk(node))

    def full_disk(self, node: str) -> Held:
        """Let every write to a node's disk fail."""
        return self._watch(self._world.full_disk(node))

    def clock_rate(self, node: str, rate: float) -> Held:
        """Let a node's clock run so many times as fast."""
        return self._watch(self._world.clock_rate(node, rate))

    def jump_clock(self, node: str, by: float) -> Held:
        """Set a node's clock forward, or back."""
        return self._watch(self._world.jump_clock(node, by))

    # The verbs for servers of requests, of which there are none here.

    def slowed(self, node: str, factor: float) -> Held:
        """Refuse: no requests are served here."""
        self._serves_none()

    def failing(self, node: str, share: float) -> Held:
        """Refuse: no requests are served here."""
        self._serves_none()

    def unready(self, node: str) -> Held:
        """Refuse: no requests are served here."""
        self._serves_none()

    def drained(self, node: str) -> Held:
        """Refuse: no requests are served here."""
        self._serves_none()

    def gracefully(self, nodes: Collection[str]) -> Held:
        """Refuse: no requests are served here."""
        self._serves_none()

    def _serves_none(self) -> NoReturn:
        kind = type(self._fault).__name__
        raise CannotModel(
            kind, "it acts on servers of requests, and these are members", "use ha.Pause or ha.Crash", "Etcd"
        )
