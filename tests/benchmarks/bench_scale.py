"""`make bench-scale`: cost of an event, size of a user and time of a restore, as users and workers become more.

For each size: every user's state (50 events) is put on the changelog by the shortcut of scale_load.py, a worker restores it
and folds new events of users who take turns; CPU time is that of the worker process. Then it is killed under load and comes
back to its own store. At last what the stores hold is compared with a plain fold. 2 cores cannot show wall-clock scaling; CPU
time can.
"""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.machine import MachineMeter
from schemas.errors import PortraitError
from tests.benchmarks.scale_job import PARTITIONS, Job, entries, job, newest
from tests.benchmarks.scale_load import States, folded, histories, load, user_name, write_changelog
from tests.benchmarks.tag_fold import Event, State, encode

PROOF_USERS = 1000
SAMPLE = 1000
SIZES = (10_000, 100_000, 1_000_000, 2_000_000)
WORKERS = (1, 2, 4)


Step = tuple[int, int]
"""Users and workers."""


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
    events_per_batch: int
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


def measure(users: int, workers: int, planned: Load, seed: int, progress: Progress) -> Figures:
    """One step."""
    task = progress.add_task("", total=users)
    with job(workers) as running:
        progress.update(task, description=f"{users:,} users, {workers} workers: writing the changelog")
        states = States(users, seed)
        write_changelog(running.settings, states, users, lambda done: progress.update(task, completed=done))
        running.await_quiet_broker()
        restore_s = running.start()
        running.await_quiet_workers()
        progress.update(task, description=f"{users:,} users, {workers} workers: folding events")
        running.fold(load(users, planned.warm_up, seed + 1))
        events = load(users, planned.measured, seed + 2)
        before_s, (messages_before, batches_before) = running.cpu_s(), running.batches()
        running.fold(events)
        cpu_s, (messages, batches) = running.cpu_s() - before_s, running.batches()
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
        events_per_batch=round((messages - messages_before) / max(1, batches - batches_before)),
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


def table(steps: Sequence[Figures]) -> Table:
    """For people."""
    title = "CPU of an event, mean batch, restore, back after kill -9, disk of a user, memory"
    shown = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("users", "workers", "CPU µs", "batch", "restore s", "back s", "disk B", "MiB", "differ"):
        shown.add_column(column, justify="right", no_wrap=True)
    for step in steps:
        again = "" if step.serving_again_s is None else f"{step.serving_again_s:.1f}"
        shown.add_row(
            f"{step.users:,}", str(step.workers), f"{step.cpu_us_per_event:.1f}", f"{step.events_per_batch:,}",
            f"{step.restore_s:.1f}", again, f"{step.disk_bytes_per_user:,}", f"{step.resident_mib:,}", f"{step.differing}",
        )  # fmt: skip
    return shown


def summary(steps: Mapping[Step, Figures], sizes: Sequence[Step], workers: Sequence[Step]) -> dict[str, Any]:
    """Both series for the report, and by how much the cost of an event differs from that of each one's first step."""
    report: dict[str, Any] = {}
    for name, series in (("users", sizes), ("workers", workers)):
        figures = [steps[step] for step in series]
        report[f"by_{name}"] = [asdict(step) for step in figures]
        report[f"cost_change_percent_by_{name}"] = change_percent(figures)
        report[f"cost_spread_percent_by_{name}"] = spread_percent(figures)
    return report


def change_percent(steps: Sequence[Figures]) -> float | None:
    """What an event costs more, or less, than with the first number of users or workers: the step that differs most."""
    costs = [step.cpu_us_per_event for step in steps]
    return round(max((100 * (cost / costs[0] - 1) for cost in costs), key=abs), 1) if costs else None


def spread_percent(steps: Sequence[Figures]) -> float | None:
    """The dearest event against the cheapest."""
    costs = [step.cpu_us_per_event for step in steps]
    return round(100 * (max(costs) / min(costs) - 1), 1) if costs else None


def main(
    sizes: Annotated[list[int], typer.Option("--users", help="numbers of users, with one worker")] = list(SIZES),  # noqa: B006
    workers: Annotated[list[int], typer.Option("--workers", help="numbers of workers")] = list(WORKERS),  # noqa: B006
    workers_users: Annotated[int, typer.Option(help="users while the number of workers changes")] = 100_000,
    number: Annotated[int, typer.Option("--events", help="events measured in each step")] = 1_000_000,
    quick: Annotated[bool, typer.Option("--quick", help="a short try: few users, 1 and 2 workers")] = False,
    seed: Annotated[int, typer.Option(help="of histories and events")] = 1,
) -> None:
    """Measure and print; the last line is JSON."""
    if quick:
        sizes, workers, workers_users, number = [2_000, 20_000], [1, 2], 2_000, 40_000
    console = Console(stderr=True)
    meter = MachineMeter()
    planned = Load(number // 5, number, number // 10)
    by_users, by_workers = [(users, 1) for users in sizes], [(workers_users, count) for count in workers]
    plan = list(dict.fromkeys(by_users + by_workers))
    steps: dict[Step, Figures] = {}
    with Progress(console=console, refresh_per_second=1) as progress:
        overall = progress.add_task("proving the shortcut", total=1 + len(plan))
        prove_shortcut(seed)
        for users, count in plan:
            progress.update(overall, advance=1, description="steps")
            steps[users, count] = measure(users, count, planned, seed, progress)
        progress.advance(overall)
    console.print(table(list(steps.values())))
    options = {"events_per_step": number, "partitions": PARTITIONS, "seed": seed}
    print(json.dumps({"report": "bench-scale", **summary(steps, by_users, by_workers), **options, **meter.report()}))
    raise typer.Exit(1 if any(step.differing for step in steps.values()) else 0)


if __name__ == "__main__":
    typer.run(main)
