"""What a task takes a worker, and how attempts at it end early."""

from __future__ import annotations

from math import sqrt
from typing import Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.model.laws import LawField
from hasim.units import Share, duration_text


class Pauses(Declared):
    """Times in which a worker does nothing at all, nor renews anything: a full collection, a machine that is moved.

    Live migrations of virtual machines pause them for well under a second (GCE) or up to five seconds (Azure, and now
    and then about thirty); the documentation of Apache tells of a full collection of 21.7 s.
    """

    every: LawField = Field(description="From the end of a pause of a worker to its next.")
    lasting: LawField = Field(description="How long a pause takes.")

    @model_validator(mode="after")
    def _take_time(self) -> Self:
        if self.every.mean < 0.001:
            raise ModelError.of([at(("every",), f"got a mean of {self.every.mean:g} s; give 1ms or more")])
        return self


class Work(Declared):
    """One attempt at a task: how long it takes, and after how long the worker crashes, if it has not finished by then.

    Slowness may belong to the attempt (a slow worker, a pause) or to the task (a big file). `same` says how much of it
    is the task's: 0, every attempt draws anew; 1, all attempts at a task take equally long; between, the normal scores
    of two attempts are so correlated (a Gaussian copula), which leaves the law of each attempt as it is.
    """

    takes: LawField = Field(description="How long an attempt takes.")
    same: Share = Field(default=0.0, description="Correlation of the attempts at one task, in normal scores: 0 to 1.")
    crash: LawField | None = Field(
        default=None, description="From the start of an attempt to a crash of its worker; left out: it never crashes."
    )
    poison: Share = Field(
        default=0.0, description="Share of tasks that are poison: every attempt at one ends in a crash of its worker."
    )
    fails: Share = Field(
        default=0.0, description="Share of attempts that end in an error, upon which the worker gives the task back."
    )
    pauses: Pauses | None = Field(default=None, description="When workers stand still; left out: never.")

    @model_validator(mode="after")
    def _takes_time(self) -> Self:
        if self.takes.mean <= 0:
            raise ModelError.of([at(("takes",), "got no time at all; a task takes some")])
        return self

    @property
    def beyond(self) -> str:
        """A deadline that no attempt outlasts."""
        return duration_text(10.0 * float(self.takes.quantile(1.0 - 1e-12)))

    def lasting(self, task: npt.ArrayLike, own: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """How long attempts take, in seconds, whose task and which themselves have these normal scores; broadcast."""
        from scipy.special import ndtr  # takes a while to load, and most models need it not

        mixed = sqrt(self.same) * np.asarray(task) + sqrt(1.0 - self.same) * np.asarray(own)
        return np.asarray(self.takes.quantile(ndtr(mixed)))
