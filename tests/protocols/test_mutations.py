"""Bugs planted into Raft: each is convicted by the check that is there for it, and nobody is without the bug."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import mean, stdev

import pytest
from mutations import MUTATIONS, Mutation, table
from timed_stories import lossy

from hasim.checks.raft import INVARIANTS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.row}-{mutation.plant.__name__}")
def test_a_planted_bug_is_convicted_and_nobody_is_without_it(mutation: Mutation) -> None:
    found = mutation.play(bug=True)
    assert set(mutation.convicts) <= set(found), f"the bug goes unseen: {found}"
    assert mutation.play(bug=False) == []


def test_the_printed_list_is_the_list() -> None:
    assert (ROOT / "docs" / "raft-mutations.md").read_text(encoding="utf-8") == table(), "run docs/make_mutations.py"


def test_every_safety_property_of_the_paper_convicts_somebody() -> None:
    convicting = {name for mutation in MUTATIONS for name in mutation.convicts}
    figure_3 = {"Election Safety", "Leader Append-Only", "Log Matching", "Leader Completeness", "State Machine Safety"}
    assert figure_3 <= INVARIANTS.keys()
    assert figure_3 <= convicting


def test_a_link_that_loses_nearly_all_deposes_leaders_as_often_as_was_found() -> None:
    # Published for ten runs of five minutes at a loss of 95 %: 5.8 changes of leader each. Both means are uncertain;
    # those ten runs are taken to scatter as ours do.
    changes = [lossy(seed, 0.95, pre_vote=False, lasting=300, writes=False).count("leader", 2) for seed in range(20)]
    assert abs(mean(changes) - 5.8) < 3.3 * stdev(changes) * math.sqrt(1 / 20 + 1 / 10)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.95, 1.0])
def test_with_a_pre_vote_a_lossy_link_never_deposes_a_leader(share: float) -> None:
    assert [lossy(seed, share, pre_vote=True, lasting=300, writes=False).count("leader", 2) for seed in (1, 2)] == [
        0,
        0,
    ]


def test_a_link_that_is_cut_deposes_nobody() -> None:
    # The third member ignores the votes of the one that is cut off, for it hears the leader.
    assert lossy(1, 1.0, pre_vote=False, lasting=300, writes=False).count("leader", 2) == 0
