"""Loads, clients and servers as they are declared: arrivals have their law, mistakes are named, YAML comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import hasim as ha
from hasim.model.demand import Arrivals
from hasim.model.demand.arrivals import BLOCK
from hasim.model.laws import csv_base
from hasim.protocols.health import CrashLoopBackOff, SystemdRestart
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


def test_numbers_have_the_mean_and_the_variance_of_a_poisson_law() -> None:
    steps, rng = ha.Steps([("0s", 4), ("10s", 50), ("15s", 400), ("16s", 5)]), np.random.default_rng(32)
    counts = np.array([sum(map(len, steps.blocks(rng, 5.0, 20.0))) for _ in range(4000)])
    mean = 5 * 4 + 5 * 50 + 400 + 4 * 5
    assert abs(counts.mean() - mean) < 4.5 * np.sqrt(mean / 4000)
    # The variance of a sample variance of a Poisson law is close to 2 mean²/n.
    assert abs(counts.var(ddof=1) - mean) < 4.5 * mean * np.sqrt(2 / 4000)


def test_neighbouring_gaps_are_independent_by_the_clock_of_expected_arrivals() -> None:
    tide = ha.Daily(low=1, high=3, peak="14h")
    times = drawn(tide, 0, DAY, seed=8)
    # The integral of the cosine itself; that of a rate which is constant in each minute differs by far less than noise.
    turn, peak = 2 * np.pi / DAY, 14 * 3600
    done = 2 * times + (np.sin(turn * (times - peak)) + np.sin(turn * peak)) / turn
    gaps = np.diff(done)
    assert len(gaps) > 150_000
    assert stats.kstest(gaps, stats.expon.cdf).pvalue > 1e-4
    # A rank correlation of independent pairs has a standard error of 1/√n.
    assert abs(stats.spearmanr(gaps[:-1], gaps[1:]).statistic) < 4.5 / np.sqrt(len(gaps))


def test_no_block_is_much_larger_than_expected_and_a_window_of_no_length_brings_nobody() -> None:
    sizes = [len(block) for block in ha.Poisson(rate=1e5).blocks(np.random.default_rng(35), 0.0, 10.0)]
    # A Poisson number of mean m exceeds m + 6√m with a probability of 1e-9.
    assert max(sizes) < BLOCK + 6 * np.sqrt(BLOCK)
    assert abs(sum(sizes) - 1e6) < 4.5 * 1e3
    assert len(drawn(ha.Poisson(rate=1e6), 5.0, 5.0)) == len(drawn(ha.Poisson(rate=0), 0.0, 1e6)) == 0


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
    (lambda: ha.Load(-1), r"rate.*got -1; a rate is a finite number: zero, or from 1e-09 to 1e.09"),
    (lambda: ha.Load(10**400), r"a rate is a finite number: zero, or from 1e-09 to 1e.09 requests per second"),
    (lambda: ha.Load(1e-310), r"got 1e-310; a rate is a finite number: zero, or from 1e-09"),
    (lambda: ha.Load("200"), r"got '200'; give requests per second, like 200, or text like '200/s'"),
    (lambda: ha.Load(True), r"got True; give requests per second"),
    (lambda: ha.Load(float("nan")), "a rate is a finite number"),
    (lambda: ha.Load({"kind": "possion", "rate": 3}), "possion"),
    (lambda: ha.Load(users=0), "users: got 0"),
    (lambda: ha.Load(3, begins=5), "begins"),
    (lambda: ha.Load(3, writes=1.5), "writes"),
    (lambda: ha.Steps([("1s", 3), ("1s", 4)]), "steps follow one another in time"),
    (lambda: ha.Steps([]), "steps"),
    (lambda: ha.Replay(times=[3, 3, 2]), "times: arrival 3, at 2 s, comes after one at 3 s; .* ascending order"),
    (lambda: ha.Replay(times=[1, float("inf")]), "times: arrival 2 is inf; arrivals are finite seconds from 0 on"),
    (lambda: ha.Replay(times=[float("nan")]), "times: arrival 1 is nan; arrivals are finite"),
    (lambda: ha.Replay(times=[-1]), "times: arrival 1 is -1; arrivals are finite seconds from 0 on"),
    (lambda: ha.Replay(times=[]), "times: got none; give at least one arrival"),
    (ha.Replay, "takes either times .* or csv"),
    (lambda: ha.Replay(times=[1], csv="a.csv"), "not both"),
    (lambda: ha.Replay(times=[1], unit="ms"), "column and unit describe a csv file"),
    (lambda: ha.Daily(low=3, high=2), "low is 3, above high, which is 2"),
    (lambda: ha.Clients(timeout="2s", deadline="1s"), "above the deadline of the whole call"),
    (lambda: ha.Clients(timeout=1), "timeout"),
    (lambda: ha.Clients(count=0), "count: got 0"),
    (
        lambda: ha.Clients(hedge={"after": "1s"}, connections="sticky"),
        "with `connections: sticky` a client keeps to one",
    ),
    (lambda: ha.Clients(hedge={"after": "1s"}, dns={}), "`hedge` asks another server, but with `dns` a client keeps"),
    (lambda: ha.Dns(delay="1s"), "`delay` is until .* with `healthy_only: true` only"),
    (lambda: ha.Clients(connections="stick"), r"connections: got 'stick'.*did you mean 'sticky'"),
    (serving(slots=0), "slots: got 0"),
    (lambda: ha.Serving(takes={"fixed": "0s"}), "takes: got no time at all"),
    (serving(collections={"every": {"fixed": "0s"}, "lasting": "1s"}), "collections.every: got no time at all"),
    (serving(in_flight_limit=3, slots=4), "in_flight_limit is 3, below the 4 slots"),
    (serving(discipline="sharing", drop_expired=True), "nothing waits"),
    (serving(discipline="sharing", in_flight_limit=9, shedding_takes="1ms"), "nothing waits"),
    (serving(shedding_takes="1ms"), "without an in_flight_limit nobody is refused"),
    (serving(retry_after="1s"), "shedding_takes and retry_after do nothing"),
    (serving(restart="systemd"), "`restart` is of what `liveness` kills"),
    (serving(liveness={}, restart="sysemd"), "restart.kind: got 'sysemd'; .*did you mean 'systemd'"),
    (serving(liveness={}, restart={"wait": "1s"}), "restart: has no kind; kinds are crash_loop, systemd"),
    (serving(liveness={"successes": 2}), r"^liveness\.successes: got 2; Kubernetes allows 1 for liveness"),
    (serving(shutdown_delay="30s"), "shutdown_delay is within the grace period"),
    (serving(warm_up={"factor": 1, "lasting": "1s"}), "warm_up.factor: got 1"),
    (balancer(policy="roundrobin"), r"policy.*did you mean 'round_robin'"),
    (balancer(vrrp={}, failover={"takes": "1s"}), "`vrrp` says how long a takeover takes"),
    (balancer(check={}, view_delay="1s"), "its own `check`, or readiness after `view_delay`"),
    (balancer(retry_on=["5xx", "5xx"]), "retry_on names something twice"),
    (balancer(weights={"api-1": 0.0}), "the weight of api-1 is 0.0; weights are from 0.001 to 1000"),
    (balancer(retries=-1), "retries: got -1"),
    (balancer(connect_timeout="0s"), "connect_timeout"),
]


@pytest.mark.parametrize(("made", "said"), MISTAKES, ids=[said for _, said in MISTAKES])
def test_a_mistake_is_named_with_what_is_allowed(made: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        made()


def test_defaults_do_not_flatter() -> None:
    assert not ha.Serving(takes="1ms").reads_from_cache
    assert not ha.Dns().healthy_only


def test_what_shares_processors_takes_all_that_means_something_there() -> None:
    full = ha.Serving(
        takes="10ms",
        discipline="sharing",
        slots=8,
        in_flight_limit=4,  # below the slots, which are processors here
        retry_after="1s",
        start_up="1s",
        warm_up={"factor": 2, "lasting": "1s"},
        collections={"every": "1m", "lasting": "1s"},
        shutdown_delay="1s",
        liveness={},
        readiness={"successes": 2},
        restart={"kind": "systemd", "wait": "1s"},
        goaway_chance="1%",
    )
    cluster = ha.Cluster(
        name="full", parts={"api": ha.Pool(replicas=2, serving=full)}, services={"web": {"up": ["api"]}}
    )
    assert ha.loads(cluster.to_yaml()) == cluster
    assert full.restart == SystemdRestart(wait="1s") and full.restart != CrashLoopBackOff()
    assert ha.Serving(takes="10ms", liveness={}, restart="systemd").restart == SystemdRestart()
    assert ha.Serving(takes="10ms", liveness={}, restart=SystemdRestart()).restart == SystemdRestart()


# --------------------------------------------------------------------------------------- recorded arrivals


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    token = csv_base.set(tmp_path)
    yield tmp_path
    csv_base.reset(token)


def test_a_column_of_a_csv_file_is_replayed(folder: Path) -> None:
    (folder / "log.csv").write_text("time,path\n0.5,/a\n\n0.5,/b\n 2.25 ,/c\n", encoding="utf-8-sig")
    (folder / "ms.csv").write_text("at\r\n500\r\n500\r\n2250\r\n")
    replay = ha.Replay(csv="log.csv", column="time")
    assert replay.recorded == ha.Replay(csv="ms.csv", unit="ms").recorded == (0.5, 0.5, 2.25)
    plain = ha.Replay(times=[0.5, 0.5, 2.25])
    assert plain.recorded == plain.times
    assert drawn(replay, 0, 10).tolist() == drawn(plain, 0, 10).tolist() == [0.5, 0.5, 2.25]
    assert replay.mean_rate(0, 3) == plain.mean_rate(0, 3)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"time,n\n1,1\n3,1\n2,1\n", "csv: x.csv, arrival 3, at 2 s, comes after one at 3 s; .* ascending order"),
        (b"time,n\n1,1\nnan,1\n", "csv: x.csv line 3, column 'time': got 'nan'; a duration is finite"),
        (b"time,n\n-1,1\n", "csv: x.csv line 2, column 'time': got '-1'; .* zero or more"),
        (b"time,n\nsoon,1\n", "csv: x.csv line 2, column 'time': got 'soon'; a number is needed"),
        (b"times,n\n1,1\n", "csv: x.csv has no column 'time'; it has times, n; did you mean 'times'"),
        (b"time,n\n", "csv: x.csv has a header but"),
        (None, "csv: cannot read x.csv: no such file"),
    ],
    ids=["back", "nan", "negative", "text", "column", "empty", "missing"],
)
def test_a_bad_record_is_refused_with_its_place(folder: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (folder / "x.csv").write_bytes(content)
    with pytest.raises(ha.ModelError, match=f"^{said}"):
        ha.Replay(csv="x.csv", column="time")


def test_a_model_finds_its_record_beside_it_and_plays_it(tmp_path: Path) -> None:
    (tmp_path / "arrivals.csv").write_text("time,user\n1.5,a\n2,b\n7,c\n")
    model = tmp_path / "model.yaml"
    model.write_text("""hasim: 1
name: c
parts:
  api: {kind: pool, replicas: 1, serving: {takes: {fixed: 10ms}}}
up: [api]
loads:
  record:
    to: api
    rate: {kind: replay, csv: arrivals.csv, column: time}
""")
    cluster = ha.load(model)
    log = ha.simulate(cluster, over="5s", seed=1).requests
    assert log is not None and log.arrived_s.tolist() == [1.5, 2.0]
    again = tmp_path / "again.yaml"
    again.write_text(cluster.to_yaml())
    assert ha.load(again) == cluster and "times" not in again.read_text()
    model.write_text(model.read_text().replace("column: time", "column: tim"))
    with pytest.raises(ha.ModelError, match=r"model.yaml:9.* loads.record.rate.csv: arrivals.csv has no column 'tim'"):
        ha.load(model)


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
