"""An etcd quorum in the SimPy world: leaps over calm change nothing that anybody can see."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from math import ceil, inf
from typing import Any

import numpy as np
import pytest
from scipy import stats

from hasim.engines.des.etcd import world as etcd_world
from hasim.engines.des.etcd.judges import Judges
from hasim.engines.des.etcd.world import EtcdWorld
from hasim.engines.des.world import LeapingEnvironment, World
from hasim.engines.des.world.stream import Stream
from hasim.faults.verdict import Cut
from hasim.model.laws import Exponential, Law, Uniform
from hasim.model.raft import Raft
from hasim.streams import Streams
from hasim.trace import Fact

HOUR = 3600.0


class Study:
    """Members that fall and come back at random, for a while; what was seen of the gaps in leadership.

    `trouble` makes a verb of the world for a member that is in for it. `breaks` has how long after the start of a
    trouble the first stream was given up by its reader, of those that carry the leader's heartbeats and their answers.
    """

    def __init__(
        self, members: int, seed: int, leaps: bool, over: float, mtbf: float, mttr: Law, trouble: Trouble | None = None
    ) -> None:
        self.env = LeapingEnvironment()
        self.gaps: list[float] = []
        self.fell: list[float] = []
        self.breaks: list[float] = []
        self.began = self.ended = self.broke_at = -inf
        streams = Streams(seed)
        names = [f"etcd-{i + 1}" for i in range(members)]
        self.judges = Judges(names, {})
        self.etcd = EtcdWorld(
            self.env,
            streams,
            names,
            Raft(),
            self._note,
            turned=self._turned,
            facts_of_logs=True,
            on_disk=lambda name, record: self.judges.on_disk(name, record, self.env.now),
        )
        for stream in self.etcd.world.network.connections.values():
            stream.reader_breaks = partial(self._broken, stream)  # type: ignore[method-assign]
        self.etcd.start()
        self.env.run(until=20)
        self.gaps.clear()
        if leaps:
            self.etcd.begin_leaping()
        if trouble is None:
            for name in names:
                self.env.process(self._life(name, streams[f"{name}/life"], mtbf, mttr))
        else:
            self.env.process(self._troubles(streams["troubles"], mtbf, mttr, trouble))
        self.env.run(until=over)
        assert not self.judges.violations

    def _life(self, name, rng, mtbf, mttr):  # type: ignore[no-untyped-def]
        node = self.etcd.world.nodes[name]
        while True:
            yield self.env.timeout(rng.exponential(mtbf))
            node.crash()
            yield self.env.timeout(float(mttr.draw(rng, 1)[0]))
            node.start()

    def _troubles(self, rng, mtbf, mttr, trouble):  # type: ignore[no-untyped-def]
        while True:
            # Leaps are asked for at whole seconds, and pass whole seconds: these come right after one, but evenly
            # spread over the interval of heartbeats, so that one trouble is independent of the next.
            at = ceil(self.env.now + 20.0 + rng.exponential(mtbf)) + 0.1 * rng.random()
            yield self.env.timeout(at - self.env.now)
            leader = self.etcd.leader
            others = [name for name in self.etcd.names if name != leader]
            victim = leader if leader and rng.random() < 0.5 else others[int(rng.integers(len(others)))]
            self.began, self.led_by = self.env.now, leader
            verb = trouble(self.etcd.world, victim)
            verb.__enter__()  # without a block, which the end of the run would leave
            yield self.env.timeout(float(mttr.draw(rng, 1)[0]))
            verb.__exit__(None, None, None)
            self.ended = self.env.now

    def _broken(self, stream: Stream) -> None:
        if self.began > self.ended and self.led_by in (stream.src.name, stream.dst.name):
            if not self.broke_at > self.began:
                self.breaks.append(self.env.now - self.began)
            self.broke_at = self.env.now
        Stream.reader_breaks(stream)

    def _turned(self, led: bool) -> None:
        if led and self.fell:
            self.gaps.append(self.env.now - self.fell[-1])
        elif not led:
            self.fell.append(self.env.now)

    def _note(self, kind: str, subject: str, detail: Any) -> None:
        self.judges.hear(Fact(self.env.now, kind, subject, detail))


Trouble = Callable[[World, str], AbstractContextManager[object]]

TEN_SECONDS = Exponential(mean="10s")


def cut_off(world: World, name: str) -> AbstractContextManager[object]:
    return world.rule(Cut(lambda src, dst: (src == name) != (dst == name)))


TROUBLES: dict[str, tuple[Trouble, Law]] = {
    "cut": (cut_off, Uniform(low="4s", high="6s")),
    "pause": (lambda world, name: world.paused(name), Uniform(low="0.5s", high="8s")),
    "power loss": (lambda world, name: world.powered_off([name]), Uniform(low="0.5s", high="8s")),
}


def _troubled(trouble: str, leaps: bool, seeds: range, over: float) -> tuple[np.ndarray, np.ndarray]:
    """Gaps in leadership, and when streams were given up."""
    verb, lasting = TROUBLES[trouble]
    studies = [Study(3, seed, leaps, over, 10.0, lasting, verb) for seed in seeds]
    return (
        np.concatenate([np.asarray(study.gaps) for study in studies]),
        np.concatenate([np.asarray(study.breaks) for study in studies]),
    )


def _gaps(leaps: bool, seeds: range, over: float) -> np.ndarray:
    found = [Study(3, seed, leaps, over, mtbf=60.0, mttr=TEN_SECONDS).gaps for seed in seeds]
    return np.concatenate([np.asarray(gaps) for gaps in found])


@pytest.mark.parametrize("trouble", TROUBLES)
def test_leaps_leave_gaps_and_broken_connections_as_they_are(trouble: str) -> None:
    stepped, leapt = _troubled(trouble, False, range(0, 2), 1300.0), _troubled(trouble, True, range(100, 104), 1300.0)
    for without, with_leaps in zip(stepped, leapt, strict=True):
        assert min(len(without), len(with_leaps)) >= 20
        # Six comparisons: one chance in 600 that any of them convicts the innocent.
        assert stats.ks_2samp(without, with_leaps).pvalue > 0.01 / 36


def test_a_planted_leap_that_lets_connections_look_idle_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def shift(self: Stream, by: float) -> None:
        self._last += by

    monkeypatch.setattr(Stream, "shift", shift)
    _, stepped = _troubled("cut", False, range(0, 2), 1200.0)
    _, leapt = _troubled("cut", True, range(100, 104), 1200.0)
    assert stats.ks_2samp(stepped, leapt).pvalue < 1e-6


def test_leaps_leave_the_law_of_failovers_and_outages_as_it_is() -> None:
    # Seeds differ, so that the samples are independent. Crashes overlap now and then: gaps are elections and losses of
    # the quorum alike.
    stepped = _gaps(False, range(0, 3), 2000.0)
    leapt = _gaps(True, range(100, 109), 2000.0)
    assert min(len(stepped), len(leapt)) > 75
    assert stats.ks_2samp(stepped, leapt).pvalue > 0.01
    # Downtime as a whole: the number of gaps in a span, and their mean.
    rate_stepped, rate_leapt = len(stepped) / (3 * 1980.0), len(leapt) / (9 * 1980.0)
    error = np.sqrt(rate_stepped / (3 * 1980.0) + rate_leapt / (9 * 1980.0))
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
    study = Study(members, 1, True, 8760 * HOUR, mtbf=1e12, mttr=TEN_SECONDS)
    assert study.etcd.leapt > 8759 * HOUR
    assert not study.gaps
    assert study.etcd.leader is not None


@pytest.mark.parametrize(
    ("latency", "share"),
    [
        ({"lognormal": {"mean": "1ms", "median": "0.5ms"}}, 0.95),  # with pauses, since something is late now and then
        ({"exponential": "20ms"}, 0.99),
        ({"exponential": "60ms"}, 0.0),  # two messages in a million take longer than eight heartbeats
    ],
)
def test_what_is_leapt_over_depends_on_how_many_messages_are_late(latency: dict[str, Any], share: float) -> None:
    env = LeapingEnvironment()
    raft = Raft(latency=latency)  # type: ignore[arg-type]
    etcd = EtcdWorld(env, Streams(1), ["a", "b", "c"], raft, lambda *fact: None)
    etcd.start()
    env.run(until=20)
    etcd.begin_leaping()
    env.timeout(2000.0)
    env.run(until=2000.0)
    assert share * 1980 <= etcd.leapt <= 1980 * (share > 0)


def test_nothing_is_leapt_over_while_a_request_waits() -> None:
    study = Study(3, 1, False, 30.0, mtbf=1e12, mttr=TEN_SECONDS)
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
            self.leapt += self.world.leap(self.rhythm)

    monkeypatch.setattr(
        etcd_world, "leap_again_and_again", lambda worlds: worlds[0].env.process(leap_blindly(worlds[0]))
    )
    stepped = _gaps(False, range(0, 2), 2000.0)
    leapt = _gaps(True, range(100, 102), 2000.0)
    assert stats.ks_2samp(stepped, leapt).pvalue < 1e-3
