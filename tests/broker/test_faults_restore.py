"""Restores that meet a changelog whose tail is not plain records."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.runtime.store import Position
from deploy.local.stack import LocalStack
from schemas import metrics
from tests.broker.fault_case import CaseFold, FaultCase, until


@pytest.fixture
def case(kafka: LocalStack, tmp_path: Path) -> FaultCase:
    return FaultCase(kafka.settings, tmp_path)


def test_a_restore_waits_for_a_foreign_open_transaction_and_takes_nothing_of_it(case: FaultCase) -> None:
    case.send(400)
    case.work_off()
    foreign = case.foreign_transaction()
    committed = case.committed()
    case.send(400)
    fold = CaseFold(case.name)
    waits = metrics.RETRIES.labels(cause="Retryable")
    before = waits._value.get()
    with case.worker("new", fold, restore_timeout_s=1.0):
        until(lambda: waits._value.get() > before, "word of a restore that cannot end")
        assert fold.folded == 0 and case.committed() == committed
        foreign.abort()
        case.await_committed()
    case.judge("new")


def test_a_restore_that_is_held_up_does_not_keep_other_partitions_from_folding(case: FaultCase) -> None:
    case.send(400)
    case.work_off()
    foreign = case.foreign_transaction(0)
    serve_without_partition_0(case, foreign.abort)


def test_offsets_held_by_a_dead_writer_do_not_keep_other_partitions_from_folding(case: FaultCase) -> None:
    """As after a worker's death between adding its offsets and its first record: only the offsets are held."""
    case.send(400)
    case.work_off()
    foreign = case.foreign_offsets(0)
    serve_without_partition_0(case, lambda: foreign.abort_transaction(30))


def serve_without_partition_0(case: FaultCase, release: Callable[[], None]) -> None:
    """A worker without stores must fold whatever comes for partition 1 while 0 is held, and 0 once it is released."""
    held = case.committed()[0]
    retries = metrics.RETRIES.labels(cause="Retryable")
    before = retries._value.get()
    with case.worker("new", restore_timeout_s=1.0):
        for _ in range(8):
            case.send(50)
            until(lambda: case.committed()[1] == case.ends(case.events)[1], "fold of partition 1")
            time.sleep(0.4)  # in all, several times the restore's timeout
        assert case.committed()[0] == held
        assert retries._value.get() == before, "partition 1 was held back too"
        release()
        case.await_committed()
    case.judge("new")


def test_an_aborted_tail_is_passed_and_not_taken(case: FaultCase) -> None:
    case.send(400)
    case.work_off()
    case.foreign_transaction().abort()
    case.send(100)
    case.work_off("new")
    case.send(100)
    case.work_off("0")
    case.judge("0")


def test_a_tail_that_is_only_a_marker_does_not_hang_a_restore(case: FaultCase) -> None:
    case.send(400)
    case.work_off()
    ends = case.ends(case.states)
    for number in range(case.partitions):
        with case.store(number) as store:
            assert store.position().changelog_offset == ends[number] - 1, "the tail is the last commit's marker"
    case.send(100)
    case.work_off(restore_timeout_s=5.0)
    case.judge()


def test_a_store_that_was_told_a_wrong_progress_is_restored_in_full(case: FaultCase) -> None:
    case.send(400)
    case.work_off()
    with case.store(0) as store:
        position = store.position()
        wrong = {topic: offset - 1 for topic, offset in position.input_offsets.items()}
        states = dict.fromkeys({event.user_id for event in case.sent})
        store.write(states, Position(position.changelog_offset, wrong, position.complete_at_ms))
    case.send(100)
    case.work_off()
    case.judge()


def test_a_damaged_file_of_a_store_is_met_by_a_restore_in_full(case: FaultCase, caplog: pytest.LogCaptureFixture) -> None:
    case.send(300)
    case.work_off()
    with case.store(0):  # opened once more, what was only logged comes into files
        pass
    blobs = list((case.store_folder() / "0").glob("*.blob"))
    assert blobs
    for blob in blobs:
        blob.write_bytes(bytes(blob.stat().st_size))
    case.send(300)
    case.work_off()
    assert "a file of it is damaged" in caplog.text
    case.judge()
