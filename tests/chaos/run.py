"""`make chaos MINUTES=30`: workers, broker and network fail again and again under load.

Nothing may be lost, doubled or different.
"""

import json
import logging
import math
import random
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import typer
from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition
from rich.console import Console
from rich.progress import Progress

from deploy.local.ports import free_port
from deploy.local.stack import Ports, local_stack
from deploy.machine import MachineMeter
from deploy.topics import ensure_topics
from schemas.errors import PortraitError
from schemas.settings import KafkaSettings, RuntimeSettings, Settings
from schemas.topics import TOPICS as PORTRAIT_TOPICS
from tests.benchmarks.tag_fold import EVENTS, STATES, SUMMARIES, TagFold
from tests.chaos.faults import Faults, FoldWorkers
from tests.chaos.feed import Feed
from tests.chaos.fold_judge import FoldVerdict, judge_fold
from tests.chaos.proxy import Proxy

log = logging.getLogger(__name__)

PARTITIONS = 6
CHANGELOG = replace(
    STATES, config={"segment.bytes": str(1024 * 1024), "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "60000"}
)
"""Compacted all the while, with its tombstones and transaction markers soon deleted, as after weeks in production."""
DRAIN_S = 180.0


@dataclass(frozen=True)
class Plan:
    """How long at least, how hard, and with which luck."""

    minutes: float
    seed: int
    faults: int = 0
    workers: int = 2
    users: int = 20_000
    events_per_s: float = 700.0
    pause_s: float = 2.0
    only: str = ""


@dataclass(frozen=True)
class ChaosOutcome:
    """The verdict, and what was done to get it."""

    verdict: FoldVerdict
    sent: int
    faults: dict[str, int]
    restarted: int


def chaos(plan: Plan, folder: Path, progress: Progress | None = None) -> ChaosOutcome:
    """Run it, with everything under `folder`.

    Raises:
        PortraitError: the workers did not come to rest.
    """
    runtime = RuntimeSettings(folder=folder)
    base = Settings(kafka=KafkaSettings(partitions=PARTITIONS), runtime=runtime)
    ports = {str(number): free_port() for number in range(plan.workers)}  # a network of its own for each worker
    with local_stack(folder / "stack", base, triton=False, ports=Ports(kafka_proxies=tuple(ports.values()))) as stack:
        ensure_topics(stack.settings, topics=(EVENTS, CHANGELOG, SUMMARIES, *PORTRAIT_TOPICS))
        proxies = {replica: Proxy(port, stack.kafka.behind_proxy[port]) for replica, port in ports.items()}
        workers = FoldWorkers(stack.settings, folder, plan.workers, proxies)
        feed = Feed(stack.settings.kafka, plan.seed, plan.users, plan.events_per_s)
        try:
            workers.start_all()
            faults = Faults(workers, stack.kafka, proxies, plan.seed, plan.only)
            restarted = torment(plan, faults, workers, feed, progress)
            sent = feed.stop()
            restarted += drain(stack.settings, workers)
        finally:
            feed.stop()
            workers.stop()
            for proxy in proxies.values():
                proxy.close()
        stores = [workers.store(replica) for replica in workers.replicas]
        return ChaosOutcome(judge_fold(stack.settings, stores), sent, dict(faults.done), restarted)


def torment(plan: Plan, faults: Faults, workers: FoldWorkers, feed: Feed, progress: Progress | None) -> int:
    """One fault after the other until time and number are reached; gives how many workers ended without being told to."""
    chance = random.Random(plan.seed + 1)
    started = time.monotonic()
    task = None if progress is None else progress.add_task("chaos", total=plan.minutes * 60)
    restarted = 0
    while (elapsed_s := time.monotonic() - started) < plan.minutes * 60 or sum(faults.done.values()) < plan.faults:
        time.sleep(chance.expovariate(1 / plan.pause_s))
        restarted += workers.ensure_alive()
        kind = faults.next()
        if progress is not None and task is not None:
            text = f"{sum(faults.done.values())} faults, {feed.sent:,} events, last: {kind}"
            progress.update(task, completed=elapsed_s, description=text)
    return restarted


def drain(settings: Settings, workers: FoldWorkers) -> int:
    """Return when every input offset is committed; gives how many workers ended meanwhile."""
    deadline = time.monotonic() + DRAIN_S
    restarted = 0
    consumer = Consumer({**settings.kafka.client_config(), "group.id": TagFold.name, "log_level": 0})
    try:
        while (behind := lag(consumer)) > 0:
            if time.monotonic() > deadline:
                raise PortraitError(f"{behind:.0f} events are not folded {DRAIN_S:.0f} s after the last fault")
            restarted += workers.ensure_alive()
            time.sleep(0.5)
    finally:
        consumer.close()
    return restarted


def lag(consumer: Consumer) -> float:
    """Events whose offsets are not committed; infinite while a broker that has just come back does not tell."""
    behind = 0
    try:
        for part in consumer.committed([KafkaTopicPartition(EVENTS.name, number) for number in range(PARTITIONS)], timeout=30):
            _, end = consumer.get_watermark_offsets(part, timeout=30)
            behind += end - max(part.offset, 0)
    except KafkaException as error:
        log.info("the lag is not to be had yet: %s", error)
        return math.inf
    return behind


def main(
    minutes: Annotated[float, typer.Option(help="how long faults go on")] = 30.0,
    seed: Annotated[int | None, typer.Option(help="repeat a run's faults; drawn and printed by default")] = None,
    events_per_s: Annotated[float, typer.Option(help="how fast events are sent")] = 700.0,
    workers: Annotated[int, typer.Option(help="worker processes")] = 2,
    pause_s: Annotated[float, typer.Option(help="mean time between two faults")] = 2.0,
    only: Annotated[str, typer.Option(help="only faults whose name holds this, as `network`")] = "",
    keep: Annotated[Path | None, typer.Option(help="a new folder for data and logs, kept; default: a temporary one")] = None,
) -> None:
    """Kill and stop workers and broker and cut their network under load, then compare everything with a plain fold."""
    if keep is not None and keep.exists():
        raise typer.BadParameter(f"{keep} exists: a run needs a new folder", param_hint="--keep")
    drawn = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    plan = Plan(minutes, drawn, workers=workers, events_per_s=events_per_s, pause_s=pause_s, only=only)
    console = Console(stderr=True)
    console.print(f"seed {plan.seed}")
    meter = MachineMeter()
    logging.getLogger("producers.publisher").setLevel(logging.CRITICAL)  # that the broker is away is what this is about
    with tempfile.TemporaryDirectory(prefix="portrait-chaos-") as temporary, Progress(console=console) as progress:
        outcome = chaos(plan, keep or Path(temporary), progress)
    verdict = asdict(outcome.verdict)
    for partition, first in verdict.pop("first_differing").items():
        console.print(f"partition {partition} differs from {first} on")
    report = {
        "report": "chaos", "events": verdict.pop("events"), "faults": sum(outcome.faults.values()), **verdict,
        "sent": outcome.sent, "faults_by_kind": outcome.faults, "restarted": outcome.restarted, "seed": plan.seed,
        "minutes": plan.minutes, "workers": plan.workers, "events_per_s": plan.events_per_s, "pause_s": plan.pause_s,
        **meter.report(),
    }  # fmt: skip
    print(json.dumps(report))
    right = outcome.sent == outcome.verdict.events and not (
        outcome.verdict.lost or outcome.verdict.duplicated or outcome.verdict.differing
    )
    raise typer.Exit(0 if right else 1)


if __name__ == "__main__":
    typer.run(main)
