"""How large states are: per user, in the changelog's log, and on disk."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from deploy.state_log import FoundStore, LoggedPartition


@dataclass
class StateSize:
    """Sizes of one partition, or of several together.

    `log_bytes` are keys and values of all committed records still in the log, `live_bytes` those a complete compaction would
    leave: the last state of each user and the progress record. `store_bytes` are files on disk, compressed.
    """

    user_bytes: list[int] = field(default_factory=list)
    """The size of each user's state, ascending."""
    records: int = 0
    log_bytes: int = 0
    live_bytes: int = 0
    store_bytes: int = 0

    @property
    def mean(self) -> float:
        """Bytes per user."""
        return sum(self.user_bytes) / len(self.user_bytes) if self.user_bytes else 0.0

    def percentile(self, share: float) -> int:
        """The smallest size that `share` of the users do not exceed."""
        if not self.user_bytes:
            return 0
        return self.user_bytes[max(1, math.ceil(share * len(self.user_bytes))) - 1]

    @property
    def saving(self) -> float:
        """The share of the log that compaction would remove."""
        return 1 - self.live_bytes / self.log_bytes if self.log_bytes else 0.0

    def as_report(self) -> dict[str, float]:
        """For a line of JSON."""
        return {
            "users": len(self.user_bytes),
            "mean_bytes": round(self.mean, 1),
            "p50_bytes": self.percentile(0.5),
            "p95_bytes": self.percentile(0.95),
            "max_bytes": self.percentile(1.0),
            "records": self.records,
            "log_bytes": self.log_bytes,
            "live_bytes": self.live_bytes,
            "compaction_saves": round(self.saving, 4),
            "store_bytes": self.store_bytes,
        }


def size_of(logged: LoggedPartition, stores: Sequence[FoundStore]) -> StateSize:
    """The sizes of one partition and its stores."""
    return StateSize(
        sorted(len(value) for _, _, value in logged.states()),
        logged.records,
        logged.log_bytes,
        sum(len(key) + len(said.kept) for key, said in logged.latest.items() if said.kept is not None),
        sum(store.disk_bytes() for store in stores if store.partition == logged.partition),
    )


def total(sizes: Sequence[StateSize]) -> StateSize:
    """All together."""
    return StateSize(
        sorted(size for part in sizes for size in part.user_bytes),
        sum(part.records for part in sizes),
        sum(part.log_bytes for part in sizes),
        sum(part.live_bytes for part in sizes),
        sum(part.store_bytes for part in sizes),
    )
