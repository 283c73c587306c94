"""Coordinated leader election, rule by rule: the candidate, its candidacy, the controller, and two controllers."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any

import numpy as np
import pytest
from leasing import API, NAME, Hand, candidate, held, k8s, said

from hasim.errors import ModelError
from hasim.machine import Announce, CancelTimer, Effect, Fired, Received, Save, Send, SetTimer, Started, Unlinked
from hasim.protocols.api import Change, Create, Delete, Done, Get, ObjectStore, Refused, Update
from hasim.protocols.lease.candidate import LOST
from hasim.protocols.lease.coordinated import (
    LINE,
    RENEWAL,
    RETRY,
    REWATCH,
    Candidacy,
    CoordinatedCandidate,
    LeaseCandidate,
)
from hasim.protocols.lease.coordinator import LOOK, STRATEGY, WRITE, Coordinator, Step, later, look, version_of
from hasim.protocols.lease.messages import Answered, Call, Watch, Watched
from hasim.protocols.lease.record import LeaderRecord
from hasim.protocols.lease.server import LeaseServer, keep
from hasim.protocols.lease.settings import Lease

COORDINATED = Lease(coordinated=True)


def standing(
    name: str, emulation: str = "1.34", renewed: float = 0.0, binary: str | None = None, **more: Any
) -> LeaseCandidate:
    """Somebody who would lead."""
    return LeaseCandidate(name, NAME, binary or emulation, emulation, renewed, **more)


def store_of(*things: Any) -> ObjectStore:
    """A store of these objects, made in this order."""
    store = ObjectStore()
    for thing in things:
        store.apply(Create(thing), 0.0)
    return store


def record_in(store: ObjectStore) -> LeaderRecord:
    found = store.get(LeaderRecord, NAME)
    assert found is not None
    return found


def one_in(store: ObjectStore, name: str) -> LeaseCandidate:
    found = store.get(LeaseCandidate, name)
    assert found is not None
    return found


# ----------------------------------------------------------------------------- the candidacy: rules 1 to 3


def declared(now: float = 0.0) -> Hand:
    """A candidacy whose object is in the store, and which has heard so."""
    hand = Hand(Candidacy(standing("me", renewed=-1.0), API), now=now)
    hand.start()
    hand.get(Watched("me", None))
    return hand


def tell(hand: Hand, **changes: Any) -> LeaseCandidate:
    """Somebody else writes its object, and it hears of that."""
    reply, _ = hand.store.apply(Update(replace(one_in(hand.store, "me"), **changes)), hand.now)
    assert isinstance(reply, Done)
    told: LeaseCandidate = reply.thing
    hand.get(Watched("me", told))
    return told


def test_it_watches_and_declares_itself_once_it_knows_what_is_there() -> None:
    hand = Hand(Candidacy(standing("me", renewed=-1.0), API), now=7.0)
    hand.mood = "hung"
    assert hand.start() == [Send(API, Watch("me"))]
    asked = Create(standing("me", renewed=7.0))
    assert hand.get(Watched("me", None)) == [Send(API, Call(1, asked, LINE))]


def test_it_writes_over_what_is_there_already() -> None:
    hand = Hand(Candidacy(standing("me"), API), store_of(standing("me", renewed=1.0)), now=2.0)
    hand.start()
    hand.get(Watched("me", one_in(hand.store, "me")))
    assert [type(request) for _, request in hand.requests] == [Update]
    assert one_in(hand.store, "me") == standing("me", renewed=2.0, version=2)


def test_it_renews_every_five_minutes_and_an_answer_to_a_ping_does_not_put_that_off() -> None:
    hand = declared().until(100.0)
    tell(hand, pinged=100.0)
    hand.until(650.0)
    assert [at for at, _ in hand.requests] == [0.0, 100.0, 300.0, 600.0]


def test_it_answers_a_ping_at_once_over_the_version_that_has_it() -> None:
    hand = declared().until(10.0)
    pinged = tell(hand, pinged=10.0)
    assert hand.requests[-1] == (10.0, Update(replace(pinged, renewed=10.0)))
    assert one_in(hand.store, "me").has_answered
    assert hand.get(Watched("me", one_in(hand.store, "me"))) == []  # which it has written itself


def test_a_ping_during_a_write_is_answered_after_it_whether_that_fails_or_not() -> None:
    for refused in (True, False):
        hand = declared().until(300.0 - 1e-9)
        hand.mood = "hung"
        hand.until(300.0)  # the regular renewal is on its way
        pinged = replace(one_in(hand.store, "me"), pinged=300.0, version=9)
        assert hand.get(Watched("me", pinged)) == []
        done = replace(pinged, renewed=300.0, version=10)
        effects = hand.answer(Refused("conflict") if refused else Done(done))
        assert hand.last == Call(3, Update(replace(pinged if refused else done, renewed=300.0)), LINE)
        assert not any(isinstance(effect, SetTimer) and effect.timer == RETRY for effect in effects)


def test_a_write_that_is_refused_is_made_again_after_twice_as_long_each_time() -> None:
    hand = declared()
    hand.mood = "hung"
    hand.until(300.0)
    waits = []
    for _ in range(20):
        effects = hand.answer(Refused("conflict"))
        assert isinstance(effects[0], SetTimer) and effects[0].timer == RETRY
        waits.append(effects[0].low)
        hand.until(hand.now + effects[0].low)
    assert waits[:4] == [0.005, 0.01, 0.02, 0.04]
    assert waits[-3:] == [0.005 * 2**17, 1000.0, 1000.0]
    hand.answer(Done(standing("me", renewed=hand.now, version=50)))
    assert hand.machine.is_calm
    assert RETRY not in hand.timers
    hand.until(hand.now + 300.0)
    assert hand.answer(Refused("conflict"))[0] == SetTimer(RETRY, 0.005, 0.005)  # it has started over


def test_an_object_that_is_gone_is_made_anew() -> None:
    hand = declared()
    hand.store.apply(Delete(LeaseCandidate, "me"), 0.0)
    hand.get(Watched("me", None))
    hand.until(300.0)
    assert isinstance(hand.requests[-1][1], Create)
    assert one_in(hand.store, "me").renewed == 300.0


def test_a_broken_watch_is_begun_again_after_twice_as_long_each_time_however_often_it_hears_of_it() -> None:
    hand = declared()
    waits = []
    for _ in range(8):
        [again] = hand.unlink()
        assert hand.unlink() == []  # the candidate beside it has called in vain, too
        assert isinstance(again, SetTimer) and again.timer == REWATCH
        waits.append((again.low, again.high))
        hand.until(hand.now + again.low)
        assert hand.last == Watch("me")
    assert waits[:3] == [(0.8, 1.6), (1.6, 3.2), (3.2, 6.4)]
    assert waits[-2:] == [(30.0, 60.0), (30.0, 60.0)]
    tell(hand, pinged=hand.now)
    assert one_in(hand.store, "me").has_answered
    assert hand.unlink() == [SetTimer(REWATCH, 0.8, 1.6)]


def test_a_broken_connection_fails_the_write_that_is_under_way() -> None:
    hand = declared()
    hand.mood = "hung"
    hand.until(300.0)
    assert hand.unlink() == [SetTimer(RETRY, 0.005, 0.005), SetTimer(REWATCH, 0.8, 1.6)]
    assert hand.answer(Done(standing("me", renewed=300.0, version=9))) == []  # too late
    assert not hand.machine.is_calm


def test_a_slow_clock_answers_again_and_again_until_that_is_an_answer() -> None:
    hand = declared()
    tell(hand, pinged=0.32)  # by the clock of whoever asks
    while not one_in(hand.store, "me").has_answered:
        hand.get(Watched("me", one_in(hand.store, "me")))
        hand.until(hand.timers[RETRY][0])
    # The first of its tries, 50 ms apart, that is no earlier than the ping.
    assert one_in(hand.store, "me").renewed == pytest.approx(0.35)
    assert len(hand.requests) == 1 + 1 + 7
    assert RETRY not in hand.timers


def test_it_is_calm_when_only_its_renewal_is_to_come() -> None:
    hand = Hand(Candidacy(standing("me"), API))
    hand.start()
    assert not hand.machine.is_calm
    hand.get(Watched("me", None))
    assert hand.machine.is_calm
    hand.mood = "hung"
    tell(hand, pinged=hand.now + 1.0)
    assert not hand.machine.is_calm


def test_news_of_another_process_or_of_an_older_version_changes_nothing() -> None:
    hand = declared()
    assert hand.get(Watched("me before", None)) == []
    assert hand.get(Watched("me", standing("me", renewed=-9.0, pinged=-8.0, version=0))) == []
    hand.until(300.0)
    assert isinstance(hand.requests[-1][1], Update)


def test_who_is_asked_to_stop_answers_no_more() -> None:
    hand = declared()
    assert hand.stop() == [CancelTimer(timer) for timer in (RENEWAL, RETRY, REWATCH)]
    tell(hand, pinged=0.0)
    assert hand.unlink() == []
    hand.until(900.0)
    assert len(hand.requests) == 1


@pytest.mark.parametrize("alone", [True, False])
def test_a_leap_leaves_what_it_knows_as_old_as_it_was(alone: bool) -> None:
    machine = Candidacy(standing("me"), API) if alone else CoordinatedCandidate(COORDINATED, NAME, "me", API, "1.34")
    hand = Hand(machine, now=10.0)
    hand.mood = "hung"
    hand.start()
    hand.get(Watched("me", standing("me", renewed=9.0, pinged=8.0, version=7)))
    hand.get(Answered(1, Done(standing("me", renewed=10.0, pinged=8.0, version=8)), LINE))
    machine.skipped(1000.0)
    hand.now += 1000.0
    hand.hear(Fired(RENEWAL))
    assert hand.last.request == Update(standing("me", renewed=1010.0, pinged=1008.0, version=8))


# ---------------------------------------------------------------------------- the candidate: rules 4 to 6


def named(by: str = "me", **more: Any) -> LeaderRecord:
    """A record as the controller writes it."""
    return held(by, duration=5.0, strategy=STRATEGY, **more)


@pytest.mark.parametrize("record", [None, held(""), held("another", duration=1.0), named("another")])
def test_it_takes_nothing_that_it_was_not_given(record: LeaderRecord | None) -> None:
    hand = Hand(candidate(lease=COORDINATED))
    if record is not None:
        hand.put(record)
    hand.start()
    hand.until(60.0)
    assert {type(request) for _, request in hand.requests} == {Get}
    assert [at for at, _ in hand.requests][:3] == [0.0, 2.0, 4.0]
    assert not hand.machine.leads


def test_it_leads_once_the_record_names_it_and_keeps_the_rest_of_the_record() -> None:
    hand = Hand(candidate(lease=COORDINATED))
    hand.start()
    hand.now = 1.0
    given = hand.put(named(acquired=1.0, renewed=1.0))
    hand.until(2.0)
    renewed = replace(given, duration=15.0, renewed=2.0)
    assert hand.requests[1:3] == [(2.0, Get(LeaderRecord, NAME)), (2.0, Update(renewed))]
    assert said(hand.said, "leading") == [(2.0, {"identity": "me", "term": 2})]
    assert hand.record.transitions == 0


def test_its_term_has_the_version_of_its_first_record_for_a_number() -> None:
    hand = Hand(candidate(lease=COORDINATED))
    hand.store.version = 41
    hand.put(named())
    hand.start()
    assert hand.machine.token == 43
    hand.until(30.0)
    assert hand.machine.token == 43
    assert hand.record.version > 50


def test_every_renewal_reads_first() -> None:
    hand = Hand(candidate(lease=COORDINATED))
    hand.put(named())
    hand.start()
    hand.until(6.5)
    assert hand.kinds(since=1.0) == [(at, kind) for at in (2.0, 4.0, 6.0) for kind in ("Get", "Update")]


@pytest.mark.parametrize("release", [False, True])
def test_its_term_ends_at_its_deadline_when_another_is_preferred(release: bool) -> None:
    hand = Hand(candidate(lease=k8s(release=release).model_copy(update={"coordinated": True})))
    hand.put(named())
    hand.start()
    hand.until(4.5)
    hand.put(replace(hand.record, preferred="another"))
    hand.until(100.0)
    # It reads so at 6 s, and in vain every 2 s up to 10 s later.
    assert said(hand.said, "stopped leading") == [(16.0, {"identity": "me", "why": "end of term"})]
    assert hand.left == (16.0, LOST)
    assert [at for at, kind in hand.kinds(since=5.0) if kind == "Update"] == ([16.0] if release else [])
    if release:
        assert (hand.record.holder, hand.record.preferred, hand.record.strategy) == ("", "", "")
    else:
        assert (hand.record.renewed, hand.record.preferred) == (4.0, "another")


def test_who_is_given_a_lease_that_another_is_to_have_does_not_begin() -> None:
    hand = Hand(candidate(lease=COORDINATED))
    hand.put(named(preferred="another"))
    hand.start()
    hand.until(20.0)
    assert not hand.machine.leads
    assert {type(request) for _, request in hand.requests} == {Get}


def test_it_does_not_renew_what_it_has_not_seen_change_for_longer_than_that_lasts() -> None:
    hand = Hand(candidate(lease=k8s(retry_period=6).model_copy(update={"coordinated": True})))
    hand.put(named())
    hand.mood = "hung"
    hand.start()
    hand.answer()
    assert isinstance(hand.calls[-1][1].request, Update)
    hand.answer(Refused("conflict"))
    hand._calls.clear()
    hand.mood = "well"
    hand.until(20.0)
    assert hand.kinds(since=1.0) == [(6.0, "Get"), (12.0, "Get"), (18.0, "Get")]


def test_candidate_and_candidacy_have_a_line_each() -> None:
    hand = Hand(CoordinatedCandidate(COORDINATED, NAME, "me", API, "1.34"))
    hand.mood = "hung"
    read = Call(1, Get(LeaderRecord, NAME))
    assert hand.start() == [Send(API, Watch("me")), Send(API, read), SetTimer("timeout", 5.0, 5.0)]
    hand.get(Watched("me", None))
    assert hand.last == Call(1, Create(standing("me")), LINE)
    hand.get(Answered(1, Done(standing("me", version=1)), LINE))
    assert hand.machine.candidacy.is_calm
    assert hand.machine.calm() is None  # its candidate has seen nothing yet
    assert hand.get(Answered(1, Refused("not found"))) == [CancelTimer("timeout"), SetTimer("retry", 2.0, 4.4)]


def test_who_leaves_says_so_last() -> None:
    hand = Hand(CoordinatedCandidate(COORDINATED, NAME, "me", API, "1.34"))
    hand.mood = "hung"
    hand.start()
    hand.stop()
    assert hand.left == (0.0, "asked to stop")


def test_only_a_lease_object_can_be_coordinated() -> None:
    with pytest.raises(ModelError, match="only Lease objects"):
        Lease(coordinated=True, lock="endpoints")


# ------------------------------------------------------------------------------- the controller: one look


def test_without_candidates_there_is_nothing_to_do_and_nothing_to_wait_for() -> None:
    assert look(ObjectStore(), NAME, 0.0) == Step((), again=False)
    elsewhere = replace(standing("a"), lease="another lease")
    assert look(store_of(elsewhere), NAME, 0.0) == Step((), again=False)


def test_where_there_is_no_lease_the_best_of_the_fresh_candidates_gets_one_at_once() -> None:
    store = store_of(standing("new", "1.34", renewed=6.0), standing("old", "1.33", renewed=7.0))
    made = LeaderRecord(NAME, "old", 5.0, 8.0, 8.0, strategy=STRATEGY)
    assert look(store, NAME, 8.0) == Step((Create(made),))


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (("1.33", "1.34"), ("1.34", "1.34")),  # emulation first
        (("1.33", "1.35"), ("1.34", "1.34")),
        (("1.33", "1.33"), ("1.33", "1.34")),  # then the binary
        (("1.9", "1.9"), ("1.10", "1.10")),  # versions are numbers
        (("1.34", "1.34"), ("1.34.1", "1.34.1")),
        (("1.34", "1.34"), ("1.34.0", "1.34.0")),  # the same, and the first is older
    ],
)
def test_the_oldest_is_the_best(better: tuple[str, str], worse: tuple[str, str]) -> None:
    def elected(*order: tuple[str, tuple[str, str]]) -> str:
        store = store_of(*(standing(name, emulation, 0.0, binary) for name, (emulation, binary) in order))
        [request] = look(store, NAME, 1.0).requests
        assert isinstance(request, Create)
        return str(request.thing.holder)

    assert elected(("better", better), ("worse", worse)) == "better"
    if [*map(version_of, better)] != [*map(version_of, worse)]:
        assert elected(("worse", worse), ("better", better)) == "better"


@pytest.mark.parametrize("text", ["", "v1.34", "1.34.0.1", "1.x", "1.-3", "1..3", "1.34-beta"])
def test_what_is_no_version_of_a_release_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        version_of(text)


def test_it_pings_waits_up_to_five_seconds_and_elects_of_those_who_have_answered() -> None:
    dead, well, other = standing("dead", "1.33"), standing("well", "1.34"), standing("other", "1.34")
    store = store_of(dead, well, other)

    step = look(store, NAME, 100.0)
    assert step == Step(tuple(Update(replace(one_in(store, name), pinged=100.0)) for name in ("dead", "well", "other")))
    for request in step.requests:
        store.apply(request, 100.0)
    assert look(store, NAME, 100.0) == Step()  # all are awaited
    for name in ("other", "well"):
        store.apply(Update(replace(one_in(store, name), renewed=100.1)), 100.1)
    assert look(store, NAME, 100.1) == Step()
    assert look(store, NAME, 104.999) == Step()
    [request] = look(store, NAME, 105.0).requests
    assert isinstance(request, Create)
    assert request.thing.holder == "well"


def test_it_does_not_wait_once_all_have_answered() -> None:
    store = store_of(standing("a", renewed=100.2, pinged=100.0), standing("b", "1.33", renewed=100.0, pinged=100.0))
    [request] = look(store, NAME, 100.3).requests
    assert isinstance(request, Create)
    assert request.thing.holder == "b"  # an answer of the same time is one


def test_who_has_not_answered_is_not_pinged_again_and_who_has_is_when_that_is_too_long_ago() -> None:
    store = store_of(standing("silent", "1.33", pinged=50.0), standing("well", renewed=50.1, pinged=50.0))
    assert look(store, NAME, 60.0).requests == (Update(replace(one_in(store, "well"), pinged=60.0)),)
    # 50.1 is more than 5 s ago then, but 50 is not quite: it is pinged when both are.
    assert look(store, NAME, 55.0 - 1e-3) == Step()


def test_where_nobody_answers_it_looks_no_more() -> None:
    store = store_of(standing("a", pinged=50.0), standing("b", pinged=50.0))
    assert look(store, NAME, 54.0) == Step()
    assert look(store, NAME, 55.0) == Step((), again=False)


def test_a_lease_that_the_best_candidate_holds_is_left_alone() -> None:
    store = store_of(standing("a"), standing("b"), held("a", renewed=90.0))
    assert look(store, NAME, 100.0) == Step()


@pytest.mark.parametrize(("age", "left_alone"), [(14.999, True), (15.0, True), (15.001, False)])
def test_a_lease_runs_out_when_its_duration_has_passed_since_the_time_that_is_written_in_it(
    age: float, left_alone: bool
) -> None:
    fresh = 100.0
    store = store_of(standing("gone"), standing("b", renewed=fresh), held("gone", renewed=fresh - age))
    asked = look(store, NAME, fresh).requests
    assert (asked == ()) is left_alone
    store.apply(Update(replace(one_in(store, "gone"), pinged=fresh - 10.0)), fresh)
    if not left_alone:  # and gone has not answered
        [request] = look(store, NAME, fresh).requests
        assert isinstance(request, Update)
        assert (request.thing.holder, request.thing.duration) == ("b", 5.0)
        assert (request.thing.renewed, request.thing.version) == (fresh, record_in(store).version)


def test_the_duration_that_counts_is_the_one_in_the_lease() -> None:
    store = store_of(standing("a", renewed=100.0), held("gone", duration=5.0, renewed=94.9))
    [request] = look(store, NAME, 100.0).requests
    assert isinstance(request, Update)
    assert request.thing.holder == "a"


def test_a_lease_that_nobody_holds_goes_to_the_best_and_nothing_of_the_old_term_is_left() -> None:
    released = LeaderRecord(NAME, "", 1.0, 99.0, 99.0, transitions=3, preferred="b")
    store = store_of(standing("a", renewed=98.0), released)
    [request] = look(store, NAME, 99.5).requests
    assert request == Update(LeaderRecord(NAME, "a", 5.0, 99.5, 99.5, 3, STRATEGY, version=2))


def test_a_holder_that_has_let_it_run_out_and_is_the_best_is_left_to_it() -> None:
    store = store_of(standing("a", renewed=100.0), held("a", renewed=50.0, strategy=STRATEGY))
    assert look(store, NAME, 100.0) == Step()


def test_a_better_candidate_is_preferred_and_the_lease_stays_with_its_holder() -> None:
    store = store_of(standing("new", "1.34"), held("new", renewed=99.0, strategy=STRATEGY))
    store.apply(Create(standing("old", "1.33", renewed=99.5)), 99.5)
    step = look(store, NAME, 99.5)
    assert step.requests == (Update(replace(one_in(store, "new"), pinged=99.5)),)
    store.apply(step.requests[0], 99.5)
    assert look(store, NAME, 99.6) == Step()
    store.apply(Update(replace(one_in(store, "new"), renewed=99.6)), 99.6)
    assert look(store, NAME, 99.6).requests == (Update(replace(record_in(store), preferred="old")),)
    store.apply(Update(replace(record_in(store), preferred="old")), 99.6)
    assert look(store, NAME, 99.7) == Step()  # nothing new to say


def test_a_better_candidate_that_does_not_answer_is_not_preferred() -> None:
    store = store_of(standing("old", "1.33"), standing("new", "1.34"), held("new", renewed=99.0, strategy=STRATEGY))
    for request in look(store, NAME, 100.0).requests:
        store.apply(request, 100.0)
    store.apply(Update(replace(one_in(store, "new"), renewed=100.1)), 100.1)
    store.apply(Update(replace(record_in(store), renewed=104.0)), 104.0)
    assert look(store, NAME, 105.0) == Step()


def test_who_was_not_renewed_for_a_quarter_of_an_hour_is_asked_and_after_half_an_hour_is_gone() -> None:
    store = store_of(standing("a", renewed=1000.0), standing("b", renewed=99.0), held("a", renewed=999.0))
    assert look(store, NAME, 999.0) == Step()  # 900 s
    assert look(store, NAME, 999.1).requests == (Update(replace(one_in(store, "b"), pinged=999.1)),)
    store.apply(Update(replace(record_in(store), renewed=1899.0)), 1899.0)
    store.apply(Update(replace(one_in(store, "a"), renewed=1899.0)), 1899.0)
    assert look(store, NAME, 1899.1) == Step((Delete(LeaseCandidate, "b"),))


def test_whatever_it_finds_it_never_gives_away_a_lease_that_lasts_and_always_elects_the_oldest_that_answers() -> None:
    rng = np.random.default_rng(20240723)
    elected = 0
    for _ in range(5000):
        now = 2000.0
        store = ObjectStore()
        for i in range(int(rng.integers(0, 5))):
            renewed, pinged = now - 10 * rng.random(2)
            version = f"1.{rng.integers(9, 12)}"
            one = standing(f"c{i}", version, renewed, pinged=pinged if rng.random() < 0.7 else None)
            store.apply(Create(one), now)
        if rng.random() < 0.8:
            holder = str(rng.choice(["", "c0", "c1", "gone"]))
            store.apply(Create(held(holder, renewed=now - 20 * rng.random(), duration=15.0)), now)
        lease = store.get(LeaderRecord, NAME)
        lasts = lease is not None and lease.holder != "" and lease.renewed + lease.duration > now
        for request in look(store, NAME, now).requests:
            after = request.thing if isinstance(request, Create | Update) else None
            if not isinstance(after, LeaderRecord):
                continue
            elected += 1
            chosen = one_in(store, (after.preferred or after.holder) if lasts else after.holder)
            answering = [one for one in store.all(LeaseCandidate) if one.renewed + 5.0 > now and one.has_answered]
            assert chosen in answering
            assert version_of(chosen.emulation) == min(version_of(one.emulation) for one in answering)
            if lasts:
                assert lease is not None and after.holder == lease.holder
    assert elected > 500


# ------------------------------------------------------------------- the controller: beside its store


def server(*things: Any, low: float = 0.0, now: float = 0.0) -> Hand:
    """A server with these things on its disk, and its controller, which has started."""
    hand = Hand(LeaseServer(0.0, 0.0, Coordinator(NAME, low, low)), now=now)
    hand.start(store_of(*things))
    hand.store = hand.machine.store
    return hand


def ask(hand: Hand, request: Any, sender: str = "a", n: int = 1, line: str = LINE) -> list[Effect]:
    """A candidate calls, and the server takes no time."""
    hand.get(Call(n, request, line), sender)
    del hand.timers[sender + line]
    return hand.hear(Fired(sender + line))


def told(hand: Hand, to: str) -> list[Any]:
    return [message for _, name, message in hand.sent if name == to and isinstance(message, Watched)]


def test_the_first_candidate_is_elected_as_soon_as_it_has_declared_itself() -> None:
    hand = server(low=0.003)
    effects = ask(hand, Create(standing("a_1")))
    assert effects[-1] == SetTimer(WRITE, 0.003, 0.003)
    hand.until(0.003)
    assert record_in(hand.store).holder == "a_1"
    assert said(hand.said, "elected") == [(0.003, {"identity": "a_1"})]
    assert hand.saved[-1].after == record_in(hand.store)


def test_who_watches_hears_what_is_there_and_every_change_of_it() -> None:
    hand = server()
    hand.get(Watch("a_1"), "a")
    assert told(hand, "a") == [Watched("a_1", None)]
    ask(hand, Create(standing("a_1")))
    ask(hand, Create(standing("b_1")), "b")
    assert told(hand, "a")[1:] == [Watched("a_1", one_in(hand.store, "a_1"))]
    hand.until(10.0)  # nobody has renewed the lease
    assert told(hand, "a")[2:] == [Watched("a_1", standing("a_1", pinged=10.0, version=4))]
    assert told(hand, "b") == []
    hand.hear(Unlinked("a"))
    ask(hand, Delete(LeaseCandidate, "a_1"), "c")
    assert len(told(hand, "a")) == 3


def test_of_two_processes_of_one_node_the_later_one_watches() -> None:
    hand = server(standing("a_1", renewed=0.0), standing("b_1"))
    hand.get(Watch("a_1"), "a")
    hand.get(Watch("a_2"), "a")  # the power was lost in between
    ask(hand, Update(replace(one_in(hand.store, "a_1"), renewed=1.0)), "b")
    assert [watched.name for watched in told(hand, "a")] == ["a_1", "a_2"]


def test_two_lines_of_one_client_do_not_take_each_others_place() -> None:
    hand = server()
    hand.get(Call(1, Get(LeaderRecord, NAME)), "a")
    hand.get(Call(1, Create(standing("a_1")), LINE), "a")
    hand.until(0.0)
    answers = [message for _, _, message in hand.sent if isinstance(message, Answered)]
    assert [answer.line for answer in answers] == ["", LINE]
    hand.get(Call(2, Get(LeaderRecord, NAME)), "a")
    hand.get(Call(2, Get(LeaseCandidate, "a_1"), LINE), "a")
    assert hand.hear(Unlinked("a")) == [CancelTimer("a"), CancelTimer(f"a{LINE}")]


def test_renewals_do_not_put_off_the_look_that_comes_every_five_seconds() -> None:
    hand = server()
    ask(hand, Create(standing("a_1")))
    hand.until(0.0)
    for second in range(1, 5):
        hand.until(second)
        ask(hand, Update(replace(record_in(hand.store), renewed=hand.now, duration=15.0)), line="", n=second)
    assert hand.timers[LOOK][0] == 5.0
    hand.until(5.0)
    assert hand.timers[LOOK][0] == 10.0


def test_it_elects_as_soon_as_the_last_has_answered() -> None:
    hand = server(standing("a_1"), standing("b_1", "1.33"), held("a_1", renewed=95.0), now=100.0)
    hand.until(100.0)
    assert one_in(hand.store, "b_1").pinged == 100.0
    assert record_in(hand.store).preferred == ""
    ask(hand, Update(replace(one_in(hand.store, "a_1"), renewed=100.0)))
    assert record_in(hand.store).preferred == ""
    ask(hand, Update(replace(one_in(hand.store, "b_1"), renewed=100.0)), "b")
    hand.until(100.0)
    assert record_in(hand.store).preferred == "b_1"
    assert said(hand.said, "asked to go") == [(100.0, {"identity": "a_1", "for": "b_1"})]


def test_what_changes_while_it_writes_makes_it_look_again() -> None:
    hand = server(low=0.01)
    ask(hand, Create(standing("new_1", "1.34")))  # it is about to be elected
    hand.now = 0.005
    ask(hand, Create(standing("old_1", "1.33", renewed=0.005)), "old")
    hand.until(0.01)
    assert record_in(hand.store).holder == "new_1"
    hand.until(0.02)
    assert record_in(hand.store).preferred == "old_1"


def test_a_ping_that_meets_a_renewal_is_refused_and_does_no_harm() -> None:
    hand = server(standing("a_1"), standing("b_1"), low=0.01, now=100.0)
    hand.now = 100.005
    ask(hand, Update(replace(one_in(hand.store, "a_1"), renewed=100.005)))
    hand.until(100.01)
    assert one_in(hand.store, "a_1").pinged is None
    assert one_in(hand.store, "b_1").pinged == 100.0
    ask(hand, Update(replace(one_in(hand.store, "b_1"), renewed=100.01)), "b")
    hand.until(100.03)
    assert record_in(hand.store).holder == "a_1"


def test_a_renewal_that_comes_before_the_election_is_written_keeps_the_lease() -> None:
    hand = server(
        standing("a_1", pinged=50.0), standing("b_1", renewed=100.0), held("a_1", renewed=84.0), low=0.01, now=100.0
    )
    assert hand.timers[WRITE][0] == 100.01
    ask(hand, Update(replace(record_in(hand.store), renewed=100.0)), line="")
    hand.until(101.0)
    assert record_in(hand.store).holder == "a_1"


def test_a_new_life_of_the_server_goes_on_with_what_is_on_its_disk() -> None:
    hand = server()
    hand.get(Watch("a_1"), "a")
    ask(hand, Create(standing("a_1")))
    hand.until(0.0)
    disk: Any = None
    for change in hand.saved:
        disk = keep(disk, change)
    again = Hand(LeaseServer(0.0, 0.0, Coordinator(NAME, 0.0, 0.0)), now=20.0)
    again.start(disk)
    again.until(20.0)
    assert one_in(again.machine.store, "a_1").pinged == 20.0
    assert again.sent == []  # nobody watches it yet


def test_without_a_controller_the_server_holds_no_elections() -> None:
    hand = Hand(LeaseServer(0.0, 0.0))
    hand.start()
    ask(hand, Create(standing("a_1")))
    assert hand.get(Watch("a_1"), "a") == []
    assert hand.machine.store.get(LeaderRecord, NAME) is None
    assert hand.machine.is_calm({"anybody"})


def test_all_is_calm_when_the_best_leads_and_candidates_are_the_processes_that_run() -> None:
    hand = server(standing("a_1"), standing("b_1"), held("a_1", renewed=1.0))
    assert hand.machine.is_calm({"a_1", "b_1"})
    assert not hand.machine.is_calm({"a_1"})
    assert not hand.machine.is_calm({"a_1", "b_1", "c_1"})
    for unrest in (replace(record_in(hand.store), holder="b_1"), replace(one_in(hand.store, "b_1"), pinged=1.0)):
        restless = server(*hand.store.all(LeaseCandidate), record_in(hand.store))
        restless.store.apply(Update(replace(unrest, version=0)), 1.0)
        assert not restless.machine.is_calm({"a_1", "b_1"})


def test_a_leap_leaves_the_store_as_old_as_it_was() -> None:
    before = store_of(standing("a_1", renewed=3.0, pinged=2.0), held("a_1", acquired=1.0, renewed=4.0))
    before.apply(Delete(LeaseCandidate, "nobody"), 0.0)
    after = later(before, 100.0)
    assert record_in(after) == held("a_1", acquired=101.0, renewed=104.0, version=2)
    assert one_in(after, "a_1") == standing("a_1", renewed=103.0, pinged=102.0, version=1)
    assert after.version == before.version
    assert record_in(before).renewed == 4.0


# ---------------------------------------------------------------------------------- two controllers at once


def test_of_two_controllers_that_see_the_same_the_store_refuses_the_second() -> None:
    fresh, stale = standing("b", renewed=100.0), standing("b")
    situations = [
        store_of(fresh),  # creation
        store_of(stale, standing("c")),  # pings
        store_of(fresh, held("gone", renewed=50.0)),  # election
        store_of(standing("new", "1.35", renewed=100.0), fresh, held("new", renewed=99.0)),  # preference
    ]
    for store in situations:
        first, second = look(store, NAME, 100.0).requests, look(store, NAME, 100.0).requests
        assert first and first == second
        assert all(isinstance(store.apply(request, 100.0)[0], Done) for request in first)
        version = store.version
        assert all(isinstance(store.apply(request, 100.0)[0], Refused) for request in second)
        assert store.version == version


class TwoServers:
    """Two API servers with a controller each over one store, and candidates that answer some of their pings."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.store = ObjectStore()
        self.controllers = [Coordinator(NAME, 0.001, 0.02) for _ in range(2)]
        self.now = 0.0
        self.changes: list[tuple[float, Change]] = []
        self.refused = 0
        self._order = count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self.deaf: set[str] = set()
        apply = self.store.apply

        def counted(request: Any, now: float) -> Any:
            reply, change = apply(request, now)
            self.refused += isinstance(reply, Refused)
            return reply, change

        self.store.apply = counted  # type: ignore[method-assign]

    def later(self, by: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + by, next(self._order), what))

    def perform(self, i: int, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SetTimer):
                wait = effect.low + (effect.high - effect.low) * float(self.rng.random())
                self.later(wait, partial(self.fire, i, effect.timer))
            elif isinstance(effect, Save):
                self.wrote(i, effect.record)
            else:
                assert isinstance(effect, Send | Announce)

    def fire(self, i: int, timer: str) -> None:
        self.perform(i, self.controllers[i].step(Fired(timer), self.store, self.now))

    def hear(self, i: int, controller: Coordinator, change: Change) -> None:
        self.perform(i, controller.changed(change, self.store, self.now))

    def wrote(self, by: int, change: Change) -> None:
        """The other server hears of a change a little later, and whoever is pinged answers."""
        self.changes.append((self.now, change))
        for i, controller in enumerate(self.controllers):
            if i != by:
                wait = 0.005 * float(self.rng.random())
                self.later(wait, partial(self.hear, i, controller, change))
        after = change.after
        if isinstance(after, LeaseCandidate) and not after.has_answered and after.name not in self.deaf:
            self.later(0.01 * float(self.rng.random()), partial(self.renew, after.name))

    def renew(self, name: str) -> None:
        _, change = self.store.apply(Update(replace(one_in(self.store, name), renewed=self.now)), self.now)
        assert change is not None
        self.wrote(-1, change)

    def keep_up(self) -> None:
        """Whoever holds the lease renews it every 2 s, unless it is deaf or another is preferred."""
        lease = self.store.get(LeaderRecord, NAME)
        if lease is not None and lease.holder not in self.deaf and not lease.preferred:
            _, change = self.store.apply(Update(replace(lease, duration=15.0, renewed=self.now)), self.now)
            assert change is not None
            self.wrote(-1, change)
        self.later(2.0, self.keep_up)

    def run(self, until: float) -> None:
        while self._due[0][0] <= until:
            self.now, _, what = heapq.heappop(self._due)
            what()
        self.now = until


def test_two_controllers_at_once_get_in_each_others_way_and_do_no_harm() -> None:
    refused = moves = preferred = 0
    for seed in range(60):
        two = TwoServers(seed)
        for i, version in enumerate(("1.34", "1.33", "1.34")):
            _, change = two.store.apply(Create(standing(f"c{i}", version, renewed=0.0)), 0.0)
            assert change is not None
            two.wrote(-1, change)
        for i, controller in enumerate(two.controllers):
            two.perform(i, controller.step(Started(), two.store, 0.0))
        two.later(2.0, two.keep_up)
        two.run(60.0)
        assert record_in(two.store).holder == "c1"
        two.deaf.add("c1")
        two.run(120.0)
        assert record_in(two.store).holder == "c0"
        two.deaf.clear()
        two.renew("c1")
        two.run(200.0)
        assert record_in(two.store).holder == "c1"
        for at, change in two.changes:
            before, after = change.before, change.after
            if not isinstance(after, LeaderRecord):
                continue
            preferred += bool(after.preferred)
            if before is not None and before.holder != after.holder:
                moves += 1
                assert at > before.renewed + before.duration, "it gave away a lease that lasted"
        refused += two.refused
    assert refused > 60 and preferred >= 60 and moves >= 120


# ------------------------------------------------------------------------------------------------ events at odd times


def test_events_that_mean_nothing_to_a_controller_change_nothing() -> None:
    hand = server(standing("a_1", renewed=0.0))
    before = hand.store.version
    hand.hear(Unlinked("nobody"))
    assert hand.hear(Fired("somebody else's timer")) == []
    assert hand.hear(Received("a", Answered(1, Refused("conflict")))) == []
    assert hand.store.version == before
