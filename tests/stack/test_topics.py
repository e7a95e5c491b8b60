"""Topics on a real broker: made once, never changed, and what differs is said."""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic  # type: ignore[attr-defined]

from deploy.local.stack import LocalStack, local_stack
from deploy.topics import TopicReport, ensure_topics
from schemas.errors import ConfigError
from schemas.settings import KafkaSettings, Settings
from schemas.topics import DEAD_LETTERS, RECOMMENDATIONS, TOPICS, USER_CONTROLS, Topic


@pytest.fixture(scope="module")
def broker(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    settings = Settings(kafka=KafkaSettings(partitions=2))
    with local_stack(tmp_path_factory.mktemp("broker"), settings, triton=False) as stack:
        yield stack


def drift_of(reports: list[TopicReport], topic: Topic) -> set[tuple[str, str]]:
    report = next(report for report in reports if report.topic == topic)
    return {(drift.property, drift.found) for drift in report.drift}


def test_made_once_never_changed_and_drift_is_said(broker: LocalStack) -> None:
    admin = AdminClient({**broker.settings.kafka.client_config()})
    odd = {"cleanup.policy": "delete", "retention.ms": "1000"}
    admin.create_topics([NewTopic(RECOMMENDATIONS.name, 2, 1, config=odd)])[RECOMMENDATIONS.name].result()
    admin.create_topics([NewTopic(DEAD_LETTERS.name, 3, 1)])[DEAD_LETTERS.name].result()

    first = ensure_topics(broker.settings)
    assert [report.topic for report in first] == list(TOPICS)
    assert [report.topic for report in first if not report.created] == [RECOMMENDATIONS, DEAD_LETTERS]
    assert all(report.partitions == 2 and not report.drift for report in first if report.created)

    for reports in (first, ensure_topics(broker.settings)):
        wrong = {("cleanup.policy", "delete"), ("retention.ms", "1000"), ("min.compaction.lag.ms", "0")}
        assert drift_of(reports, RECOMMENDATIONS) == wrong
        assert drift_of(reports, DEAD_LETTERS) >= {("partitions", "3"), ("max.message.bytes", "1048588")}
    assert not any(report.created for report in ensure_topics(broker.settings))

    admin.create_partitions([NewPartitions(USER_CONTROLS.name, 3)])[USER_CONTROLS.name].result()
    with pytest.raises(ConfigError, match="user-controls has 3"):
        ensure_topics(broker.settings)
