"""The judge of Raft: each invariant convicts a made-up history that breaks it, and spares one that comes close."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hasim.checks.invariant import InvariantBroken
from hasim.checks.raft import INVARIANTS, RaftInvariants
from hasim.errors import ModelError
from hasim.protocols.raft import Entry, Membership, Record, Snapshot
from hasim.trace import Fact

NAMES = ("a", "b", "c")


class History:
    """Facts told to a judge, in few words."""

    def __init__(self) -> None:
        self.judge = RaftInvariants(raising=False)
        self.clock = 0.0
        for name in NAMES:
            self.boot(name)

    def tell(self, name: str, kind: str, **detail: Any) -> None:
        self.clock += 1.0
        self.judge.observe(Fact(self.clock, kind, name, detail))

    def boot(
        self, name: str, term: int = 0, vote: str | None = None, log: tuple[Any, ...] = (), commit: int = 0
    ) -> None:
        self.tell(name, "started", term=term, vote=vote, last=len(log), commit=commit)
        self.tell(name, "log", first=1, entries=log)
        self.tell(name, "members", voters=NAMES, leaving=(), learners=())

    def lead(self, name: str, term: int) -> None:
        self.tell(name, "candidate", term=term)
        self.tell(name, "leader", term=term)

    def append(self, names: str, first: int, *lines: tuple[int, Any], save: bool = True) -> None:
        for name in names:
            self.tell(name, "appended", first=first, entries=lines)
            if save:
                server = self.judge.servers[name]
                entries = tuple(Entry(term, index, data) for index, (term, data) in enumerate(lines, first))
                self.save(name, server.term, server.vote, entries=entries)

    def save(self, name: str, term: int, vote: str | None = None, commit: int = 0, **more: Any) -> None:
        self.judge.disk(name, Record(term, vote, commit, **more), self.clock)

    def apply(self, names: str, *lines: tuple[int, int, Any]) -> None:
        for name in names:
            for index, term, data in lines:
                self.tell(name, "applied", index=index, term=term, data=data)

    def broken(self) -> list[str]:
        return list(dict.fromkeys(violation.invariant for violation in self.judge.violations))


def led() -> History:
    """`a` leads term 1 and has committed and applied entry 1, which all have."""
    history = History()
    history.lead("a", 1)
    history.append("abc", 1, (1, None))
    history.tell("a", "committed", index=1, term=1)
    history.apply("abc", (1, 1, None))
    return history


def test_an_ordinary_life_breaks_nothing() -> None:
    history = led()
    history.append("ab", 2, (1, "x"))
    history.tell("a", "committed", index=2, term=1)
    history.apply("a", (2, 1, "x"))
    history.lead("b", 2)
    history.append("b", 3, (2, None))
    history.append("c", 2, (1, "x"), (2, None))
    history.tell("b", "committed", index=3, term=2)
    history.apply("c", (2, 1, "x"), (3, 2, None))
    assert history.broken() == []


def test_two_leaders_in_a_term() -> None:
    history = led()
    history.lead("b", 1)
    assert history.broken() == ["Election Safety"]
    said = str(history.judge.violations[0])
    assert said.startswith("Election Safety is broken at ")
    assert "a and b were both elected in term 1" in said
    assert said.count("leader") == 2  # both facts are shown


def test_a_leader_overwrites_its_log() -> None:
    history = led()
    history.append("a", 2, (1, "x"))
    history.append("a", 2, (1, "x"))
    assert history.broken() == ["Leader Append-Only"]


def test_a_follower_may_overwrite_what_is_not_committed() -> None:
    history = led()
    history.append("b", 2, (1, "x"))
    history.append("b", 2, (2, "y"))
    assert history.broken() == []


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (((1, "x"),), ((1, "y"),)),  # other data
        (((1, "x"), (3, "z")), ((2, "x"), (3, "z"))),  # another predecessor
    ],
)
def test_logs_that_agree_in_an_entry_but_not_before_it(mine: Any, theirs: Any) -> None:
    history = led()
    history.append("b", 2, *mine)
    history.append("c", 2, *theirs)
    assert history.broken() == ["Log Matching"]


def test_a_new_leader_lacks_a_committed_entry() -> None:
    history = led()
    history.append("ab", 2, (1, "x"))
    history.tell("a", "committed", index=2, term=1)
    history.lead("c", 2)
    assert history.broken() == ["Leader Completeness"]


def test_an_old_leader_may_lack_what_a_newer_one_has_committed() -> None:
    history = led()
    history.lead("b", 3)
    history.append("bc", 2, (3, None))
    history.tell("b", "committed", index=2, term=3)
    history.lead("a", 2)  # its votes were late
    assert history.broken() == []


def test_an_old_leader_commits_what_the_new_one_lacks() -> None:
    history = led()
    history.append("ab", 2, (1, "x"))
    history.lead("c", 2)
    history.tell("a", "committed", index=2, term=1)
    assert history.broken() == ["Leader Completeness"]


def test_two_servers_apply_different_entries() -> None:
    history = led()
    history.append("ab", 2, (1, "x"))
    history.append("c", 2, (2, "y"))
    history.tell("a", "committed", index=2, term=1)
    history.apply("a", (2, 1, "x"))
    history.apply("c", (2, 2, "y"))
    assert history.broken() == ["State Machine Safety"]


def test_a_server_applies_what_nobody_has_committed() -> None:
    history = led()
    history.append("b", 2, (1, "x"))
    history.apply("b", (2, 1, "x"))
    assert history.broken() == ["State Machine Safety"]


def test_a_snapshot_of_what_was_never_committed() -> None:
    history = led()
    history.tell("c", "snapshot installed", index=5, term=1, data=None)
    assert history.broken() == ["State Machine Safety"]


def test_something_else_is_committed_at_an_index() -> None:
    history = led()
    history.append("ab", 2, (1, "x"))
    history.tell("a", "committed", index=2, term=1)
    history.append("c", 2, (2, "y"))
    history.tell("c", "committed", index=2, term=2)
    assert history.broken()[0] == "Committed Never Changes"


def test_a_commit_without_a_majority_of_disks() -> None:
    history = led()
    history.append("a", 2, (1, "x"))
    history.append("b", 2, (1, "x"), save=False)
    history.tell("a", "committed", index=2, term=1)
    assert history.broken() == ["Committed On A Quorum"]


def test_a_joint_commit_needs_both_majorities() -> None:
    history = led()
    history.tell("a", "members", voters=NAMES, leaving=("a", "d", "e"), learners=())
    history.append("ab", 2, (1, "x"))
    history.tell("a", "committed", index=2, term=1)
    assert history.broken() == ["Committed On A Quorum"]


def test_without_reports_from_disks_nothing_is_asked_of_them() -> None:
    history = History()
    history.judge.disks = False
    history.lead("a", 1)
    history.append("ab", 1, (1, None), save=False)
    history.tell("a", "committed", index=1, term=1)
    assert history.broken() == []


def test_a_log_gives_up_a_committed_entry() -> None:
    history = led()
    history.append("ab", 2, (1, "x"), (1, "y"))
    history.tell("a", "committed", index=3, term=1)
    history.append("b", 2, (1, "x"))
    assert history.broken() == ["Committed Is Durable"]


def test_a_server_comes_back_without_a_committed_entry() -> None:
    history = led()
    history.boot("b", term=0, log=())
    assert "Committed Is Durable" in history.broken()


def test_two_votes_in_a_term() -> None:
    history = History()
    history.tell("c", "voted", term=1, candidate="a")
    history.tell("c", "voted", term=1, candidate="b")
    assert history.broken() == ["One Vote A Term"]


def test_a_vote_that_was_not_saved_may_be_cast_again() -> None:
    history = History()
    history.tell("c", "voted", term=1, candidate="a")
    history.boot("c")
    history.tell("c", "voted", term=1, candidate="b")
    assert history.broken() == []
    history.save("c", 1, "b")
    history.boot("c", term=1, vote="b")
    history.tell("c", "voted", term=1, candidate="a")
    assert history.broken() == ["One Vote A Term"]


@pytest.mark.parametrize(("term", "vote"), [(1, "b"), (2, None)])
def test_a_server_comes_back_without_its_term_or_vote(term: int, vote: str | None) -> None:
    history = History()
    history.save("c", 2, "b")
    history.boot("c", term=term, vote=vote)
    assert history.broken() == ["Term And Vote Stay"]


def test_a_term_that_goes_back() -> None:
    history = History()
    history.tell("c", "follower", term=3, leader=None)
    history.tell("c", "follower", term=2, leader=None)
    assert history.broken() == ["Term And Vote Stay"]


def test_an_entry_is_left_out() -> None:
    history = led()
    history.append("ab", 2, (1, "x"), (1, "y"))
    history.tell("a", "committed", index=3, term=1)
    history.apply("a", (3, 1, "y"))
    assert history.broken() == ["Indexes In Order"]


@pytest.mark.parametrize("commit", [1, 5])
def test_a_saved_commit_index_goes_back_or_past_the_log(commit: int) -> None:
    history = led()
    history.append("b", 2, (1, "x"))
    history.save("b", 1, commit=2)
    assert history.broken() == []
    history.save("b", 1, commit=commit)
    assert history.broken() == ["Indexes In Order"]


def test_the_first_violation_is_raised_where_that_is_wanted() -> None:
    judge = RaftInvariants()
    judge.observe(Fact(0.0, "leader", "a", {"term": 1}))
    with pytest.raises(InvariantBroken, match="Election Safety") as broken:
        judge.observe(Fact(1.0, "leader", "b", {"term": 1}))
    assert broken.value.violation.at == 1.0
    assert broken.value.violation.invariant in INVARIANTS


def test_a_clone_goes_its_own_way() -> None:
    history = led()
    twin = history.judge.clone()
    history.lead("b", 1)
    history.append("b", 2, (1, "x"))
    assert history.broken() == ["Election Safety"]
    assert twin.violations == []
    assert twin.servers["b"].log.last == 1
    twin.observe(Fact(9.0, "appended", "c", {"first": 2, "entries": ((1, "x"),)}))
    assert history.judge.servers["c"].log.last == 1


def test_what_all_have_compacted_is_forgotten_and_the_rest_still_judged() -> None:
    history = led()
    for index in range(2, 101):
        history.append("abc", index, (1, index))
    history.tell("a", "committed", index=100, term=1)
    snapshot = Snapshot(100, 1, Membership(NAMES))
    for name in NAMES:
        history.apply(name, *((index, 1, index) for index in range(2, 101)))
        server = history.judge.servers[name]
        history.save(name, 1, server.disk_vote, commit=100, snapshot=snapshot, keep=5)
    assert history.broken() == []
    assert len(history.judge.committed) < 10
    assert len(history.judge._links) < 10
    history.append("c", 100, (2, "z"), save=False)
    assert history.broken() == ["Committed Is Durable"]


@pytest.mark.parametrize(
    ("wrong", "said"), [((3,), "raising: got 3"), (([],), "raising: got "), ((True, 0), "disks: got 0")]
)
def test_a_judge_is_told_yes_or_no_and_hears_of_facts_later(wrong: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ModelError, match=f"^{re.escape(said)}.*give True or False; facts come later"):
        RaftInvariants(*wrong)
