"""Facts and traces, and the contract of machines."""

from __future__ import annotations

import pytest

from hasim.machine import Announce, Effect, Event, Fired, Machine, Send, SetTimer, Started
from hasim.trace import Fact, Trace

FACTS = [
    Fact(1.0, "failed", "a"),
    Fact(2.0, "failed", "b"),
    Fact(2.5, "failover ended", "db", {"active": "b", "took": 0.5}),
    Fact(3.0, "repaired", "a"),
]


def test_a_trace_is_a_sequence_of_facts() -> None:
    trace = Trace(FACTS)
    assert list(trace) == FACTS
    assert (len(trace), trace[1], list(trace[2:])) == (4, FACTS[1], FACTS[2:])
    assert trace.counts == {"failed": 2, "failover ended": 1, "repaired": 1}
    assert trace.dropped == 0
    assert trace == Trace(FACTS) != Trace(FACTS[:2])


def test_a_trace_is_filtered_by_kind_subject_and_time() -> None:
    trace = Trace(FACTS)
    assert list(trace.filter(kind="failed")) == FACTS[:2]
    assert list(trace.filter(kind=["failed", "repaired"], subject="a")) == [FACTS[0], FACTS[3]]
    assert list(trace.filter(since=2.0, until=3.0)) == FACTS[1:3]


def test_a_trace_knows_how_many_facts_were_not_kept() -> None:
    trace = Trace(FACTS[:2], {"failed": 5, "repaired": 4})
    assert trace.dropped == 7
    assert "7 more" in repr(trace)


def test_a_trace_makes_a_frame() -> None:
    frame = Trace(FACTS).to_frame()
    assert list(frame.columns) == ["at", "kind", "subject", "detail"]
    assert frame.loc[2, "detail"] == {"active": "b", "took": 0.5}


def test_a_fact_reads_as_one_line() -> None:
    assert str(FACTS[2]) == "2.5 s  failover ended  db  active b, took 0.5"


def test_a_fact_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        FACTS[0].at = 5.0  # type: ignore[misc]


class Ticker:
    """Says "tick" to its neighbour once a second: the smallest machine."""

    def step(self, event: Event, now: float) -> list[Effect]:
        match event:
            case Started():
                return [SetTimer("tick", 1.0, 1.0)]
            case Fired("tick"):
                return [Send("neighbour", "tick"), SetTimer("tick", 1.0, 1.0), Announce("ticked")]
            case _:
                return []


def test_a_machine_turns_events_into_effects() -> None:
    machine: Machine = Ticker()
    assert machine.step(Started(), 0.0) == [SetTimer("tick", 1.0, 1.0)]
    assert machine.step(Fired("tick"), 1.0)[0] == Send("neighbour", "tick")
