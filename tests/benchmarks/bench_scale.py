"""`make bench-scale`: cost of an event, size of a user and time of a restore, as users and workers become more.

For each size: every user's state (50 events) is put on the changelog by the shortcut of scale_load.py, a worker restores it
and folds new events of users drawn evenly; CPU time is that of the worker process. Then it is killed under load and comes back
to its own store. At last what the stores hold is compared with a plain fold. 2 cores cannot show wall-clock scaling; CPU time
can.
"""

import json
import random
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from consumers.runtime.store import StoreReader
from deploy.local.stack import LocalStack, local_stack
from deploy.machine import MachineMeter
from deploy.topics import ensure_topics
from schemas.errors import PortraitError
from schemas.settings import KafkaSettings, RuntimeSettings, Settings
from schemas.topics import DEAD_LETTERS
from tests.benchmarks.committed import Committed
from tests.benchmarks.scale_load import States, folded, histories, load, send, user_name, write_changelog
from tests.benchmarks.tag_fold import EVENTS, TOPICS, Event, State, TagFold, encode
from tests.benchmarks.worker_probe import WorkerProbe
from tests.chaos.faults import FoldWorkers

PARTITIONS = 4
PROOF_USERS = 1000
SAMPLE = 1000
LIMIT_S = 600.0
SIZES = (10_000, 100_000, 1_000_000, 2_000_000)
WORKERS = (1, 2, 4)


@dataclass(frozen=True)
class Figures:
    """Of one number of users and workers. None: not measured in this step.

    restore: from the first partition's assignment to the last one's readiness. serving_again: from kill -9 under load, with an
    immediate new start, to readiness. disk: all files of the stores after a stop. judged: store entries compared.
    """

    users: int
    workers: int
    cpu_us_per_event: float
    restore_s: float
    restore_records_per_s: int
    serving_again_s: float | None
    disk_bytes_per_user: int
    state_bytes: int
    resident_mib: int
    peak_resident_mib: int
    judged: int
    differing: int


@dataclass(frozen=True)
class Load:
    """How many events are folded: before measuring, while measuring, and while the worker is killed."""

    warm_up: int
    measured: int
    killed: int


class Job:
    """Broker and workers of one step, and all events sent so far."""

    def __init__(self, stack: LocalStack, folder: Path, workers: int) -> None:
        self.settings = stack.settings
        self.folder = folder
        self.workers = FoldWorkers(stack.settings, folder, workers)
        self.sent: list[Event] = []
        self.committed = Committed(stack.settings.kafka, TagFold.name, EVENTS)

    def probes(self) -> list[WorkerProbe]:
        """The processes that run now."""
        return [WorkerProbe(self.folder, self.workers.child(replica)) for replica in self.workers.replicas]

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


def prove_shortcut(seed: int) -> None:
    """Send some users' whole histories through a real worker: its stores must hold, byte for byte, what the shortcut writes.

    Raises:
        PortraitError: they do not, so no figure would mean anything.
    """
    with job(workers=1) as running:
        running.start()
        running.fold([event for turn in zip(*histories(PROOF_USERS, seed), strict=True) for event in turn])
        running.workers.stop()
        held = {user: data for path in running.stores() for user, data in entries(path).items()}
    states = States(PROOF_USERS, seed)
    if held != {user_name(number): states[number] for number in range(PROOF_USERS)}:
        raise PortraitError("the states written in bulk are not those that a worker folds from the same events")


def entries(path: Path) -> dict[str, bytes]:
    """Everything in a store."""
    with StoreReader(path) as store:
        return {key.decode(): data for key, data in store.states()}


def measure(users: int, workers: int, planned: Load, seed: int, progress: Progress) -> Figures:
    """One step."""
    task = progress.add_task("", total=users)
    with job(workers) as running:
        progress.update(task, description=f"{users:,} users, {workers} workers: writing the changelog")
        states = States(users, seed)
        write_changelog(running.settings, states, users, lambda done: progress.update(task, completed=done))
        restore_s = running.start()
        progress.update(task, description=f"{users:,} users, {workers} workers: folding events")
        running.fold(load(users, planned.warm_up, seed + 1))
        before_s = running.cpu_s()
        running.fold(load(users, planned.measured, seed + 2))
        cpu_s = running.cpu_s() - before_s
        memory = [probe.memory_bytes() for probe in running.probes()]
        progress.update(task, description=f"{users:,} users, {workers} workers: killed and back")
        again_s = running.killed_under_load(load(users, planned.killed, seed + 3)) if workers == 1 else None
        running.workers.stop()
        progress.update(task, description=f"{users:,} users, {workers} workers: compared")
        judged, differing = judge(running, states, users, seed)
        disk = sum(file.stat().st_blocks * 512 for path in running.stores() for file in path.rglob("*") if file.is_file())
    progress.remove_task(task)
    return Figures(
        users=users, workers=workers, cpu_us_per_event=round(1e6 * cpu_s / planned.measured, 2),
        restore_s=round(restore_s, 2), restore_records_per_s=round(users / restore_s),
        serving_again_s=None if again_s is None else round(again_s, 2),
        disk_bytes_per_user=round(disk / users), state_bytes=len(states[0]),
        resident_mib=sum(now for now, _ in memory) >> 20, peak_resident_mib=sum(peak for _, peak in memory) >> 20,
        judged=judged, differing=differing,
    )  # fmt: skip


def judge(running: Job, states: States, users: int, seed: int) -> tuple[int, int]:
    """Compare the store entries of all users that sent something, and of some others, with the plain fold.

    Gives how many were compared, and how many differ.
    """
    chance = random.Random(seed)
    sent: dict[str, list[Event]] = {user_name(chance.randrange(users)): [] for _ in range(SAMPLE)}
    for event in running.sent:
        sent.setdefault(event.user_id, []).append(event)
    found = newest(running.stores(), sent)
    expected = {user_id: plain(states, user_id, events) for user_id, events in sent.items()}
    return len(expected), sum(found.get(user_id) != state for user_id, state in expected.items())


def plain(states: States, user_id: str, sent: list[Event]) -> bytes:
    """A user's state by the plain fold."""
    start = msgspec.json.decode(states[int(user_id.removeprefix("user-"))], type=State)
    return encode(folded(start, sent))


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


def table(steps: Sequence[Figures]) -> Table:
    """For people."""
    shown = Table(title="users, workers and what they cost", title_justify="left")
    columns = (
        "users",
        "workers",
        "CPU µs/event",
        "restore s",
        "records/s",
        "back after kill s",
        "disk B/user",
        "MiB",
        "differing",
    )
    for column in columns:
        shown.add_column(column, justify="right")
    for step in steps:
        again = "" if step.serving_again_s is None else f"{step.serving_again_s:.1f}"
        shown.add_row(
            f"{step.users:,}", str(step.workers), f"{step.cpu_us_per_event:.1f}", f"{step.restore_s:.1f}",
            f"{step.restore_records_per_s:,}", again, f"{step.disk_bytes_per_user:,}", f"{step.resident_mib:,}",
            f"{step.differing} of {step.judged:,}",
        )  # fmt: skip
    return shown


def summary(steps: Sequence[Figures], by_users: int) -> dict[str, Any]:
    """Both series for the report, and by how much the cost of an event differs within each."""
    sizes, workers = steps[:by_users], steps[by_users:]
    return {
        "by_users": [asdict(step) for step in sizes],
        "by_workers": [asdict(step) for step in workers],
        "cost_change_percent_by_users": change_percent(sizes),
        "cost_change_percent_by_workers": change_percent(workers),
    }


def change_percent(steps: Sequence[Figures]) -> float | None:
    """The dearest event against the cheapest."""
    costs = [step.cpu_us_per_event for step in steps]
    return round(100 * (max(costs) / min(costs) - 1), 1) if costs else None


def main(
    sizes: Annotated[list[int], typer.Option("--users", help="numbers of users, with one worker")] = list(SIZES),  # noqa: B006
    workers: Annotated[list[int], typer.Option("--workers", help="numbers of workers")] = list(WORKERS),  # noqa: B006
    workers_users: Annotated[int, typer.Option(help="users while the number of workers changes")] = 100_000,
    number: Annotated[int, typer.Option("--events", help="events measured in each step")] = 200_000,
    quick: Annotated[bool, typer.Option("--quick", help="a short try: few users, 1 and 2 workers")] = False,
    seed: Annotated[int, typer.Option(help="of histories and events")] = 1,
) -> None:
    """Measure and print; the last line is JSON."""
    if quick:
        sizes, workers, workers_users, number = [2_000, 20_000], [1, 2], 2_000, 40_000
    console = Console(stderr=True)
    meter = MachineMeter()
    planned = Load(number // 5, number, number // 2)
    plan = [(users, 1) for users in sizes] + [(workers_users, count) for count in workers]
    with Progress(console=console, refresh_per_second=1) as progress:
        overall: TaskID = progress.add_task("proving the shortcut", total=1 + len(plan))
        prove_shortcut(seed)
        steps = []
        for users, count in plan:
            progress.update(overall, advance=1, description="steps")
            steps.append(measure(users, count, planned, seed, progress))
        progress.advance(overall)
    console.print(table(steps))
    options = {"events_per_step": number, "partitions": PARTITIONS, "seed": seed}
    print(json.dumps({"report": "bench-scale", **summary(steps, len(sizes)), **options, **meter.report()}))
    raise typer.Exit(1 if any(step.differing for step in steps) else 0)


if __name__ == "__main__":
    typer.run(main)
