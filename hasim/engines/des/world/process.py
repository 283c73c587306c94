"""One life of a machine: what it hears, what becomes of its effects, and what it waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hasim.engines.des.world.timer import Timer
from hasim.machine import (
    Announce,
    Answer,
    CancelTimer,
    Draw,
    Drawn,
    Effect,
    Event,
    Exit,
    Linked,
    Machine,
    Proposed,
    Received,
    Save,
    Send,
    SetTimer,
    Unlinked,
)

if TYPE_CHECKING:
    from hasim.engines.des.world.node import Node

Answerer = Callable[[str, Any], None]
"""Gets a reference and what became of it: the machine's answer, or `Gone`."""

_new = tuple.__new__  # half the cost of a named tuple is its own constructor
_AT_ONCE = (SetTimer, CancelTimer, Announce, Draw)


class Process:
    """A machine from its start to its end; a crash throws it away with all that it waits for.

    The disk works as under etcd's main loop (group commit). While a sync is under way, messages are stepped in memory
    and what those steps ask for is put off. When the disk is free, all steps put off are taken together: what stands
    before the first `Save` of its own step is done at once, then all records are written and synced together,
    then the rest follows in order. A step without any `Save` waits for those saved before it, since it may speak of
    what they saved; a machine for which that is not so ends the step with `Save(None, sync=False)`, which saves
    nothing. Timers and announcements never wait; timers that run out wait for the disk, once each.
    """

    def __init__(self, node: Node, machine: Machine) -> None:
        self.node = node
        self.env = node.env
        self.offset, self.rate = node.clock.offset, node.clock.rate
        self.dead = False
        self.refs: dict[str, Answerer] = {}  # what clients wait for
        self.timers: dict[str, Timer] = {}
        self._step = machine.step
        self._skipped: Callable[[float], None] = getattr(machine, "skipped", _nothing)
        self._links = node.links
        self._own: deque[Event | Answer] = deque()  # what it hears from itself, and answers, in order
        self._drawn = 0  # how many at the head of these are numbers it asked for
        self._draining = False
        self._linked: dict[str, None] = {}
        self.is_ready = True  # not dead, not paused, and no sync that timers would wait for
        self.syncing = False
        self._tail: list[Effect] = []  # what waits for the sync under way
        self._put_off: list[list[Effect]] = []  # steps made meanwhile
        self._rung: dict[Timer, None] = {}  # timers that ran out and were not heard yet
        self._frozen: list[Event | Timer] | None = None  # what came during a pause
        self.paused_by: list[object] = []
        self._held_from: dict[str, int] = {}  # how many messages of each sender
        self._synced_frozen = False

    # Hearing.

    def take(self, event: Event) -> None:
        """Step the machine and do what it asks for, in order."""
        # The hot path of the simulation: effects by falling frequency, no call where a look will do.
        env = self.env
        asked = self._step(event, self.offset + self.rate * env._now)
        if not asked:
            return
        if self.syncing:
            self._postpone(asked)
            asked = ()
        links = self._links
        effects: Iterator[Any] = iter(asked)  # Any: a test of the class, not isinstance, which costs twice that
        for effect in effects:
            kind = effect.__class__
            if kind is Send:
                link = links.get(effect.to)
                if link is not None:  # a name that no node has: lost, as with any dead address
                    link.send(effect.message, effect.size)
            elif kind is SetTimer:
                self._set(effect)
            elif kind is Save:
                self._commit_one(effect, [*effects])
                break
            else:
                self._do(effect)
                if self.dead:
                    return
        if self._own and not self._draining:
            self._drain()

    def _drain(self) -> None:
        """Hear what it sent to itself, and give the answers, in the same instant."""
        own = self._own
        self._draining = True
        while own:
            item: Any = own.popleft()
            if item.__class__ is Drawn:
                self._drawn -= 1
            if item.__class__ is Answer:
                self._give(item)
            else:
                self.take(item)
        self._draining = False

    def _give(self, answer: Answer) -> None:
        answerer = self.refs.pop(answer.ref, None)
        if answerer is not None:
            answerer(answer.ref, answer.result)

    def hold(self, event: Event) -> None:
        """Keep what comes during a pause; the kernel takes it in, the process does not know.

        Once its buffer is full the rest waits at the sender, in a queue of so many messages; what exceeds that is lost.
        """
        assert self._frozen is not None
        if isinstance(event, Received):
            held = self._held_from.get(event.sender, 0)
            if held >= self.node.backlog_max:
                return
            self._held_from[event.sender] = held + 1
        self._frozen.append(event)

    def hear_later(self, timer: Timer) -> None:
        """A timer has run out while the process is paused or its disk busy; it is heard once, and late."""
        if self.dead:
            return
        again = timer in self._rung
        self._rung[timer] = None
        timer.late = self.env._now if timer.regular else None
        if self._frozen is not None and not again:
            self._frozen.append(timer)

    def hear_self(self, message: Any) -> None:
        """A message to itself: no network, and after everything that the step asks for before it."""
        self._own.append(_new(Received, (self.node.name, message)))

    def propose(self, command: Any, ref: str, answer: Answerer) -> None:
        """A client asks; under an empty reference it wants no answer."""
        if ref:
            assert ref not in self.refs, f"the reference {ref!r} is in use on {self.node.name}"
            self.refs[ref] = answer
        if self._draining:  # asked from within an answer
            self._own.append(Proposed(command, ref))
        else:
            self.node.take(Proposed(command, ref))

    def link(self, peer: str) -> None:
        """A connection with a peer has come up, in either direction; the machine hears of the first."""
        if peer not in self._linked:
            self._linked[peer] = None
            self.node.take(Linked(peer))

    def unlink(self, peer: str) -> None:
        """A connection with a peer has broken, in either direction; the machine hears of the first."""
        if peer in self._linked:
            del self._linked[peer]
            self.node.take(Unlinked(peer))

    # Doing.

    def _set(self, setting: SetTimer) -> None:
        timer = self.timers.get(setting.timer)
        if timer is None:
            name = setting.timer
            regular = name in self.node.regular_timers
            timer = self.timers[name] = Timer(self.env, self, name, regular, regular or self.node.all_leapt)
        low, high = setting.low, setting.high
        wait = low if low == high else low + (high - low) * self.node.chance(setting.timer)
        wait /= self.rate
        env = self.env
        now = env._now
        if self._rung and timer in self._rung:
            self._void(timer)  # it ran out, but was set anew before that was heard
        elif timer.late is not None:
            timer.set_regular(wait, now)
            return
        due = timer.due = now + wait
        if due < timer.entry:  # Timer.set, without the call
            timer.entry = due
            env.push((due, 1, env.number(), timer))

    def _draw(self, draw: Draw) -> Drawn:
        """Toss for a whole number."""
        sides = draw.high - draw.low + 1
        return Drawn(draw.name, draw.low + int(self.node.chance(draw.name) * sides) if sides > 1 else draw.low)

    def _void(self, timer: Timer) -> None:
        """Forget that a timer ran out."""
        self._rung.pop(timer, None)
        timer.late = None

    def _do(self, effect: Any) -> None:
        """Do any effect but a save."""
        kind = effect.__class__
        if kind is Send:
            link = self._links.get(effect.to)
            if link is not None:
                link.send(effect.message, effect.size)
        elif kind is Answer:
            self._own.append(effect)  # a client may ask again at once: not amid a step
        elif kind is Announce:
            self.node.note(effect.kind, self.node.name, effect.detail)
        elif kind is SetTimer:
            self._set(effect)
        elif kind is Draw:
            self._own.insert(self._drawn, self._draw(effect))
            self._drawn += 1
        elif kind is CancelTimer:
            timer = self.timers.get(effect.timer)
            if timer is not None:
                timer.cancel()
                self._void(timer)
        else:
            assert kind is Exit, f"{self.node.name} asked for {effect!r}, which is no effect"
            self._draining = True  # who asks again upon an answer is too late
            for item in list(self._own):
                if isinstance(item, Answer):
                    self._give(item)
            self.node.exited(effect.why)

    # The disk.

    def _postpone(self, effects: Sequence[Effect]) -> None:
        """Keep what a step asks for until the disk is free, but for what never waits."""
        kept = self._at_once(effects)
        if kept:
            self._put_off.append(kept)

    def _at_once(self, effects: Iterable[Effect]) -> list[Effect]:
        """Do what never waits; return the rest."""
        kept = []
        for effect in effects:
            if effect.__class__ in _AT_ONCE or (effect.__class__ is Answer and effect.at_once):
                self._do(effect)
            else:
                kept.append(effect)
        if self._own and not self._draining:
            self._drain()
        return kept

    def _commit_one(self, save: Save, rest: list[Effect]) -> None:
        """Take one step from its first save on, on an idle disk."""
        for effect in rest:
            if effect.__class__ is not Send and effect.__class__ is not Answer:
                self._commit([[save, *rest]])
                return
        # Nearly every step that saves is of this kind, and there is nothing to sort.
        self._write([] if save.record is None else [save.record], save.sync and save.record is not None, rest)

    def _commit(self, steps: Sequence[Sequence[Effect]]) -> None:
        """Take steps together, on an idle disk: their heads, one write of all records, and then their tails."""
        tail: list[Effect] = []
        saves: list[Save] = []
        for step in steps:
            head = not saves or any(effect.__class__ is Save for effect in step)
            for effect in step:
                if isinstance(effect, Save):
                    head = False
                    saves.append(effect)
                elif head or effect.__class__ in _AT_ONCE:
                    self._do(effect)
                    if self.dead:
                        return
                else:
                    tail.append(effect)
        saves = [save for save in saves if save.record is not None]
        self._write([save.record for save in saves], any([save.sync for save in saves]), tail)

    def _write(self, records: list[Any], sync: bool, tail: list[Effect]) -> None:
        """Write records together, and do what follows, once they are safe if that is wanted."""
        disk = self.node.disk
        if records:
            if disk.fulls and disk.refuses():
                self.node.found_no_room()
                return
            disk.write(records)
        if sync:
            self.syncing = True
            if not disk.sync(self._synced):
                self._tail = tail
                self.is_ready = not self.node.timers_wait_for_disk
                return
            self.syncing = False
        self._do_all(tail)

    def _do_all(self, effects: Iterable[Effect]) -> None:
        links = self._links
        for effect in effects:
            if effect.__class__ is Send:
                link = links.get(effect.to)
                if link is not None:
                    link.send(effect.message, effect.size)
            else:
                self._do(effect)
            if self.dead:
                return

    def _synced(self) -> None:
        """The sync has ended: go on with what waited for it, then with all that has come up meanwhile."""
        if self._frozen is not None:
            self._synced_frozen = True
            return
        tail, self._tail = self._tail, []
        self._do_all(tail)
        # What it hears now still belongs to the next write.
        if self._own:
            self._drain()
        while self._rung and not self.dead:
            self._hear_rung(next(iter(self._rung)))
        if self.dead:
            return
        self.syncing, self.is_ready = False, True
        steps, self._put_off = self._put_off, []
        if steps:
            self._commit(steps)
        if self._own and not self.dead:
            self._drain()

    # Pausing and dying.

    def freeze(self) -> None:
        """Do nothing more for a while."""
        self._frozen = []
        self.is_ready = False

    def thaw(self) -> None:
        """Go on: first hear what came meanwhile, in order, each timer once."""
        frozen, self._frozen = self._frozen, None
        assert frozen is not None
        self._held_from.clear()
        self.is_ready = not self._timers_wait()
        for item in frozen:
            if self.dead:
                return
            if not isinstance(item, Timer):
                self.take(item)
            elif item in self._rung and not self._timers_wait():
                self._hear_rung(item)
        if self._synced_frozen:
            self._synced_frozen = False
            self._synced()

    def _timers_wait(self) -> bool:
        return self.syncing and self.node.timers_wait_for_disk

    def _hear_rung(self, timer: Timer) -> None:
        del self._rung[timer]
        self.take(timer.fired)

    def die(self) -> dict[str, Answerer]:
        """End at once; return who waits for an answer."""
        self.dead, self.is_ready = True, False
        self._own.clear()
        for timer in self.timers.values():
            timer.cancel()
        self.node.disk.abandon()
        return self.refs

    def retime(self, offset: float, rate: float) -> None:
        """The clock was set or runs at another rate: what timers wait for moves with it."""
        now, clock = self.env._now, self.node.clock
        jump = (offset + rate * now) - (self.offset + self.rate * now) if clock.timers_follow_jumps else 0.0
        for timer in self.timers.values():
            if timer.is_set:
                left = (timer.due - now) * self.rate - jump  # seconds of the node's clock
                timer.set(now + max(0.0, left / rate))
        self.offset, self.rate = offset, rate

    def shift(self, by: float) -> None:
        """The world has leapt over so many seconds, with the timers that may be."""
        for timer in self.timers.values():
            if timer.leapt:
                timer.due += by
                timer.entry += by
        self._skipped(by)

    @property
    def is_idle(self) -> bool:
        """Whether it waits for nothing but timers and messages."""
        return not self.syncing and self._frozen is None


def _nothing(by: float) -> None:
    """Most machines count ticks, and remember no times that a leap would make old."""
