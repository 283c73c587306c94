"""The record of leases in a real Redis and a real etcd: what was done in each trial, and what was seen."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, Literal, get_args

from hasim.errors import ModelError
from hasim.model.laws import Empirical
from hasim.validation.balancers.record import Recorded

Fault = Literal["crash", "graceful", "pause", "partition"]
Check = Literal["naive", "deadline"]

LAG_LIMIT_S: Final = 0.3
"""Worst stall of the measuring loop up to which a trial is used, in seconds."""
RELEASES: Final = {"redis": "redis_graceful", "etcd": "etcd_watch_graceful"}
"""Where it was measured how long a store takes for a request."""
PARTITION: Final = "redis_partition_naive"


@dataclass(frozen=True)
class LeaseConfig:
    """What was done in the trials of one configuration; durations in seconds.

    `n` candidates for one lease with a time to live of `ttl`, renewed every `renew` and asked for every `retry` times
    0.75 to 1.25. The holder is killed (crash), gives the lease back (graceful), is stopped (pause), or cut off from the
    store, but not from the resource (partition: its calls hang, and go through at the end). It returns after `dur`.
    Before each write it looks at its clock (deadline) or not (naive); the resource refuses old tokens with a `fence`.
    So many `trials` are made one after the other on one store; then all is set up anew.
    """

    store: Literal["redis", "etcd"]
    ttl: float = 3.0
    renew: float = 1.0
    retry: float = 0.4
    fault: Fault = "crash"
    dur: float = 5.0
    check: Check = "naive"
    fence: int = 0
    watch: bool = False
    n: int = 3
    trials: int = 60

    def __post_init__(self) -> None:
        """Refuse what cannot be played; the lease itself says what it does not take."""
        for field, kinds in (("fault", get_args(Fault)), ("check", get_args(Check)), ("fence", (0, 1))):
            given = getattr(self, field)
            if given not in kinds:
                raise ModelError(f"got {given!r}; allowed are {', '.join(map(repr, kinds))}", field)
        for field in ("n", "trials"):
            given = getattr(self, field)
            if isinstance(given, bool) or not isinstance(given, int) or given < 1:
                raise ModelError(f"got {given!r}; a whole number, 1 or more", field)
        for field in ("ttl", "renew", "retry", "dur"):
            given = getattr(self, field)
            if not 0 < given < math.inf:
                raise ModelError(f"got {given!r}; a number of seconds above 0", field)


@cache
def recorded() -> dict[str, Recorded]:
    """Every configuration of the record by its name."""
    text = files("hasim.validation").joinpath("data/leases.json").read_text(encoding="utf-8")
    entries = json.loads(text)["configurations"]
    return {name: Recorded(name, entry["config"], entry["columns"], LAG_LIMIT_S) for name, entry in entries.items()}


def config_of(name: str) -> LeaseConfig:
    """How a configuration of the record was set up."""
    return LeaseConfig(**recorded()[name].config)


@cache
def one_way(store: str) -> Empirical:
    """How long a message to the store or back takes: half of what one request took, where it was measured alone."""
    return Empirical.measured(recorded()[RELEASES[store]].column("release_took") / 2, "the record's releases")


@cache
def cycle_s() -> float:
    """From one write of a holder to its next, in seconds, in the mean over those that were cut off and wrote on."""
    cut = recorded()[PARTITION]
    return float(cut.column("stale_window").sum() / (cut.column("stale_writes") - 1).sum())
