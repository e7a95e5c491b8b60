"""Waiting between attempts: longer each time, up to a limit, with jitter so that many do not come back at once."""

import random
import time


class Backoff:
    """When the next attempt may be made."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0
        self._until_s = 0.0

    @property
    def waiting(self) -> bool:
        """Whether the pause after the last failure still lasts."""
        return time.monotonic() < self._until_s

    def failed(self, retry_in_s: float | None = None) -> float:
        """An attempt failed; gives the pause from now on, in seconds.

        Where `retry_in_s` is known the pause is that, and a moment more: the server was not asked, so it does not grow.
        """
        if retry_in_s is None:
            pause_s = min(self._longest_s, self._first_s * 2.0**self._failures) * random.uniform(0.5, 1.0)
            self._failures = min(self._failures + 1, 10)
        else:
            pause_s = retry_in_s + self._first_s * random.uniform(0.1, 0.5)
        self._until_s = time.monotonic() + pause_s
        return pause_s

    def succeeded(self) -> None:
        """The next failure waits the first pause again."""
        self._failures = 0
