"""Elections with etcd's timers: whole ticks of each member's own clock, a million of them in seconds.

The rules are those of etcd-io/raft (raft.go), told for the survivors of a leader that has died:

- A member counts the ticks of its own clock, one a heartbeat interval, since it last heard from the leader, granted
  a vote, campaigned, or was reset. It campaigns at the R-th. R is a whole number from E to 2E - 1, where E is the
  election timeout in ticks, and is drawn anew only by a reset: on becoming a follower or a candidate, and so on
  adopting a higher term. Becoming a pre-candidate keeps it.
- With check-quorum a member that knows a leader and has counted fewer than E ticks ignores the requests of a higher
  term without a word (its lease). As clocks tick at different moments, the first to campaign may be too early for the
  others; it has then spent its vote.
- With pre-vote a campaign first asks whether it could win; only a majority of yeses leads to a new term.
- A request or a grant leaves once its term and vote are on disk; pre-votes and plain refusals change nothing there.

All logs are equal, no message is lost. An election ends when the first survivor has a majority of votes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from hasim.errors import ModelError
from hasim.model.elections.lanes import TIMER, Bools, Floats, Ints, Lanes, Slots
from hasim.units import human

MOST_MEMBERS: Final = 9
"""Members of the largest cluster: etcd advises seven at most, and each pair costs a place in the arrays."""
TIMEOUTS_A_MESSAGE: Final = 3
"""A message and a write take at most one part in so many of the election timeout: each request has one place, which
the next campaign takes."""


@dataclass(frozen=True)
class TickSettings:
    """A cluster whose leader dies, with etcd's timers; durations in seconds.

    `down` counts the dead members, the leader among them. One message takes `latency`, uniform between its two bounds.
    The leader's last message left it at an age uniform from 0 to `spacing` when it died: the heartbeat interval in an
    idle cluster (None), a few milliseconds under load. Defaults as in etcd 3.5, on a LAN with solid-state disks.
    """

    members: int = 3
    down: int = 1
    heartbeat: float = 0.1
    election_timeout: float = 1.0
    pre_vote: bool = True
    check_quorum: bool = True
    latency: tuple[float, float] = (0.0003, 0.0003)
    fsync: float = 0.001
    spacing: float | None = None

    def __post_init__(self) -> None:
        """Refuse what etcd would refuse to start with, and clusters that can never elect anybody."""
        if not 3 <= self.members <= MOST_MEMBERS:
            raise ModelError(f"members: got {self.members}; elections are among 3 to {MOST_MEMBERS} members")
        if self.down < 1 or self.members - self.down < self.majority:
            raise ModelError(
                f"down: got {self.down} of {self.members} members; the leader is down, and {self.majority} must be "
                "left to elect another"
            )
        if not (self.heartbeat > 0 and 5 * self.heartbeat <= self.election_timeout * (1 + 1e-9)):
            raise ModelError(
                f"election_timeout: got {human(self.election_timeout)}; it is at least five times the heartbeat of "
                f"{human(self.heartbeat)}"
            )
        low, high = self.latency
        if not (0 <= low <= high and self.fsync >= 0) or self.too_slow:
            raise ModelError(
                f"latency: got {human(low)} to {human(high)} and fsync {human(self.fsync)}; a message and a write "
                f"together take at most a third of the election timeout of {human(self.election_timeout)}"
            )
        if self.spacing is not None and not 0 <= self.spacing <= self.heartbeat:
            raise ModelError(
                f"spacing: got {human(self.spacing)}; it is from 0 to the heartbeat {human(self.heartbeat)}"
            )

    @property
    def too_slow(self) -> bool:
        """Whether a message and a write take too long for the sampler."""
        return TIMEOUTS_A_MESSAGE * (self.latency[1] + self.fsync) > self.election_timeout

    @property
    def majority(self) -> int:
        """Votes that win an election."""
        return self.members // 2 + 1

    @property
    def survivors(self) -> int:
        """Members that are up."""
        return self.members - self.down

    @property
    def timeout_ticks(self) -> int:
        """The election timeout in whole ticks, E."""
        return math.floor(self.election_timeout / self.heartbeat * (1 + 1e-12))


@dataclass(frozen=True)
class TickElections:
    """What happened in each of many elections; arrays of one length."""

    t_fire: Floats  # s from the leader's death to the first campaign
    t_leader: Floats  # s from the leader's death to the next leader
    terms: Ints  # terms used; 1 when the first campaign won
    campaigns: Ints  # times that an election timer ran out
    leased: Ints  # requests ignored by members in lease
    rejected: Ints  # requests refused


def sample_ticks(settings: TickSettings, count: int, rng: np.random.Generator) -> TickElections:
    """Sample `count` independent elections; a million takes a few seconds."""
    running = _Running(settings, count, rng)
    while running.step():
        pass
    return running.found


# The rest is one election in every row of the arrays, all one event further at each step. Durations are in ticks.

_FOLLOWER, _PRE_CANDIDATE, _CANDIDATE = 0, 1, 2
_NOBODY: Final = -1
_VOTE_ASKED, _VOTE_ANSWERED, _PRE_VOTE_ASKED, _PRE_VOTE_ANSWERED = 1, 2, 3, 4  # kinds of messages, answer after request


@dataclass
class _Lanes(Lanes):
    """The elections in hand; every array is flat, with one, `survivors` or `slots` values a lane."""

    name: Ints  # place of the lane in the results
    phase: Floats  # a member's clock ticks at phase, phase + 1, …
    counted_from: Floats  # number of the tick after which it began to count
    wait: Floats  # R
    term: Ints
    vote: Ints
    knows: Bools  # believes in the old leader
    role: Ints
    yes: Ints
    no: Ints
    word: Ints  # the term of a request; of an answer twice the term, plus one for a yes


class _Running:
    """The sampler at work: lanes that have ended make room for fresh ones until enough have been started."""

    def __init__(self, settings: TickSettings, count: int, rng: np.random.Generator) -> None:
        self.settings, self.rng = settings, rng
        self.members = settings.survivors
        self.timeout = float(settings.timeout_ticks)
        tick = settings.heartbeat
        self.fsync = settings.fsync / tick
        self.latency = settings.latency[0] / tick, (settings.latency[1] - settings.latency[0]) / tick
        kinds = [_VOTE_ASKED, _VOTE_ANSWERED] + [_PRE_VOTE_ASKED, _PRE_VOTE_ANSWERED] * settings.pre_vote
        self.slots = Slots(self.members, kinds)
        self.count, self.started = count, 0
        self.found = TickElections(
            np.full(count, np.inf), np.empty(count), *(np.zeros(count, dtype=np.int64) for _ in range(4))
        )
        self.lanes = self._fresh(self.slots.lanes)

    def _fresh(self, room: int) -> _Lanes:
        """Lanes at the moment of the leader's death: every member counts since it heard the last message."""
        lanes, members, rng = min(room, self.count - self.started), self.members, self.rng
        size = lanes * members
        spacing = 1.0 if self.settings.spacing is None else self.settings.spacing / self.settings.heartbeat
        heard = np.repeat(-spacing * rng.random(lanes), members) + self._travel(size)
        phase = rng.random(size)
        counted_from = np.floor(heard - phase)
        wait = self._waits(size)
        due = np.full((lanes, self.slots.count), np.inf)
        due[:, :members] = (phase + counted_from + wait).reshape(lanes, members)
        name = np.arange(self.started, self.started + lanes)
        self.started += lanes
        none = np.zeros(size, dtype=np.int64)
        return _Lanes(
            name=name,
            over=np.zeros(lanes, dtype=np.bool_),
            phase=phase,
            counted_from=counted_from,
            wait=wait,
            term=none,
            vote=none + _NOBODY,
            knows=np.ones(size, dtype=np.bool_),
            role=none + _FOLLOWER,
            yes=none.copy(),
            no=none.copy(),
            due=due.ravel(),
            word=np.zeros(due.size, dtype=np.int64),
        )

    def _travel(self, size: int | tuple[int, int]) -> Floats | float:
        """Draws of the time a message takes; one number if it is always the same."""
        low, width = self.latency
        return low + width * self.rng.random(size) if width else low

    def _waits(self, size: int) -> Floats:
        return self.timeout + np.floor(self.timeout * self.rng.random(size))

    def step(self) -> bool:
        """Take every lane one event further; False once all have ended."""
        if self.started == self.count and bool(self.lanes.over.all()):
            return False
        lanes = self.lanes = self.slots.refilled(self.lanes, self._fresh)
        slot, now = self.slots.next_events(lanes)
        handlers = (
            (TIMER, self._fires),
            (_VOTE_ASKED, self._vote_asked),
            (_VOTE_ANSWERED, self._vote_answered),
            (_PRE_VOTE_ASKED, self._pre_vote_asked),
            (_PRE_VOTE_ANSWERED, self._pre_vote_answered),
        )
        self.slots.hand_out(lanes, slot, now, handlers)
        return True

    # ------------------------------------------------------------------------------------------ events

    def _fires(self, lane: Ints, member: Ints, now: Floats) -> None:
        """The election timer of a member runs out."""
        lanes, at = self.lanes, lane * self.members + member
        name = lanes.name[lane]
        self.found.campaigns[name] += 1
        self.found.t_fire[name] = np.minimum(self.found.t_fire[name], now * self.settings.heartbeat)
        # The tick is computed from whole numbers: now - phase may fall just short of it.
        tick = lanes.counted_from[at] + lanes.wait[at]
        if not self.settings.pre_vote:
            self._campaign(lane, member, now, tick)
            return
        lanes.role[at] = _PRE_CANDIDATE
        lanes.knows[at] = False
        lanes.yes[at], lanes.no[at] = 1, 0
        self._count_anew(lane, member, tick)
        self._ask(_PRE_VOTE_ASKED, lane, member, now, lanes.term[at] + 1)

    def _pre_vote_asked(self, lane: Ints, slot: Ints, now: Floats) -> None:
        """A member is asked whether it would vote for the campaigner in the next term."""
        lane, slot, now, at, asked = self._unless_in_lease(lane, slot, now)
        lanes = self.lanes
        newer = asked > lanes.term[at]
        yes = newer | ((asked == lanes.term[at]) & self._free(at, slot))
        self.found.rejected[lanes.name[lane]] += ~yes
        self._answer(_PRE_VOTE_ASKED, lane, slot, now, np.where(yes, 2 * asked + 1, 2 * lanes.term[at]))

    def _vote_asked(self, lane: Ints, slot: Ints, now: Floats) -> None:
        """A member is asked for its vote in a term; one of the past is passed over."""
        lane, slot, now, at, asked = self._unless_in_lease(lane, slot, now)
        lanes = self.lanes
        newer = asked > lanes.term[at]
        self._follow(lane[newer], self.slots.peer[slot[newer]], now[newer], asked[newer])
        current = np.flatnonzero(asked == lanes.term[at])
        lane, slot, now, at = lane[current], slot[current], now[current], at[current]
        asked, newer = asked[current], newer[current]
        yes = self._free(at, slot)
        self.found.rejected[lanes.name[lane]] += ~yes
        lanes.vote[at[yes]] = self.slots.campaigner[slot[yes]]
        self._count_anew(lane[yes], self.slots.peer[slot[yes]], np.floor(now[yes] - lanes.phase[at[yes]]))
        self._answer(_VOTE_ASKED, lane, slot, now + self.fsync * (yes | newer), 2 * asked + yes)

    def _pre_vote_answered(self, lane: Ints, slot: Ints, now: Floats) -> None:
        """A campaigner hears whether a member would vote for it."""
        lanes, member = self.lanes, self.slots.campaigner[slot]
        at = lane * self.members + member
        term, yes = np.divmod(lanes.word[lane * self.slots.count + slot], 2)
        ahead = (term > lanes.term[at]) & (yes == 0)
        self._follow(lane[ahead], member[ahead], now[ahead], term[ahead])
        counts = (lanes.role[at] == _PRE_CANDIDATE) & (term >= lanes.term[at]) & ~ahead
        won = self._counted(lane, member, now, yes, counts)
        tick = np.floor(now[won] - lanes.phase[at[won]])
        self._campaign(lane[won], member[won], now[won], tick)

    def _vote_answered(self, lane: Ints, slot: Ints, now: Floats) -> None:
        """A campaigner hears whether it has a member's vote; with a majority it is the leader."""
        lanes, member = self.lanes, self.slots.campaigner[slot]
        at = lane * self.members + member
        term, yes = np.divmod(lanes.word[lane * self.slots.count + slot], 2)
        ahead = term > lanes.term[at]
        self._follow(lane[ahead], member[ahead], now[ahead], term[ahead])
        counts = (lanes.role[at] == _CANDIDATE) & (term == lanes.term[at]) & ~ahead
        won = self._counted(lane, member, now, yes, counts)
        name = lanes.name[lane[won]]
        self.found.t_leader[name] = now[won] * self.settings.heartbeat
        self.found.terms[name] = lanes.term[at[won]]
        lanes.over[lane[won]] = True

    # ------------------------------------------------------------------------------------ what they share

    def _unless_in_lease(self, lane: Ints, slot: Ints, now: Floats) -> tuple[Ints, Ints, Floats, Ints, Ints]:
        """The requests that members do not ignore, with who is asked and the term."""
        lanes = self.lanes
        at = lane * self.members + self.slots.peer[slot]
        asked = lanes.word[lane * self.slots.count + slot]
        if not self.settings.check_quorum:
            return lane, slot, now, at, asked
        counted = np.floor(now - lanes.phase[at]) - lanes.counted_from[at]
        leased = lanes.knows[at] & (asked > lanes.term[at]) & (counted < self.timeout)
        self.found.leased[lanes.name[lane]] += leased
        heard = np.flatnonzero(~leased)
        return lane[heard], slot[heard], now[heard], at[heard], asked[heard]

    def _free(self, at: Ints, slot: Ints) -> Bools:
        """Whether a member may vote for the campaigner in its own term."""
        vote = self.lanes.vote[at]
        return np.asarray((vote == self.slots.campaigner[slot]) | ((vote == _NOBODY) & ~self.lanes.knows[at]))

    def _count_anew(self, lane: Ints, member: Ints, tick: Floats) -> None:
        lanes, at = self.lanes, lane * self.members + member
        lanes.counted_from[at] = tick
        lanes.due[lane * self.slots.count + member] = lanes.phase[at] + tick + lanes.wait[at]

    def _follow(self, lane: Ints, member: Ints, now: Floats, term: Ints) -> None:
        """A member becomes a follower that knows no leader, in its own or a higher term."""
        lanes, at = self.lanes, lane * self.members + member
        lanes.vote[at] = np.where(term > lanes.term[at], _NOBODY, lanes.vote[at])
        lanes.term[at] = term
        lanes.role[at] = _FOLLOWER
        lanes.knows[at] = False
        lanes.wait[at] = self._waits(at.size)
        self._count_anew(lane, member, np.floor(now - lanes.phase[at]))

    def _campaign(self, lane: Ints, member: Ints, now: Floats, tick: Floats) -> None:
        """A member becomes a candidate in the next term, votes for itself and asks all others once that is on disk."""
        lanes, at = self.lanes, lane * self.members + member
        lanes.term[at] += 1
        lanes.vote[at] = member
        lanes.role[at] = _CANDIDATE
        lanes.knows[at] = False
        lanes.yes[at], lanes.no[at] = 1, 0
        lanes.wait[at] = self._waits(at.size)
        self._count_anew(lane, member, tick)
        self._ask(_VOTE_ASKED, lane, member, now + self.fsync, lanes.term[at])

    def _ask(self, kind: int, lane: Ints, member: Ints, now: Floats, term: Ints) -> None:
        places = self.slots.to_all(kind, lane, member)
        self.lanes.due[places] = now[:, None] + self._travel(places.shape)
        self.lanes.word[places] = term[:, None]

    def _answer(self, asked: int, lane: Ints, slot: Ints, now: Floats, word: Ints) -> None:
        place = lane * self.slots.count + self.slots.beside(slot, asked + 1, asked)
        self.lanes.due[place] = now + self._travel(place.size)
        self.lanes.word[place] = word

    def _counted(self, lane: Ints, member: Ints, now: Floats, yes: Ints, counts: Bools) -> Ints:
        """Count answers and return where they made a majority; a majority of noes makes a follower."""
        lanes, at = self.lanes, lane * self.members + member
        lanes.yes[at] += counts & (yes == 1)
        lanes.no[at] += counts & (yes == 0)
        lost = np.flatnonzero(counts & (lanes.no[at] > self.settings.members - self.settings.majority))
        self._follow(lane[lost], member[lost], now[lost], lanes.term[at[lost]])
        return np.flatnonzero(counts & (lanes.yes[at] >= self.settings.majority))
