"""A pool: equal replicas that share the work, like API servers."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from hasim.declared import at
from hasim.errors import ModelError
from hasim.model.parts.part import Part
from hasim.model.serving import Serving
from hasim.protocols.contracts.schema import DataContract
from hasim.units import Count


class Pool(Part):
    """n replicas, any k of which carry the load; with `serving`, `simulate` plays requests to them."""

    kind: Literal["pool"] = "pool"
    replicas: Count = Field(ge=1, le=10_000, description="Number of replicas, 1 to 10 000.")
    required: Count = Field(default=1, ge=1, description="Replicas that must be up.")
    serving: Serving | None = Field(default=None, description="How a replica serves requests; left out: not played.")
    version: str = Field(default="v1", min_length=1, description="The version that runs at first.")
    deployed: bool = Field(
        default=True, strict=True, description="Whether it is there at first; if not, an upgrade deploys it."
    )
    data: DataContract | None = Field(
        default=None, description="What its requests read and write, and in which forms; left out: not played."
    )

    @model_validator(mode="after")
    def _enough_replicas(self) -> Self:
        if self.required > self.replicas:
            raise ValueError(f"required is {self.required}, but there are only {self.replicas} replicas")
        return self

    @model_validator(mode="after")
    def _deployed_to_serve(self) -> Self:
        if not self.deployed and self.serving is None:
            raise ValueError("`deployed: false` is of pools with `serving`, which upgrades can deploy")
        return self

    @model_validator(mode="after")
    def _version_of_the_data(self) -> Self:
        if self.data is not None and self.version not in self.data.versions:
            known = ", ".join(self.data.versions)
            raise ModelError.of([at(("version",), f"got {self.version!r}; `data` says how {known} read and write")])
        if self.data is not None and self.serving is None:
            raise ValueError("`data` is read and written by requests: say how they are served (`serving`)")
        return self

    def assumptions(self) -> list[str]:
        """What follows when probes ask about what the pool needs."""
        serving = self.serving
        if serving is None or serving.liveness is None or not serving.checks_needs or not self.needs:
            return []
        return [
            "its liveness probe asks about what it needs, so an outage of that kills healthy servers, and the back-off "
            "outlasts it; only `simulate` plays that"
        ]

    @property
    def count(self) -> int:
        return self.replicas

    @property
    def enough(self) -> int:
        return self.required
