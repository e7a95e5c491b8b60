"""Reads /metrics of running processes, and what happened between two readings."""

import http.client
import json
import math
import os
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from consumers.runtime.announcement import ENDPOINTS_FOLDER
from schemas.errors import Retryable

TIMEOUT_S = 1.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Samples:
    """Sample values by name (as exposed: `portrait_lists_total`, `…_bucket`) and labels."""

    values: Mapping[tuple[str, Labels], float]

    def total(self, name: str, **labels: str) -> float | None:
        """The sum over all samples of this name that carry these labels; None when there is none."""
        wanted = labels.items()
        found = [value for (sample, has), value in self.values.items() if sample == name and wanted <= has]
        return sum(found) if found else None

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """The samples of this name summed by one label's value."""
        sums: defaultdict[str, float] = defaultdict(float)
        for (sample, has), value in self.values.items():
            if sample == name:
                sums[dict(has).get(label, "")] += value
        return dict(sums)


@dataclass(frozen=True)
class Snapshot(Samples):
    """What one process said of itself, and when (`time.monotonic`)."""

    taken_s: float


@dataclass(frozen=True)
class Growth(Samples):
    """By how much counters and histograms grew within `seconds`."""

    seconds: float

    def rate(self, name: str, **labels: str) -> float | None:
        """Growth per second; None when the counter is not there."""
        grown = self.total(name, **labels)
        return None if grown is None or self.seconds <= 0 else grown / self.seconds

    def quantile(self, histogram: str, q: float, **labels: str) -> float | None:
        """The q-quantile of what was observed, interpolated in its bucket as Prometheus does; None when nothing was.

        In the last, open bucket it is that bucket's lower bound.
        """
        buckets: defaultdict[float, float] = defaultdict(float)
        for (sample, has), value in self.values.items():
            if sample == f"{histogram}_bucket" and labels.items() <= has:
                buckets[float(dict(has)["le"])] += value
        return _quantile(sorted(buckets.items()), q)


def _quantile(buckets: Sequence[tuple[float, float]], q: float) -> float | None:
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = q * buckets[-1][1]
    lower = below = 0.0
    for upper, cumulative in buckets:
        if cumulative >= rank and cumulative > below:
            return lower if math.isinf(upper) else lower + (upper - lower) * (rank - below) / (cumulative - below)
        lower, below = upper, cumulative
    return lower


def growth(before: Snapshot, after: Snapshot) -> Growth:
    """What happened between two readings of one process; a counter that fell was restarted and counts from zero."""
    grown = {}
    for key, value in after.values.items():
        earlier = before.values.get(key, 0.0)
        grown[key] = value - earlier if value >= earlier else value
    return Growth(grown, after.taken_s - before.taken_s)


def merged(growths: Iterable[Growth]) -> Growth:
    """Several processes as one; the seconds are the longest."""
    sums: defaultdict[tuple[str, Labels], float] = defaultdict(float)
    seconds = 0.0
    for part in growths:
        seconds = max(seconds, part.seconds)
        for key, value in part.values.items():
            sums[key] += value
    return Growth(dict(sums), seconds)


def rate(before: Snapshot, after: Snapshot, name: str, **labels: str) -> float | None:
    """Growth per second of a counter between two readings of one process."""
    return growth(before, after).rate(name, **labels)


def quantile(before: Snapshot, after: Snapshot, histogram: str, q: float, **labels: str) -> float | None:
    """The q-quantile of what a histogram observed between two readings of one process."""
    return growth(before, after).quantile(histogram, q, **labels)


def parse(text: str, taken_s: float) -> Snapshot:
    """The samples of a /metrics answer in the Prometheus text format.

    Counters are named with `_total` at the end, also those of Triton, which are exposed without.

    Raises:
        ValueError: it is not that format.
    """
    families = text_string_to_metric_families(text)
    samples = [sample for family in families for sample in family.samples]
    return Snapshot({(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}, taken_s)


def scrape(url: str, timeout_s: float = TIMEOUT_S) -> Snapshot:
    """Read `url`/metrics.

    Raises:
        Retryable: no answer, or none that is metrics.
    """
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=timeout_s)
    try:
        connection.request("GET", "/metrics")
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise Retryable(f"{url} does not answer: {error}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Retryable(f"{url}/metrics answers with HTTP status {answer.status}")
    try:
        return parse(body.decode(), time.monotonic())
    except ValueError as error:
        raise Retryable(f"{url}/metrics is not in the Prometheus format: is it one of our processes?") from error


@dataclass(frozen=True)
class Endpoint:
    """Where a worker serves its metrics, as it announced itself."""

    role: str
    replica: str
    pid: int
    url: str

    @property
    def name(self) -> str:
        """Role and replica in one word."""
        return f"{self.role}-{self.replica}"


@dataclass(frozen=True)
class Reading:
    """One attempt to read a worker's metrics: a snapshot, or why there is none."""

    endpoint: Endpoint
    snapshot: Snapshot | None
    failure: str = ""


def endpoints(folder: Path) -> list[Endpoint]:
    """The workers that announced themselves in a project folder, by role and replica; some may have died since."""
    found = []
    for path in sorted((folder / ENDPOINTS_FOLDER).glob("*.json")):
        try:
            said = json.loads(path.read_text())
            found.append(Endpoint(str(said["role"]), str(said["replica"]), int(said["pid"]), str(said["url"])))
        except FileNotFoundError:  # it has just stopped
            continue
        except (ValueError, KeyError, TypeError):
            found.append(Endpoint(path.stem, "?", 0, ""))
    return found


def read_workers(workers: Sequence[Endpoint]) -> list[Reading]:
    """Read all of them at once, in the same order; takes no longer than the slowest."""
    if not workers:
        return []
    with ThreadPoolExecutor(max_workers=min(16, len(workers))) as pool:
        return list(pool.map(_read, workers))


def _read(endpoint: Endpoint) -> Reading:
    if not endpoint.url:
        return Reading(endpoint, None, "its endpoint file is not readable")
    if urlsplit(endpoint.url).hostname in LOOPBACK and not _lives(endpoint.pid):
        return Reading(endpoint, None, f"process {endpoint.pid} has died")  # its port may be another program's by now
    try:
        return Reading(endpoint, scrape(endpoint.url))
    except Retryable as error:
        return Reading(endpoint, None, str(error))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
