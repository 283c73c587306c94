"""Effects, declared: how the result of a task is written, and what keeps it from being written twice.

Each kind says what it costs: `round_trips` and `forced_writes` a task beyond the work and the ack, and `needs`, what
has to be built and run for it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Discriminator, Field, Tag

from hasim.declared import Declared
from hasim.kinds import by_name, tag_of
from hasim.units import Count, Seconds

WRITE_S: Final = 0.001
"""A small write that is synced to a disk, in seconds; the same as the default of `Raft`."""

LOOKUP_S: Final = 0.0005
"""A look into an index that is in memory, in seconds; our assumption, half a write."""


class EffectKind(Declared):
    """A way to write the result of a task."""

    ROUND_TRIPS: ClassVar[int] = 1
    FORCED_WRITES: ClassVar[int] = 1
    NEEDS: ClassVar[str] = "nothing more"

    takes: Seconds = Field(default=WRITE_S, description="A write of a result, on a disk; each of several.")

    @property
    def round_trips(self) -> int:
        """Messages to and fro before the ack, one after another."""
        return self.ROUND_TRIPS

    @property
    def forced_writes(self) -> int:
        """Writes a task that somebody waits for until they are on a disk, those of the queue itself apart."""
        return self.FORCED_WRITES

    @property
    def needs(self) -> str:
        """What has to be built and run for it."""
        return self.NEEDS


class Plain(EffectKind):
    """The result is written each time the work is done: at least once, if the ack comes afterwards."""

    kind: Literal["plain"] = "plain"


class Keyed(EffectKind):
    """An idempotency key: the resource remembers which tasks it has a result of, and answers with the stored one.

    `together`: key and effect are one write, and of two attempts the first has the effect. The other orders are what
    becomes of it where they are not: `effect_first` looks for the key, has the effect, then stores the key, so that a
    crash between the two, or two attempts at once, have it twice; `key_first` stores the key, then has the effect, so
    that a crash between the two loses it. A key is forgotten after `window`, and an attempt that ends later has the
    effect again. Keys are kept for 24 hours or more by Stripe.
    """

    kind: Literal["key"] = "key"
    order: Literal["together", "effect_first", "key_first"] = Field(
        default="together", description="Whether key and effect are one write, and if not, which comes first."
    )
    window: Seconds = Field(default=86400.0, gt=0, description="How long a key is remembered; Stripe: 24h or more.")
    lookup: Seconds = Field(default=LOOKUP_S, description="A look whether the key is there.")
    bytes: Count = Field(default=100, ge=1, le=10**9, description="Size of a key with its stored result, in bytes.")

    NEEDS: ClassVar[str] = "a store of keys, and callers that send the same key again"

    @property
    def round_trips(self) -> int:
        return {"together": 1, "effect_first": 3, "key_first": 2}[self.order]

    @property
    def forced_writes(self) -> int:
        return 1 if self.order == "together" else 2

    def store_bytes(self, rate: float) -> float:
        """Size of the store of keys at so many tasks a second: rate times window times bytes."""
        return rate * self.window * self.bytes


class Fenced(EffectKind):
    """A fencing token: each attempt shows the resource the number of its delivery before it begins, and again with its
    result; a result is refused if a higher number has been seen, and then its worker does not ack (Kleppmann 2016).

    It keeps an old attempt from writing over a new one. A new one that begins after an old one has written, since the
    ack of that was lost or came too late to count, writes again.
    """

    kind: Literal["fence"] = "fence"

    ROUND_TRIPS: ClassVar[int] = 1
    NEEDS: ClassVar[str] = "a resource that compares tokens"


class Transactional(EffectKind):
    """Effect and ack are one transaction: the queue is a table beside the results, or both are topics of one Kafka.

    An attempt whose ack does not count has no effect; a task that was put twice is two tasks, against which only the
    `dedup_window` of the queue helps. With `every`, transactions are committed at that interval, as
    Kafka's streams do (100 ms for exactly once), which makes each wait for half of it on average.
    """

    kind: Literal["transaction"] = "transaction"
    every: Seconds = Field(default=0.0, description="Interval at which a worker commits; 0s: each task by itself.")

    NEEDS: ClassVar[str] = "results and queue in one store"


class TwoPhase(EffectKind):
    """Two-phase commit, coordinated by the worker: the queue and the resource vote, then carry out what it decides.

    The queue votes no on a delivery whose deadline has passed, whatever it thinks of late acks. Presumed abort: a
    coordinator that does not know a transaction says that it was aborted. Whoever has voted yes is in doubt until it
    hears the decision: a task that is in doubt is not delivered again, and a result stays locked, while the coordinator
    is down.
    """

    kind: Literal["two_phase"] = "two_phase"
    ask: Seconds = Field(
        default=1.0, ge=0.001, description="So often whoever is in doubt asks what was decided; our assumption."
    )

    ROUND_TRIPS: ClassVar[int] = 2
    FORCED_WRITES: ClassVar[int] = 5  # two of each participant, one of the coordinator
    NEEDS: ClassVar[str] = "two stores that can prepare, a log of the worker that outlasts it, locks"


AnyEffect = Annotated[
    Annotated[Plain, Tag("kind=plain")]
    | Annotated[Keyed, Tag("kind=key")]
    | Annotated[Fenced, Tag("kind=fence")]
    | Annotated[Transactional, Tag("kind=transaction")]
    | Annotated[TwoPhase, Tag("kind=two_phase")],
    Discriminator(lambda value: f"kind={value.kind}" if isinstance(value, EffectKind) else tag_of(EffectKind)(value)),
    by_name("plain", "key", "fence", "transaction", "two_phase"),
]
"""A pydantic field holding an effect: an object, a mapping with its kind, or the bare name of a kind."""
