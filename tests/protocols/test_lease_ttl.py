"""Leases with a time to live: what Redis and etcd do, and what their clients do, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest
from leasing import Hand, said

from hasim.errors import ModelError
from hasim.machine import CancelTimer, Event, Exit, Fired, Save, Send, SetTimer
from hasim.protocols.lease.messages import Acquire, Denied, Granted, Release, Renew, Vacant
from hasim.protocols.lease.settings import SCAN_S, TtlLease
from hasim.protocols.lease.ttl import TtlCandidate
from hasim.protocols.lease.ttl_server import REVOKE, SCAN, Held, TtlServer, keep_held
from hasim.units import s

STORE = "store"
TTL_S = 3.0


def lease(store: Any = "redis", jitter: float = 0.0, **more: Any) -> TtlLease:
    """The lease of the published trials: 3 s to live, renewed every second, asked for every 0.4 s."""
    return TtlLease(store=store, ttl=s(TTL_S), renew=s(1), retry=s(0.4), jitter=jitter, **more)


def server(store: Any = "redis", low: float = 0.0, high: float = 0.0, chance: float = 0.0, **more: Any) -> Hand:
    """A store that has just been started, whose passes are never late."""
    hand = Hand(TtlServer(lease(store, **more), ("a", "b"), low, high, late=0.0), chance=chance)
    hand.start()
    return hand


def ask(hand: Hand, who: str, message: Any) -> Any:
    """Ask a store that takes no time; its answer."""
    before = len(hand.sent)
    hand.get(message, who)
    hand.until(hand.now)
    return next((said for _, to, said in hand.sent[before:] if to == who and not isinstance(said, Vacant)), None)


def told(hand: Hand) -> list[tuple[float, str]]:
    """Whom the store told that the lease is gone, and when."""
    return [(at, to) for at, to, message in hand.sent if isinstance(message, Vacant)]


# ----------------------------------------------------------------------------------- either store


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_who_asks_first_gets_it_and_others_are_denied(store: str) -> None:
    hand = server(store)
    assert ask(hand, "a", Acquire(7, "a_1", TTL_S)) == Granted(7, 1)
    assert ask(hand, "b", Acquire(3, "b_1", TTL_S)) == Denied(3)
    assert hand.machine.held == Held("a_1", TTL_S, 1)


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_a_renewal_counts_from_when_the_store_carries_it_out(store: str) -> None:
    hand = server(store)
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    hand.until(2.9)
    assert ask(hand, "a", Renew(2, "a_1", TTL_S)) == Granted(2, 1)
    assert hand.machine.held.until == 5.9
    hand.until(5.8)
    assert ask(hand, "b", Acquire(1, "b_1", TTL_S)) == Denied(1)


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_only_the_owner_renews_and_releases(store: str) -> None:
    hand = server(store)
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    hand.until(1.0)
    assert ask(hand, "b", Renew(1, "b_1", TTL_S)) == Denied(1)
    ask(hand, "b", Release(2, "b_1"))
    assert hand.machine.held == Held("a_1", TTL_S, 1)


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_nobody_renews_a_lease_that_nobody_has(store: str) -> None:
    assert ask(server(store), "a", Renew(1, "a_1", TTL_S)) == Denied(1)


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_a_lease_that_has_run_out_cannot_be_renewed(store: str) -> None:
    hand = server(store, chance=0.7)  # etcd looks at 0.35, 0.85 …: at 3.1 it has not looked since the end
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    hand.until(2.999)
    hand.until(3.0)
    assert ask(hand, "a", Renew(2, "a_1", TTL_S)) == Denied(2)


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_not_even_its_owner_acquires_a_lease_that_is_held(store: str) -> None:
    """SET NX, and a transaction that asks that the key is not there: an answer that got lost costs a time to live."""
    hand = server(store)
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    hand.until(0.4)
    assert ask(hand, "a", Acquire(2, "a_1", TTL_S)) == Denied(2)
    assert hand.machine.held.until == TTL_S


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_the_token_grows_with_every_owner_and_with_no_renewal(store: str) -> None:
    hand = server(store)
    tokens = []
    for n in range(1, 6):
        owner = "ab"[n % 2]
        tokens.append(ask(hand, owner, Acquire(n, owner, TTL_S)).token)
        assert ask(hand, owner, Renew(n, owner, TTL_S)).token == tokens[-1]
        if n % 2:
            ask(hand, owner, Release(n, owner))
        hand.until(hand.now + TTL_S + SCAN_S)
    assert tokens == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_a_lease_that_is_given_back_is_free_at_once(store: str) -> None:
    hand = server(store)
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    assert ask(hand, "a", Release(2, "a_1")) == Granted(2, 1)
    assert ask(hand, "b", Acquire(1, "b_1", TTL_S)) == Granted(1, 2)


@pytest.mark.parametrize("store", ["redis", "etcd"])
def test_what_is_held_survives_a_crash(store: str) -> None:
    hand = server(store)
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    saved = None
    for record in hand.saved:
        saved = keep_held(saved, record)
    again = Hand(TtlServer(lease(store), ("a", "b"), 0.0, 0.0), now=1.0)
    again.start(saved)
    assert ask(again, "b", Acquire(1, "b_1", TTL_S)) == Denied(1)
    assert ask(again, "a", Renew(2, "a_1", TTL_S)) == Granted(2, 1)


def test_the_store_takes_its_time_and_answers_what_it_was_asked_last() -> None:
    hand = server(low=0.2, high=0.6, chance=0.5)
    assert hand.get(Acquire(1, "a_1", TTL_S), "a") == [SetTimer("a", 0.2, 0.6)]
    hand.until(0.1)
    hand.get(Acquire(2, "a_1", TTL_S), "a")
    hand.until(5.0)
    assert hand.sent == [(0.5, "a", Granted(2, 1))]
    assert hand.machine.held.until == 3.5


def test_what_was_asked_over_a_connection_that_broke_is_not_done() -> None:
    hand = server(low=0.2, high=0.2)
    hand.get(Acquire(1, "a_1", TTL_S), "a")
    assert hand.unlink("b") == []
    assert hand.unlink("a") == [CancelTimer("a")]
    assert hand.unlink("a") == []
    hand.until(5.0)
    assert hand.machine.held == Held()
    assert hand.hear(Fired("a")) == []
    assert hand.get("hello", "a") == []


def test_what_is_left_out_is_as_if_the_lease_had_been_granted_later() -> None:
    hand = server()
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    hand.machine.skipped(1000.0)
    hand.until(1002.9)
    assert ask(hand, "a", Renew(2, "a_1", TTL_S)) == Granted(2, 1)


# ------------------------------------------------------------------------------ Redis, etcd


def test_redis_ends_a_lease_to_the_moment() -> None:
    hand = server("redis")
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    hand.until(2.999999)
    assert ask(hand, "b", Acquire(1, "b_1", TTL_S)) == Denied(1)
    hand.until(3.0)
    assert ask(hand, "b", Acquire(2, "b_1", TTL_S)) == Granted(2, 2)
    assert not hand.timers  # it does not look by itself


@pytest.mark.parametrize("phase", [0.0, 0.3, 0.998])
@pytest.mark.parametrize("takes", [0.0, 0.1])
def test_etcd_ends_a_lease_at_the_next_pass_of_its_loop_and_through_its_log(phase: float, takes: float) -> None:
    hand = server("etcd", low=takes, high=takes, chance=phase, watch=True)
    hand.get(Acquire(1, "a_1", TTL_S), "a")
    hand.until(10.0)
    end = TTL_S + takes
    first_look = next(at for at in (phase * 0.5 + 0.5 * i for i in range(20)) if at >= end)
    assert [at for at, _ in told(hand)] == [pytest.approx(first_look + takes)] * 2


def test_the_first_pass_of_etcd_comes_within_half_a_second_and_the_next_half_a_second_and_a_bit_after_it() -> None:
    hand = Hand(TtlServer(lease("etcd"), ("a", "b"), 0.0, 0.0, late=0.001))
    assert SCAN_S == 0.5
    assert hand.start() == [SetTimer(SCAN, 0.0, 0.5)]
    assert hand.hear(Fired(SCAN)) == [SetTimer(SCAN, 0.5, 0.501)]


def test_etcd_denies_a_lease_that_has_run_out_until_it_is_revoked() -> None:
    hand = server("etcd", chance=0.5)  # it looks at 0.25, 0.75, …, 2.75, 3.25
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    hand.until(3.2)
    assert ask(hand, "b", Acquire(1, "b_1", TTL_S)) == Denied(1)
    hand.until(3.25)
    assert ask(hand, "b", Acquire(2, "b_1", TTL_S)) == Granted(2, 2)


def test_etcd_revokes_nothing_that_was_given_back_and_taken_meanwhile() -> None:
    hand = server("etcd", low=0.3, high=0.3)
    hand.get(Acquire(1, "a_1", TTL_S), "a")
    hand.until(3.4)  # granted at 0.3, so gone at 3.3; it looks at 3.5 and revokes at 3.8
    hand.get(Release(2, "a_1"), "a")  # done at 3.7
    hand.until(3.45)
    hand.get(Acquire(1, "b_1", TTL_S), "b")  # done at 3.75
    hand.until(3.75)
    assert hand.last == Granted(1, 2)
    hand.until(4.0)
    assert hand.machine.held.owner == "b_1"


def test_a_slow_etcd_revokes_all_the_same() -> None:
    """A revocation that takes longer than from one pass to the next is not begun anew by each of them."""
    hand = server("etcd", low=0.7, high=0.7)
    hand.get(Acquire(1, "a_1", TTL_S), "a")  # granted at 0.7, gone at 3.7, seen at 4.0
    hand.until(4.69)
    assert hand.machine.held.owner == "a_1"
    hand.until(4.7)
    assert hand.machine.held.owner == ""
    hand.get(Acquire(1, "b_1", TTL_S), "b")  # and so again: granted at 5.4, gone at 8.4, seen at 8.5
    hand.until(9.2)
    assert hand.machine.held.owner == ""


@pytest.mark.parametrize(("watch", "told_"), [(True, ["a", "b"]), (False, [])])
@pytest.mark.parametrize("gone", ["given back", "run out"])
def test_who_watches_is_told_once_that_the_lease_is_gone(watch: bool, told_: list[str], gone: str) -> None:
    hand = server("etcd", watch=watch)
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    hand.until(1.0)
    if gone == "given back":
        ask(hand, "a", Release(2, "a_1"))
    hand.until(20.0)
    assert told(hand) == [(1.0 if gone == "given back" else 3.0, name) for name in told_]


def test_nobody_is_told_by_redis() -> None:
    hand = Hand(TtlServer(lease("redis"), ("a", "b"), 0.0, 0.0))
    hand.start()
    ask(hand, "a", Acquire(1, "a_1", TTL_S))
    ask(hand, "a", Release(2, "a_1"))
    assert told(hand) == []


# -------------------------------------------------------------------------------------- the client


def client(declared: TtlLease | None = None, granted: bool = False, token: int = 1) -> Hand:
    """A client that has asked once, and been granted the lease if so wished."""
    hand = Hand(TtlCandidate(declared or lease(), "a_1", STORE))
    hand.start()
    if granted:
        tell(hand, Granted(1, token))
    return hand


def tell(hand: Hand, message: Any) -> Any:
    return hand.get(message, STORE)


def asks(hand: Hand) -> list[tuple[float, str]]:
    return [(at, type(message).__name__) for at, _, message in hand.sent]


def test_it_asks_at_once_and_when_denied_again_after_a_while() -> None:
    hand = client(lease(jitter=0.25))
    assert hand.sent == [(0.0, STORE, Acquire(1, "a_1", TTL_S))]
    assert hand.timers["timeout"][0] == TTL_S
    assert tell(hand, Denied(1)) == [CancelTimer("timeout"), SetTimer("retry", pytest.approx(0.3), pytest.approx(0.5))]
    hand.until(0.35)
    assert hand.last == Acquire(2, "a_1", TTL_S)


def test_who_is_granted_the_lease_leads_with_its_token_and_renews() -> None:
    hand = client(granted=True, token=7)
    assert said(hand.said, "leading") == [(0.0, {"identity": "a_1", "term": 7})]
    assert hand.machine.token == 7
    for at in (1.0, 2.0):
        hand.until(at)
        assert hand.last == Renew(int(at) + 1, "a_1", TTL_S)
        tell(hand, Granted(int(at) + 1, 7))
    assert len(hand.said) == 1


def test_the_next_renewal_comes_a_while_after_the_answer() -> None:
    hand = client(granted=True).until(1.0)
    hand.now = 1.3
    tell(hand, Granted(2, 1))
    assert asks(hand.until(2.35))[-1] == (2.3, "Renew")


def test_who_is_denied_its_renewal_stops_leading_and_asks_again() -> None:
    hand = client(granted=True).until(1.0)
    tell(hand, Denied(2))
    assert said(hand.said, "stopped leading") == [(1.0, {"identity": "a_1", "why": "not its own"})]
    assert not hand.machine.leads
    assert asks(hand.until(1.5)) == [(0.0, "Acquire"), (1.0, "Renew"), (1.4, "Acquire")]
    assert hand.left is None


@pytest.mark.parametrize("declared", [lease(), lease(timeout=s(0.5))])
def test_a_holder_without_an_answer_tries_again_and_believes_what_it_believed(declared: TtlLease) -> None:
    hand = client(declared, granted=True).until(60.0)
    renewals = [at for at, name in asks(hand) if name == "Renew"]
    patience = declared.patience
    expected = [1.0 + i * (patience + 0.4) for i in range(len(renewals))]
    assert renewals == pytest.approx(expected)
    assert renewals[-1] > 55.0
    assert hand.machine.leads
    assert not hand.machine.may_act(TTL_S)


def test_an_answer_that_comes_too_late_is_ignored() -> None:
    hand = client(lease(timeout=s(0.5))).until(0.6)
    assert tell(hand, Granted(1, 1)) == []
    assert not hand.machine.leads
    hand.until(0.9)  # asked again
    assert tell(hand, Granted(1, 1)) == []
    assert tell(hand, Denied(3)) == []
    assert tell(hand, Denied(2))
    assert tell(hand, Denied(2)) == []


def test_a_lease_lasts_by_the_clock_of_its_holder_from_when_it_asked() -> None:
    hand = client()
    assert not hand.machine.may_act(0.0)
    hand.now = 0.9
    tell(hand, Granted(1, 1))
    assert hand.machine.may_act(2.999)
    assert not hand.machine.may_act(3.0)
    hand.until(1.9)
    hand.now = 2.5
    assert not hand.machine.may_act(3.0)
    tell(hand, Granted(2, 1))
    assert hand.machine.may_act(4.899)
    assert not hand.machine.may_act(4.9)


@pytest.mark.parametrize(("how", "why"), [("overdue", "deadline"), ("fenced", "fenced")])
def test_who_learns_that_its_lease_is_over_stops_leading_and_asks_again(how: str, why: str) -> None:
    hand = client(granted=True).until(1.0)  # a renewal is under way
    effects = getattr(hand.machine, how)(1.2)
    assert effects[0].detail == {"identity": "a_1", "why": why}
    assert effects[1:] == [CancelTimer("renew"), CancelTimer("timeout"), SetTimer("retry", 0.4, 0.4)]
    assert tell(hand, Granted(2, 1)) == []  # the renewal is of the last term
    assert getattr(hand.machine, how)(1.3) == []


def test_without_a_watch_it_asks_again_and_with_one_it_waits_for_the_news() -> None:
    hand = client(lease("etcd", watch=True))
    assert tell(hand, Denied(1)) == [CancelTimer("timeout")]
    hand.until(50.0)
    assert asks(hand) == [(0.0, "Acquire")]
    tell(hand, Vacant())
    assert asks(hand)[-1] == (50.0, "Acquire")


def test_news_that_come_while_it_asks_or_leads_change_nothing() -> None:
    hand = client(lease("etcd", watch=True))
    assert tell(hand, Vacant()) == []
    tell(hand, Granted(1, 1))
    assert tell(hand, Vacant()) == []


def test_who_watches_asks_again_when_the_connection_breaks_since_news_may_be_lost() -> None:
    hand = client(lease("etcd", watch=True))
    tell(hand, Denied(1))
    assert hand.unlink(STORE) == [CancelTimer("timeout"), SetTimer("retry", 0.4, 0.4)]
    assert hand.unlink("another") == []
    assert asks(hand.until(0.4))[-1] == (0.4, "Acquire")


@pytest.mark.parametrize("granted", [False, True])
def test_a_refused_connection_is_tried_again_after_a_while(granted: bool) -> None:
    hand = client(granted=granted)
    hand.until(1.0)
    hand.unlink(STORE)
    assert asks(hand.until(1.4))[-1] == (1.4, "Renew" if granted else "Acquire")
    assert hand.machine.leads is granted


def test_a_holder_that_is_idle_does_not_mind_a_connection_that_breaks() -> None:
    assert client(granted=True).unlink(STORE) == []


def test_a_holder_that_is_asked_to_stop_gives_the_lease_back() -> None:
    hand = client(granted=True).until(0.5)
    hand.stop()
    assert hand.last == Release(2, "a_1")
    assert said(hand.said, "stopped leading") == [(0.5, {"identity": "a_1", "why": "asked to stop"})]
    assert hand.timers.keys() == {"timeout"}
    assert tell(hand, Granted(2, 1)) == [CancelTimer("timeout"), Exit("asked to stop")]


def test_the_answer_to_a_renewal_does_not_end_a_release() -> None:
    hand = client(granted=True).until(1.0)
    hand.stop()
    assert tell(hand, Granted(2, 1)) == []
    assert tell(hand, Denied(3)) == [CancelTimer("timeout"), Exit("asked to stop")]


@pytest.mark.parametrize("how", ["silent", "refused", "asked twice"])
def test_a_release_that_fails_is_given_up(how: str) -> None:
    hand = client(granted=True).until(0.5)
    hand.stop()
    if how == "refused":
        hand.unlink(STORE)
    elif how == "asked twice":
        hand.stop()
    else:
        hand.until(60.0)
    assert hand.left == (3.5 if how == "silent" else 0.5, "asked to stop")


@pytest.mark.parametrize("granted", [False, True])
def test_without_release_or_lease_it_leaves_at_once(granted: bool) -> None:
    hand = client(lease(release=False), granted)
    hand.stop()
    assert hand.left == (0.0, "asked to stop")
    assert asks(hand) == [(0.0, "Acquire")]


@pytest.mark.parametrize("event", [Fired("renew"), Fired("retry"), Fired("timeout")])
def test_timers_of_another_mode_do_nothing(event: Event) -> None:
    hand = client()
    if event == Fired("timeout"):
        tell(hand, Denied(1))
    assert hand.hear(event) == []


def test_it_knows_who_leads_only_of_itself() -> None:
    hand = client()
    assert hand.machine.calm() == "?"
    tell(hand, Granted(1, 1))
    assert hand.machine.calm() == "a_1"
    hand.machine.skipped(100.0)
    assert hand.machine.may_act(102.9)
    assert not hand.machine.may_act(103.0)
    hand.stop()
    assert hand.machine.calm() is None


# ---------------------------------------------------------------------------------- the settings


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"renew": "3s"}, "renew", "a lease is renewed before it ends"),
        ({"watch": True}, "watch", "redis does not tell"),
        ({"store": "etcd", "ttl": "2500ms"}, "ttl", "etcd counts whole seconds"),
        ({"store": "zookeeper"}, "store", "allowed is 'redis' or 'etcd'"),
        ({"jitter": 1.0}, "jitter", ""),
        ({"ttl": 0}, "ttl", ""),
        ({"retry": 0}, "retry", ""),
        ({"timeout": 0}, "timeout", ""),
        ({"kind": "kubernetes"}, "kind", ""),
    ],
)
def test_settings_that_make_no_lease_are_refused_by_field(given: dict[str, Any], field: str, words: str) -> None:
    plain = {"store": "redis", "ttl": "3s", "renew": "1s", "retry": "400ms"}
    with pytest.raises(ModelError) as refused:
        TtlLease(**(plain | given))
    (problem,) = refused.value.problems
    assert problem.path == field
    assert words in problem.message


@pytest.mark.parametrize("field", ["store", "ttl", "renew", "retry"])
def test_there_are_no_defaults_for_what_the_client_chooses(field: str) -> None:
    plain: dict[str, Any] = {"store": "redis", "ttl": "3s", "renew": "1s", "retry": "400ms"}
    del plain[field]
    with pytest.raises(ModelError) as refused:
        TtlLease(**plain)
    assert [problem.path for problem in refused.value.problems] == [field]


def test_what_the_store_has_to_save_it_saves_before_it_answers() -> None:
    hand = server()
    hand.get(Acquire(1, "a_1", TTL_S), "a")
    hand.timers.clear()
    assert hand.hear(Fired("a")) == [Save(Held("a_1", TTL_S, 1)), Send("a", Granted(1, 1))]
    assert hand.hear(Fired(REVOKE)) == []
