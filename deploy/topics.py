"""Creates Portrait's topics and says where existing ones differ from the contract. What exists is never changed."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType  # type: ignore[attr-defined]

from schemas.errors import ConfigError
from schemas.settings import Settings
from schemas.topics import TOPICS, Key, Topic

REQUEST_TIMEOUT_S = 15.0
VISIBLE_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Drift:
    """One property of an existing topic that differs from its contract."""

    property: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.property} is {self.found}, wanted {self.wanted}"


@dataclass(frozen=True)
class TopicReport:
    """What a topic is like on the broker. `created` says that this call made it."""

    topic: Topic
    created: bool
    partitions: int
    replication_factor: int
    drift: tuple[Drift, ...]


def ensure_topics(
    settings: Settings, timeout_s: float = REQUEST_TIMEOUT_S, topics: Sequence[Topic] = TOPICS
) -> list[TopicReport]:
    """Create the topics that are missing and report how the others differ, one report a topic in the given order.

    Idempotent, also when several processes do it at once.

    Raises:
        ConfigError: the broker does not answer or refuses, or user-keyed topics differ in their partition counts.
    """
    admin = AdminClient({**settings.kafka.client_config(), "log_level": 0})
    try:
        before = existing(admin, timeout_s)
        created = create(admin, settings, [topic for topic in topics if topic.name not in before], timeout_s)
        metadata = await_visible(admin, topics, timeout_s) if created else before
        configs = read_configs(admin, topics, timeout_s)
    except (KafkaException, TimeoutError) as error:
        raise ConfigError(f"Kafka at {settings.kafka.bootstrap_servers} did not serve the topics: {reason(error)}") from error
    reports = [describe(topic, topic.name in created, metadata[topic.name], configs[topic.name], settings) for topic in topics]
    require_equal_partitions(reports)
    return reports


def existing(admin: AdminClient, timeout_s: float) -> dict[str, Any]:
    """Metadata of the topics on the broker, by name."""
    return dict(admin.list_topics(timeout=timeout_s).topics)


def create(admin: AdminClient, settings: Settings, topics: list[Topic], timeout_s: float) -> set[str]:
    """Create topics; returns the names of those that were not there."""
    if not topics:
        return set()
    wanted = [
        NewTopic(
            topic.name,
            num_partitions=settings.kafka.partitions,
            replication_factor=settings.kafka.replication_factor,
            config=topic.broker_config(),
        )
        for topic in topics
    ]
    created = set()
    for name, future in admin.create_topics(wanted, request_timeout=timeout_s).items():
        try:
            future.result()
            created.add(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another process was faster
                raise ConfigError(f"Kafka would not create topic {name}: {reason(error)}") from error
    return created


def await_visible(admin: AdminClient, topics: Sequence[Topic], timeout_s: float) -> dict[str, Any]:
    """The topics' metadata, once every one of them has a leader for each partition."""
    deadline = time.monotonic() + VISIBLE_TIMEOUT_S
    while True:
        metadata = existing(admin, timeout_s)
        missing = [topic.name for topic in topics if not has_leaders(metadata.get(topic.name))]
        if not missing:
            return metadata
        if time.monotonic() > deadline:
            raise ConfigError(f"topics {', '.join(missing)} were created but have no leader after {VISIBLE_TIMEOUT_S:.0f} s")
        time.sleep(0.05)


def has_leaders(metadata: Any) -> bool:
    """Whether every partition of a topic has a leader."""
    return metadata is not None and bool(metadata.partitions) and all(p.leader >= 0 for p in metadata.partitions.values())


def read_configs(admin: AdminClient, topics: Sequence[Topic], timeout_s: float) -> dict[str, dict[str, str]]:
    """The effective settings of these topics, by topic name."""
    resources = [ConfigResource(ResourceType.TOPIC, topic.name) for topic in topics]
    futures = admin.describe_configs(resources, request_timeout=timeout_s)
    return {
        resource.name: {name: str(entry.value) for name, entry in future.result().items()}
        for resource, future in futures.items()
    }


def describe(topic: Topic, created: bool, metadata: Any, config: dict[str, str], settings: Settings) -> TopicReport:
    """Compare a topic on the broker with its contract."""
    partitions = len(metadata.partitions)
    replicas = min(len(partition.replicas) for partition in metadata.partitions.values())
    found = {"partitions": str(partitions), "replication factor": str(replicas), **config}
    wanted = {
        "partitions": str(settings.kafka.partitions),
        "replication factor": str(settings.kafka.replication_factor),
        **topic.broker_config(),
    }
    drift = tuple(
        Drift(name, value, found.get(name, "not set"))
        for name, value in wanted.items()
        if as_set(found.get(name, "")) != as_set(value)
    )
    return TopicReport(topic, created, partitions, replicas, drift)


def as_set(value: str) -> frozenset[str]:
    """A list setting's members: brokers order `compact,delete` as they like."""
    return frozenset(value.split(","))


def require_equal_partitions(reports: list[TopicReport]) -> None:
    """Raise ConfigError when user-keyed topics differ in partition count: one task could not own one user everywhere."""
    counts = {report.topic.name: report.partitions for report in reports if report.topic.key is Key.USER_ID}
    usual, _ = Counter(counts.values()).most_common(1)[0]
    odd = [f"{name} has {count}" for name, count in counts.items() if count != usual]
    if odd:
        raise ConfigError(
            f"user-keyed topics must have one partition count, and most have {usual}, but {', '.join(odd)}; "
            "delete the odd ones after draining them, or point PORTRAIT_KAFKA__BOOTSTRAP_SERVERS at another cluster"
        )


def reason(error: Exception) -> str:
    """What librdkafka says, without its wrapping."""
    inner = error.args[0] if error.args else error
    return str(inner.str()) if isinstance(inner, KafkaError) else str(error) or "no answer in time"
