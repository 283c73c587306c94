"""The lumped, conditioned solution against one plain chain of everything, for units that act on one another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.engines.exact import linear
from hasim.engines.exact.chain import explore
from hasim.engines.exact.coupling import everything
from hasim.model.structure import holds
from hasim.model.system import compile_system
from hasim.units import YEAR

HOSTS = ["h1", "h2", "h3"]
RATES: dict[str, Any] = {
    "host": {"mtbf": "200h", "mttr": "4h"},
    "etcd": {"mtbf": "100h", "mttr": "1h"},
    "api": {"mtbf": "50h", "mttr": "30m"},
}


def cluster(parts: dict[str, Any], services: dict[str, Any], failures: dict[str, Any], **more: Any) -> ha.Cluster:
    more.setdefault("topology", {"hosts": HOSTS})
    return ha.Cluster(name="x", parts=parts, services=services, failures=failures, **more)


CASES = {
    "election, and API servers that need the local member": cluster(
        {
            "etcd": {"kind": "quorum", "members": 3, "on": HOSTS, "failover": {"takes": "6m"}},
            "api": {"kind": "pool", "replicas": 3, "on": HOSTS, "needs": {"etcd": "local"}},
        },
        {"s": ["api"], "t": ["etcd"]},
        RATES,
    ),
    "hosts that differ, failover covered in nine of ten": cluster(
        {
            "etcd": {
                "kind": "elected",
                "replicas": 3,
                "on": HOSTS,
                "failover": {"takes": "6m", "coverage": 0.9, "manual": {"gamma": {"shape": 2, "mean": "1h"}}},
            }
        },
        {"t": ["etcd"]},
        {"host": RATES["host"], "etcd": RATES["etcd"], "h2": {"mtbf": "20h", "mttr": "1h"}},
    ),
    "one crew for all hosts, last come first served, beside a pair": cluster(
        {
            "lb": {"kind": "balancer", "to": "api", "failover": {"takes": "3m"}},
            "api": {"kind": "pool", "replicas": 3, "required": 2, "on": HOSTS},
        },
        {"s": ["lb"]},
        {"host": {**RATES["host"], "crew": "c"}, "lb": {"mtbf": "60h", "mttr": "1h", "detect": "5m"}},
        crews={"c": {"discipline": "lifo"}},
    ),
    "spares, restarts and priorities": cluster(
        {"api": {"kind": "pool", "replicas": 2, "required": 1, "on": HOSTS[:2]}},
        {"s": ["api"]},
        {
            "host": {**RATES["host"], "spares": "p", "crew": "c", "restart": {"takes": "10m", "works": "50%"}},
            "api": {**RATES["api"], "crew": "c", "priority": -1},
        },
        topology={"hosts": HOSTS[:2]},
        spares={"p": {"stock": 1, "restock": "20h"}},
        crews={"c": {"discipline": "priority"}},
    ),
    "no spare on the shelf: each repair orders its own": cluster(
        {"api": {"kind": "pool", "replicas": 3, "required": 2}},
        {"s": ["api"]},
        {"api": {"mtbf": "50h", "mttr": "30m", "spares": "p"}},
        topology={},
        spares={"p": {"stock": 0, "restock": "5h"}},
    ),
    "bursts over two racks": cluster(
        {"api": {"kind": "pool", "replicas": 4, "required": 3, "on": ["r1", "r2"]}},
        {"s": ["api"]},
        {"api": RATES["api"]},
        topology={"racks": {"r1": {"hosts": HOSTS}, "r2": {"hosts": ["g1"]}}},
        bursts={"power": {"within": "rack", "every": "100h", "mttr": "3h", "share": "50%"}},
    ),
    "bursts that take two of three under an election": cluster(
        {"api": {"kind": "elected", "replicas": 3, "failover": {"takes": "3m"}, "on": HOSTS}},
        {"s": ["api"]},
        {"host": RATES["host"]},
        topology={"racks": {"r1": {"hosts": HOSTS}}},
        bursts={"power": {"within": "r1", "every": "100h", "mttr": "3h", "hosts": 2}},
    ),
    "warm pair with a common cause": cluster(
        {
            "db": {
                "kind": "standby",
                "mode": "warm",
                "warm_rate": 0.3,
                "failover": {"takes": "3m"},
                "on": HOSTS[:2],
            }
        },
        {"s": ["db"]},
        {"host": RATES["host"], "db": {"mtbf": "50h", "mttr": "2h", "common_cause": 0.1}},
    ),
    "two failovers on the same hosts, all of them and any of them": cluster(
        {
            "etcd": {"kind": "quorum", "members": 3, "on": HOSTS, "failover": {"takes": "6m"}},
            "sched": {"kind": "elected", "replicas": 3, "on": HOSTS, "failover": {"takes": "10m"}, "needs": "etcd"},
        },
        {"s": ["sched"], "any": {"any_of": ["etcd", "sched"]}},
        {"host": RATES["host"], "etcd": RATES["etcd"], "sched": {"mtbf": "70h", "mttr": "42m"}},
    ),
}


@pytest.mark.parametrize("name", list(CASES))
def test_lumping_and_conditioning_change_no_figure(name: str) -> None:
    case = CASES[name]
    solution = ha.solve(case)
    system = compile_system(case)
    units = range(len(system.units) + len(system.switches))
    # No two units are interchangeable here, and nothing is left to the decision diagram.
    chain = explore(system, everything(system, units), set(range(len(system.units))))
    assert len(chain.faces) > solution.states
    for service in system.services:
        known: dict[int, bool] = {}

        def up(face: int, service: Any = service, known: dict[int, bool] = known) -> bool:
            if face not in known:
                values = chain.values(face)
                known[face] = holds(service.up, [values.get(i, True) for i in range(system.variables)])
            return known[face]

        down = sum(p for p, face in zip(chain.pi, chain.faces, strict=True) if not up(face))
        steps = zip(chain.source, chain.arrival, chain.rate, strict=True)
        falls = sum(chain.pi[s] * r for s, arrival, r in steps if up(chain.faces[s]) and not up(arrival))
        figures = solution.services[service.name]
        assert figures.unavailability is not None and figures.outages_per_year is not None
        assert figures.unavailability.value == pytest.approx(down, rel=1e-11, abs=0)
        assert figures.outages_per_year.value == pytest.approx(falls * YEAR, rel=1e-11, abs=0)
        critical: dict[str, float] = {}
        cut_weight = dict.fromkeys((cut.units for cut in figures.cuts), 0.0)
        for p, face in zip(chain.pi, chain.faces, strict=True):
            if up(face):
                continue
            lost = {system.variable_name(v) for v, value in chain.values(face).items() if not value}
            for cut in cut_weight:
                if lost.issuperset(cut):
                    cut_weight[cut] += p
            for bit, variable in enumerate(chain.variables):
                if not face >> bit & 1 and up(face | 1 << bit):
                    unit = system.variable_name(variable)
                    critical[unit] = critical.get(unit, 0.0) + p
        assert {blame.unit: blame.criticality for blame in figures.blame} == pytest.approx(
            {unit: value / down for unit, value in critical.items()}, rel=1e-10, abs=0
        )
        assert {cut.units: cut.share for cut in figures.cuts} == pytest.approx(
            {units: weight / down for units, weight in cut_weight.items()}, rel=1e-10, abs=0
        )


@pytest.fixture
def sweeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "DENSE_MAX", 1)


@pytest.mark.usefixtures("sweeping")
def test_sweeps_find_the_same_distribution_as_elimination() -> None:
    system = compile_system(CASES["two failovers on the same hosts, all of them and any of them"])
    chain = explore(system, everything(system, range(len(system.units) + len(system.switches))), set())
    swept = linear.stationary(chain.rates)
    eliminated = linear._gth(chain.rates)
    # Relative in every component, down to states of 1e-12 and less.
    assert swept == pytest.approx(eliminated / eliminated.sum(), rel=1e-11, abs=0)
    assert swept.min() < 1e-9


def test_elimination_keeps_the_digits_of_tiny_probabilities() -> None:
    ratio = 1e-6
    chain = linear.Rates(
        6,
        np.array([0, 1, 2, 3, 4, 1, 2, 3, 4, 5]),
        np.array([1, 2, 3, 4, 5, 0, 1, 2, 3, 4]),
        np.array([ratio] * 5 + [1.0] * 5),
        np.arange(6),
    )
    assert linear.stationary(chain) * (1 - ratio**6) / (1 - ratio) == pytest.approx(
        [ratio**i for i in range(6)], rel=1e-13, abs=0
    )


def test_unlike_laws_are_refused_by_name() -> None:
    case = CASES["warm pair with a common cause"].replace(
        "failures.db.mttr", {"lognormal": {"mean": "2h", "median": "1h"}}
    )
    with pytest.raises(ha.CannotModel, match=r"the repair of db-1 \(lognormal.*use ha\.estimate"):
        ha.solve(case)


def test_a_chain_beyond_bounds_is_refused_by_name() -> None:
    hosts = [f"h{i}" for i in range(30)]
    failures = {name: {"mtbf": f"{100 + i}h", "mttr": "1h", "crew": "c"} for i, name in enumerate(hosts)}
    case = ha.Cluster(
        name="x",
        topology={"hosts": hosts},
        parts={"p": {"kind": "pool", "replicas": 30, "on": hosts}},
        crews={"c": {}},
        failures=failures,
        services={"s": ["p"]},
    )
    with pytest.raises(ha.CannotModel, match="more than 22222 states"):
        ha.solve(case)
