"""The promises of leader election, judged on lives that are written by hand."""

from __future__ import annotations

from math import inf
from time import process_time

import numpy as np
import pytest

from hasim.checks.leadership import (
    Overlap,
    Reign,
    effects_once,
    one_leader,
    overlaps,
    refused_writes,
    reigns,
    stale_effects,
)
from hasim.trace import Fact, Trace


def leads(at: float, who: str, term: int) -> Fact:
    return Fact(at, "leading", who, {"identity": f"{who}_1", "term": term})


def stops(at: float, who: str) -> Fact:
    return Fact(at, "stopped leading", who, {"identity": f"{who}_1", "why": "could not renew"})


def effect(at: float, item: int, token: int, by: str) -> Fact:
    return Fact(at, "effect", "resource", {"item": item, "token": token, "by": by})


def refused(at: float, item: int, token: int, by: str) -> Fact:
    return Fact(at, "write refused", "resource", {"item": item, "token": token, "by": by, "why": "fenced"})


def process(at: float, who: str, what: str) -> Fact:
    return Fact(at, f"process {what}", who)


# ------------------------------------------------------------------------------------- reigns


@pytest.mark.parametrize("end", ["stopped leading", "process crashed", "process exited", "power lost"])
def test_a_reign_ends_with_whatever_ends_it_first(end: str) -> None:
    life = [
        leads(1.0, "a", 1),
        Fact(5.0, end, "a"),
        Fact(6.0, "process exited", "a"),
        Fact(7.0, "process started", "a"),
    ]
    assert reigns(life) == [Reign("a", 1, 1.0, 5.0)]


def test_who_leads_still_leads_without_an_end() -> None:
    assert reigns([leads(1.0, "a", 1)]) == [Reign("a", 1, 1.0, inf)]
    assert reigns([]) == []


def test_reigns_come_in_order_of_their_beginnings() -> None:
    life = [leads(1.0, "a", 1), leads(2.0, "b", 2), stops(3.0, "b"), leads(4.0, "b", 3), stops(5.0, "a")]
    assert [(reign.leader, reign.start, reign.end) for reign in reigns(life)] == [
        ("a", 1.0, 5.0),
        ("b", 2.0, 3.0),
        ("b", 4.0, inf),
    ]


def test_the_end_of_who_does_not_lead_is_no_end() -> None:
    assert reigns([stops(0.0, "b"), leads(1.0, "a", 1), process(2.0, "b", "crashed")]) == [Reign("a", 1, 1.0, inf)]


def test_other_facts_say_nothing() -> None:
    assert reigns([Fact(0.0, "server down", "a"), process(1.0, "a", "started")]) == []


def test_pauses_are_part_of_a_reign() -> None:
    life = [
        process(0.0, "a", "paused"),  # before it leads
        process(1.0, "a", "resumed"),
        leads(2.0, "a", 1),
        process(3.0, "a", "paused"),
        process(5.0, "a", "resumed"),
        process(6.0, "a", "paused"),
        process(7.0, "a", "resumed"),
        stops(8.0, "a"),
        process(9.0, "a", "paused"),
    ]
    assert reigns(life) == [Reign("a", 1, 2.0, 8.0, ((3.0, 5.0), (6.0, 7.0)))]


def test_who_dies_in_a_pause_slept_to_the_end() -> None:
    life = [leads(0.0, "a", 1), process(3.0, "a", "paused"), process(5.0, "a", "crashed"), leads(6.0, "a", 2)]
    assert reigns(life) == [Reign("a", 1, 0.0, 5.0, ((3.0, 5.0),)), Reign("a", 2, 6.0, inf)]


def test_who_sleeps_still_leads_and_sleeps_without_an_end() -> None:
    assert reigns([leads(0.0, "a", 1), process(3.0, "a", "paused")]) == [Reign("a", 1, 0.0, inf, ((3.0, inf),))]


def test_a_pause_of_somebody_else_is_not_its_own() -> None:
    life = [leads(0.0, "a", 1), process(1.0, "b", "paused"), process(2.0, "b", "resumed"), stops(3.0, "a")]
    assert reigns(life) == [Reign("a", 1, 0.0, 3.0)]


# ----------------------------------------------------------------------------------- overlaps


def test_one_after_the_other_is_no_overlap_even_in_the_same_instant() -> None:
    life = [leads(0.0, "a", 1), stops(5.0, "a"), leads(5.0, "b", 2), stops(9.0, "b"), leads(20.0, "a", 3)]
    assert overlaps(life) == []
    assert one_leader(life) == []


def test_two_at_a_time_are_an_overlap() -> None:
    life = [leads(0.0, "a", 1), leads(4.0, "b", 2), stops(6.5, "a")]
    (overlap,) = overlaps(life)
    assert (overlap.first.leader, overlap.second.leader) == ("a", "b")
    assert (overlap.start, overlap.end, overlap.lasting, overlap.awake) == (4.0, 6.5, 2.5, 2.5)
    (violation,) = one_leader(life)
    assert violation.at == 4.0
    assert "a (term 1) and b (term 2) both believe that they lead, for 2.5 s" in violation.what


def test_one_within_the_other_is_an_overlap_of_all_of_it() -> None:
    life = [leads(0.0, "a", 1), leads(4.0, "b", 2), stops(6.0, "b"), leads(7.0, "c", 3), stops(8.0, "c")]
    assert [(each.second.leader, each.start, each.end) for each in overlaps(life, until=10.0)] == [
        ("b", 4.0, 6.0),
        ("c", 7.0, 8.0),
    ]


def test_three_at_a_time_are_three_overlaps() -> None:
    life = [leads(0.0, "a", 1), leads(1.0, "b", 2), leads(2.0, "c", 3)]
    found = [(each.first.leader, each.second.leader, each.start, each.end) for each in overlaps(life, until=5.0)]
    assert found == [("a", "b", 1.0, 5.0), ("a", "c", 2.0, 5.0), ("b", "c", 2.0, 5.0)]


def test_what_begins_after_the_end_of_watching_is_left_out() -> None:
    life = [leads(0.0, "a", 1), leads(4.0, "b", 2)]
    assert overlaps(life, until=4.0) == []
    assert [each.end for each in overlaps(life, until=4.5)] == [4.5]
    assert [each.end for each in overlaps(life)] == [inf]


def test_two_lives_of_one_process_do_not_overlap() -> None:
    """A process that leads again without a word in between has changed its term, not itself."""
    assert overlaps([leads(0.0, "a", 1), leads(4.0, "a", 2)]) == []


@pytest.mark.parametrize(
    ("asleep", "awake"),
    [
        ((2.0, 6.0), 2.0),  # from before the other leads into the overlap: 4 to 8
        ((5.0, 7.0), 2.0),  # within
        ((7.0, 99.0), 3.0),  # to the end
        ((0.5, 3.0), 4.0),  # before
        ((1.0, 99.0), 0.0),  # all of it
    ],
)
def test_who_sleeps_cannot_act(asleep: tuple[float, float], awake: float) -> None:
    life = [
        leads(0.0, "a", 1),
        process(asleep[0], "a", "paused"),
        leads(4.0, "b", 2),
        process(asleep[1], "a", "resumed"),
        stops(8.0, "a"),
        stops(100.0, "b"),
    ]
    life.sort(key=lambda fact: fact.at)
    (overlap,) = overlaps(life, until=8.0)
    assert overlap.lasting == 4.0
    assert overlap.awake == awake


def test_the_new_leader_may_be_the_one_who_sleeps() -> None:
    life = [
        leads(0.0, "a", 1),
        leads(4.0, "b", 2),
        process(5.0, "b", "paused"),
        process(5.5, "b", "resumed"),
        stops(6.0, "a"),
    ]
    (overlap,) = overlaps(life)
    assert overlap.awake == 1.5


def test_the_time_awake_is_counted_within_the_reign() -> None:
    reign = Reign("a", 1, 2.0, 8.0, ((3.0, 4.0), (6.0, 10.0)))
    assert reign.awake_within(0.0, 10.0) == 3.0
    assert reign.awake_within(3.0, 4.0) == 0.0
    assert reign.awake_within(5.0, 5.5) == 0.5
    assert Overlap(reign, Reign("b", 2, 0.0, inf), 2.0, 8.0).awake == 3.0


def test_many_reigns_one_after_another_are_looked_through_in_no_time() -> None:
    """Ten thousand take a tenth of a second; each pair of them would be fifty million, and a hundred times that."""
    turns = [(i, "ab"[i % 2]) for i in range(10_000)]
    life = [fact for i, who in turns for fact in (leads(2.0 * i, who, i + 1), stops(2.0 * i + 1, who))]
    before = process_time()
    assert overlaps(life) == []
    assert process_time() - before < 2.0
    assert overlaps([*life[:-1], leads(1e6, "c", 10_001)])[0].start == 1e6  # the last has not stopped


def test_overlaps_are_those_that_a_look_at_every_pair_finds() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        life: list[Fact] = []
        for term, who in enumerate("abcde", start=1):
            start = float(rng.integers(0, 20))
            life += [leads(start, who, term), stops(start + float(rng.integers(1, 10)), who)]
        life.sort(key=lambda fact: fact.at)
        known = reigns(life)
        pairs = {
            frozenset((one.leader, other.leader))
            for one in known
            for other in known
            if one.leader != other.leader and max(one.start, other.start) < min(one.end, other.end)
        }
        found = overlaps(life)
        assert {frozenset((each.first.leader, each.second.leader)) for each in found} == pairs
        assert all(each.end == min(each.first.end, each.second.end) for each in found)


# ------------------------------------------------------------------------------------- effects


def test_items_done_once_are_no_violation() -> None:
    assert effects_once([effect(1.0, 1, 1, "a"), effect(2.0, 2, 1, "a"), effect(3.0, 3, 2, "b")]) == []


def test_an_item_that_is_done_twice_is_one_and_three_times_two() -> None:
    life = [effect(1.0, 1, 1, "a"), effect(2.0, 1, 2, "b"), effect(3.0, 2, 2, "b"), effect(4.0, 1, 1, "a")]
    found = effects_once(life)
    assert [(each.at, each.what) for each in found] == [
        (2.0, "item 1 is done by b, and was by a"),
        (4.0, "item 1 is done by a, and was by a"),
    ]
    assert found[0].facts == (life[0], life[1])


def test_what_was_refused_is_not_done() -> None:
    life = [effect(1.0, 1, 1, "a"), refused(2.0, 1, 1, "b"), refused(3.0, 1, 1, "b"), refused(3.0, 2, 1, "c")]
    assert effects_once(life) == []
    assert refused_writes(life) == {"b": 2, "c": 1}
    assert refused_writes([]) == {}


def test_a_write_of_a_term_that_is_over_is_stale() -> None:
    life = [
        leads(0.0, "a", 1),
        effect(1.0, 1, 1, "a"),
        leads(2.0, "b", 2),
        effect(3.0, 2, 1, "a"),
        effect(4.0, 2, 2, "b"),
    ]
    (found,) = stale_effects(life)
    assert (found.at, found.what, found.facts) == (3.0, "a write of term 1 by a was accepted in term 2", (life[3],))


def test_a_write_of_the_present_term_is_not_stale_whoever_leads_meanwhile() -> None:
    life = [leads(0.0, "a", 1), leads(1.0, "b", 2), stops(2.0, "b"), effect(3.0, 1, 2, "b")]
    assert stale_effects(life) == []


def test_terms_count_by_their_number_not_by_when_they_are_heard_of() -> None:
    assert stale_effects([leads(0.0, "b", 5), leads(1.0, "a", 3), effect(2.0, 1, 5, "b")]) == []
    assert len(stale_effects([leads(0.0, "b", 5), leads(1.0, "a", 3), effect(2.0, 1, 3, "a")])) == 1


def test_a_write_before_the_later_term_begins_is_not_stale() -> None:
    assert stale_effects([leads(0.0, "a", 1), effect(1.0, 1, 1, "a"), leads(1.0, "b", 2)]) == []


def test_a_trace_is_judged_like_a_list() -> None:
    trace = Trace([leads(0.0, "a", 1), leads(1.0, "b", 2), effect(2.0, 1, 1, "a"), effect(3.0, 1, 2, "b")])
    assert len(one_leader(trace)) == len(effects_once(trace)) == len(stale_effects(trace)) == 1
