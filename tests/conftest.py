"""A real broker and a real Triton for the tests that need them; started once for the whole run."""

import gc
import os
import time
from collections.abc import Iterator

import hypothesis
import pytest

from deploy.local.jars import java_path, java_version
from deploy.local.stack import LocalStack, local_stack
from deploy.local.triton import wheel_folder
from deploy.topics import ensure_topics
from schemas.errors import ConfigError
from schemas.settings import KafkaSettings, Settings
from tests.clients_alive import clients_alive

PARTITIONS = 4
CLIENTS_END_WITHIN_S = 15.0

hypothesis.settings.register_profile("portrait", deadline=None)  # a busy machine is not a fault of the code
hypothesis.settings.load_profile("portrait")


def pytest_sessionfinish() -> None:
    """Let Kafka clients end that tests left behind. A process that exits while one of librdkafka's threads ends may die of a
    segmentation fault: both free what OpenSSL keeps of the thread, and at exit it takes no lock (`init_thread_deregister`)."""
    gc.collect()
    deadline_s = time.monotonic() + CLIENTS_END_WITHIN_S
    while clients_alive() and time.monotonic() < deadline_s:
        time.sleep(0.1)


@pytest.fixture(scope="session")
def needs_java() -> None:
    """Skip without what Kafka needs, but fail in CI, where it must be there."""
    skip_without(lambda: java_version(java_path()))


@pytest.fixture(scope="session")
def needs_triton() -> None:
    """Skip without the Triton wheel, but fail in CI, where it must be there."""
    skip_without(wheel_folder)


@pytest.fixture(scope="session")
def kafka(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A broker with Portrait's topics; `kafka.settings` has its address.

    Tests share it: use ids of your own, and a stack of your own where you stop the broker.
    """
    folder = tmp_path_factory.mktemp("kafka")
    with local_stack(folder, fresh_settings(), triton=False) as stack:
        ensure_topics(stack.settings)
        yield stack


@pytest.fixture(scope="session")
def stack(needs_java: None, needs_triton: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """Kafka with Portrait's topics, and Triton with all models; `stack.settings` has the addresses.

    Tests that stop a server start it again before they end.
    """
    folder = tmp_path_factory.mktemp("stack")
    with local_stack(folder, fresh_settings()) as stack:
        ensure_topics(stack.settings)
        yield stack


def fresh_settings() -> Settings:
    """Settings that take nothing from this machine's own servers."""
    return Settings(kafka=KafkaSettings(partitions=PARTITIONS))


def skip_without(prerequisite: object) -> None:
    """Skip with the reason that a prerequisite gives; fail in CI."""
    assert callable(prerequisite)
    try:
        prerequisite()
    except ConfigError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have this: {error}")
        pytest.skip(str(error))
