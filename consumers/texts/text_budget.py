"""How many profile texts may be begun, and how they are shared among users. Pure: it is told the time."""

from collections import OrderedDict

from consumers.runtime.processor import StateKey
from schemas.settings import NarratorSettings

OWN_WORD = 0
"""`ProfileRequest.priority` of what follows from the user's own word."""
OWN_WORD_PAUSE_S = 2.0
"""Time between two texts of one user by their own word: someone who edits without end must not use up what all share."""
OLDEST_EVERY = 4
"""Every so many texts the one that waits longest goes first, whatever its priority: so none waits for ever."""


class TextBudget:
    """A token bucket of `calls_per_s`, filled to `calls_burst`, and a pause of `user_pause_s` between two texts of a user.

    In any t seconds at most `calls_per_s` * t + `calls_burst` texts begin. `calls_per_s` 0 is no limit.
    """

    def __init__(self, limits: NarratorSettings) -> None:
        self._rate = limits.calls_per_s
        self._burst = float(limits.calls_burst)
        self._pause_s = limits.user_pause_s
        self._tokens = self._burst
        self._filled_s: float | None = None
        self._begun = 0
        self._last_s: OrderedDict[StateKey, float] = OrderedDict()  # the longest ago first

    def allows(self, now_s: float) -> bool:
        """Whether a text may begin now."""
        if not self._rate:
            return True
        if self._filled_s is not None and now_s > self._filled_s:
            self._tokens = min(self._burst, self._tokens + (now_s - self._filled_s) * self._rate)
        self._filled_s = now_s if self._filled_s is None else max(now_s, self._filled_s)
        return self._tokens >= 1.0

    @property
    def turn_of_oldest(self) -> bool:
        """Whether the next text is for the request that waits longest, not for the most urgent one."""
        return self._begun % OLDEST_EVERY == OLDEST_EVERY - 1

    def begin(self, key: StateKey, now_s: float) -> None:
        """A text of this user begins now; `allows` has said that it may."""
        self._begun += 1
        self._tokens -= 1.0 if self._rate else 0.0
        self._last_s.pop(key, None)
        self._last_s[key] = now_s
        longest_s = max(self._pause_s, OWN_WORD_PAUSE_S)
        while now_s - next(iter(self._last_s.values())) > longest_s:
            self._last_s.popitem(last=False)

    def ready_at_s(self, key: StateKey, priority: int) -> float:
        """The earliest time for this user's next text of this priority; minus infinity where nothing speaks against now."""
        last_s = self._last_s.get(key)
        if last_s is None or not self._pause_s:
            return float("-inf")
        return last_s + (min(OWN_WORD_PAUSE_S, self._pause_s) if priority == OWN_WORD else self._pause_s)
