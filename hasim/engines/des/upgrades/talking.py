"""Versions that cannot talk to one another: calls of one pool that meet the wrong version of another fail."""

from __future__ import annotations

from collections.abc import Mapping

from hasim.engines.des.upgrades.places import Place, Places, exposure, plain
from hasim.protocols.contracts.compatibility import Compatibility


class Talk:
    """One contract between two pools, each request to the caller being one call of the server.

    A call meets a server as the balancers before it stand, or any that is ready where there is none; so a request fails
    with the share of those that its version cannot talk to. An adapter helps while as many of its pods are ready as its
    pool requires.
    """

    def __init__(self, contract: Compatibility, pools: Mapping[str, Places]) -> None:
        """Look whenever pods of either pool, or of the adapter, change."""
        self._contract = contract
        self._caller, self._server = pools[contract.caller], pools[contract.server]
        self._adapter = None if contract.adapter is None else pools[contract.adapter]
        self._failing: dict[Place, float] = {}
        for places in (self._caller, self._server, self._adapter):
            if places is not None:
                places.changed.append(self.look)

    def look(self) -> None:
        """Let each caller fail as many of its requests as meet the wrong version now."""
        adapter = self._adapter is not None and self._adapter.ready() >= max(self._adapter.required, 1)
        versions = dict.fromkeys(place.version for place in self._server.places if place.version is not None)
        mix: dict[str, float] = {}
        for version in versions:
            share = exposure(self._server, version, self._caller.live.env.now)
            mix[plain(version)] = mix.get(plain(version), 0.0) + share
        for place in self._caller.places:
            share = 0.0
            if place.version is not None:
                share = self._contract.failing_share(plain(place.version), mix, adapter)
            before = self._failing.get(place, 0.0)
            if share == before:
                continue
            if before:
                place.replica.fail_less(before)
            if share:
                place.replica.fail_more(share)
            self._failing[place] = share
