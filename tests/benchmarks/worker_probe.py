"""A running worker process, measured from outside: its CPU time, its memory, and whether it serves."""

import os
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from deploy.local.child import Child
from deploy.scrape import endpoints, scrape
from schemas.errors import PortraitError, Retryable

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
POLL_S = 0.02
LIMIT_S = 600.0


class WorkerProbe:
    """One process that runs with project folder `folder`."""

    def __init__(self, folder: Path, child: Child) -> None:
        self._folder = folder
        self._child = child

    def cpu_s(self) -> float:
        """CPU time so far, user and system, of all its threads; to 10 ms."""
        fields = Path(f"/proc/{self._child.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_S

    def memory_bytes(self) -> tuple[int, int]:
        """Resident now, and at most so far."""
        lines = (line.split() for line in Path(f"/proc/{self._child.pid}/status").read_text().splitlines())
        kilobytes = {words[0]: int(words[1]) for words in lines if words[0] in ("VmRSS:", "VmHWM:")}
        return kilobytes["VmRSS:"] * 1024, kilobytes["VmHWM:"] * 1024

    def batches(self) -> tuple[int, int]:
        """Messages folded so far, and the micro-batches that they came in."""
        metrics = scrape(self._url())
        return tuple(int(metrics.total(f"portrait_batch_messages_{part}") or 0) for part in ("sum", "count"))  # type: ignore[return-value]

    def await_assigned(self) -> None:
        """Return when it has been given partitions."""
        self._until(self._assigned, "was given no partitions")

    def await_ready(self) -> None:
        """Return when all that it was given is restored and read."""
        self._until(self._ready, "was not ready")

    def _url(self) -> str:
        """Where it serves its health; empty before it does."""
        return next((endpoint.url for endpoint in endpoints(self._folder) if endpoint.pid == self._child.pid), "")

    def _assigned(self) -> bool:
        url = self._url()
        try:
            return bool(url and scrape(url).total("portrait_partitions"))
        except Retryable:
            return False

    def _ready(self) -> bool:
        url = self._url()
        if not url:
            return False
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:  # also what urllib raises for status 503
            return False

    def _until(self, condition: Callable[[], bool], failure: str) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            if self._child.returncode is not None or time.monotonic() > deadline:
                raise PortraitError(f"the worker {failure}; {self._child.log} ends:\n{self._child.last_lines()}")
            time.sleep(POLL_S)
