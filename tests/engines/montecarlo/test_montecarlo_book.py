"""The book: cutting at the ends of runs, windows of an SLO, blame, patterns, and the merging of blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from montecarlo_models import POOL, system

from hasim.engines.montecarlo import merge as merge_module
from hasim.engines.montecarlo.book import Book, by_window, distinct, windows_in
from hasim.engines.montecarlo.merge import Merged
from hasim.engines.montecarlo.program import Program
from hasim.model.structure import FALSE, TRUE, Var, all_of, any_of, at_least, holds

DAY = 86400.0


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def test_an_outage_is_cut_at_both_ends_of_its_run_and_counts_where_it_starts() -> None:
    book = Book(system("P1"), 3, 100.0, stationary=True)
    book.outages(0, ints(0, 1, 1, 2), floats(-5, 40, 90, -9), floats(10, 50, 130, -1))
    (seen,) = book.close().services
    assert seen.downtime.tolist() == [10, 20, 0]
    assert seen.outages.tolist() == [0, 2, 0]
    assert seen.first.tolist() == [0, 40, np.inf]
    assert sorted(seen.durations.tolist()) == [10, 10, 10]
    assert seen.cut.tolist() == [True, False, True]


def test_windows_share_the_downtime_that_crosses_their_edges() -> None:
    key, seconds = by_window(ints(0, 1, 1), floats(5, 8, 29), floats(7, 31, 35), 10.0, 35.0)
    assert dict(zip(key.tolist(), seconds.tolist(), strict=True)) == {0: 2, 3: 2, 4: 10, 5: 10 + 1}


def test_only_whole_windows_count() -> None:
    assert windows_in(30 * DAY, 365 * DAY) == 12
    assert windows_in(365 * DAY, 365 * DAY) == 1
    assert windows_in(365 * DAY, 364 * DAY) == 0


def test_windows_over_budget_are_lost_and_with_them_their_year() -> None:
    text = POOL.replace("up: [u]", "services: {u: {up: [u], slo: {availability: 90%, window: 10d}}}")
    book = Book(system(text), 2, 730 * DAY, stationary=True)
    # 36 windows of ten days make a year; budget one day each. Run 0 loses windows 0 and 1 of its first year by one
    # long outage; run 1 loses nothing by two outages of half a day in one window.
    book.outages(0, ints(0, 1, 1), floats(8, 1, 3) * DAY, floats(12, 1.5, 3.5) * DAY)
    (seen,) = book.close().services
    assert (seen.windows_lost, seen.slo_years_lost) == (2, 1)
    assert sorted(seen.yearly / DAY) == pytest.approx([1, 4])


def test_blame_goes_to_what_alone_would_have_helped() -> None:
    book = Book(system("P1"), 1, 1000.0, stationary=True)
    states = np.array([[0, 0, 1], [0, 0, 0], [1, 0, 0]], dtype=np.bool_)  # columns: 1+2 down, all down, 2+3 down
    book.patterns(0, states, floats(10, 20, 30))
    book.outages(0, ints(0), floats(0), floats(60))
    (seen,) = book.close().services
    assert seen.blame_s.tolist() == [10, 40, 30]
    assert seen.pattern_s.sum() == 60


def test_equal_patterns_are_added_up() -> None:
    packed = np.array([[1, 2], [0, 1], [1, 2]], dtype=np.uint8)
    rows, seconds = distinct(packed, floats(1, 2, 3))
    assert rows.tolist() == [[0, 1], [1, 2]]
    assert seconds.tolist() == [2, 4]


def test_what_is_kept_of_many_blocks_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge_module, "DURATIONS_MAX", 3)
    monkeypatch.setattr(merge_module, "PATTERNS_MAX", 1)
    merged = Merged(1)
    for _ in range(2):
        book = Book(system("P1"), 1, 100.0, stationary=True)
        book.outages(0, ints(0, 0), floats(1, 10), floats(2, 12))
        book.patterns(0, np.array([[0, 1], [0, 0], [1, 0]], dtype=np.bool_), floats(1, 2))
        merged.add(book.close())
    total = merged.total()
    (seen,) = total.services
    assert total.runs == 2
    assert seen.downtime.tolist() == [3, 3]
    assert seen.durations.tolist() == [1, 2, 1]
    assert merged.durations_dropped == [1]
    assert seen.pattern_s.tolist() == [4]
    assert merged.patterns_dropped_s == [2]


exprs = st.recursive(
    st.integers(0, 5).map(Var) | st.sampled_from([TRUE, FALSE]),
    lambda inner: st.lists(inner, min_size=1, max_size=4).flatmap(
        lambda several: st.integers(1, len(several)).map(lambda k: at_least(k, several))
    ),
    max_leaves=12,
)


@given(st.lists(exprs, min_size=1, max_size=3))
def test_a_program_computes_what_the_expressions_say(conditions: list) -> None:
    states = ((np.arange(64)[:, None] >> np.arange(6)) & 1).astype(np.bool_).T
    found = Program(conditions, 6).run(states)
    for row, condition in zip(found, conditions, strict=True):
        assert row.tolist() == [holds(condition, column) for column in states.T.tolist()]


def test_weak_points_and_pairs_are_those_that_take_it_down() -> None:
    condition = all_of([Var(0), any_of([Var(1), Var(2)])])
    program = Program([condition], 3)
    assert program.weak_points().tolist() == [[True, False, False]]
    pairs = program.weak_pairs()[0]
    assert pairs.tolist() == [[False, True, True], [True, False, True], [True, True, False]]
