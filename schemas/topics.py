"""Every Kafka topic of Portrait, as data."""

from dataclasses import dataclass, field
from enum import StrEnum

DAY_MS = 24 * 60 * 60 * 1000
MAX_MESSAGE_BYTES = 1_048_576
"""Largest message any topic but dead-letters accepts (Kafka's own default)."""


class Key(StrEnum):
    """What a topic is keyed by. All user-keyed topics have the same partition count, so one task owns one user everywhere."""

    USER_ID = "user_id"
    ITEM_ID = "item_id"
    SOURCE = "source key"


@dataclass(frozen=True)
class Topic:
    """A topic's contract. `config` holds Kafka topic settings as the broker spells them."""

    name: str
    key: Key
    cleanup_policy: str
    carries: str
    retention_ms: int | None = None
    config: dict[str, str] = field(default_factory=dict)

    def broker_config(self) -> dict[str, str]:
        """The settings the topic must have on the broker."""
        retention = {} if self.retention_ms is None else {"retention.ms": str(self.retention_ms)}
        return {"cleanup.policy": self.cleanup_policy, **retention, **self.config}


BEHAVIOR_EVENTS = Topic("behavior-events", Key.USER_ID, "delete", "BehaviorEvent", 7 * DAY_MS)
IMPRESSIONS = Topic("impressions", Key.USER_ID, "delete", "Impression", 7 * DAY_MS)
USER_ATTRIBUTES = Topic("user-attributes", Key.USER_ID, "compact", "UserAttributes")
USER_CONTROLS = Topic("user-controls", Key.USER_ID, "delete", "UserControl", 30 * DAY_MS)
ITEMS = Topic("items", Key.ITEM_ID, "compact", "Item")
ITEM_VECTORS = Topic("item-vectors", Key.ITEM_ID, "compact", "ItemVector")
USER_STATE = Topic("user-state", Key.USER_ID, "compact", "UserState in the state codec, packed (not JSON)")
PROFILE_REQUESTS = Topic("profile-requests", Key.USER_ID, "delete", "ProfileRequest; null cancels", DAY_MS)
USER_PROFILES = Topic("user-profiles", Key.USER_ID, "compact", "UserProfile")
RECOMMENDATIONS = Topic(
    "recommendations",
    Key.USER_ID,
    "compact,delete",
    "Recommendations",
    7 * DAY_MS,
    {"min.compaction.lag.ms": str(2 * DAY_MS)},  # KIP-58: what was seen of a list is learned from the next day
)
DEAD_LETTERS = Topic(
    "dead-letters",
    Key.SOURCE,
    "delete",
    "the original bytes; reason and source in headers",
    30 * DAY_MS,
    {"max.message.bytes": str(2 * MAX_MESSAGE_BYTES)},  # a message at the limit still fits beside its reason
)

TOPICS = (
    BEHAVIOR_EVENTS,
    IMPRESSIONS,
    USER_ATTRIBUTES,
    USER_CONTROLS,
    ITEMS,
    ITEM_VECTORS,
    USER_STATE,
    PROFILE_REQUESTS,
    USER_PROFILES,
    RECOMMENDATIONS,
    DEAD_LETTERS,
)
