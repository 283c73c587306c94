"""Scripted faults: they strike to the second, they heal, and they own up when they touched nothing."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import numpy as np
import pytest

from hasim.engines.des import scripts, simulate
from hasim.errors import ModelError
from hasim.faults import Crash, DiskFull, DiskStall, Fault, Pause, PowerLoss, Script, World
from hasim.model.cluster import Cluster
from hasim.results import Run


def web(law: object = None) -> Cluster:
    """Two zones with a host each; a replica of `web` and one of `api` on every host."""
    return Cluster(
        name="web",
        topology={"zones": {"zone-a": {"hosts": ["h1"]}, "zone-b": {"hosts": ["h2"]}}},
        failures={"host": law} if law else {},
        parts={
            "web": {"kind": "pool", "replicas": 2, "on": ["h1", "h2"], "needs": "api"},
            "api": {"kind": "pool", "replicas": 2, "on": ["h1", "h2"]},
        },
        up=["web"],
    )


def crash(target: str, at: float, lasting: float) -> Crash:
    return Crash(target, at=f"{at}s", lasting=f"{lasting}s")


def down(run: Run, name: str) -> list[list[float]]:
    return [[round(t, 9) for t in row] for row in run.down(name).tolist()]


def test_a_crashed_host_takes_everything_on_it() -> None:
    run = simulate(web().during(crash("h1", 10, 20)), over="1m", seed=1)
    for name in ("h1", "web-1", "api-1"):
        assert down(run, name) == [[10, 30]]
    for name in ("zone-a", "h2", "web-2", "web", "cluster"):
        assert down(run, name) == []


def test_a_crashed_domain_takes_its_hosts() -> None:
    run = simulate(web().during(crash("zone-a", 10, 20)), over="1m", seed=1)
    for name in ("zone-a", "h1", "web-1"):
        assert down(run, name) == [[10, 30]]


def test_a_crashed_member_leaves_its_host_alone() -> None:
    run = simulate(web().during(crash("web-1", 10, 20)), over="1m", seed=1)
    assert down(run, "web-1") == [[10, 30]]
    assert down(run, "h1") == down(run, "api-1") == []


def test_a_crashed_part_is_down_as_a_whole_and_so_is_what_needs_it() -> None:
    run = simulate(web().during(crash("api", 10, 20)), over="1m", seed=1)
    assert down(run, "api") == down(run, "web") == down(run, "cluster") == [[10, 30]]
    assert down(run, "api-1") == []


def test_two_crashes_of_one_thing_hold_it_until_the_last_is_over() -> None:
    run = simulate(web().during(crash("api", 10, 20), crash("api", 20, 30)), over="1m", seed=1)
    assert down(run, "cluster") == [[10, 50]]
    assert not any("touched nothing" in warning for warning in run.warnings)


def test_the_crash_of_both_hosts_is_an_outage_while_they_overlap() -> None:
    run = simulate(web().during(crash("h1", 10, 20), crash("h2", 25, 20)), over="1m", seed=1)
    assert down(run, "cluster") == [[25, 30]]
    blame = run.services["cluster"].blame
    assert {(each.unit, each.kind, each.share) for each in blame} == {
        ("h1 (fault)", "fault", 0.5),
        ("h2 (fault)", "fault", 0.5),
    }
    assert [cut.units for cut in run.services["cluster"].cuts] == [("h1 (fault)", "h2 (fault)")]


def test_what_is_down_but_decides_nothing_is_not_to_blame() -> None:
    run = simulate(web().during(crash("api", 10, 20), crash("h1", 15, 10)), over="1m", seed=1)
    figures = run.services["cluster"]
    assert [(each.unit, each.criticality) for each in figures.blame] == [("api (fault)", 1.0)]
    assert [(cut.units, cut.share) for cut in figures.cuts] == [(("api (fault)",), 1.0)]


def test_degraded_is_up_without_something_that_helps() -> None:
    plain = web().to_plain()
    plain["parts"]["cache"] = {"kind": "unit"}
    plain["parts"]["web"]["needs"] = {"cache": "degraded"}
    run = simulate(Cluster(**plain).during(crash("cache", 10, 20), crash("web", 20, 20)), over="1m", seed=1)
    degraded = run.services["cluster"].degraded
    assert degraded is not None
    assert degraded.value == pytest.approx(10 / 60)
    assert down(run, "cluster") == [[20, 40]]


def test_begin_and_end_of_a_fault_are_facts() -> None:
    run = simulate(web().during(crash("api", 10, 20)), over="1m", seed=1)
    told = [(fact.at, fact.kind, fact.subject) for fact in run.trace]
    assert (told[0], told[-1]) == ((10, "fault begun", "api"), (30, "fault ended", "api"))
    assert sorted(told[1:-1]) == [
        (10, "part down", "api"),
        (10, "part down", "web"),
        (10, "service down", "cluster"),
        (30, "part up", "api"),
        (30, "part up", "web"),
        (30, "service up", "cluster"),
    ]


def test_a_fault_that_the_end_of_the_run_cuts_short_is_healed() -> None:
    run = simulate(web().during(crash("api", 10, 2000)), over="1m", seed=1)
    assert down(run, "cluster") == [[10, 60]]
    last = run.trace[-1]
    assert (last.at, last.kind, last.detail) == (60, "fault ended", {"fault": "Crash", "early": True})
    assert run.trace.filter(kind="service up")[0].at == 60


def test_a_fault_after_the_end_says_that_it_touched_nothing() -> None:
    run = simulate(web().during(crash("api", 100, 10)), over="1m", seed=1)
    assert "Crash of api: the run ended before it began, so it touched nothing" in run.warnings
    assert "fault begun" not in run.trace.counts


def test_a_fault_on_what_is_down_already_says_that_it_touched_nothing() -> None:
    run = simulate(web().during(crash("zone-a", 10, 40), crash("h1", 20, 10)), over="1m", seed=1)
    assert any(warning.startswith("Crash of h1: it touched nothing") for warning in run.warnings)
    assert not any(warning.startswith("Crash of zone-a") for warning in run.warnings)
    ended = run.trace.filter(kind="fault ended", subject="h1")[0]
    assert ended.detail == {"fault": "Crash", "touched": "nothing"}


def test_a_fault_that_keeps_something_from_coming_back_has_touched_it() -> None:
    run = simulate(web().during(crash("zone-a", 10, 15), crash("h1", 20, 10)), over="1m", seed=1)
    assert down(run, "h1") == [[10, 30]]
    assert not any("touched nothing" in warning for warning in run.warnings)


NATURAL = {"mtbf": {"fixed": "40s"}, "mttr": {"fixed": "10s"}}


def test_clocks_run_on_underneath_a_crash() -> None:
    run = simulate(web(NATURAL).during(crash("h1", 30, 15)), over="110s", seed=1)
    # By themselves the hosts are down from 40 to 50 s and from 90 to 100 s.
    assert down(run, "h1 (itself)") == [[40, 50], [90, 100]]
    assert down(run, "h1") == [[30, 50], [90, 100]]
    assert down(run, "h2") == [[40, 50], [90, 100]]


def test_a_crash_changes_nobody_s_luck() -> None:
    law = {"mtbf": "1h", "mttr": "10m"}
    plain = simulate(web(law), over="10d", seed=3)
    crashed = simulate(web(law).during(crash("h1", 5000, 5000)), over="10d", seed=3)
    for name in ("h1 (itself)", "h2 (itself)"):
        assert np.array_equal(plain.down(name), crashed.down(name))
    assert not np.array_equal(plain.down("h1"), crashed.down("h1"))


@dataclass(frozen=True)
class Flicker:
    """Down for a second, again and again."""

    target: str
    times: int

    @property
    def targets(self) -> tuple[str, ...]:
        return ("h1",)

    def script(self, world: World) -> Script:
        for _ in range(self.times):
            yield 4.0
            with world.held_down(self.target, "flicker"):
                yield 1.0


def test_a_fault_of_one_s_own_is_a_script_of_seconds() -> None:
    run = simulate(web().during(Flicker("web-1", 3)), over="1m", seed=1)
    assert down(run, "web-1") == [[4, 5], [9, 10], [14, 15]]
    assert run.trace.counts["fault begun"] == run.trace.counts["fault ended"] == 1


def test_a_fault_may_hold_a_single_unit_whose_clock_runs_on() -> None:
    plain = web().to_plain()
    law = {"mtbf": {"fixed": "8s"}, "mttr": {"fixed": "4s"}}
    plain["failures"] = {"h1": [{"name": "disk", **law}, {"name": "fan", "mtbf": "1000y", "mttr": "1h"}]}
    run = simulate(Cluster(**plain).during(Flicker("h1 (disk)", 3)), over="16s", seed=1)
    # By itself from 8 to 12 s; held from 4 to 5, 9 to 10 and 14 to 15 s.
    assert down(run, "h1 (disk)") == [[4, 5], [8, 12], [14, 15]]
    assert down(run, "h1") == [[4, 5], [8, 12], [14, 15]]


def test_a_held_unit_that_is_repaired_meanwhile_comes_up_when_it_is_let_go() -> None:
    plain = web().to_plain()
    law = {"mtbf": {"fixed": "3s"}, "mttr": {"fixed": "1.5s"}}
    plain["failures"] = {"h1": [{"name": "disk", **law}, {"name": "fan", "mtbf": "1000y", "mttr": "1h"}]}
    run = simulate(Cluster(**plain).during(Flicker("h1 (disk)", 1)), over="7s", seed=1)
    # By itself from 3 to 4.5 s, when it is held from 4 to 5 s.
    assert down(run, "h1 (disk)") == [[3, 5]]


def test_a_fault_that_holds_an_unknown_thing_is_told_so() -> None:
    with pytest.raises(ModelError, match="did you mean 'web-1'"):
        simulate(web().during(Flicker("web1", 1)), over="1m", seed=1)


@dataclass(frozen=True)
class Backwards:
    """A script that would go back in time."""

    targets: tuple[str, ...] = ("h1",)

    def script(self, world: World) -> Script:
        yield -1.0


def test_a_script_that_goes_back_in_time_is_refused() -> None:
    with pytest.raises(ModelError, match="yields seconds, zero or more"):
        simulate(web().during(Backwards()), over="1m", seed=1)


def test_a_scenario_says_that_its_figures_are_no_forecast() -> None:
    run = simulate(web().during(crash("api", 10, 20)), over="1m", seed=1)
    assert any("no forecast" in warning for warning in run.warnings)


def quorums(**raft: dict[str, str]) -> Cluster:
    """Quorums of three that play Raft, with such settings, and never fail by themselves."""
    parts = {name: {"kind": "quorum", "members": 3, "raft": settings} for name, settings in raft.items()}
    return Cluster(name="raft", parts=parts, up=list(raft))


@pytest.mark.parametrize("fault", [DiskFull, DiskStall])
def test_a_fault_of_a_disk_that_nobody_used_says_so(fault: type[DiskFull]) -> None:
    run = simulate(quorums(kv={}).during(fault("kv-1", at="10s", lasting="5s")), over="20s", seed=1)
    assert f"{fault.__name__} of kv-1: it touched nothing: nothing was written there" in run.warnings


def test_a_full_disk_keeps_a_member_down_that_would_come_back_for_other_reasons() -> None:
    # kv-1 falls and comes back on a full disk; its first write, for the election upon the crash of whoever leads, ends
    # it. Others fall and rise, which is no reason to start it again before there is room.
    faults = [
        Crash("kv-1", at="10s", lasting="5s"),
        DiskFull("kv-1", at="12s", lasting="60s"),
        *[Crash(member, at=f"{at}s", lasting="5s") for at, member in ((20, "kv-2"), (30, "kv-3"), (40, "kv-2"))],
        Crash("kv-3", at="50s", lasting="2s"),
    ]
    run = simulate(quorums(kv={}).during(*faults), over="100s", seed=1)
    told = [
        (fact.at, fact.kind)
        for fact in run.trace.filter(subject="kv-1")
        if fact.kind in ("process started", "process exited") and fact.at > 0
    ]
    assert [kind for _, kind in told] == ["process started", "process exited", "process started"]
    assert told[0][0] == 15
    assert told[2][0] == 72


ABANDONED: list[Fault] = [
    Crash("kv", at="10s", lasting="1h"),
    Pause("kv-1", at="10s", lasting="1h"),
    PowerLoss("kv-1", "kv-2", at="10s", lasting="1h"),
    DiskFull("kv-1", at="10s", lasting="1h"),
]


@pytest.mark.parametrize("fault", ABANDONED, ids=lambda fault: type(fault).__name__)
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_run_that_breaks_off_leaves_its_faults_alone(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    facts: list[str] = []
    begin = scripts.FaultPort.__init__

    def spied(port: scripts.FaultPort, live: object, *rest: object) -> None:
        begin(port, live, *rest)  # type: ignore[arg-type]
        note = port.live.note
        port.live.note = lambda kind, *fact: (facts.append(kind), note(kind, *fact))  # type: ignore
        turn = port.live.turn
        port.live.turn = lambda variable, up: (facts.append("turn"), turn(variable, up))  # type: ignore
        for role in port.live.roles:
            for node in role.etcd.world.nodes.values():  # type: ignore[union-attr]
                node.note = lambda kind, *fact: facts.append(kind)

    monkeypatch.setattr(scripts.FaultPort, "__init__", spied)

    @dataclass(frozen=True)
    class Breaks:
        """A script with a mistake in it."""

        targets: tuple[str, ...] = ("kv-3",)

        def script(self, world: World) -> Script:
            yield 15.0
            raise KeyError("broken")

    gc.collect()
    with pytest.raises(KeyError):
        simulate(quorums(kv={}).during(fault, Breaks()), over="20s", seed=1)
    before = list(facts)
    assert before
    gc.collect()
    assert facts == before


def test_two_quorums_leap_together_over_a_quiet_day(monkeypatch: pytest.MonkeyPatch) -> None:
    lives: list[scripts.LiveCluster] = []  # type: ignore[name-defined]
    begin = scripts.FaultPort.__init__

    def kept(port: scripts.FaultPort, live: object, *rest: object) -> None:
        begin(port, live, *rest)  # type: ignore[arg-type]
        lives.append(port.live)

    monkeypatch.setattr(scripts.FaultPort, "__init__", kept)
    cluster = quorums(kv={}, locks={"election_timeout": "1.5s"})
    crashed = cluster.during(Crash("kv-1", at="6h", lasting="1m"), Crash("locks-1", at="12h", lasting="1m"))
    run = simulate(crashed, over="1d", seed=1)
    leapt = [role.etcd.leapt for role in lives[0].roles]  # type: ignore[union-attr]
    assert leapt[0] == leapt[1] > 86400 - 120
    assert leapt[0] % 3.0 == pytest.approx(0, abs=1e-6)
    assert run.down("kv").shape[0] <= 1
    assert all(21600 <= start < end < 21603 for start, end in run.down("kv"))
