"""Self-healing: what looks sick for long enough is restarted, replaced or cleaned, as far as the limits allow.

A remedy takes away what it heals. When many things look sick for one reason, load above all, healing them all takes the
capacity that is left, and what still stands gets sicker: a storm. Limits are what keeps a remedy from it.

| limit | holds back | its like elsewhere |
|---|---|---|
| `stop_above` | everything, while too great a share is sick | node lifecycle's 55 %, Cluster Autoscaler's 45 % |
| `at_once` | what would be under treatment beyond so many | Cluster Autoscaler drains one node at a time |
| `spacing` | what comes too soon after the last | Draino's drain-buffer, 10 minutes |
| `per_hour` | what the tokens of an hour do not pay for | node lifecycle's eviction rate |

Sources: k/k pkg/controller/nodelifecycle/node_lifecycle_controller.go; kubernetes/autoscaler cluster-autoscaler/FAQ.md;
planetlabs/draino, README.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from hasim.declared import Declared
from hasim.machine import Announce
from hasim.units import Count, Seconds, Share, share, share_text

if TYPE_CHECKING:
    from hasim.protocols.health.laws import Delay

Action = Literal["restart", "drain and replace", "clear disk", "delete pod"]
Limit = Literal["stop_above", "at_once", "spacing", "per_hour"]
Chance = Callable[[float], bool]
"""Whether something of this chance happens, from 0 to 1; whoever drives it draws."""

DRAIN_BUFFER_S: Final = 600.0
"""Draino's --drain-buffer: the least time from the start of one drain to the next."""
ROUNDING_S: Final = 1e-6
"""Sums of floats are not off by more, and nothing here is timed more finely."""


def _how_many(value: object) -> int | float:
    """A count of at least one, or a share above none of what is watched."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"got {value}; it is a count of at least 1, or a share like '10%'")
        return value
    part = share(value)
    if part == 0.0:
        raise ValueError("got 0%; it is a count of at least 1, or a share above 0%")
    return part


def _how_many_text(many: int | float) -> int | str:
    return many if isinstance(many, int) else share_text(many)


HowMany = Annotated[
    int | float,
    BeforeValidator(_how_many),
    PlainSerializer(_how_many_text),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^\s*[0-9.]+\s*%?\s*$"},
            ],
            "description": "A count, or a share of what is watched.",
            "examples": [1, "10%"],
        }
    ),
]
"""A field holding how many: a whole number is a count, "10%" (or 0.1) a share of what is watched."""


class Remedy(Declared):
    """What is looked for, what is done about it, and what keeps it from being done to too many.

    A limit that is left out does not limit; `spacing` alone has a default, that of drains.
    """

    symptom: str = Field(min_length=1, description="What it looks for: 'node not ready', 'errors', 'disk full', …")
    action: Action = Field(description="What it does about it.")
    check: Seconds = Field(ge=0.001, description="From one look to the next.")
    after: Seconds = Field(default=0.0, description="How long the symptom must last; 0s: acts at first sight.")
    false_positive: Share = Field(default=0.0, description="Chance that something healthy looks sick, at each check.")
    at_once: HowMany | None = Field(
        default=None,
        description="How many are treated at a time: a count, or a share of all, rounded down but to 1 at least.",
    )
    spacing: Seconds | None = Field(
        default=None, description="Least time from one begin to the next; left out: 10m for drains (Draino), else 0s."
    )
    per_hour: Count | None = Field(
        default=None, ge=1, description="Tokens of a bucket that is full at first and fills once an hour; one each."
    )
    stop_above: Share | None = Field(
        default=None, description="With a greater share of all sick or being treated, nothing is done."
    )

    @property
    def gap(self) -> float:
        """The least time from one begin to the next, in seconds."""
        if self.spacing is not None:
            return self.spacing
        return DRAIN_BUFFER_S if self.action == "drain and replace" else 0.0

    @property
    def checks(self) -> int:
        """How many checks in a row must find the symptom."""
        return 1 + max(0, math.ceil((self.after - ROUNDING_S) / self.check))

    def most(self, watched: int) -> float:
        """How many of so many may be treated at a time; inf: all."""
        if self.at_once is None:
            return math.inf
        if isinstance(self.at_once, int):
            return self.at_once
        return max(1, int(self.at_once * watched + 1e-9))  # 0.29 · 100 is short of 29 by a rounding error


class Begin(NamedTuple):
    """Do this to this thing now, and say `finished` when it is done."""

    name: str
    action: Action


class RemedyController:
    """One remedy at work on all the things it watches; pure, the driver looks and acts.

    It announces "remedy begun", with whether the thing was really sick; "remedy held back", once for each thing and
    limit while it stays so; "remedy worked" and "remedy failed".
    """

    def __init__(self, remedy: Remedy, chance: Chance) -> None:
        """Nothing is under way, and the bucket is full; `chance` says who looks sick by mistake."""
        self._remedy = remedy
        self._chance = chance
        self._since: dict[str, float] = {}  # since when it has looked sick
        self._treated: dict[str, tuple[float, float]] = {}  # since when sick, and since when treated
        self._held: dict[str, Limit] = {}
        self._begun = -math.inf  # the last
        self._tokens = 0.0 if remedy.per_hour is None else float(remedy.per_hour)
        self._filled = -math.inf

    def step(self, now: float, sick: Mapping[str, bool]) -> list[Begin | Announce]:
        """One check at `now` (seconds) of all that is watched, and whether it is sick; what to begin and to note.

        What is under treatment is not looked at. Those that have been sick for longest come first, and with them, those
        named first. What is no longer named is forgotten, but for its treatment.
        """
        self._since = {
            name: self._since.get(name, now)
            for name, really in sick.items()
            if name not in self._treated and (really or self._looks_sick())
        }
        due = [name for name, since in self._since.items() if now - since >= self._remedy.after - ROUNDING_S]
        self._held = {name: self._held[name] for name in due if name in self._held}
        watched = len(sick) + sum(name not in sick for name in self._treated)
        ill = len(self._since) + len(self._treated)
        said: list[Begin | Announce] = []
        for name in sorted(due, key=self._since.__getitem__):
            limit = self._limit(now, watched, ill)
            if limit is None:
                said += self._begin(name, sick[name], now)
            elif self._held.get(name) != limit:
                self._held[name] = limit
                said.append(self._noted("remedy held back", name, limit=limit))
        return said

    def finished(self, name: str, now: float, worked: bool) -> list[Announce]:
        """A treatment has ended; if it did not work, the symptom is as old as it was.

        What is not under treatment is no mistake: it was said before.
        """
        if name not in self._treated:
            return []
        since, begun = self._treated.pop(name)
        if not worked:
            self._since[name] = since
        return [self._noted("remedy worked" if worked else "remedy failed", name, took=now - begun)]

    def _looks_sick(self) -> bool:
        return self._remedy.false_positive > 0.0 and self._chance(self._remedy.false_positive)

    def _limit(self, now: float, watched: int, ill: int) -> Limit | None:
        """What holds the next one back, if anything does."""
        remedy = self._remedy
        if remedy.stop_above is not None and ill > remedy.stop_above * watched * (1.0 + 1e-12):
            return "stop_above"
        if len(self._treated) >= remedy.most(watched):
            return "at_once"
        if now - self._begun < remedy.gap - ROUNDING_S:
            return "spacing"
        if remedy.per_hour is not None and self._bucket(remedy.per_hour, now) < 1.0 - 1e-9:
            return "per_hour"
        return None

    def _bucket(self, size: int, now: float) -> float:
        """The tokens there are now."""
        self._tokens = min(float(size), self._tokens + size * (now - self._filled) / 3600.0)
        self._filled = now
        return self._tokens

    def _begin(self, name: str, really: bool, now: float) -> list[Begin | Announce]:
        since = self._since.pop(name)
        self._treated[name] = since, now
        self._begun = now
        self._tokens -= 1.0
        return [self._noted("remedy begun", name, sick=really), Begin(name, self._remedy.action)]

    def _noted(self, kind: str, name: str, **more: Any) -> Announce:
        remedy = self._remedy
        return Announce(kind, {"name": name, "symptom": remedy.symptom, "action": remedy.action, **more})


def detection(remedy: Remedy) -> Delay:
    """How long from the onset of the symptom, at a random moment, until the remedy begins, if no limit holds it back.

    U(0, check) until the first check that sees it, and as many further ones as `after` takes.
    """
    from hasim.protocols.health.laws import Delay, Piece  # NumPy, of which nothing else here has need

    further = (remedy.checks - 1) * remedy.check
    return Delay((Piece(1.0, further, further + remedy.check),))


def false_alarm_every(remedy: Remedy) -> float:
    """How often something healthy is treated without need: the mean time to its first alarm, in seconds; inf: never.

    It must look sick at so many checks in a row, each time with the chance q: (q^-checks - 1) / (1 - q) checks on
    average (Feller, volume 1, XIII.7), the first of them one `check` from the start.
    """
    q = remedy.false_positive
    return math.inf if q == 0.0 else remedy.check * sum(q**-n for n in range(1, remedy.checks + 1))
