"""An interface that is to go: closed forms against clients that are drawn one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.model.deprecation import Deprecate, Deprecation, Extend, Keep
from hasim.model.laws import Law
from hasim.units import YEAR

DAY = 86400.0
LAWS: list[Any] = [
    "40d",
    {"fixed": "90d"},
    {"lognormal": {"mean": "200d", "sigma": 1.2}},
    {"weibull": {"shape": 0.6, "mean": "120d"}},
    {"uniform": {"low": "10d", "high": "300d"}},
    {"empirical": {"data": ["1d", "30d", "30d", "400d"]}},
    {"mixture": [{"weight": "30%", "law": {"fixed": "1d"}}, {"weight": "70%", "law": "1y"}]},
]


def made(policy: Any = "kubernetes_beta", **more: Any) -> Deprecation:
    clients = {
        "own": {"share": "60%", "upgrade": {"uniform": {"low": "5d", "high": "60d"}}},
        "public": {"share": "40%", "upgrade": LAWS[2], "library": "50%", "never": "1%"},
    }
    return Deprecation(**{"clients": clients, "policy": policy, "client_library": 0.25, **more})


def drawn(deprecation: Deprecation, count: int, seed: int) -> np.ndarray:
    """When each of so many clients, all with as many requests, has upgraded: drawn group by group, one by one."""
    rng = np.random.default_rng(seed)
    names = list(deprecation.clients)
    group = rng.choice(len(names), count, p=[each.share for each in deprecation.clients.values()])
    when = np.empty(count)
    for place, name in enumerate(names):
        each, here = deprecation.clients[name], group == place
        size = int(here.sum())
        times = each.upgrade.draw(rng, size)
        times = np.where(rng.random(size) < each.library, times * deprecation.client_library, times)
        when[here] = np.where(rng.random(size) < each.never, np.inf, times)
    return when


@pytest.mark.parametrize("policy", ["keep", "kubernetes_beta", {"kind": "deprecate", "served": "90d"}])
def test_shares_are_those_of_clients_drawn_one_by_one(policy: Any) -> None:
    deprecation, count = made(policy), 40_000
    when = drawn(deprecation, count, 1)
    for t in (0.0, 10 * DAY, 89 * DAY, 90 * DAY, YEAR, 3 * YEAR):
        fails = (when > t) & (t >= deprecation.window)
        expected = float(deprecation.failing(t))
        assert abs(fails.mean() - expected) <= 4.5 * math.sqrt(expected * (1 - expected) / count) + 1e-12


@pytest.mark.parametrize("served", ["0s", "30d", "90d", "365d"])
def test_failed_requests_are_those_of_clients_drawn_one_by_one(served: str) -> None:
    deprecation, count = made({"kind": "deprecate", "served": served}), 40_000
    until = 4 * YEAR
    failed = np.clip(np.minimum(drawn(deprecation, count, 2), until) - deprecation.window, 0.0, None) / YEAR
    error = failed.std() / math.sqrt(count)
    assert abs(failed.mean() - deprecation.failed_years(until)) <= 4.5 * error


def test_the_comparison_convicts_a_forgotten_client_library() -> None:
    deprecation = made({"kind": "deprecate", "served": "30d"})
    when = drawn(deprecation, 40_000, 3)
    wrong = float(made(deprecation.policy, client_library=1.0).failing(30 * DAY))
    assert abs((when > 30 * DAY).mean() - wrong) > 10 * math.sqrt(wrong * (1 - wrong) / 40_000)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: str(law)[:20])
@pytest.mark.parametrize("served", [0.0, 20.0, 90.0, 500.0])
def test_the_area_under_each_law_is_right(law: Any, served: float) -> None:
    deprecation = Deprecation(
        clients={"all": {"share": 1, "upgrade": law}}, policy={"kind": "deprecate", "served": f"{served}d"}
    )
    until = 3 * YEAR
    t = np.linspace(served * DAY, until, 1_000_001)
    middle = (t[1:] + t[:-1]) / 2
    riemann = float(np.sum(deprecation.on_old(middle)) * (t[1] - t[0])) / YEAR
    assert deprecation.failed_years(until) == pytest.approx(riemann, rel=2e-5, abs=1e-9)


def test_an_exponential_law_has_its_textbook_area() -> None:
    deprecation = Deprecation(
        clients={"all": {"share": 1, "upgrade": "100d"}}, policy={"kind": "deprecate", "served": "1y"}
    )
    mean = 100 * DAY
    area = mean * (math.exp(-YEAR / mean) - math.exp(-9 * YEAR / mean))
    assert deprecation.failed_years(9 * YEAR) == pytest.approx(area / YEAR, rel=1e-10)


@given(
    st.lists(
        st.tuples(st.floats(0.05, 1), st.sampled_from(LAWS), st.sampled_from([0, 0.3, 1])), min_size=1, max_size=3
    ),
    st.floats(0.01, 0.9),
)
@settings(deadline=None, max_examples=60)
def test_the_shortest_window_is_the_shortest(groups: list[tuple[float, Any, float]], share: float) -> None:
    total = sum(weight for weight, _, _ in groups)
    clients = {
        str(place): {"share": weight / total, "upgrade": law, "library": library}
        for place, (weight, law, library) in enumerate(groups)
    }
    deprecation = Deprecation(clients=clients, policy="keep", client_library=0.5)
    window = deprecation.shortest_window(share)
    assert float(deprecation.on_old(window * (1 + 1e-9))) <= share + 1e-9
    if window > 0:
        assert float(deprecation.on_old(window * (1 - 1e-9))) >= share - 1e-9
    served = Deprecation(clients=clients, policy=Deprecate(served=f"{window * (1 + 1e-9)!r}s"), client_library=0.5)
    assert float(np.max(served.failing(np.linspace(0, 5 * YEAR, 200)))) <= share + 1e-9


def test_groups_add_up_to_all() -> None:
    deprecation = made()
    t = np.linspace(0, 3 * YEAR, 7)
    assert deprecation.on_old(t) == pytest.approx(sum(deprecation.on_old(t, name) for name in deprecation.clients))
    parts = [deprecation.failed_years(5 * YEAR, name) for name in deprecation.clients]
    assert deprecation.failed_years(5 * YEAR) == pytest.approx(sum(parts))
    assert float(deprecation.on_old(0.0)) == pytest.approx(1.0)


def test_those_who_never_upgrade_bound_the_window() -> None:
    deprecation = made()
    assert deprecation.shortest_window(0.0039) == math.inf
    assert deprecation.shortest_window(0.0041) < math.inf
    assert deprecation.shortest_window(1.0) == 0.0
    nobody = Deprecation(clients={"all": {"share": 1, "upgrade": "1d", "never": 1}}, policy="keep")
    assert nobody.shortest_window(0.5) == math.inf and nobody.shortest_window(1) == 0.0
    assert float(nobody.on_old(YEAR)) == 1.0


# Policies.


def test_to_keep_fails_nobody_and_costs_for_good() -> None:
    keep = made("keep")
    assert keep.policy == Keep() and keep.window == math.inf
    assert keep.failed_years(9 * YEAR) == 0.0
    assert keep.served_years(9 * YEAR) == 9.0
    assert not keep.failing([0.0, 9 * YEAR]).any()


def test_the_longer_of_time_and_releases_counts() -> None:
    assert made("kubernetes_beta").window == pytest.approx(YEAR)  # three releases take longer than nine months
    assert made("kubernetes_ga").window == pytest.approx(YEAR)
    often = {"kind": "deprecate", "served": "90d", "releases": 3, "release_every": "14d"}
    assert made(often).window == 90 * DAY
    assert made(often).served_years(YEAR) == pytest.approx(90 / 365)


def test_a_removal_is_put_off_while_too_many_are_on_the_old_version() -> None:
    extend = made({"kind": "extend", "served": "30d", "by": "30d", "above": "10%", "most": 30})
    window = extend.window
    assert float(extend.on_old(window)) <= 0.10 < float(extend.on_old(window - 30 * DAY))
    when = drawn(extend, 200_000, 4)
    played = 30 * DAY
    while (when > played).mean() > 0.10:
        played += 30 * DAY
    assert played == window
    few = made({"kind": "extend", "served": "30d", "by": "30d", "above": "10%", "most": 2})
    assert few.window == 90 * DAY
    assert float(np.max(few.failing(np.linspace(0, YEAR, 99)))) > 0.10


def test_longer_windows_fail_less_and_cost_more() -> None:
    windows = [made({"kind": "deprecate", "served": f"{days}d"}) for days in (0, 30, 90, 365, 1000)]
    failed = [each.failed_years(5 * YEAR) for each in windows]
    assert failed == sorted(failed, reverse=True)
    cost = [each.served_years(5 * YEAR) for each in windows]
    assert cost == sorted(cost)


def test_a_model_survives_its_plain_form() -> None:
    for policy in ("keep", "kubernetes_ga", Extend(served="30d", by="30d", above="10%")):
        deprecation = made(policy)
        assert Deprecation(**deprecation.model_dump(mode="json")) == deprecation
        assert isinstance(deprecation.clients["own"].upgrade, Law)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"clients": {}}, "clients: got"),
        (
            {"clients": {"a": {"share": "90%", "upgrade": "1d"}}},
            "clients: shares add up to 90%; they must add up to 100%",
        ),
        ({"clients": {"a": {"share": 1, "upgrade": "soon"}}}, r"clients.a.upgrade: got 'soon'"),
        ({"clients": {"a": {"share": 1, "upgrades": "1d"}}}, "did you mean 'upgrade'"),
        ({"policy": "kep"}, r"policy: got 'kep'; known are keep, kubernetes_beta, .*; did you mean 'keep'"),
        ({"policy": "kubernetes_bta"}, "did you mean 'kubernetes_beta'"),
        ({"policy": {"kind": "drop"}}, "policy.kind: got 'drop'; kinds are keep, deprecate, extend"),
        ({"policy": {"kind": "deprecate"}}, "policy.served: is missing"),
        ({"policy": {"kind": "deprecate", "served": 30}}, "a duration needs a unit"),
        ({"client_library": 0.0}, "client_library: got 0.0; give a number above 0"),
    ],
)
def test_mistakes_say_what_is_wrong(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        made(**more)


def test_wrong_questions_say_what_is_wrong() -> None:
    with pytest.raises(ModelError, match="group: got 'publik'; groups are own, public; did you mean 'public'"):
        made().on_old(0.0, "publik")
    with pytest.raises(ModelError, match="until: got inf"):
        made().failed_years(math.inf)
    with pytest.raises(ModelError, match=r"share: got 1.5; give a share from 0 to 1"):
        made().shortest_window(1.5)
