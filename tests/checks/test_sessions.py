"""What a client may rely on within its session, and histories that make sense at all."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from hasim.checks.history import Operation, checked
from hasim.checks.sessions import monotonic_reads, read_your_writes, stale_reads
from hasim.errors import ModelError


def get(version: int | None, called: float, returned: float, client: str = "c", **more: object) -> Operation:
    return Operation(client, "get", "x", version, called, returned, version=version, **more)  # type: ignore[arg-type]


def put(version: int | None, called: float, returned: float, client: str = "c", **more: object) -> Operation:
    return Operation(client, "put", "x", version, called, returned, version=version, **more)  # type: ignore[arg-type]


def test_a_serializable_get_is_stale_by_the_versions_it_missed() -> None:
    stale = get(3, 0, 1, mode="serializable", latest=8)
    fresh = get(8, 0, 1, mode="serializable", latest=8)
    newer = get(9, 0, 1, mode="serializable", latest=8)
    untold = get(None, 0, 1, mode="serializable", latest=8)
    failed = get(3, 0, 1, mode="serializable", latest=8, outcome="failed")
    other = get(3, 0, 1, mode="linearizable", latest=8)
    (lapse,) = stale_reads([fresh, stale, newer, untold, failed, other])
    assert (lapse.read, lapse.behind, lapse.known) == (stale, 5, None)
    assert str(lapse) == "get x by c [0 s, 1 s] returned 3 was 5 versions behind the store"


def test_reads_of_one_client_never_go_back() -> None:
    history = [get(5, 0, 1), get(7, 2, 3), get(6, 4, 5), get(6, 6, 7), get(7, 8, 9)]
    lapses = monotonic_reads(history)
    assert [(lapse.read, lapse.behind, lapse.known) for lapse in lapses] == [
        (history[2], 1, history[1]),
        (history[3], 1, history[1]),
    ]
    assert str(lapses[0]).endswith("was 1 version behind get x by c [2 s, 3 s] returned 7")


def test_reads_of_different_clients_may_disagree() -> None:
    assert monotonic_reads([get(7, 0, 1, "a"), get(6, 2, 3, "b")]) == []


def test_reads_that_overlap_may_come_in_any_order() -> None:
    assert monotonic_reads([get(7, 0, 3), get(6, 2, 4)]) == []
    assert len(monotonic_reads([get(7, 0, 2), get(6, 2, 4)])) == 1


def test_the_order_of_the_history_does_not_matter() -> None:
    history = [get(5, 0, 1), get(7, 2, 3), get(6, 4, 5)]
    assert monotonic_reads(history[::-1]) == monotonic_reads(history)


@pytest.mark.parametrize("kind", ["put", "delete", "cas"])
def test_a_client_sees_its_own_writes(kind: str) -> None:
    write = Operation("c", kind, "x", 1, 0, 1, version=7)  # type: ignore[arg-type]
    history = [write, get(6, 0.5, 2), get(6, 3, 4), get(6, 3, 4, "other"), get(7, 5, 6)]
    (lapse,) = read_your_writes(history)
    assert (lapse.read, lapse.behind, lapse.known) == (history[2], 1, write)


def test_a_write_that_is_not_known_to_have_happened_demands_nothing() -> None:
    assert read_your_writes([put(7, 0, 1, outcome="unknown"), get(6, 2, 3)]) == []
    assert read_your_writes([replace(put(7, 0, 1), version=None), get(6, 2, 3)]) == []


def test_each_guarantee_watches_its_own_operations() -> None:
    assert read_your_writes([get(7, 0, 1), get(6, 2, 3)]) == []
    assert monotonic_reads([put(7, 0, 1), get(6, 2, 3)]) == []


def test_an_operation_says_itself_in_one_line() -> None:
    assert str(put(1, 0, 0.5)) == "put x = 1 by c [0 s, 0.5 s]"
    assert str(Operation("c", "cas", "x", 2, 0, outcome="unknown", expected=1)) == (
        "cas x from 1 to 2 by c [0 s, …] unknown"
    )
    assert str(Operation("c", "delete", "x", None, 0, 1, "failed")) == "delete x by c [0 s, 1 s] failed"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": "puts"}, r"history\[1\].kind: got 'puts'; allowed: put, get, delete, cas; did you mean 'put'\?"),
        ({"outcome": "fine"}, r"history\[1\].outcome: got 'fine'; allowed: ok, failed, unknown"),
        ({"mode": "serialisable"}, r"history\[1\].mode: got 'serialisable'.*did you mean 'serializable'"),
        ({"called": math.nan}, r"history\[1\].called: got nan"),
        ({"called": -math.inf}, r"history\[1\].called: got -inf"),
        ({"returned": 1.0}, r"history\[1\].returned: got 1.0; no operation returns before its call \(2.0\)"),
        ({"returned": math.nan}, r"history\[1\].returned: got nan"),
        ({"client": None}, r"history\[1\].client: got nothing; a text is needed"),
        ({"key": ["x"]}, r"history\[1\].key: got \['x'\]; a text is needed"),
        ({"kind": ["put"]}, r"history\[1\].kind: got \['put'\]; allowed"),
        ({"value": None}, r"history\[1\].value: got nothing; a put writes a value"),
        ({"kind": "cas", "value": None}, r"history\[1\].value: got nothing; a cas writes a value"),
        ({"called": "2"}, r"history\[1\].called: got '2'; a finite number of seconds"),
        ({"called": True}, r"history\[1\].called: got True; a finite number of seconds"),
        ({"returned": None}, r"history\[1\].returned: got None; a number of seconds"),
        ({"version": "3"}, r"history\[1\].version: got '3'; a whole number or None"),
        ({"latest": 1.5}, r"history\[1\].latest: got 1.5; a whole number or None"),
        ({"returned": math.inf}, r"history\[1\].returned: got inf; an operation that is ok has returned"),
    ],
)
def test_an_operation_that_makes_no_sense_is_refused_by_name(wrong: dict[str, object], message: str) -> None:
    fields: dict[str, object] = {"client": "c", "kind": "put", "key": "x", "value": 1, "called": 2.0, "returned": 3.0}
    with pytest.raises(ModelError, match=message):
        checked([put(1, 0, 1), Operation(**{**fields, **wrong})])  # type: ignore[arg-type]
