"""What a fault is: a script of things done to a running cluster, with the time that passes between them."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Protocol

from hasim.faults.delays import Delays
from hasim.faults.verdict import Rule

Script = Generator[float, None, None]

Held = AbstractContextManager[object]
"""Something that lasts as long as a `with` block: entered when it begins, left when it heals."""


@contextmanager
def all_held(verbs: Iterable[Held]) -> Iterator[None]:
    """Hold several things at once, from one instant on; all of them heal together."""
    with ExitStack() as held:
        for verb in verbs:
            held.enter_context(verb)
        yield


class World(Protocol):
    """What a fault may do to a simulated cluster.

    What is held lasts as long as its `with` block and then heals. The world remembers for each whether
    it made a difference to anything, and the run says so if it made none.
    """

    @property
    def transport(self) -> str:
        """How the nodes talk: "tcp", in streams that send again what gets lost, or "udp", each message for itself."""

    def nodes_in(self, names: Collection[str]) -> Collection[str]:
        """The nodes that run a protocol and stand in these hosts, domains, parts or are these members, in order."""

    def held_down(self, target: str, why: str) -> Held:
        """Keep a unit, host, domain, member or part down; a process that runs there dies and its disk survives."""

    def powered_off(self, targets: Collection[str]) -> Held:
        """Keep these down from one instant on; what a disk had not synced is lost."""

    def paused(self, node: str) -> Held:
        """Stop a node from doing anything, while messages to it queue and timers run out unseen (SIGSTOP)."""

    def rule(self, rule: Rule) -> Held:
        """Ask this rule about every message between nodes."""

    def slow_disk(self, node: str, extra: Delays) -> Held:
        """Lengthen every sync of a node's disk by a delay drawn from a law."""

    def stalled_disk(self, node: str) -> Held:
        """Let no sync of a node's disk end."""

    def full_disk(self, node: str) -> Held:
        """Let every synced write to a node's disk fail."""

    def clock_rate(self, node: str, rate: float) -> Held:
        """Let a node's clock pass `rate` seconds a second; what it gained or lost stays when it heals."""

    def jump_clock(self, node: str, by: float) -> Held:
        """Set a node's clock forward by so many seconds (back if negative), and put it right when it heals."""

    # The verbs for servers of requests.

    def slowed(self, node: str, factor: float) -> Held:
        """Let requests that begin on a server take `factor` times as long."""

    def failing(self, node: str, share: float) -> Held:
        """Let a share of a server's answers be errors."""

    def unready(self, node: str) -> Held:
        """Let a server's health checks fail while it serves."""

    def drained(self, node: str) -> Held:
        """Let balancers send a server nothing new."""

    def gracefully(self, nodes: Collection[str]) -> Held:
        """Let servers that go down meanwhile finish what they have."""


class Fault(Protocol):
    """Something that goes wrong at a stated time; yields the seconds that pass between its steps.

    The driver announces start and end, and closes the script when a run stops early, so `with` blocks heal.
    """

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the things it touches; the cluster checks that they exist."""

    def script(self, world: World) -> Script:
        """The steps, from time zero."""
