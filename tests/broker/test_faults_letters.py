"""Dead letters that are large once they are decompressed."""

import random
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from deploy.local.stack import LocalStack
from deploy.reading import read_all
from schemas.errors import ConfigError
from schemas.topics import DEAD_LETTERS
from tests.broker.fault_case import FaultCase


@pytest.fixture
def case(kafka: LocalStack, tmp_path: Path) -> FaultCase:
    return FaultCase(kafka.settings, tmp_path)


def send_raw(case: FaultCase, value: bytes, compression: str) -> None:
    config = {**case.kafka.client_config(), "compression.type": compression, "message.max.bytes": 100_000_000}
    producer = Producer(config)
    failures: list[object] = []
    producer.produce(case.events.name, value, "user", on_delivery=lambda error, _: failures.append(error))
    producer.flush(30)
    assert failures == [None]


def test_what_came_compressed_harder_than_we_do_is_kept_and_stops_nothing(case: FaultCase) -> None:
    noise = random.Random(case.name).randbytes(300_000) * 8  # repeats lie further apart than lz4 looks back
    send_raw(case, noise, "zstd")
    case.send(200)
    case.work_off()
    case.judge()
    assert [raw.value == noise for raw in read_all(case.kafka, (DEAD_LETTERS,)) if len(raw.value or b"") == len(noise)] == [
        True
    ]


def test_a_letter_that_never_fits_ends_the_worker_with_what_to_do(case: FaultCase) -> None:
    entry = ConfigEntry("max.message.bytes", "10000000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, case.events.name, incremental_configs=[entry])
    case.admin.incremental_alter_configs([resource])[resource].result(30)
    send_raw(case, random.Random(case.name).randbytes(3_000_000), "none")
    failure = case.failure_of_a_worker()
    assert isinstance(failure, ConfigError)
    assert "a dead letter of 3,000,000 bytes does not fit" in str(failure) and "max.message.bytes" in str(failure)
    assert sum(case.committed().values()) == 0
