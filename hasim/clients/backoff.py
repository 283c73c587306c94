"""How long a client waits before it tries again.

Waits that double keep a crowd off a server that is in trouble. Waits that are also random keep the crowd from coming
back all at once: without jitter, clients that failed together retry together, wait together and fail together again.

A wait that grows is bounded by base, base × factor, base × factor² and so on, up to the cap. The base bounds the first
wait, as in the settings of Envoy, gRPC and the AWS SDKs. In Brooker's simulator, whose counter is at one already when
the first wait is computed, the first bound is twice the base: his 5 ms is 10 ms here.

Source of the kinds: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Literal, TypeVar

from pydantic import Discriminator, Field, InstanceOf, SerializeAsAny, Tag, model_validator
from pydantic.json_schema import SkipJsonSchema

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.kinds import by_name, tag_of
from hasim.units import Seconds, duration_text

BASE_S = 0.025
"""Envoy's first back-off, 25 ms (envoy.config.route.v3.RetryPolicy, `base_interval`)."""
CAP_S = 0.250
"""Envoy's longest back-off, ten times the first (the same, `max_interval`)."""


First = Annotated[Seconds, Field(gt=0, description="The first wait, before jitter. Default: Envoy's 25 ms.")]
Longest = Annotated[Seconds, Field(gt=0, description="No wait is longer. Default: Envoy's 250 ms.")]
Factor = Annotated[
    float, Field(ge=1, allow_inf_nan=False, description="How much longer each wait is. Default: doubling, as Envoy.")
]


class Backoff(Declared, ABC):
    """How long to wait between one attempt and the next."""

    @abstractmethod
    def delay(self, attempt: int, previous: float, u: float) -> float:
        """Seconds to wait once attempt number `attempt` (1: the first) has failed, before the next one.

        `previous` is what was waited last (0.0 after the first attempt), `u` is uniform in [0, 1).
        """


class NoBackoff(Backoff):
    """Try again at once."""

    kind: Literal["none"] = "none"

    def delay(self, attempt: int, previous: float, u: float) -> float:
        return 0.0


class ConstantBackoff(Backoff):
    """Wait the same time before every retry.

    The default is HAProxy's: it waits one second before it tries a server again (configuration manual, `retries`).
    """

    kind: Literal["constant"] = "constant"
    wait: Seconds = Field(default=1.0, description="Before each retry. Default: HAProxy's turn-around, 1 s.")

    def delay(self, attempt: int, previous: float, u: float) -> float:
        return self.wait


def _cap_is_not_below_base(growing: _Growing) -> _Growing:
    if growing.cap < growing.base:
        text = f"got {duration_text(growing.cap)}; it is at least the base, {duration_text(growing.base)}"
        raise ModelError.of([at(("cap",), text)])
    return growing


def bound(growing: Growing, attempt: int) -> float:
    """The longest wait after attempt number `attempt`, in seconds: min(cap, base × factor^(attempt − 1))."""
    try:
        return min(growing.cap, growing.base * growing.factor ** (attempt - 1))
    except OverflowError:  # a power beyond all floats is beyond the cap, too
        return growing.cap


class ExponentialBackoff(Backoff):
    """Wait the whole bound: no jitter, so clients that failed together stay together."""

    kind: Literal["exponential"] = "exponential"
    base: First = BASE_S
    cap: Longest = CAP_S
    factor: Factor = 2.0
    _cap = model_validator(mode="after")(_cap_is_not_below_base)

    def delay(self, attempt: int, previous: float, u: float) -> float:
        return bound(self, attempt)


class EqualJitter(Backoff):
    """Wait half the bound for certain, and a random part of the other half: U(bound/2, bound)."""

    kind: Literal["equal_jitter"] = "equal_jitter"
    base: First = BASE_S
    cap: Longest = CAP_S
    factor: Factor = 2.0
    _cap = model_validator(mode="after")(_cap_is_not_below_base)

    def delay(self, attempt: int, previous: float, u: float) -> float:
        half = bound(self, attempt) / 2
        return half + u * half


class FullJitter(Backoff):
    """Wait a random part of the bound: U(0, bound). What Envoy and the AWS SDKs do."""

    kind: Literal["full_jitter"] = "full_jitter"
    base: First = BASE_S
    cap: Longest = CAP_S
    factor: Factor = 2.0
    _cap = model_validator(mode="after")(_cap_is_not_below_base)

    def delay(self, attempt: int, previous: float, u: float) -> float:
        return u * bound(self, attempt)


class DecorrelatedJitter(Backoff):
    """Wait at random between the base and three times the last wait, whatever the number of the attempt.

    min(cap, U(base, factor × previous)); before the first wait, the previous one counts as the base. Here `base` is
    the shortest wait, and the same as in Brooker's simulator.
    """

    kind: Literal["decorrelated_jitter"] = "decorrelated_jitter"
    base: First = BASE_S
    cap: Longest = CAP_S
    factor: Factor = Field(default=3.0, description="The next wait is up to this × the last. Default: Brooker's 3.")
    _cap = model_validator(mode="after")(_cap_is_not_below_base)

    def delay(self, attempt: int, previous: float, u: float) -> float:
        longest = self.factor * max(previous, self.base)
        return min(self.cap, self.base + u * (longest - self.base))


Growing = ExponentialBackoff | EqualJitter | FullJitter
_Growing = TypeVar("_Growing", ExponentialBackoff, EqualJitter, FullJitter, DecorrelatedJitter)

AnyBackoff = Annotated[
    Annotated[NoBackoff, Tag("kind=none")]
    | Annotated[ConstantBackoff, Tag("kind=constant")]
    | Annotated[ExponentialBackoff, Tag("kind=exponential")]
    | Annotated[EqualJitter, Tag("kind=equal_jitter")]
    | Annotated[FullJitter, Tag("kind=full_jitter")]
    | Annotated[DecorrelatedJitter, Tag("kind=decorrelated_jitter")]
    | Annotated[SkipJsonSchema[InstanceOf[SerializeAsAny[Backoff]]], Tag("kind=instance")],
    Discriminator(tag_of(Backoff)),
    by_name("none", "constant", "exponential", "equal_jitter", "full_jitter", "decorrelated_jitter"),
]
"""A field holding a back-off: `full_jitter`, `{kind: full_jitter, base: 25ms, cap: 250ms}`, or an object."""
