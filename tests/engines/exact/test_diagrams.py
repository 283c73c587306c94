"""Decision diagrams and cut sets against brute force over every state."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hasim as ha
from hasim.engines.exact.diagram import Diagram
from hasim.engines.montecarlo.program import Program
from hasim.model.cuts import minimal_cuts
from hasim.model.structure import AtLeast, Expr, Var, at_least, holds, substitute, variables
from hasim.model.system import compile_system

UNITS = 6
SYSTEM = compile_system(
    ha.Cluster(
        name="x",
        parts={"u": ha.Pool(replicas=UNITS)},
        failures={"u": {"mtbf": "10h", "mttr": "1h"}},
        services={"s": ["u"]},
    )
)


def expressions() -> st.SearchStrategy[Expr]:
    leaf = st.integers(0, UNITS - 1).map(Var)
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, min_size=1, max_size=4).flatmap(
            lambda children: st.integers(1, len(children)).map(lambda k: at_least(k, children))
        ),
        max_leaves=12,
    )


STATES = list(product([False, True], repeat=UNITS))


@given(expressions(), st.lists(st.floats(0.01, 0.99), min_size=UNITS, max_size=UNITS))
@settings(max_examples=150, deadline=None)
def test_a_diagram_gives_the_sum_over_all_states(expr: Expr, up: list[float]) -> None:
    diagram = Diagram(SYSTEM)
    true, false = diagram.both(diagram.build(expr), {i: (p, 1 - p) for i, p in enumerate(up)})
    weight = [np.prod([p if s else 1 - p for s, p in zip(state, up, strict=True)]) for state in STATES]
    wanted = sum(w for w, state in zip(weight, STATES, strict=True) if holds(expr, state))
    assert true == pytest.approx(wanted, abs=1e-12)
    assert false == pytest.approx(1 - wanted, abs=1e-12)


@given(expressions())
@settings(max_examples=150, deadline=None)
def test_minimal_cuts_are_exactly_the_smallest_groups_that_take_it_down(expr: Expr) -> None:
    failing = [frozenset(i for i, s in enumerate(state) if not s) for state in STATES if not holds(expr, state)]
    smallest = {group for group in failing if not any(other < group for other in failing)}
    found = minimal_cuts(expr, order_max=UNITS)
    assert found.complete
    assert set(found.cuts) == smallest


@given(expressions(), st.integers(1, 3))
@settings(max_examples=80, deadline=None)
def test_a_bound_on_the_order_keeps_every_smaller_cut(expr: Expr, order: int) -> None:
    whole = minimal_cuts(expr, order_max=UNITS)
    some = minimal_cuts(expr, order_max=order)
    assert set(some.cuts) == {cut for cut in whole.cuts if len(cut) <= order}
    assert some.complete or len(some.cuts) <= len(whole.cuts)


@given(expressions(), st.dictionaries(st.integers(0, UNITS - 1), st.booleans(), max_size=3))
@settings(max_examples=150, deadline=None)
def test_the_three_ways_to_evaluate_agree(expr: Expr, fixed: dict[int, bool]) -> None:
    columns = np.array(STATES, dtype=np.bool_).T
    assert Program([expr], UNITS).run(columns)[0].tolist() == [holds(expr, state) for state in STATES]
    rest = substitute(expr, fixed)
    assert not set(variables(rest)) & set(fixed)
    for state in STATES:
        if all(state[i] == value for i, value in fixed.items()):
            assert holds(rest, state) == holds(expr, state)


def test_a_large_pool_is_counted_and_not_enumerated() -> None:
    expr = AtLeast(40, tuple(Var(i) for i in range(60)))
    assert not holds(expr, [i >= 21 for i in range(60)])
    assert holds(expr, [i >= 20 for i in range(60)])
