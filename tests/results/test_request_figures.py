"""Figures of requests: counts, latencies, silences and stale reads, from histories made by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from hasim.checks.history import Operation
from hasim.results.requests import (
    first_success_s,
    request_figures,
    request_figures_by,
    request_kind,
    requests_frame,
    silences,
)


def op(called: float, returned: float, outcome: Any = "ok", kind: Any = "put", **more: Any) -> Operation:
    return Operation(
        client=more.pop("client", "c"), kind=kind, key="k", value=None, called=called, returned=returned,
        outcome=outcome, **more,
    )  # fmt: skip


HISTORY = [
    op(1.0, 1.5),
    op(2.0, 2.25),
    op(3.0, 3.4, "failed"),
    op(3.5, 10.5, "unknown"),
    op(4.0, math.inf, "unknown"),
    op(5.0, 6.0),
]


def test_outcomes_are_counted_and_latencies_are_those_of_the_served() -> None:
    figures = request_figures(HISTORY, 0, 10)
    assert (figures.served, figures.failed, figures.unknown, figures.requests) == (3, 1, 2, 6)
    assert figures.served_share == 0.5
    assert (figures.latency_p50_s, figures.latency_p99_s) == (0.5, 1.0)


def test_the_longest_silence_lies_between_successes_as_they_come_back() -> None:
    figures = request_figures([*HISTORY[:-1], op(5.0, 7.0)], 0, 10)
    assert (figures.longest_silence_s, figures.silence_from_s) == (7.0 - 2.25, 2.25)


def test_the_ends_of_the_window_bound_a_silence() -> None:
    assert request_figures(HISTORY, 0, 10).longest_silence_s == 10 - 6
    assert request_figures([], 2, 10).longest_silence_s == 8
    assert request_figures(HISTORY, 0, 6.5).silence_from_s == 2.25


def test_a_success_of_an_earlier_request_ends_a_silence() -> None:
    assert request_figures([op(1.0, 3.0), op(4.0, 4.5)], 2, 5).longest_silence_s == 1.5
    assert request_figures([op(1.0, 3.0), op(4.0, 4.5)], 2, 5).requests == 1


def test_silences_longer_than_a_limit_are_listed() -> None:
    rows = silences(HISTORY, 0, 10, longer_than_s=1.0)
    assert np.array_equal(rows, [[0, 1.5], [2.25, 6], [6, 10]])
    assert silences(HISTORY, 0, 10, longer_than_s=4.0).shape == (0, 2)


def test_the_first_success_counts_only_requests_made_since() -> None:
    history = [op(1.0, 9.0), op(3.0, 5.0), op(4.0, 4.5, "failed"), op(4.1, 4.8)]
    assert first_success_s(history, 2.0) == pytest.approx(2.8)
    assert first_success_s(history, 4.5) == math.inf


def test_reads_that_missed_a_committed_write_are_stale() -> None:
    reads = [
        op(1, 2, kind="get", version=5, latest=5),
        op(1, 2, kind="get", version=7, latest=5),  # saw a write committed meanwhile
        op(1, 2, kind="get", version=2, latest=5, mode="serializable"),
        op(1, 2, kind="get", version=4, latest=5, mode="serializable"),
        op(1, 2, kind="get"),  # nothing to compare
        op(1, 2, "failed", kind="get", version=1, latest=5),
        op(1, 2, version=1, latest=5),  # a put is no read
    ]
    figures = request_figures(reads, 0, 3)
    assert (figures.stale, figures.compared, figures.stalest_by) == (2, 4, 3)


def test_groups_are_by_what_one_likes() -> None:
    ops = [op(1, 2), op(1, 2, kind="get"), op(1, 2, kind="get", mode="serializable", client="d")]
    kinds = request_figures_by(request_kind, ops, 0, 3)
    assert list(kinds) == ["linearizable get", "put", "serializable get"]
    assert {name: each.requests for name, each in request_figures_by(lambda o: o.client, ops, 0, 3).items()} == {
        "c": 2,
        "d": 1,
    }


def test_a_line_says_counts_and_never_a_bare_hundred_percent() -> None:
    assert str(request_figures(HISTORY, 0, 10, "puts")) == (
        "puts: 3 of 6 requests served; 1 failed; 2 unknown; served in 500 ms (median), 1 s (99th centile); "
        "longest silence 4 s"
    )
    perfect = str(request_figures([op(1, 1.5, kind="get", version=1, latest=1)] * 3, 0, 2, "gets"))
    assert perfect.startswith("gets: 3 of 3 requests served; served in")
    assert perfect.endswith("0 of 3 reads stale")
    assert "%" not in perfect
    assert str(request_figures([], 0, 1, "nobody")) == "nobody: no requests"


def test_nothing_served_has_no_latency_and_no_share_of_nothing() -> None:
    figures = request_figures([op(1, 2, "failed")], 0, 3)
    assert (figures.latency_p50_s, figures.served_share) == (None, 0.0)
    assert request_figures([], 0, 3).served_share is None
    assert "latency_p50_s" not in figures.to_json()


def test_a_frame_has_a_row_for_each() -> None:
    frame = requests_frame(request_figures_by(request_kind, HISTORY, 0, 10).values())
    assert list(frame.index) == ["put"]
    assert frame.loc["put", "served"] == 3
    assert frame.loc["put", "served_share"] == 0.5
    assert request_figures(HISTORY, 0, 10, "x").to_frame().loc["x", "requests"] == 6
