"""A replica: slots, a queue, and a process that starts, freezes, stops and dies."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from math import inf, prod
from typing import TYPE_CHECKING, Any

from hasim.engines.des.draws import draws
from hasim.engines.des.requests.deadlines import Deadlines
from hasim.engines.des.requests.exchange import Exchange, Job
from hasim.engines.des.world.alarm import Alarm
from hasim.model.serving import Serving
from hasim.results.outcomes import ERROR, EXPIRED, GATEWAY_TIMEOUT, SHED
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment

OPEN, REFUSES, SILENT = range(3)
"""What whoever connects finds: a listener, a host that refuses, or nothing at all."""

LEAST_GRACE_S = 2.0
"""From SIGTERM to SIGKILL after a preStop hook, at least, in seconds (minimumGracePeriodInSeconds of the kubelet)."""

Note = Callable[[str, str, dict[str, Any]], None]


class Replica:
    """One server of a pool. `contact` is what a new connection finds; `take` is for those that are open.

    A frozen process keeps its connections: its kernel still accepts, and what comes in waits until it thaws.
    """

    def __init__(
        self, env: LeapingEnvironment, name: str, index: int, serving: Serving, streams: Streams, note: Note
    ) -> None:
        """Run at once, warm, with nothing to do."""
        self.env = env
        self.name = name
        self.index = index
        self.serving = serving
        self.slots = serving.slots
        self.note = note
        self.contact = OPEN
        self.powered = True
        self.running = True
        self.closing = False  # a graceful stop: what is there is finished
        self.unready = 0  # reasons for which checks fail, by whoever holds them
        self._failing: list[float] = []  # shares of answers that are errors, by whoever wants them
        self._error_share = 0.0
        self.judge: Callable[[Job], bool] | None = None  # whether a request that begins gets what it asks for
        self.needs_up = True
        self.started_at = -inf
        self.standing = True  # whether nothing keeps the process from being started
        self.deleted = False  # whether it is on its way out for good, which endpoints know before the process does
        self.begins_with: Iterator[float] | None = None  # how long this version takes to start up, if as no other
        self._checks: list[Callable[[bool], None]] = []  # checks that wait for the process to thaw
        self.watchers: list[Callable[[], None]] = []  # told when readiness changes
        self._process = 0  # numbers the processes that have died
        self._frozen = 0  # by how many it is held; a new process is free of them
        self._slowing: list[float] = []  # factors on service times, by whoever slows the server down
        self._slowed = 1.0
        self._boot: Alarm | None = None
        self._kill: Alarm | None = None
        self._terminating = False  # whether it has heard SIGTERM
        self._starts_next = False  # whether another process follows the one that is being stopped
        self.probed_ready: bool | None = None  # what the readiness probe says, if there is one
        self._jobs: dict[Job, None] = {}  # in a slot
        self._waiting: deque[Job] = deque()
        self._shedding: deque[Job] = deque()
        self._blocked: dict[Job, None] = {}  # in a slot, waiting for what the pool needs
        self._left: dict[Job, float] = {}  # while frozen: work left of what is in a slot, in seconds
        self._lifo = serving.discipline == "lifo"
        self._limit = inf if serving.in_flight_limit is None else serving.in_flight_limit
        self._plain = serving.warm_up is None  # no factor on service times
        self._rings = (self._done,)
        self._takes: Iterator[float] = draws(serving.takes, streams, f"{name}/service")
        self._start_ups = _maybe(serving.start_up, streams, f"{name}/start up")
        self._sheds = _maybe(serving.shedding_takes, streams, f"{name}/shedding")
        self._chance = streams[f"{name}/errors"]
        self._needs_deadlines: Deadlines[_Blocked] = Deadlines(env, serving.needs_timeout, self._needed_too_long)

    # Work.

    @property
    def in_flight(self) -> int:
        """Requests served and waiting."""
        return len(self._jobs) + len(self._waiting) + len(self._shedding)

    def exchanges(self) -> list[Exchange]:
        """What is here, served or waiting, and still wanted by whoever sent it."""
        jobs = [*self._jobs, *self._waiting, *self._shedding]
        return [job.exchange for job in jobs if job.exchange is not None]

    def take(self, exchange: Exchange) -> None:
        """A request has come in over an open connection."""
        job = exchange.job = Job(exchange, self._rings)
        if len(self._jobs) < self.slots and not self._frozen:
            self._start(job)
        elif len(self._jobs) + len(self._waiting) >= self._limit and not self._frozen:  # the kernel knows no limit
            self._shed(job)
        else:
            self._waiting.append(job)

    def _start(self, job: Job) -> None:
        self._jobs[job] = None
        if self._error_share and self._chance.random() < self._error_share:
            job.code = ERROR
        if self.judge is not None and not self.judge(job):
            job.code = ERROR
        if not self.needs_up and self._needs(job):
            self._block(job)
            return
        env = self.env
        if self._plain:
            job.finish = finish = env._now + next(self._takes)
        else:
            job.finish = finish = env._now + next(self._takes) * self._slowness()
        env.push((finish, 1, env.number(), job))  # type: ignore[arg-type]

    def _slowness(self) -> float:
        warm_up, factor = self.serving.warm_up, self._slowed
        if warm_up is not None:
            age = self.env._now - self.started_at
            if age < warm_up.lasting:
                factor *= warm_up.factor + (1 - warm_up.factor) * age / warm_up.lasting
        return factor

    def _done(self, job: Job) -> None:
        if job.dead:
            return
        if job.finish > self.env._now:  # it was frozen meanwhile
            self._postpone(job)
            return
        del self._jobs[job]
        if self._waiting or self._shedding:
            self._next()
        exchange = job.exchange
        if exchange is not None:
            exchange.front.answered(exchange, job.code)
        if self.closing:
            self._leave_if_idle()

    def _postpone(self, job: Job) -> None:
        if job.finish < inf:
            self.env.push((job.finish, 1, self.env.number(), job))  # type: ignore[arg-type]
        else:
            job.parked = True

    def _next(self) -> None:
        """Fill the free slots from the queues."""
        while len(self._jobs) < self.slots and not self._frozen:
            if self._shedding:
                job = self._shedding.popleft()
                self._jobs[job] = None
                self._work(job, next(self._sheds))
            elif self._waiting:
                job = self._waiting.pop() if self._lifo else self._waiting.popleft()
                if self.serving.drop_expired and self._expired(job):
                    if job.exchange is not None:
                        job.exchange.front.answered(job.exchange, EXPIRED)
                    continue
                self._start(job)
            else:
                return

    def _work(self, job: Job, lasting: float) -> None:
        lasting *= self._slowness()
        if self._frozen:
            self._left[job], job.finish, job.parked = lasting, inf, True
            return
        job.finish = self.env._now + lasting
        self.env.push((job.finish, 1, self.env.number(), job))  # type: ignore[arg-type]

    def _expired(self, job: Job) -> bool:
        exchange = job.exchange
        return exchange is None or exchange.over or exchange.call.over or exchange.call.deadline <= self.env._now

    def _shed(self, job: Job) -> None:
        if self._sheds is _NEVER:
            if job.exchange is not None:
                job.exchange.front.answered(job.exchange, SHED)
        else:
            job.code = SHED
            self._shedding.append(job)

    # What the pool needs.

    def _needs(self, job: Job) -> bool:
        return not self.serving.reads_from_cache or (job.exchange is not None and job.exchange.call.write)

    def _block(self, job: Job) -> None:
        self._blocked[job] = None
        self._needs_deadlines.add(_Blocked(job))

    def _needed_too_long(self, blocked: _Blocked) -> None:
        job = blocked.job
        if job in self._blocked:
            del self._blocked[job]
            job.code = GATEWAY_TIMEOUT
            self._work(job, 0.0)

    def set_needs(self, up: bool) -> None:
        """What the pool needs has come up, or gone down."""
        if up == self.needs_up:
            return
        self.needs_up = up
        if up:
            blocked, self._blocked = self._blocked, {}
            for job in blocked:
                self._work(job, next(self._takes))
        self._tell()

    def pay_on_top(self, more: Iterator[float]) -> None:
        """Let every request take so much longer."""
        plain = self._takes
        self._takes = (taking + extra for taking, extra in zip(plain, more, strict=True))

    # The process.

    @property
    def frozen(self) -> bool:
        """Whether the process stands still."""
        return self._frozen > 0

    @property
    def booting(self) -> bool:
        """Whether a process is there that does not listen yet."""
        slow = self.begins_with is not None or self.serving.start_up is not None
        return self._boot is not None and slow

    @property
    def alive(self) -> bool:
        """Whether a process is there, listening or not."""
        return self.running or self.booting

    @property
    def leaving(self) -> bool:
        """Whether the process has been asked to stop, and is still there."""
        return self._kill is not None

    @property
    def ready(self) -> bool:
        """Whether a check that is answered is answered well."""
        healthy = self.needs_up or not self.serving.checks_needs
        return self.running and healthy and not self.unready and not self.closing

    @property
    def seen_ready(self) -> bool:
        """What endpoints go by: the verdict of the readiness probe, or the truth where there is none.

        What is being deleted is none of them at once, whatever its process still knows.
        """
        return (self.ready if self.probed_ready is None else self.probed_ready) and not self.deleted

    def readiness_changed(self) -> None:
        """The readiness probe has come to another verdict."""
        self._tell()

    def freeze(self) -> int:
        """Stop all work, connections stay; return the number of the process, which `thaw` wants to see."""
        if not self.running:
            return -1  # the next process begins free
        self._frozen += 1
        if self._frozen == 1:
            now = self.env._now
            for job in self._jobs:
                if job not in self._blocked:
                    self._left[job] = job.finish - now
                    job.finish = inf
            self._tell()
        return self._process

    def thaw(self, process: int) -> None:
        """Go on where it stopped, unless that process has died meanwhile."""
        if process != self._process:
            return
        self._frozen -= 1
        if self._frozen == 0:
            now = self.env._now
            for job, left in self._left.items():
                if job.dead:
                    continue
                job.finish = now + left
                if job.parked:
                    job.parked = False
                    self._postpone(job)
            self._left.clear()
            while len(self._jobs) + len(self._waiting) > self._limit:
                self._shed(self._waiting.pop())
            self._next()
            self._answer_checks()
            if self.closing:
                self._leave_if_idle()

    def check(self, answer: Callable[[bool], None]) -> None:
        """A health check over an open connection: answered at once, or when the process thaws (False: it died)."""
        if self._frozen:
            self._checks.append(answer)
        else:
            answer(True)

    def _answer_checks(self) -> None:
        checks, self._checks = self._checks, []
        for answer in checks:
            answer(self.running)

    def fail_more(self, share: float) -> None:
        """Let a share of the answers to what begins from now on be errors; several such add up independently."""
        self._failing.append(share)
        self._error_share = 1 - prod(1 - each for each in self._failing)

    def fail_less(self, share: float) -> None:
        """Take one such share away."""
        self._failing.remove(share)
        self._error_share = 1 - prod(1 - each for each in self._failing)

    def slow_down(self, factor: float) -> None:
        """Let what begins from now on take so many times as long; several such factors multiply."""
        self._slowing.append(factor)
        self._pace()

    def speed_up(self, factor: float) -> None:
        """Take one such factor away."""
        self._slowing.remove(factor)
        self._pace()

    def _pace(self) -> None:
        self._slowed = prod(self._slowing)
        self._plain = self.serving.warm_up is None and not self._slowing

    def crash(self) -> None:
        """The process dies; its host says so to whoever is connected, or connects."""
        self._starts_next = False
        self._die(heard=self.powered)

    def power_off(self) -> None:
        """The host is gone; nobody hears anything."""
        self._starts_next = False
        if self.powered:
            self.powered = False
            self._die(heard=False)

    def power_on(self) -> None:
        """The host has power again; who connects is refused until the process listens."""
        self.powered = True
        self._look()
        self._tell()

    def start(self, at_once: bool = False) -> None:
        """Start the process, on a host that has power; it listens once it has started up, or `at_once`."""
        self.powered = True
        if self.leaving:
            self._starts_next = True  # a supervisor starts the next process when the old one has gone
            return
        if self.running or self._boot is not None:
            return
        self._look()
        if at_once:
            self._listen()
            return
        start_ups = self._start_ups if self.begins_with is None else self.begins_with
        delay = 0.0 if start_ups is _NEVER else next(start_ups)
        self._boot = Alarm(self.env, self.env._now + delay, self._listen)
        if self.booting:
            self._tell()

    def _listen(self) -> None:
        self._boot = None
        self.running = True
        self.closing = False
        self.started_at = self.env._now
        self.note("listening", self.name, {})
        self._look()
        self._tell()

    def stop(self, deleted: bool = True) -> None:
        """Stop gracefully: a hook, then SIGTERM: checks fail, the listener closes, it exits once idle; or is killed.

        Who stops because it is `deleted` is out of the endpoints from the first moment, also while its hook keeps it
        serving. A hook that has not ended with the grace period is given up, and SIGKILL follows SIGTERM two seconds
        later, as after every hook at the earliest (k/k kuberuntime_container.go, killContainer).
        """
        self._starts_next = False
        if self._boot is not None:
            self._die(heard=True)
        if not self.running or self.leaving:
            return
        now, grace, process = self.env._now, self.serving.grace, self._process
        hook = min(self.serving.pre_stop, grace)
        self._kill = Alarm(self.env, now + (max(grace, hook + LEAST_GRACE_S) if hook else grace), self._killed)
        self.deleted = deleted
        if hook:
            self._tell()
            Alarm(self.env, now + hook, lambda: self._terminate(process))
        else:
            self._terminate(process)

    def _terminate(self, process: int) -> None:
        """SIGTERM."""
        if process != self._process:
            return
        self._terminating = True
        self.unready += 1
        self._tell()
        if self.serving.shutdown_delay:
            Alarm(self.env, self.env._now + self.serving.shutdown_delay, lambda: self._close(process))
        else:
            self._close(process)

    def _close(self, process: int) -> None:
        if process == self._process:
            self.closing = True
            self._look()
            self._tell()
            self._leave_if_idle()

    def _leave_if_idle(self) -> None:
        if not (self._frozen or self._jobs or self._waiting or self._shedding):
            self._die(heard=True)

    def _killed(self) -> None:
        self._die(heard=True)

    def _die(self, heard: bool) -> None:
        booted = self.booting
        if self._boot is not None:
            self._boot.cancel()
            self._boot = None
        if self._kill is not None:
            self._kill.cancel()
            self._kill = None
        if self._terminating:
            self._terminating = False
            self.unready -= 1
        self.deleted = False
        was, self.running, self.closing = self.running, False, False
        self._process += 1
        self._frozen = 0
        self._look()
        lost = [*self._jobs, *self._waiting, *self._shedding]
        for queue in (self._jobs, self._waiting, self._shedding, self._blocked, self._left):
            queue.clear()
        for job in lost:
            job.dead = True
        self._answer_checks() if heard else self._checks.clear()
        if was:
            self.note("process gone", self.name, {"in flight": len(lost)})
        if was or booted:
            self._tell()
        if heard:
            for job in lost:
                if job.exchange is not None:
                    job.exchange.front.broken(job.exchange)
        if self._starts_next:
            self._starts_next = False
            self.start()

    def _look(self) -> None:
        if not self.powered:
            self.contact = SILENT
        else:
            self.contact = OPEN if self.running and not self.closing else REFUSES

    def _tell(self) -> None:
        for watcher in self.watchers:
            watcher()

    def set_unready(self, by: int) -> None:
        """Add a reason, or take one away, for which checks fail while requests are served."""
        self.unready += by
        self._tell()


class _Blocked:
    """A job that waits for what the pool needs, for the timer that ends its patience."""

    __slots__ = ("job", "stamp")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.stamp = 0


_NEVER: Iterator[float] = iter(())


def _maybe(law: Any, streams: Streams, name: str) -> Iterator[float]:
    return _NEVER if law is None else draws(law, streams, name)
