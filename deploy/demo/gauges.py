"""What the workers' own metrics say while the demo runs."""

import threading
import time
from pathlib import Path

from deploy.scrape import Snapshot, endpoints, read_workers
from schemas.errors import PortraitError

EVERY_S = 0.5
QUIET_S = 4.0
"""Lag must be zero for so long before inputs count as at rest; workers report it every two seconds."""


class Gauges:
    """Reads the metrics of one worker a role."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, role: str) -> Snapshot | None:
        """The newest metrics of a role; None while its process does not answer."""
        readings = read_workers([endpoint for endpoint in endpoints(self._folder) if endpoint.role == role])
        return next((reading.snapshot for reading in readings if reading.snapshot is not None), None)

    def total(self, role: str, name: str, **labels: str) -> float:
        """A counter or gauge of a role; 0 while it is not there."""
        snapshot = self.read(role)
        return 0.0 if snapshot is None else snapshot.total(name, **labels) or 0.0

    def lag(self, role: str) -> float | None:
        """Messages the role has not read yet, as it said lately; None while it has not said, 0 while it does not answer."""
        snapshot = self.read(role)
        return 0.0 if snapshot is None else snapshot.total("portrait_lag_messages")

    def await_rest(self, role: str, wait_s: float) -> None:
        """Return when the role has had nothing left to read for QUIET_S.

        Raises:
            PortraitError: not within `wait_s`.
        """
        still_since = started = time.monotonic()
        while time.monotonic() - still_since < QUIET_S:
            if self.lag(role) != 0:
                still_since = time.monotonic()
            if time.monotonic() - started > wait_s:
                raise PortraitError(f"the {role} still has messages to read after {wait_s:.0f} s; see its log")
            time.sleep(0.1)


class LlmMeter:
    """Tokens per second of profile_llm, over the time in which texts were asked for."""

    def __init__(self, gauges: Gauges) -> None:
        self.tokens = 0.0
        self.busy_s = 0.0
        self._gauges = gauges
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="llm-meter", daemon=True)
        self._thread.start()

    @property
    def tokens_per_s(self) -> float:
        """0 before the first text was asked for."""
        return self.tokens / self.busy_s if self.busy_s else 0.0

    def _run(self) -> None:
        last_s, last_tokens = time.monotonic(), 0.0
        while not self._stop.wait(EVERY_S):
            snapshot = self._gauges.read("narrator")
            if snapshot is None:
                continue
            now_s, tokens = snapshot.taken_s, snapshot.total("portrait_llm_tokens_total") or 0.0
            waiting = snapshot.total("portrait_narrator_queue_users") or 0.0
            if waiting or tokens > last_tokens:
                self.busy_s += now_s - last_s
                self.tokens += max(0.0, tokens - last_tokens)
            last_s, last_tokens = now_s, tokens

    def stop(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
