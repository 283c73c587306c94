"""What a cluster refuses, and edits by path."""

from __future__ import annotations

from typing import Any

import pytest

import hasim as ha


def unit(failure: Any, **more: Any) -> ha.Cluster:
    return ha.Cluster(name="x", parts={"p": ha.Unit()}, failures={"p": failure}, up=["p"], **more)


@pytest.mark.parametrize(
    "failure",
    [
        {"mtbf": {"mixture": [{"weight": 0.5, "law": {"fixed": "0s"}}, {"weight": 0.5, "law": "1h"}]}, "mttr": "1h"},
        {"mtbf": {"empirical": {"data": ["0s", "100h"]}}, "mttr": "1h"},
        {"mtbf": "1h", "mttr": {"fixed": "0s"}},
        {"mtbf": "1h", "mttr": "1h", "restart": {"takes": {"fixed": "0s"}, "works": "50%"}},
    ],
)
def test_failures_of_no_length_are_refused(failure: Any) -> None:
    with pytest.raises(ha.ModelError, match=r"failures\.p"):
        unit(failure)


def test_a_restart_at_once_is_fine_where_repair_follows() -> None:
    unit({"mtbf": "1h", "mttr": "1h", "detect": "5s", "restart": {"takes": {"fixed": "0s"}, "works": "50%"}})


@pytest.mark.parametrize("name", ["zone", "host", "rack", "region", "process"])
def test_names_of_levels_are_not_for_parts(name: str) -> None:
    with pytest.raises(ha.ModelError, match=f"parts.{name}: '{name}' is the name of a level"):
        ha.Cluster(name="x", parts={name: ha.Pool(replicas=2)}, up=[name])


def test_names_of_levels_are_not_for_hosts() -> None:
    with pytest.raises(ha.ModelError, match="'rack' is the name of a level"):
        ha.Cluster(name="x", topology={"hosts": ["rack"]}, parts={"p": ha.Unit(on="rack")}, up=["p"])


@pytest.mark.parametrize("value", [True, "3", 2.0])
def test_a_count_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ha.ModelError, match=r"replicas: got .*whole number"):
        ha.Pool(replicas=value)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("failures.p.mttr.mean", "5h", "is set as a whole"),
        ("services.cluster.up.of", "x", "is set as a whole"),
        ("failures.p.9.mttr", "1h", "has items 0 to 0"),
        ("p.memebers", 3, "no field 'memebers'"),
        ("nothing.here", 3, "no field or part 'nothing'"),
        ("", 3, "no field or part"),
        (3, 3, "a path is text"),
    ],
)
def test_a_path_that_leads_nowhere_is_named(path: Any, value: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        unit({"mtbf": "1h", "mttr": "1h"}).replace(path, value)


def test_edits_by_path_change_one_thing() -> None:
    cluster = ha.load("stacked-control-plane")
    slower = cluster.replace("etcd.failover.takes", "10s").replace("services.api.slo.availability", "99%")
    assert slower.parts["etcd"].switch == ha.Failover(takes="10s")
    assert slower.services["api"].slo == ha.SLO(availability="99%", window="30d")
    assert slower.replace("etcd.failover.takes", "1.44s").replace("services.api.slo.availability", "99.95%") == cluster
    assert cluster.replace("failures.host.mttr", "1h").failures["host"][0].mttr == ha.Exponential(mean="1h")


def test_a_fault_that_is_none_is_refused() -> None:
    with pytest.raises(ha.ModelError, match="give faults like"):
        unit({"mtbf": "1h", "mttr": "1h"}).during(3)  # type: ignore[arg-type]


@pytest.mark.parametrize("verb", [ha.solve, ha.estimate, ha.simulate])
def test_verbs_take_clusters_only(verb: Any) -> None:
    for wrong in (None, 3, "stacked-control-plane", {}):
        with pytest.raises(ha.ModelError, match="takes a Cluster"):
            verb(wrong)


def test_windows_name_each_thing_once() -> None:
    with pytest.raises(ha.ModelError, match="name each thing once"):
        unit({"mtbf": "1h", "mttr": "1h"}, maintenance={"m": {"on": ["p", "p"], "every": "9h", "lasting": "1h"}})


def test_bursts_come_with_time_between() -> None:
    with pytest.raises(ha.ModelError, match="time between any two bursts"):
        ha.Burst(within="zone", every={"fixed": "0s"}, mttr="1h", share=0.5)
