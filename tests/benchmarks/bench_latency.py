"""`make bench-latency`: from an event to the committed answer that a read-committed subscriber sees.

With a model call, without, and with no work at all. Broker, Triton, three workers, producer and subscriber share this machine;
two of the workers are idle at any time. At each rate the three are measured one after the other, so that their ratios come
from the same minute.
"""

import itertools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from deploy.local.child import Child
from deploy.local.stack import LocalStack, local_stack
from deploy.machine import MachineMeter
from deploy.topics import ensure_topics
from producers.publisher import Publisher
from schemas.errors import PortraitError
from schemas.settings import KafkaSettings, RuntimeSettings, Settings
from schemas.topics import DEAD_LETTERS
from tests.benchmarks.committed import Committed
from tests.benchmarks.latency_client import Measured, Step
from tests.benchmarks.latency_fold import MODEL, Variant
from tests.benchmarks.tag_fold import HISTORY_LENGTH, encode
from tests.chaos.feed import events

RATES_PER_S = (100, 500, 1000)
MODELS = Path(__file__).with_name("models")
FILL_LIMIT_S = 240.0
WARM_UP_RATE_PER_S = 1000.0


class Bench:
    """The running stack, and one worker process a variant."""

    def __init__(self, stack: LocalStack, folder: Path, users: int, seed: int) -> None:
        self._settings = stack.settings
        self._folder = folder
        self._users = users
        self._seeds = itertools.count(seed)  # each step has events of its own
        self._workers: list[Child] = []

    def start(self, variant: Variant) -> None:
        """Start a worker, and give every user a full history through it."""
        kafka = self._settings.kafka
        environment = {
            **os.environ,
            "PORTRAIT_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers or "",
            "PORTRAIT_TRITON__GRPC_ADDRESS": self._settings.triton.grpc_address or "",
            "PORTRAIT_RUNTIME__FOLDER": str(self._folder),
        }
        command = [sys.executable, "-m", "tests.benchmarks.latency_worker", variant]
        worker = Child(command, environment, self._folder / "logs" / f"{variant}.log")
        self._workers.append(worker)
        total = fill(kafka, variant, self._users, next(self._seeds))
        committed = Committed(kafka, f"latency-{variant}", variant.events)
        committed.wait(total, FILL_LIMIT_S, worker)
        committed.close()

    def measure(self, variant: Variant, rate_per_s: float, settle_s: float, measure_s: float) -> Measured:
        """One step, from a process of its own.

        Raises:
            PortraitError: it failed, or an event was not answered exactly once.
        """
        kafka = self._settings.kafka
        assert kafka.bootstrap_servers
        seed = next(self._seeds)
        step = Step(kafka.bootstrap_servers, variant, kafka.partitions, rate_per_s, settle_s, measure_s, self._users, seed)
        command = [sys.executable, "-m", "tests.benchmarks.latency_client", msgspec.json.encode(step).decode()]
        client = subprocess.run(command, capture_output=True, text=True)
        if client.returncode != 0:
            raise PortraitError(f"{variant} at {rate_per_s:g} events a second: {client.stderr[-2000:]}")
        return msgspec.json.decode(client.stdout, type=Measured)

    def stop(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.stop()


@contextmanager
def bench(partitions: int, users: int, seed: int) -> Iterator[Bench]:
    """A stack of its own with a broker and the one model; everything ends and goes with the block."""
    with tempfile.TemporaryDirectory(prefix="portrait-bench-") as temporary:
        folder = Path(temporary)
        base = Settings(kafka=KafkaSettings(partitions=partitions), runtime=RuntimeSettings(folder=folder))
        with local_stack(folder / "stack", base, models=[MODEL], repository=MODELS, long_lived=True) as stack:
            topics = [topic for variant in Variant for topic in variant.topics]
            ensure_topics(stack.settings, topics=(*topics, DEAD_LETTERS))
            running = Bench(stack, folder, users, seed)
            try:
                yield running
            finally:
                running.stop()


def fill(kafka: KafkaSettings, variant: Variant, users: int, seed: int) -> int:
    """As many events of each user as a history holds; gives their number."""
    total = users * HISTORY_LENGTH
    with Publisher(kafka) as publisher:
        for number, event in enumerate(itertools.islice(events(seed, users), total)):
            user_id = f"user-{number % users}"
            publisher.send_raw(variant.events, user_id.encode(), encode(msgspec.structs.replace(event, user_id=user_id)))
    return total


def figures(measured: Measured, steal_percent: float | None) -> dict[str, Any]:
    """Of one step, for the report."""
    p50, p99 = (round(float(value), 1) for value in np.percentile(measured.latencies_ms, (50, 99)))
    longest = round(max(measured.latencies_ms), 1)
    sent_per_s = round(measured.sent_per_s, 1)
    return {"p50": p50, "p99": p99, "max": longest, "sent_per_s": sent_per_s, "cpu_steal_percent": steal_percent}


def run(
    bench: Bench, rates_per_s: Sequence[int], warm_up_s: float, settle_s: float, measure_s: float, progress: Progress
) -> dict[str, Any]:
    """All steps; figures by rate and variant."""
    task = progress.add_task("start", total=len(Variant) * (2 + len(rates_per_s)))
    for variant in Variant:
        progress.update(task, description=f"{variant}: every user's history")
        bench.start(variant)
        progress.advance(task)
    for variant in Variant:
        progress.update(task, description=f"{variant}: warm-up")
        bench.measure(variant, WARM_UP_RATE_PER_S, settle_s, warm_up_s)
        progress.advance(task)
    report: dict[str, Any] = {}
    for rate_per_s in rates_per_s:
        for variant in reversed(Variant):
            progress.update(task, description=f"{rate_per_s:,} events a second, {variant}")
            meter = MachineMeter()
            measured = bench.measure(variant, rate_per_s, settle_s, measure_s)
            report.setdefault(str(rate_per_s), {})[variant.value] = figures(measured, meter.steal_percent())
            progress.advance(task)
    return report


def table(report: dict[str, Any]) -> Table:
    """For people."""
    shown = Table(title="event to committed answer, ms", title_justify="left")
    for column in ("events/s", "", "p50", "p99", "longest", "p50 ÷ bare", "stolen CPU %"):
        shown.add_column(column, justify="left" if column == "" else "right")
    for rate_per_s, by_variant in report.items():
        for variant, found in by_variant.items():
            ratio = found["p50"] / by_variant[Variant.BARE]["p50"]
            columns = (found["p50"], found["p99"], found["max"], f"{ratio:.1f}", found["cpu_steal_percent"])
            shown.add_row(rate_per_s, variant.replace("_", " "), *map(str, columns))
    return shown


def main(
    rates: Annotated[list[int], typer.Option("--rate", help="events a second; repeat for more")] = list(RATES_PER_S),  # noqa: B006
    measure_s: Annotated[float, typer.Option(min=1, help="seconds counted in each step")] = 15.0,
    settle_s: Annotated[float, typer.Option(min=0.5, help="seconds at the start of each step that are not counted")] = 2.0,
    warm_up_s: Annotated[float, typer.Option(min=1, help="seconds of warm-up of each variant, not counted")] = 60.0,
    users: Annotated[int, typer.Option(min=1, help="users, each with a full history before the first step")] = 2000,
    partitions: Annotated[int, typer.Option(min=1, help="of each topic")] = 1,
    seed: Annotated[int, typer.Option(help="of the events")] = 1,
) -> None:
    """Measure and print; the last line is JSON."""
    console = Console(stderr=True)
    meter = MachineMeter()
    with bench(partitions, users, seed) as running, Progress(console=console, refresh_per_second=1) as progress:
        report = run(running, rates, warm_up_s, settle_s, measure_s, progress)
    console.print(table(report))
    options = {"users": users, "partitions": partitions, "measure_s": measure_s, "seed": seed}
    print(json.dumps({"report": "bench-latency", **report, **options, **meter.report()}))


if __name__ == "__main__":
    typer.run(main)
