"""The ways between the API and everybody: order, resends, patience, watches that break, and answers that got lost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from kubernetes_toys import WEB, Deed, Ending, deployed, facts, ordinals, play, times, toy

import hasim as ha
from hasim.engines.des.kubernetes.api import Api
from hasim.engines.des.kubernetes.control import ControlProcess
from hasim.engines.des.kubernetes.line import RESEND_MOST_S, Line
from hasim.engines.des.kubernetes.pace import Bucket, Pace
from hasim.engines.des.reach import Contact
from hasim.engines.des.requests.links import Links
from hasim.engines.des.world import LeapingEnvironment, Touch
from hasim.faults import DROP, PASS, Delay, Verdict
from hasim.protocols.api import Change, Create, Delete, Done, Get, ObjectStore, Reply, Request, Update
from hasim.protocols.reconcile.controller import Cache, Plan
from hasim.protocols.reconcile.objects import Endpoints, Pod

SOON = 0.05


class Letter:
    """A message that writes down when it arrived, and when it was held up."""

    def __init__(self, env: LeapingEnvironment) -> None:
        self._env = env
        self.over = False
        self.arrived: list[float] = []
        self.held: list[float] = []

    def arrive(self) -> None:
        self.arrived.append(self._env.now)

    def held_up(self) -> None:
        self.held.append(self._env.now)


def line(env: LeapingEnvironment, latency: Callable[[], float], verdict: Callable[[], Verdict] = lambda: PASS) -> Line:
    links = Links(env, np.random.default_rng(1))
    links.rules.append((lambda src, dst, draw: verdict(), Touch()))
    return Line(env, links, latency, "a", "b")


def test_messages_arrive_in_the_order_in_which_they_were_sent() -> None:
    env = LeapingEnvironment()
    takes = iter(np.random.default_rng(1).exponential(1.0, 100).tolist())
    way = line(env, takes.__next__)
    letters = [Letter(env) for _ in range(100)]
    for letter in letters:
        way.send(letter)
        env.run(until=env.now + 0.1)
    env.run(until=1000)
    arrived = [letter.arrived[0] for letter in letters]
    assert arrived == sorted(arrived) and all(len(letter.arrived) == 1 for letter in letters)


def test_what_was_sent_over_a_slow_link_is_not_overtaken() -> None:
    env = LeapingEnvironment()
    way = line(env, lambda: 0.001, lambda: Delay(5.0) if env.now < 1 else PASS)
    slow, fast = Letter(env), Letter(env)
    way.send(slow)
    env.run(until=2)
    way.send(fast)
    env.run(until=20)
    assert slow.arrived == fast.arrived == [pytest.approx(5.001)]
    assert slow.held and not fast.held


def test_what_is_lost_is_sent_again_as_linux_does_and_holds_up_what_follows() -> None:
    env = LeapingEnvironment()
    way = line(env, lambda: 0.001, lambda: DROP if env.now < 10 else PASS)
    first, second = Letter(env), Letter(env)
    way.send(first)
    env.run(until=1)
    way.send(second)
    env.run(until=60)
    tries = np.cumsum([0.2, 0.4, 0.8, 1.6, 3.2, 6.4])
    assert first.arrived == second.arrived == [pytest.approx(tries[-1] + 0.001)]
    assert first.held and second.held == [1]
    assert RESEND_MOST_S == 12.8


def test_what_nobody_waits_for_is_not_sent_again() -> None:
    env = LeapingEnvironment()
    way = line(env, lambda: 0.001, lambda: DROP if env.now < 10 else PASS)
    first, second = Letter(env), Letter(env)
    way.send(first)
    way.send(second)
    env.run(until=5)
    first.over = True
    env.run(until=60)
    assert not first.arrived and len(second.arrived) == 1


def test_a_client_asks_as_fast_as_its_tokens_come() -> None:
    bucket = Bucket(Pace(20.0, 30), 100.0)
    waits = [bucket.wait(100.0) for _ in range(40)]
    assert waits[:30] == [0.0] * 30 and waits[30:] == pytest.approx([0.05 * i for i in range(1, 11)])
    assert bucket.wait(1000.0) == 0.0
    assert [bucket.wait(1000.0) for _ in range(30)][-1] == pytest.approx(0.05), "a rest fills it, and no more"


def test_evictions_keep_to_the_pace_of_their_controller() -> None:
    web = "web: {kind: workload, replicas: 400, required: 1, start: {fixed: 5s}, cpu: 10}"
    run = play(toy(web, nodes=(4,), more=", pods: 250"), ha.Crash("n-1", at="1m", lasting="20m"), over="9m")
    deleted, created, bound = (np.array(times(run, f"pod {what}")) for what in ("deleted", "created", "bound"))
    assert len(deleted) == len(created) == len(bound) == 100
    assert deleted[-1] - deleted[0] == pytest.approx((100 - 30) / 20, abs=0.1)
    assert created[-1] - deleted[-1] < SOON, "creations have tokens of their own"


class Reader:
    """A watcher of endpoints, and what it has heard."""

    name = "reader"
    kinds = (Endpoints,)

    def __init__(self) -> None:
        self.heard: list[tuple[str, ...]] = []
        self.lists = 0

    def wants(self, change: Change) -> bool:
        return True

    def hear(self, change: Change) -> None:
        self.heard.append(change.after.pods)

    def resync(self, store: ObjectStore) -> None:
        self.lists += 1
        self.heard += [endpoints.pods for endpoints in store.all(Endpoints)]


def watched() -> tuple[LeapingEnvironment, Api, Reader]:
    env = LeapingEnvironment()
    links = Links(env, np.random.default_rng(1))
    api = Api(env, "api", links, lambda: 0.001, lambda: 0.5, lambda change: None, lambda *refused: None)
    reader = Reader()
    api.put(Create(Endpoints("web")))
    api.watch(reader)
    env.run(until=1)
    return env, api, reader


def write(api: Api, *pods: str) -> None:
    assert isinstance(api.put(Update(Endpoints("web", pods))), Done)


def test_news_of_a_watch_that_broke_are_not_heard_after_the_list_that_made_up_for_them() -> None:
    env, api, reader = watched()
    slow = (lambda src, dst, draw: Delay(100.0), Touch())
    api.links.rules.append(slow)
    write(api, "old")
    api.links.rules.remove(slow)
    api.set_contact("refused")
    api.set_contact("open")
    env.run(until=10)
    write(api, "new")
    env.run(until=200)
    assert reader.heard == [(), ("old",), ("new",)] and reader.lists == 2


def test_a_watch_hears_everything_once_and_nothing_when_it_is_closed() -> None:
    env = LeapingEnvironment()
    api = Api(env, "api", Links(env, np.random.default_rng(1)), lambda: 0.001, lambda: 0.5, lambda change: None, print)
    reader = Reader()
    api.put(Create(Endpoints("web")))
    watch = api.watch(reader)
    env.run(until=1)
    write(api, "a")
    write(api, "b")
    env.run(until=2)
    write(api, "c")
    watch.close()
    env.run(until=3)
    assert reader.heard == [(), ("a",), ("b",)]


@pytest.mark.parametrize(("contact", "after"), [("refused", 0.002), ("silent", 7.002), ("open", 0.002)])
def test_requests_meet_what_the_servers_can_do(contact: Contact, after: float) -> None:
    env, api, _ = watched()
    api.set_contact(contact)
    replies: list[tuple[float, Reply | None]] = []
    api.ask("somebody", Get(Endpoints, "web"), lambda reply: replies.append((env.now, reply)))
    env.run(until=20)
    ((at, reply),) = replies
    assert at == pytest.approx(1 + after)
    assert isinstance(reply, Done) is (contact == "open")


def test_a_request_that_waits_for_a_quorum_is_served_when_there_is_one() -> None:
    env, api, _ = watched()
    api.set_contact("silent")
    replies: list[tuple[float, Reply | None]] = []
    api.ask("somebody", Get(Endpoints, "web"), lambda reply: replies.append((env.now, reply)))
    env.run(until=4)
    api.set_contact("open")
    env.run(until=20)
    ((at, reply),) = replies
    assert at == pytest.approx(4.001) and isinstance(reply, Done)


def test_servers_that_are_frozen_answer_nobody_and_later_whoever_still_waits() -> None:
    env, api, _ = watched()
    replies: list[float] = []
    api.freeze()
    api.freeze()
    for at in (1, 8):
        env.run(until=at + 0.5)
        api.ask("somebody", Get(Endpoints, "web"), lambda reply: replies.append(env.now if reply else -env.now))
    api.thaw()
    env.run(until=15)
    assert replies == [pytest.approx(-11.5)], "patience is over after 10 s; two froze them, and one has let go"
    api.thaw()
    env.run(until=30)
    assert replies[1:] == [pytest.approx(15.001)]


class Sleeper:
    """A controller that looks at endpoints, and again after so many seconds as their names say."""

    period = None

    def __init__(self, env: LeapingEnvironment) -> None:
        self._env = env
        self.looked: list[float] = []

    def keys(self, change: Change, cache: Cache) -> list[str]:
        return [change.key[1]]

    def plan(self, key: str, cache: Cache, now: float) -> Plan:
        self.looked.append(round(self._env.now, 2))
        endpoints = cache.get(Endpoints, key)
        return Plan(again=float(endpoints.pods[0]) if endpoints and endpoints.pods else None)

    def answered(self, key: str, request: Request, reply: Reply | None) -> None:
        raise AssertionError("it asks for nothing")


def test_a_key_that_is_to_come_later_twice_comes_at_the_earlier_time_once() -> None:
    env, api, _ = watched()
    sleeper = Sleeper(env)
    ControlProcess(api, "kcm", (Endpoints,), [sleeper], Pace(20.0, 30))
    for at, pods in ((2, ["10"]), (3, ["100"]), (4, ["4"]), (5, ["50"]), (6, [])):
        env.run(until=at)
        write(api, *pods)
    env.run(until=300)
    assert sleeper.looked == [1, 2, 3, 4, 5, 6, 8]


# ----------------------------------------------------------------- order and lost answers, in clusters


@pytest.mark.parametrize("seed", range(4))
def test_news_that_take_very_different_times_leave_nobody_with_an_old_picture(seed: int) -> None:
    slow = ", latency: {uniform: {low: 1ms, high: 3s}}"
    run = play(toy(WEB, more=slow), ha.Crash("n-1", at="1m", lasting="9m"), over="30m", seed=seed)
    ending = Ending(run, deployed("web", 6))
    assert len(ending.ready) == 6 == len(ending.pods) and ending.endpoints["web"] == 6 and not ending.unready


def test_a_last_word_that_is_said_twice_costs_no_successor() -> None:
    # The kubelet says that its pod is gone, and does not hear that this was heard: it says so again when the link
    # heals, and by then another pod has the name.
    db = "web: {kind: workload, controller: stateful_set, replicas: 3, required: 3, start: {fixed: 10s}}"
    cluster = toy(db, parts="kubelet: {kind: pool, replicas: 6, on: ALL_NODES}", more=", kubelets: kubelet")
    run = play(
        cluster,
        ha.Crash("kubelet-1", at="1m", lasting="10m"),
        ha.OneWay("apiserver", "n-1", at="660.0015s", lasting="8s"),
        over="20m",
    )
    assert len(facts(run, "pod gone")) == len(facts(run, "pod created")) == 1
    assert Ending(run, ordinals("web", 3)).ready == set(ordinals("web", 3))
    assert [fact for fact in facts(run, "conflict", "n-1") if fact.detail["why"] == "conflict"]


def test_a_report_that_got_lost_is_said_again() -> None:
    # Containers crash while etcd has no quorum; their kubelets' word waits for 7 s, and is tried again after 10 s more.
    web = "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 5m}, crash: {fixed: 3m}}"
    cluster = toy(web)
    (crashed, *_) = times(play(cluster, over="5m"), "container crashed")
    lost = [ha.Crash(f"etcd-{i}", at=f"{crashed - 1}s", lasting="9.5s") for i in (1, 2)]
    run = play(cluster, *lost, over="5m")
    unready = times(run, "pod unready")
    assert len(unready) == 6
    assert min(unready) == pytest.approx(crashed + 7 + 10, abs=SOON)


def test_a_deletion_that_got_lost_is_tried_again() -> None:
    cluster, node = toy(WEB), ha.Crash("n-1", at="1m", lasting="20m")
    (deleted,) = times(play(cluster, node, over="10m"), "pod deleted")
    lost = [ha.Crash(f"etcd-{i}", at=f"{deleted - 0.5}s", lasting="8.5s") for i in (1, 2)]
    run = play(cluster, node, *lost, over="10m")
    assert not facts(run, "stopped leading")
    (again,) = times(run, "pod deleted")
    assert deleted + 8 - SOON <= again < deleted + 8 + SOON, "at the first moment when there is a quorum"


def test_a_frozen_controller_sends_nothing_that_it_was_about_to_send() -> None:
    web = "web: {kind: workload, replicas: 400, required: 1, start: {fixed: 5s}, cpu: 10}"
    cluster, node = toy(web, nodes=(4,), more=", pods: 250"), ha.Crash("n-1", at="1m", lasting="20m")
    begun = times(play(cluster, node, over="8m"), "pod deleted")[0]
    frozen = ha.Pause("kcm-1", at=f"{begun + 1.025}s", lasting="4s")
    deleted = np.array(times(play(cluster, node, frozen, over="8m"), "pod deleted"))
    assert len(deleted) == 100 and np.any(deleted > begun + 5.025)
    assert not np.any((begun + 1.025 < deleted) & (deleted < begun + 5.025))


def test_servers_without_a_quorum_are_silent_and_servers_that_are_gone_refuse() -> None:
    looks = [Deed(at, lambda kubernetes: kubernetes.api.contact) for at in (30.0, 90.0, 150.0, 400.0)]
    quorum = [ha.Crash(f"cp-{i}", at="1m", lasting="5m") for i in (1, 2)]
    play(toy(WEB), *quorum, ha.PowerLoss("cp-3", at="2m", lasting="2m"), *looks, over="8m")
    assert [look.found for look in looks] == [["open"], ["silent"], ["refused"], ["open"]]


# ------------------------------------------------------------------------------ pods that others remove


def force_delete(name: str) -> Deed:
    return Deed(60.0, lambda kubernetes: kubernetes.api.put(Delete(Pod, name, force=True)))


def test_a_pod_that_is_removed_by_force_ends_where_it_runs_and_another_takes_its_name() -> None:
    db = "web: {kind: workload, controller: stateful_set, replicas: 1, start: {fixed: 10s}, crash: {fixed: 3m}}"
    run = play(toy(db, nodes=(1,)), force_delete("web-0"), over="6m")
    assert run.down("web")[0].tolist() == pytest.approx([60, 70], abs=SOON)
    (crashed, *_) = times(run, "container crashed")
    assert crashed == pytest.approx(250, abs=SOON), "the first would have done so earlier"


def test_a_kubelet_that_missed_the_end_of_a_pod_takes_its_successor_for_another() -> None:
    db = "web: {kind: workload, controller: stateful_set, replicas: 1, start: {fixed: 10s}}"
    cluster = toy(
        db, nodes=(1, 1), parts="kubelet: {kind: pool, replicas: 2, on: ALL_NODES}", more=", kubelets: kubelet"
    )
    away = [ha.Crash(f"kubelet-{i}", at="55s", lasting="20s") for i in (1, 2)]
    run = play(cluster, *away, force_delete("web-0"), over="3m")
    assert [fact.detail["node"] for fact in facts(run, "pod bound")] in (["n-1"], ["n-2"])
    (ready,) = times(run, "pod ready")
    assert ready == pytest.approx(75 + 10, abs=SOON), "it starts anew, wherever the old one was"


# ------------------------------------------------------------------------------- watches that break


def test_a_node_that_was_cut_off_for_long_hears_of_nothing_until_its_watch_is_back() -> None:
    late = []
    for seed in range(8):
        run = play(toy(WEB), ha.Partition("n-1", at="1m", lasting="5m"), over="8m", seed=seed)
        (ready,) = times(run, "pod ready")
        late.append(ready - 360)
    # It asks again 30 to 60 s after it asked last: when that was is any moment of such a wait.
    assert min(late) > 0 and max(late) < 60 + SOON
    assert np.mean(late) == pytest.approx(23.3, abs=4 * 14 / np.sqrt(8))
    assert max(late) > 13, "later than a resend would come through"


def test_a_watch_outlives_a_cut_that_is_shorter_than_pings_take_to_tell() -> None:
    late = []
    for seed in range(6):
        # Noticed at 40 to 55 s, healed at 57 s: the connection is there yet, or not any more, by a ping.
        run = play(toy(WEB), ha.Partition("n-1", at="1m", lasting="44s"), over="3m", seed=seed)
        late += [at - 104 for at in times(run, "pod ready")]
    assert all(at < 12.8 + SOON for at in late)


def test_watches_of_servers_that_went_are_made_anew() -> None:
    # Containers crash while the API is down. Its kubelets say so within 10 s of its return, but controllers that nobody
    # elects, and which therefore stay, know nothing before they have listed again.
    web = "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 10m}, crash: {fixed: 4m}}"
    gaps = []
    for seed in range(4):
        cluster = toy(web, controllers="leader_elect: false")
        run = play(cluster, ha.Crash("apiserver", at="1m", lasting="5m"), over="10m", seed=seed)
        unready, endpoints = times(run, "pod unready"), times(run, "endpoints")
        assert len(unready) == 6 and 360 < min(unready) <= max(unready) < 370 + SOON
        gaps.append(endpoints[0] - unready[0])
    assert max(gaps) > 1.0 and all(0 < gap < 60 for gap in gaps)


def test_a_controller_that_was_cut_off_forgets_the_pods_that_went_meanwhile() -> None:
    cluster = toy(WEB, controllers="leader_elect: false")
    run = play(
        cluster,
        ha.Partition("kcm-1", at="1m", lasting="14m"),
        ha.Crash("n-1", at="2m", lasting="8m"),  # its pod is ready as far as the one that is cut off knows
        over="30m",
    )
    assert max(times(run, "endpoints")) < 900 + 60 + SOON, "nobody writes over what the others have written"
    ending = Ending(run, deployed("web", 6))
    assert ending.endpoints["web"] == 6 and ending.ready == set(ending.pods)
