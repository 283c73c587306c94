"""How candidates elect one of them by a lease, declared: Kubernetes' way, and leases with a time to live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.kinds import InShort
from hasim.units import Seconds, Share, duration_text

JITTER: Final = 1.2
"""client-go tools/leaderelection/leaderelection.go, JitterFactor."""
SCAN_S: Final = 0.5
"""etcd's lessor looks for expired leases every 500 ms (server/lease/lessor.go, runLoop)."""


class Lease(Declared):
    """Kubernetes' leader election (client-go tools/leaderelection): scheduler, controller manager, operators.

    Defaults are those of component-base (config/v1alpha1/defaults.go), which controller-runtime shares. The leader
    renews every `retry_period` and gives up when it could not for `renew_deadline`; candidates try again after
    `retry_period` and up to 120 % of it more, and take a lease that they have not seen change for `duration`, by their
    own clock. `release` is true for kube-scheduler, and false for kube-controller-manager up to 1.36.

    `lock` says what holds the record: a Lease object, or the annotation of an Endpoints or ConfigMap object, as before
    Kubernetes 1.20. The algorithm is the same.

    With `coordinated` nobody takes the lease: a controller in the API servers gives it to the candidate of the oldest
    version that answers (KEP-4355; feature gate CoordinatedLeaderElection, beta since 1.33 and off). It compares the
    times that candidates write with its own clock: one that is 5 seconds slow never answers.
    """

    kind: Literal["kubernetes"] = "kubernetes"
    duration: Seconds = Field(
        default=15.0, gt=0, description="LeaseDuration: unchanged for so long, the lease is free; Kubernetes: 15s."
    )
    renew_deadline: Seconds = Field(
        default=10.0, gt=0, description="RenewDeadline: how long a leader tries to renew; Kubernetes: 10s."
    )
    retry_period: Seconds = Field(
        default=2.0, ge=0.001, description="RetryPeriod: between tries, and between renewals; Kubernetes: 2s."
    )
    release: bool = Field(
        default=False, strict=True, description="ReleaseOnCancel: a leader that is asked to stop frees the lease."
    )
    timeout: Seconds | None = Field(
        default=None, gt=0, description="Longest wait for an answer; left out: half the deadline, at least 1s."
    )
    lock: Literal["leases", "endpoints", "configmaps"] = Field(
        default="leases", description="What holds the record; the two others were removed from Kubernetes."
    )
    coordinated: bool = Field(
        default=False,
        strict=True,
        description="An API server's controller picks a leader of the oldest version (KEP-4355); off in Kubernetes.",
    )

    @model_validator(mode="after")
    def _as_client_go_would_start(self) -> Self:
        if not (self.duration.is_integer() and self.duration >= 1):
            raise _refused("duration", f"got {duration_text(self.duration)}; the record holds whole seconds, 1 or more")
        if self.duration <= self.renew_deadline:
            raise _refused(
                "duration",
                f"got duration {duration_text(self.duration)} with renew_deadline "
                f"{duration_text(self.renew_deadline)}; a lease lasts longer than its leader tries to renew it",
            )
        if self.renew_deadline <= JITTER * self.retry_period:
            raise _refused(
                "renew_deadline",
                f"got renew_deadline {duration_text(self.renew_deadline)} with retry_period "
                f"{duration_text(self.retry_period)}; the deadline is more than {JITTER} retry periods",
            )
        if self.coordinated and self.lock != "leases":
            raise _refused("coordinated", f"got true with lock {self.lock}; only Lease objects say who is preferred")
        return self

    @property
    def patience(self) -> float:
        """How long a request may take, in seconds (client-go resourcelock/interface.go, NewFromKubeconfig)."""
        return max(1.0, self.renew_deadline / 2) if self.timeout is None else self.timeout

    @property
    def longest_retry(self) -> float:
        """The longest wait between two tries of a candidate, in seconds."""
        return self.retry_period * (1 + JITTER)

    @property
    def renewal_period(self) -> float:
        """From one renewal to the next, in seconds: the retry period."""
        return self.retry_period

    @property
    def margin(self) -> float:
        """How much sooner a leader that cannot renew stops than another may start, in seconds; negative: later.

        It stops `retry_period + renew_deadline` after the answer to its last renewal; another waits `duration` since
        the write. So an answer that is later than this leaves two leaders, and no clock need be wrong. With `release`
        it tries to give the lease back before it stops; that a silent store draws this out for up to `patience` is not
        counted here.
        """
        return self.duration - self.renew_deadline - self.retry_period

    @property
    def tolerable_rate(self) -> float:
        """How many times faster than the leader's a candidate's clock may run before two lead."""
        return self.duration / (self.renew_deadline + self.retry_period)


class TtlLease(Declared):
    """A lease that its store ends by itself after a time to live: Redis (SET NX PX), or etcd (grant, keep-alive).

    There are no defaults: these are the choices of whoever writes the client. The holder renews every `renew`, others
    ask every `retry`, give or take `jitter`; with `watch` (etcd) they wait for news that the key is gone. Redis ends a
    key to the millisecond, etcd at the next pass of a loop that comes every 500 ms.
    """

    kind: Literal["ttl"] = "ttl"
    store: Literal["redis", "etcd"] = Field(description="Who keeps the lease.")
    ttl: Seconds = Field(gt=0, description="Time to live from the last renewal.")
    renew: Seconds = Field(gt=0, description="From one renewal to the next.")
    retry: Seconds = Field(gt=0, description="From one try of a candidate to the next.")
    jitter: Share = Field(default=0.0, lt=1, description="Every such wait is longer or shorter by up to this share.")
    watch: bool = Field(default=False, strict=True, description="Candidates are told when the lease is gone (etcd).")
    release: bool = Field(default=True, strict=True, description="A holder that is asked to stop frees the lease.")
    timeout: Seconds | None = Field(
        default=None, gt=0, description="Longest wait for an answer; left out: the time to live."
    )

    @model_validator(mode="after")
    def _can_be_renewed(self) -> Self:
        if self.renew >= self.ttl:
            given = f"got renew {duration_text(self.renew)} with ttl {duration_text(self.ttl)}"
            raise _refused("renew", f"{given}; a lease is renewed before it ends")
        if self.watch and self.store != "etcd":
            raise _refused("watch", f"{self.store} does not tell of a key that is gone; etcd does")
        if self.store == "etcd" and not (self.ttl.is_integer() and self.ttl >= 1):
            raise _refused("ttl", f"got {duration_text(self.ttl)}; etcd counts whole seconds")
        return self

    @property
    def renewal_period(self) -> float:
        """From one renewal to the next, in seconds."""
        return self.renew

    @property
    def longest_retry(self) -> float:
        """The longest wait between two tries of a candidate, in seconds."""
        return self.retry * (1 + self.jitter)

    @property
    def patience(self) -> float:
        """How long a request may take, in seconds."""
        return self.ttl if self.timeout is None else self.timeout


def _kind(value: Any) -> str:
    kind = value.get("kind", "kubernetes") if isinstance(value, Mapping) else getattr(value, "kind", None)
    return f"kind={kind}"


def _named(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


def _without_kind(lease: type[Declared]) -> dict[str, Any]:
    """The JSON Schema of a mapping that leaves the kind out."""
    return {
        "type": "object",
        "properties": {name: True for name in lease.model_fields if name != "kind"},
        "additionalProperties": False,
    }


AnyLease = Annotated[
    Annotated[Lease, Tag("kind=kubernetes")] | Annotated[TtlLease, Tag("kind=ttl")],
    Discriminator(_kind),
    InShort(_named, {"enum": ["kubernetes"]}, _without_kind(Lease)),
]
"""A pydantic field that holds one of the leases; a mapping without a kind is one of Kubernetes."""


class Duty(Declared):
    """What the one that leads does: it takes one item after another and writes the outcome to a resource outside.

    Each round it looks whether it may (`looks`), works for `takes`, and writes; the next round begins `every` after
    this one did. A pause that falls between the look and the write lets a leader that has been replaced write all the
    same, so only the resource itself can keep it out (`fence`):

    - `token`: every term of office has a number, and the resource refuses a lower one than it has seen.
    - `version`: a write says which version of the resource it was made from, and is refused if that has passed; so
      Kubernetes protects its objects. A leader of old that reads again may still write, but no item is done twice.
    - `none`: it writes what comes. Items may be done twice.
    """

    every: Seconds = Field(gt=0, description="From the beginning of one round to the next.")
    takes: Seconds = Field(default=0.0, ge=0, description="Work between the look and the write.")
    looks: bool = Field(
        default=False, strict=True, description="Before each round the leader asks its own clock if the lease lasts."
    )
    fence: Literal["none", "token", "version"] = Field(
        default="none", description="What the resource checks of every write."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.takes > self.every:
            given = f"got takes {duration_text(self.takes)} with every {duration_text(self.every)}"
            raise _refused("takes", f"{given}; the work of a round fits into it")
        return self


def _refused(field: str, message: str) -> ModelError:
    return ModelError.of([at((field,), message)])
