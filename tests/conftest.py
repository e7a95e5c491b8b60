"""A real broker and a real Triton for the tests that need them; started once for the whole run."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import suppress

import hypothesis
import pytest

from deploy.local.jars import java_path, java_version
from deploy.local.stack import LocalStack, local_stack
from deploy.local.triton import wheel_folder
from deploy.topics import ensure_topics
from schemas.errors import ConfigError
from schemas.settings import KafkaSettings, Settings

PARTITIONS = 4
RUN = pytest.StashKey[pytest.Session]()

hypothesis.settings.register_profile("portrait", deadline=None)  # a busy machine is not a fault of the code
hypothesis.settings.load_profile("portrait")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Note the run, whose status is known by the time that `pytest_unconfigure` is called."""
    session.config.stash[RUN] = session


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Have this process end without the exit handlers of C libraries.

    It holds all of them at once, with threads of Kafka and gRPC clients that tests cut off on purpose; two runs of many died
    of a segmentation fault at their exit, after their last test had passed. Processes of workers end as everybody's do;
    tests/triton/test_ending.py looks at how.
    """
    if (session := config.stash.get(RUN, None)) is not None:
        atexit.register(end_now, session)


def end_now(session: pytest.Session) -> None:
    """Leave with the status of the run; what was registered before this is not run, so the streams are flushed here."""
    with suppress(OSError, ValueError):  # closed, or nobody reads them any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(int(session.exitstatus))


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
