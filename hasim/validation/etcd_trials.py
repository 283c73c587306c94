"""The experiments of the record of etcd 3.4.23, played in the simulated world: any size, timing, fault and load.

    played = play(Trial(members=3, heartbeat=0.1, election=1.0, fault="kill"), count=100, seed=1)
    played.column("t_leader")           # an array, one value a trial; nan where there is none

The quantities bear the names of the record (hasim/validation/data). What follows are all constants there are: one set
for every configuration, none chosen by what comes out of the elections. The times of messages stand in
`hasim/model/elections/experiments.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from hasim.model.elections.experiments import WIRE_S
from hasim.model.laws import Fixed, Law, Lognormal
from hasim.model.raft import Raft
from hasim.units import s
from hasim.validation.probes import Asked

Fault = Literal["kill", "part", "pause", "term", "fkill", "fpart", "lossq", "rolling", "steady"]
Load = Literal["probes", "idle", "patient"]

VERSION: Final = "3.4.23"

CLIENT_S: Final = 0.325e-3
"""One way between client and member, gateway included. The record: a serializable read took 0.65 ms in the median."""
TMPFS: Final = Fixed(value=s(0.0))
DISK: Final = Lognormal(median=s(6e-3), mean=s(10e-3))
"""A sync on the contended disk. The measurement: service came back 21 ms after the election, and 9 ms without a disk;
between lie two syncs one after the other. Its tail is that machine's and is not followed."""
PROCESS_START_S: Final = 0.08
"""From the start of a process until it takes part. The record: restarted members answered after 0.08 s at the least."""

SPACING_S: Final = {3: 20e-3, 5: 40e-3}
"""Between two probes of a kind at one member, by the size of the cluster."""
PATIENCE_S: Final = {"probes": 0.4, "idle": 0.4, "patient": 20.0}
LEAD_S: Final = 0.5
"""From the start of the probes to the fault, to which up to `LEAD_TICKS` heartbeat intervals are added."""
LEAD_TICKS: Final = 4
HOLD_S: Final = {"kill": 3.0, "fkill": 3.0, "term": 3.0, "part": 4.0, "fpart": 4.0, "pause": 5.0}
"""From a fault to its end: the new start of the process, the healing of the cut, SIGCONT."""
REUSE: Final = 20
"""Trials in a row on one cluster, whose members keep the phases of their clocks; then it is made anew."""


@dataclass(frozen=True)
class Trial:
    """One configuration: a cluster, what befalls it, and who watches; durations in seconds.

    Faults: the leader is killed, cut off from its peers for a while, paused (SIGSTOP), or asked to leave (term); a
    follower is killed or cut off (fkill, fpart); two of three are killed at once (lossq); all are restarted in turn
    (rolling); or nothing happens and latencies are measured (steady). Loads: open-loop `probes` whose clients give up
    after 0.4 s, `patient` ones that wait 20 s, or an `idle` cluster without clients.
    """

    fault: Fault = "kill"
    members: int = 3
    heartbeat: float = 0.1
    election: float = 1.0
    pre_vote: bool = False
    delay: float = 0.0
    disk: bool = False
    load: Load = "probes"
    hold: float | None = None
    check_quorum: bool = True
    reuse: int = REUSE
    latency: Law | None = None
    fsync: Law | None = None

    @property
    def name(self) -> str:
        """The name of the configuration in the record, like kill_n3_100-1000_pv."""
        words = [self.fault, f"n{self.members}", f"{self.heartbeat * 1e3:g}-{self.election * 1e3:g}"]
        words += ["pv"] * self.pre_vote + [f"d{self.delay * 1e3:g}"] * (self.delay > 0) + ["disk"] * self.disk
        return "_".join(words + [self.load] * (self.load != "probes"))

    @property
    def held_for(self) -> float:
        """Seconds from the fault to its end."""
        return HOLD_S.get(self.fault, 0.0) if self.hold is None else self.hold

    @property
    def patience(self) -> float:
        """Seconds after which a client gives up."""
        return PATIENCE_S[self.load]

    @property
    def spacing(self) -> float:
        """Seconds between two probes of a kind at one member."""
        return SPACING_S.get(self.members, SPACING_S[5] if self.members > 3 else SPACING_S[3])

    def raft(self) -> Raft:
        """The settings of the cluster."""
        return Raft(
            version=VERSION,
            heartbeat=s(self.heartbeat),
            election_timeout=s(self.election),
            pre_vote=self.pre_vote,
            check_quorum=self.check_quorum,
            latency=self.latency or Fixed(value=s(WIRE_S + self.delay)),
            fsync=self.fsync or (DISK if self.disk else TMPFS),
        )


@dataclass
class Outcome:
    """What was seen in one trial: quantities by their names in the record, and the requests where they matter."""

    values: dict[str, float] = field(default_factory=dict)
    variant: str = ""
    fault_at: float = 0.0
    asked: list[Asked] = field(default_factory=list)


@dataclass(frozen=True)
class Played:
    """The trials of one configuration."""

    trial: Trial
    outcomes: tuple[Outcome, ...]

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """One value a trial, in order; nan where there is none."""
        return np.array([outcome.values.get(name, math.nan) for outcome in self.outcomes])


def play(trial: Trial, count: int, seed: int, progress: Callable[[float, float], None] | None = None) -> Played:
    """Play so many trials of a configuration; `progress(done, total)` is called after each."""
    from hasim.validation.bench import Bench
    from hasim.validation.faults import one_trial

    outcomes: list[Outcome] = []
    while len(outcomes) < count:
        bench = Bench(trial, seed, number=len(outcomes) // max(1, trial.reuse))
        bench.boot()
        for _ in range(min(trial.reuse, count - len(outcomes))):
            outcomes.append(one_trial(bench))
            if progress is not None:
                progress(len(outcomes), count)
    return Played(trial, tuple(outcomes))
