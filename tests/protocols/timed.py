"""Raft members in the world of SimPy, under the eyes of the judge: for bugs that show in time, not in a state."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import Any

from hasim.checks.raft import RaftInvariants
from hasim.engines.des.world import LeapingEnvironment, World
from hasim.faults import DROP, PASS
from hasim.machine import Effect, Event
from hasim.model.laws import Fixed
from hasim.protocols.raft import Campaign, RaftConfig, RaftMember, Write, genesis, journal
from hasim.streams import Streams
from hasim.trace import Fact

Link = tuple[str, str]


class Compacting(RaftMember):
    """A member that lets a snapshot stand for its log after every so many entries, and keeps some before it."""

    every = 50  # entries
    keep = 1000  # entries
    size = 1_000_000  # bytes of a snapshot

    def step(self, event: Event, now: float) -> Sequence[Effect]:
        effects = super().step(event, now)
        log = self.raft.state.log
        if log.applied - log.snapshot.index >= self.every:
            self.raft.compact(None, self.size, self.keep)
        return effects


class Run:
    """A cluster with etcd's timers that runs in time; links can be cut or lose a share, and somebody writes."""

    def __init__(
        self,
        names: Sequence[str],
        seed: int,
        *,
        pre_vote: bool = True,
        check_quorum: bool = True,
        build: Callable[[RaftConfig], RaftMember] = RaftMember,
        bandwidth: float | None = None,
    ) -> None:
        self.env = LeapingEnvironment()
        self.judge = RaftInvariants()
        self.facts: list[Fact] = []
        self.losses: dict[Link, float] = {}
        self.held = ExitStack()
        self._writes = 0
        self.world = World(self.env, Streams(seed), self._note, transport="udp", bandwidth=bandwidth)
        start = genesis(tuple(names))
        for name in names:
            config = RaftConfig(name, start, pre_vote=pre_vote, check_quorum=check_quorum, log_facts=True)
            node = self.world.add(name, lambda config=config: build(config), journal, fsync=Fixed(value="1ms"))  # type: ignore[misc]
            self._watch(node.disk, name)
        self.held.enter_context(self.world.rule(self._fate))
        for node in self.world.nodes.values():
            node.start()

    def _note(self, kind: str, subject: str, detail: Any) -> None:
        fact = Fact(self.env.now, kind, subject, detail)
        if kind not in ("applied", "appended", "committed"):
            self.facts.append(fact)
        elif kind == "committed":
            self.last_commit = fact
        self.judge.observe(fact)

    def _watch(self, disk: Any, name: str) -> None:
        """Tell the judge what becomes safe, at the moment it does."""
        proper = disk._make_safe

        def make_safe() -> None:
            for record in disk._cached:
                self.judge.disk(name, record, self.env.now)
            proper()

        disk._make_safe = make_safe

    def _fate(self, src: str, dst: str, draw: Any) -> Any:
        loss = self.losses.get((src, dst), 0.0)
        return DROP if loss and draw.random() < loss else PASS

    # ----------------------------------------------------------------------------------------- to do

    def let_lead(self, name: str) -> None:
        """Have this member elected before anybody else thinks of it."""
        self.env.run(until=0.2)
        self.propose(name, Campaign())
        self.env.run(until=2)
        assert self.leaders() == [name]

    def lose(self, links: Iterable[Link], share: float = 1.0) -> None:
        """Lose a share of the messages on these links from now on, both ways."""
        for one, other in links:
            self.losses[one, other] = self.losses[other, one] = share

    def propose(self, name: str, command: Any) -> None:
        self.world.nodes[name].propose(command, "", lambda ref, result: None)

    def write(self, until: float, every: float = 0.25) -> None:
        """Let time pass, with a write to each leader now and then."""
        while self.env.now < until:
            for name in self.leaders():
                self._writes += 1
                self.propose(name, Write(self._writes))
            self.env.run(until=min(until, self.env.now + every))

    # ----------------------------------------------------------------------------------------- to see

    def state(self, name: str) -> Any:
        process = self.world.nodes[name].process
        return process._step.__self__.raft.state if process else None  # type: ignore[attr-defined]

    def leaders(self) -> list[str]:
        return [name for name in self.world.nodes if (state := self.state(name)) and state.role == "leader"]

    def count(self, kind: str, since: float, subject: str = "") -> int:
        return sum(fact.kind == kind and fact.at >= since and subject in ("", fact.subject) for fact in self.facts)

    def share_without_leader(self, since: float) -> float:
        """Share of the time in which nobody held the highest term as leader."""
        leader, lost, without = self.leaders_at(since), since, 0.0
        for fact in self.facts:
            if fact.at < since:
                continue
            if fact.kind == "leader":
                if leader is None:
                    without += fact.at - lost
                leader = fact.subject
            elif fact.kind == "follower" and fact.subject == leader:
                leader, lost = None, fact.at
        return (without + (self.env.now - lost if leader is None else 0.0)) / (self.env.now - since)

    def leaders_at(self, when: float) -> str | None:
        """Who was the last to be elected before."""
        elected = [fact.subject for fact in self.facts if fact.kind == "leader" and fact.at < when]
        return elected[-1] if elected else None
