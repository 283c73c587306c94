"""What the members of a consumer group say to the broker, and what it says to them.

Requests that are answered carry a number `n`, and so does the answer.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["ok", "rebalancing", "old", "unknown"]
"""What a member is told: all is well; rejoin; your generation is over; you are no member."""


class Join(NamedTuple):
    """Take me into the next generation; without a `member` id: give me one first."""

    n: int
    member: str = ""


class Named(NamedTuple):
    """Join again under this id."""

    n: int
    member: str


class Assigned(NamedTuple):
    """The generation has begun; `positions` are the partitions of the member, and the offset to begin each at."""

    n: int
    generation: int
    positions: tuple[tuple[int, int], ...]


class Beat(NamedTuple):
    """The member is alive."""

    member: str
    generation: int


class Beaten(NamedTuple):
    """The answer to Beat."""

    generation: int
    status: Status


class Leave(NamedTuple):
    """The member goes, and does not wait for an answer."""

    member: str


class Fetch(NamedTuple):
    """Send up to `most` records from these positions, as soon as there is one; partitions named first come first."""

    n: int
    positions: tuple[tuple[int, int], ...]
    most: int


class Record(NamedTuple):
    """A task and its place; `number` counts its deliveries, which a real broker does not."""

    partition: int
    offset: int
    task: str
    number: int


class Fetched(NamedTuple):
    """The records, in order within each partition."""

    n: int
    records: tuple[Record, ...]


class Span(NamedTuple):
    """The tasks of one partition from offset `begin` up to, and without, `end`; only `end` matters to the broker."""

    partition: int
    begin: int
    end: int


class Commit(NamedTuple):
    """The tasks of these spans are done, and all before them."""

    n: int
    member: str
    generation: int
    spans: tuple[Span, ...]


class Committed(NamedTuple):
    """The answer to Commit: ok, or else nothing of it counts."""

    n: int
    status: Status
