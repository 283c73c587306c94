"""A release: what the new version is like, and how it comes out that it is bad."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.model.laws import LawField
from hasim.units import Share


class Release(Declared):
    """A new version of a service; with probability `bad` it is a bad one, which answers a share of requests wrongly.

    Of the bad ones, a share `never_ready` has pods that never get ready, and so never serve. What share of releases is
    bad is known as the change failure rate: from 5 % for elite to 40 or 64 % for low performers (DORA, State of DevOps
    2024 and 2023).
    """

    version: str = Field(default="v2", min_length=1, max_length=60, description="What the version is called.")
    bad: Share = Field(default=0.0, description="Chance that the release is bad.")
    errors: Share | None = Field(default=None, description="Share of the answers of a bad version that are errors.")
    never_ready: Share = Field(default=0.0, description="Share of bad releases whose pods never get ready.")
    slower: float = Field(default=1.0, gt=0, le=1e6, description="Service times of a bad version, as a factor.")
    start_up: LawField | None = Field(
        default=None, description="From the start of a process of this version to its first request; left out: as ever."
    )

    @model_validator(mode="after")
    def _says_how_bad(self) -> Self:
        if self.bad and self.errors is None and self.never_ready < 1.0:
            raise ModelError.of([at(("errors",), "is missing; say which share of a bad version's answers are errors")])
        if not self.bad and (self.errors or self.never_ready or self.slower != 1.0):
            raise ModelError.of([at(("bad",), "is 0, so that nothing else of a bad version matters; give its chance")])
        return self


class Detection(Declared):
    """How a bad version is noticed, and what is done about it.

    `takes` is from the first request that may meet the version until somebody notices, in time (`clock: time`, a person
    or a report); or in time weighted by the share of requests that meet it (`clock: exposure`), as where it takes a
    number of bad answers. Some badness needs load, data or days to show: give a mixture for it.

    What was noticed is rolled back at once (`automatic`), after somebody has decided (`human`), or not at all.
    Kubernetes never rolls back by itself: a passed progress deadline is only told, unless `on_stall`.
    """

    takes: LawField = Field(description="How long until it is noticed; a plain duration is the mean of an exponential.")
    clock: Literal["time", "exposure"] = Field(
        default="time", description="Whether that is time, or time times the share of requests that meet the version."
    )
    rollback: Literal["automatic", "human", "never"] = Field(default="automatic", description="What follows.")
    decide: LawField | None = Field(default=None, description="From noticing to the rollback, where people decide.")
    on_stall: bool = Field(
        default=False, strict=True, description="Whether a passed progress deadline counts as noticing, too."
    )

    @model_validator(mode="after")
    def _people_take_time(self) -> Self:
        if (self.rollback == "human") != (self.decide is not None):
            raise ValueError(
                "`decide` says how long people take to decide: give it with `rollback: human`, and only there"
            )
        return self


class Analysis(Declared):
    """Automatic analysis of a canary: its failed requests against those of the old version, by one test a step.

    At the end of each bake time the canary is taken for bad if its share of failed requests lies above that of the old
    version beyond chance: a one-sided test of two proportions at the level `false_alarms`, which is also the chance
    that a good canary is turned down.
    """

    false_alarms: Share = Field(default=0.05, gt=0, lt=0.5, description="Chance that a good canary is turned down.")
