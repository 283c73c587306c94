"""Timeouts of one length keep to the clock, and neither they nor a call hold on to what has ended."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import numpy as np
import pytest
from path_scenes import play

import hasim as ha
from hasim.engines.des.requests.deadlines import Deadlines, Patience
from hasim.engines.des.requests.exchange import Call, Exchange, Job
from hasim.engines.des.requests.notes import RequestNotes
from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.alarm import Alarm

AFTER = 1.0
ITEMS = 2000


@dataclass(eq=False)
class Wait:
    """Something that waits, and knows when it will have had enough."""

    begins: float
    ends: float
    stamp: int = 0
    over: bool = False

    def end(self) -> None:
        self.stamp += 1
        self.over = True


def waits(seed: int) -> list[Wait]:
    """Waits that begin at random within 20 s; about half of them last for longer than the timeout."""
    rng = np.random.default_rng(seed)
    begins = np.sort(rng.uniform(0.0, 20.0, ITEMS))
    lasting = rng.exponential(AFTER / np.log(2), ITEMS)
    return [Wait(begin, begin + last) for begin, last in zip(begins.tolist(), lasting.tolist(), strict=True)]


@pytest.mark.parametrize("kind", [Deadlines, Patience])
def test_exactly_what_outlasts_the_timeout_expires_and_on_time(kind: type[Deadlines[Wait]] | type[Patience[Wait]]):
    env, items = LeapingEnvironment(), waits(seed=1)
    expired: list[tuple[float, Wait]] = []

    def expire(wait: Wait) -> None:
        expired.append((env.now, wait))
        wait.end()

    timeouts = kind(env, AFTER, expire)
    for item in items:
        Alarm(env, item.begins, lambda item=item: timeouts.add(item))  # type: ignore[misc]
        Alarm(env, item.ends, item.end)
    env.run(until=100.0)
    late = [item for item in items if item.ends > item.begins + AFTER]
    assert [wait for _, wait in expired] == late
    assert [at for at, _ in expired] == [item.begins + AFTER for item in late]


@pytest.mark.parametrize("kind", [Deadlines, Patience])
def test_what_has_ended_is_let_go_before_its_timeout(kind: type[Deadlines[Wait]] | type[Patience[Wait]]):
    env = LeapingEnvironment()
    timeouts = kind(env, 1e6, lambda _: None)
    for _ in range(100):
        item = Wait(0.0, 0.0)
        timeouts.add(item)
        item.end()
    assert len(timeouts._queue) == 1  # the last one, which nothing has come after


def test_a_run_leaves_no_rings_of_references_to_a_collector():
    # Without a collector only what is under way at the end stays, and what came after it and stands behind it in line
    # for a timeout. 300 objects are 100 calls, which come in a third of a second: 17 mean services, and one of the 6000
    # exponential ones lasts for longer with a chance below 0.0003 even if all were under way at the end.
    lb = {"policy": "round_robin", "server_timeout": "30s"}
    pool = {"kind": "pool", "replicas": 3, "serving": {"takes": "20ms", "slots": 16}}
    parts = {"api": pool, "lb": {"kind": "balancer", "to": "api", **lb}}
    cluster = ha.Cluster(name="rings", parts=parts, services={"web": {"up": ["lb"]}})
    clients = ha.Clients(timeout="1s", retry={})
    errors = ha.ErrorAnswers("api", share=0.01, at="1s", lasting="18s")
    gc.collect()
    gc.disable()
    try:
        run = play(cluster, ha.Load(rate=300, clients=clients), errors, over="20s")
        left = sum(isinstance(thing, Call | Exchange | Job) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert run.requests is not None and len(run.requests) > 5000
    assert left < 300, f"{left} calls, exchanges and jobs are left of {len(run.requests)} requests"


def test_notes_give_back_what_was_written_down():
    rng = np.random.default_rng(2)
    notes = RequestNotes()
    rows = []
    for _ in range(500):
        arrived, code = float(rng.random()), int(rng.integers(12))
        call = Call(None, int(rng.integers(2**31)), arrived, 0.0, bool(rng.integers(2)))  # type: ignore[arg-type]
        call.attempts, call.server = int(rng.integers(2**31)), int(rng.integers(-1, 1000))
        notes.write(call, arrived + 1.0, code)
        rows.append((arrived, arrived + 1.0, call.attempts, call.server, call.user, code, call.write))
    assert notes.rows().tolist() == rows
