"""A load: requests to a part of the cluster, for `during` or for the `loads` of a model."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from hasim.declared import Declared
from hasim.model.demand.arrivals import AnyArrivals, Users
from hasim.model.demand.callers import Clients
from hasim.model.laws import LawField
from hasim.units import Seconds, Share


class Load(Declared):
    """Requests to a part: at a rate, whoever waits for answers (open loop), or by users who do wait (closed loop).

    `Load(rate=200)` is a Poisson stream; `rate` also takes `Steps`, `Spike`, `Daily`, `Paced` or `Replay`.
    `Load(users=50, think="1s")` are 50 users, each of whom thinks between an answer and the next request.
    An open loop is what many independent users are; a closed loop slows down with the service and so hides overload
    (Schroeder, Wierman, Harchol-Balter, NSDI 2006).
    """

    to: str | None = Field(default=None, description="Part that is asked; left out: the only one that can be.")
    rate: AnyArrivals | None = Field(default=None, description="Requests per second, or a kind of arrivals.")
    users: Users | None = Field(default=None, description="Users of a closed loop.")
    think: LawField | None = Field(default=None, description="Time from an answer to the user's next request.")
    begins: Seconds = Field(default=0.0, ge=0, description="When the load begins.")
    lasting: Seconds | None = Field(default=None, gt=0, description="How long it goes on; null: to the end.")
    writes: Share = Field(
        default=0.0,
        description="Share of requests that change something: they need what the pool needs; no balancer repeats them.",
    )
    clients: Clients = Field(default=Clients(), description="Who calls, and what they do when a call fails.")
    name: str = Field(default="load", min_length=1, description="What the load is called in results.")

    def __init__(self, rate: Any = None, **data: Any) -> None:
        super().__init__(**({} if rate is None else {"rate": rate}), **data)

    @model_validator(mode="after")
    def _open_or_closed(self) -> Self:
        if (self.rate is None) == (self.users is None):
            said = "neither" if self.rate is None else "both"
            raise ValueError(f"got {said} of rate and users; give `rate` (open loop) or `users` (closed loop)")
        if self.think is not None and self.users is None:
            raise ValueError("`think` is for `users`, who wait for their answers; a rate has no thinking time")
        return self

    def until(self, end: float) -> float:
        """When it is over in a run that ends then, in seconds."""
        return end if self.lasting is None else min(end, self.begins + self.lasting)

    @property
    def targets(self) -> tuple[str, ...]:
        """The part it goes to, where that is said; the cluster checks that it exists."""
        return () if self.to is None else (self.to,)
