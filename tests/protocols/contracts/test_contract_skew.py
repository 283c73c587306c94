"""The version skew policy of Kubernetes: its windows pair by pair, and orders of upgrades at every moment."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.protocols.contracts import Minor, SkewStep, check_order, upgrade_order, versions_of, violations

minors = st.integers(20, 36).map(lambda minor: f"1.{minor}")


def rules(*given_: Any, **more: Any) -> list[tuple[str, str]]:
    return [(found.rule, found.name) for found in violations(*given_, **more)]


@pytest.mark.parametrize(
    "text", ["1.30", "v1.30", "1.30.2", "v1.30.14", "v1.30.2+k3s1", "v1.30.0-rc.1", "1.30.1-gke.100"]
)
def test_versions_are_read(text: str) -> None:
    assert Minor.parse(text) == (1, 30)
    assert str(Minor.parse(text)) == "1.30"


@pytest.mark.parametrize("text", ["", "1", "1.x", "1.30.", "v 1.30", "1.30.2.4", 1.3, None, "١.٣٠"])
def test_what_is_no_version_says_so(text: Any) -> None:
    with pytest.raises(ModelError, match=r"kubelets.0: got .*; give a version as text, like '1.30'"):
        violations(["1.30"], kubelets=[text])


# The examples of the documentation, for 1.36.


@pytest.mark.parametrize(
    ("apiservers", "kubelets", "controllers", "kubectl"),
    [
        (["1.36"], "1.33 1.34 1.35 1.36", "1.35 1.36", "1.35 1.36 1.37"),
        (["1.36", "1.35"], "1.33 1.34 1.35", "1.35", "1.35 1.36"),
    ],
)
def test_the_windows_of_the_documentation(apiservers: list[str], kubelets: str, controllers: str, kubectl: str) -> None:
    tried = [f"1.{minor}" for minor in range(30, 40)]

    def allowed(**of: str) -> str:
        return " ".join(v for v in tried if not violations(apiservers, **{kind: [v] for kind in of}))

    assert allowed(kubelets="") == kubelets
    assert allowed(proxies="") == kubelets
    assert allowed(controllers="") == controllers
    assert allowed(kubectl="") == kubectl


@given(st.lists(minors, min_size=1, max_size=4), minors)
def test_windows_narrow_to_what_every_single_api_server_allows(apiservers: list[str], version: str) -> None:
    for kind in ("controllers", "kubelets", "proxies", "kubectl"):
        together = [found for found in violations(apiservers, **{kind: [version]}) if found.component != "apiserver"]
        alone = [found for one in apiservers for found in violations([one], **{kind: [version]})]
        assert {found.rule for found in together} == {found.rule for found in alone}


@given(st.lists(minors, min_size=1, max_size=4))
def test_api_servers_are_one_minor_apart_at_most(apiservers: list[str]) -> None:
    numbers = [int(version[2:]) for version in apiservers]
    assert bool(rules(apiservers)) == (max(numbers) - min(numbers) > 1)


def test_old_kubelets_may_be_two_behind_only() -> None:
    assert rules(["1.27"], kubelets=["1.24"]) == [("kubelet older", "0")]
    assert rules(["1.26"], kubelets=["1.24"]) == []
    assert rules(["1.28"], kubelets=["1.25"]) == []


def test_a_new_controller_over_an_old_api_server_is_a_violation_unless_it_talks_to_its_own() -> None:
    apiservers, controllers = {"a": "1.31", "b": "1.30"}, {"a": "1.31", "b": "1.30"}
    (found,) = violations(apiservers, controllers)
    assert (found.rule, found.component, found.name) == ("controller newer", "controller", "a")
    assert str(found) == "controller a is at 1.31, with an API server at 1.30; never newer"
    assert rules(apiservers, controllers, local=True) == []
    assert rules(apiservers, {"a": "1.31", "b": "1.31"}, local=True) == [("controller newer", "b")]
    with pytest.raises(ModelError, match="controllers: got 'c', which has no API server beside it; those are a, b"):
        violations(apiservers, {"c": "1.30"}, local=True)


# Orders.


@st.composite
def clusters(draw: st.DrawFn) -> Any:
    """A cluster that breaks no rule, somewhere within an upgrade or between two."""
    low = draw(st.integers(24, 32))
    apiservers = draw(st.lists(st.integers(low, low + 1), min_size=1, max_size=3))
    newest, oldest = max(apiservers), min(apiservers)
    cluster = versions_of(
        *[
            [f"1.{minor}" for minor in given_]
            for given_ in (
                apiservers,
                draw(st.lists(st.integers(newest - 1, oldest), max_size=3)),
                draw(st.lists(st.integers(max(newest - 3, 22), oldest), max_size=3)),
                draw(st.lists(st.integers(newest - 1, oldest + 1), max_size=2)),
                draw(st.lists(st.integers(max(newest - 3, 22), oldest), max_size=2)),
            )
        ]
    )
    assume(not violations(cluster.apiserver, cluster.controller, cluster.kubelet, cluster.kubectl, cluster.proxy))
    return cluster


@given(clusters(), st.integers(0, 6), st.booleans())
def test_the_order_breaks_no_rule_at_any_moment_and_gets_there(cluster: Any, up: int, lag: bool) -> None:
    target = max(cluster.apiserver.values()).shifted(up)
    steps = upgrade_order(cluster, target, lag=lag)
    assert all(check_order(cluster, steps))
    now = cluster
    for step in steps:
        now = now.after(step)
    for component in ("apiserver", "controller", "kubelet", "proxy"):
        assert set(getattr(now, component).values()) <= {target}
    assert all(version >= target for version in now.kubectl.values())


def test_kubelets_that_lag_are_drained_once_in_three_minor_versions() -> None:
    cluster = versions_of(["1.28"] * 3, ["1.28"] * 6, {"node": "1.28"})
    drained = [
        [str(step.new) for step in upgrade_order(cluster, "1.34", lag=lag) if step.drain] for lag in (False, True)
    ]
    assert drained == [["1.29", "1.30", "1.31", "1.32", "1.33", "1.34"], ["1.31", "1.34"]]


def test_api_servers_come_before_controllers_before_kubelets() -> None:
    steps = upgrade_order(versions_of(["1.30"] * 2, ["1.30"] * 2, ["1.30"]), "v1.31.4")
    assert [step.component for step in steps] == ["apiserver"] * 2 + ["controller"] * 2 + ["kubelet"]
    assert str(steps[-1]) == "kubelet 0 1.30 → 1.31, drained"
    assert upgrade_order(versions_of(["1.30"]), "1.30") == []


def test_every_exchange_of_neighbours_that_matters_is_convicted() -> None:
    cluster = versions_of(["1.30"] * 2, ["1.30"], ["1.30"])
    steps = upgrade_order(cluster, "1.31")
    for place, (first, second) in enumerate(pairwise(steps)):
        exchanged = [*steps[:place], second, first, *steps[place + 2 :]]
        matters = first.component == "apiserver" != second.component
        assert all(check_order(cluster, exchanged)) is not matters


@pytest.mark.parametrize(
    ("step", "rule"),
    [
        (SkewStep("apiserver", "0", Minor(1, 30), Minor(1, 32)), "minor skipped"),
        (SkewStep("apiserver", "0", Minor(1, 30), Minor(2, 0)), "minor skipped"),
        (SkewStep("kubelet", "0", Minor(1, 29), Minor(1, 30)), "not drained"),
        (SkewStep("kubelet", "0", Minor(1, 29), Minor(1, 31), drain=True), "kubelet newer"),
        (SkewStep("controller", "0", Minor(1, 30), Minor(1, 31)), "controller newer"),
    ],
)
def test_a_wrong_step_is_convicted(step: SkewStep, rule: str) -> None:
    cluster = versions_of(["1.30"], ["1.30"], ["1.29"])
    (verdict,) = check_order(cluster, [step])
    assert not verdict
    assert rule in [found.rule for found in verdict.violations]
    assert str(step) in str(verdict)


def test_a_local_controller_may_be_upgraded_with_its_api_server() -> None:
    cluster = versions_of({"a": "1.30", "b": "1.30"}, {"a": "1.30", "b": "1.30"})
    old, new = Minor(1, 30), Minor(1, 31)
    steps = [SkewStep(kind, name, old, new) for name in "ab" for kind in ("apiserver", "controller")]  # type: ignore[arg-type]
    assert all(check_order(cluster, steps, local=True))
    assert [bool(verdict) for verdict in check_order(cluster, steps)] == [True, False, True, True]


def test_mistakes_say_what_is_wrong() -> None:
    cluster = versions_of(["1.30"])
    with pytest.raises(ModelError, match="apiservers: is empty"):
        violations([])
    with pytest.raises(ModelError, match=r"kubelets: got '1.30'; give a list of versions"):
        violations(["1.30"], kubelets="1.30")
    with pytest.raises(ModelError, match=r"to: got 1.29; an API server is at 1.30"):
        upgrade_order(cluster, "1.29")
    with pytest.raises(ModelError, match=r"start: kubelet 0 is at 1.31, .*; put that right first"):
        upgrade_order(versions_of(["1.30"], kubelets=["1.31"]), "1.31")
    with pytest.raises(ModelError, match=r"steps\[0\]: got apiserver 7 1.30 → 1.31; .*: 0 at 1.30"):
        check_order(cluster, [SkewStep("apiserver", "7", Minor(1, 30), Minor(1, 31))])
