"""Availability problems with known answers, as clusters; the answers stand in data/availability_truth.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import hasim as ha

ANSWERS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "data" / "availability_truth.json").read_text(encoding="utf-8")
)


def two_of_three() -> ha.Cluster:
    """P1: 2 of 3 identical units, each with a repairer of its own."""
    return ha.Cluster(
        name="P1",
        parts={"u": ha.Pool(replicas=3, required=2)},
        failures={"u": {"mtbf": "1000h", "mttr": "10h"}},
        services={"s": ["u"]},
    )


def quorum_in_zones() -> ha.Cluster:
    """P2: 3 of 5 members on hosts in zones of 2, 2 and 1."""
    return ha.Cluster(
        name="P2",
        topology={"zones": {"z1": {"hosts": ["h1", "h2"]}, "z2": {"hosts": ["h3", "h4"]}, "z3": {"hosts": ["h5"]}}},
        parts={"etcd": ha.Quorum(members=5, on=["z1", "z2", "z3"], spread="zone")},
        failures={"host": {"mtbf": "2160h", "mttr": "4h"}, "zone": {"mtbf": "43800h", "mttr": "2h"}},
        services={"s": ["etcd"]},
    )


def one_crew(repair: object = "10h") -> ha.Cluster:
    """P3: 2 of 3 units with one repair crew."""
    return ha.Cluster(
        name="P3",
        parts={"u": ha.Pool(replicas=3, required=2)},
        crews={"crew": ha.Crew()},
        failures={"u": {"mtbf": "1000h", "mttr": repair, "crew": "crew"}},
        services={"s": ["u"]},
    )


def standby_pair(**mode: Any) -> ha.Cluster:
    """P4: a cold standby whose failover works in 95 % of cases; `mode` and `warm_rate` make it warm or hot."""
    failover = ha.Failover(takes="30s", coverage="95%", manual="30m")
    return ha.Cluster(
        name="P4",
        parts={"db": ha.Standby(failover=failover, **(mode or {"mode": "cold"}))},
        failures={"db": {"mtbf": "2000h", "mttr": "4h"}},
        services={"s": ["db"]},
    )


def control_plane() -> ha.Cluster:
    """P5: balancer, API servers, etcd and schedulers, stacked on three hosts."""
    hosts = ["h1", "h2", "h3"]
    return ha.Cluster(
        name="P5",
        topology={"hosts": hosts},
        parts={
            "lb": ha.Pool(replicas=2),
            "apiserver": ha.Pool(replicas=3, on=hosts),
            "etcd": ha.Quorum(members=3, on=hosts),
            "scheduler": ha.Pool(replicas=2, on=hosts[:2]),
        },
        failures={
            "host": {"mtbf": "2160h", "mttr": "4h"},
            "lb": {"mtbf": "8760h", "mttr": "2h"},
            "apiserver": {"mtbf": "720h", "mttr": "6m"},
            "etcd": {"mtbf": "1440h", "mttr": "15m"},
            "scheduler": {"mtbf": "720h", "mttr": "6m"},
        },
        services={"s": ["lb", "apiserver", "etcd", "scheduler"]},
    )


def seven_hosts(crew: bool = False) -> ha.Cluster:
    """P6: 4 of 7 hosts, nine nines; with one crew it is the problem called P6c."""
    hosts = [f"h{i}" for i in range(1, 8)]
    repair = {"mtbf": "2160h", "mttr": "4h", **({"crew": "crew"} if crew else {})}
    return ha.Cluster(
        name="P6",
        topology={"hosts": hosts},
        parts={"etcd": ha.Quorum(members=7, on=hosts)},
        crews={"crew": ha.Crew()} if crew else {},
        failures={"host": repair},
        services={"s": ["etcd"]},
    )


def nine_in_zones() -> ha.Cluster:
    """P6z: 5 of 9 hosts in three zones of three."""
    zones = {f"z{z}": {"hosts": [f"h{z}{i}" for i in range(3)]} for z in range(3)}
    return ha.Cluster(
        name="P6z",
        topology={"zones": zones},
        parts={"etcd": ha.Quorum(members=9, on=list(zones), spread="zone")},
        failures={"host": {"mtbf": "2160h", "mttr": "4h"}, "zone": {"mtbf": "87600h", "mttr": "1h"}},
        services={"s": ["etcd"]},
    )


PROBLEMS = {
    "P1": two_of_three,
    "P2": quorum_in_zones,
    "P3": one_crew,
    "P4": standby_pair,
    "P5": control_plane,
    "P6": seven_hosts,
}
