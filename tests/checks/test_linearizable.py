"""The linearizability checker, against planted violations, a dumber checker, and executions that are right."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasim.checks.history import Operation
from hasim.checks.linearizable import linearizable
from hasim.errors import ModelError


def op(kind: str, value: object, called: float, returned: float, **more: object) -> Operation:
    return Operation("c", kind, "x", value, called, returned, **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------------------------- what makes an order right


def legal(operation: Operation, state: object) -> tuple[bool, object]:
    """Whether one copy holding `state` would have answered so, and what it holds afterwards."""
    match operation.kind:
        case "get":
            return operation.value == state, state
        case "put":
            return True, operation.value
        case "delete":
            return True, None
        case _ if operation.outcome == "failed":
            return operation.expected != state, state
        case _ if operation.outcome == "unknown" and operation.expected != state:
            return True, state
        case _:
            return operation.expected == state, operation.value


def end(operation: Operation) -> float:
    return float("inf") if operation.outcome == "unknown" else operation.returned


def judged(operation: Operation) -> bool:
    """Whether the checker has to take a stand on it."""
    if operation.kind == "get":
        return operation.outcome == "ok" and operation.mode != "serializable"
    return operation.outcome != "failed" or (operation.kind == "cas" and not operation.error)


def explained(left: Sequence[Operation], state: object) -> bool:
    """The dumb checker: try every order that keeps to the times, and every choice of unknown ones that happened."""
    if all(operation.outcome == "unknown" for operation in left):
        return True
    for index, operation in enumerate(left):
        others = [*left[:index], *left[index + 1 :]]
        if any(end(other) < operation.called for other in others):
            continue
        fits, after = legal(operation, state)
        if fits and explained(others, after):
            return True
    return False


def is_an_order(order: Sequence[Operation], initial: object = None) -> bool:
    """Whether these operations, in this order, keep to their times and to one copy."""
    state = initial
    for operation in order:
        fits, state = legal(operation, state)
        if not fits:
            return False
    return not any(end(later) < earlier.called for earlier, later in itertools.combinations(order, 2))


# ------------------------------------------------------------------------------------------ planted violations

PUT1, PUT2 = op("put", 1, 0, 1), op("put", 2, 2, 3)

BROKEN: dict[str, tuple[list[Operation], tuple[int, ...], str]] = {
    "a stale read": (
        [PUT1, PUT2, op("get", 1, 4, 5)],
        (2, 1),
        "returned 1, but that was overwritten before by put x = 2",
    ),
    "a lost write": (
        [PUT1, op("get", None, 2, 3)],
        (1, 0),
        "returned None, but that was overwritten before by put x = 1",
    ),
    "a stale read before yet another write": (
        [PUT1, PUT2, op("get", 1, 4, 5), op("put", 3, 6, 7)],
        (2, 1),
        "overwritten before by put x = 2",
    ),
    "a swap of what nobody wrote for itself": (
        [PUT1, op("cas", 7, 2, 3, expected=7)],
        (1,),
        "found 7, which nobody wrote",
    ),
    "a write that appears twice": (
        [PUT1, PUT2, op("get", 2, 4, 5), op("get", 1, 6, 7)],
        (3, 1),
        "returned 1, but that was overwritten",
    ),
    "a read from the future": ([op("get", 1, 0, 1), op("put", 1, 2, 3)], (0, 1), "before put x = 1"),
    "a value out of thin air": ([PUT1, op("get", 7, 2, 3)], (1,), "returned 7, which nobody wrote"),
    "new, then old, while a write is on its way": (
        [PUT1, op("put", 2, 2, 9), op("get", 2, 3, 4), op("get", 1, 5, 6)],
        (3, 1),
        "returned 1, but that was overwritten before by put x = 2",
    ),
    "a deleted value that comes back": (
        [PUT1, op("delete", None, 2, 3), op("get", 1, 4, 5)],
        (2, 1),
        "overwritten before by delete x",
    ),
    "two swaps that both won": (
        [PUT1, op("cas", 2, 2, 5, expected=1), op("cas", 3, 2, 4, expected=1)],
        (1, 2),
        "cas x from 1 to 2 by c [2 s, 5 s], which fits no order: where most was in order, cas x from 1 to 3",
    ),
    "a swap that refused the value it demands": (
        [PUT1, op("cas", 2, 2, 3, expected=1, outcome="failed")],
        (1, 0),
        "failed, which fits no order",
    ),
    "two readers who disagree on the order of two writes": (
        [
            op("put", 1, 0, 9),
            op("put", 2, 0, 9),
            op("get", 1, 1, 2),
            op("get", 2, 3, 4),
            op("get", 1, 5, 6),
        ],
        (4, 3),
        "fits no order",
    ),
    "a read gone back, while a later write is seen only by a read that overlaps it": (
        [
            op("put", 1, 0, 4),
            op("put", 3, 1, 5),
            op("get", 1, 6, 7),
            op("get", 3, 8.5, 9),
            op("put", 2, 8, 20),
            op("get", 2, 8, 12),
        ],
        (2, 1),
        "fits no order",
    ),
    "a read gone back, while a value seen before is written again": (
        [
            op("put", 1, 0, 4),
            op("put", 2, 0, 4),
            op("get", 2, 5, 6),
            op("get", 1, 7, 8),
            op("put", 2, 6.5, 20),
        ],
        (3, 2),
        "fits no order",
    ),
    "an unknown write that took effect before its call": (
        [op("get", 1, 0, 1), op("put", 1, 2, 3, outcome="unknown")],
        (0, 1),
        "before put x = 1",
    ),
    "an unknown write that took effect twice": (
        [op("put", 1, 0, 1, outcome="unknown"), op("get", 1, 2, 3), PUT2, op("get", 2, 4, 5), op("get", 1, 6, 7)],
        (3, 1),
        "fits no order",
    ),
}

FINE: dict[str, list[Operation]] = {
    "nothing at all": [],
    "a write and its read": [PUT1, op("get", 1, 2, 3)],
    "reads on both sides of a write that overlaps them": [
        op("put", 1, 0, 9),
        op("get", None, 1, 2),
        op("get", 1, 3, 4),
    ],
    "an unknown write that takes effect late": [
        op("put", 1, 0, 1, outcome="unknown"),
        PUT2,
        op("get", 2, 4, 5),
        op("get", 1, 6, 7),
    ],
    "an unknown write that never happened": [op("put", 1, 0, 1, outcome="unknown"), op("get", None, 2, 3)],
    "an unknown swap of an unknown write": [
        op("put", 1, 0, 1, outcome="unknown"),
        op("cas", 2, 0, 1, expected=1, outcome="unknown"),
        op("get", 2, 2, 3),
    ],
    "an unknown write that makes a swap fail": [
        PUT1,
        op("put", 2, 2, 3, outcome="unknown"),
        op("cas", 3, 4, 5, expected=1, outcome="failed"),
        op("cas", 3, 6, 7, expected=2),
    ],
    "an unknown write that has to be saved for later": [
        op("put", 1, 0, 5),
        op("put", 2, 0, 5),
        op("put", 1, 0, 1, outcome="unknown"),
        op("get", 1, 6, 7),
        op("put", 3, 8, 9),
        op("get", 1, 10, 11),
        op("put", 2, 12, 13),
        op("get", 2, 14, 15),
    ],
    "a failed write": [PUT1, op("put", 2, 2, 3, outcome="failed"), op("get", 1, 4, 5)],
    "a swap that was never tried": [PUT1, op("cas", 2, 2, 3, expected=1, outcome="failed", error="no leader")],
    "reads without an answer": [PUT1, op("get", 7, 2, 3, outcome="failed"), op("get", 8, 2, 3, outcome="unknown")],
    "a stale read that promised nothing": [PUT1, op("get", None, 2, 3, mode="serializable")],
    "swaps in a chain": [
        op("cas", 1, 0, 9, expected=None),
        op("cas", 3, 0, 9, expected=2),
        op("cas", 2, 0, 9, expected=1),
    ],
    "a read called at the moment a write returns": [PUT1, op("get", None, 1, 2)],
    "operations that take no time": [op("get", 1, 5, 5), op("put", 1, 5, 5)],
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_planted_violation_is_found_and_the_operations_to_blame_are_named(name: str) -> None:
    history, blamed, words = BROKEN[name]
    verdict = linearizable(history)
    assert verdict.ok is False and not verdict
    assert verdict.key == "x"
    assert verdict.offender == tuple(history[index] for index in blamed)
    assert str(verdict).startswith("not linearizable: key 'x': ")
    assert words in str(verdict)
    assert is_an_order(verdict.longest)


@pytest.mark.parametrize("name", FINE)
def test_a_history_that_one_copy_could_have_had_is_fine(name: str) -> None:
    verdict = linearizable(FINE[name])
    assert verdict.ok is True and verdict, str(verdict)
    assert is_an_order(verdict.longest)
    assert str(verdict).startswith("linearizable: ")


def test_a_lease_read_promises_as_much_as_a_linearizable_one() -> None:
    assert linearizable([PUT1, op("get", None, 2, 3, mode="lease")]).ok is False


def test_the_value_at_the_start_is_the_one_given() -> None:
    assert linearizable([op("get", 7, 0, 1)], initial=7).ok is True
    assert linearizable([op("get", None, 0, 1)], initial=7).ok is False


# -------------------------------------------------------------------------------- agreement with a dumber checker


def tiny_history(rng: np.random.Generator, unknown: float) -> list[Operation]:
    """Up to six operations with few values and many ties, answered at random but not hopelessly."""
    operations = []
    for _ in range(rng.integers(1, 7)):
        kind = str(rng.choice(["put", "get", "get", "cas", "delete"], p=[0.35, 0.25, 0.1, 0.22, 0.08]))
        value = None if kind == "delete" else [None, 1, 2][rng.integers(0 if kind == "get" else 1, 3)]
        outcome = str(rng.choice(["ok", "failed", "unknown"], p=[0.85 - unknown, 0.15, unknown]))
        called = float(rng.integers(0, 9))
        operation = op(kind, value, called, called + float(rng.integers(0, 6)), outcome=outcome)
        if kind == "cas":
            operation = replace(
                operation, expected=[None, 1, 2][rng.integers(3)], error=["", "no leader"][rng.integers(2)]
            )
        operations.append(operation)
    return operations


@pytest.mark.parametrize("unknown", [0.05, 0.3, 0.6])
def test_the_checker_agrees_with_a_dumb_one_that_tries_every_order(unknown: float) -> None:
    rng = np.random.default_rng(round(100 * unknown))
    verdicts = {True: 0, False: 0}
    for _ in range(2000):
        history = tiny_history(rng, unknown)
        truth = explained([operation for operation in history if judged(operation)], None)
        verdict = linearizable(history)
        assert verdict.ok is truth, "\n".join(map(str, history))
        assert is_an_order(verdict.longest)
        if truth:
            certain = [operation for operation in history if judged(operation) and operation.outcome != "unknown"]
            assert sorted(map(str, certain)) == sorted(str(o) for o in verdict.longest if o.outcome != "unknown")
        else:
            assert verdict.offender and judged(verdict.offender[0]) and verdict.why
        verdicts[truth] += 1
    assert min(verdicts.values()) > 300  # neither verdict is there by accident


def crowded_history(rng: np.random.Generator) -> list[Operation]:
    """Twelve operations that overlap a lot: much to go back on, so that what was tried before matters."""
    operations = []
    for _ in range(12):
        kind = str(rng.choice(["put", "get", "cas"], p=[0.45, 0.35, 0.2]))
        outcome = "ok" if kind == "get" else str(rng.choice(["ok", "unknown"], p=[0.45, 0.55]))
        called = float(rng.integers(0, 12))
        operation = op(kind, int(rng.integers(1, 4)), called, called + float(rng.integers(2, 8)), outcome=outcome)
        operations.append(replace(operation, expected=int(rng.integers(1, 4))) if kind == "cas" else operation)
    return operations


def explained_from_below(history: Sequence[Operation]) -> bool:
    """A dumb checker for longer histories: all (operations placed, value) that can be reached, one size at a time."""
    reached: set[tuple[frozenset[int], object]] = {(frozenset(), None)}
    certain = {index for index, operation in enumerate(history) if operation.outcome != "unknown"}
    while reached:
        if any(certain <= placed for placed, _ in reached):
            return True
        further = set()
        for placed, state in reached:
            left = [index for index in range(len(history)) if index not in placed]
            for index in left:
                if all(end(history[other]) >= history[index].called for other in left if other != index):
                    fits, after = legal(history[index], state)
                    if fits:
                        further.add((placed | {index}, after))
        reached = further
    return False


def test_the_checker_agrees_with_a_dumb_one_on_crowded_histories() -> None:
    rng = np.random.default_rng(12)
    verdicts = {True: 0, False: 0}
    for _ in range(250):
        history = crowded_history(rng)
        truth = explained_from_below(history)
        assert linearizable(history).ok is truth, "\n".join(map(str, history))
        verdicts[truth] += 1
    assert min(verdicts.values()) > 50


# ------------------------------------------------------------------------------------------ executions that are right


@st.composite
def executions(draw: st.DrawFn) -> list[Operation]:
    """A store of two keys that works: each operation takes effect at a point between its call and its return."""
    store: dict[str, object] = {}
    operations = []
    for point in range(draw(st.integers(1, 25))):
        kind = draw(st.sampled_from(["put", "get", "delete", "cas"]))
        key, value = draw(st.sampled_from("xy")), draw(st.integers(1, 3))
        outcome = draw(st.sampled_from(["ok", "ok", "ok", "failed", "unknown"]))
        called, returned = point - draw(st.integers(0, 6)), point + draw(st.integers(0, 6))
        expected = draw(st.sampled_from([None, 1, 2, 3]))
        error = "no leader" if outcome == "failed" else ""
        happens = outcome == "ok" or (outcome == "unknown" and draw(st.booleans()))
        told: object = value
        if kind == "cas" and outcome == "ok" and store.get(key) != expected:
            outcome = "failed"
        elif kind == "get":
            told = store.get(key)
        elif happens and (kind != "cas" or store.get(key) == expected):
            store[key] = None if kind == "delete" else value
        operations.append(
            Operation("c", kind, key, told, called, returned, outcome, expected, error=error)  # type: ignore[arg-type]
        )
    return operations


@given(executions())
@settings(max_examples=300, deadline=None, derandomize=True, database=None)
def test_a_store_that_works_is_never_accused(history: list[Operation]) -> None:
    verdict = linearizable(history)
    assert verdict.ok is True, str(verdict)
    for key in "xy":
        assert is_an_order([operation for operation in verdict.longest if operation.key == key])


def busy_register(seed: int, count: int, clients: int, lost: float, values: int | None) -> list[Operation]:
    """A register that works, under clients without pause: a part `lost` of the writes has no known outcome."""
    rng = np.random.default_rng(seed)
    calls: list[tuple[float, float, float, int]] = []
    for client in range(clients):
        pauses = rng.exponential(1.0, (count // clients, 3)) * [0.2, 1.0, 1.0]
        moments = np.cumsum(pauses).reshape(pauses.shape)
        calls += [(float(point), float(called), float(end), client) for called, point, end in moments]
    state: object = None
    operations = []
    for number, (_, called, returned, client) in enumerate(sorted(calls)):
        kind = str(rng.choice(["put", "get"]))
        outcome = "ok"
        if kind == "put":
            value = number if values is None else int(rng.integers(values))
            outcome = "unknown" if rng.random() < lost else "ok"
            if outcome == "ok" or rng.random() < 0.5:
                state = value
        told = value if kind == "put" else state
        operations.append(Operation(f"c{client}", kind, "x", told, called, returned, outcome))  # type: ignore[arg-type]
    return sorted(operations, key=lambda operation: operation.called)


@pytest.mark.parametrize(("clients", "lost", "values"), [(5, 0.0, 3), (5, 0.1, None), (50, 0.1, None), (50, 0.1, 3)])
def test_ten_thousand_operations_on_one_key_take_few_steps(clients: int, lost: float, values: int | None) -> None:
    history = busy_register(1, 10_000, clients, lost, values)
    verdict = linearizable(history)
    assert verdict.ok is True, str(verdict)
    assert verdict.steps < 100_000


@pytest.mark.parametrize("clients", [5, 50])
def test_one_stale_read_among_ten_thousand_operations_is_found(clients: int) -> None:
    history = busy_register(2, 10_000, clients, 0.05, None)
    gets = [index for index, operation in enumerate(history) if operation.kind == "get"]
    victim = gets[-20]
    history[victim] = replace(history[victim], value=history[gets[-900]].value)
    verdict = linearizable(history)
    assert verdict.ok is False
    assert verdict.offender[0] is history[victim]
    assert "overwritten before by put" in str(verdict)


# ------------------------------------------------------------------------------------------------------- effort


def test_unknown_writes_that_nobody_reads_cost_nothing() -> None:
    noise = [op("put", 100 + number, number / 1000, 1, outcome="unknown") for number in range(500)]
    reads = [op("get", None, 2 + number, 2.5 + number) for number in range(20)]
    assert linearizable(noise + reads).steps == 20
    assert linearizable([*noise, *reads, op("get", 7, 50, 51)]).ok is False
    assert linearizable([*noise, *reads, op("get", 7, 50, 51)]).steps == 20


def test_unknown_writes_of_one_value_are_used_one_by_one() -> None:
    unknown = [op("put", 1, number, 99, outcome="unknown") for number in range(20)]
    rounds = [(op("put", 2, 100 + 4 * n, 101 + 4 * n), op("get", 1, 102 + 4 * n, 103 + 4 * n)) for n in range(21)]
    assert linearizable([*unknown, *itertools.chain(*rounds[:20])]).ok is True
    verdict = linearizable([*unknown, *itertools.chain(*rounds)])
    assert verdict.ok is False
    assert verdict.steps < 200


def test_overlapping_writes_that_nobody_reads_are_not_tried_in_every_order() -> None:
    writes = [op("put", number, 0, 10) for number in range(100)]
    verdict = linearizable([*writes, op("get", 7, 11, 12), op("get", 8, 13, 14)])
    assert verdict.ok is False
    assert verdict.steps < 1000


def test_what_has_been_tried_is_not_tried_again() -> None:
    # Overlapping writes, each value twice and read three times in turn: n! orders, but only n · 2^(n-1) sets of
    # writes with one of them last; a set of k has n - k to try next, which adds up to n (n-1) 2^(n-2). The first
    # writes and the reads that follow the last come on top.
    n = 10
    writes = [op("put", number % 5, 0, 10) for number in range(n)]
    reads = [op("get", number % 5, 20 + 2 * number, 21 + 2 * number) for number in range(n + 1)]
    verdict = linearizable(writes + reads)
    assert verdict.ok is False
    assert verdict.steps <= n + n * (n - 1) * 2 ** (n - 2) + len(reads)


def test_a_spent_budget_is_neither_yes_nor_no() -> None:
    history = busy_register(3, 100, 4, 0.0, None)
    verdict = linearizable(history, budget=50)
    assert verdict.ok is None and not verdict
    assert (verdict.key, verdict.steps, verdict.offender) == ("x", 50, ())
    assert is_an_order(verdict.longest)
    assert str(verdict).startswith("unknown whether linearizable: key 'x' ")
    assert linearizable(history, budget=verdict.steps * 10).ok is True


def test_a_key_that_spends_its_share_does_not_hide_a_violation_on_another() -> None:
    long = busy_register(3, 100, 4, 0.0, None)
    short = [
        replace(operation, key="y") for operation in BROKEN["two readers who disagree on the order of two writes"][0]
    ]
    verdict = linearizable(long + short, budget=90)
    assert (verdict.ok, verdict.key) == (False, "y")
    assert verdict.steps <= 90


def test_the_same_history_takes_the_same_steps() -> None:
    history = busy_register(4, 400, 6, 0.2, 3)
    assert linearizable(history) == linearizable(history)


# -------------------------------------------------------------------------------------------------------- keys


def test_every_key_is_judged_alone() -> None:
    good = [replace(operation, key="a") for operation in busy_register(5, 200, 4, 0.1, 3)]
    also = [replace(operation, key="b") for operation in busy_register(6, 200, 4, 0.1, 3)]
    bad = [replace(operation, key="c") for operation in BROKEN["a stale read"][0]]
    alone = linearizable(good).steps + linearizable(also).steps
    mixed = sorted([*good, *also], key=lambda operation: operation.called)
    assert (linearizable(mixed).ok, linearizable(mixed).steps) == (True, alone)
    verdict = linearizable([*mixed, *bad])
    assert (verdict.ok, verdict.key, verdict.offender) == (False, "c", (bad[2], bad[1]))


def test_a_write_to_one_key_explains_no_read_of_another() -> None:
    assert linearizable([PUT1, replace(op("get", 1, 2, 3), key="y")]).ok is False


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize("budget", [0, -1, 1.5, "many", True])
def test_a_budget_that_is_no_number_of_steps_is_refused(budget: object) -> None:
    with pytest.raises(ModelError, match="budget: got"):
        linearizable([], budget=budget)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("history", "said"),
    [
        (None, "history: got nothing; give a list of operations"),
        (3, "history: got 3; give a list of operations"),
        ("put", "history: got 'put'; give a list of operations"),
        (PUT1, "history: got Operation"),
        ([PUT1, 1], r"history\[1\]: got 1; give an Operation"),
    ],
)
def test_what_is_no_history_is_refused(history: object, said: str) -> None:
    with pytest.raises(ModelError, match=f"^{said}"):
        linearizable(history)  # type: ignore[arg-type]


def test_a_swap_may_ask_for_a_key_that_is_not_there() -> None:
    swap = op("cas", 1, 0, 1)  # it expects nothing
    assert linearizable([swap]).ok
    assert linearizable([PUT1, op("cas", 2, 2, 3)]).ok is False


def test_a_value_that_cannot_be_told_apart_is_refused() -> None:
    with pytest.raises(ModelError, match=r"history\[1\].value: got \[2\]"):
        linearizable([PUT1, op("put", [2], 2, 3)])
    with pytest.raises(ModelError, match=r"history\[0\].expected: got \[2\]"):
        linearizable([op("cas", 2, 2, 3, expected=[2])])
    with pytest.raises(ModelError, match="initial: got"):
        linearizable([], initial=[])
