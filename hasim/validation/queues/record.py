"""The record of tasks in a real beanstalkd and a real JetStream: what was done in each trial, and what was seen."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from hasim.validation.balancers.record import Recorded

System = Literal["beanstalkd", "jetstream"]

LAG_LIMIT_S: Final = 0.4
"""Worst stall of the measuring loop up to which a trial is used, in seconds."""
SYSTEMS: Final[dict[str, System]] = {"bs": "beanstalkd", "js": "jetstream"}


@dataclass(frozen=True)
class QueueConfig:
    """What is done in a trial; durations in seconds.

    So many `tasks` are put, and then so many `workers` begin together. An execution takes a lognormal time; with
    `fixed` all executions of a task take equally long; those that `lasts` names take that, one after the other. A share
    `crash` of them ends with its worker, at any moment of it, and another worker is started `restart` later. Deadlines
    are renewed every `renew`. A share `missed` of the expiries goes unnoticed. The trial ends after `cap`.
    """

    system: System
    deadline: float
    workers: int = 16
    tasks: int = 48
    crash: float = 0.0
    fixed: bool = False
    renew: float | None = None
    missed: float = 0.0
    restart: float = 0.5
    cap: float = 60.0
    median: float = 0.8
    sigma: float = 0.6
    lasts: tuple[float, ...] = ()


@cache
def _data() -> Any:
    return json.loads(files("hasim.validation").joinpath("data/queues.json").read_text(encoding="utf-8"))


@cache
def recorded() -> dict[str, Recorded]:
    """Every configuration of the record by its name."""
    entries = _data()["configurations"]
    return {name: Recorded(name, entry["config"], entry["columns"], LAG_LIMIT_S) for name, entry in entries.items()}


def single() -> dict[str, Any]:
    """What was seen with one task at a time, and what was stated without rows."""
    return dict(_data()["single"])


def missed(series: int) -> float:
    """The share of expiries with a free worker that beanstalkd did not notice in a series of trials."""
    counts = single()["missed"][str(series)]
    return float(counts["missed"] / counts["of"])


def config_of(name: str) -> QueueConfig:
    """How a configuration of the record was set up, with the share of missed expiries of its series."""
    given = recorded()[name].config
    system = SYSTEMS[given["sys"]]
    return QueueConfig(
        system=system,
        deadline=float(given["T"]),
        workers=given["W"],
        tasks=given["N"],
        crash=given["p"],
        fixed=given["draw"] == "fixed",
        renew=given["beat"],
        missed=missed(given["series"]) if system == "beanstalkd" else 0.0,
        restart=given["restart_s"],
        cap=float(given["cap"]),
        median=given["median"],
        sigma=given["sigma"],
    )
