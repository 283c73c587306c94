"""A candidate of Kubernetes' leader election, rule by rule, step by step."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from typing import Any

import pytest
from leasing import API, NAME, Hand, candidate, held, k8s, leader, said, write

from hasim.errors import ModelError
from hasim.machine import CancelTimer, Exit, Fired, Received, Send, SetTimer, Started, Unlinked
from hasim.protocols.api import Create, Done, Get, ObjectStore, Refused, Update
from hasim.protocols.lease.candidate import LOST
from hasim.protocols.lease.messages import Answered, Call, Hangup
from hasim.protocols.lease.record import ANNOTATION, LeaderRecord
from hasim.protocols.lease.server import LeaseServer, keep
from hasim.protocols.lease.settings import JITTER, Lease

READ = Get(LeaderRecord, NAME)
EXACT = k8s(duration=15, retry_period=2.5)
"""Polls every 2.5 s, where none waits longer than it must: the sixth after the first falls on the end of the lease."""


def waiting(record: LeaderRecord | None = None, lease: Lease | None = None, **how: Any) -> Hand:
    """A candidate that has looked once, at this record of somebody else's."""
    hand = Hand(candidate(lease=lease), **how)
    if record is not None:
        hand.put(record)
    hand.start()
    return hand


# ------------------------------------------------------------------------ rule 1: again and again


def test_it_tries_at_once_and_begins_by_reading() -> None:
    hand = Hand(candidate())
    hand.mood = "hung"
    assert hand.start() == [Send(API, Call(1, READ)), SetTimer("timeout", 5.0, 5.0)]


@pytest.mark.parametrize(("period", "longest"), [(2.0, 4.4), (26.0, 57.2), (0.5, 1.1)])
def test_the_next_try_comes_a_period_and_up_to_120_percent_more_after_the_last_has_ended(
    period: float, longest: float
) -> None:
    lease = k8s(duration=137, renew_deadline=107, retry_period=period)
    hand = Hand(candidate(lease=lease))
    hand.put(held("another", duration=137.0))
    hand.mood = "hung"
    hand.start()
    hand.now = 3.0  # the answer takes three seconds
    effects = hand.answer()
    assert effects == [CancelTimer("timeout"), SetTimer("retry", period, pytest.approx(longest))]
    assert JITTER == 1.2
    hand.mood = "well"
    hand.until(3.0 + 2.5 * period)
    assert [at for at, _ in hand.requests] == [0.0, 3.0 + period, 3.0 + 2 * period]


@pytest.mark.parametrize("why", ["forbidden", "conflict"])
def test_a_read_that_is_refused_ends_the_try(why: Any) -> None:
    hand = Hand(candidate())
    hand.mood = "hung"
    hand.start()
    assert hand.answer(Refused(why)) == [CancelTimer("timeout"), SetTimer("retry", 2.0, pytest.approx(4.4))]


def test_a_read_without_an_answer_is_hung_up_and_the_next_wait_begins_then() -> None:
    hand = Hand(candidate(), chance=1.0)
    hand.mood = "hung"
    hand.start()
    hand.until(20.0)
    assert [(at, message) for at, _, message in hand.sent][:4] == [
        (0.0, Call(1, READ)),
        (5.0, Hangup(1)),
        (pytest.approx(9.4), Call(2, READ)),
        (pytest.approx(14.4), Hangup(2)),
    ]


def test_a_refused_connection_ends_the_try_at_once() -> None:
    hand = Hand(candidate())
    hand.mood = "refused"
    hand.start()
    assert hand.timers.keys() == {"retry"}
    hand.until(6.5)
    assert [at for at, _ in hand.calls] == [0.0, 2.0, 4.0, 6.0]


# ------------------------------------------------------------------ rule 2: read, compare, write


def test_where_there_is_no_record_it_makes_one() -> None:
    hand = Hand(candidate(lease=k8s(duration=30)), now=7.0)
    hand.start()
    create = hand.requests[1][1]
    assert create == Create(LeaderRecord(NAME, "me", 30.0, acquired=7.0, renewed=7.0, transitions=0, version=0))
    assert said(hand.said, "leading") == [(7.0, {"identity": "me", "term": 1})]
    assert hand.machine.token == 1


def test_of_two_that_find_no_record_one_makes_it() -> None:
    store = ObjectStore()
    first, second = (Hand(candidate(name), store) for name in ("first", "second"))
    for hand in (first, second):
        hand.mood = "hung"
        hand.start()
    assert second.answer()[1] == first.answer()[1]._replace(message=second.last)  # both create
    first.answer()
    assert second.answer() == [CancelTimer("timeout"), SetTimer("retry", 2.0, pytest.approx(4.4))]
    assert (first.machine.leads, second.machine.leads) == (True, False)


def test_a_record_that_somebody_holds_is_not_touched_before_its_duration_has_passed() -> None:
    hand = waiting(held("another"), EXACT).until(14.999)
    assert [at for at, _ in hand.requests] == [0.0, 2.5, 5.0, 7.5, 10.0, 12.5]
    assert {request for _, request in hand.requests} == {READ}
    assert not hand.said


def test_when_exactly_its_duration_has_passed_the_candidate_writes_over_the_version_that_it_read() -> None:
    hand = Hand(candidate(lease=EXACT), now=100.0)
    before = hand.put(held("another", transitions=4))
    hand.start()
    hand.until(115.0)
    assert hand.requests[-2] == (
        115.0,
        Update(LeaderRecord(NAME, "me", 15.0, 115.0, 115.0, transitions=5, version=before.version)),
    )
    assert said(hand.said, "leading") == [(115.0, {"identity": "me", "term": 6})]
    assert hand.record.version == before.version + 2  # taken, and renewed at once


def test_whether_a_lease_has_passed_is_asked_of_the_time_at_which_the_try_began() -> None:
    # The read of the sixth poll begins before the lease has passed and is answered after that.
    hand = waiting(held("another"), k8s(duration=15, retry_period=2.45))
    hand.until(14.6)
    hand.mood = "hung"
    hand.until(14.7)
    hand.now = 15.5
    assert hand.answer() == [CancelTimer("timeout"), SetTimer("retry", 2.45, pytest.approx(2.45 * 2.2))]


def test_a_change_of_the_record_begins_the_wait_anew() -> None:
    hand = waiting(held("another"), EXACT).until(11.0)
    hand.put(held("another", renewed=11.0))
    hand.until(27.4)  # seen at 12.5
    assert not hand.machine.leads
    hand.until(27.5)
    assert said(hand.said, "leading") == [(27.5, {"identity": "me", "term": 2})]


def test_a_write_that_says_the_same_again_is_no_change() -> None:
    """client-go compares the record's bytes, which the version of the object is no part of."""
    hand = waiting(held("another"), EXACT).until(11.0)
    hand.put(held("another"))
    assert hand.record.version == 2
    hand.until(15.0)
    assert hand.machine.leads


def test_another_holder_is_a_change_even_in_the_same_instant() -> None:
    hand = waiting(held("another"), EXACT).until(13.0)
    hand.put(held("third"))
    hand.until(29.9)
    assert not hand.machine.leads
    hand.until(30.0)
    assert hand.machine.leads


def test_of_two_that_read_the_same_version_one_gets_it() -> None:
    store = ObjectStore()
    write(store, held(""), 0.0)
    first, second = (Hand(candidate(name), store) for name in ("first", "second"))
    for hand in (first, second):
        hand.mood = "hung"
        hand.start()
    for hand in (first, second):
        hand.answer()
    second.answer()
    assert second.machine.leads
    assert first.answer() == [CancelTimer("timeout"), SetTimer("retry", 2.0, pytest.approx(4.4))]
    assert not first.machine.leads
    assert second.record.holder == "second"


# ------------------------------------------------------------------- rule 3: only the local clock


@pytest.mark.parametrize("renewed", [-1e9, 0.0, 1e9, inf])
@pytest.mark.parametrize("clock", [0.0, 1e6])
def test_the_times_in_the_record_are_not_asked(renewed: float, clock: float) -> None:
    hand = Hand(candidate(lease=EXACT), now=clock)
    hand.put(held("another", acquired=renewed, renewed=renewed))
    hand.start()
    hand.until(clock + 14.999)
    assert not hand.machine.leads
    hand.until(clock + 15.0)
    assert hand.machine.leads


def test_a_process_that_is_started_again_waits_for_the_lease_of_its_own_last_life() -> None:
    store = leader(EXACT, identity="me_1").store
    again = Hand(candidate("me_2", EXACT), store, now=3600.0)
    again.start()
    assert not again.until(3614.999).machine.leads
    assert again.until(3615.0).machine.leads


def test_the_duration_that_the_holder_wrote_is_honoured() -> None:
    hand = waiting(held("another", duration=137.0), EXACT)
    assert not hand.until(137.4).machine.leads
    assert hand.until(137.5).machine.leads  # the first poll that is not before 137 s
    assert hand.record.duration == 15.0


def test_a_shorter_duration_of_the_holder_is_honoured_too() -> None:
    assert waiting(held("another", duration=5.0), EXACT).until(5.0).machine.leads


def test_a_record_without_a_holder_is_taken_at_once() -> None:
    hand = waiting(held("", duration=1.0, transitions=7))
    assert said(hand.said, "leading") == [(0.0, {"identity": "me", "term": 9})]
    assert hand.record.transitions == 8


# ------------------------------------------------------------------------------ rule 4: renewals


def test_the_leader_renews_at_once_and_then_a_period_after_each_renewal_without_reading() -> None:
    hand = leader(at=50.0).until(56.5)
    assert hand.kinds() == [(50.0, "Get"), (50.0, "Create"), *((at, "Update") for at in (50.0, 52.0, 54.0, 56.0))]
    versions = [request.thing.version for _, request in hand.requests if isinstance(request, Update)]
    assert versions == [1, 2, 3, 4]
    assert hand.record == held("me", acquired=50.0, renewed=56.0, version=5)


def test_the_next_renewal_comes_a_period_after_the_answer() -> None:
    hand = leader()
    hand.mood = "hung"
    hand.until(2.0)
    hand.now = 2.7
    assert hand.answer() == [
        CancelTimer("timeout"),
        CancelTimer("deadline"),
        CancelTimer("tick"),
        SetTimer("renew", 2.0, 2.0),
    ]
    hand.until(5.0)
    assert hand.kinds(2.0) == [(2.0, "Update"), (4.7, "Update")]


def test_a_renewal_that_meets_another_version_reads_and_writes_in_the_same_try() -> None:
    hand = leader().until(3.0)
    theirs = hand.put(replace(hand.record, strategy="OldestEmulationVersion"))  # somebody has touched it
    hand.until(4.0)
    assert hand.kinds(3.0) == [(4.0, "Update"), (4.0, "Get"), (4.0, "Update")]
    last = hand.requests[-1][1]
    assert isinstance(last, Update)
    assert last.thing == held("me", acquired=0.0, renewed=4.0, version=theirs.version)
    assert hand.until(6.0).kinds(5.0) == [(6.0, "Update")]
    assert hand.machine.token == 1
    assert said(hand.said, "leading") == [(0.0, {"identity": "me", "term": 1})]


@pytest.mark.parametrize(("deadline", "tries"), [(10.0, 5), (2.5, 2), (9.9, 5), (10.1, 6)])
def test_a_leader_whose_calls_are_refused_tries_so_often_and_loses_at_its_deadline(deadline: float, tries: int) -> None:
    hand = leader(k8s(renew_deadline=deadline)).until(1.0)
    hand.mood = "refused"
    hand.until(60.0)
    calls = [(at, name) for at, name in hand.kinds(1.0)]
    assert calls == [(2.0 + 2.0 * i, name) for i in range(tries) for name in ("Update", "Get")]
    assert hand.left == (2.0 + deadline, LOST)
    assert said(hand.said, "stopped leading") == [(2.0 + deadline, {"identity": "me", "why": "could not renew"})]


def test_a_leader_whose_calls_hang_tries_once() -> None:
    hand = leader().until(1.0)
    hand.mood = "hung"
    hand.until(60.0)
    assert [(at, type(m).__name__) for at, _, m in hand.sent if at >= 1.0] == [
        (2.0, "Call"),
        (7.0, "Hangup"),
        (7.0, "Call"),
        (12.0, "Hangup"),
    ]
    assert hand.kinds(1.0) == [(2.0, "Update"), (7.0, "Get")]
    assert hand.left == (12.0, LOST)


def test_the_time_to_lose_counts_from_the_last_good_answer() -> None:
    hand = leader()
    hand.mood = "hung"
    hand.until(2.0)
    hand.now = 6.9  # written at 2.0, answered at the last moment
    hand.answer()
    hand.until(60.0)
    assert hand.left == (pytest.approx(6.9 + 2.0 + 10.0), LOST)


def test_one_tick_that_came_during_a_try_is_owed_and_the_beat_stays() -> None:
    """PollUntilContextTimeout has a ticker that keeps one tick: after 3 s of waiting a try follows at once."""
    hand = leader(k8s(timeout=1.5)).until(1.0)
    hand.mood = "hung"
    hand.until(4.9)  # both calls of the try from 2 on were hung up, the last is so at 5.0
    assert hand.kinds(1.0) == [(2.0, "Update"), (3.5, "Get")]
    hand.until(5.0)
    hand.mood = "refused"
    hand.unlink()
    hand.until(60.0)
    tries = [at for at, name in hand.kinds(1.0) if name == "Update"]
    assert tries == [2.0, 5.0, 6.0, 8.0, 10.0]
    assert hand.left == (12.0, LOST)


def test_ticks_that_come_during_one_try_are_one() -> None:
    hand = leader(k8s(timeout=3.5)).until(1.0)
    hand.mood = "hung"
    hand.until(9.0)  # from 2 to 9: ticks at 4, 6 and 8
    assert [at for at, name in hand.kinds(1.0) if name == "Update"] == [2.0, 9.0]
    hand.mood = "refused"
    hand.unlink()
    assert [at for at, name in hand.until(11.9).kinds(1.0) if name == "Update"] == [2.0, 9.0, 10.0]


def test_a_renewal_in_time_sets_everything_back() -> None:
    hand = leader().until(1.0)
    hand.mood = "refused"
    hand.until(9.0)
    hand.mood = "well"
    hand.until(40.0)
    assert hand.left is None
    assert hand.kinds(9.0) == [(at, "Update") for at in range(10, 41, 2)]


def test_a_leader_that_sees_another_name_goes_on_until_its_deadline_and_touches_nothing() -> None:
    hand = leader().until(3.0)
    theirs = hand.put(held("another", transitions=1))
    hand.until(13.999)
    assert hand.machine.leads
    assert hand.machine.token == 1  # of its own term, not of the one that it sees
    assert not hand.machine.may_act(5.0)
    assert hand.record == theirs
    hand.until(14.0)
    assert hand.left == (14.0, LOST)
    assert hand.record == theirs


def test_a_leader_that_finds_its_lease_given_up_takes_it_in_a_new_term() -> None:
    hand = leader().until(3.0)
    hand.put(held("", duration=1.0, transitions=3))
    hand.until(4.0)
    assert hand.machine.leads
    assert (hand.record.holder, hand.record.transitions, hand.machine.token) == ("me", 4, 5)


def test_its_lease_lasts_by_its_clock_from_when_it_sent_the_renewal_however_late_the_answer() -> None:
    hand = leader()
    assert hand.machine.may_act(14.999)
    assert not hand.machine.may_act(15.0)
    hand.mood = "hung"
    hand.until(2.0)
    hand.now = 6.9
    hand.answer()
    assert hand.machine.may_act(16.999)
    assert not hand.machine.may_act(17.0)  # whoever saw it written at 2.0 may lead from now on


# ---------------------------------------------------------------------------- rule 5: the end


def test_one_that_waits_leaves_at_once_when_asked() -> None:
    assert waiting(held("another")).stop() == [Exit("asked to stop")]


def test_one_that_waits_for_an_answer_hangs_up_first() -> None:
    hand = Hand(candidate())
    hand.mood = "hung"
    hand.start()
    assert hand.stop() == [CancelTimer("timeout"), Send(API, Hangup(1)), Exit("asked to stop")]


def test_a_leader_that_does_not_release_stops_and_leaves_the_record() -> None:
    hand = leader()
    before = hand.record
    assert [type(effect).__name__ for effect in hand.stop()] == ["Announce", "Exit"]
    assert said(hand.said, "stopped leading") == [(0.0, {"identity": "me", "why": "asked to stop"})]
    assert hand.record == before


def test_a_leader_that_is_stopped_during_a_renewal_hangs_up() -> None:
    hand = leader()
    hand.mood = "hung"
    hand.until(2.0)
    n = hand.calls[-1][1].n
    assert hand.stop()[1:] == [CancelTimer("timeout"), Send(API, Hangup(n)), Exit("asked to stop")]


@pytest.mark.parametrize("busy", [False, True])
def test_with_release_it_stops_and_writes_a_record_without_a_holder_over_what_it_read(busy: bool) -> None:
    hand = leader(k8s(release=True))
    hand.mood = "hung" if busy else "well"
    hand.until(3.0)
    hand.mood = "well"
    hand.stop()
    assert hand.left == (3.0, "asked to stop")
    assert [name for at, name in hand.kinds(3.0)] == ["Get", "Update"]
    assert hand.record.says() == held("", duration=1.0, acquired=3.0, renewed=3.0)
    kinds = [kind for _, kind, _ in hand.said]
    assert kinds == ["leading", "stopped leading"]


def test_it_has_stopped_before_it_releases() -> None:
    hand = leader(k8s(release=True))
    hand.mood = "hung"
    effects = hand.stop()
    assert [type(effect).__name__ for effect in effects] == [
        "Announce",
        "CancelTimer",
        "CancelTimer",
        "SetTimer",
        "Send",
        "SetTimer",
    ]
    assert not hand.machine.leads


def test_a_release_that_meets_another_version_reads_again() -> None:
    hand = leader(k8s(release=True))
    hand.mood = "hung"
    hand.stop()
    hand.answer()  # the read
    hand.put(replace(hand.record, renewed=99.0))  # a renewal that was under way is written after all
    hand.answer()  # the write: a conflict
    hand.answer()
    hand.answer()
    assert hand.kinds()[-4:] == [(0.0, "Get"), (0.0, "Update"), (0.0, "Get"), (0.0, "Update")]
    assert hand.record.holder == ""
    assert hand.left == (0.0, "asked to stop")


@pytest.mark.parametrize(("mood", "at"), [("refused", 1.0), ("hung", 6.0)])
def test_a_release_that_fails_is_given_up(mood: Any, at: float) -> None:
    hand = leader(k8s(release=True)).until(1.0)
    hand.mood = mood
    hand.stop()
    hand.until(60.0)
    assert hand.left == (at, "asked to stop")
    assert hand.record.holder == "me"


def test_a_release_does_not_take_longer_than_the_deadline() -> None:
    hand = leader(k8s(release=True)).until(1.0)
    hand.mood = "hung"
    hand.stop()
    for at in (4.0, 8.0):  # a slow server, and somebody who writes again and again
        hand.now = at
        hand.answer()
        hand.put(replace(hand.record, renewed=at))
    hand.until(60.0)
    assert hand.left == (11.0, "asked to stop")


def test_a_release_of_what_it_saw_in_the_hands_of_another_writes_nothing() -> None:
    hand = leader(k8s(release=True)).until(3.0)
    theirs = hand.put(held("another", transitions=1))
    hand.until(5.0)
    hand.stop()
    assert hand.kinds(5.0) == [(5.0, "Get")]
    assert hand.record == theirs
    assert hand.left == (5.0, "asked to stop")


def test_a_release_wipes_the_lease_of_another_whom_it_had_not_seen() -> None:
    """client-go asks the record that it saw last whether it leads, not the one that it has just read."""
    hand = leader(k8s(release=True)).until(3.0)
    hand.put(held("another", transitions=1))
    hand.stop()
    assert hand.record.says() == held("", duration=1.0, acquired=3.0, renewed=3.0, transitions=1)


def test_without_any_record_there_is_nothing_to_release() -> None:
    hand = leader(k8s(release=True))
    hand.mood = "hung"
    hand.stop()
    assert hand.answer(Refused("not found"))[-1] == Exit("asked to stop")


def test_who_is_asked_twice_leaves_without_waiting() -> None:
    hand = leader(k8s(release=True))
    hand.mood = "hung"
    hand.stop()
    assert hand.stop() == [CancelTimer("timeout"), Send(API, Hangup(4)), Exit("asked to stop")]
    assert len(said(hand.said, "stopped leading")) == 1


@pytest.mark.parametrize(("mood", "at"), [("refused", 12.0), ("hung", 17.0)])
def test_one_that_has_lost_and_releases_leads_until_that_has_failed(mood: Any, at: float) -> None:
    """client-go's renew ends with a release, and what it leads ends after renew: with a silent store 5 s later."""
    hand = leader(k8s(release=True)).until(1.0)
    hand.mood = mood
    hand.until(at - 0.001)
    assert hand.machine.leads
    hand.until(60.0)
    assert hand.left == (at, LOST)
    assert said(hand.said, "stopped leading") == [(at, {"identity": "me", "why": "could not renew"})]


def test_one_that_has_lost_releases_what_it_can_reach_again() -> None:
    hand = leader(k8s(release=True)).until(1.0)
    hand.mood = "refused"
    hand.until(11.0)
    hand.mood = "well"
    hand.until(12.0)
    assert hand.left == (12.0, LOST)
    assert hand.record.holder == ""


def test_one_that_is_asked_to_stop_while_it_releases_what_it_lost_stops_at_once_and_goes_on_releasing() -> None:
    hand = leader(k8s(release=True)).until(1.0)
    hand.mood = "hung"
    hand.until(14.0)
    assert hand.machine.leads
    hand.stop()
    assert not hand.machine.leads
    assert said(hand.said, "stopped leading") == [(14.0, {"identity": "me", "why": "asked to stop"})]
    hand.answer()
    hand.answer()
    assert hand.left == (14.0, "asked to stop")
    assert hand.record.holder == ""


# ----------------------------------------------------------------------- what comes late or oddly


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5, 99])
def test_an_answer_to_another_call_is_ignored(n: int) -> None:
    hand = leader()
    hand.mood = "hung"
    hand.until(2.0)
    assert hand.calls[-1][1].n == 4
    assert hand.answer(Done(held("another")), n) == []
    assert hand.machine.observed.holder == "me"


def test_the_answer_to_a_call_that_was_hung_up_is_ignored() -> None:
    hand = Hand(candidate())
    hand.mood = "hung"
    hand.start()
    hand.until(5.0)
    assert hand.answer(Refused("not found")) == []
    assert hand.timers.keys() == {"retry"}


def test_an_answer_that_comes_twice_is_heard_once() -> None:
    hand = Hand(candidate())
    hand.put(held("another"))
    hand.mood = "hung"
    hand.start()
    assert hand.answer()
    assert hand.answer() == []


def test_a_connection_that_breaks_fails_the_call_under_way_and_nothing_else() -> None:
    hand = leader()
    assert hand.unlink() == []
    hand.mood = "hung"
    hand.until(2.0)
    assert hand.unlink("another node") == []
    assert hand.unlink() == [CancelTimer("timeout"), Send(API, Call(5, READ)), SetTimer("timeout", 5.0, 5.0)]
    assert hand.unlink() == [CancelTimer("timeout")]
    assert hand.unlink() == []


@pytest.mark.parametrize("timer", ["renew", "tick", "timeout", "deadline of nothing", "duty round"])
def test_timers_of_another_mode_do_nothing(timer: str) -> None:
    assert waiting(held("another")).hear(Fired(timer)) == []


@pytest.mark.parametrize("timer", ["retry", "timeout"])
def test_timers_of_a_candidate_do_nothing_to_a_leader(timer: str) -> None:
    assert leader().hear(Fired(timer)) == []


def test_a_retry_that_fires_during_a_try_does_nothing() -> None:
    hand = Hand(candidate())
    hand.mood = "hung"
    hand.start()
    assert hand.hear(Fired("retry")) == []


def test_words_that_are_no_answers_are_ignored() -> None:
    hand = Hand(candidate())
    hand.mood = "hung"
    hand.start()
    assert hand.get("hello") == []


# -------------------------------------------------------------------------------- calm, and leaps


def test_it_is_calm_with_whoever_holds_the_lease() -> None:
    hand = Hand(candidate())
    assert hand.machine.calm() is None  # it has seen nothing
    hand.put(held("another"))
    hand.start()
    assert hand.machine.calm() == "another"
    assert leader().machine.calm() == "me"


def test_it_is_not_calm_while_it_takes_or_gives_up_a_lease() -> None:
    hand = waiting(held("another"), EXACT).until(14.0)
    hand.mood = "hung"
    hand.until(15.0)
    assert hand.machine.calm() == "another"  # it reads, as ever
    hand.answer()
    assert hand.machine.calm() is None
    hand = leader(k8s(release=True)).until(1.0)
    hand.mood = "hung"
    hand.until(12.0)  # it has lost
    assert hand.machine.calm() is None
    hand.stop()
    assert hand.machine.calm() is None
    assert waiting(held(""), EXACT).machine.calm() == "me"


def test_what_is_left_out_is_as_if_all_had_happened_later() -> None:
    plain, leapt = (waiting(held("another"), EXACT).until(5.5) for _ in range(2))
    leapt.machine.skipped(1000.0)
    leapt.now += 1000.0
    leapt.timers = {name: (due + 1000.0, count) for name, (due, count) in leapt.timers.items()}
    assert plain.until(15.0).machine.leads
    assert not leapt.until(1014.9).machine.leads
    assert leapt.until(1015.0).machine.leads
    for by in (0.0, 500.0):
        hand = leader()
        hand.machine.skipped(by)
        assert hand.machine.may_act(by + 14.9)
        assert not hand.machine.may_act(by + 15.0)


# ------------------------------------------------------------------------------------- the record


def test_a_record_is_the_spec_of_a_lease_object() -> None:
    record = held("me_1", acquired=1.5, renewed=3.5, transitions=2, version=9)
    assert record.as_lease() == {
        "holderIdentity": "me_1",
        "leaseDurationSeconds": 15,
        "acquireTime": 1.5,
        "renewTime": 3.5,
        "leaseTransitions": 2,
    }
    chosen = replace(record, strategy="OldestEmulationVersion", preferred="me_2").as_lease()
    assert (chosen["strategy"], chosen["preferredHolder"]) == ("OldestEmulationVersion", "me_2")


def test_a_record_is_the_annotation_that_held_it_before() -> None:
    assert ANNOTATION == "control-plane.alpha.kubernetes.io/leader"
    record = held("me_1", transitions=2)
    assert json.loads(record.as_annotation()[ANNOTATION]) == record.as_lease()


def test_what_a_record_says_leaves_out_its_version_alone() -> None:
    record = held("me", version=3)
    assert record.says() == replace(record, version=7).says()
    changes: list[dict[str, Any]] = [
        {"holder": "x"},
        {"duration": 16.0},
        {"acquired": 1.0},
        {"renewed": 1.0},
        {"transitions": 1},
        {"strategy": "x"},
        {"preferred": "x"},
    ]
    assert all(replace(record, **change).says() != record.says() for change in changes)


@pytest.mark.parametrize("lock", ["leases", "endpoints", "configmaps"])
def test_every_lock_elects_alike(lock: str) -> None:
    hand = waiting(held("another"), Lease.model_validate({"retry_period": "2500ms", "lock": lock}))
    assert hand.until(15.0).machine.leads


# ----------------------------------------------------------------------------------- the settings


def test_the_defaults_are_those_of_component_base() -> None:
    lease = Lease()
    assert (lease.duration, lease.renew_deadline, lease.retry_period, lease.release) == (15.0, 10.0, 2.0, False)
    assert lease.patience == 5.0
    assert lease.longest_retry == pytest.approx(4.4)
    assert lease.renewal_period == 2.0
    assert lease.margin == 3.0
    assert lease.tolerable_rate == 1.25


def test_the_margin_of_openshift_is_four_seconds() -> None:
    lease = k8s(duration=137, renew_deadline=107, retry_period=26)
    assert lease.margin == 4.0
    assert lease.patience == 53.5


def test_a_request_may_take_a_second_however_short_the_deadline() -> None:
    assert k8s(duration=3, renew_deadline=1.5, retry_period=1).patience == 1.0
    assert k8s(timeout=7).patience == 7.0


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"duration": "10s"}, "duration", "a lease lasts longer than its leader tries to renew it"),
        ({"duration": "10.5s"}, "duration", "the record holds whole seconds"),
        ({"duration": "500ms"}, "duration", "the record holds whole seconds"),
        ({"duration": 0}, "duration", ""),
        ({"duration": "-1s"}, "duration", ""),
        ({"renew_deadline": "2400ms"}, "renew_deadline", "more than 1.2 retry periods"),
        ({"retry_period": "8400ms"}, "renew_deadline", "more than 1.2 retry periods"),
        ({"retry_period": "9s"}, "renew_deadline", "more than 1.2 retry periods"),
        ({"retry_period": 0}, "retry_period", ""),
        ({"renew_deadline": 0}, "renew_deadline", ""),
        ({"timeout": 0}, "timeout", ""),
        ({"release": "yes"}, "release", ""),
        ({"lock": "endpointsleases"}, "lock", ""),
        ({"kind": "ttl"}, "kind", ""),
        ({"lease_duration": "15s"}, "lease_duration", ""),
    ],
)
def test_settings_that_client_go_would_not_start_with_are_refused_by_field(
    given: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(ModelError) as refused:
        Lease(**given)
    (problem,) = refused.value.problems
    assert problem.path == field
    assert words in problem.message


def test_a_deadline_just_above_the_bound_is_taken() -> None:
    assert k8s(renew_deadline=2.4001).renew_deadline == 2.4001
    assert k8s(duration=11).duration == 11.0


# -------------------------------------------------------------------------------------- the server


def server(low: float = 0.0, high: float = 0.0) -> Hand:
    hand = Hand(LeaseServer(low, high))
    hand.start()
    return hand


def test_the_server_has_done_what_it_answers_and_saved_it_before() -> None:
    hand = server(0.5, 1.5)
    assert hand.get(Call(1, Create(held("me"))), "a") == [SetTimer("a", 0.5, 1.5)]
    hand.until(0.4)
    assert not hand.sent
    hand.until(0.5)
    assert hand.sent == [(0.5, "a", Answered(1, Done(held("me", version=1))))]
    assert len(hand.saved) == 1
    hand.get(Call(2, READ), "b")
    hand.until(1.0)
    assert hand.last == Answered(2, Done(held("me", version=1)))
    assert len(hand.saved) == 1  # a read changes nothing


def test_the_server_drops_what_was_hung_up_or_whose_connection_broke() -> None:
    hand = server(1.0, 1.0)
    hand.get(Call(1, Create(held("me"))), "a")
    assert hand.get(Hangup(0), "a") == []  # of an earlier call
    assert hand.get(Hangup(1), "b") == []
    assert hand.get(Hangup(1), "a") == [CancelTimer("a")]
    hand.get(Call(2, Create(held("me"))), "a")
    assert hand.unlink("b") == []
    assert hand.unlink("a") == [CancelTimer("a")]
    assert not hand.until(5.0).sent
    assert hand.get(Hangup(2), "a") == []


def test_a_client_that_calls_again_has_hung_up_before() -> None:
    hand = server(1.0, 1.0)
    hand.get(Call(1, Create(held("one"))), "a")
    hand.get(Call(2, Create(held("two"))), "a")
    assert [message for _, _, message in hand.until(5.0).sent] == [Answered(2, Done(held("two", version=1)))]


def test_what_the_server_has_saved_survives_a_crash_and_is_not_changed_by_the_next_life() -> None:
    hand = server()
    hand.get(Call(1, Create(held("me"))), "a")
    hand.until(0.0)
    disk = None
    for record in hand.saved:
        disk = keep(disk, record)
    again = Hand(LeaseServer(0.0, 0.0))
    again.start(disk)
    again.get(Call(1, Update(held("you", version=1))), "b")
    again.until(0.0)
    assert again.last == Answered(1, Done(held("you", version=2)))
    assert disk is not None
    assert disk.get(LeaderRecord, NAME) == held("me", version=1)


def test_an_unknown_event_is_ignored() -> None:
    assert server().hear(Received("a", "hello")) == []
    assert server().hear(Unlinked("a")) == []
    assert Hand(LeaseServer(0.0, 0.0)).hear(Started()) == []
