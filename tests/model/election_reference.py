"""One election at a time, node by node and tick by tick, by the rules of etcd-io/raft: slow, plain, and written apart
from the sampler that it judges."""

from __future__ import annotations

import heapq
from itertools import count
from typing import Any

import numpy as np

from hasim.model.elections.ticks import TickSettings


class Node:
    """A member, with the names of raft.go."""

    def __init__(self, world: World, me: int) -> None:
        self.world, self.me = world, me
        self.state, self.term, self.vote = "follower", 0, None
        self.lead: str | None = "the dead one"
        self.elapsed = 0
        self.votes: dict[int, bool] = {}
        self.draw_timeout()

    def draw_timeout(self) -> None:
        self.timeout = self.world.election_tick + int(self.world.rng.integers(self.world.election_tick))

    def become_follower(self, term: int) -> None:
        if term != self.term:
            self.term, self.vote = term, None
        self.state, self.lead, self.elapsed, self.votes = "follower", None, 0, {}
        self.draw_timeout()

    def tick(self) -> None:
        self.elapsed += 1
        if self.elapsed >= self.timeout:
            self.elapsed = 0
            self.world.campaigns += 1
            self.world.fired = min(self.world.fired, self.world.now)
            self.campaign(pre=self.world.settings.pre_vote)

    def campaign(self, pre: bool) -> None:
        if pre:
            self.state, self.lead, self.votes = "pre-candidate", None, {}
        else:
            self.become_follower(self.term + 1)
            self.state, self.vote = "candidate", self.me
        self.votes[self.me] = True
        for peer in self.world.nodes:
            if peer is not self:
                ask = ("pre-vote", self.me, self.term + 1) if pre else ("vote", self.me, self.term)
                self.world.send(peer, ask, synced=not pre)

    def receive(self, message: tuple[Any, ...]) -> None:
        kind, sender, term = message[:3]
        before = (self.term, self.vote)
        if term > self.term:
            if kind in ("vote", "pre-vote"):
                fresh = self.elapsed < self.world.election_tick
                if self.world.settings.check_quorum and self.lead is not None and fresh:
                    self.world.leased += 1
                    return
            grants = kind == "pre-vote answer" and not message[3]
            if kind in ("vote", "vote answer") or grants:
                self.become_follower(term)
        elif term < self.term:
            if kind == "pre-vote":
                self.world.rejected += 1
                self.reply(sender, ("pre-vote answer", self.me, self.term, False), synced=False)
            return
        if kind in ("vote", "pre-vote"):
            can = self.vote == sender or (self.vote is None and self.lead is None)
            can = can or (kind == "pre-vote" and term > self.term)
            if can and kind == "vote":
                self.elapsed, self.vote = 0, sender
            self.world.rejected += not can
            self.reply(
                sender,
                (f"{kind} answer", self.me, term if can else self.term, can),
                synced=before != (self.term, self.vote),
            )
        elif (self.state, kind) in (("candidate", "vote answer"), ("pre-candidate", "pre-vote answer")):
            self.votes.setdefault(sender, message[3])
            self.judge()

    def judge(self) -> None:
        yes = sum(self.votes.values())
        majority = self.world.settings.members // 2 + 1
        if yes >= majority:
            if self.state == "candidate":
                self.world.leader = self
            else:
                self.campaign(pre=False)
        elif len(self.votes) - yes > self.world.settings.members - majority:
            self.become_follower(self.term)

    def reply(self, to: int, message: tuple[Any, ...], synced: bool) -> None:
        self.world.send(self.world.nodes[to], message, synced)


class World:
    """The survivors, their clocks and the network between them; times in seconds after the leader's death."""

    def __init__(self, settings: TickSettings, rng: np.random.Generator) -> None:
        self.settings, self.rng = settings, rng
        self.election_tick = round(settings.election_timeout / settings.heartbeat)
        self.heap: list[tuple[float, int, Node, Any]] = []
        self.order = count()
        self.leader: Node | None = None
        self.fired, self.now = np.inf, -1.0
        self.campaigns = self.leased = self.rejected = 0
        self.nodes = [Node(self, me) for me in range(settings.members - settings.down)]
        age = rng.uniform(0, settings.heartbeat if settings.spacing is None else settings.spacing)
        for node in self.nodes:
            heard = -age + rng.uniform(*settings.latency)
            tick = rng.uniform(0, settings.heartbeat) - 2 * settings.heartbeat
            while tick <= heard:
                tick += settings.heartbeat
            self.at(tick, node, None)

    def at(self, when: float, node: Node, message: Any) -> None:
        heapq.heappush(self.heap, (when, next(self.order), node, message))

    def send(self, to: Node, message: Any, synced: bool) -> None:
        self.at(self.now + synced * self.settings.fsync + self.rng.uniform(*self.settings.latency), to, message)

    def run(self) -> tuple[float, ...]:
        """Times of the first campaign and of the leader, terms, campaigns, votes ignored and refused."""
        while self.leader is None:
            self.now, _, node, message = heapq.heappop(self.heap)
            if message is None:
                self.at(self.now + self.settings.heartbeat, node, None)
                node.tick()
            else:
                node.receive(message)
        return (self.fired, self.now, self.leader.term, self.campaigns, self.leased, self.rejected)


def elections(settings: TickSettings, trials: int, seed: int) -> np.ndarray:
    """One row an election: t_fire, t_leader, terms, campaigns, leased, rejected."""
    rng = np.random.default_rng(seed)
    return np.array([World(settings, rng).run() for _ in range(trials)])
