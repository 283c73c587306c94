"""The stored data of a pool: requests read and write it, and steps of a migration change it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from hasim.engines.des.requests.exchange import Job
from hasim.engines.des.upgrades.places import Place, Places, plain
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.contracts.migration import MigrationStep
from hasim.protocols.contracts.records import Records
from hasim.protocols.contracts.schema import DataContract
from hasim.results.stored import DataLog, Return
from hasim.streams import uniforms

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

BACKFILL_S = 1.0
"""A backfill converts what it can in a second at once, once a second."""


class Stored:
    """The items of one pool. Each request reads or writes one of them, any with the same chance, as it begins."""

    def __init__(self, live: LiveCluster, places: Places, contract: DataContract) -> None:
        """Let every server of the pool ask here."""
        self.places, self.contract = places, contract
        self.records = Records(contract)
        self._env = live.env
        self._note = live.note
        self._chance = uniforms(live.streams[f"{places.part}/items"])
        self._facts: list[tuple[float, str]] = []
        self._returns: list[Return] = []
        self._lost = 0
        for place in places.places:
            place.replica.judge = partial(self._judge, place)

    def _judge(self, place: Place, job: Job) -> bool:
        """Read or write an item as the version in this place does; False: that is an error."""
        if place.version is None or job.exchange is None:
            return True
        item, version = int(self._chance() * self.contract.items), plain(place.version)
        if job.exchange.call.write:
            return self.records.write(item, version)
        return self.records.read(item, version) != "unreadable"

    # Steps.

    def begin(self, step: MigrationStep, per_second: float | None, done: Callable[[], None]) -> None:
        """Add the form that comes, and convert what is to be converted; say so when that is done."""
        if step.adds is not None:
            self.records.expand(step.adds)
            self._tell(f"{step.adds} added")
        if step.backfills is None:
            done()
        elif step.stopped or per_second is None:
            self.convert_all(step)
            done()
        else:
            self._tell("backfill begun")
            self._backfill(step, per_second, 0.0, done)

    def convert_all(self, step: MigrationStep) -> None:
        """Convert all items at once, while nobody reads or writes."""
        assert step.backfills is not None
        self.records.backfill(*step.backfills, self.contract.items)
        self._tell("all converted")

    def _backfill(self, step: MigrationStep, per_second: float, owed: float, done: Callable[[], None]) -> None:
        assert step.backfills is not None
        owed += per_second * BACKFILL_S
        owed -= self.records.backfill(*step.backfills, int(owed))
        if self.records.unconverted(*step.backfills):
            again = partial(self._backfill, step, per_second, min(owed, 1.0), done)
            Alarm(self._env, self._env.now + BACKFILL_S, again)  # type: ignore[arg-type]
        else:
            self._tell("all converted")
            done()

    def drop(self, step: MigrationStep) -> None:
        """Remove the form that goes; what was only there is lost."""
        if step.drops is not None:
            lost = self.records.drop(step.drops)
            self._lost += lost
            self._tell(f"{step.drops} removed" + (f", {lost} values lost" if lost else ""))

    def returns_to(self, version: str) -> None:
        """An earlier version is about to come back: note what it will find."""
        name = plain(version)
        unreadable, stale = self.records.unreadable_by(name), self.records.stale_for(name)
        safe = self.records.rollback_safe(name)
        self._returns.append(Return(self._env.now, name, unreadable, stale, safe))
        self._tell(f"back to {name}, {'safe' if safe else 'past the point of no return'}")

    def _tell(self, what: str) -> None:
        self._facts.append((self._env.now, what))
        self._note("data", self.places.part, {"what": what})

    def log(self) -> DataLog:
        """What became of it."""
        records = self.records
        return DataLog(
            part=self.places.part,
            items=self.contract.items,
            forms=self.contract.forms,
            counts=records.counts(),
            met={(version, outcome): count for (version, outcome), count in records.met.items()},
            refused=dict(records.refused),
            lost_values=self._lost,
            facts=tuple(self._facts),
            returns=tuple(self._returns),
        )
