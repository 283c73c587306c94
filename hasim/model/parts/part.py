"""What all parts share: members that stand on hosts, how many of them it takes, and what the part needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from hasim.declared import Declared, shown
from hasim.model.failures import Failover
from hasim.units import Count

Need = Literal["hard", "degraded", "local"]


def _as_needs(value: Any) -> Any:
    if isinstance(value, str):
        return {value: "hard"}
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        return dict.fromkeys(value, "hard")
    if isinstance(value, Mapping):
        return value
    raise ValueError(
        f"got {shown(value)}; `needs` names other parts, like `needs: etcd` or `needs: {{cache: degraded}}`; "
        "how many members must be up is said by `required`"
    )


def _as_names(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Needs = Annotated[
    dict[str, Need],
    BeforeValidator(_as_needs),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}},
                {"type": "object", "additionalProperties": {"enum": ["hard", "degraded", "local"]}},
            ]
        }
    ),
]
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_as_names),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class Part(Declared):
    """Something made of members; a kind of part says how many it takes and whether one of them is the active one."""

    on: Names = Field(
        default=(), description="Hosts, or domains whose hosts may be used; empty: on no host in the model."
    )
    spread: Literal["region", "zone", "rack", "host"] = Field(
        default="host", description="Level over which members are dealt out evenly."
    )
    per_host: Count = Field(default=1, ge=1, description="How many members may share a host.")
    needs: Needs = Field(
        default={},
        description="Parts this one depends on: `hard` (down without), `degraded` (worse without), "
        "`local` (each member needs the member of that part on its own host, and the part as a whole).",
    )

    # What the active member's fall means; read by every engine.
    RESUMES: ClassVar[bool] = False  # the old active one, back before the failover ends, carries on at once
    REGAINS_AT_ONCE: ClassVar[bool] = True  # after a total loss the first members back act without a failover

    FLOATING: ClassVar[bool] = False  # its members have no fixed hosts, and only `simulate` knows how they are

    @property
    def count(self) -> int:
        """Number of members."""
        return 1

    @property
    def extra(self) -> int:
        """How many of its members, the last ones, are there only for the pods of an upgrade."""
        return 0

    @property
    def enough(self) -> int:
        """Number of members that must be up."""
        return 1

    @property
    def switch(self) -> Failover | None:
        """The failover from a fallen active member to the next; None where there is no active member or no gap."""
        return None

    def assumptions(self) -> list[str]:
        """What a reader should know of this part's declaration."""
        return []

    @property
    def only_played(self) -> tuple[str, str] | None:
        """What of this part has no law that says how it fails over, so that only `simulate` plays it, and why."""
        return None

    @property
    def resumes(self) -> bool:
        """Whether the old active member, back before the failover ends, carries on at once."""
        return self.RESUMES

    @property
    def regains_at_once(self) -> bool:
        """Whether after a total loss the first members back act without a failover."""
        return self.REGAINS_AT_ONCE

    @property
    def idle_rate(self) -> float:
        """How fast the processes of members age while they are not active, against the active one."""
        return 1.0
