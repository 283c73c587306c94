"""A queue and its workers in the simulated world, as they were set up for the record, and the trials of it.

    rows = play(QueueConfig("jetstream", deadline=2.0), trials=100, seed=1)
    [row["mean_exec"] for row in rows]

The queues are those of the shelf, `beanstalkd` and `jetstream`, with the deadline of the configuration. The network is
hasim's default. Crashes of the record strike an execution with a probability, at a uniformly random moment of it; a
model file has a law of the time to a crash instead, so that rule is played here. Quantities bear the names of the
record.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any, Final

import numpy as np

from hasim.engines.des.delivery.world import DeliveryWorld
from hasim.engines.des.world import LeapingEnvironment, Touch
from hasim.engines.des.world.alarm import Alarm
from hasim.model.laws import Lognormal
from hasim.model.parts import Queue
from hasim.model.work import Work
from hasim.protocols.health import SystemdRestart
from hasim.streams import Streams
from hasim.trace import Detail, Fact
from hasim.units import s
from hasim.validation.queues.record import QueueConfig

PART: Final = "jobs"
BEGIN_S: Final = 0.05
"""When workers begin; the tasks are put by then."""

Trial = dict[str, Any]
"""What was seen in one trial, by the names of the record."""


class Bench(DeliveryWorld):
    """One queue with its workers; of those that are set up for one configuration, `number` counts."""

    def __init__(self, config: QueueConfig, seed: int, number: int = 0) -> None:
        """Put everything in place; nothing runs before `begin`."""
        own = np.random.SeedSequence([seed, *repr(config).encode()]).generate_state(1)
        self.config = config
        self.facts: list[Fact] = []
        self.first_over: dict[
            str, bool
        ] = {}  # of each task, whether its first execution takes longer than the deadline
        streams = Streams(int(own[0]), block=number)
        self._fate = streams["fate"]
        self._lasts = iter(config.lasts)
        workers = [f"w{number}" for number in range(1, config.workers + 1)]
        super().__init__(LeapingEnvironment(), streams, PART, workers, queue_of(config), self._keep)

    def _keep(self, kind: str, subject: str, detail: Detail) -> None:
        self.facts.append(Fact(self.env.now, kind, subject, detail))

    def _lasting(self, name: str, task: str) -> float:
        """How long an execution takes that begins now; set when its worker will crash."""
        lasting = next(self._lasts, None) or self._luck.attempt(task).lasting
        self.first_over.setdefault(task, lasting > self.config.deadline)
        alarm = None
        if self._fate.random() < self.config.crash:
            at = self.env.now + float(self._fate.random()) * lasting
            alarm = Alarm(self.env, at, lambda: self._crash_at_work(name))
        self._crashes[name].append(alarm)
        return lasting

    def begin(self) -> None:
        """Put the tasks, then let all workers begin together."""
        for node in (self.broker, self.producer):
            node.start()
        for number in range(1, self.config.tasks + 1):
            self.arrive(f"t{number}")
        self.env.run(until=BEGIN_S)
        for name in self.names:
            self.world.nodes[name].start()

    def end(self, name: str, silent: bool = False) -> None:
        """A worker ends for good; silently if its connection stays open, as that of a machine without power does."""
        self.world.nodes[name].hold_down(Touch(), power=silent)

    def run_to(self, seconds: float) -> None:
        """Let time pass until so many seconds after the workers began."""
        self.env.run(until=BEGIN_S + seconds)

    def told(self, kind: str) -> list[Fact]:
        """All facts of a kind."""
        return [fact for fact in self.facts if fact.kind == kind]

    def starts(self) -> dict[str, list[float]]:
        """When the executions of each task began, in seconds after the workers did."""
        found: dict[str, list[float]] = defaultdict(list)
        for fact in self.told("work begun"):
            found[task_of(fact)].append(fact.at - BEGIN_S)
        return found


def queue_of(config: QueueConfig) -> Queue:
    """The part that is played."""
    takes = Lognormal(median=s(config.median), sigma=config.sigma)
    settings = {"system": config.system, "ack_deadline": s(config.deadline), "missed": config.missed}
    return Queue(
        workers=config.workers,
        delivery=settings,
        work=Work(takes=takes, same=float(config.fixed)),
        renew=None if config.renew is None else s(config.renew),
        restart=SystemdRestart(wait=s(config.restart), burst=0),
    )


def task_of(fact: Fact) -> str:
    """The task that a fact is about."""
    assert not isinstance(fact.detail, str)
    return str(fact.detail["task"])


def play(config: QueueConfig, trials: int, seed: int) -> list[Trial]:
    """Play so many trials."""
    return [one_trial(config, seed, number) for number in range(trials)]


def one_trial(config: QueueConfig, seed: int, number: int) -> Trial:
    """Put the tasks, let the workers work until the end, and say what was seen."""
    bench = Bench(config, seed, number)
    bench.begin()
    bench.run_to(config.cap)
    starts = bench.starts()
    times = Counter(len(at) for at in starts.values())
    log = bench.log(bench.env.now)
    late, refused = _late_acks(bench), len(bench.told("ack refused"))
    waited, first = waiting_first(bench)
    return {
        "mean_exec": sum(log.executions) / config.tasks,
        "dup_frac": float(np.mean(log.executions > 1)),
        "multi_completed_frac": float(np.mean(log.effects > 1)),
        "exec_hist": [times[number] for number in range(1, max(times) + 1)],
        "crashes": float(log.counts.get("crashed at work", 0)),
        "unfinished": float(np.isnan(log.done_s).sum()),
        "late_acks": float(late),
        "late_ok": float(late - refused),
        "late_rejected": float(refused),
        "makespan": float(np.max(log.effect_s)) - BEGIN_S,
        "first_over": sum(bench.first_over.values()) / config.tasks,
        "redelivery_gap": [gap for at in starts.values() for gap in np.diff(at).tolist()],
        "waited": float(waited),
        "waited_first": float(first),
    }


def _late_acks(bench: Bench) -> int:
    """Acks that were sent longer than the deadline after the start of their execution."""
    begun: dict[str, float] = {}
    late = 0
    for fact in bench.facts:
        if fact.kind == "work begun":
            begun[fact.subject] = fact.at
        elif fact.kind == "effect":
            late += fact.at - begun[fact.subject] > bench.config.deadline
    return late


def waiting_first(bench: Bench) -> tuple[int, int]:
    """How many expired tasks had to wait while new ones waited, too; and how many came before all of these."""
    new = bench.config.tasks
    waiting: dict[str, tuple[float, bool]] = {}  # since when, and whether a new task has been delivered meanwhile
    waited = first = 0
    for fact in bench.facts:
        if fact.kind in ("task expired", "task freed") and new:
            waiting[task_of(fact)] = (fact.at, False)
        elif fact.kind == "task delivered":
            since, overtaken = waiting.pop(task_of(fact), (fact.at, False))
            waited += since < fact.at
            first += since < fact.at and not overtaken
            if fact.detail["number"] == 1:  # type: ignore[index]
                new -= 1
                waiting = {task: (since, True) for task, (since, _) in waiting.items()}
    return waited, first
