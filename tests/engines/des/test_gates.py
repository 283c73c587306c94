"""The gates, kept up to date change by change, against evaluating every expression from scratch."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hasim.engines.des.gates import Gates
from hasim.engines.des.history import difference, intervals, turned
from hasim.model.structure import FALSE, TRUE, AtLeast, Expr, Var, holds

VARIABLES = 6


def gate(children: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    return st.lists(children, min_size=1, max_size=4).flatmap(
        lambda inputs: st.integers(1, len(inputs)).map(lambda k: AtLeast(k, tuple(inputs)))
    )


EXPRESSIONS = st.recursive(st.integers(0, VARIABLES - 1).map(Var) | st.sampled_from([TRUE, FALSE]), gate, max_leaves=12)


@given(st.lists(EXPRESSIONS, min_size=1, max_size=3), st.lists(st.integers(0, VARIABLES - 1), max_size=30))
def test_gates_agree_with_the_expressions_after_every_change(exprs: list[Expr], turns: list[int]) -> None:
    gates = Gates(VARIABLES)
    nodes = [gates.add(expr) for expr in exprs]
    state = [True] * VARIABLES
    for variable in turns:
        before = [gates.is_true(node) for node in range(len(gates.surplus))]
        state[variable] = not state[variable]
        flipped = gates.rise(variable) if state[variable] else gates.fall(variable)
        after = [gates.is_true(node) for node in range(len(gates.surplus))]
        assert [gates.is_true(node) for node in nodes] == [holds(expr, state) for expr in exprs]
        assert sorted(flipped) == [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]


@given(EXPRESSIONS, st.sets(st.integers(0, VARIABLES - 1)))
def test_an_expression_may_be_added_when_things_are_down(expr: Expr, down: set[int]) -> None:
    gates = Gates(VARIABLES)
    for variable in sorted(down):
        gates.fall(variable)
    assert gates.is_true(gates.add(expr)) == holds(expr, [i not in down for i in range(VARIABLES)])


def test_two_turns_at_the_same_instant_did_not_happen() -> None:
    from array import array

    instants = array("d")
    for now in (1.0, 2.0, 2.0, 3.0, 5.0, 5.0):
        turned(instants, now)
    assert intervals(instants, 9.0).tolist() == [[1.0, 3.0]]
    turned(instants, 9.0)
    assert intervals(instants, 9.0).tolist() == [[1.0, 3.0]]


def test_the_difference_of_nested_intervals() -> None:
    outer = intervals([1.0, 5.0, 7.0, 9.0], 10.0)
    inner = intervals([1.0, 2.0, 3.0, 4.0, 7.0, 9.0], 10.0)
    assert difference(outer, inner).tolist() == [[2.0, 3.0], [4.0, 5.0]]
