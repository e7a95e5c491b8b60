"""Workers that come, go, sleep and doubt each other: rebalances inside restores, twins, zombies, slow processors."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import NewPartitions  # type: ignore[attr-defined]

from consumers.runtime import clients
from consumers.runtime.worker import Worker
from deploy.local.child import Child
from deploy.local.stack import LocalStack
from schemas import metrics
from schemas.errors import ConfigError
from tests.broker.fault_case import CaseFold, FaultCase, until

MAX_POLL_INTERVAL_MS = 4000


@pytest.fixture
def case(kafka: LocalStack, tmp_path: Path) -> FaultCase:
    return FaultCase(kafka.settings, tmp_path, partitions=3)


def restoring(worker: Worker) -> int:
    """How many partitions it has, none of which is restored."""
    assignment = getattr(worker, "_assignment", None)
    tasks = dict(assignment.tasks) if assignment is not None else {}
    assert not any(task.restored for task in tasks.values())
    return sum(task.restoring for task in tasks.values())


def test_rebalances_during_a_restore_and_inside_each_other_lose_and_double_nothing(case: FaultCase) -> None:
    case.send(300)
    case.work_off()
    foreign = case.foreign_transaction()  # no restore can end before it does
    case.send(300)
    with case.worker("a") as first:
        until(lambda: restoring(first) == 3, "restore of all partitions")
        with case.worker("b") as second:
            until(lambda: restoring(first) + restoring(second) == 3 and restoring(second) > 0, "rebalance")
            with case.worker("c") as third:
                until(lambda: restoring(first) == restoring(second) == restoring(third) == 1, "rebalance inside a rebalance")
            case.send(300)
            foreign.abort()  # while the partition of the third belongs to nobody
            case.await_committed()
    case.judge("a", "b", "c")


def test_a_second_live_worker_of_one_name_is_refused_and_fences_nobody(case: FaultCase, tmp_path: Path) -> None:
    fold = CaseFold(case.name)
    lost_producers = metrics.ABORTS.labels(cause="producer")
    before = lost_producers._value.get()
    with case.worker():
        case.send(300)
        case.await_committed()
        with case.worker(fold=fold, folder=tmp_path / "twin"):
            for _ in range(8):
                case.send(50)
                time.sleep(0.5)
            case.await_committed()
            assert fold.folded == 0
            assert lost_producers._value.get() == before
    case.judge()


@contextmanager
def zombie_of(case: FaultCase, stop_file: Path, *how: str) -> Iterator[Child]:
    """A worker as a process, which will stop itself."""
    environment = {
        **os.environ,
        "PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": case.kafka.bootstrap_servers or "",
        "PORTRAIT_RUNTIME__FOLDER": str(case.folder),
        "PORTRAIT_RUNTIME__REPLICA": "zombie",
        "PORTRAIT_RUNTIME__TRANSACTION_TIMEOUT_MS": "3000",
    }
    command = [sys.executable, "-m", "tests.broker.fault_case", case.name, str(stop_file), *how]
    zombie = Child(command, environment, case.folder / "zombie.log")
    try:
        yield zombie
    finally:
        os.kill(zombie.pid, signal.SIGCONT)
        zombie.stop()


def test_a_zombie_that_slept_in_its_transaction_wakes_after_reassignment_and_changes_nothing(case: FaultCase) -> None:
    stop_file = case.folder / "stop"
    with zombie_of(case, stop_file) as zombie:
        case.send(200)
        case.await_committed()
        stop_file.touch()
        case.send(200)
        until(lambda: not stop_file.exists(), "zombie")
        with case.worker("living"):
            case.await_committed(60)
            case.send(200)
            case.await_committed()
            os.kill(zombie.pid, signal.SIGCONT)
            for _ in range(6):
                case.send(50)
                time.sleep(0.5)
            case.await_committed()
        assert zombie.returncode is None, zombie.last_lines()
        case.send(100)
        case.await_committed(60)  # the zombie is a worker like any other again
    case.judge("zombie", "living")


def test_a_zombie_that_slept_before_a_transaction_without_inputs_commits_nothing_of_it(case: FaultCase) -> None:
    stop_file = case.folder / "stop"
    with zombie_of(case, stop_file, "--idle") as zombie:
        case.send(200)
        case.await_committed()
        stop_file.touch()
        until(lambda: not stop_file.exists(), "zombie")
        with case.worker("living"):
            case.send(200)
            case.await_committed(60)
            os.kill(zombie.pid, signal.SIGCONT)
            for _ in range(6):
                case.send(50)
                time.sleep(0.5)
            case.await_committed()
        case.send(100)
        case.await_committed(60)
        assert zombie.returncode is None, zombie.last_lines()
    case.judge("zombie", "living")


def test_inputs_and_changelog_of_different_partition_counts_stop_the_worker_with_a_reason(case: FaultCase) -> None:
    case.admin.create_partitions([NewPartitions(case.events.name, 4)])[case.events.name].result(30)
    until(lambda: len(case.admin.list_topics(timeout=10).topics[case.events.name].partitions) == 4, "fourth partition")
    failure = case.failure_of_a_worker()
    assert isinstance(failure, ConfigError) and "need the same number of partitions" in str(failure)
    assert f"{case.events.name} has 4" in str(failure) and f"{case.states.name} has 3" in str(failure)


def test_a_processor_slower_than_max_poll_interval_commits_nothing_twice(
    case: FaultCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impatient(config: dict[str, Any], **more: Any) -> Consumer:
        if "group.protocol" in config:
            config = {**config, "max.poll.interval.ms": MAX_POLL_INTERVAL_MS}
        return Consumer(config, **more)

    monkeypatch.setattr(clients, "Consumer", impatient)
    slow = [2]

    def before_batch() -> None:
        if slow[0]:
            slow[0] -= 1
            time.sleep(2 * MAX_POLL_INTERVAL_MS / 1000)

    case.send(300)
    with case.worker("slow", CaseFold(case.name, before_batch)):
        until(lambda: slow[0] < 2, "slow batch")
        with case.worker("quick"):
            case.send(300)
            case.await_committed(60)
            until(lambda: bool(case.send(20)) and slow[0] == 0, "second slow batch: the slow one is back", 60)
            case.send(300)
            case.await_committed(60)
    case.judge("slow", "quick")
