"""Hosts of a control plane that are upgraded one after another."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hasim as ha

AWAY = 60.0
ZONES = ("zone-a", "zone-b", "zone-c")


def control_plane(**fields: Any) -> ha.Cluster:
    """Three hosts, each with an etcd member, an API server and a scheduler, behind a balancer that checks."""
    serving = {"takes": "10ms", "slots": 50, "start_up": {"fixed": "10s"}}
    hosts = ["cp-1", "cp-2", "cp-3"]
    return ha.Cluster(
        name="control plane",
        topology={"zones": {zone: {"hosts": [host]} for zone, host in zip(ZONES, hosts, strict=True)}},
        parts={
            "etcd": {"kind": "quorum", "members": 3, "on": hosts, "raft": {}},
            "apiserver": {"kind": "pool", "replicas": 3, "on": hosts, "needs": {"etcd": "local"}, "serving": serving},
            "lb": {"kind": "balancer", "to": "apiserver", "check": {"interval": "2s"}, "redispatch": True},
            "scheduler": {"kind": "elected", "replicas": 3, "on": hosts, "needs": "lb", "lease": {}},
        },
        services={"api": {"up": ["lb", "apiserver", "etcd"]}, "control": {"up": ["scheduler"]}},
        **fields,
    )


def upgrade(**fields: Any) -> ha.NodeByNode:
    roles = {"apiserver": "apiserver", "scheduler": "controller"}
    given = {"was": "1.30", "release": ha.Release(version="1.31"), "components": roles, "at": "30s"}
    return ha.NodeByNode(*ZONES, **{"takes": {"fixed": f"{AWAY:g}s"}, **given, **fields})


def play(*events: Any, over: str = "8m", seed: int = 1, model: ha.Cluster | None = None) -> ha.Run:
    return ha.simulate((model or control_plane()).during(*events, ha.Load(rate=40, to="lb")), over=over, seed=seed)


def away(run: ha.Run) -> np.ndarray:
    """When each host was down, in order of time: rows of begin and end."""
    return np.concatenate([run.down(host) for host in ("cp-1", "cp-2", "cp-3")])


def test_hosts_go_one_after_another_and_the_quorum_stays() -> None:
    run = play(upgrade(pause="5s"))
    log = run.upgrades["node by node"]
    rows = away(run)
    assert log.outcome == "rolled out"
    assert rows[:, 1] - rows[:, 0] == pytest.approx([AWAY] * 3)
    assert np.all(rows[1:, 0] >= rows[:-1, 1] + 5.0)
    assert run.downtime_s("etcd") < 2.0  # hand-overs of the leader, no lost majority
    assert run.downtime_s("apiserver") <= run.downtime_s("etcd")  # one of them always stands
    lengths = np.diff([*log.at_s, log.until_s])
    assert lengths[log.ready.sum(axis=1) == 0].sum() < 0.5  # servers are not ready while the quorum hands over


def test_two_at_a_time_lose_the_quorum_of_three() -> None:
    run = play(upgrade(batch=2))
    assert run.downtime_s("etcd") > AWAY
    assert run.upgrades["node by node"].outcome == "rolled out"


def test_servers_finish_what_they_have_before_their_host_goes() -> None:
    run = play(upgrade())
    assert run.requests is not None
    lost = run.requests.of(outcome=["reset", "502"])
    assert len(lost) == 0
    rude = play(upgrade(graceful=False), seed=2)
    assert rude.requests is not None
    begins = away(rude)[:, 0]
    torn = rude.requests.of(outcome=["reset", "502"]).ended_s
    assert all(np.min(np.abs(begins - at)) < 0.1 for at in torn)


def test_a_controller_that_is_newer_than_an_api_server_it_may_meet_is_told() -> None:
    told = play(upgrade()).trace.filter("version skew")
    assert {fact.detail["rule"] for fact in told} == {"controller newer"}  # type: ignore[index]
    assert {fact.subject for fact in told} == {"scheduler-1", "scheduler-2"}  # beside the last one all servers are new
    assert not play(upgrade(local=True)).trace.filter("version skew")


def test_a_jump_of_two_minor_versions_is_told() -> None:
    run = play(upgrade(release=ha.Release(version="1.32"), local=True))
    rules = {fact.detail["rule"] for fact in run.trace.filter("version skew")}  # type: ignore[index]
    assert rules == {"apiservers apart"}


def test_a_host_that_crashes_meanwhile_is_waited_for() -> None:
    run = play(upgrade(), ha.Crash("cp-3", at="60s", lasting="3m"), over="12m")
    log = run.upgrades["node by node"]
    assert log.outcome == "rolled out"
    assert log.duration_s > 3 * AWAY
    assert run.downtime_s("etcd") >= AWAY - 30.0  # cp-1 away, cp-3 crashed


def test_rollback_goes_back_over_the_hosts_that_were_upgraded() -> None:
    orders = (ha.Order(after="100s", do="roll back"),)
    run = play(upgrade(orders=orders), over="12m")
    log = run.upgrades["node by node"]
    assert log.outcome == "rolled back"
    assert len(run.down("cp-1")) == 2
    assert len(run.down("cp-3")) == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [({"hosts": ["cp-9"]}, "got 'cp-9'"), ({"hosts": ["cp-1"], "components": {"apisever": "apiserver"}}, "apisever")],
)
def test_unknown_names_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        control_plane().during(ha.NodeByNode(takes="1m", **given))
