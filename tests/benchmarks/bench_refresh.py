"""`make bench-refresh DATA=folder`: users refreshed a second, by the clock, from their events to the lists that a
read-committed subscriber has.

Broker, Triton, catalog, profiler, producer and subscriber share this machine. All of a data folder's events but each user's
last few are taken in first. Then come waves: every user's next event at once, and each wave ends when everybody's new list
is there. No list covers two events, as it does where a backlog is worked off (`portrait demo` measures that). No profile texts
are written: nobody has agreed to one. The user_encoder in service is the one measured; `portrait train` makes a learned one.
"""

import itertools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from deploy.demo.gauges import Gauges
from deploy.demo.workers import Workers
from deploy.local.encoder_versions import EncoderVersions
from deploy.local.show import cell, table
from deploy.local.stack import local_stack
from deploy.machine import MachineMeter
from deploy.reading import Follower, decoded
from deploy.topics import ensure_topics
from producers.dataset import Dataset, open_dataset
from producers.publisher import Publisher
from producers.replay import Sent, send_timed
from schemas.errors import ConfigError, PortraitError
from schemas.messages import BehaviorEvent, Recommendations
from schemas.settings import KafkaSettings, RuntimeSettings, Settings, load_settings
from schemas.tensors import TEXT_ENCODER, USER_ENCODER
from schemas.topics import RECOMMENDATIONS

ROLES = ("catalog", "profiler")
WAIT_S = 300.0
Wave = Sequence[BehaviorEvent]
"""One event of each user."""


@dataclass(frozen=True)
class Refreshed:
    """One wave: how many users got a list, within how many seconds, and how long each of them waited."""

    users: int
    seconds: float
    waited_ms: Sequence[float]


class Subscriber:
    """Reads committed lists as another team would."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._follower = settings, Follower(settings.kafka, "bench-refresh")
        self._follower.follow((RECOMMENDATIONS,))

    def until(self, event_of: dict[str, str], sent_s: dict[str, float]) -> list[float]:
        """How long each user waited, in ms, once all have a list that goes back to their event.

        Raises:
            PortraitError: not within WAIT_S.
        """
        waited_ms: dict[str, float] = {}
        deadline = time.monotonic() + WAIT_S
        while len(waited_ms) < len(event_of):
            for record in self._follower.poll(0.05):
                user_id, message = decoded(record, self._settings.fold)
                if isinstance(message, Recommendations) and message.cause.event_id == event_of.get(user_id):
                    waited_ms.setdefault(user_id, 1000 * (time.perf_counter() - sent_s[user_id]))
            if time.monotonic() > deadline:
                raise PortraitError(f"{len(waited_ms):,} of {len(event_of):,} users have a new list after {WAIT_S:.0f} s")
        return list(waited_ms.values())

    def close(self) -> None:
        """Leave the broker."""
        self._follower.close()


def waves_of(events: Iterable[BehaviorEvent], count: int) -> tuple[list[BehaviorEvent], list[Wave]]:
    """The events of the beginning, in their order, and each user's last `count`: the n-th of everybody is wave n.

    Users with no more events than that take part in no wave.
    """
    known = list(events)
    by_user: defaultdict[str, list[int]] = defaultdict(list)
    for place, event in enumerate(known):
        by_user[event.user_id].append(place)
    last = [places[-count:] for places in by_user.values() if len(places) > count]
    held_back = set(itertools.chain.from_iterable(last))
    waves: list[Wave] = [[known[places[number]] for places in last] for number in range(count)]
    return [event for place, event in enumerate(known) if place not in held_back], waves


@contextmanager
def running(partitions: int, versions: EncoderVersions) -> Iterator[Settings]:
    """A stack of its own with catalog and profiler at work; everything ends and goes with the block."""
    with tempfile.TemporaryDirectory(prefix="portrait-bench-") as temporary:
        folder, own = Path(temporary), load_settings()
        models = own.models.model_copy(update={"user_encoders": versions.folder})
        base = Settings(kafka=KafkaSettings(partitions=partitions), models=models, runtime=RuntimeSettings(folder=folder))
        with local_stack(folder / "stack", base, models=(TEXT_ENCODER.name, USER_ENCODER.name)) as stack:
            ensure_topics(stack.settings)
            workers = Workers(stack.settings, folder / "logs")
            try:
                for role in ROLES:
                    workers.start(role)
                for role in ROLES:
                    workers.wait_ready(role)
                yield stack.settings
            finally:
                workers.stop()


def take_in(dataset: Dataset, events: Sequence[BehaviorEvent], settings: Settings, progress: Progress) -> None:
    """The catalogue with its vectors, what users declared, and these events."""
    gauges, items = Gauges(settings.runtime.folder), list(dataset.items())
    with Publisher(settings.kafka) as publisher:
        for messages in (items, dataset.attributes()):
            for message in messages:
                send_timed(publisher, message, Sent())
        publisher.flush()
        task = progress.add_task("items with a vector", total=len(items))
        deadline = time.monotonic() + WAIT_S
        while (there := gauges.total("profiler", "portrait_catalog_items")) < len(items):
            progress.update(task, completed=there)
            if time.monotonic() > deadline:
                raise PortraitError(f"{there:.0f} of {len(items):,} items have a vector after {WAIT_S:.0f} s")
            time.sleep(0.25)
        progress.update(task, completed=len(items))
        for event in progress.track(events, description="events of the beginning"):
            send_timed(publisher, event, Sent())
    gauges.await_rest("profiler", WAIT_S)


def refreshed(wave: Wave, settings: Settings, subscriber: Subscriber) -> Refreshed:
    """Send a wave as fast as possible and wait for all lists."""
    event_of, sent_s = {event.user_id: event.event_id for event in wave}, {}
    began = time.perf_counter()
    with Publisher(settings.kafka, linger_ms=0.5) as publisher:
        for event in wave:
            sent_s[event.user_id] = time.perf_counter()
            send_timed(publisher, event, Sent())
        publisher.flush()
    waited_ms = subscriber.until(event_of, sent_s)
    return Refreshed(len(wave), time.perf_counter() - began, waited_ms)


def main(
    data: Annotated[Path, typer.Option(help="a folder in the documented layout (docs/data-layout.md)")],
    mapping: Annotated[str | None, typer.Option(help="a ready mapping's name or a mapping file")] = None,
    waves: Annotated[int, typer.Option(min=2, help="events of each user that are held back; the first warms up")] = 6,
    partitions: Annotated[int, typer.Option(min=1, help="of each topic")] = 1,
) -> None:
    """Measure and print; the last line is JSON."""
    console, meter = Console(stderr=True), MachineMeter()
    versions = EncoderVersions.of(load_settings())
    try:
        dataset = open_dataset(data, mapping)
        beginning, held_back = waves_of(dataset.events(), waves)
        if not held_back[0]:
            raise ConfigError(f"no user of {data} has more than {waves} events")
        with Progress(console=console, refresh_per_second=2) as progress, running(partitions, versions) as settings:
            take_in(dataset, beginning, settings, progress)
            with closing(Subscriber(settings)) as subscriber:
                found = [refreshed(wave, settings, subscriber) for wave in progress.track(held_back, description="waves")]
    except ConfigError as error:
        raise SystemExit(str(error)) from None
    report = figures(found[1:], versions.active, dataset.folder.resolve().name)
    shown = table("wave", "users", "s", "users/s")
    for number, wave in enumerate(found):
        row = (number or "warm-up", f"{wave.users:,}", f"{wave.seconds:.2f}", f"{wave.users / wave.seconds:,.0f}")
        shown.add_row(*(cell(str(text)) for text in row))
    console.print(shown)
    print(json.dumps({**report, "waves": waves, "partitions": partitions, **meter.report()}))


def figures(found: Sequence[Refreshed], version: int, data: str) -> dict[str, Any]:
    """Of the waves that count."""
    rates = [wave.users / wave.seconds for wave in found]
    waited = sorted(one for wave in found for one in wave.waited_ms)
    return {
        "report": "bench-refresh",
        "data": data,
        "version": version,
        "users": found[0].users,
        "users_per_s": round(statistics.median(rates), 1),
        "users_per_s_by_wave": [round(rate, 1) for rate in rates],
        "waited_ms": {"p50": round(waited[len(waited) // 2], 1), "max": round(waited[-1], 1)},
    }


if __name__ == "__main__":
    typer.run(main)
