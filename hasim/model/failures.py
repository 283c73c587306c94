"""How things fail and how they come back: laws, detection, restart, crews, spares, common cause, bursts, windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from hasim.declared import Declared, at, shown
from hasim.errors import CannotModel, ModelError, Problem
from hasim.model.laws import Attempts, Empirical, Fixed, Law, LawField, Mixture, Total, Uniform
from hasim.model.presets import preset
from hasim.protocols.health import AnySupervisor, Monit, schedule
from hasim.protocols.health.schedules import Supervisor, memory
from hasim.units import Count, Seconds, Share, human, s

FORGOTTEN: Final = 100.0
"""Mean up times that are so many times as long as a supervisor remembers outlast that in 99 % of all cases."""


class Restart(Declared):
    """A first try at coming back, before anybody repairs anything: it takes its time, and works or not."""

    takes: LawField = Field(description="Time of the restart.")
    works: Share = Field(default=1.0, description="Probability that the restart is enough; otherwise repair follows.")


class Failure(Declared):
    """One way of failing: how long things last, and how they come back.

    Down time is detection, then a restart if there is one, then (if that was not enough) waiting for a spare and for
    a crew where these are limited, then repair. `mtbf` is the mean up time from one repair to the next failure
    (MTTF in some texts); the law of a plain duration is exponential.

    With a `supervisor` the process is started again and again until that works, and repair goes on beside it, both from
    the moment of detection. A share `works` of the failures is transient: the first attempt is enough, so that they are
    over after the supervisor's first delay and `takes`. The others last until they are repaired. Every attempt before
    that fails after `takes`, and the first that begins after it, or at once, brings the process back; under the kubelet
    that may be five minutes later. Where a supervisor has given up, whoever repairs also starts the process. What it
    remembers of earlier failures is taken as forgotten, so up times are long against that (10 minutes for the kubelet).
    """

    mtbf: LawField = Field(description="Up time from repair to failure: a law, or a duration as its exponential mean.")
    mttr: LawField = Field(description="Repair time: a law, or a duration as its exponential mean.")
    detect: LawField | None = Field(default=None, description="Time until anybody notices.")
    restart: Restart | None = Field(
        default=None, description="A restart tried before repair; with a supervisor, each of its attempts."
    )
    supervisor: AnySupervisor | None = Field(
        default=None, description="Who starts the process again and again: crash_loop (the kubelet), systemd or monit."
    )
    crew: str | None = Field(default=None, description="Name of the repair crew that must be free.")
    spares: str | None = Field(default=None, description="Name of the stock that a repair takes a spare from.")
    priority: Count = Field(default=0, description="Order of repair under discipline `priority`; lower goes first.")
    common_cause: Share = Field(
        default=0.0, lt=1, description="Share beta of the failures that take all members at once."
    )
    scope: Literal["each", "whole"] = Field(
        default="each", description="`each`: every member fails by itself; `whole`: the part fails as one."
    )
    name: str | None = Field(default=None, description="A name, needed when one target has several failures.")
    preset: str | None = Field(default=None, description="Published figures to start from; other fields override.")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("preset"), str):
            return data
        known = preset(data["preset"])
        laws = {"mtbf": known.mtbf, "mttr": known.mttr}
        missing = [field for field, law in laws.items() if law is None and field not in data]
        if missing:
            raise ValueError(f"the preset {known.name!r} has no {missing[0]} ({known.caveat}); say {missing[0]} here")
        return {**laws, **data}

    @model_validator(mode="after")
    def _supervised(self) -> Self:
        found = [] if self.supervisor is None else list(_unsupervisable(self, self.supervisor))
        if found:
            raise ModelError.of(found)
        return self

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.scope == "whole" and self.common_cause:
            raise ValueError("common_cause is a share of the failures of single members; scope `whole` has none")
        if self.spares is not None and self.restart is not None and self.restart.works >= 1:
            raise ValueError(f"spares {self.spares!r} would never be used: the restart always works")
        if can_be_zero(self.mtbf):
            raise ValueError(f"got mtbf {self.mtbf.text()}; an up time of no length at all is not allowed")
        if self.down.mean <= 0:
            raise ValueError("mttr is zero: every failure would be invisible; leave the failure out instead")
        if can_be_zero(self.down):
            raise ValueError(
                "some failures would be over at once, so that nobody could count them; leave their share out of mtbf, "
                "or give detection, restart or repair a length"
            )
        return self

    @property
    def waits(self) -> bool:
        """Whether repair may have to wait for a crew or a spare."""
        return self.crew is not None or self.spares is not None

    @property
    def way_back(self) -> tuple[Law | None, Restart | None, Law]:
        """Detection, restart and repair as engines play them: attempts of a supervisor are part of the repair."""
        if self.supervisor is None or self.restart is None:
            return self.detect, self.restart, self.mttr
        return self.detect, None, supervised_law(self.supervisor, self.restart, self.mttr)

    @property
    def down(self) -> Law:
        """The law of the whole down time, when nobody has to wait for a crew or a spare."""
        return down_law(*self.way_back)

    def assumptions(self) -> list[str]:
        """What is taken for granted of this failure and a reader should know."""
        if self.supervisor is None:
            return []
        span, life = memory(self.supervisor), self.mtbf.mean
        if life >= FORGOTTEN * span:
            return []
        said = f"its mean up time is {human(life)}, not long against the {human(span)} that its supervisor remembers"
        return [f"{said}; every failure is taken as the first"]


def down_law(detect: Law | None, restart: Restart | None, repair: Law) -> Law:
    """Detection, then restart, then (if that did not do) repair, as one law."""
    before = [] if detect is None else [detect]
    if restart is None:
        return repair if not before else Total(laws=(*before, repair))
    fast = Total(laws=(*before, restart.takes))
    slow = Total(laws=(*before, restart.takes, repair))
    if restart.works >= 1:
        return fast
    if restart.works <= 0:
        return slow
    return Mixture(parts=((restart.works, fast), (1 - restart.works, slow)))


def supervised_law(supervisor: Supervisor, attempt: Restart, repair: Law) -> Law:
    """From detection until an attempt of this supervisor has worked, as one law; all attempts take the same time."""
    takes = attempt.takes.mean
    tries = schedule(supervisor, takes)
    first = tries.starts[0] + takes
    transient = Uniform(low=s(first), high=s(first + tries.spread)) if tries.spread else Fixed(value=s(first))
    permanent = Total(laws=(Attempts(schedule=tries, repair=repair), Fixed(value=s(takes))))
    if attempt.works >= 1:
        return transient
    if attempt.works <= 0:
        return permanent
    return Mixture(parts=((attempt.works, transient), (1 - attempt.works, permanent)))


def _unsupervisable(failure: Failure, supervisor: Supervisor) -> Iterator[Problem]:
    """What a failure says beside its supervisor that has no meaning there, or no closed form."""
    for field in ("crew", "spares"):
        if getattr(failure, field) is not None:
            yield at((field,), f"got {getattr(failure, field)!r}; with a supervisor nobody waits for {field}")
    if failure.restart is None:
        yield at(
            ("restart",), "is missing; beside a supervisor it says how long an attempt takes and how often it works"
        )
    elif not isinstance(failure.restart.takes, Fixed):
        given = failure.restart.takes.text()
        yield at(("restart", "takes"), f"got {given}; every attempt of a supervisor takes as long: write {{fixed: 5s}}")
    else:
        try:
            schedule(supervisor, failure.restart.takes.mean)
        except ModelError as error:
            yield at(("supervisor", error.problems[0].path), error.problems[0].message)
    if isinstance(supervisor, Monit) and failure.detect is not None:
        yield at(("detect",), f"got {failure.detect.text()}; Monit finds out by itself, in a cycle of its own")
    try:
        failure.mttr.survival(0.0)
    except CannotModel as error:
        yield at(("mttr",), f"got {failure.mttr.text()}; {error.why}, and a supervisor asks whether it is over")


def can_be_zero(law: Law) -> bool:
    """Whether a duration can be of no length at all."""
    if isinstance(law, Attempts):
        return law.schedule.starts[0] == 0 and not law.schedule.spread and can_be_zero(law.repair)
    if isinstance(law, Fixed):
        return law.mean == 0
    if isinstance(law, Mixture):
        return any(can_be_zero(part) for _, part in law.parts)
    if isinstance(law, Total):
        return all(can_be_zero(part) for part in law.laws)
    return isinstance(law, Empirical) and float(law.quantile(np.zeros(1))[0]) == 0


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return [{"preset": value}]
    if isinstance(value, Mapping | Failure):
        return [value]
    if isinstance(value, list | tuple):
        return list(value)
    raise ValueError(f"got {shown(value)}; give one failure, a list of failures, or the name of a preset")


class _FailuresSchema:
    """Says in a JSON Schema that one failure needs no list, and that a preset's name may stand for it."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        several = handler(core)
        return {
            "description": "A failure, a list of named failures, or the name of a preset.",
            "anyOf": [
                several["items"],
                {"type": "array", "items": several["items"], "minItems": 1},
                {"type": "string", "examples": ["lanl_server", "rack", "az_partial"]},
            ],
        }


Failures = Annotated[tuple[Failure, ...], BeforeValidator(_as_list), _FailuresSchema()]


class Crew(Declared):
    """People who repair one thing each at a time; the rest waits in line."""

    size: Count = Field(default=1, ge=1, le=1000, description="How many repairs go on at once.")
    discipline: Literal["fifo", "lifo", "priority", "random"] = Field(
        default="fifo",
        description="Who is next: first come, last come, lowest `priority`, or anyone. Work begun is finished.",
    )


class Spares(Declared):
    """A stock of spares; each repair that asks for one orders another (base stock, one for one)."""

    stock: Count = Field(ge=0, le=100_000, description="Spares on the shelf when full.")
    restock: LawField = Field(description="Time from ordering one spare to having it.")


class Failover(Declared):
    """How long nobody is active after the active member fell, and how often taking over does not work.

    While it lasts the part is down. Without `coverage` below one it always works; where it does not, `manual` is the
    time until a person has put it right.
    """

    takes: LawField = Field(description="Time from the loss of the active member to the next one acting.")
    coverage: Share = Field(default=1.0, description="Probability that failing over works by itself.")
    manual: LawField | None = Field(default=None, description="Time until a person has failed over, when it did not.")

    @model_validator(mode="after")
    def _manual_when_uncovered(self) -> Self:
        if self.coverage < 1 and self.manual is None:
            raise ValueError(
                f"coverage is {self.coverage:g}: say in `manual` how long a person takes in the other cases"
            )
        if self.coverage >= 1 and self.manual is not None:
            raise ValueError("`manual` is never used: coverage is 100 %")
        return self

    @property
    def instant(self) -> bool:
        """Whether no time passes at all."""
        return self.coverage >= 1 and isinstance(self.takes, Fixed) and self.takes.mean == 0


class Burst(Declared):
    """An event that takes several hosts of one domain at once, each with its own repair time.

    Every domain at the level `within` (or the one domain of that name) has its own events. A host that is still down
    from an earlier event of the same kind does not notice the next.
    """

    within: str = Field(description="A level (region, zone, rack) or the name of one domain.")
    every: LawField = Field(description="Time between events in one domain.")
    mttr: LawField = Field(description="Down time of each host that is hit.")
    share: Share | None = Field(default=None, gt=0, description="Probability that an event hits a given host.")
    hosts: Count | None = Field(default=None, ge=1, description="Number of hosts that an event hits, drawn at random.")

    @model_validator(mode="after")
    def _one_of_share_and_hosts(self) -> Self:
        if (self.share is None) == (self.hosts is None):
            raise ValueError(
                "say either `share` (each host is hit with that probability) or `hosts` (how many are hit)"
            )
        if can_be_zero(self.every):
            raise ValueError(f"got every {self.every.text()}; there is time between any two bursts")
        if can_be_zero(self.mttr):
            raise ValueError(f"got mttr {self.mttr.text()}; a host that is hit is down for some time")
        return self


class Maintenance(Declared):
    """A planned window that comes round at fixed times and takes things out of service."""

    on: tuple[str, ...] = Field(min_length=1, description="Hosts, domains or parts that are out of service.")
    every: Seconds = Field(gt=0, description="From the start of one window to the start of the next.")
    lasting: Seconds = Field(gt=0, description="Length of a window.")
    first: Seconds = Field(default=0.0, description="Start of the first window.")
    one_by_one: bool = Field(
        default=False, description="Take the things in `on` one after another, each for `lasting`."
    )

    @model_validator(mode="before")
    @classmethod
    def _one_name_is_a_list(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("on"), str):
            return {**data, "on": [data["on"]]}
        return data

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(set(self.on)) < len(self.on):
            raise ValueError(f"got on {list(self.on)}; name each thing once")
        busy = self.lasting * (len(self.on) if self.one_by_one else 1)
        if busy >= self.every:
            raise ValueError(f"windows of {human(busy)} in all do not fit into a period of {human(self.every)}")
        if self.first + busy > self.every:
            end = human(self.first + busy)
            raise ValueError(f"the first window ends after {end}, beyond the period of {human(self.every)}")
        return self
