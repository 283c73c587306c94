"""The two problems of the benchmark: as models, and as bare lists of units with a Boolean function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hasim.model.cluster import Cluster
from hasim.model.load import loads

TWO_OF_THREE = """
hasim: 1
name: P1
parts: {u: {kind: pool, replicas: 3, required: 2}}
failures: {u: {mtbf: 1000h, mttr: 10h}}
up: [u]
"""

CONTROL_PLANE = """
hasim: 1
name: P5
topology: {zones: {z: {hosts: [h1, h2, h3]}}}
failures:
  host: {mtbf: 2160h, mttr: 4h}
  lb: {mtbf: 8760h, mttr: 2h}
  api: {mtbf: 720h, mttr: 0.1h}
  etcd: {mtbf: 1440h, mttr: 0.25h}
  sched: {mtbf: 720h, mttr: 0.1h}
parts:
  lb: {kind: pool, replicas: 2}
  api: {kind: pool, replicas: 3, on: [h1, h2, h3]}
  etcd: {kind: quorum, members: 3, on: [h1, h2, h3]}
  sched: {kind: pool, replicas: 2, on: [h1, h2]}
up: [lb, api, etcd, sched]
"""


@dataclass(frozen=True)
class Problem:
    """Mean up and down times of the units in hours, when the system is up, and how often it is not."""

    name: str
    text: str
    units: tuple[tuple[float, float], ...]
    up: Callable[[Sequence[bool]], bool]
    unavailability: float

    @property
    def toggles_per_hour(self) -> float:
        """Failures and repairs of units in an hour, exact."""
        return sum(2 / (life + repair) for life, repair in self.units)

    def cluster(self) -> Cluster:
        return loads(self.text)

    def general(self) -> Cluster:
        """The same with Weibull lives (shape 0.7) and lognormal repairs (variation 1.2) of equal means."""
        text = self.text
        for life, repair in set(self.units):
            text = text.replace(f"mtbf: {life:g}h", f"mtbf: {{weibull: {{shape: 0.7, mean: {life:g}h}}}}")
            text = text.replace(f"mttr: {repair:g}h", f"mttr: {{lognormal: {{mean: {repair:g}h, sigma: 0.944}}}}")
        return loads(text)


def _two_of_three(s: Sequence[bool]) -> bool:
    return s[0] + s[1] + s[2] >= 2


def _control_plane(s: Sequence[bool]) -> bool:
    h1, h2, h3, lb1, lb2, a1, a2, a3, e1, e2, e3, s1, s2 = s
    return (
        (lb1 or lb2)
        and ((a1 and h1) or (a2 and h2) or (a3 and h3))
        and (e1 and h1) + (e2 and h2) + (e3 and h3) >= 2
        and ((s1 and h1) or (s2 and h2))
    )


PROBLEMS = (
    Problem("P1", TWO_OF_THREE, ((1000, 10),) * 3, _two_of_three, 2.92147634526220978e-4),
    Problem(
        "P5",
        CONTROL_PLANE,
        ((2160, 4),) * 3 + ((8760, 2),) * 2 + ((720, 0.1),) * 3 + ((1440, 0.25),) * 3 + ((720, 0.1),) * 2,
        _control_plane,
        1.28278839075915351e-5,
    ),
)
