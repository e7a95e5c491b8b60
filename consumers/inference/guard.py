"""What stands between a caller and a model that may be slow or dead: its circuit breaker, and repeats inside a budget."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from consumers.inference.breaker import Breaker, BreakerRules, State, Ticket
from schemas import metrics
from schemas.errors import BadMessage, ConfigError, Retryable
from schemas.settings import TritonSettings

log = logging.getLogger("portrait.inference")

T = TypeVar("T")
REPEAT_PAUSE_S = (0.05, 0.8)
"""Longest pause before the first repeat, and before any; each is drawn evenly from nothing to it, and it doubles."""


class Admission(NamedTuple):
    """A call let through. A probe is made once: it only asks whether the server is back."""

    ticket: Ticket
    probe: bool


class Guard:
    """One model's breaker with its clock, lock, metric and log lines; safe to use from several threads."""

    def __init__(self, model: str, address: str, settings: TritonSettings) -> None:
        self._model = model
        self._address = address
        self._breaker = Breaker(breaker_rules(settings))
        self._lock = threading.Lock()
        self._shown = State.CLOSED
        metrics.BREAKER_STATE.labels(model).set(State.CLOSED)

    @contextmanager
    def call(self) -> Iterator[Admission]:
        """Around one call, its repeats included: what it raises tells the breaker how the server is.

        Raises:
            Retryable: the breaker is open; nothing was asked. Says when it will be.
        """
        admission = self._admit()
        try:
            yield admission
        except Retryable as error:
            self._failed(admission, error)
            raise
        except (BadMessage, ConfigError):
            self._succeeded(admission)  # the server answered
            raise
        except BaseException:
            with self._lock:
                self._breaker.abandoned(admission.ticket)
            raise
        self._succeeded(admission)

    def _admit(self) -> Admission:
        with self._lock:
            now_s = time.monotonic()
            ticket = self._breaker.admit(now_s)
            retry_in_s = self._breaker.retry_in_s(now_s)
            probe = self._breaker.state is State.HALF_OPEN
            self._show()
        if ticket is not None:
            return Admission(ticket, probe)
        metrics.CALLS_HELD_BACK.labels(self._model).inc()
        when = f"a call is let through in {retry_in_s:.1f} s" if retry_in_s else "one call is under way to see"
        raise Retryable(f"{self._model} at {self._address} is not asked, as it failed again and again; {when}", retry_in_s)

    def _succeeded(self, admission: Admission) -> None:
        with self._lock:
            self._breaker.succeeded(admission.ticket)
            self._show()

    def _failed(self, admission: Admission, error: Retryable) -> None:
        with self._lock:
            now_s = time.monotonic()
            self._breaker.failed(admission.ticket, now_s, random.random())
            self._show(f"; not asked for {self._breaker.retry_in_s(now_s):.1f} s ({error})")

    def _show(self, why: str = "") -> None:
        """Metric and log line, where the state has changed."""
        state = self._breaker.state
        if state is self._shown:
            return
        self._shown = state
        metrics.BREAKER_STATE.labels(self._model).set(state)
        level = logging.WARNING if state is State.OPEN else logging.INFO
        log.log(level, "breaker of %s at %s is %s%s", self._model, self._address, _WORDS[state], why)


_WORDS = {State.CLOSED: "closed: it answers", State.HALF_OPEN: "half-open: one call is let through", State.OPEN: "open"}


def breaker_rules(settings: TritonSettings) -> BreakerRules:
    """The settings, as the breaker wants them."""
    return BreakerRules(
        failures=settings.breaker_failures,
        window_s=settings.breaker_window_s,
        first_pause_s=settings.breaker_first_pause_s,
        longest_pause_s=max(settings.breaker_first_pause_s, settings.breaker_longest_pause_s),
    )


def repeated(
    call: Callable[[], T],
    budget_s: float,
    on_repeat: Callable[[], object],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
    draw: Callable[[float, float], float] = random.uniform,
) -> T:
    """The call's answer, asked for again while it fails with what may pass; no repeat begins after `budget_s`.

    A call that ran into its own deadline has most often used up the budget: it is not repeated then.
    """
    give_up_s = clock() + budget_s
    longest_s, limit_s = REPEAT_PAUSE_S
    while True:
        try:
            return call()
        except Retryable:
            pause_s = draw(0.0, longest_s)
            if clock() + pause_s >= give_up_s:
                raise
            sleep(pause_s)
            on_repeat()
            longest_s = min(limit_s, 2 * longest_s)
