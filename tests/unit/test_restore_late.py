"""Restores that take too long: said once in a while, and tried anew when nothing else is done meanwhile."""

import logging
from collections.abc import Callable

import pytest

from consumers.runtime import restore as module
from consumers.runtime.restore import Restorer
from schemas.errors import Retryable


class Silent:
    """A reader of a changelog whose ends stay out of reach, as behind a foreign transaction."""

    def consume(self, count: int, wait_s: float) -> list[object]:
        return []

    def incremental_assign(self, parts: object) -> None: ...

    def list_topics(self, topic: str, timeout_s: float) -> None: ...


class FakeStore:
    def __init__(self, partition: int) -> None:
        self.partition = partition

    def position(self) -> module.Position:
        return module.Position()

    def restore(self, states: object, position: module.Position) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Seconds pass when it is called, and no sooner."""
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return lambda seconds: now.__setitem__(0, now[0] + seconds)


def begun(monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None], apart_s: float) -> Restorer:
    monkeypatch.setattr(Restorer, "_watermarks", lambda self, partition: (0, 10))
    restorer = Restorer(Silent(), lambda: None, "log", timeout_s=1.0)  # type: ignore[arg-type, return-value]
    for number in range(3):
        restorer.start(FakeStore(number))  # type: ignore[arg-type]
        clock(apart_s)
    return restorer


def steps_until_tried_again(restorer: Restorer, clock: Callable[[float], None]) -> int:
    for steps in range(1, 100):
        clock(0.05)
        try:
            assert restorer.step(serving=False) == []
        except Retryable as error:
            return steps if "partitions [0, 1, 2] of log were not restored" in str(error) else 0
    raise AssertionError("it waits for ever")


@pytest.mark.parametrize("apart_s", [0.0, 0.3])
def test_all_that_are_late_are_tried_again_however_far_apart_they_began(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None], apart_s: float
) -> None:
    restorer = begun(monkeypatch, clock, apart_s)
    assert 1 <= steps_until_tried_again(restorer, clock) * 0.05 + 3 * apart_s < 2
    for _ in range(2):
        assert 1 <= steps_until_tried_again(restorer, clock) * 0.05 < 1.2


def test_while_others_are_served_it_is_only_said_once_a_timeout(
    monkeypatch: pytest.MonkeyPatch, clock: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    restorer = begun(monkeypatch, clock, 0.0)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            clock(0.05)
            restorer.step(serving=True)
    assert 3 <= len(caplog.records) <= 5
    with pytest.raises(Retryable):
        restorer.step(serving=False)
