"""The settings of Raft: what etcd would refuse is refused, by its path; what laws leave out is left to `simulate`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.errors import CannotModel, ModelError
from hasim.model.laws import election
from hasim.model.outlook import longest_outage_mean
from hasim.model.raft import Raft
from hasim.model.system import compile_system


def cluster(members: int, **raft: Any) -> ha.Cluster:
    return ha.Cluster(
        name="quorum",
        parts={"etcd": ha.Quorum(members=members, raft=raft)},
        failures={"process": [ha.Failure(mtbf="10d", mttr="5m")]},
        services={"api": "etcd"},
    )


@pytest.mark.parametrize(
    ("wrong", "path", "message"),
    [
        ({"version": "3.99.0"}, "version", "got '3.99.0'; write 3.4 to 3.8"),
        ({"version": "3.3.27"}, "version", "got '3.3.27'"),
        ({"version": "3.\u0664.0"}, "version", "write 3.4 to 3.8"),
        ({"version": "3.6"}, "version", "got '3.6'"),
        ({"pre_vote": 1}, "pre_vote", "got 1; give true or false"),
        ({"pre_vote": "yes"}, "pre_vote", "got 'yes'; give true or false"),
        ({"check_quorum": 0}, "check_quorum", "got 0; give true or false"),
        ({"election_timeout": "50.001s"}, "election_timeout", "got election_timeout 50.001s; etcd allows at most 50s"),
        ({"heartbeat": "500us", "election_timeout": "5ms"}, "heartbeat", "got 500us; etcd counts whole milliseconds"),
        ({"heartbeat": "300ms"}, "election_timeout", "at least 5 heartbeats"),
    ],
)
def test_settings_with_which_etcd_would_not_start_are_refused(wrong: dict[str, Any], path: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        cluster(3, **wrong)
    (problem,) = caught.value.problems
    assert problem.path.endswith(path)
    assert message in problem.message


@pytest.mark.parametrize("members", [10, 99])
def test_more_than_nine_members_are_refused_when_the_model_is_read(members: int) -> None:
    with pytest.raises(ModelError) as caught:
        ha.Cluster(name="x", parts={"etcd": {"kind": "quorum", "members": members, "raft": {}}}, services={"a": "etcd"})
    (problem,) = caught.value.problems
    assert problem.path == "parts.etcd.members"
    assert problem.message == f"got {members}; Raft is modelled for at most 9 members, and etcd advises 7 at most"
    assert ha.Quorum(members=members).count == members  # without Raft any number goes


def test_a_single_member_fails_over_to_nobody_and_every_engine_takes_it() -> None:
    alone = cluster(1)
    assert alone.parts["etcd"].switch is None
    assert not compile_system(alone).switches
    exact = 300 / (10 * 86400 + 300)
    assert ha.solve(alone).services["api"].unavailability.value == pytest.approx(exact, rel=1e-9)
    assert ha.estimate(alone, over="1y", runs=20, seed=1).services["api"].outages_per_year.value > 0
    assert ha.simulate(alone, over="1y", seed=1).services["api"].outages_per_year.value > 0
    assert any("a single member's own election" in note for note in alone.assumptions())


@pytest.mark.parametrize(
    ("slow", "named"),
    [
        ({"latency": "400ms"}, "latency 400 ms"),
        ({"fsync": {"fixed": "350ms"}}, "fsync 350 ms"),
        ({"latency": {"fixed": "200ms"}, "fsync": {"fixed": "200ms"}}, "latency 200 ms and fsync 200 ms"),
    ],
)
def test_what_is_too_slow_for_the_law_of_elections_is_played_and_refused_by_name(
    slow: dict[str, Any], named: str
) -> None:
    model = cluster(3, **slow)
    assert ha.simulate(model, over="1m", seed=1).end_s == 60
    for ask in (ha.solve, lambda model: ha.estimate(model, over="1y", runs=10, seed=1)):
        with pytest.raises(CannotModel) as caught:
            ask(model)
        assert caught.value.what == f"parts.etcd.raft with {named}"
        assert caught.value.instead == "use ha.simulate"
    with pytest.raises(CannotModel, match="let it play the protocols"):
        ha.simulate(model, over="1m", seed=1, protocols=False)


def test_playing_the_protocol_makes_no_table_of_elections(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: object) -> None:
        raise AssertionError("a table was made")

    monkeypatch.setattr(election, "_table", refuse)
    model = cluster(9)
    assert longest_outage_mean(compile_system(model)) == pytest.approx(300)
    assert ha.simulate(model, over="1d", seed=1).end_s == 86400
    with pytest.raises(AssertionError, match="a table was made"):
        ha.solve(model)


def test_elections_of_two_follow_their_survival_function_and_fit_into_memory() -> None:
    chance = (np.arange(512) + 0.5) / 512
    lengths = np.arange(10, 20)
    points = np.linspace(0, 20, 20_001)  # in ticks; between these the chance is nearly straight
    waited = np.maximum(lengths[:, None] - points, 0).sum(axis=0) / lengths.sum()
    back = np.clip(lengths[:, None] - points, 0, 1).mean(axis=0)
    expected = np.interp(chance, 1 - waited * back, points) * 0.1
    assert Raft().election(2).quantile(chance) == pytest.approx(expected, abs=1e-6)
    fine = Raft(heartbeat="1ms", election_timeout="50s").election(2)
    # With ticks that fine the two wait U·R and R', where R and R' lie between T and 2 T.
    assert 0.7 * 50 < fine.mean < 0.8 * 50


def test_a_quorum_says_what_the_law_of_elections_leaves_out() -> None:
    said = [any("no member but the leader is down" in note for note in cluster(n).assumptions()) for n in (3, 4, 5, 7)]
    assert said == [False, False, True, True]
    assert not any("no member but" in note for note in ha.Quorum(members=5, failover={"takes": "1s"}).assumptions())
