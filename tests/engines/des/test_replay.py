"""The same seed gives the same history, in this process and in another; a run can be watched and stopped."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hasim.engines.des import history, live, simulate
from hasim.errors import ModelError
from hasim.faults import Crash
from hasim.model.cluster import Cluster
from hasim.model.scenario import Scenario
from hasim.results import Run

ROOT = Path(__file__).resolve().parents[3]


def everything() -> Cluster:
    """A bit of all that an engine has to deal with."""
    slow = {
        "mtbf": "20d",
        "mttr": {"lognormal": {"mean": "3h", "median": "1h"}},
        "crew": "ops",
        "spares": "disks",
    }
    zone = {"mtbf": {"weibull": {"shape": 2, "mean": "1y"}}, "mttr": "2h"}
    quick = {"mtbf": "5d", "mttr": "30m", "detect": "1m", "restart": {"takes": "1m", "works": 0.8}}
    hosts = ["h1", "h2", "h3"]
    return Cluster(
        name="everything",
        topology={"zones": {f"z{i}": {"hosts": [f"h{i}"]} for i in (1, 2, 3)}},
        failures={"host": slow, "process": quick, "zone": zone},
        crews={"ops": {"size": 1, "discipline": "random"}},
        spares={"disks": {"stock": 1, "restock": "2d"}},
        bursts={"power": {"within": "zone", "every": "100d", "mttr": "1h", "share": 0.5}},
        maintenance={"patch": {"on": hosts, "every": "30d", "lasting": "1h", "one_by_one": True}},
        parts={
            "etcd": {"kind": "quorum", "members": 3, "on": hosts, "failover": {"takes": "2s"}},
            "api": {"kind": "pool", "replicas": 3, "on": hosts, "needs": {"etcd": "hard", "db": "degraded"}},
            "db": {
                "kind": "standby",
                "mode": "warm",
                "warm_rate": 0.5,
                "failover": {"takes": "30s", "coverage": 0.9, "manual": "30m"},
            },
        },
        services={"api": ["api"], "db": {"up": ["db"], "slo": {"availability": "99.9%"}}},
    )


def scenario() -> Scenario:
    return everything().during(Crash("z1", at="10d", lasting="5h"), Crash("etcd", at="20d", lasting="1m"))


def digest(run: Run) -> str:
    """All that happened, to the last bit."""
    text = "\n".join(f"{fact.at!r} {fact.kind} {fact.subject} {fact.detail}" for fact in run.trace)
    rows = "\n".join(f"{name} {down.tolist()}" for name, down in run.intervals.items())
    return hashlib.sha256(f"{text}\n{rows}\n{run.to_json()}".encode()).hexdigest()


@pytest.mark.parametrize("start", ["new", "steady"])
def test_the_same_seed_gives_the_same_history(start: Any) -> None:
    first, second = (simulate(scenario(), over="1y", seed=7, start=start) for _ in range(2))
    assert len(first.trace) > 500
    assert digest(first) == digest(second)


def test_another_seed_gives_another_history() -> None:
    assert digest(simulate(everything(), over="1y", seed=7)) != digest(simulate(everything(), over="1y", seed=8))


def test_another_process_gives_the_same_history() -> None:
    code = (
        f"import sys; sys.path[:0] = {[str(ROOT), str(Path(__file__).parent)]!r}\n"
        "from test_replay import digest, scenario, simulate\n"
        "print(digest(simulate(scenario(), over='1y', seed=7)))"
    )
    env = {"PYTHONHASHSEED": "12345", "PATH": ""}
    told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == digest(simulate(scenario(), over="1y", seed=7))


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    short, long = simulate(everything(), over="30d", seed=7), simulate(everything(), over="90d", seed=7)
    assert list(long.trace.filter(until=short.end_s)) == list(short.trace)


def test_a_new_unit_changes_nobody_s_luck() -> None:
    plain = everything().to_plain()
    plain["parts"] = {"extra": {"kind": "pool", "replicas": 2}, **plain["parts"]}
    before, after = simulate(everything(), over="1y", seed=7), simulate(Cluster(**plain), over="1y", seed=7)
    assert len(before.down("h1")) > 0
    for name in ("z1", "h1", "etcd-2", "db"):
        assert np.array_equal(before.down(name), after.down(name))


def test_a_run_without_a_seed_says_which_one_it_drew() -> None:
    first = simulate(everything(), over="30d")
    assert first.seed is not None
    assert digest(first) == digest(simulate(everything(), over="30d", seed=first.seed))


def test_facts_and_intervals_tell_the_same_story() -> None:
    run = simulate(everything(), over="3y", seed=7)
    for kind in ("part", "service"):
        for name in ("db", "api"):
            facts = [fact.at for fact in run.trace.filter(kind=f"{kind} down", subject=name)]
            key = f"{name} (part)" if kind == "part" else name
            assert facts == run.down(key)[:, 0].tolist()
    assert run.services["api"].degraded is not None
    assert run.services["db"].slo == (0.999, 30 * 86400.0)


def test_a_very_long_run_keeps_some_facts_and_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulate(everything(), over="1y", seed=7)
    monkeypatch.setattr(history, "FACTS_MAX", 100)
    run = simulate(everything(), over="1y", seed=7)
    assert list(run.trace) == list(whole.trace)[:100]
    assert run.trace.counts == whole.trace.counts
    assert run.trace.dropped == len(whole.trace) - 100
    assert any("only counted" in warning for warning in run.warnings)


def test_progress_is_told_in_order_up_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PULSE_CHANGES", 1000)
    told: list[tuple[float, float]] = []
    simulate(everything(), over="10y", seed=7, progress=lambda done, total: told.append((done, total)))
    assert len(told) > 3
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] == 10 * 365 * 86400


def test_an_interrupted_run_keeps_what_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PULSE_CHANGES", 1000)

    def stop(done: float, total: float) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    whole = simulate(everything(), over="10y", seed=7)
    run = simulate(everything(), over="10y", seed=7, progress=stop)
    assert whole.end_s / 2 < run.end_s < whole.end_s
    assert run.warnings[0].startswith("interrupted after")
    down = whole.down("api")
    assert np.array_equal(run.down("api"), down[down[:, 0] < run.end_s])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"over": "0s"}, "over: got '0s'"),
        ({"over": 30}, "over: got 30; a duration needs a unit"),
        ({"seed": -1}, "seed: got -1"),
        ({"start": "stedy"}, "did you mean 'steady'"),
        ({"level": 95}, "level: got 95"),
    ],
)
def test_a_wrong_argument_is_refused_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        simulate(everything(), **given)


def test_what_is_no_cluster_is_refused() -> None:
    with pytest.raises(ModelError, match="takes a Cluster or a Scenario"):
        simulate({"name": "plain data"})  # type: ignore[arg-type]
