"""The demo, from nothing to its report: servers, workers, catalogue, live events, a burst, and the judge at the end."""

import itertools
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from deploy.demo.collector import Collector
from deploy.demo.gauges import Gauges, LlmMeter
from deploy.demo.progress import Bar, Show
from deploy.demo.source import Source
from deploy.demo.workers import Workers
from deploy.judge import Verdict, judge
from deploy.local.encoder_versions import EncoderVersions
from deploy.local.record import is_locked
from deploy.local.stack import local_stack
from deploy.topics import ensure_topics
from producers.malformed import RawMessage
from producers.publisher import Publisher
from producers.replay import Pace, Sent, mixed, send_timed
from schemas.errors import ConfigError, PortraitError
from schemas.messages import BehaviorEvent
from schemas.settings import Settings
from schemas.topics import BEHAVIOR_EVENTS

LIVE_PROFILES_SHOWN = 12


@dataclass(frozen=True)
class Plan:
    """How a demo goes: first `paced_s` seconds at `rate_per_s`, then the rest as fast as possible."""

    rate_per_s: float = 200.0
    paced_s: float = 30.0
    malformed: int = 0
    profiles_wait_s: float = 90.0
    drain_wait_s: float = 180.0


@dataclass
class Outcome:
    """Everything the report is made of."""

    source: Source
    sent: Sent
    malformed_sent: Counter[tuple[bytes | None, bytes | None]]
    collector: Collector
    verdict: Verdict
    wrong_counts: dict[str, str]
    paced_span_ms: tuple[int, int]
    burst_events: int
    burst_s: float
    lists_in_burst: float
    list_stage_s: float
    tokens_per_s: float
    workers_restarted: bool


def run_demo(source: Source, plan: Plan, settings: Settings, show: Show) -> Outcome:
    """Run the whole job in `<folder>/demo`, which is emptied first; everything started is stopped again.

    Raises:
        ConfigError: something needed is missing.
        PortraitError: the job did not come to rest.
    """
    settings = own_folder(settings)
    with ExitStack() as exits:
        stack = exits.enter_context(local_stack(settings.runtime.folder / "stack", settings, report=show.report))
        ensure_topics(stack.settings)
        workers = Workers(stack.settings, settings.runtime.folder / "logs")
        exits.callback(workers.stop)
        workers.start_all(show.report)
        return _Demo(source, plan, stack.settings, show, workers).run()


def own_folder(settings: Settings) -> Settings:
    """Settings for a fresh folder of the demo's own."""
    folder = Path(settings.runtime.folder).absolute() / "demo"
    if is_locked(folder / "stack"):
        raise ConfigError(f"a demo is already running in {folder}: wait for it, or set PORTRAIT_RUNTIME__FOLDER")
    for kept in ("endpoints", "state", "logs", "stack/kafka"):
        shutil.rmtree(folder / kept, ignore_errors=True)
    kafka = settings.kafka
    if "partitions" not in kafka.model_fields_set:  # one a worker: each more costs the broker requests in every commit
        kafka = kafka.model_copy(update={"partitions": 1})
    models = settings.models.model_copy(update={"user_encoders": EncoderVersions.of(settings).folder})
    runtime = settings.runtime.model_copy(update={"folder": folder})
    return settings.model_copy(update={"kafka": kafka, "models": models, "runtime": runtime})


class _Demo:
    def __init__(self, source: Source, plan: Plan, settings: Settings, show: Show, workers: Workers) -> None:
        self._source = source
        self._plan = plan
        self._settings = settings
        self._show = show
        self._workers = workers
        self._gauges = Gauges(settings.runtime.folder)
        self._sent = Sent()
        self._counts: Counter[str] = Counter()
        self._malformed: Counter[tuple[bytes | None, bytes | None]] = Counter()
        self._profiles_shown = 0
        self._narrator_stopped = False

    def run(self) -> Outcome:
        """All stages in order."""
        self._collector = Collector(self._settings)
        meter = LlmMeter(self._gauges)
        try:
            with Publisher(self._settings.kafka, linger_ms=0.5) as publisher:
                self._publisher = publisher
                self._send_catalogue()
                self._send_declared()
                messages = mixed(self._source.events, self._source.event_count, self._plan.malformed, self._source.seed)
                paced = int(self._plan.rate_per_s * self._plan.paced_s)
                paced_span_ms = self._send_paced(itertools.islice(messages, paced), paced)
                burst_events, burst_s, lists, stage_s = self._send_burst(messages)
            self._await_profiles()
        finally:
            meter.stop()
        self._check_alive()
        self._narrator_stopped = True
        self._workers.stop_one("narrator")
        self._await_rest()
        self._collector.stop()
        self._show.say("judge: folding all inputs again, in plain Python …")
        verdict = judge(self._settings)
        return Outcome(
            source=self._source,
            sent=self._sent,
            malformed_sent=self._malformed,
            collector=self._collector,
            verdict=verdict,
            wrong_counts=self._wrong_counts(verdict),
            paced_span_ms=paced_span_ms,
            burst_events=burst_events,
            burst_s=burst_s,
            lists_in_burst=lists,
            list_stage_s=stage_s,
            tokens_per_s=meter.tokens_per_s,
            workers_restarted=not (self._workers.alive("profiler") and self._workers.alive("catalog")),
        )

    def _send_catalogue(self) -> None:
        items = self._source.items
        for item in items:
            send_timed(self._publisher, item, self._sent)
        self._publisher.flush()
        with self._show.bar("items with a vector", len(items)) as bar:
            self._until(
                lambda: self._gauges.total("profiler", "portrait_catalog_items") >= len(items), bar,
                lambda: int(self._gauges.total("profiler", "portrait_catalog_items")),
                what="the catalogue", wait_s=self._plan.drain_wait_s,
            )  # fmt: skip

    def _send_declared(self) -> None:
        for message in self._source.declared:
            send_timed(self._publisher, message, self._sent)
        self._publisher.flush()
        self._show.say(f"declared: {self._sent.attributes:,} users' attributes, {self._sent.controls:,} controls")

    def _send(self, messages: Iterable[object], bar: Bar, pace: Pace) -> Iterator[None]:
        for done, message in enumerate(messages, start=1):
            pace.wait()
            send_timed(self._publisher, message, self._sent)  # type: ignore[arg-type]
            if isinstance(message, BehaviorEvent):
                self._counts[message.user_id] += 1
            elif isinstance(message, RawMessage):
                self._malformed[message.key, message.value] += 1
            bar.to(done)
            yield

    def _send_paced(self, messages: Iterable[object], total: int) -> tuple[int, int]:
        """Live events at the planned rate; gives the span of time in ms."""
        start_ms = int(time.time() * 1000)
        with self._show.bar(f"live messages at {self._plan.rate_per_s:g} a second", total) as bar:
            for number, _ in enumerate(self._send(messages, bar, Pace(self._plan.rate_per_s))):
                if number % 100 == 0:
                    self._show_new_profiles()
        self._publisher.flush()
        return start_ms, int(time.time() * 1000)

    def _send_burst(self, messages: Iterable[object]) -> tuple[int, float, float, float]:
        """Everything left, at once; gives events, seconds until they are committed, lists, and list stage seconds."""
        self._await_rest()
        before, sent_before, started = self._list_figures(), self._sent.events, time.monotonic()
        with self._show.bar("the rest, as fast as possible", self._source.event_count - self._sent.events) as bar:
            for number, _ in enumerate(self._send(messages, bar, Pace(None))):
                if number % 1000 == 0:
                    self._show_new_profiles()
        self._publisher.flush()
        wanted = self._sent.events
        with self._show.bar("events in state", wanted) as bar:
            self._until(lambda: self._folded() >= wanted, bar, self._folded, what="the events", wait_s=self._plan.drain_wait_s)
        seconds = time.monotonic() - started
        lists, stage_s = (now - then for now, then in zip(self._list_figures(), before, strict=True))
        return wanted - sent_before, seconds, lists, stage_s

    def _list_figures(self) -> tuple[float, float]:
        """Lists published so far, and the seconds that making them took."""
        lists = self._gauges.total("profiler", "portrait_lists_total")
        return lists, self._gauges.total("profiler", "portrait_list_stage_seconds_sum")

    def _folded(self) -> int:
        """Behaviour events that are committed."""
        return int(self._gauges.total("profiler", "portrait_messages_total", topic=BEHAVIOR_EVENTS.name))

    def _await_profiles(self) -> None:
        """Let the narrator write until nobody waits, or the planned time is over."""
        deadline = time.monotonic() + self._plan.profiles_wait_s
        seen = self._collector.seen
        waiting = int(self._gauges.total("narrator", "portrait_narrator_queue_users"))
        with self._show.bar("profiles", seen.profile_count + waiting) as bar:
            while time.monotonic() < deadline and (waiting or self._gauges.lag("narrator") != 0):
                bar.to(seen.profile_count)
                self._show_new_profiles()
                time.sleep(0.25)
                waiting = int(self._gauges.total("narrator", "portrait_narrator_queue_users"))
            bar.to(seen.profile_count)
        if waiting:
            self._show.say(f"{waiting:,} users still wait for a newer text; the demo does not wait for them", "yellow")

    def _await_rest(self) -> None:
        self._gauges.await_rest("profiler", self._plan.drain_wait_s)
        self._check_alive()

    def _until(self, done, bar: Bar, position, *, what: str, wait_s: float) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + wait_s
        while not done():
            bar.to(position())
            self._check_alive()
            if time.monotonic() > deadline:
                raise PortraitError(f"{what} did not arrive within {wait_s:.0f} s: {position()} did; see the workers' logs")
            time.sleep(0.25)  # reading a worker's metrics takes its time from its work
        bar.to(position())

    def _check_alive(self) -> None:
        for role in ("catalog", "profiler") + (() if self._narrator_stopped else ("narrator",)):
            if not self._workers.alive(role):
                raise ConfigError(f"the {role} has ended; see {self._settings.runtime.folder / 'logs'}")

    def _show_new_profiles(self) -> None:
        profiles = list(self._collector.seen.profiles.values())
        for profile in profiles[self._profiles_shown : LIVE_PROFILES_SHOWN]:
            self._show.profile(profile)
            self._profiles_shown += 1

    def _wrong_counts(self, verdict: Verdict) -> dict[str, str]:
        """Users whose state does not hold as many events as were sent; erased users hold none and are left out."""
        return {
            user_id: f"sent {sent}, in state {verdict.event_counts[user_id]}"
            for user_id, sent in self._counts.items()
            if user_id in verdict.event_counts and verdict.event_counts[user_id] != sent
        }
