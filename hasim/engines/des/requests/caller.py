"""The clients of a load: they ask, wait, give up, try again, and write down what became of each call."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from hasim.engines.des.requests.deadlines import Patience
from hasim.engines.des.requests.exchange import COPY, FIRST, RETRY, Call, Exchange
from hasim.engines.des.requests.notes import RequestNotes
from hasim.model.demand import Clients, Load
from hasim.results.outcomes import BAD_GATEWAY, ERROR, EXPIRED, FAILURES, NOT_SENT, OK, RESET, SHED, TIMEOUT, UNANSWERED
from hasim.streams import Streams, uniforms

if TYPE_CHECKING:
    from hasim.balancing import Backend
    from hasim.clients import Breaker, BudgetMeter, HedgeMeter, Throttle
    from hasim.engines.des.requests.direct import Direct
    from hasim.engines.des.requests.front import Front
    from hasim.engines.des.world import LeapingEnvironment


class Client:
    """One client process: its connection, if it keeps to one, and what it has learnt."""

    __slots__ = (
        "address",
        "breaker",
        "budget",
        "connection",
        "fresh_until",
        "hedging",
        "number",
        "peer",
        "throttle",
        "unheard",
    )

    def __init__(self, number: int, clients: Clients) -> None:
        self.number = number
        self.breaker: Breaker | None = None if clients.breaker is None else clients.breaker.start()
        self.throttle: Throttle | None = None if clients.throttling is None else clients.throttling.start()
        budget = None if clients.retry is None else clients.retry.budget
        self.budget: BudgetMeter | None = None if budget is None else budget.start()
        self.hedging: HedgeMeter | None = None if clients.hedge is None else clients.hedge.start()
        self.connection: Backend | None = None  # where a sticky connection leads
        self.unheard = inf  # since when nothing was heard on it though something was asked
        self.peer = -1  # where it leads if no balancer is between
        self.address = -1  # where the name led when it was last looked up
        self.fresh_until = -inf


class _Again:
    """A call that waits for its next attempt."""

    __slots__ = ("call", "callbacks")

    def __init__(self, call: Call, rings: tuple[Callable[[_Again], None]]) -> None:
        self.call = call
        self.callbacks = rings


class Caller:
    """All clients of one load. `then` hears of the end of each call, for users who wait for it."""

    def __init__(
        self, env: LeapingEnvironment, load: Load, front: Front | Direct, notes: RequestNotes, streams: Streams
    ) -> None:
        """Ask nothing yet."""
        self.env = env
        self.load = load
        self.front = front
        self.notes = notes
        clients = load.clients
        self.clients = [Client(number, clients) for number in range(clients.count)]
        self.then: Callable[[Call], None] | None = None
        self.under_way: dict[Call, None] = {}
        # A connection kept open is closed on the client; on one of its own it gets an answer from the balancer.
        self.broken_code = BAD_GATEWAY if clients.connections == "each" and front.speaks else RESET
        self.sticky = clients.connections == "sticky"
        self._only = self.clients[0] if clients.count == 1 else None
        self._count = clients.count
        self._chance = uniforms(streams[f"{load.name}/clients"])  # who asks for what
        self._luck = uniforms(streams[f"{load.name}/waits"])  # what they do about failure
        self._writes = load.writes
        self._forward = front.forward_sticky if clients.connections == "sticky" else front.forward
        self._retry = clients.retry
        self._retry_after = front.replicas[0].serving.retry_after
        self._deadline = inf if clients.deadline is None else clients.deadline
        self._guarded = clients.breaker is not None or clients.throttling is not None
        self._plain = not self._guarded and clients.retry is None and clients.hedge is None
        self._rings = (self._ask_again,)
        self._timeouts = (
            None if clients.timeout is None else Patience[Exchange](env, clients.timeout, self._waited_too_long)
        )
        self._silences = (
            Patience[Exchange](env, clients.dead_after, self._nothing_heard)
            if clients.connections == "sticky"
            else None
        )
        self._deadlines = None if clients.deadline is None else Patience[Call](env, clients.deadline, self._gave_up)
        self._hedging = None if clients.hedge is None else Patience[Call](env, clients.hedge.after, self._slow)

    def ask(self, user: int = -1) -> None:
        """A user wants something."""
        now = self.env._now
        client = self._only
        if client is None:
            client = self.clients[int(self._chance() * self._count) if user < 0 else user % self._count]
        write = bool(self._writes) and self._chance() < self._writes
        call = Call(client, client.number if user < 0 else user, now, now + self._deadline, write)
        self.under_way[call] = None
        if self._deadlines is not None:
            self._deadlines.add(call)
        if client.budget is not None:
            client.budget.asked(now)
        if client.hedging is not None and self._hedging is not None:
            client.hedging.asked(now)
            self._hedging.add(call)
        self._send(call, FIRST)

    def _send(self, call: Call, kind: int) -> None:
        if self._guarded and not self._may_send(call.client):
            if call.client.budget is not None:
                call.client.budget.ended(self.env._now, retry=kind == RETRY)
            if not call.live:  # a retry that is kept back leaves the call with what it heard last
                self._finish(call, call.failed_as if call.attempts else NOT_SENT)
            return
        if kind == RETRY and self._hedging is not None:
            self._hedging.add(call)
        self._launch(call, kind, None)

    def _launch(self, call: Call, kind: int, avoid: Backend | None) -> None:
        call.attempts += 1
        call.live += 1
        call.latest = exchange = Exchange(self, call, kind)
        exchange.avoid = avoid
        if self._timeouts is not None:
            self._timeouts.add(exchange)
        if self._silences is not None:
            self._silences.add(exchange)
        self._forward(exchange)

    def _may_send(self, client: Client) -> bool:
        now = self.env._now
        if client.throttle is not None and not client.throttle.may_send(self._luck(), now):
            return False
        return client.breaker is None or client.breaker.may_send(now)

    def heard(self, exchange: Exchange, code: int) -> None:
        """An attempt has come to an end, well or badly; what nobody waits for is not heard."""
        if exchange.over:
            return
        exchange.over = True
        call = exchange.call
        if self._plain:
            if not call.over:
                self._finish(call, code)
            return
        self._learn(exchange, code)
        if call.over:
            return
        if code == OK:
            if call.client.budget is not None:
                retried = bool(call.retried_after)
                call.client.budget.succeeded(retried, self.env._now, call.retried_after)
            self._finish(call, OK)
        else:
            self._failed(call, code)

    def _learn(self, exchange: Exchange, code: int) -> None:
        """Tell the client's meters how an attempt went."""
        client, now = exchange.call.client, self.env._now
        if client.breaker is not None and not (code == EXPIRED and client.breaker.state == "closed"):
            # What a server dropped since nobody waited for it says nothing; only a probe must have an answer.
            client.breaker.answered(code == OK, now)
        if client.throttle is not None:
            client.throttle.answered(code in (OK, ERROR, EXPIRED), now)
        if client.budget is not None and exchange.kind != COPY:
            client.budget.ended(now, retry=exchange.kind == RETRY)

    def _failed(self, call: Call, code: int) -> None:
        call.live -= 1
        call.failed_as = code
        if call.live:  # a copy may still bring the answer
            return
        client, retry, why, now = call.client, self._retry, FAILURES[code], self.env._now
        if retry is not None and why is not None and retry.wants(why, call.attempts - call.copies):
            told = self._retry_after if code == SHED else 0.0
            delay = retry.delay(call.attempts - call.copies, call.delay, self._luck(), told)
            in_time = now + delay < call.deadline  # else there is nothing to pay for
            if in_time and (client.budget is None or client.budget.may_retry(why, now)):
                call.delay, call.retried_after = delay, why
                call.live, call.waits = 1, True  # the attempt to come
                self.env.push((now + delay, 1, self.env.number(), _Again(call, self._rings)))  # type: ignore[arg-type]
                return
        self._finish(call, code)

    def _ask_again(self, again: _Again) -> None:
        call = again.call
        call.live, call.waits = 0, False
        if not call.over:
            self._send(call, RETRY)
        elif call.client.budget is not None:
            call.client.budget.ended(self.env._now, retry=True)

    def _waited_too_long(self, exchange: Exchange) -> None:
        self.heard(exchange, TIMEOUT)

    def _gave_up(self, call: Call) -> None:
        """The deadline of the whole call has passed."""
        self._abandon(call, TIMEOUT)
        self._finish(call, TIMEOUT)

    def _abandon(self, call: Call, code: int) -> None:
        """Listen no longer to what is still out, and tell the client's meters that it ended like this."""
        for exchange in (call.latest, *call.earlier):
            if exchange is not None and not exchange.over:
                exchange.over = True
                self._learn(exchange, code)

    def _nothing_heard(self, exchange: Exchange) -> None:
        """Nothing has come over a sticky connection for so long that the client asks whether anybody is there."""
        assert self._silences is not None
        if not self.front.gives_up(exchange):
            self._silences.add(exchange)
            return
        beside = [
            other
            for other in self._silences.waiting()
            if other.call.client is exchange.call.client and other.backend is exchange.backend
        ]
        for other in (exchange, *beside):
            self.heard(other, RESET)

    def _slow(self, call: Call) -> None:
        """Nothing heard for a while: ask somebody else too, if that is within bounds."""
        hedging = call.client.hedging
        assert hedging is not None and self._hedging is not None
        if call.waits or not call.live:  # nothing is out that could be slow
            return
        if not hedging.may_copy(call.copies, self.env._now):
            return
        if self._guarded and not self._may_send(call.client):
            return
        first = call.latest
        if first is not None:
            call.earlier = (*call.earlier, first)
        call.copies += 1
        self._hedging.add(call)
        self._launch(call, COPY, None if first is None else first.backend)

    def _finish(self, call: Call, code: int) -> None:
        call.over = True
        if call.earlier:
            self._abandon(call, EXPIRED)  # the copy, or what it was a copy of
        call.latest = None  # it points back: without this ring the memory is freed at once, with no collector
        del self.under_way[call]
        self.notes.write(call, self.env._now, code)
        if self.then is not None:
            self.then(call)

    def close(self) -> None:
        """The run has ended: write down what is still under way."""
        for call in self.under_way:
            self.notes.write(call, self.env._now, UNANSWERED)
        self.under_way.clear()
