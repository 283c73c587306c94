"""One test for each sentence of the paper (Ongaro & Ousterhout 2014) that a single member can keep or break.

The cases follow etcd's `raft_paper_test.go`. Pre-votes and check_quorum, which the paper does not have, are off.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from hasim.machine import Announce, Draw, Drawn, Event, Fired, Proposed, Received, Save, Send, Started
from hasim.protocols.raft import Entry, RaftConfig, RaftMember, Saved, Write, genesis
from hasim.protocols.raft.messages import (
    Append,
    AppendReply,
    Heartbeat,
    HeartbeatReply,
    Message,
    VoteReply,
    VoteRequest,
)
from hasim.protocols.raft.state import State

ELECTION = 10  # ticks
HEARTBEAT = 1


class Server:
    """One member, n1, whose disk is fast; the test plays all others."""

    def __init__(
        self, size: int = 3, terms: tuple[int, ...] = (), term: int = 0, vote: str | None = None, name: str = "n1"
    ) -> None:
        names = tuple(f"n{number}" for number in range(1, size + 1))
        self.name, self.others = name, tuple(each for each in names if each != name)
        self.sent: list[tuple[str, Message]] = []
        self.done: list[str] = []  # what was saved, sent and applied, in order
        self.draws: list[Draw] = []
        self.draw: Callable[[Draw], int] = lambda draw: draw.low
        config = RaftConfig(name, genesis(names), pre_vote=False, check_quorum=False, log_facts=True)
        self.member = RaftMember(config)
        entries = [Entry(each, index, f"old{index}") for index, each in enumerate(terms, 1)]
        self.step(Started(Saved(max(term, *terms, 0), vote, 0, None, entries)))

    @property
    def state(self) -> State:
        return self.member.raft.state

    @property
    def log(self) -> list[tuple[int, int]]:
        """Term and index of each entry."""
        return [(entry.term, entry.index) for entry in self.state.log.entries]

    def step(self, event: Event) -> list[tuple[str, Message]]:
        """What the step sends to others."""
        self.sent = []
        self._perform(event)
        return self.sent

    def _perform(self, event: Event) -> None:
        own: list[Message] = []
        for effect in self.member.step(event, 0.0):
            if isinstance(effect, Draw):
                self.draws.append(effect)
                self._perform(Drawn(effect.name, self.draw(effect)))
            elif isinstance(effect, Save):
                self.done.append("save")
            elif isinstance(effect, Announce) and effect.kind == "applied":
                assert isinstance(effect.detail, dict)
                self.done.append(f"apply {effect.detail['data']}")
            elif isinstance(effect, Send) and effect.to == self.name:
                own.append(effect.message)
            elif isinstance(effect, Send):
                self.done.append("send")
                self.sent.append((effect.to, effect.message))
        for message in own:
            self._perform(Received(self.name, message))

    def hear(self, sender: str, message: Message) -> list[tuple[str, Message]]:
        return self.step(Received(sender, message))

    def tick(self, times: int = 1) -> list[tuple[str, Message]]:
        for _ in range(times):
            self.step(Fired("tick"))
        return self.sent

    def campaign(self) -> list[tuple[str, Message]]:
        """Time out: as many ticks as were drawn."""
        return self.tick(self.state.timeout - self.state.elapsed)

    def lead(self) -> Server:
        """Win an election, and have everybody acknowledge the empty entry."""
        self.campaign()
        for name in self.others:
            self.hear(name, VoteReply(self.state.term, True))
        assert self.state.role == "leader"
        return self

    def settle(self) -> Server:
        """Have everybody acknowledge all there is."""
        for name in self.others:
            self.hear(name, AppendReply(self.state.term, self.state.log.last))
        return self

    def write(self, data: str) -> list[tuple[str, Message]]:
        return self.step(Proposed(Write(data), data))


def follower(term: int = 1) -> Server:
    server = Server()
    server.hear("n2", Heartbeat(term, 0))
    return server


def candidate(term: int = 1) -> Server:
    server = Server(term=term - 1)
    server.campaign()
    return server


def leader(term: int = 1) -> Server:
    return Server(term=term - 1).lead().settle()


def to_all(server: Server, message: Message) -> list[tuple[str, Message]]:
    return [(name, message) for name in server.others]


# ------------------------------------------------------------------------------------------------- 5.1


@pytest.mark.parametrize("term", [2, 7])
def test_a_follower_takes_up_a_higher_term(term: int) -> None:
    """5.1: "If one server's current term is smaller than the other's, then it updates its current term."."""
    server = follower()
    server.hear("n3", Append(term, 0, 0, (), 0))
    assert (server.state.role, server.state.term, server.state.leader) == ("follower", term, "n3")


def test_a_candidate_that_finds_its_term_out_of_date_follows() -> None:
    """5.1: "If a candidate or leader discovers that its term is out of date, it immediately reverts to follower"."""
    server = candidate()
    server.hear("n2", Append(2, 0, 0, (), 0))
    assert (server.state.role, server.state.term, server.state.vote) == ("follower", 2, None)


def test_a_leader_that_finds_its_term_out_of_date_follows() -> None:
    """5.1: as for candidates."""
    server = leader()
    server.hear("n2", Append(2, 0, 0, (), 0))
    assert (server.state.role, server.state.term, server.state.leader) == ("follower", 2, "n2")


@pytest.mark.parametrize("build", [follower, candidate, leader])
def test_a_message_of_a_lower_term_is_not_taken_in(build: Callable[[int], Server]) -> None:
    """5.1: "If a server receives a request with a stale term number, it rejects the request"; etcd keeps silent."""
    server = build(2)
    before = (server.state.role, server.state.term, server.state.leader, server.log)
    for message in (Append(1, 0, 0, (Entry(1, 1, "stale"),), 1), VoteRequest(1, 9, 9), Heartbeat(1, 1)):
        assert server.hear("n3", message) == []
        assert (server.state.role, server.state.term, server.state.leader, server.log) == before


# ------------------------------------------------------------------------------------------------- 5.2


def test_a_server_starts_as_follower() -> None:
    """5.2: "When servers start up, they begin as followers"."""
    server = Server()
    assert (server.state.role, server.state.term, server.state.leader) == ("follower", 0, None)


def test_a_leader_sends_heartbeats_to_all_others() -> None:
    """5.2: "Leaders send periodic heartbeats […] to all followers in order to maintain their authority"."""
    server = leader()
    for _ in range(3):
        assert server.tick(HEARTBEAT) == to_all(server, Heartbeat(1, 1))


def test_a_follower_that_hears_nothing_starts_an_election() -> None:
    """5.2: "If a follower receives no communication over a period of time […], then it […] begins an election"."""
    server = follower()
    assert server.tick(server.state.timeout - 1) == []
    assert server.state.role == "follower"
    assert server.tick() == to_all(server, VoteRequest(2, 0, 0))
    assert (server.state.role, server.state.term, server.state.vote) == ("candidate", 2, "n1")
    assert server.done[-3:] == ["save", "send", "send"]


def test_a_candidate_that_wins_nothing_starts_another_election() -> None:
    """5.2: "each candidate will time out and start a new election by incrementing its term"."""
    server = candidate()
    assert server.tick(server.state.timeout - 1) == []
    assert server.tick() == to_all(server, VoteRequest(2, 0, 0))
    assert (server.state.role, server.state.term, server.state.vote) == ("candidate", 2, "n1")


@pytest.mark.parametrize(
    ("size", "votes", "role"),
    [
        (1, "", "leader"),
        (3, "yy", "leader"),
        (3, "y", "leader"),
        (5, "yyyy", "leader"),
        (5, "yyy", "leader"),
        (5, "yy", "leader"),
        (3, "nn", "follower"),
        (5, "nnnn", "follower"),
        (5, "ynnn", "follower"),
        (3, "", "candidate"),
        (5, "y", "candidate"),
        (5, "nn", "candidate"),
        (5, "", "candidate"),
    ],
)
def test_a_candidate_wins_with_the_votes_of_a_majority_of_the_full_cluster(size: int, votes: str, role: str) -> None:
    """5.2: "A candidate wins an election if it receives votes from a majority of the servers in the full cluster"."""
    server = Server(size)
    server.campaign()
    for name, vote in zip(server.others, votes, strict=False):
        server.hear(name, VoteReply(1, vote == "y"))
    assert (server.state.role, server.state.term) == (role, 1)


@pytest.mark.parametrize(
    ("vote", "sender", "granted"),
    [
        (None, "n2", True),
        (None, "n3", True),
        ("n2", "n2", True),
        ("n3", "n3", True),
        ("n2", "n3", False),
        ("n3", "n2", False),
    ],
)
def test_a_server_votes_once_a_term_for_who_comes_first(vote: str | None, sender: str, granted: bool) -> None:
    """5.2: "Each server will vote for at most one candidate in a given term, on a first-come-first-served basis"."""
    server = Server(term=1, vote=vote)
    assert server.hear(sender, VoteRequest(1, 0, 0)) == [(sender, VoteReply(1, granted))]
    assert server.state.vote == (sender if granted else vote)


@pytest.mark.parametrize("term", [1, 2])
def test_a_candidate_that_hears_from_a_leader_follows_it(term: int) -> None:
    """5.2: "If the leader's term […] is at least as large as the candidate's current term, then the candidate
    recognizes the leader as legitimate and returns to follower state".
    """
    server = candidate()
    server.hear("n2", Append(term, 0, 0, (), 0))
    assert (server.state.role, server.state.term, server.state.leader) == ("follower", term, "n2")


@pytest.mark.parametrize("build", [follower, candidate], ids=["followers", "candidates"])
def test_election_timeouts_are_drawn_from_a_fixed_interval_anew(build: Callable[[], Server]) -> None:
    """5.2: "election timeouts are chosen randomly from a fixed interval"; with ticks, every whole one is as likely.

    Chance is the driver's. What the member must do is ask for the right interval with each new term, and wait for
    exactly as many ticks as it was told.
    """
    server = build()
    for ticks in range(ELECTION, 2 * ELECTION):
        server.draws.clear()
        server.draw = lambda draw, ticks=ticks: ticks  # type: ignore[misc]
        if build is follower:
            server.hear("n2", Heartbeat(server.state.term + 1, 0))
        else:
            server.campaign()
        assert server.draws == [Draw("election", ELECTION, 2 * ELECTION - 1)]
        term = server.state.term
        server.tick(ticks - 1)
        assert server.state.term == term
        server.tick()
        assert (server.state.term, server.state.role) == (term + 1, "candidate")


def ticks_until_somebody_times_out(servers: list[Server]) -> Iterator[int]:
    """How many time out in the first tick in which one does."""
    while True:
        terms = [server.state.term for server in servers]
        for server in servers:
            server.tick()
        yield sum(server.state.term != term for server, term in zip(servers, terms, strict=True))


@pytest.mark.parametrize("role", ["follower", "candidate"])
def test_few_elections_begin_with_two_at_once(role: str) -> None:
    """5.2: "Raft uses randomized election timeouts to ensure that split votes are rare".

    With m = 5 members ticking together and T = 10 whole timeouts, the earliest is shared with probability
    1 - m / T^m × sum of j^(m-1) for j below T = 0.233.
    """
    generator = np.random.default_rng(52)
    rounds, members = 1000, 5
    servers = [Server(members) for _ in range(members)]
    for server in servers:
        server.draw = lambda draw: int(generator.integers(draw.low, draw.high + 1))
    shared = 0
    for _ in range(rounds):
        term = max(server.state.term for server in servers) + 1
        for server in servers:
            server.hear("n2", Heartbeat(term, 0))
            if role == "candidate":
                server.campaign()
        shared += next(count for count in ticks_until_somebody_times_out(servers) if count) > 1
    expected = 1 - members / ELECTION**members * sum(j ** (members - 1) for j in range(ELECTION))
    deviation = math.sqrt(expected * (1 - expected) / rounds)
    assert abs(shared / rounds - expected) < 3.5 * deviation


# ------------------------------------------------------------------------------------------------- 5.3


def test_a_leader_appends_a_command_and_sends_it_to_all() -> None:
    """5.3: "The leader appends the command to its log as a new entry, then issues AppendEntries RPCs in parallel"."""
    server = leader()
    server.done.clear()
    assert server.write("x") == to_all(server, Append(1, 1, 1, (Entry(1, 2, "x"),), 1))
    assert server.log == [(1, 1), (1, 2)]
    assert server.state.log.commit == 1
    assert server.done == ["send", "send", "save"]


def test_a_leader_applies_what_has_been_replicated_and_says_how_far() -> None:
    """5.3: "When the entry has been safely replicated […], the leader applies the entry to its state machine"."""
    server = leader()
    server.write("x")
    sent = server.hear("n2", AppendReply(1, 2))
    assert server.state.log.commit == 2
    assert "apply x" in server.done
    assert ("n2", Append(1, 2, 1, (), 2)) in sent
    assert ("n3", Append(1, 2, 1, (), 2)) in sent


@pytest.mark.parametrize(
    ("size", "acks", "committed"),
    [
        (1, 0, True),
        (3, 0, False),
        (3, 1, True),
        (3, 2, True),
        (5, 0, False),
        (5, 1, False),
        (5, 2, True),
        (5, 3, True),
        (5, 4, True),
    ],
)
def test_an_entry_is_committed_when_a_majority_has_it(size: int, acks: int, committed: bool) -> None:
    """5.3: "A log entry is committed once the leader that created the entry has replicated it on a majority"."""
    server = Server(size).lead().settle()
    server.write("x")
    for name in server.others[:acks]:
        server.hear(name, AppendReply(1, 2))
    assert (server.state.log.commit == 2) is committed


@pytest.mark.parametrize("terms", [(), (2,), (1, 2), (1,)])
def test_a_commit_takes_all_preceding_entries_along_in_order(terms: tuple[int, ...]) -> None:
    """5.3: "This also commits all preceding entries […], including entries created by previous leaders"."""
    server = Server(terms=terms, term=2).lead()
    server.write("x")
    assert server.state.log.commit == 0
    server.settle()
    applied = [each for each in server.done if each.startswith("apply")]
    assert applied == [*(f"apply old{index}" for index in range(1, len(terms) + 1)), "apply None", "apply x"]


@pytest.mark.parametrize(
    ("data", "commit"),
    [(("a",), 1), (("a", "b"), 2), (("b", "a"), 2), (("a", "b"), 1)],
)
def test_a_follower_applies_in_log_order_what_the_leader_has_committed(data: tuple[str, ...], commit: int) -> None:
    """5.3: "Once a follower learns that a log entry is committed, it applies the entry to its local state machine (in
    log order)".
    """
    server = Server(term=1)
    server.hear("n2", Append(1, 0, 0, tuple(Entry(1, index, each) for index, each in enumerate(data, 1)), commit))
    assert [each for each in server.done if each.startswith("apply")] == [f"apply {each}" for each in data[:commit]]
    assert server.state.log.commit == commit


@pytest.mark.parametrize(
    ("prev", "reply"),
    [
        ((0, 0), AppendReply(2, 0)),
        ((1, 1), AppendReply(2, 1)),
        ((2, 2), AppendReply(2, 2)),
        ((1, 2), AppendReply(2, 2, True, 1, 1)),  # another term there: the last entry that may agree is 1/1
        ((3, 3), AppendReply(2, 3, True, 2, 2)),  # nothing there: its own last entry
    ],
)
def test_a_follower_refuses_entries_that_do_not_fit(prev: tuple[int, int], reply: AppendReply) -> None:
    """5.3: "If the follower does not find an entry in its log with the same index and term, then it refuses"."""
    server = Server(terms=(1, 2))
    term, index = prev
    assert server.hear("n2", Append(2, index, term, (), 0)) == [("n2", reply)]


@pytest.mark.parametrize(
    ("prev", "entries", "log", "saves"),
    [
        ((2, 2), ((3, 3),), [(1, 1), (2, 2), (3, 3)], True),
        ((1, 1), ((3, 2), (4, 3)), [(1, 1), (3, 2), (4, 3)], True),
        ((0, 0), ((1, 1),), [(1, 1), (2, 2)], False),
        ((0, 0), ((3, 1),), [(3, 1)], True),
    ],
)
def test_a_follower_gives_up_conflicting_entries_and_what_follows_them(
    prev: tuple[int, int], entries: tuple[tuple[int, int], ...], log: list[tuple[int, int]], saves: bool
) -> None:
    """5.3: "If an existing entry conflicts with a new one […], delete the existing entry and all that follow it"."""
    server = Server(terms=(1, 2), term=4)
    server.done.clear()
    term, index = prev
    server.hear("n2", Append(4, index, term, tuple(Entry(*each) for each in entries), 0))
    assert server.log == log
    assert server.done == (["save", "send"] if saves else ["send"])


@pytest.mark.parametrize(
    "terms",
    [
        (1, 1, 1, 4, 4, 5, 5, 6, 6),
        (1, 1, 1, 4),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6),
        (1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7),
        (1, 1, 1, 4, 4, 4, 4),
        (1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3),
    ],
    ids="abcdef",
)
def test_a_leader_brings_the_logs_of_its_followers_into_line(terms: tuple[int, ...]) -> None:
    """5.3, figure 7: "the leader handles inconsistencies by forcing the followers' logs to duplicate its own"."""
    chief = Server(terms=(1, 1, 1, 4, 4, 5, 5, 6, 6, 6), term=7)
    other = Server(terms=terms, term=7, name="n2")
    chief.campaign()
    todo: list[Any] = [message for name, message in chief.hear("n3", VoteReply(8, True)) if name == "n2"]
    chief.hear("n3", AppendReply(8, 0))
    for _ in range(20):
        replies = [reply for message in todo for _, reply in other.hear("n1", message)]
        todo = [message for reply in replies for name, message in chief.hear("n2", reply) if name == "n2"]
    assert not todo
    assert other.log == chief.log
    assert other.log[-1] == (8, 11)
    assert other.state.log.commit == chief.state.log.commit == 11


# ------------------------------------------------------------------------------------------------- 5.4


@pytest.mark.parametrize("terms", [(1,), (1, 2)])
def test_a_vote_request_says_how_much_the_candidate_knows(terms: tuple[int, ...]) -> None:
    """5.4.1: "the RPC includes information about the candidate's log"."""
    server = Server(terms=terms)
    last = terms[-1]
    assert server.campaign() == to_all(server, VoteRequest(last + 1, len(terms), last))


@pytest.mark.parametrize(
    ("terms", "last", "granted"),
    [
        ((1,), (1, 1), True),  # the same
        ((1,), (1, 2), True),  # longer
        ((1, 1), (1, 1), False),  # shorter
        ((1,), (2, 1), True),  # a later term, as long
        ((1,), (2, 2), True),  # a later term, longer
        ((1, 1), (2, 1), True),  # a later term, shorter
        ((2,), (1, 1), False),  # an earlier term, as long
        ((2,), (1, 2), False),  # an earlier term, longer
        ((1, 2), (1, 1), False),  # an earlier term, shorter
        ((1, 2), (1, 3), False),  # an earlier term, longer, than a longer log
    ],
)
def test_a_voter_refuses_who_knows_less_than_itself(
    terms: tuple[int, ...], last: tuple[int, int], granted: bool
) -> None:
    """5.4.1: "the voter denies its vote if its own log is more up-to-date than that of the candidate"."""
    server = Server(terms=terms)
    term, index = last
    assert server.hear("n2", VoteRequest(3, index, term)) == [("n2", VoteReply(3, granted))]


@pytest.mark.parametrize(("acknowledged", "commit"), [(1, 0), (2, 0), (3, 3)])
def test_only_entries_of_the_current_term_are_committed_by_counting(acknowledged: int, commit: int) -> None:
    """5.4.2: "only log entries from the leader's current term are committed by counting replicas"."""
    server = Server(terms=(1, 2)).lead()
    assert server.state.term == 3
    server.hear("n2", AppendReply(3, acknowledged))
    assert server.state.log.commit == commit


def test_a_follower_of_the_paper_answers_heartbeats() -> None:
    """5.2: a heartbeat is an AppendEntries without entries; etcd gives it a message, and an answer, of its own."""
    server = follower()
    assert server.hear("n2", Heartbeat(1, 0, 7)) == [("n2", HeartbeatReply(1, 7))]
