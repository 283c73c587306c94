"""The simulated client against toy members: what it sends where and when, when it tries again, what it writes down."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from simpy import Environment

from hasim.checks.history import Operation
from hasim.engines.des.etcd.client import ATTEMPTS_MAX, Client
from hasim.engines.des.etcd.workload import Workload
from hasim.errors import ModelError
from hasim.machine import Gone
from hasim.protocols.etcd.requests import (
    CONNECTION_LOST,
    CONNECTION_REFUSED,
    DEADLINE,
    LEADER_CHANGED,
    NO_SPACE,
    TIMED_OUT,
    TOO_MANY_REQUESTS,
    UNAVAILABLE,
    Done,
    Get,
    Put,
    Refused,
)
from hasim.streams import Streams

Answer = Callable[[str, Any], None]
Reply = Callable[[Any], Any]


class Member:
    """A toy member: answers after `takes` seconds by `reply`, or not at all (None); may die and come back."""

    def __init__(self, env: Environment, reply: Callable[[Any], Any], takes: float = 0.001) -> None:
        self.env = env
        self.reply = reply
        self.takes = takes
        self.process: object | None = self
        self.asked: list[tuple[float, Any]] = []
        self.open: dict[str, Answer] = {}

    def propose(self, command: Any, ref: str, answer: Answer, /) -> None:
        assert ref not in self.open, "a reference is used once"
        self.asked.append((self.env.now, command))
        self.open[ref] = answer
        result = self.reply(command)
        if result is not None:
            self.env.timeout(self.takes).callbacks.append(lambda _: self.answer(ref, result))

    def answer(self, ref: str, result: Any) -> None:
        if ref in self.open:
            self.open.pop(ref)(ref, result)

    def die(self) -> None:
        self.process = None
        for ref in list(self.open):
            self.answer(ref, Gone(CONNECTION_LOST))

    def start(self) -> None:
        self.process = self


def done(command: Any) -> Done:
    return Done("v", 7) if isinstance(command, Get) else Done(None, 8)


def refuse(error: str, unknown: bool = False) -> Callable[[Any], Any]:
    return lambda command: Refused(error, unknown)


class Scene:
    """Members by name, and one client whose messages take 1 ms each way."""

    def __init__(
        self, *replies: Callable[[Any], Any], seed: int = 1, latest: int | None = None, **settings: Any
    ) -> None:
        self.env = Environment()
        self.members = {f"n{i}": Member(self.env, reply) for i, reply in enumerate(replies, start=1)}
        loop = {} if {"rate", "think"} & set(settings) else {"think": {"fixed": "10s"}}
        workload = Workload(name="c", endpoints=list(self.members), **{"latency": {"fixed": "1ms"}, **loop, **settings})
        self.client = Client(self.env, Streams(seed), workload, self.members, lambda: latest)

    def at(self, when: float, what: Callable[[], None]) -> None:
        self.env.timeout(when).callbacks.append(lambda _: what())

    def run(self, until: float) -> list[Operation]:
        self.env.run(until=until)
        self.client.close()
        return self.client.history

    def asked(self) -> list[tuple[float, str]]:
        """When which member was asked, over all of them."""
        return sorted((at, name) for name, member in self.members.items() for at, _ in member.asked)


def test_a_served_put_is_written_down_with_all_that_was_seen_of_it() -> None:
    (op,) = Scene(done, requests="put", latest=5).run(1)
    assert op == Operation(
        client="c",
        kind="put",
        key="k",
        value="c:1",
        called=0,
        returned=pytest.approx(0.003),  # a millisecond there, one at the member, one back
        outcome="ok",
        node="n1",
        version=8,
        latest=5,
    )


@pytest.mark.parametrize("mode", ["linearizable", "serializable"])
def test_a_served_get_has_the_value_and_version_that_were_read(mode: str) -> None:
    scene = Scene(done, requests=mode, latest=9)
    (op,) = scene.run(1)
    assert (op.kind, op.mode, op.value, op.version, op.latest, op.outcome) == ("get", mode, "v", 7, 9, "ok")
    assert [command for _, command in scene.members["n1"].asked] == [Get("k", mode)]


# ------------------------------------------------------------------------------------------ its loops


def test_an_open_loop_of_fixed_spacing_asks_to_the_beat_from_a_phase_of_its_own() -> None:
    phases = set()
    for seed in (1, 2):
        called = [op.called for op in Scene(done, rate=50, spacing="fixed", seed=seed).run(1)]
        assert len(called) in (49, 50)
        assert 0 <= called[0] < 0.02
        assert all(b - a == pytest.approx(0.02) for a, b in pairwise(called))
        phases.add(called[0])
    assert len(phases) == 2


def test_an_open_loop_at_random_is_a_poisson_process() -> None:
    called = [op.called for op in Scene(done, rate=100, retries="none").run(100)]
    n = 100 * 100
    assert abs(len(called) - n) < 5 * n**0.5  # a Poisson number has variance n
    gaps = [b - a for a, b in pairwise(called)]
    mean = sum(gaps) / len(gaps)
    longer = sum(gap > mean for gap in gaps) / len(gaps)
    p = math.exp(-1)
    assert abs(longer - p) < 5 * (p * (1 - p) / len(gaps)) ** 0.5


def test_an_open_loop_does_not_wait_for_answers() -> None:
    scene = Scene(lambda command: None, rate=10, spacing="fixed")
    assert len(scene.run(2.0)) in (19, 20)


def test_a_closed_loop_thinks_after_each_answer() -> None:
    scene = Scene(done, think={"fixed": "100ms"})
    called = [op.called for op in scene.run(0.5)]
    assert called == pytest.approx([0, 0.103, 0.206, 0.309, 0.412])


def test_a_closed_loop_without_a_timeout_hangs_as_long_as_the_member_does() -> None:
    scene = Scene(lambda command: None, think={"fixed": "100ms"}, requests="put")
    scene.at(7.0, lambda: scene.members["n1"].answer("c#1.1", Refused(TIMED_OUT, True)))
    first, second = scene.run(8)
    assert (first.called, first.returned, first.outcome, first.error) == (0, pytest.approx(7.001), "unknown", TIMED_OUT)
    assert second.called == pytest.approx(7.101)


def test_a_client_may_begin_later() -> None:
    (op,) = Scene(done, start="2s").run(5)
    assert op.called == 2


def test_requests_come_in_the_proportions_asked_for_and_keys_all_alike() -> None:
    mix = {"put": 2, "linearizable": 1, "serializable": 0}
    ops = Scene(done, rate=1000, requests=mix, keys=4, retries="none").run(10)
    n = len(ops)
    puts = sum(op.kind == "put" for op in ops)
    assert abs(puts - n * 2 / 3) < 5 * (n * 2 / 9) ** 0.5
    assert not any(op.mode == "serializable" for op in ops)
    for key in ("k0", "k1", "k2", "k3"):
        assert abs(sum(op.key == key for op in ops) - n / 4) < 5 * (n * 3 / 16) ** 0.5
    values = [op.value for op in ops if op.kind == "put"]
    assert len(set(values)) == len(values)


# ------------------------------------------------------------------------------------- where it goes


def test_round_robin_takes_the_members_in_turn_and_stick_stays() -> None:
    scene = Scene(done, done, done, think={"fixed": "100ms"})
    scene.run(0.65)
    assert [name for _, name in scene.asked()] == ["n1", "n2", "n3", "n1", "n2", "n3", "n1"]
    scene = Scene(done, done, done, think={"fixed": "100ms"}, balance="stick")
    scene.run(0.65)
    assert {name for _, name in scene.asked()} == {"n1"}


def test_an_endpoint_without_a_process_is_skipped() -> None:
    scene = Scene(done, done, done, think={"fixed": "100ms"})
    scene.members["n2"].process = None
    ops = scene.run(0.5)
    assert {name for _, name in scene.asked()} == {"n1", "n3"}
    assert {op.outcome for op in ops} == {"ok"}


def test_a_plain_client_does_not_skip_and_is_refused() -> None:
    scene = Scene(done, done, think={"fixed": "100ms"}, retries="none", requests="put")
    scene.members["n2"].process = None
    ops = scene.run(0.35)
    assert [(op.outcome, op.error) for op in ops] == [("ok", ""), ("failed", CONNECTION_REFUSED)] * 2
    assert ops[1].returned - ops[1].called == pytest.approx(0.002)


# -------------------------------------------------------------------------------- when it tries again


def test_a_read_is_repeated_elsewhere_and_waits_25_ms_after_every_quorum_of_tries() -> None:
    scene = Scene(refuse(LEADER_CHANGED), refuse(LEADER_CHANGED), refuse(LEADER_CHANGED), requests="linearizable")
    scene.run(0.2)
    asked = scene.asked()
    assert [name for _, name in asked][:6] == ["n1", "n2", "n3", "n1", "n2", "n3"]
    waits = [b - a - 0.003 for (a, _), (b, _) in pairwise(asked)]  # 3 ms is a try
    assert waits[0::2] == pytest.approx([0.0] * len(waits[0::2]), abs=1e-9)
    assert all(0.0225 - 1e-9 <= wait <= 0.0275 + 1e-9 for wait in waits[1::2])
    assert len(set(waits[1::2])) > 1


def test_a_read_is_given_up_after_a_hundred_tries() -> None:
    scene = Scene(refuse(LEADER_CHANGED), requests="linearizable", think={"fixed": "1h"})
    (op,) = scene.run(100)
    assert len(scene.members["n1"].asked) == ATTEMPTS_MAX == 100
    assert (op.outcome, op.error, op.called) == ("failed", LEADER_CHANGED, 0)


def test_a_read_that_is_served_in_the_end_has_one_entry_with_the_time_of_its_call() -> None:
    scene = Scene(refuse(LEADER_CHANGED), done, requests="linearizable")
    (op,) = scene.run(1)
    assert (op.called, op.returned, op.outcome, op.node) == (0, pytest.approx(0.006), "ok", "n2")


@pytest.mark.parametrize("error", [TOO_MANY_REQUESTS, NO_SPACE, DEADLINE])
def test_a_read_is_not_repeated_after_an_error_that_is_not_unavailable(error: str) -> None:
    scene = Scene(refuse(error), requests="linearizable")
    (op,) = scene.run(1)
    assert (len(scene.members["n1"].asked), op.outcome, op.error) == (1, "failed", error)


@pytest.mark.parametrize("error", sorted(UNAVAILABLE - {CONNECTION_REFUSED}))
def test_a_write_that_was_sent_is_never_repeated(error: str) -> None:
    scene = Scene(refuse(error, unknown=True), done, requests="put")
    (op,) = scene.run(1)
    assert (len(scene.asked()), op.outcome, op.error) == (1, "unknown", error)


def test_a_write_that_was_refused_for_certain_has_failed() -> None:
    (op,) = Scene(refuse(NO_SPACE), requests="put").run(1)
    assert (op.outcome, op.error) == ("failed", NO_SPACE)


def test_a_plain_client_repeats_nothing() -> None:
    scene = Scene(refuse(LEADER_CHANGED), requests="linearizable", retries="none")
    (op,) = scene.run(1)
    assert (len(scene.asked()), op.outcome, op.error) == (1, "failed", LEADER_CHANGED)


def test_a_write_in_a_process_that_dies_is_unknown_and_a_read_is_repeated() -> None:
    scene = Scene(lambda command: None, requests="put")
    scene.at(0.5, scene.members["n1"].die)
    (op,) = scene.run(1)
    assert (op.outcome, op.error, op.returned) == ("unknown", CONNECTION_LOST, pytest.approx(0.501))
    scene = Scene(lambda command: None, done, requests="linearizable")
    scene.at(0.5, scene.members["n1"].die)
    (op,) = scene.run(1)
    assert (op.outcome, op.node, op.returned) == ("ok", "n2", pytest.approx(0.501 + 0.003))


def test_a_write_on_its_way_to_a_process_that_dies_is_unknown() -> None:
    scene = Scene(done, requests="put")
    scene.at(0.0005, scene.members["n1"].die)
    (op,) = scene.run(1)
    assert not scene.asked()
    assert (op.outcome, op.error, op.returned) == ("unknown", CONNECTION_LOST, pytest.approx(0.002))


def test_a_connection_that_a_driver_reports_refused_proves_that_nothing_happened() -> None:
    (op,) = Scene(lambda command: Gone(CONNECTION_REFUSED), requests="put", retries="none").run(1)
    assert op.outcome == "failed"


def test_a_request_waits_while_there_is_no_connection_and_dials_ever_more_seldom() -> None:
    scene = Scene(done, requests="put")
    member = scene.members["n1"]
    member.die()
    scene.at(2.0, member.start)  # dials after 1 s and then 1.6 s, both give or take a fifth, see it at the second
    (op,) = scene.run(10)
    assert op.outcome == "ok"
    assert 2.0 < 0.8 * (1 + 1.6) <= op.returned <= 1.2 * (1 + 1.6) + 0.003


@pytest.mark.parametrize("refusal", [Refused(CONNECTION_REFUSED), Gone(CONNECTION_REFUSED)])
def test_a_write_to_a_process_that_does_not_listen_yet_goes_elsewhere_or_waits(refusal: Any) -> None:
    (op,) = Scene(lambda command: refusal, done, requests="put").run(1)
    assert (op.outcome, op.node, op.called) == ("ok", "n2", 0)
    scene = Scene(lambda command: refusal if scene.env.now < 1.9 else done(command), requests="put", timeout="8s")
    (op,) = scene.run(9)
    assert op.outcome == "ok"
    assert [at for at, _ in scene.members["n1"].asked][1:] == pytest.approx([1, 2], rel=0.25)
    (op,) = Scene(lambda command: refusal, requests="put", timeout="3s").run(5)
    assert (op.outcome, op.error) == ("failed", DEADLINE)


def test_after_a_long_absence_the_next_dial_may_be_far_off() -> None:
    scene = Scene(done, requests="put", think={"fixed": "1h"})
    member = scene.members["n1"]
    member.die()
    scene.at(20.0, member.start)
    (op,) = scene.run(100)
    # Dials at about 1, 2.6, 5.2, 9.3, 15.8 and 26.3 s; one a second would have seen it by 21.2 s.
    assert 21.2 < op.returned <= 1.2 * 26.3


def test_a_write_that_found_no_connection_until_the_timeout_has_failed_for_certain() -> None:
    scene = Scene(done, requests="put", timeout="5s")
    scene.members["n1"].die()
    (op,) = scene.run(7)
    assert (op.outcome, op.error, op.returned) == ("failed", DEADLINE, 5)


# ---------------------------------------------------------------------------------- how long it waits


@pytest.mark.parametrize(("request_kind", "outcome"), [("put", "unknown"), ("linearizable", "failed")])
def test_a_timeout_of_its_own_ends_a_request(request_kind: str, outcome: str) -> None:
    scene = Scene(lambda command: None, requests=request_kind, timeout="400ms")
    (op,) = scene.run(1)
    assert (op.returned, op.outcome, op.error) == (pytest.approx(0.4), outcome, DEADLINE)


def test_an_answer_after_the_timeout_changes_nothing() -> None:
    scene = Scene(lambda command: None, requests="put", timeout="400ms")
    scene.at(0.5, lambda: scene.members["n1"].answer("c#1.1", Done(None, 8)))
    (op,) = scene.run(1)
    assert op.outcome == "unknown"


def test_a_read_is_repeated_until_the_timeout() -> None:
    scene = Scene(refuse(LEADER_CHANGED), requests="linearizable", timeout="400ms")
    (op,) = scene.run(1)
    assert (op.returned, op.error) == (pytest.approx(0.4), DEADLINE)
    assert 10 <= len(scene.asked()) <= 18  # a try and a wait take 25.5 to 30.5 ms


def test_what_is_still_open_at_the_end_is_unknown_and_never_returned() -> None:
    (op,) = Scene(lambda command: None, requests="put").run(1)
    assert (op.outcome, op.returned) == ("unknown", math.inf)
    assert op.error == "still open at the end of the run"


def test_a_closed_client_does_nothing_more() -> None:
    scene = Scene(done, rate=100)
    history = list(scene.run(1))
    scene.client.close()
    scene.env.run(until=2)
    assert scene.client.history == history


# --------------------------------------------------------------------------------------------- chance


def busy(seed: int, name: str = "c") -> list[Operation]:
    env = Environment()
    members = {n: Member(env, done) for n in ("n1", "n2")}
    settings: dict[str, Any] = {"endpoints": ["n1", "n2"], "rate": 200, "keys": 3}
    clients = [Client(env, Streams(seed), Workload(name=each, **settings), members) for each in ("other", name)]
    env.run(until=1)
    return clients[1].history


def test_the_same_seed_gives_the_same_history_and_another_one_another() -> None:
    assert busy(1) == busy(1)
    assert busy(1) != busy(2)


def test_each_client_has_its_own_luck() -> None:
    assert [op.called for op in busy(1)] != [op.called for op in busy(1, "d")]


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "got neither of rate and think"),
        ({"rate": 1, "think": "1s"}, "got both of rate and think"),
        ({"rate": 0}, "rate: got 0; give a number above 0"),
        ({"rate": 1, "timeout": "0s"}, "timeout: got '0s'; give a number above 0"),
        ({"rate": 1, "timeout": 3}, "timeout: got 3; a duration needs a unit"),
        ({"rate": 1, "endpoints": []}, "endpoints: is empty"),
        ({"rate": 1, "endpoints": ["n1", "n1"]}, "endpoints: names 'n1' twice"),
        ({"rate": 1, "requests": {}}, "requests: got {}; at least one kind has a weight"),
        ({"rate": 1, "requests": {"put": 0}}, "at least one kind has a weight"),
        ({"rate": 1, "requests": {"put": -1}}, "requests.put: got -1"),
        ({"rate": 1, "requests": "putt"}, "requests.*did you mean 'put'"),
        ({"rate": 1, "keys": 0}, "keys: got 0; give a whole number from 1"),
        ({"rate": 1, "balance": "random"}, "balance: got 'random'; allowed is 'stick' or 'round_robin'"),
        ({"rate": 1, "latency": "fast"}, "latency: got 'fast'"),
        ({"think": {"fixed": "0s"}, "latency": {"fixed": "0s"}}, "think: takes no time, nor does latency"),
    ],
)
def test_a_wrong_workload_is_refused_where_it_is_wrong(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Workload(**{"name": "c", "endpoints": ["n1"], **settings})


def test_an_endpoint_that_does_not_exist_is_refused() -> None:
    env = Environment()
    members = {"etcd-1": Member(env, done)}
    with pytest.raises(ModelError, match=r"endpoints: got 'etcd1'.*did you mean 'etcd-1'"):
        Client(env, Streams(1), Workload(name="c", endpoints="etcd1", rate=1), members)


def test_a_put_says_what_it_writes() -> None:
    scene = Scene(done, requests="put")
    scene.run(1)
    assert [command for _, command in scene.members["n1"].asked] == [Put("k", "c:1")]
