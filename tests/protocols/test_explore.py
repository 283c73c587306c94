"""Every order of events in a small Raft cluster: no invariant breaks, and the search is not vacuous.

The counts of states are golden: they change when the protocol does, and then somebody should know why.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import planted
import pytest
from cluster import Cluster, clone, make_cluster
from explore import Scope, Search, Seen

from hasim.checks.invariant import InvariantBroken
from hasim.machine import Fired

ELECTED, RE_ELECTED = "a leader in term 1", "a leader in term 2"
OVERWRITTEN, COMMITTED = "an entry was overwritten", "a write was committed"
INHERITED = "a later leader committed an entry of an earlier term"
TWO_LEADERS = "two leaders at once, of different terms"
CRASHED = "a leader crashed with an uncommitted entry"
VOTE_LOST, ENTRY_LOST = "a vote was lost with the power", "an entry was lost with the power"


def two_leaders_have_been(cluster: Cluster) -> None:
    """n1 led term 1 and has a write that nobody else has; n2 leads term 2, and n3 follows it."""
    cluster.elect("n1", "n2")
    cluster.write("n1", "w0")
    cluster.drop()
    cluster.elect("n2", "n3")


def check(seen: Seen, states: int, sometimes: set[str]) -> None:
    assert sometimes <= seen.sometimes.keys(), f"never seen: {sometimes - seen.sometimes.keys()}"
    assert sum(seen.states) == states


def test_two_terms_one_write_and_one_crash() -> None:
    check(
        Search(Scope(terms=2, depth=10)).run(),
        45_935,
        {ELECTED, RE_ELECTED, OVERWRITTEN, COMMITTED, INHERITED, CRASHED},
    )


def test_a_slow_sync_and_a_power_failure() -> None:
    scope = Scope(terms=2, depth=7, holds=1)
    check(Search(scope).run(), 32_077, {ELECTED, RE_ELECTED, CRASHED, VOTE_LOST, ENTRY_LOST, TWO_LEADERS})


def test_two_writes_a_message_delivered_twice_and_a_heartbeat() -> None:
    scope = Scope(terms=2, depth=8, writes=2, crashes=0, duplicates=1, heartbeats=1)
    check(Search(scope).run(), 37_699, {ELECTED, RE_ELECTED, COMMITTED, OVERWRITTEN, TWO_LEADERS})


def test_two_terms_with_pre_votes() -> None:
    check(Search(Scope(terms=2, depth=8, pre_vote=True)).run(), 32_929, {ELECTED, RE_ELECTED, CRASHED})


def test_a_third_term_after_two_leaders() -> None:
    scope = Scope(terms=3, depth=8)
    check(Search(scope, two_leaders_have_been).run(), 14_914, {OVERWRITTEN, COMMITTED, INHERITED, CRASHED, TWO_LEADERS})


def test_a_third_term_with_a_slow_sync_and_a_power_failure() -> None:
    scope = Scope(terms=3, depth=6, holds=1)
    check(
        Search(scope, two_leaders_have_been).run(), 17_868, {OVERWRITTEN, COMMITTED, INHERITED, VOTE_LOST, ENTRY_LOST}
    )


@pytest.mark.slow
def test_two_terms_one_write_and_one_crash_deeper() -> None:
    seen = Search(Scope(terms=2, depth=12)).run()
    check(seen, 131_412, {ELECTED, RE_ELECTED, OVERWRITTEN, COMMITTED, INHERITED, CRASHED, TWO_LEADERS})


@pytest.mark.slow
def test_a_slow_sync_and_a_power_failure_deeper() -> None:
    check(
        Search(Scope(terms=2, depth=9, holds=1)).run(),
        174_108,
        {OVERWRITTEN, COMMITTED, CRASHED, VOTE_LOST, ENTRY_LOST},
    )


@pytest.mark.parametrize(
    ("plant", "scope", "invariant"),
    [
        (planted.logs_are_not_compared, Scope(terms=2, depth=10, crashes=0), "Leader Completeness"),
        (planted.a_boot_forgets_the_vote, Scope(terms=1, depth=8, writes=0), "Term And Vote Stay"),
        (planted.answers_leave_before_the_save, Scope(terms=1, depth=8, writes=0, holds=1), "Committed On A Quorum"),
        (
            planted.appends_are_acknowledged_before_the_sync,
            Scope(terms=1, depth=7, crashes=0, holds=1),
            "Committed On A Quorum",
        ),
    ],
)
def test_the_search_finds_a_planted_bug_by_itself(
    monkeypatch: pytest.MonkeyPatch, plant: Any, scope: Scope, invariant: str
) -> None:
    plant(monkeypatch)
    with pytest.raises(InvariantBroken) as broken:
        Search(scope).run()
    assert broken.value.violation.invariant == invariant
    assert "way: n1 times out" in broken.value.__notes__[0]


def test_a_clone_shares_nothing_that_either_may_change() -> None:
    cluster = make_cluster(("n1", "n2", "n3"))
    cluster.elect("n1", "n2")
    cluster.write("n1", "w")
    cluster.read("n1", "r")
    member = cluster.nodes["n1"].member
    twin = clone(member)
    assert _mutable(member).isdisjoint(_mutable(twin))
    before = [*twin.raft.state.log.entries]
    member.step(Fired("heartbeat"), 0.0)
    cluster.write("n1", "x")
    assert twin.raft.state.log.entries == before


def _mutable(thing: Any, seen: set[int] | None = None) -> set[int]:
    """Identities of all lists, dicts, sets and objects of the protocol that are reached from here."""
    seen = set() if seen is None else seen
    if isinstance(thing, tuple):
        for each in thing:
            _mutable(each, seen)
    elif isinstance(thing, list | dict | set | deque):
        seen.add(id(thing))
        for each in [*thing.keys(), *thing.values()] if isinstance(thing, dict) else thing:
            _mutable(each, seen)
    elif type(thing).__module__.startswith("hasim.protocols.raft") and not hasattr(thing, "__dataclass_fields__"):
        seen.add(id(thing))
        slots = [*getattr(type(thing), "__slots__", ()), *getattr(thing, "__dict__", {})]
        for slot in slots:
            _mutable(getattr(thing, slot), seen)
    return seen
