"""An interface that is to go: who still calls its old version, while clients upgrade at speeds of their own.

A new version is announced and served beside the old one. Clients inside the house move within weeks, others within
years, some never; once the old version is removed, the requests of those who have not moved fail. With S(t) the share
of requests whose clients have not moved t after the announcement, and a removal at W:

| what | closed form |
|---|---|
| share of requests that fails at t | S(t) for t ≥ W, else 0; never more than S(W) |
| requests that fail until H, in years of all requests | the integral of S from W to H |
| shortest W after which at most a share x ever fails | the (1 - x) quantile of the mixture |

S is the mixture of the groups' laws, each with its share of requests. Those who call through a client library, which
moves when it is updated, have their group's law with its time scaled.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Discriminator, Field, Tag, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError, nearest
from hasim.kinds import InShort, tag_of
from hasim.model.laws import Law, LawField, Mixture
from hasim.protocols.contracts.versions import known
from hasim.units import YEAR, Count, Seconds, Share, share_text

Array = npt.NDArray[np.float64]
OnOld = Callable[[npt.ArrayLike], Array]
"""Share of requests that are still on the old version, at each of some times in seconds since the announcement."""

RELEASE_S: Final = YEAR / 3.0
"""From one minor release of Kubernetes to the next: it makes three a year."""

MOST_EXTENSIONS: Final = 1000


class RemovalPolicy(Declared, ABC):
    """How long the old version is served beside the new one."""

    kind: str

    @abstractmethod
    def window(self, on_old: OnOld) -> float:
        """From the announcement to the removal, in seconds; inf if it is never removed."""


class Keep(RemovalPolicy):
    """The old version is served for good: nothing ever fails, and both are run and maintained for ever."""

    kind: Literal["keep"] = "keep"

    def window(self, on_old: OnOld) -> float:
        return math.inf


class Announced(RemovalPolicy):
    """A removal that was announced with the new version, for a time or a release, whichever is later."""

    served: Seconds = Field(description="From the announcement to the removal, at least.")
    releases: Count = Field(default=0, ge=0, le=1000, description="Releases until the removal, at least.")
    release_every: Seconds = Field(default=RELEASE_S, gt=0, description="From one release to the next.")

    @property
    def announced(self) -> float:
        """The longer of the time and the releases, in seconds."""
        return max(self.served, self.releases * self.release_every)


class Deprecate(Announced):
    """The old version is served for a time that was announced, or for some releases if that is longer, then removed.

    Kubernetes serves a beta version for 9 months or 3 releases after its deprecation, whichever is longer, and removes
    GA versions only with a major version; before, that was 12 months or 3 releases (Kubernetes Deprecation Policy).
    """

    kind: Literal["deprecate"] = "deprecate"

    def window(self, on_old: OnOld) -> float:
        return self.announced


class Extend(Announced):
    """The removal is put off as long as too many requests still come in for the old version, a few times at most."""

    kind: Literal["extend"] = "extend"
    by: Seconds = Field(gt=0, description="How much longer it is served, each time the removal is put off.")
    above: Share = Field(description="The removal is put off while more than this share of requests is on the old one.")
    most: Count = Field(default=10, ge=1, le=MOST_EXTENSIONS, description="How often it is put off at most.")

    def window(self, on_old: OnOld) -> float:
        ends = self.announced + self.by * np.arange(self.most + 1)
        few = np.flatnonzero(np.asarray(on_old(ends)) <= self.above)
        return float(ends[few[0]] if few.size else ends[-1])


POLICIES: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "keep": {"kind": "keep"},
        "kubernetes_beta": {"kind": "deprecate", "served": "6570h", "releases": 3},
        "kubernetes_ga": {"kind": "deprecate", "served": "1y", "releases": 3},
    }
)
"""Policies that are known by name; a month is a twelfth of a year."""

KINDS: Final = ("keep", "deprecate", "extend")


def _spelled_out(value: Any) -> Any:
    """A name that is known becomes its settings, the bare name of a kind that kind."""
    if not isinstance(value, str):
        return value
    if value not in POLICIES and value not in KINDS:
        names = (*POLICIES, *KINDS[1:])
        raise ModelError(f"got {value!r}; known are {', '.join(names)}{nearest(value, names)}")
    return POLICIES.get(value, {"kind": value})


AnyRemovalPolicy = Annotated[
    Annotated[Keep, Tag("kind=keep")]
    | Annotated[Deprecate, Tag("kind=deprecate")]
    | Annotated[Extend, Tag("kind=extend")],
    Discriminator(
        lambda value: f"kind={value.kind}" if isinstance(value, RemovalPolicy) else tag_of(RemovalPolicy)(value)
    ),
    InShort(_spelled_out, {"enum": list(POLICIES)}),
]
"""A pydantic field holding a policy: an object, a mapping with its kind, or a name that is known."""


class ClientGroup(Declared):
    """Clients of an interface that upgrade alike: the house's own, partners, the public."""

    share: Share = Field(description="Their share of all requests.")
    upgrade: LawField = Field(
        description="From the announcement until a client calls the new version, weighted by its requests."
    )
    library: Share = Field(default=0.0, description="Share of their requests that go through the client library.")
    never: Share = Field(default=0.0, description="Share of their requests whose clients never upgrade.")


class Deprecation(Declared):
    """An interface whose old version is to go: its clients, how fast they move, and the policy of the removal.

    Times are seconds since the announcement; shares are of all requests, as expected over clients that upgrade
    independently of the policy.
    """

    clients: dict[str, ClientGroup] = Field(min_length=1, description="Groups of clients; their shares add up to 100%.")
    policy: AnyRemovalPolicy = Field(description="How long the old version is served.")
    client_library: float = Field(
        default=1.0,
        gt=0,
        le=1000,
        allow_inf_nan=False,
        strict=True,
        description="Factor on the time to upgrade for those who use the client library: 0.25, four times as fast.",
    )

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = math.fsum(group.share for group in self.clients.values())
        if abs(total - 1.0) > 1e-9:
            raise ModelError.of([at(("clients",), f"shares add up to {share_text(total)}; they must add up to 100%")])
        return self

    @property
    def window(self) -> float:
        """How long both versions are served, in seconds from the announcement; inf if for good."""
        return self.policy.window(self.on_old)

    def on_old(self, t: npt.ArrayLike, group: str | None = None) -> Array:
        """Share of all requests whose clients have not upgraded by time `t`, elementwise; of one group if named."""
        return self._summed(lambda law: law.survival(t), np.ones(np.shape(t)), group)

    def failing(self, t: npt.ArrayLike, group: str | None = None) -> Array:
        """Share of all requests that fail at time `t`, elementwise: those on the old version, once it is removed."""
        return np.where(np.asarray(t, dtype=np.float64) >= self.window, self.on_old(t, group), 0.0)

    def failed_years(self, until: float, group: str | None = None) -> float:
        """Requests that fail until a time, in years of all requests: 0.01 is a hundredth of those of a year."""
        end, begin = _horizon(until), self.window
        if end <= begin:
            return 0.0
        return float(self._summed(lambda law: _area(law, begin, end), np.asarray(end - begin), group)) / YEAR

    def served_years(self, until: float) -> float:
        """How long both versions are run until a time, in years: what the policy costs."""
        return min(_horizon(until), self.window) / YEAR

    def shortest_window(self, share: float) -> float:
        """The shortest time both versions must be served, so that never more than this share of requests fails.

        In seconds; inf if more than that never upgrade.
        """
        if not 0 <= share <= 1:
            raise ModelError(f"got {share!r}; give a share from 0 to 1", "share")
        never = math.fsum(group.share * group.never for group in self.clients.values())
        moving = math.fsum(weight for weight, _ in self._moving())
        if share >= 1.0 or moving <= 0:
            return 0.0 if share >= never else math.inf
        left = (share - never) / moving
        if left < 0:
            return math.inf
        mixture = Mixture(parts=tuple((min(weight / moving, 1.0), law) for weight, law in self._moving()))
        return float(mixture.quantile(max(0.0, 1.0 - left)))

    def _moving(self, group: str | None = None) -> list[tuple[float, Law]]:
        """Shares of all requests with the laws of their clients, without those who never upgrade."""
        found = []
        for name, each in self.clients.items():
            if group in (None, name):
                weight = each.share * (1.0 - each.never)
                found.append((weight * (1.0 - each.library), each.upgrade))
                if each.library > 0:
                    found.append((weight * each.library, each.upgrade.scaled(self.client_library)))
        return [(weight, law) for weight, law in found if weight > 0]

    def _summed(self, of: Callable[[Law], Array], of_never: Array, group: str | None) -> Array:
        """The sum of a figure over all laws, weighted; `of_never` is that of clients who never upgrade."""
        if group is not None and group not in self.clients:
            known(group, self.clients, "group", "groups")
        never = math.fsum(each.share * each.never for name, each in self.clients.items() if group in (None, name))
        total = never * of_never
        for weight, law in self._moving(group):
            total = total + weight * of(law)
        return np.asarray(total)


def _horizon(until: float) -> float:
    if not (math.isfinite(until) and until >= 0):
        raise ModelError(f"got {until!r}; give a finite number of seconds, at least 0", "until")
    return float(until)


_TAIL: Final = 2.0 ** -np.arange(2, 50)
_EDGES: Final = np.unique(np.concatenate([np.linspace(0.0, 1.0, 513), _TAIL, 1.0 - _TAIL]))
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)


def _area(law: Law, begin: float, end: float) -> Array:
    """The integral of the survival of a law: Gauss and Legendre between its quantiles, where it is smooth or flat.

    A law that jumps has its quantiles on the jumps, so that steps cost no accuracy.
    """
    with np.errstate(invalid="ignore"):
        edges = np.unique(np.clip(np.append(law.quantile(_EDGES), [begin, end]), begin, end))
    half, middle = np.diff(edges) / 2.0, (edges[1:] + edges[:-1]) / 2.0
    values = law.survival(middle[:, None] + half[:, None] * _NODES)
    return np.asarray(np.sum(half * (values @ _WEIGHTS)))
