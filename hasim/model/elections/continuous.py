"""Elections with the timers of the Raft paper: a time drawn evenly between two bounds, for any number of elections.

The rules are those of Ongaro's election simulator (github.com/ongardie/availsim) and, with disk writes, of LogCabin, on
which Figure 16 of the Raft paper was measured:

- A server's timer starts anew, with a fresh draw, when it grants a vote, follows a leader's first message or starts to
  campaign. Adopting a higher term leaves it alone, and so does a candidate that steps down.
- A server votes once a term, and only for a log at least as long as its own; a refusal carries its term all the same.
- Whoever has the votes of a majority is the leader and says so to all. The election has ended when all have accepted
  that; a server that has gone on to a higher term refuses, and so deposes the leader.
- A server writes its term and vote to disk before it says anything of them.

No message is lost, except that a request still on its way when its candidate campaigns again is replaced by the next.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hasim.errors import ModelError
from hasim.model.elections.lanes import TIMER, Floats, Ints, Lanes, Slots


@dataclass(frozen=True)
class ContinuousSettings:
    """A cluster without a leader, with continuous timeouts; durations in seconds, ranges as (low, high).

    The last heartbeat came at an age drawn from `heard`, and each server's timer started up to `skew` later. With
    `logs_differ` no two servers' logs are equally long. Writes take their mean times, of which the share `write_spread`
    is exponential and the rest fixed.
    """

    servers: int = 5
    failed: int = 1
    timeout: tuple[float, float] = (0.15, 0.3)
    latency: tuple[float, float] = (0.0005, 0.0005)
    logs_differ: bool = False
    heard: tuple[float, float] = (0.0, 0.0)
    skew: float = 0.0
    candidate_write: float = 0.0
    voter_write: float = 0.0
    write_spread: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what can never elect anybody, and ranges that are none."""
        if self.failed < 0 or self.servers - self.failed < self.majority:
            raise ModelError(
                f"failed: got {self.failed} of {self.servers} servers; {self.majority} must be left to elect"
            )
        for name in ("timeout", "latency", "heard"):
            low, high = getattr(self, name)
            if not 0 <= low <= high:
                raise ModelError(f"{name}: got {low:g} to {high:g}; a range goes up from 0 or more")

    @property
    def majority(self) -> int:
        """Votes that win an election."""
        return self.servers // 2 + 1


@dataclass(frozen=True)
class ContinuousElections:
    """What happened in each of many elections; arrays of one length."""

    t_leader: Floats  # s until the leader that stays took office
    t_accepted: Floats  # s until all other servers had accepted it
    terms: Ints  # terms used; 1 when the first campaign won


def sample_continuous(
    settings: ContinuousSettings, count: int, rng: np.random.Generator, *, horizon: float = math.inf
) -> ContinuousElections:
    """Sample `count` independent elections.

    Args:
        settings: the cluster.
        count: how many elections.
        rng: source of all chance.
        horizon: when to give an election up, in seconds; its times are then infinite.
    """
    low, high = settings.timeout
    if low == high and math.isinf(horizon):
        raise ModelError(f"timeout: got {low:g} for all; equal timers can split votes for ever, so give a horizon")
    running = _Running(settings, count, rng, horizon)
    while running.step():
        pass
    return running.found


# The rest is one election in every row of the arrays, all of them one event further at each step.

_FOLLOWER, _CANDIDATE, _LEADER = 0, 1, 2
_NOBODY: Final = -1
_ASKED, _ANSWERED, _TOLD, _REFUSED = 1, 2, 3, 4  # a vote's request and answer, a leader's message and its refusal


@dataclass
class _Lanes(Lanes):
    """The elections in hand; every array is flat, with one, `servers` or `slots` values a lane."""

    name: Ints  # place of the lane in the results
    log: Ints  # rank of a server's log
    term: Ints
    vote: Ints
    role: Ints
    yes: Ints
    accepted: Ints  # servers that follow this one since it took office
    office: Floats  # when it did
    word: Ints  # the term of a message; of an answer twice the term, plus one for a yes


class _Running:
    """The sampler at work: lanes that have ended make room for fresh ones until enough have been started."""

    def __init__(self, settings: ContinuousSettings, count: int, rng: np.random.Generator, horizon: float) -> None:
        self.settings, self.rng, self.horizon = settings, rng, horizon
        self.servers = settings.servers - settings.failed
        self.slots = Slots(self.servers, [_ASKED, _ANSWERED, _TOLD, _REFUSED])
        self.count, self.started = count, 0
        never = np.full(count, np.inf)
        self.found = ContinuousElections(never, never.copy(), np.zeros(count, dtype=np.int64))
        self.lanes = self._fresh(self.slots.lanes)

    def _fresh(self, room: int) -> _Lanes:
        lanes, servers, rng = min(room, self.count - self.started), self.servers, self.rng
        size = lanes * servers
        started = np.repeat(-self._uniform(self.settings.heard, lanes), servers) + self.settings.skew * rng.random(size)
        due = np.full((lanes, self.slots.count), np.inf)
        due[:, :servers] = (started + self._uniform(self.settings.timeout, size)).reshape(lanes, servers)
        log = np.tile(np.arange(servers) * self.settings.logs_differ, (lanes, 1))
        name = np.arange(self.started, self.started + lanes)
        self.started += lanes
        return _Lanes(
            name=name,
            over=np.zeros(lanes, dtype=np.bool_),
            log=rng.permuted(log, axis=1).ravel(),
            term=np.zeros(size, dtype=np.int64),
            vote=np.full(size, _NOBODY),
            role=np.full(size, _FOLLOWER),
            yes=np.zeros(size, dtype=np.int64),
            accepted=np.zeros(size, dtype=np.int64),
            office=np.zeros(size),
            due=due.ravel(),
            word=np.zeros(due.size, dtype=np.int64),
        )

    def _uniform(self, bounds: tuple[float, float], size: int | tuple[int, ...]) -> Floats:
        low, high = bounds
        return np.asarray(low + (high - low) * self.rng.random(size))

    def _write(self, mean: float, size: int) -> Floats:
        spread = self.settings.write_spread
        return np.asarray(mean * (1.0 - spread + spread * self.rng.standard_exponential(size)))

    def step(self) -> bool:
        """Take every lane one event further; False once all have ended."""
        if self.started == self.count and bool(self.lanes.over.all()):
            return False
        lanes = self.lanes = self.slots.refilled(self.lanes, self._fresh)
        slot, now = self.slots.next_events(lanes)
        self._give_up(np.flatnonzero((now > self.horizon) & ~lanes.over))
        handlers = (
            (TIMER, self._fires),
            (_ASKED, self._asked),
            (_ANSWERED, self._answered),
            (_TOLD, self._told),
            (_REFUSED, self._refused),
        )
        self.slots.hand_out(lanes, slot, now, handlers)
        return True

    def _give_up(self, lane: Ints) -> None:
        self.found.terms[self.lanes.name[lane]] = self.lanes.term.reshape(-1, self.servers)[lane].max(axis=1, initial=0)
        self.lanes.over[lane] = True

    # ------------------------------------------------------------------------------------------ events

    def _fires(self, lane: Ints, server: Ints, now: Floats) -> None:
        """A server campaigns: it votes for itself in the next term and, once that is on disk, asks all others."""
        lanes, at = self.lanes, lane * self.servers + server
        lanes.term[at] += 1
        lanes.vote[at] = server
        lanes.role[at] = _CANDIDATE
        lanes.yes[at] = 1
        self._start_timer(lane, server, now)
        written = now + self._write(self.settings.candidate_write, at.size)
        self._send(self.slots.to_all(_ASKED, lane, server), written[:, None], lanes.term[at][:, None])

    def _asked(self, lane: Ints, slot: Ints, now: Floats) -> None:
        """A server is asked for its vote."""
        lanes, campaigner, peer = self.lanes, self.slots.campaigner[slot], self.slots.peer[slot]
        at = lane * self.servers + peer
        asked = lanes.word[lane * self.slots.count + slot]
        newer = asked > lanes.term[at]
        self._adopt(lane[newer], peer[newer], now[newer], asked[newer])
        vote = lanes.vote[at]
        yes = (asked == lanes.term[at]) & ((vote == _NOBODY) | (vote == campaigner))
        yes &= lanes.log[lane * self.servers + campaigner] >= lanes.log[at]
        lanes.vote[at[yes]] = campaigner[yes]
        self._start_timer(lane[yes], peer[yes], now[yes])
        write = self._write(self.settings.voter_write, at.size) * (newer | yes)
        place = lane * self.slots.count + self.slots.beside(slot, _ANSWERED, _ASKED)
        self._send(place, now + write, 2 * lanes.term[at] + yes)

    def _answered(self, lane: Ints, slot: Ints, now: Floats) -> None:
        """A candidate hears of a vote; with a majority it is the leader and tells all others."""
        lanes, server = self.lanes, self.slots.campaigner[slot]
        at = lane * self.servers + server
        term, yes = np.divmod(lanes.word[lane * self.slots.count + slot], 2)
        newer = term > lanes.term[at]
        self._adopt(lane[newer], server[newer], now[newer], term[newer])
        counts = (lanes.role[at] == _CANDIDATE) & (term == lanes.term[at]) & (yes == 1)
        lanes.yes[at] += counts
        won = np.flatnonzero(counts & (lanes.yes[at] >= self.settings.majority))
        lane, server, now, at = lane[won], server[won], now[won], at[won]
        lanes.role[at] = _LEADER
        lanes.office[at] = now
        lanes.accepted[at] = 0
        lanes.due[lane * self.slots.count + server] = np.inf
        self._send(self.slots.to_all(_TOLD, lane, server), now[:, None], lanes.term[at][:, None])

    def _told(self, lane: Ints, slot: Ints, now: Floats) -> None:
        """A server hears from a leader: it follows, or refuses one of the past."""
        lanes, leader, peer = self.lanes, self.slots.campaigner[slot], self.slots.peer[slot]
        at, led_by = lane * self.servers + peer, lane * self.servers + leader
        term = lanes.word[lane * self.slots.count + slot]
        past = np.flatnonzero(term < lanes.term[at])
        place = lane[past] * self.slots.count + self.slots.beside(slot[past], _REFUSED, _TOLD)
        self._send(place, now[past], lanes.term[at[past]])
        current = np.flatnonzero(term >= lanes.term[at])
        lane, peer, now, term, led_by = lane[current], peer[current], now[current], term[current], led_by[current]
        self._adopt(lane, peer, now, term)
        self._start_timer(lane, peer, now)
        lanes.accepted[led_by] += 1
        done = np.flatnonzero(lanes.accepted[led_by] == self.slots.others)
        name = lanes.name[lane[done]]
        self.found.t_leader[name] = lanes.office[led_by[done]]
        self.found.t_accepted[name] = now[done]
        self.found.terms[name] = term[done]
        lanes.over[lane[done]] = True

    def _refused(self, lane: Ints, slot: Ints, now: Floats) -> None:
        """A leader hears of a higher term."""
        server = self.slots.campaigner[slot]
        term = self.lanes.word[lane * self.slots.count + slot]
        newer = np.flatnonzero(term > self.lanes.term[lane * self.servers + server])
        self._adopt(lane[newer], server[newer], now[newer], term[newer])

    # ------------------------------------------------------------------------------------ what they share

    def _adopt(self, lane: Ints, server: Ints, now: Floats, term: Ints) -> None:
        """A server follows in this term; only a leader, which had no timer, starts one."""
        lanes, at = self.lanes, lane * self.servers + server
        led = np.flatnonzero(lanes.role[at] == _LEADER)
        self._start_timer(lane[led], server[led], now[led])
        lanes.vote[at] = np.where(term > lanes.term[at], _NOBODY, lanes.vote[at])
        lanes.term[at] = term
        lanes.role[at] = _FOLLOWER

    def _start_timer(self, lane: Ints, server: Ints, now: Floats) -> None:
        place = lane * self.slots.count + server
        self.lanes.due[place] = now + self._uniform(self.settings.timeout, place.size)

    def _send(self, place: Ints, now: Floats, word: Any) -> None:
        self.lanes.due[place] = now + self._uniform(self.settings.latency, place.shape)
        self.lanes.word[place] = word
