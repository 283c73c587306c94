"""What all upgrades say: of what, when, to which release, how it is watched, and what people order meanwhile."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Declared
from hasim.errors import ModelError
from hasim.faults.names import Name, together
from hasim.model.upgrades.release import Detection, Release
from hasim.protocols.contracts.migration import MigrationStep
from hasim.protocols.rollout import Pause, Resume, Retry, RollBack, Rollout, Scale
from hasim.protocols.rollout.messages import Command
from hasim.units import Count, Seconds


class Order(Declared):
    """Something that people do in the middle of an upgrade."""

    after: Seconds = Field(ge=0, description="How long after the begin of the upgrade.")
    do: Literal["pause", "resume", "scale", "roll back", "retry"] = Field(description="What they do.")
    replicas: Count | None = Field(default=None, ge=0, description="With `scale`: how many there shall be.")

    @model_validator(mode="after")
    def _scale_says_how_many(self) -> Self:
        if (self.do == "scale") != (self.replicas is not None):
            raise ValueError("`replicas` is how many `scale` wants; give it there, and only there")
        return self

    @property
    def command(self) -> Command:
        """What the rollout is told."""
        if self.replicas is not None:
            return Scale(self.replicas)
        commands: dict[str, Command] = {
            "pause": Pause(),
            "resume": Resume(),
            "roll back": RollBack(),
            "retry": Retry(),
        }
        return commands[self.do]


class Upgrade(Declared):
    """An upgrade of a pool or a workload from one version to the next; `simulate` plays it, beside faults and loads.

    Its servers are asked to leave gracefully, as their `serving` says (`pre_stop`, `shutdown_delay`, `grace`), unless
    `graceful` is false. Two upgrades of one pool come one after the other; those of a workload each come at their time,
    and the later takes over from whatever the earlier has come to, as with `kubectl apply`.
    """

    target: Name = Field(description="Name of the pool, or of the workload.")
    at: Seconds = Field(default=0.0, ge=0, description="When it begins.")
    release: Release = Field(default=Release(), description="What the new version is like.")
    detection: Detection | None = Field(default=None, description="How a bad version is noticed; left out: never.")
    graceful: bool = Field(default=True, strict=True, description="Whether servers that leave finish what they have.")
    orders: tuple[Order, ...] = Field(default=(), description="What people do meanwhile.")
    after: str | None = Field(
        default=None, description="Name of an upgrade that must have been rolled out before; `at` counts from its end."
    )
    migrates: MigrationStep | None = Field(
        default=None, description="What is done to the stored data of the pool (its `data`) beside it."
    )
    per_second: float | None = Field(
        default=None, gt=0, allow_inf_nan=False, description="Items that a backfill converts in a second."
    )
    name: str = Field(default="", max_length=60, description="What it is called in results; left out: its strategy.")

    STRATEGY: ClassVar[str] = ""
    BALANCED: ClassVar[bool] = False  # whether it needs a balancer that sends requests where it says
    OBEYS: ClassVar[frozenset[str]] = frozenset({"roll back"})  # orders that it knows

    def __init__(self, *target: str, **data: Any) -> None:
        if len(target) > 1:
            listed = ", ".join(map(repr, target))
            raise ModelError(f"got {listed}; an upgrade is of one pool, so make one for each", "target")
        super().__init__(**(together("target", target[0], data) if target else data))

    @model_validator(mode="after")
    def _backfill_takes_time(self) -> Self:
        backfills = self.migrates is not None and self.migrates.backfills is not None
        if backfills != (self.per_second is not None):
            raise ValueError(
                "`per_second` is how fast a backfill goes: give it where `migrates` has one, and only there"
            )
        if self.migrates is not None and self.migrates.stopped and self.STRATEGY != "window":
            raise ValueError(f"the step {self.migrates.name!r} stops the service, which only a window does")
        if self.migrates is not None and self.migrates.rolls not in (None, self.release.version):
            raise ValueError(f"the step rolls {self.migrates.rolls!r}, and the release is {self.release.version!r}")
        return self

    @model_validator(mode="after")
    def _orders_are_known(self) -> Self:
        for order in self.orders:
            if order.do not in self.OBEYS:
                known = ", ".join(sorted(self.OBEYS)) or "none"
                raise ValueError(f"got the order {order.do!r}; {self.STRATEGY} knows {known}")
        return self

    @property
    def targets(self) -> tuple[str, ...]:
        """The one pool that is upgraded."""
        return (self.target,)

    @property
    def called(self) -> str:
        """What it is called in results."""
        return self.name or self.STRATEGY

    @abstractmethod
    def rollout(self, old: str, servers: Sequence[str]) -> Rollout:
        """The machine that does it, for servers of the version `old`."""

    @abstractmethod
    def room(self, replicas: int) -> int:
        """How many pods there may be at once, with those that leave; more wait until one of them is gone."""
