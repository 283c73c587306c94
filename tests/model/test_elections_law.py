"""The election law: its table agrees with its draws, its stand-in with its moments, its text with its rules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hasim.errors import CannotModel, ModelError
from hasim.model.laws import Election, Law, parse_law

LAWS: dict[str, Election] = {
    "three members": Election(members=3),
    "three members without pre-vote": Election(members=3, pre_vote=False),
    "five members under load": Election(members=5, spacing="5ms", latency="200us", jitter="200us"),
    "five members far apart": Election(members=5, down=2, latency="50ms", fsync="10ms", pre_vote=False),
    "short timeouts": Election(members=3, heartbeat="50ms", election_timeout="500ms", check_quorum=False),
}
each = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())


@each
def test_draws_are_elections_like_those_of_the_table(law: Election) -> None:
    drawn = np.sort(law.draw(np.random.default_rng(1), 50_000))
    table = np.sort(law.quantile((np.arange(1 << 18) + 0.5) / (1 << 18)))
    steps = np.arange(1, drawn.size + 1) / drawn.size
    gap = np.max(np.abs(np.searchsorted(table, drawn, side="right") / table.size - steps))
    # Kolmogorov and Smirnov at 1e-7: P[D > d] <= 2 exp(-2 d² nm / (n + m))
    assert gap < math.sqrt(-math.log(1e-7 / 2) / 2 * (1 / drawn.size + 1 / table.size)) + 1 / drawn.size


@each
def test_the_fitted_law_has_phases_with_the_same_mean_and_spread(law: Election) -> None:
    fitted = law.fitted()
    assert law.phases() is None
    branches = fitted.phases()
    assert branches is not None and 1 <= len(branches) <= 2
    # From the stages themselves: a chain has the mean sum 1/rate and the variance sum 1/rate².
    mean = sum(b.weight * sum(1 / rate for rate in b.stages) for b in branches)
    second = sum(
        b.weight * (sum(1 / rate**2 for rate in b.stages) + sum(1 / rate for rate in b.stages) ** 2) for b in branches
    )
    assert mean == pytest.approx(law.mean, rel=1e-9)
    assert second / mean**2 - 1 == pytest.approx(law.scv, rel=1e-6)


def test_length_biased_draws_are_table_entries_weighted_by_their_length() -> None:
    law = Election(members=3, pre_vote=False)
    drawn = law.length_biased(np.random.default_rng(2), 50_000)
    for p in (0.1, 0.5, 0.9):
        end = float(law.quantile(p))
        table = law.quantile((np.arange(1 << 18) + 0.5) / (1 << 18))
        exact = table[table <= end].sum() / table.sum()
        assert abs(np.mean(drawn <= end) - exact) < 5 * math.sqrt(exact * (1 - exact) / drawn.size)


def test_settings_that_slow_an_election_do() -> None:
    plain = Election(members=3, pre_vote=False)
    assert Election(members=3).quantile(0.99) < 0.75 * plain.quantile(0.99)  # pre-vote takes the tail away
    assert Election(members=5, pre_vote=False).mean < plain.mean  # more timers, an earlier first one
    assert Election(members=3, pre_vote=False, latency="50ms").mean > plain.mean + 3 * 0.049
    assert Election(members=3, pre_vote=False, check_quorum=False).mean < plain.mean  # no lease, no lost campaigns
    assert Election(members=3, pre_vote=False, spacing="1ms").mean > plain.mean  # the last message was younger


def test_equal_laws_share_their_table_and_give_equal_numbers() -> None:
    one, two = Election(members=3), parse_law({"election": {"members": 3, "pre_vote": True}})
    assert one == two and one.mean == two.mean and hash(one) == hash(two)


@pytest.mark.parametrize(
    ("law", "text", "plain"),
    [
        (LAWS["three members"], "election of 3 members, timeout 1s", {"members": 3}),
        (
            LAWS["five members far apart"],
            "election of 5 members, 2 of them down without pre-vote, timeout 1s",
            {"members": 5, "down": 2, "pre_vote": False, "latency": "50ms", "fsync": "10ms"},
        ),
        (
            LAWS["short timeouts"],
            "election of 3 members without check-quorum, timeout 500ms",
            {"members": 3, "heartbeat": "50ms", "election_timeout": "500ms", "check_quorum": False},
        ),
    ],
)
def test_a_law_says_what_was_given(law: Law, text: str, plain: dict[str, object]) -> None:
    assert law.text().replace("500 ms", "500ms").replace("1 s", "1s") == text
    assert law.to_plain() == {"election": plain}
    assert parse_law(law.to_plain()) == law


def test_a_message_that_takes_too_long_is_refused_in_a_model_and_else_when_it_is_drawn() -> None:
    with pytest.raises(ModelError, match="together they take at most a third of the election timeout of 1 s"):
        parse_law({"election": {"members": 3, "latency": "400ms"}})
    law = Election(members=3, latency="400ms")
    for ask in (lambda: law.mean, lambda: law.draw(np.random.default_rng(1), 1), lambda: law.quantile(0.5)):
        with pytest.raises(CannotModel, match=r"messages of 400 ms and writes of 1 ms.*use ha\.simulate"):
            ask()


@each
def test_the_limit_of_the_mean_is_one(law: Election) -> None:
    assert law.mean < law.mean_at_most < 8 * law.election_timeout


def test_the_limit_of_the_mean_holds_in_the_slowest_cluster_there_is() -> None:
    worst = Election(members=9, down=4, latency="330ms", fsync="0ms")
    drawn = worst.draw(np.random.default_rng(3), 2_000)
    error = 4 * drawn.std() / math.sqrt(drawn.size)
    assert drawn.mean() + error > 9 and drawn.mean() + error < worst.mean_at_most


@pytest.mark.parametrize(
    ("members", "down", "pre_vote", "longer"),
    [(5, 2, True, 0.06), (5, 2, False, 0.12), (7, 3, True, 0.08), (7, 3, False, 0.18)],
)
def test_more_members_down_make_elections_longer_by_what_the_law_says(
    members: int, down: int, pre_vote: bool, longer: float
) -> None:
    def took(count: int) -> np.ndarray:
        law = Election(members=members, down=count, pre_vote=pre_vote, latency="200us", jitter="200us")
        return law.draw(np.random.default_rng(4), 40_000)

    alone, more = took(1), took(down)
    ratio = more.mean() / alone.mean()
    error = ratio * math.hypot(*(t.std() / t.mean() / math.sqrt(t.size) for t in (alone, more)))
    assert abs(ratio - 1 - longer) < 0.005 + 4 * error  # it is said to a whole percent
