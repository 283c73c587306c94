"""An etcd quorum in the SimPy world: leaps over calm change nothing that anybody can see."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hasim.engines.des.etcd.world import EtcdWorld
from hasim.engines.des.world import LeapingEnvironment
from hasim.model.raft import Raft
from hasim.streams import Streams

HOUR = 3600.0


class Study:
    """Members that crash and come back at random, for a while; what was seen of the gaps in leadership."""

    def __init__(self, members: int, seed: int, leaps: bool, over: float, mtbf: float, mttr: float) -> None:
        self.env = LeapingEnvironment()
        self.gaps: list[float] = []
        self.fell: list[float] = []
        self.kinds: list[tuple[float, str, str]] = []
        streams = Streams(seed)
        names = [f"etcd-{i + 1}" for i in range(members)]
        self.etcd = EtcdWorld(self.env, streams, names, Raft(), self._note, turned=self._turned)
        self.etcd.start()
        self.env.run(until=20)
        self.gaps.clear()
        if leaps:
            self.etcd.begin_leaping()
        for name in names:
            self.env.process(self._life(name, streams[f"{name}/life"], mtbf, mttr))
        self.env.run(until=over)

    def _life(self, name, rng, mtbf, mttr):  # type: ignore[no-untyped-def]
        node = self.etcd.world.nodes[name]
        while True:
            yield self.env.timeout(rng.exponential(mtbf))
            node.crash()
            yield self.env.timeout(rng.exponential(mttr))
            node.start()

    def _turned(self, led: bool) -> None:
        if led and self.fell:
            self.gaps.append(self.env.now - self.fell[-1])
        elif not led:
            self.fell.append(self.env.now)

    def _note(self, kind: str, subject: str, detail: object) -> None:
        self.kinds.append((self.env.now, kind, subject))


def _gaps(leaps: bool, seeds: range, over: float) -> np.ndarray:
    found = [Study(3, seed, leaps, over, mtbf=60.0, mttr=10.0).gaps for seed in seeds]
    return np.concatenate([np.asarray(gaps) for gaps in found])


def test_leaps_leave_the_law_of_failovers_and_outages_as_it_is() -> None:
    # Seeds differ, so that the samples are independent. Crashes overlap now and then: gaps are elections and losses of
    # the quorum alike.
    stepped = _gaps(False, range(0, 4), 2000.0)
    leapt = _gaps(True, range(100, 112), 2000.0)
    assert min(len(stepped), len(leapt)) > 100
    assert stats.ks_2samp(stepped, leapt).pvalue > 0.01
    # Downtime as a whole: the number of gaps in a span, and their mean.
    rate_stepped, rate_leapt = len(stepped) / (4 * 1980.0), len(leapt) / (12 * 1980.0)
    error = np.sqrt(rate_stepped / (4 * 1980.0) + rate_leapt / (12 * 1980.0))
    assert abs(rate_stepped - rate_leapt) < 3.3 * error  # counts of rare events: Poisson, 0.1 %
    spread = np.hypot(stepped.std() / np.sqrt(len(stepped)), leapt.std() / np.sqrt(len(leapt)))
    assert abs(stepped.mean() - leapt.mean()) < 3.3 * spread


def test_a_leap_keeps_the_rest_of_the_day_to_the_millisecond() -> None:
    # With one latency and one sync time for everything there is no chance in calm, so a run with leaps and one without
    # go through the very same events.
    fixed = Raft(latency={"fixed": "300us"}, fsync={"fixed": "1ms"})

    def play(leaps: bool) -> list[tuple[float, str, str]]:
        env = LeapingEnvironment()
        facts: list[tuple[float, str, str]] = []
        etcd = EtcdWorld(
            env, Streams(7), ["a", "b", "c"], fixed, lambda kind, who, _: facts.append((round(env.now, 6), kind, who))
        )
        etcd.start()
        if leaps:
            etcd.begin_leaping()

        def crashes():  # type: ignore[no-untyped-def]
            for name, after in (("a", 100.33), ("b", 250.5), ("c", 77.7), ("a", 1000.1)):
                yield env.timeout(after)
                etcd.world.nodes[name].crash()
                yield env.timeout(30.25)
                etcd.world.nodes[name].start()

        env.process(crashes())
        env.run(until=1700)
        assert (etcd.leapt > 1000) == leaps
        return facts

    assert play(True) == play(False)


@pytest.mark.parametrize("members", [1, 2, 3, 5, 7])
def test_a_year_of_quiet_is_leapt_over(members: int) -> None:
    study = Study(members, 1, True, 8760 * HOUR, mtbf=1e12, mttr=1.0)
    assert study.etcd.leapt > 8759 * HOUR
    assert not study.gaps
    assert study.etcd.leader is not None


def test_nothing_is_leapt_over_while_a_request_waits() -> None:
    study = Study(3, 1, False, 30.0, mtbf=1e12, mttr=1.0)
    etcd = study.etcd
    from hasim.protocols.etcd.requests import Put

    assert etcd.is_calm
    etcd.calls(etcd.leader or "", Put("a", "1"), "ref", lambda ref, result: None)
    assert not etcd.is_calm
    study.env.run(until=31)
    assert etcd.is_calm


def test_a_planted_leap_during_an_election_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    # The comparison above must be able to fail: leap whenever the world allows, whatever the members say.
    def leap_blindly(self: EtcdWorld):  # type: ignore[no-untyped-def]
        while True:
            yield self.env.timeout(0.25)
            self.leapt += self.world.leap(1.0)

    monkeypatch.setattr(EtcdWorld, "_leap_again_and_again", leap_blindly)
    stepped = _gaps(False, range(0, 2), 2000.0)
    leapt = _gaps(True, range(100, 102), 2000.0)
    assert stats.ks_2samp(stepped, leapt).pvalue < 1e-3
