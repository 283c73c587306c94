"""A queue in the SimPy world: its broker, its workers, the resource that has their results, and the producer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain
from math import inf, prod
from typing import Any, Final

from hasim.engines.des.delivery.log import COUNTED, TaskNotes
from hasim.engines.des.delivery.luck import Luck
from hasim.engines.des.draws import draws, durations
from hasim.engines.des.reach import Contact, let_meet
from hasim.engines.des.world import LeapingEnvironment, Node, Rhythm, Touch, World
from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.connection import Connection, connect
from hasim.engines.des.world.leaping import common_period
from hasim.machine import Machine
from hasim.model.demand import Load
from hasim.model.parts import Queue
from hasim.model.work import Pauses
from hasim.protocols.delivery import Broker, ConsumerGroup, Delivery, GroupBroker, GroupWorker, Worker
from hasim.protocols.delivery.broker import keep
from hasim.protocols.delivery.producer import NewTask, Producer, keep_rows
from hasim.protocols.effects import Finish, Sink, Transactional, TwoPhase, finish_of
from hasim.protocols.effects.finish import keep_decisions
from hasim.results.tasks import TaskLog
from hasim.streams import Streams
from hasim.trace import Detail

Note = Callable[[str, str, Detail], None]

ENDS: Final = ("process crashed", "process exited", "power lost")
CALM_AFTER_S: Final = 5.0
"""So long nothing must have happened before calm is leapt over: longer than any message is under way."""


class DeliveryWorld:
    """One queue: the broker, the resource and the producer on a node each, and each worker on its own.

    Tasks come from `feed`, and `notes` has what becomes of them. A worker that crashes at work is started again as
    `restart` of the part says.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        streams: Streams,
        part: str,
        names: Iterable[str],
        queue: Queue,
        note: Note,
        zones: Mapping[str, str] | None = None,
    ) -> None:
        """Put everything in place; nothing runs before `start`."""
        assert queue.work is not None and queue.delivery is not None, f"{part} says nothing of tasks"
        self.env = env
        self.part = part
        self.names = tuple(names)
        self.queue = queue
        self.notes = TaskNotes()
        self.changed_at = env.now
        self.sink_machine: Sink | None = None
        self._work, self._delivery = queue.work, queue.delivery
        self._note = note
        self._streams = streams
        self._producing: Producer | None = None
        self._group: GroupBroker | None = None
        self._queueing: Broker | None = None
        self._at: dict[str, tuple[str, float]] = {}  # what each worker is at, and since when
        # Of the attempts of each worker that have begun, in order: the next begins before the end of one is noted.
        self._crashes: dict[str, deque[Alarm | None]] = {name: deque() for name in self.names}
        self._started: dict[str, float] = {}
        self._with: dict[str, dict[str, None]] = {}  # what was acked as it was delivered, by worker
        self._factors: dict[str, list[tuple[float, Touch]]] = {name: [] for name in self.names}
        self._restarts = {name: queue.restart.counting() for name in self.names}
        self._producer_restarts = queue.producer.restart.counting()
        self._luck = Luck(queue.work, streams, part)
        beats = [queue.producer.outbox, getattr(queue.delivery, "checked_every", None)]
        self._period = common_period([beat for beat in beats if beat]) if any(beats) else None
        self._leaps = self._period is not None or not any(beats)
        crash = queue.producer.crash
        self._producer_crash = None if crash is None else draws(crash, streams, f"{part} producer/crash")

        self.world = World(
            env, streams, self._observe, transport="udp", latency=queue.latency, regular=(), all_leapt=True
        )
        self.world.network.laws[queue.latency] = None
        self._connections: dict[str, list[Connection]] = {}  # by who is at the far end
        self.broker = self.world.add(f"{part} broker", self._build_broker, keep, linked=False)
        self.sink = self._add_sink()
        self.producer = self.world.add(f"{part} producer", self._build_producer, keep_rows, linked=False)
        self._connect(self.producer, self.broker)
        for name in self.names:
            zone = (zones or {}).get(name)
            node = self.world.add(name, self._builder(name), keep_decisions, zone=zone, linked=False)
            self._connect(node, self.broker)
            if self.sink is not None:
                self._connect(node, self.sink)

    # Building.

    def _build_broker(self) -> Machine:
        if isinstance(self._delivery, ConsumerGroup):
            self._group = GroupBroker(self._delivery) if self._group is None else self._group.successor()
            return self._group
        effect = self.queue.effect
        ask = effect.ask if isinstance(effect, TwoPhase) else 1.0
        self._queueing = Broker(self._delivery, self._luck.happens, ask)
        return self._queueing

    def _add_sink(self) -> Node | None:
        effect = self.queue.effect
        if effect is None or isinstance(effect, Transactional):
            return None
        self.sink_machine = sink = Sink(effect)
        return self.world.add(f"{self.part} resource", lambda: sink, keep, linked=False)

    def _build_producer(self) -> Machine:
        declared = self.queue.producer
        self._producing = Producer(self.broker.name, declared.again, declared.outbox)
        return self._producing

    def _builder(self, name: str) -> Callable[[], Machine]:
        def lasting(task: str, number: int) -> float:
            return self._lasting(name, task)

        def build() -> Machine:
            queue, finish = self.queue, self._finish()
            if isinstance(self._delivery, ConsumerGroup):
                return GroupWorker(self.broker.name, self._delivery, lasting, finish)
            before, errs = queue.acks == "before", self._luck.errs if self._work.fails else None
            beat = self._delivery.heartbeat
            return Worker(
                self.broker.name,
                lasting,
                queue.prefetch,
                queue.renew,
                before,
                finish,
                errs,
                queue.nack_delay,
                None if beat is None else beat / 2.0,
            )

        return build

    def _finish(self) -> Finish | None:
        effect = self.queue.effect
        if effect is None:
            return None
        acks = self.queue.acks == "after" and not isinstance(self._delivery, ConsumerGroup)
        return finish_of(effect, self.broker.name, f"{self.part} resource", acks)

    def _connect(self, node: Node, other: Node) -> None:
        network, law = self.world.network, self.queue.latency
        there = durations(law, self._streams, f"{node.name}>{other.name}/latency")
        here = durations(law, self._streams, f"{other.name}>{node.name}/latency")
        ask, answer = connect(network, node, other, there, here)
        self._connections.setdefault(other.name, []).append(ask)
        self._connections.setdefault(node.name, []).append(answer)

    def start(self) -> None:
        """Start everything; workers ask in order of their names."""
        for node in (self.broker, self.sink, self.producer, *(self.world.nodes[name] for name in self.names)):
            if node is not None:
                node.start()

    def set_contact(self, contact: Contact) -> None:
        """From now on requests to the broker meet this."""
        let_meet(self.broker, contact, by=self)

    def log(self, end: float) -> TaskLog:
        """What has become of the tasks."""
        keys = 0 if self.sink_machine is None else self.sink_machine.keys_most
        for task, since in self._at.values():
            self.notes.worked(task, self.env._now - since)
        self._at.clear()
        return self.notes.log(self.part, len(self.names), end, keys, self.queue.acks == "before")

    # Tasks.

    def feed(self, load: Load, end: float) -> None:
        """Let the tasks of a load come."""
        assert load.rate is not None, "tasks come at a rate"
        begin = max(load.begins, self.env.now)
        blocks = load.rate.blocks(self._streams[f"{load.name}/arrivals"], begin, load.until(end))
        _Arrivals(self, load.name, chain.from_iterable(block.tolist() for block in blocks))

    def arrive(self, task: str) -> None:
        """A task is there, for the producer to put; while that is down nobody makes any."""
        if self.producer.process is None:
            return
        self.changed_at = self.env._now
        self.notes.arrived(task, self.env._now)
        self._luck.arrived(task)
        groups = self.queue.producer.groups
        group = "" if groups is None else self._luck.group(groups)
        if groups is None and isinstance(self._delivery, Delivery) and self._delivery.ordered:
            group = "all"
        self.producer.propose(NewTask(task, group), "", lambda ref, result: None)

    def _lasting(self, name: str, task: str) -> float:
        """How long an attempt takes that begins now, in seconds; set when its worker will crash."""
        lasting, crash = self._luck.attempt(task)
        factors = self._factors[name]
        if factors:
            for _, touch in factors:
                touch.touched = True
            lasting *= prod(factor for factor, _ in factors)
        alarm = None if crash == inf else Alarm(self.env, self.env._now + crash, lambda: self._crash_at_work(name))
        self._crashes[name].append(alarm)
        return lasting

    def _crash_at_work(self, name: str) -> None:
        node = self.world.nodes[name]
        self.notes.counts["crashed at work"] += 1
        self._down(node, self._restarts[name].delay(self._started[name], self.env._now))

    def _down(self, node: Node, lasting: float) -> None:
        """Let a process die, and another start after so many seconds."""
        hold = Touch()
        node.hold_down(hold, power=False)
        if lasting < inf:
            Alarm(self.env, self.env._now + lasting, lambda: node.release(hold))
        else:
            self._note("restart given up", node.name, "")

    # Facts.

    def _observe(self, kind: str, subject: str, detail: Detail) -> None:
        now = self.env._now
        self.changed_at = now
        if kind in COUNTED:
            self.notes.counts[kind] += 1
        if not isinstance(detail, str) and "task" in detail:
            task = str(detail["task"])
            self.notes.happened(kind, task, now)
            if subject in self._factors:
                self._worker(kind, subject, task, now)
            if self.queue.acks == "before":
                self._note_holder(kind, task, detail, subject)
        elif kind in ENDS:
            self._ended(subject, power=kind != "power lost")
        elif kind == "process started":
            self._begun(subject)
        self._note(kind, subject, detail)

    def _worker(self, kind: str, name: str, task: str, now: float) -> None:
        if kind == "work begun":
            self._at[name] = (task, now)
        elif kind in ("work ended", "work failed") or (kind == "effect" and self.queue.effect is None):
            self._left(name)

    def _note_holder(self, kind: str, task: str, detail: Mapping[str, Any], subject: str) -> None:
        """Remember who has what, where nobody would deliver it again."""
        if kind == "task delivered":
            self._with.setdefault(str(detail["worker"]), {})[task] = None
        elif kind == "effect":
            self._with.get(str(detail.get("by", subject)), {}).pop(task, None)
        elif kind == "work failed":
            self._with.get(subject, {}).pop(task, None)
            self.notes.gone([task], self.env._now)

    def _left(self, name: str) -> None:
        """A worker is at its task no more."""
        alarm = self._crashes[name].popleft() if self._crashes[name] else None
        if alarm is not None:
            alarm.cancel()
        at = self._at.pop(name, None)
        if at is not None:
            task, since = at
            self.notes.worked(task, self.env._now - since)

    def _lose(self, name: str) -> None:
        """What was acked as it was delivered to a worker that is no more has gone with it."""
        if self.queue.acks == "before":
            self.notes.gone(self._with.pop(name, ()), self.env._now)

    def _begun(self, name: str) -> None:
        self._started[name] = self.env._now
        self._lose(name)
        if self._work.pauses is not None and name in self._factors:
            self._pause_later(self.world.nodes[name], self._work.pauses)
        if name == self.producer.name and self._producer_crash is not None:
            process = self.producer.process
            at = self.env._now + next(self._producer_crash)
            Alarm(self.env, at, lambda: self._crash_producer(process))

    def _crash_producer(self, process: Any) -> None:
        if self.producer.process is process:
            delay = self._producer_restarts.delay(self._started[self.producer.name], self.env._now)
            self._down(self.producer, delay)

    def _pause_later(self, node: Node, pauses: Pauses) -> None:
        """Let the process that runs now pause again and again."""
        process = node.process
        every = draws(pauses.every, self._streams, f"{node.name}/pauses every")
        lasting = draws(pauses.lasting, self._streams, f"{node.name}/pauses lasting")

        def begin() -> None:
            if node.process is process:
                node.pause(self)
                Alarm(self.env, self.env._now + next(lasting), end)

        def end() -> None:
            if node.process is process:
                node.resume(self)
                Alarm(self.env, self.env._now + next(every), begin)

        Alarm(self.env, self.env._now + next(every), begin)

    def _ended(self, name: str, power: bool) -> None:
        if name in self._factors:
            while self._crashes[name]:
                self._left(name)
            self._lose(name)
        elif name == self.producer.name and self.queue.producer.outbox is None:
            self.notes.gone(self.notes.unsettled(stored=False), self.env._now)
        elif name == self.broker.name and isinstance(self._delivery, Delivery) and not self._delivery.durable:
            lost = self.notes.unsettled(stored=True)
            self.notes.gone(lost, self.env._now)
            self.notes.under_way = 0
        if power:
            for connection in self._connections.get(name, ()):
                connection.broken()

    # Faults.

    @contextmanager
    def slowed(self, name: str, factor: float) -> Iterator[Touch]:
        """Let attempts that begin on a worker take so many times as long."""
        entry = (factor, Touch())
        self._factors[name].append(entry)
        yield entry[1]
        self._factors[name].remove(entry)

    # Leaps.

    @property
    def rhythm(self) -> Rhythm:
        """Calm goes on for any time that keeps the phase of whoever looks now and then.

        Nothing is said in it that would make a difference if it came late.
        """
        return Rhythm(self._period, 1.0, 0.0)

    @property
    def is_calm(self) -> bool:
        """Whether there is no task, and nobody waits for one who does not say so."""
        up = self.broker.process is not None and self.producer.process is not None
        empty = not self.notes.under_way if self._queueing is None else self._queueing.is_empty
        calm = empty and self._producing is not None and self._producing.is_idle
        return calm and up and not self._at and self._leaps

    @property
    def calm_after(self) -> float:
        """How long nothing must have happened before calm may be leapt over, in seconds."""
        return CALM_AFTER_S

    def leap_over(self, by: float) -> None:
        """So many seconds have been leapt over."""
        for connections in self._connections.values():
            for connection in connections:
                connection.shift(by)


class _Arrivals:
    """Tasks of one load that come at their times; itself the event that the loop rings at each."""

    __slots__ = ("_count", "_env", "_name", "_times", "_world", "callbacks")

    def __init__(self, world: DeliveryWorld, name: str, times: Iterator[float]) -> None:
        self._world = world
        self._env = world.env
        self._name = name
        self._times = times
        self._count = 0
        self.callbacks = (self._ring,)
        self._next()

    def _ring(self, _: object) -> None:
        self._count += 1
        self._world.arrive(f"{self._name}-{self._count}")
        self._next()

    def _next(self) -> None:
        at = next(self._times, None)
        if at is not None:
            self._env.push((at, 1, self._env.number(), self))  # type: ignore[arg-type]


def settling_time(queue: Queue) -> float:
    """Seconds before the beginning in which a consumer group gathers: nothing else takes any."""
    delivery = queue.delivery
    return 3 * delivery.rebalance_delay + 1.0 if isinstance(delivery, ConsumerGroup) else 0.0
