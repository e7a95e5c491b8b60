"""A figure must never end a worker, nor stand still for ever because it could not be had once."""

import time
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from consumers.runtime import lag
from consumers.runtime.processor import TopicPartition
from schemas.metrics import LAG

PART = TopicPartition("lag-of-a-broker-that-fails", 0)


class Client:
    """An admin client of a broker that is gone for the first calls."""

    failures: ClassVar[list[Exception]] = [RuntimeError("cannot start"), ValueError("cannot ask")]

    def list_offsets(self, request: dict[Any, Any], **options: Any) -> dict[Any, Future[Any]]:
        if self.failures:
            raise self.failures.pop()
        future: Future[Any] = Future()
        future.set_result(SimpleNamespace(offset=7))
        return dict.fromkeys(request, future)


def no_observer() -> Any:
    raise AssertionError("what is read needs no committed offset")


def test_the_lag_is_asked_for_again_whatever_went_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lag, "EVERY_S", 0.0)
    reporter = lag.Lag(Client, no_observer, [PART.topic], lambda part: 3)  # type: ignore[arg-type]
    deadline_s = time.monotonic() + 10
    try:
        while LAG.labels(topic=PART.topic)._value.get() != 4 and time.monotonic() < deadline_s:
            reporter.report([PART])
            time.sleep(0.01)
        assert LAG.labels(topic=PART.topic)._value.get() == 4
        assert not Client.failures
    finally:
        LAG.remove(PART.topic)
