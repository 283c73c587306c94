"""Loads, clients and servers as they are declared: arrivals have their law, mistakes are named, YAML comes back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import hasim as ha
from hasim.model.demand import Arrivals
from hasim.streams import Streams

DAY = 86400.0


def drawn(arrivals: Arrivals, start: float, end: float, seed: int = 1) -> np.ndarray[Any, np.dtype[np.float64]]:
    blocks = list(arrivals.blocks(Streams(seed)["arrivals"], start, end))
    return np.concatenate(blocks) if blocks else np.empty(0)


KINDS = [
    ha.Poisson(rate=20),
    ha.Paced(rate=20),
    ha.Steps([("0s", 10), ("2m", 50), ("5m", 0), ("6m", 5)]),
    ha.Spike(rate=10, to=100, at="3m", lasting="1m"),
    ha.Daily(low=5, high=25),
    ha.Replay(times=[1, 2, 2, 400]),
]


@pytest.mark.parametrize("arrivals", KINDS, ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize(("start", "end"), [(0.0, 600.0), (100.0, 450.0)])
def test_arrivals_ascend_within_the_window_at_the_mean_rate(arrivals: Arrivals, start: float, end: float) -> None:
    times = drawn(arrivals, start, end)
    assert np.all(np.diff(times) >= 0)
    assert times[0] >= start and times[-1] < end
    expected = arrivals.mean_rate(start, end) * (end - start)
    exact = isinstance(arrivals, ha.Paced | ha.Replay)
    assert abs(len(times) - expected) <= (1 if exact else 4 * np.sqrt(expected))
    assert list(arrivals.segments(start, end))[-1][1] <= end


def test_a_poisson_stream_has_exponential_gaps() -> None:
    gaps = np.diff(drawn(ha.Poisson(rate=50), 0, 2000))
    assert stats.kstest(gaps, stats.expon(scale=1 / 50).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(gaps[1:], gaps[:-1])[0, 1]) < 4 / np.sqrt(len(gaps))


def test_a_changing_rate_is_followed_in_time() -> None:
    # Time changed by the mean number of arrivals up to then, a Poisson process is one of rate 1.
    steps = ha.Steps([("0s", 10), ("100s", 200), ("200s", 0), ("300s", 50)])
    times = drawn(steps, 0, 400, seed=7)
    done = np.interp(times, [0, 100, 200, 300, 400], [0, 1000, 21000, 21000, 26000])
    assert stats.kstest(np.diff(done), stats.expon.cdf).pvalue > 1e-3
    assert not np.any((times > 200) & (times < 300))


def test_the_tide_peaks_when_it_says_and_rests_at_weekends() -> None:
    tide = ha.Daily(low=1, high=9, peak="14h", weekend="50%")
    assert tide.mean_rate(0, DAY) == pytest.approx(5, rel=1e-9)
    assert tide.mean_rate(5 * DAY, 6 * DAY) == pytest.approx(2.5, rel=1e-9)
    assert tide.mean_rate(14 * 3600 - 30, 14 * 3600 + 30) == pytest.approx(9, rel=1e-3)
    assert tide.mean_rate(2 * 3600 - 30, 2 * 3600 + 30) == pytest.approx(1, rel=1e-2)


def test_a_load_without_end_goes_on_to_the_end() -> None:
    low, high, rate = next(ha.Poisson(rate=3).segments(5, float("inf")))
    assert (low, high, rate) == (5, float("inf"), 3)


@pytest.mark.parametrize(
    ("given", "rate"), [(200, 200.0), ("200/s", 200.0), ("12000/m", 200.0), ("7.2e5/h", 200.0), (0, 0.0), (0.5, 0.5)]
)
def test_a_rate_is_a_number_or_says_per_what(given: Any, rate: float) -> None:
    assert ha.Load(given).rate == ha.Poisson(rate=rate)


def serving(**fields: Any) -> Any:
    return lambda: ha.Serving(takes="10ms", **fields)


def balancer(**fields: Any) -> Any:
    return lambda: ha.Balancer(**fields)


MISTAKES = [
    (ha.Load, "neither of rate and users"),
    (lambda: ha.Load(3, users=3), "both of rate and users"),
    (lambda: ha.Load(3, think="1s"), "`think` is for `users`"),
    (lambda: ha.Load(-1), r"rate.*got -1; a rate is a finite number of requests per second, zero or more"),
    (lambda: ha.Load("200"), r"got '200'; give requests per second, like 200, or text like '200/s'"),
    (lambda: ha.Load(True), r"got True; give requests per second"),
    (lambda: ha.Load(float("nan")), "finite number of requests per second"),
    (lambda: ha.Load({"kind": "possion", "rate": 3}), "possion"),
    (lambda: ha.Load(users=0), "users: got 0"),
    (lambda: ha.Load(3, begins=5), "begins"),
    (lambda: ha.Load(3, writes=1.5), "writes"),
    (lambda: ha.Steps([("1s", 3), ("1s", 4)]), "steps follow one another in time"),
    (lambda: ha.Steps([]), "steps"),
    (lambda: ha.Replay(times=[3, 2]), "ascending order"),
    (lambda: ha.Replay(times=[float("inf")]), "finite seconds"),
    (lambda: ha.Daily(low=3, high=2), "low is 3, above high, which is 2"),
    (lambda: ha.Clients(timeout="2s", deadline="1s"), "above the deadline of the whole call"),
    (lambda: ha.Clients(timeout=1), "timeout"),
    (lambda: ha.Clients(count=0), "count: got 0"),
    (lambda: ha.Clients(connections="stick"), r"connections: got 'stick'.*did you mean 'sticky'"),
    (serving(slots=0), "slots: got 0"),
    (serving(in_flight_limit=3, slots=4), "in_flight_limit is 3, below the 4 slots"),
    (serving(discipline="sharing", drop_expired=True), "nothing waits"),
    (serving(shutdown_delay="30s"), "shutdown_delay is within the grace period"),
    (serving(warm_up={"factor": 1, "lasting": "1s"}), "warm_up.factor: got 1"),
    (balancer(policy="roundrobin"), r"policy.*did you mean 'round_robin'"),
    (balancer(vrrp={}, failover={"takes": "1s"}), "`vrrp` says how long a takeover takes"),
    (balancer(check={}, view_delay="1s"), "its own `check`, or readiness after `view_delay`"),
    (balancer(retry_on=["5xx", "5xx"]), "retry_on names something twice"),
    (balancer(weights={"api-1": 0.0}), "the weight of api-1 is 0.0; weights are finite and above zero"),
    (balancer(retries=-1), "retries: got -1"),
    (balancer(connect_timeout="0s"), "connect_timeout"),
]


@pytest.mark.parametrize(("made", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_named_with_what_is_allowed(made: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        made()


def cluster(**more: Any) -> ha.Cluster:
    parts = {
        "api": {"kind": "pool", "replicas": 2, "serving": {"takes": "10ms"}},
        "web": {"kind": "pool", "replicas": 2, "serving": {"takes": "10ms"}},
        "db": {"kind": "unit"},
        "lb": {"kind": "balancer", "to": "api"},
    }
    return ha.Cluster(name="c", parts=parts, services={"s": {"up": ["lb"]}}, **more)


@pytest.mark.parametrize(
    ("load", "said"),
    [
        (ha.Load(1, to="ap"), r"got 'ap', which is not a part; did you mean 'api'"),
        (ha.Load(1, to="db"), "db takes no requests: a load goes to a pool with `serving`"),
        (ha.Load(1, clients=ha.Clients(dns=ha.Dns())), "ask a pool, not the balancer lb; say `to: api`"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_load_that_has_no_way_says_why(load: ha.Load, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        cluster().during(load)


def test_a_load_that_could_go_two_ways_must_say_which() -> None:
    two = cluster().replace("parts", {**cluster().parts, "edge": ha.Balancer(to="web")})
    with pytest.raises(ha.ModelError, match="say `to`, which part is asked; it could be lb or edge"):
        two.during(ha.Load(1))


def test_mistakes_in_the_loads_of_a_model_have_their_line() -> None:
    text = """hasim: 1
name: c
parts:
  api: {kind: pool, replicas: 2, serving: {takes: 10ms}}
up: [api]
loads:
  many:
    to: apo
    rate: 3
"""
    with pytest.raises(ha.ModelError, match=r":8 loads.many.to: got 'apo', which is not a part; did you mean 'api'"):
        ha.loads(text)


def test_loads_without_a_name_are_numbered_and_names_may_not_meet() -> None:
    scenario = cluster().during(ha.Load(1), ha.Load(2), ha.Load(3, name="mine"))
    assert [load.name for load in scenario.loads] == ["load", "load-2", "mine"]
    again = scenario.during(ha.Load(4))
    assert [load.name for load in again.loads] == ["load", "load-2", "mine", "load-3"]
    with pytest.raises(ha.ModelError, match="two loads are called 'mine'"):
        scenario.during(ha.Load(4, name="mine"))


def test_a_cluster_with_everything_comes_back_from_its_yaml() -> None:
    full = cluster(
        loads={
            "tide": {
                "to": "lb",
                "rate": {"kind": "daily", "low": 1, "high": 9},
                "clients": {
                    "count": 3,
                    "timeout": "1s",
                    "retry": {"attempts": 2, "backoff": "full_jitter", "budget": "token_bucket"},
                    "breaker": "circuit_breaker",
                    "hedge": {"after": "50ms"},
                },
            },
            "people": {"to": "web", "users": 5, "think": "1s", "clients": {"dns": {"ttl": None}}},
        }
    )
    full = full.replace("lb.policy", {"kind": "least_request", "choices": 3}).replace("lb.ejection", "max_fails")
    full = full.replace("lb.check", {"interval": "1s"}).replace("lb.vrrp", {"priority": 200})
    assert ha.loads(full.to_yaml()) == full


def test_without_protocols_a_models_loads_are_left_out_and_a_scenarios_are_refused() -> None:
    loaded = cluster(loads={"l": {"rate": 5, "to": "lb"}})
    assert ha.simulate(loaded, over="10s", seed=1).requests is not None
    assert ha.simulate(loaded, over="10s", seed=1, protocols=False).requests is None
    with pytest.raises(ha.CannotModel, match="requests are played with the protocols"):
        ha.simulate(cluster().during(ha.Load(1, to="lb")), over="10s", protocols=False)


def test_more_requests_than_fit_are_refused_before_the_first() -> None:
    with pytest.raises(ha.CannotModel, match=r"1e\+10 requests.*take a shorter `over`"):
        ha.simulate(cluster().during(ha.Load(10_000, to="lb")), over="1000000s")


def test_no_load_at_all_is_an_empty_log() -> None:
    log = ha.simulate(cluster().during(ha.Load(0, to="lb")), over="10s", seed=1).requests
    assert log is not None and len(log) == 0 and len(log.to_frame()) == 0


def test_a_takeover_by_vrrp_is_the_same_law_in_all_engines() -> None:
    pair = ha.Balancer(vrrp=ha.Vrrp(advert="1s", priority=100)).switch
    assert pair is not None
    low, high = float(pair.takes.quantile(0)), float(pair.takes.quantile(1))
    assert (low, high) == pytest.approx((2.609375, 3.609375))


@pytest.mark.parametrize("verb", ["solve", "estimate"])
def test_engines_that_count_time_refuse_a_load_by_name(verb: str) -> None:
    with pytest.raises(ha.CannotModel, match=f"{verb} cannot model a load: its figures count time, not requests"):
        getattr(ha, verb)(cluster().during(ha.Load(1, to="lb")))
    loaded = cluster(loads={"l": {"rate": 5, "to": "lb"}})
    assert getattr(ha, verb)(loaded).services["s"].availability.value == 1.0
