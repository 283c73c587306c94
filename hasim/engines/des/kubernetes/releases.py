"""The revisions of each workload: what version they are, and how their pods fare."""

from __future__ import annotations

from collections.abc import Mapping

from hasim.engines.des.draws import draws
from hasim.engines.des.kubernetes.container import Laws
from hasim.model.laws import Law
from hasim.model.parts import Workload
from hasim.protocols.reconcile.objects import Pod
from hasim.streams import Streams


class Releases:
    """What has been released of each workload; revision 1 is what runs at first, as the workload declares it."""

    def __init__(self, streams: Streams, workloads: Mapping[str, Workload]) -> None:
        """Nothing but what runs at first."""
        self._streams = streams
        self._versions = {name: [part.version] for name, part in workloads.items()}
        self._laws = {(name, 1): self._declared(name, part) for name, part in workloads.items()}

    def _declared(self, name: str, part: Workload) -> Laws:
        streams = self._streams
        crash = None if part.crash is None else draws(part.crash, streams, f"{name}/crash")
        return Laws(
            draws(part.start, streams, f"{name}/start"), draws(part.stop, streams, f"{name}/stop"), crash, part.restart
        )

    def laws(self, pod: Pod) -> Laws:
        """How a pod fares."""
        return self._laws[pod.template.app, pod.template.revision]

    def version(self, app: str, revision: int) -> str:
        """What a revision is called in results."""
        return self._versions[app][revision - 1]

    def add(self, app: str, version: str, start_up: Law | None, never_ready: bool) -> int:
        """Another revision, as those before it but for how it starts; returns its number.

        A version that was there before gets marks, so that each revision has a name of its own.
        """
        names, first = self._versions[app], self._laws[app, 1]
        while version in names:
            version = f"{version}'"
        names.append(version)
        revision = len(names)
        start = first.start if start_up is None else draws(start_up, self._streams, f"{app}/start up of {version}")
        self._laws[app, revision] = Laws(start, first.stop, first.crash, first.restart, never_ready)
        return revision
