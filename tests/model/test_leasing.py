"""Parts that elect by a lease: how they are declared, what is refused, and what they mean for the engines."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

import hasim as ha
from hasim.model.laws import Takeover
from hasim.model.system import compile_system

FAILING = {"process": {"mtbf": "30d", "mttr": "10s"}}


def cluster(**part: object) -> ha.Cluster:
    return ha.Cluster(name="one part", failures=FAILING, parts={"kcm": {"kind": "elected", **part}}, up="kcm")


def test_a_lease_is_written_in_short_and_read_back() -> None:
    for lease in ({}, "kubernetes", {"duration": "137s", "renew_deadline": "107s", "retry_period": "26s"}):
        made = cluster(replicas=3, lease=lease)
        assert ha.loads(made.to_yaml()) == made
    assert cluster(replicas=3, lease={}) == cluster(replicas=3, lease="kubernetes")
    redis = {"kind": "ttl", "store": "redis", "ttl": "3s", "renew": "1s", "retry": "400ms", "jitter": "25%"}
    made = cluster(replicas=3, lease=redis, duty={"every": "1s", "fence": "token"})
    assert ha.loads(made.to_yaml()) == made


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"replicas": 3}, "got neither of lease and failover"),
        ({"replicas": 3, "lease": {}, "failover": {"takes": "1s"}}, "got both of lease and failover"),
        ({"replicas": 3, "lease": {}, "leader_elect": False}, "leave lease out"),
        ({"replicas": 3, "failover": {"takes": "1s"}, "duty": {"every": "1s"}}, "`duty` is of candidates that elect"),
        ({"replicas": 3, "lease": {"duration": "10s"}}, "a lease lasts longer than its leader tries to renew it"),
        ({"replicas": 3, "lease": {"retry_period": "9s"}}, "more than 1.2 retry periods"),
        ({"replicas": 3, "lease": {"duration": "15500ms"}}, "whole seconds"),
        ({"replicas": 3, "lease": {"kind": "ttl", "store": "redis"}}, "ttl: is missing and has no default"),
        ({"replicas": 3, "lease": {"kind": "zookeeper"}}, "kinds are kubernetes, ttl"),
        ({"replicas": 100, "lease": {}}, "from 1 to 99"),
        ({"replicas": 3, "lease": {}, "duty": {"every": "1s", "takes": "2s"}}, "fits into it"),
        ({"replicas": 3, "lease": {}, "duty": {"every": "1s", "fence": "tokens"}}, "did you mean 'token'"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_reason(part: dict[str, object], said: str) -> None:
    with pytest.raises(ha.ModelError) as refusal:
        cluster(**part)
    assert said in str(refusal.value)


def test_the_failover_of_an_elected_part_is_the_takeover_by_those_who_wait() -> None:
    law = cluster(replicas=3, lease={}).parts["kcm"].switch.takes  # type: ignore[union-attr]
    assert isinstance(law, Takeover) and law.standbys == 2 and law.after == "crash"
    assert law.mean == pytest.approx(16.52, rel=0.003)  # with a millisecond and more each way


def test_a_single_candidate_waits_for_itself() -> None:
    law = cluster(replicas=1, lease={}).parts["kcm"].switch.takes  # type: ignore[union-attr]
    assert isinstance(law, Takeover) and law.after == "restart" and law.mean == pytest.approx(16.68, rel=0.003)
    (switch,) = compile_system(cluster(replicas=1, lease={})).switches
    assert not switch.regains_at_once and not switch.resumes
    # Ten seconds until it is back, and the lease on top, each time: by hand.
    figures = ha.solve(cluster(replicas=1, lease={})).services["cluster"]
    cycle = 30 * 86400 + 10 + law.mean
    assert figures.unavailability.value == pytest.approx((10 + law.mean) / cycle, rel=1e-5)


def test_what_no_law_of_takeovers_says_only_simulate_plays() -> None:
    redis = {"kind": "ttl", "store": "redis", "ttl": "30s", "renew": "10s", "retry": "1s"}
    slow = {"replicas": 3, "lease": {}, "latency": {"fixed": "2.6s"}}
    for part, what in (({"replicas": 1, "lease": redis}, "the lease of a single candidate"), (slow, "latency")):
        for verb in (ha.solve, ha.estimate):
            with pytest.raises(ha.CannotModel, match=what):
                verb(cluster(**part))
    # An answer takes 5.2 s, and candidates wait for 5 s: nobody is ever elected.
    run = ha.simulate(cluster(**slow), over="1h", seed=1)
    assert run.down("kcm").tolist() == [[0.0, 3600.0]]


def test_a_single_candidate_of_a_time_to_live_waits_while_it_is_away() -> None:
    redis = {"kind": "ttl", "store": "redis", "ttl": "30s", "renew": "10s", "retry": "1s"}
    lone = cluster(replicas=1, lease=redis)
    downs = []
    for lasting in (5, 60):
        run = ha.simulate(lone.during(ha.Crash("kcm-1", at="5m", lasting=f"{lasting}s")), over="10m", seed=2)
        ((start, end),) = run.down("kcm")
        downs.append(end - start)
    assert 20 < downs[0] < 31.1 and downs[1] == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize(
    ("ttl", "renew", "retry", "jitter"), [(3, 1, 10, 0.1), (10, 3, 8, 0.0), (600, 10, 0.5, 0.2), (600, 10, 7, 0.02)]
)
def test_a_process_that_begins_anew_tries_at_once_and_again_and_again(
    ttl: float, renew: float, retry: float, jitter: float
) -> None:
    lease = {"kind": "ttl", "store": "redis", "ttl": f"{ttl}s", "renew": f"{renew}s", "retry": f"{retry}s"}
    law = Takeover(lease={**lease, "jitter": jitter}, standbys=0, after="restart")
    rng = np.random.default_rng(1)
    free, tried = ttl - renew * rng.random(20_000), np.zeros(20_000)
    while (early := tried < free).any():
        tried[early] += retry * (1 + jitter * rng.uniform(-1, 1, early.sum()))
    assert ks_2samp(tried, law.draw(np.random.default_rng(2), 20_000)).pvalue > 0.001


def test_long_leases_are_no_longer_work() -> None:
    for duration in ("5m", "1h", "30d"):
        lease = {"duration": duration}
        # A renewal period of two seconds and the waits stay what they are.
        assert Takeover(lease=lease).mean - Takeover(lease=lease).lease.duration == pytest.approx(2.35, abs=0.02)


def test_a_takeover_that_cannot_be_names_its_field() -> None:
    with pytest.raises(ha.ModelError, match=r"^standbys: got 0"):
        Takeover(standbys=0)
    text = cluster(replicas=2, failover={"takes": {"takeover": {}}}).to_yaml()
    with pytest.raises(ha.ModelError, match=r"takeover\.standbys: got 0"):
        ha.loads(text.replace("takeover: {}", "takeover: {standbys: 0}"))


def test_a_pair_may_elect_its_active_member_too() -> None:
    app = {"kind": "standby", "lease": {}, "serving": {"takes": "10ms"}}
    made = ha.Cluster(name="app", failures=FAILING, parts={"app": app}, up="app")
    assert ha.loads(made.to_yaml()) == made
    (switch,) = compile_system(made).switches
    assert not switch.regains_at_once and not switch.resumes
    for wrong, said in (({"mode": "cold"}, "runs, and ages"), ({"failover": {"takes": "1s"}}, "got both")):
        with pytest.raises(ha.ModelError, match=said):
            ha.Cluster(name="app", parts={"app": {**app, **wrong}}, up="app")


def test_clients_of_an_elected_application_wait_for_the_lease() -> None:
    """Requests go to whoever leads; between two leaders they are refused."""
    app = {"kind": "standby", "lease": {}, "needs": "store", "serving": {"takes": "10ms", "slots": 4}}
    made = ha.Cluster(name="app", parts={"store": {"kind": "pool", "replicas": 3}, "app": app}, up="app")
    crash = ha.Crash("app-1", at="30s", lasting="1m")
    run = ha.simulate(made.during(crash, ha.Load(rate=20, to="app")), over="3m", seed=1)
    ((start, end),) = run.down("app")
    assert start == 30 and 13 < end - start < 24
    failed = run.requests.arrived_s[run.requests.outcome != 0]  # type: ignore[union-attr]
    assert start <= failed.min() and failed.max() <= end
    assert abs(len(failed) - 20 * (end - start)) < 4 * (20 * (end - start)) ** 0.5


@pytest.mark.parametrize(
    ("lease", "said"),
    [({}, None), ({"duration": "12s"}, "two may lead with no clock wrong"), ({"duration": "11s"}, "two may lead")],
)
def test_a_lease_without_a_margin_is_remarked_on(lease: dict[str, str], said: str | None) -> None:
    notes = [note for note in cluster(replicas=2, lease=lease).assumptions() if "two may lead" in note]
    assert bool(notes) is (said is not None)


def test_no_election_is_no_failover_and_says_what_that_means() -> None:
    made = cluster(replicas=2, leader_elect=False)
    assert made.parts["kcm"].switch is None
    assert any("all of its members act at once" in note for note in made.assumptions())
    assert not any("fails over in no time" in note for note in made.assumptions())
