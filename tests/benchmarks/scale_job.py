"""Broker and workers of one step of `make bench-scale`, and what their stores hold."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from consumers.runtime.store import StoreReader
from deploy.local.stack import LocalStack, local_stack
from deploy.topics import ensure_topics
from schemas.errors import PortraitError
from schemas.settings import KafkaSettings, RuntimeSettings, Settings
from schemas.topics import DEAD_LETTERS
from tests.benchmarks.committed import Committed
from tests.benchmarks.scale_load import send
from tests.benchmarks.tag_fold import EVENTS, TOPICS, Event, TagFold
from tests.benchmarks.worker_probe import WorkerProbe
from tests.chaos.faults import FoldWorkers

PARTITIONS = 4
LIMIT_S = 600.0
BROKER_QUIET_S, WORKER_QUIET_S = 16.0, 2.0
QUIET_SHARE = 0.1
"""A process is quiet when it used at most so much of a core so long: the broker's log cleaner looks for work every 15 s."""


class Job:
    """Broker and workers of one step, and all events sent so far."""

    def __init__(self, stack: LocalStack, folder: Path, workers: int) -> None:
        self.settings = stack.settings
        self.folder = folder
        self.workers = FoldWorkers(stack.settings, folder, workers)
        self.sent: list[Event] = []
        assert stack.kafka.child is not None
        self._broker = WorkerProbe(folder, stack.kafka.child)
        self.committed = Committed(stack.settings.kafka, TagFold.name, EVENTS)

    def probes(self) -> list[WorkerProbe]:
        """The processes that run now."""
        return [WorkerProbe(self.folder, self.workers.child(replica)) for replica in self.workers.replicas]

    def await_quiet_broker(self) -> None:
        """Return when the broker has cleaned its logs up, which it does after many records at once, and for minutes.

        Raises:
            PortraitError: it never came to rest; what is measured then says nothing.
        """
        await_quiet("the broker", self._broker.cpu_s, BROKER_QUIET_S)

    def await_quiet_workers(self) -> None:
        """Return when the workers' stores have compacted what a restore put into them.

        Raises:
            PortraitError: they never came to rest.
        """
        await_quiet("the workers", self.cpu_s, WORKER_QUIET_S)

    def start(self) -> float:
        """Start all workers; gives the seconds from the first one's assignment until all are ready."""
        self.workers.start_all()
        probes = self.probes()
        probes[0].await_assigned()
        began = time.monotonic()
        for probe in probes:
            probe.await_assigned()
            probe.await_ready()
        for probe in probes:  # an earlier one may have handed partitions on since
            probe.await_ready()
        return time.monotonic() - began

    def fold(self, events: list[Event]) -> None:
        """Send these events and wait until they are committed."""
        self.send(events)
        self.await_committed(len(self.sent))

    def await_committed(self, total: int) -> None:
        """Return when so many events are committed."""
        self.committed.wait(total, LIMIT_S, self.workers.child(self.workers.replicas[0]))

    def send(self, events: list[Event]) -> None:
        """Send these events."""
        send(self.settings, events)
        self.sent += events

    def cpu_s(self) -> float:
        """CPU time of all workers so far."""
        return sum(probe.cpu_s() for probe in self.probes())

    def batches(self) -> tuple[int, int]:
        """Messages of all workers so far, and their micro-batches."""
        messages, batches = zip(*(probe.batches() for probe in self.probes()), strict=True)
        return sum(messages), sum(batches)

    def killed_under_load(self, events: list[Event]) -> float:
        """Kill the only worker while it folds these events and start it again; gives the seconds until it is ready."""
        before = len(self.sent)
        sending = threading.Thread(target=self.send, args=(events,))
        sending.start()
        self.await_committed(before + len(events) // 10)
        replica = self.workers.replicas[0]
        began = time.monotonic()
        self.workers.child(replica).kill()
        self.workers.start(replica)
        self.probes()[0].await_ready()
        seconds = time.monotonic() - began
        sending.join()
        self.await_committed(before + len(events))
        return seconds

    def stores(self) -> Iterator[Path]:
        """Every partition's store, of all workers."""
        for replica in self.workers.replicas:
            yield from self.workers.store(replica).iterdir()


def await_quiet(who: str, cpu_s: Callable[[], float], period_s: float) -> None:
    """Return when these processes use hardly any CPU time for so long."""
    deadline = time.monotonic() + LIMIT_S
    used_s = cpu_s()
    while time.monotonic() < deadline:
        time.sleep(period_s)
        before_s, used_s = used_s, cpu_s()
        if used_s - before_s <= QUIET_SHARE * period_s:
            return
    raise PortraitError(f"{who} did not come to rest within {LIMIT_S:.0f} s; measure again")


@contextmanager
def job(workers: int) -> Iterator[Job]:
    """A stack of its own; everything ends and goes with the block."""
    with tempfile.TemporaryDirectory(prefix="portrait-bench-") as temporary:
        folder = Path(temporary)
        base = Settings(kafka=KafkaSettings(partitions=PARTITIONS), runtime=RuntimeSettings(folder=folder))
        with local_stack(folder / "stack", base, triton=False) as stack:
            ensure_topics(stack.settings, topics=(*TOPICS, DEAD_LETTERS))
            running = Job(stack, folder, workers)
            try:
                yield running
            finally:
                running.workers.stop()
                running.committed.close()


def entries(path: Path) -> dict[str, bytes]:
    """Everything in a store."""
    with StoreReader(path) as store:
        return {key.decode(): data for key, data in store.states()}


def newest(stores: Iterator[Path], users: Mapping[str, object]) -> dict[str, bytes]:
    """These users' states; of stores with the same partition the one that has come furthest counts."""
    reached: dict[str, tuple[int, Path]] = {}
    for path in stores:
        with StoreReader(path) as store:
            reached[path.name] = max(reached.get(path.name, (-1, path)), (store.position().changelog_offset, path))
    found: dict[str, bytes] = {}
    for _, path in reached.values():
        with StoreReader(path) as store:
            found |= {user_id: data for user_id in users if (data := store.get(user_id.encode())) is not None}
    return found
