"""How far the versions of a Kubernetes control plane and its nodes may be apart, and in which order to upgrade them.

| who | beside which API server | allowed |
|---|---|---|
| API servers | one another | 1 minor apart |
| kube-controller-manager, kube-scheduler, cloud-controller-manager | any that they may talk to | same or 1 older |
| kubelet, kube-proxy | any | same or up to 3 older (2, if they are older than 1.25) |
| kubectl | any | 1 older to 1 newer |

While API servers are mixed, what talks to all of them through a balancer must suit each: the window goes from what the
newest allows to what the oldest allows. A controller that talks only to the API server beside it is judged by that one.
So API servers go first, one minor at a time, then the controllers, then the kubelets, whose nodes are drained first.
Source: Kubernetes documentation, Version Skew Policy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple

from hasim.declared import shown
from hasim.errors import ModelError

CONTROLLER_OLDER: Final = 1
KUBELET_OLDER: Final = 3
KUBELET_OLDER_BEFORE: Final = 2
KUBECTL_APART: Final = 1
APISERVERS_APART: Final = 1

_VERSION: Final = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.\d+)?(?:[-+][0-9A-Za-z.+-]+)?", re.ASCII)


class Minor(NamedTuple):
    """A minor version, such as 1.30; patch releases of it differ in nothing that matters here."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: object) -> Minor:
        """Read "1.30", "v1.30.2" or "v1.31.0-rc.1+k3s1"."""
        match = _VERSION.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ModelError(f"got {shown(text)}; give a version as text, like '1.30' or 'v1.30.2'", "version")
        return cls(int(match[1]), int(match[2]))

    def shifted(self, by: int) -> Minor:
        """The minor version so many later, or earlier if negative."""
        return Minor(self.major, self.minor + by)

    def __str__(self) -> str:
        """Write it without a v: 1.30."""
        return f"{self.major}.{self.minor}"


KUBELET_SINCE: Final = Minor(1, 25)
"""From here on kubelets may be three minor versions older than the API server, before it was two."""

Component = Literal["apiserver", "controller", "kubelet", "proxy", "kubectl"]
Instances = Mapping[str, str | Minor] | Sequence[str | Minor]
"""Versions of several instances: by name, or a list whose places are their names."""


class Violation(NamedTuple):
    """One rule of the skew policy that is broken: by whom, at which version, beside which API servers."""

    rule: str
    component: Component
    name: str
    version: Minor | None
    sentence: str

    def __str__(self) -> str:
        """Say it in a sentence."""
        return self.sentence


@dataclass(frozen=True)
class Versions:
    """The versions of all components of a cluster at one moment, by component and name."""

    apiserver: Mapping[str, Minor]
    controller: Mapping[str, Minor] = field(default_factory=dict)
    kubelet: Mapping[str, Minor] = field(default_factory=dict)
    proxy: Mapping[str, Minor] = field(default_factory=dict)
    kubectl: Mapping[str, Minor] = field(default_factory=dict)

    def after(self, step: SkewStep) -> Versions:
        """The versions once a step is done."""
        changed = {**getattr(self, step.component), step.name: step.new}
        return replace(self, **{step.component: changed})


@dataclass(frozen=True)
class SkewStep:
    """One instance of a component is replaced by one of another version; a node is drained for it, or not."""

    component: Component
    name: str
    old: Minor
    new: Minor
    drain: bool = False

    def __str__(self) -> str:
        """Say it in a few words: "kubelet node-1 1.30 → 1.31, drained"."""
        return f"{self.component} {self.name} {self.old} → {self.new}{', drained' if self.drain else ''}"


def violations(
    apiservers: Instances,
    controllers: Instances = (),
    kubelets: Instances = (),
    kubectl: Instances = (),
    proxies: Instances = (),
    local: bool = False,
) -> list[Violation]:
    """Say which rules of the skew policy these versions break, and who breaks them; an empty list if none.

    `controllers` are kube-controller-manager, kube-scheduler and cloud-controller-manager alike. With `local` each of
    them talks only to the API server of the same name (of the same place, in lists), as on control planes whose
    controllers are pointed at their own node; else to any of them.
    """
    return judged(versions_of(apiservers, controllers, kubelets, kubectl, proxies), local)


def versions_of(
    apiservers: Instances,
    controllers: Instances = (),
    kubelets: Instances = (),
    kubectl: Instances = (),
    proxies: Instances = (),
) -> Versions:
    """Read the versions of all components; there must be an API server."""
    read = Versions(
        apiserver=_instances(apiservers, "apiservers"),
        controller=_instances(controllers, "controllers"),
        kubelet=_instances(kubelets, "kubelets"),
        proxy=_instances(proxies, "proxies"),
        kubectl=_instances(kubectl, "kubectl"),
    )
    if not read.apiserver:
        raise ModelError("is empty; name at least one API server", "apiservers")
    return read


def judged(versions: Versions, local: bool = False) -> list[Violation]:
    """The same as `violations`, for versions that have been read."""
    servers = versions.apiserver
    oldest, newest = min(servers.values()), max(servers.values())
    found: list[Violation] = []
    if not _within(oldest, newest, APISERVERS_APART):
        name = min(servers, key=servers.__getitem__)
        said = f"API servers are at {oldest} and {newest}; they may be {APISERVERS_APART} minor version apart"
        found.append(Violation("apiservers apart", "apiserver", name, oldest, said))
    for name, version in versions.controller.items():
        if local and name not in servers:
            listed = ", ".join(servers)
            raise ModelError(f"got {name!r}, which has no API server beside it; those are {listed}", "controllers")
        low, high = (servers[name], servers[name]) if local else (oldest, newest)
        found += _against("controller", name, version, low, high, CONTROLLER_OLDER)
    for name, version in versions.kubelet.items():
        found += _against("kubelet", name, version, oldest, newest, _kubelet_older(version))
    for name, version in versions.proxy.items():
        found += _against("proxy", name, version, oldest, newest, _kubelet_older(version))
    for name, version in versions.kubectl.items():
        found += _against("kubectl", name, version, oldest, newest, KUBECTL_APART, newer=KUBECTL_APART)
    return found


def _against(
    component: Component, name: str, version: Minor, oldest: Minor, newest: Minor, older: int, newer: int = 0
) -> list[Violation]:
    """What one instance breaks beside API servers from `oldest` to `newest`: too new for one, too old for the other."""
    said = f"{component} {name} is at {version}"
    found = []
    if version > oldest.shifted(newer):
        most = f"at most {newer} newer" if newer else "never newer"
        found.append(
            Violation(f"{component} newer", component, name, version, f"{said}, with an API server at {oldest}; {most}")
        )
    if version < newest.shifted(-older):
        sentence = f"{said}, with an API server at {newest}; at most {older} older"
        found.append(Violation(f"{component} older", component, name, version, sentence))
    return found


def _kubelet_older(version: Minor) -> int:
    return KUBELET_OLDER if version >= KUBELET_SINCE else KUBELET_OLDER_BEFORE


def _within(oldest: Minor, newest: Minor, apart: int) -> bool:
    return oldest.major == newest.major and newest.minor - oldest.minor <= apart


def _instances(given: Instances, path: str) -> dict[str, Minor]:
    if isinstance(given, str) or not isinstance(given, Mapping | Sequence):
        raise ModelError(f"got {shown(given)}; give a list of versions, or a mapping from names to versions", path)
    named = given if isinstance(given, Mapping) else {str(place): version for place, version in enumerate(given)}
    read = {}
    for name, version in named.items():
        try:
            read[str(name)] = version if isinstance(version, Minor) else Minor.parse(version)
        except ModelError as error:
            raise ModelError(error.problems[0].message, f"{path}.{name}") from None
    return read


# ---------------------------------------------------------------------------------------- order of upgrades


class _Upgrade:
    """Steps as they are found, and the versions after them."""

    def __init__(self, start: Versions) -> None:
        self.now = start
        self.steps: list[SkewStep] = []

    def to(self, component: Component, version: Minor) -> None:
        """Upgrade what is older of this component, one instance after another."""
        for name, old in getattr(self.now, component).items():
            if old < version:
                self.steps.append(SkewStep(component, name, old, version, drain=component == "kubelet"))
                self.now = self.now.after(self.steps[-1])

    def nodes(self, version: Minor) -> None:
        """Upgrade kubelets, then what runs beside them."""
        self.to("kubelet", version)
        self.to("proxy", version)

    def nodes_too_old_for(self, version: Minor) -> bool:
        """Whether API servers of this version would be too new for some node."""
        nodes = (*self.now.kubelet.values(), *self.now.proxy.values())
        return any(node < version.shifted(-_kubelet_older(node)) for node in nodes)


def upgrade_order(start: Versions, to: str | Minor, lag: bool = False) -> list[SkewStep]:
    """The order in which to upgrade all components of a cluster to a minor version, one instance after another.

    For each minor version on the way: the API servers, the controllers, the kubelets, whose nodes are drained, with
    their proxies, and kubectl. With `lag` kubelets and proxies stay behind for as long as the policy allows, and then
    jump to the version of the API servers, which drains each node only once in three minor versions.
    """
    target = to if isinstance(to, Minor) else Minor.parse(to)
    wrong = judged(start)
    if wrong:
        raise ModelError(f"{'; '.join(map(str, wrong))}; put that right first", "start")
    oldest, newest = min(start.apiserver.values()), max(start.apiserver.values())
    if target.major != oldest.major or target < newest:
        raise ModelError(f"got {target}; an API server is at {newest}, give that version or a later one", "to")
    upgrade = _Upgrade(start)
    for minor in range(oldest.minor, target.minor + 1):
        version = Minor(oldest.major, minor)
        if upgrade.nodes_too_old_for(version):
            upgrade.nodes(version.shifted(-1))
        upgrade.to("apiserver", version)
        upgrade.to("controller", version)
        if minor == target.minor or (minor > oldest.minor and not lag):
            upgrade.nodes(version)
        upgrade.to("kubectl", version)
    return upgrade.steps


@dataclass(frozen=True)
class SkewVerdict:
    """What is wrong with one step of an upgrade, or with the versions right after it; true if nothing is."""

    step: SkewStep
    violations: tuple[Violation, ...]

    def __bool__(self) -> bool:
        """Whether nothing is wrong."""
        return not self.violations

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.step}: {'; '.join(map(str, self.violations)) or 'allowed'}"


def check_order(start: Versions, steps: Sequence[SkewStep], local: bool = False) -> tuple[SkewVerdict, ...]:
    """Walk through the steps of an upgrade and judge each, with the versions of all components right after it.

    Beside the windows: an API server skips no minor version, up or down, and a node whose kubelet changes its minor
    version is drained.
    """
    verdicts, now = [], start
    for number, step in enumerate(steps):
        instances: Mapping[str, Minor] = getattr(now, step.component)
        if instances.get(step.name) != step.old:
            there = ", ".join(f"{name} at {version}" for name, version in instances.items()) or "none"
            raise ModelError(f"got {step}; of this component there are by then: {there}", f"steps[{number}]")
        now = now.after(step)
        verdicts.append(SkewVerdict(step, (*_of_move(step), *judged(now, local))))
    return tuple(verdicts)


def _of_move(step: SkewStep) -> list[Violation]:
    found = []
    apart = max(step.old, step.new).minor - min(step.old, step.new).minor
    if step.component == "apiserver" and (step.old.major != step.new.major or apart > 1):
        said = f"apiserver {step.name} goes from {step.old} to {step.new}; it must not skip a minor version"
        found.append(Violation("minor skipped", "apiserver", step.name, step.new, said))
    if step.component == "kubelet" and step.old != step.new and not step.drain:
        said = f"kubelet {step.name} goes from {step.old} to {step.new} on a node that is not drained"
        found.append(Violation("not drained", "kubelet", step.name, step.new, said))
    return found
