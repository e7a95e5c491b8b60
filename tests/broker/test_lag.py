"""The lag a worker reports must be what it is behind, also while it reads nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import LocalStack
from schemas.errors import Retryable
from schemas.metrics import LAG
from tests.broker.fault_case import CaseFold, FaultCase, until


@pytest.fixture
def case(kafka: LocalStack, tmp_path: Path) -> Iterator[FaultCase]:
    yield FaultCase(kafka.settings, tmp_path)
    LAG.clear()  # it lives as long as the process, in which other tests' workers run too


def lag(case: FaultCase) -> float | None:
    """What is reported of the case's input; None while nothing is."""
    reported = {sample.labels["topic"]: sample.value for metric in LAG.collect() for sample in metric.samples}
    return reported.get(case.events.name)


def refuse() -> None:
    raise Retryable("the test says so")


def test_lag_rises_while_the_inputs_are_paused(case: FaultCase) -> None:
    case.send(100)
    with case.worker(fold=CaseFold(case.name, before_batch=refuse)):
        until(lambda: lag(case) == 100, "lag of what was there")
        case.send(5_000)
        until(lambda: lag(case) == 5_100, "lag of what came while nothing was fetched")


def test_lag_is_told_during_a_restore_and_falls_to_0_after_it(case: FaultCase) -> None:
    case.send(400)
    case.work_off()
    foreign = case.foreign_transaction()  # no restore can end while it is open
    case.send(300)
    LAG.clear()
    with case.worker("new"):
        until(lambda: lag(case) is not None, "word of the lag")
        assert lag(case) == 300
        case.send(50)
        until(lambda: lag(case) == 350, "lag of what came during the restore")
        foreign.abort()
        until(lambda: lag(case) == 0, "end of the lag")


def test_lag_of_a_new_group_counts_from_where_the_log_begins(case: FaultCase) -> None:
    case.send(400)
    starts = {number: end // 2 for number, end in case.ends(case.events).items()}
    case.trim(starts)
    foreign = case.foreign_transaction()
    with case.worker():
        until(lambda: lag(case) is not None, "word of the lag")
        assert lag(case) == 400 - sum(starts.values())
        foreign.abort()
        until(lambda: lag(case) == 0, "end of the lag")


def test_markers_behind_the_last_message_are_no_lag(case: FaultCase) -> None:
    case.send_in_a_transaction(50)
    with case.worker():
        until(lambda: lag(case) == 0, "end of the lag")
