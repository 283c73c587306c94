"""How a replica serves: what a request takes, how many at once, what waits and what is turned away."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.model.laws import LawField
from hasim.protocols.health import AnyRestart, CrashLoopBackOff, Probe
from hasim.units import Count, Seconds, Share


class WarmUp(Declared):
    """A cold replica is slow at first: service times are `factor` as long, falling linearly to 1."""

    factor: float = Field(gt=1, allow_inf_nan=False, description="How many times as long a request takes at the start.")
    lasting: Seconds = Field(gt=0, description="Until the replica is warm.")


class Collections(Declared):
    """Stop-the-world pauses of a garbage collector, on each replica by itself."""

    every: LawField = Field(description="Time from the end of one pause to the next.")
    lasting: LawField = Field(description="How long a pause lasts.")


class Serving(Declared):
    """What a replica does with requests; a pool with it is played request by request when there is a load.

    A request takes a slot for its service time, by itself, whatever else the replica does. With `sharing`, all
    requests share the replica's `slots` processors equally (processor sharing): nobody waits, so `drop_expired` and
    `shedding_takes`, which act on what waits, are refused, and an `in_flight_limit` may be below the slots. All other
    fields mean there what they mean elsewhere. What would do nothing is refused, too: what shedding costs or says
    without an `in_flight_limit`, a `restart` without the `liveness` that kills.
    """

    takes: LawField = Field(
        description="Service time of a request; a plain duration is the mean of an exponential law."
    )
    slots: Count = Field(default=1, ge=1, le=10_000_000, description="Requests served at once.")
    discipline: Literal["fifo", "lifo", "sharing"] = Field(
        default="fifo", description="Who is next: the oldest, the newest, or everybody at once."
    )
    drop_expired: bool = Field(
        default=False,
        strict=True,
        description="Whether requests whose caller has given up are dropped when their turn comes.",
    )
    in_flight_limit: Count | None = Field(
        default=None, ge=1, description="Requests served and waiting beyond which a new one is refused (429)."
    )
    shedding_takes: LawField | None = Field(
        default=None, description="Slot time that refusing a request costs; left out: none."
    )
    retry_after: Seconds = Field(
        default=0.0, ge=0, description="What a refused request is told to wait at least (Retry-After; API server: 1 s)."
    )
    start_up: LawField | None = Field(default=None, description="From the start of the process to its first request.")
    warm_up: WarmUp | None = Field(default=None, description="How slow a cold replica is.")
    collections: Collections | None = Field(default=None, description="Pauses for garbage collection.")
    pre_stop: Seconds = Field(
        default=0.0,
        ge=0,
        description="On a graceful stop: how long a preStop hook keeps the process from hearing of it; it serves and "
        "passes its checks, while endpoints have it no more.",
    )
    shutdown_delay: Seconds = Field(
        default=0.0, ge=0, description="From then on: checks fail at once, serving goes on for so long."
    )
    grace: Seconds = Field(
        default=30.0,
        gt=0,
        description="On a graceful stop: from its beginning, hook and all, to SIGKILL (Kubernetes: 30 s, and after a "
        "hook at least 2 s more).",
    )
    reads_from_cache: bool = Field(
        default=False,
        strict=True,
        description="Whether reads are served while what the pool needs is down (API server: LIST and GET with "
        "resourceVersion=0, from its watch cache; a plain GET needs etcd).",
    )
    needs_timeout: Seconds = Field(
        default=60.0, gt=0, description="How long a request waits for what the pool needs (kube-apiserver: 60 s)."
    )
    checks_needs: bool = Field(
        default=True, strict=True, description="Whether health checks fail while what the pool needs is down."
    )
    liveness: Probe | None = Field(default=None, description="A probe that kills and restarts a replica that fails it.")
    startup: Probe | None = Field(
        default=None,
        description="A probe that must have passed once before the others begin; it kills as liveness does.",
    )
    readiness: Probe | None = Field(
        default=None,
        description="A probe that decides what balancers with a `view_delay` see of a replica; left out: its own "
        "state, at once.",
    )
    restart: AnyRestart = Field(
        default=CrashLoopBackOff(),
        description="How long a killed replica waits before it starts again; `systemd` may give it up, and takes the "
        "kill for one by its own watchdog.",
    )
    goaway_chance: Share = Field(
        default=0.0, description="Chance with each answer that a sticky connection is asked to go elsewhere."
    )

    @model_validator(mode="after")
    def _limits_fit(self) -> Self:
        if self.takes.mean <= 0:
            raise ModelError.of([at(("takes",), "got no time at all; serving a request takes some, however little")])
        if self.collections is not None and self.collections.every.mean <= 0:
            raise ModelError.of([at(("collections", "every"), "got no time at all; between two pauses there is some")])
        if self.in_flight_limit is not None and self.in_flight_limit < self.slots and self.discipline != "sharing":
            raise ValueError(
                f"in_flight_limit is {self.in_flight_limit}, below the {self.slots} slots, which it counts in"
            )
        if self.shutdown_delay >= self.grace:
            raise ValueError("shutdown_delay is within the grace period, so it is shorter than `grace`")
        return self

    @model_validator(mode="after")
    def _all_of_it_acts(self) -> Self:
        if self.discipline == "sharing" and (self.drop_expired or self.shedding_takes is not None):
            raise ValueError("with `sharing` nothing waits, so drop_expired and shedding_takes have no meaning")
        if self.in_flight_limit is None and (self.shedding_takes is not None or self.retry_after):
            raise ValueError("without an in_flight_limit nobody is refused; shedding_takes and retry_after do nothing")
        if self.liveness is None and self.restart != CrashLoopBackOff():
            raise ValueError("`restart` is of what `liveness` kills, and there is no such probe")
        if self.startup is not None and self.liveness is None:
            raise ValueError("`startup` holds `liveness` back, and there is no such probe")
        for field, probe in (("liveness", self.liveness), ("startup", self.startup)):
            if probe is not None and probe.successes != 1:
                said = f"got {probe.successes}; Kubernetes allows 1 for {field}, and more for readiness only"
                raise ModelError.of([at((field, "successes"), said)])
        return self
