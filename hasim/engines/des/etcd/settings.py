"""What members of a simulated etcd cluster are started with, beyond the Raft that is declared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from hasim.engines.des.etcd.arguments import switch
from hasim.errors import ModelError
from hasim.protocols.etcd.config import QUOTA_BYTES, EtcdConfig
from hasim.protocols.etcd.store import Store


@dataclass(frozen=True)
class Settings:
    """Flags of etcd, a store to begin with, and a bound of clocks, which allows lease reads."""

    quota_bytes: int = QUOTA_BYTES  # --quota-backend-bytes
    strict_reconfig: bool = True  # --strict-reconfig-check
    clock_drift_max: float | None = None
    snapshot: Store | None = None

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        quota: Any = self.quota_bytes
        if isinstance(quota, bool) or not isinstance(quota, int) or quota < 1:
            raise ModelError(f"got {quota!r}; a quota is a whole number of bytes, at least 1", "quota_bytes")
        switch(self.strict_reconfig, "strict_reconfig")
        drift: Any = self.clock_drift_max
        if drift is not None and (
            isinstance(drift, bool) or not isinstance(drift, int | float) or not 1 <= drift < 100
        ):
            raise ModelError(
                f"got {drift!r}; give how many times as fast a clock may run, like 1.01", "clock_drift_max"
            )
        store: Any = self.snapshot
        if store is not None and not isinstance(store, Store):
            raise ModelError(f"got {store!r}; give what snapshot_save returned", "snapshot")

    @property
    def values(self) -> dict[str, object]:
        """What keys hold at the beginning."""
        return {} if self.snapshot is None else {key: held.value for key, held in self.snapshot.keys.items()}

    def adjust(self, config: EtcdConfig) -> EtcdConfig:
        """The settings of a member as `Raft` makes them, with these."""
        beginning = config.raft.genesis
        if self.snapshot is not None:
            # Members of a restored cluster are new, and have no past.
            store = self.snapshot.copy()
            store.started, store.removed, store.alarms = beginning.data.started, (), ()
            beginning = beginning._replace(data=store)
        raft = replace(config.raft, genesis=beginning, clock_drift_max=self.clock_drift_max)
        return replace(config, raft=raft, quota_bytes=self.quota_bytes, strict_reconfig=self.strict_reconfig)
