"""Scripted faults: a SimPy process plays each script, and a port gives the script the verbs of `World`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, NoReturn

from hasim.engines.des.clocks import Steps
from hasim.engines.des.delivery.role import DeliveryRole
from hasim.engines.des.kubernetes.world import API, KubernetesWorld
from hasim.engines.des.requests.path import RequestPath
from hasim.engines.des.world import Playing, Touch, World
from hasim.errors import CannotModel
from hasim.faults import Delays, Fault, Rule

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

Held = AbstractContextManager[None]
NOTHING_WRITTEN = "nothing was written there"


class FaultPort:
    """What one scripted fault may do to the live cluster; remembers whether it made any difference.

    What it holds heals while the script goes on or is closed here, and not when an abandoned run is thrown away.
    """

    def __init__(self, live: LiveCluster, fault: Fault) -> None:
        """Wait for the script to do something."""
        self.live = live
        self.kind = type(fault).__name__
        self.targets = fault.targets
        self.subject = ", ".join(fault.targets)
        self.touched = False
        self.begun = False
        self.over = False
        self._reasons: dict[str, None] = {}  # why it may have touched nothing, by what it did
        self.script = Playing(fault.script(self), str(self))

    @contextmanager
    def held_down(self, target: str, why: str) -> Iterator[None]:
        """Keep a unit, host, domain, member or part down for as long as the context lasts."""
        if self._stands_by_itself(target, why):
            yield
            return
        hold = self.live.hold(target)
        self._begin({"why": why}, "what it held down was down already")
        hold.close_on(self)
        try:
            yield
        finally:
            if self.script.going:
                hold.let_go(self)

    @contextmanager
    def powered_off(self, targets: Collection[str]) -> Iterator[None]:
        """Keep all of these down from one instant on; where no protocol runs, no disk has anything to lose."""
        with ExitStack() as held:
            for role in self.live.played:
                held.enter_context(role.without_power(targets))
            if self.live.requests is not None:
                held.enter_context(self.live.requests.without_power(targets))
            with self.live.instant():
                for target in targets:
                    held.enter_context(self.held_down(target, "power loss"))
            try:
                yield
            finally:
                if not self.script.going:
                    held.pop_all()

    # The other verbs act on the nodes of a protocol: members that agree, or replicas that serve.

    @property
    def transport(self) -> str:
        """How the nodes talk: all of a cluster's protocols run on streams."""
        return "tcp"

    def nodes_in(self, names: Collection[str]) -> tuple[str, ...]:
        """The members that run a protocol and are called so, or stand in a host, domain or part that is."""
        path = self.live.requests
        served = [] if path is None else path.members_in(names)
        kubernetes = self.live.kubernetes
        pods_run = [] if kubernetes is None else kubernetes.nodes_in(names)
        if not (served or pods_run or self.live.played):
            self._needs_nodes()
        return (*(member for role in self.live.played for member in role.members_in(names)), *served, *pods_run)

    def rule(self, rule: Rule) -> Held:
        """Ask this rule about every message, in all protocols."""
        rules = [role.world.rule(rule) for role in self.live.played]
        if self.live.requests is not None:
            rules.append(self.live.requests.rule(rule))
        if self.live.kubernetes is not None:
            rules.append(self.live.kubernetes.rule(rule))
        if not rules:
            self._needs_nodes()
        return self._during(rules, "no message met it")

    def paused(self, node: str) -> Held:
        """Stop a process while messages to it queue."""
        return self._during([self._where(node).paused(node)], "no process ran there")

    def slow_disk(self, node: str, extra: Delays) -> Held:
        """Lengthen every sync of a node's disk."""
        return self._on_member(node, lambda world: world.slow_disk(node, extra), NOTHING_WRITTEN)

    def stalled_disk(self, node: str) -> Held:
        """Let no sync of a node's disk end."""
        return self._on_member(node, lambda world: world.stalled_disk(node), NOTHING_WRITTEN)

    def full_disk(self, node: str) -> Held:
        """Let every write to a node's disk fail."""
        return self._on_member(node, lambda world: world.full_disk(node), NOTHING_WRITTEN)

    def clock_rate(self, node: str, rate: float) -> Held:
        """Let a node's clock run so many times as fast."""
        return self._on_member(node, lambda world: world.clock_rate(node, rate), "the clock ran as before")

    def jump_clock(self, node: str, by: float) -> Held:
        """Set a node's clock forward, or back."""
        return self._on_member(node, lambda world: world.jump_clock(node, by), "the clock showed the same")

    def slowed(self, node: str, factor: float) -> Held:
        """Let requests that begin on a server, or tasks on a worker, take so many times as long."""
        for role in self.live.played:
            if isinstance(role, DeliveryRole) and node in role.members:
                return self._during([role.delivery.slowed(node, factor)], "no task met it")
        return self._on_server(node, lambda path: path.slowed(node, factor), "no request met it")

    def failing(self, node: str, share: float) -> Held:
        """Let a share of a server's answers be errors."""
        return self._on_server(node, lambda path: path.failing(node, share), "no request met it")

    def unready(self, node: str) -> Held:
        """Let a server's health checks fail while it serves."""
        return self._on_server(node, lambda path: path.unready(node), "nobody asks whether it is ready")

    def drained(self, node: str) -> Held:
        """Let balancers send a server nothing new."""
        return self._on_server(node, lambda path: path.drained(node), "no balancer sends it anything")

    @contextmanager
    def gracefully(self, nodes: Collection[str]) -> Iterator[None]:
        """Let servers that go down meanwhile finish what they have, and members of protocols say goodbye."""
        served = [node for node in nodes if self._is_server(node)]
        path = self.live.requests
        asked = ExitStack()
        for role in self.live.played:
            asked.enter_context(role.gracefully(nodes))
        with asked, self._during([path.gracefully(served)] if path and served else [], "nothing was under way"):
            yield

    @contextmanager
    def _during(self, verbs: Sequence[AbstractContextManager[Touch]], reason: str) -> Iterator[None]:
        """Do something to the world for a while, and see whether it made a difference."""
        self._begin({}, reason)
        with ExitStack() as held:
            touches = [held.enter_context(verb) for verb in verbs]
            try:
                yield
            finally:
                self.touched = self.touched or any(touch.touched for touch in touches)
                if not self.script.going:
                    held.pop_all()

    def _where(self, node: str) -> World | RequestPath | KubernetesWorld:
        """What has a node of that name."""
        kubernetes = self.live.kubernetes
        if kubernetes is not None and kubernetes.has(node):
            return kubernetes
        return self._world(node) if self._is_member(node) else self._path(node)

    def _is_member(self, node: str) -> bool:
        return any(node in role.world.nodes for role in self.live.played)

    def _is_server(self, node: str) -> bool:
        kubernetes = self.live.kubernetes
        return not self._is_member(node) and not (kubernetes is not None and kubernetes.has(node))

    def _stands_by_itself(self, node: str, why: str) -> bool:
        """Whether it is only a name in messages, of what is a part elsewhere; or runs pods, while servers stop."""
        kubernetes = self.live.kubernetes
        stand_ins = [each.name for role in self.live.played for each in role.stand_ins]
        stops = why == "stop" and kubernetes is not None and kubernetes.has(node)
        return stops or node == API or node in stand_ins

    # A host may hold members and servers; each kind has verbs that the other has not.

    def _on_member(self, node: str, verb: Callable[[World], AbstractContextManager[Touch]], reason: str) -> Held:
        """Act on a member; a server that merely stands beside one is left alone."""
        if self._is_member(node):
            return self._during([verb(self._world(node))], reason)
        if any(self._is_member(other) for other in self.nodes_in(self.targets)):
            return nullcontext()
        self._world(node)
        raise AssertionError("no world has it")

    def _on_server(self, node: str, verb: Callable[[RequestPath], AbstractContextManager[Touch]], reason: str) -> Held:
        """Act on a server; what merely stands beside one is left alone."""
        if not self._is_server(node) and any(self._is_server(other) for other in self.nodes_in(self.targets)):
            return nullcontext()
        return self._during([verb(self._path(node))], reason)

    def _world(self, node: str) -> World:
        for role in self.live.played:
            if node in role.world.nodes:
                return role.world
        does = "serves requests" if self._is_server(node) else "runs pods"
        why = f"{node} {does}, and disks and clocks are modelled where a protocol runs"
        raise CannotModel(str(self), why, "use ha.Pause or ha.Crash", "simulate")

    def _path(self, node: str) -> RequestPath:
        if self.live.requests is None or not self._is_server(node):
            instead = "give its pool `serving`, and a load that goes there"
            raise CannotModel(str(self), f"{node} serves no requests", instead, "simulate")
        return self.live.requests

    def _begin(self, more: dict[str, str], reason: str) -> None:
        self._reasons[reason] = None
        if not self.begun:
            self.begun = True
            self.live.note("fault begun", self.subject, {"fault": self.kind, **more})

    def _needs_nodes(self) -> NoReturn:
        raise CannotModel(
            str(self),
            "it acts on the nodes of a protocol, and the cluster has none there",
            "give the quorum `raft: {}`, or the pool `serving` and a load, or use ha.Crash",
            "simulate",
        )

    def play(self) -> Steps:
        """Run the script, from time zero."""
        yield from self.script.steps(self.live.env)
        self._announce_end({})

    def close(self) -> None:
        """Heal what is still held when the run stops early."""
        if not self.over:
            self.script.close()
            if self.begun:
                self._announce_end({"early": True})

    def _announce_end(self, more: dict[str, bool]) -> None:
        self.over = True
        nothing = {} if self.touched else {"touched": "nothing"}
        self.live.note("fault ended", self.subject, {"fault": self.kind, **more, **nothing})

    def warning(self) -> str | None:
        """Say in a sentence that the fault made no difference, if so."""
        if self.touched:
            return None
        if not self.begun and not self.over:
            return f"{self}: the run ended before it began, so it touched nothing"
        return f"{self}: it touched nothing: {' and '.join(self._reasons) or 'it held nothing'}"

    def __str__(self) -> str:
        """Name the fault by its kind and targets."""
        return f"{self.kind} of {self.subject}"
