"""A circuit breaker: whether a server that failed is asked again, and when. Pure; time and chance are passed in.

closed ──(a run of failures)──► open ──(the pause is over)──► half-open ──(the probe succeeds)──► closed
                                  ▲                               │
                                  └───(the probe fails; longer)───┘
"""

from collections import deque
from dataclasses import dataclass
from enum import IntEnum

Ticket = int
"""Names the state in which a call was let through: what comes of a call from an earlier state counts for nothing."""


class State(IntEnum):
    """The number is the metric's value."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


@dataclass(frozen=True)
class BreakerRules:
    """`failures` in a row within `window_s` open it; it stays open for `first_pause_s`, doubled with each failed probe."""

    failures: int
    window_s: float
    first_pause_s: float
    longest_pause_s: float


class Breaker:
    """Lets every call through, none, or one. Times are seconds of any clock that never goes back."""

    def __init__(self, rules: BreakerRules) -> None:
        self.state = State.CLOSED
        self._rules = rules
        self._ticket: Ticket = 0
        self._failed_at_s: deque[float] = deque(maxlen=rules.failures)
        self._pauses = 0
        self._open_until_s = 0.0
        self._probing = False

    def admit(self, now_s: float) -> Ticket | None:
        """A ticket for one call, to be given back with what came of it; None while the server is not to be asked."""
        if self.state is State.OPEN and now_s >= self._open_until_s:
            self._enter(State.HALF_OPEN)
        if self.state is State.OPEN or self._probing:
            return None
        self._probing = self.state is State.HALF_OPEN
        return self._ticket

    def retry_in_s(self, now_s: float) -> float:
        """How long until a call may be let through; 0 when that depends on a probe under way alone."""
        return max(0.0, self._open_until_s - now_s) if self.state is State.OPEN else 0.0

    def succeeded(self, ticket: Ticket) -> None:
        """The server answered the call, be it with a refusal of what was asked."""
        if ticket != self._ticket:
            return
        self._failed_at_s.clear()
        if self.state is State.HALF_OPEN:
            self._pauses = 0
            self._enter(State.CLOSED)

    def failed(self, ticket: Ticket, now_s: float, chance: float) -> None:
        """The server did not answer in time, or could not. `chance`, 0 to 1, spreads the pauses of many workers."""
        if ticket != self._ticket:
            return
        self._failed_at_s.append(now_s)
        if self.state is State.HALF_OPEN or self._is_run(now_s):
            longest_s = min(self._rules.longest_pause_s, self._rules.first_pause_s * 2.0**self._pauses)
            self._pauses = min(self._pauses + 1, 30)
            self._open_until_s = now_s + longest_s * (0.5 + chance / 2)
            self._enter(State.OPEN)

    def abandoned(self, ticket: Ticket) -> None:
        """The call was given up by its caller: that says nothing of the server. Another may be the probe."""
        if ticket == self._ticket:
            self._probing = False

    def _is_run(self, now_s: float) -> bool:
        return len(self._failed_at_s) == self._rules.failures and now_s - self._failed_at_s[0] <= self._rules.window_s

    def _enter(self, state: State) -> None:
        self.state = state
        self._ticket += 1
        self._probing = False
        self._failed_at_s.clear()
