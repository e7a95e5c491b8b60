"""The narrator: turns profile requests into profiles. Slow by nature, so it never blocks: texts are asked for, and collected
when they are there. Requests wait in a bounded queue, and beyond it in Kafka; offsets of those not answered yet are held back,
so none is lost when this worker dies; until their topic is about to delete them."""

import heapq
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future
from typing import NamedTuple, Protocol

from consumers.inference import Generation, Sampling, Vectors
from consumers.runtime.backoff import Backoff
from consumers.runtime.processor import Batch, Output, Outputs, Record, StateKey, TopicPartition
from consumers.texts.profile_jobs import PLAIN_VERSION, FactWork, ProfileJob, profile_of
from consumers.texts.prompts import max_tokens
from consumers.texts.request_queue import Backlog, Queued, Rank, RequestQueue
from consumers.texts.text_budget import TextBudget
from consumers.texts.words import WordMemory
from schemas import metrics
from schemas.errors import BadMessage, Retryable
from schemas.messages import ProfileRequest, UserProfile
from schemas.settings import Settings
from schemas.tensors import PROFILE_LLM, TEXT_ENCODER
from schemas.topics import DAY_MS, PROFILE_REQUESTS, USER_PROFILES

log = logging.getLogger(__name__)

START_BUDGET_S = 120.0
BACKOFF_S = (0.5, 10.0)
HELD_FOR_MS = (PROFILE_REQUESTS.retention_ms or DAY_MS) - 60 * 60 * 1000
"""A request unanswered for so long is given up, as its topic is about to delete it: no narrator starts where the log no
longer holds the committed offset. One that ends has the hour to come back in."""
LOOK_EVERY_S = 60.0
MOST_AT_ONCE = 64
"""Profiles published in one turn: each is read by the grounding check once more, which takes some milliseconds."""


class Writer(Protocol):
    """What the narrator needs of the inference client."""

    def generate(self, prompt: str, sampling: Sampling) -> Future[Generation]:
        """Ask for a text. The future raises Retryable when the server is down or overloaded."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, [n, d]; zeros for a text refused for good."""
        ...

    def model_version(self, name: str) -> str:
        """The version that Triton serves."""
        ...

    def wait_ready(self, models: Iterable[str], timeout_s: float) -> None:
        """Return once the models answer; ConfigError when they do not in time."""
        ...


class _InFlight(NamedTuple):
    """A text asked for."""

    future: Future[Generation]
    job: ProfileJob
    work: FactWork


class Narrator:
    """The Processor of the slow path; see `consumers.runtime.processor.Processor`.

    A request waits in the backlog until the model may be asked for its first fact, and is a job from then on. Those that need
    nothing of the model never wait for it: their facts were worded before, or it does not know their language.
    """

    name = "narrator"
    inputs = (PROFILE_REQUESTS,)
    tables = ()
    changelog = None

    def __init__(self, inference: Writer, settings: Settings) -> None:
        self._inference = inference
        self._settings = settings
        self._backlog = Backlog()
        self._budget = TextBudget(settings.narrator)
        self._words = WordMemory(settings.narrator.remembered_facts)
        self._full = False
        self._jobs: dict[StateKey, ProfileJob] = {}
        self._sent_at_ms: dict[StateKey, int] = {}  # of every request in the backlog or a job, as its topic counts its age
        self._look_at_s = 0.0
        self._expired: set[tuple[int, int]] = set()  # partition and offset; counted once committed
        self._in_flight: list[_InFlight] = []
        self._published: list[tuple[ProfileJob, UserProfile]] = []
        self._llm_backoff = Backoff(*BACKOFF_S)
        self._encoder_backoff = Backoff(*BACKOFF_S)
        self._encoder_fails = False

    def startup(self) -> None:
        """Wait until the models are there."""
        self._inference.wait_ready([TEXT_ENCODER.name, PROFILE_LLM.name], START_BUDGET_S)

    def on_table_record(self, record: Record) -> None:
        """The narrator reads no tables."""

    def process(self, batch: Batch) -> Outputs:
        """Take in requests, collect finished texts, ask for more; publish the profiles that are complete."""
        outputs = Outputs()
        for record in batch.records:
            self._take_in(record, outputs)
        self._collect()
        self._ask()
        self._publish(outputs)
        self._give_up_old()
        outputs.hold = self._unfinished()
        outputs.pause = self._full = self._is_full()
        metrics.NARRATOR_QUEUE.set(self._users)
        self._show_held_back()
        return outputs

    def on_committed(self) -> None:
        """What was published is out: forget it. Until then it would be published again."""
        for job, profile in self._published:
            key = (job.partition, job.request.user_id)
            if self._jobs.get(key) is job:
                del self._jobs[key]
                self._sent_at_ms.pop(key, None)
            metrics.PROFILES.inc()
            for work in job.works:
                metrics.FACTS_WORDED.labels(source=work.source).inc()
            for kind in {fault.kind for fault in job.summary[1]}:
                metrics.GROUNDING_FAILURES.labels(reason=kind).inc()
            for sentence in profile.summary:
                metrics.SENTENCES.labels(source=sentence.source, language=profile.language).inc()
        self._published = []
        metrics.REQUESTS_EXPIRED.inc(len(self._expired))
        self._expired.clear()
        metrics.NARRATOR_QUEUE.set(self._users)

    def on_revoked(self, partitions: frozenset[int]) -> None:
        """Their requests will come again, here or at another worker."""
        for partition in partitions:
            self._backlog.drop_partition(partition)
            self._words.forget_partition(partition)
        for key in [key for key in self._jobs if key[0] in partitions]:
            self._drop(key)
        self._sent_at_ms = {key: at for key, at in self._sent_at_ms.items() if key[0] not in partitions}
        self._expired = {place for place in self._expired if place[0] not in partitions}
        self._published = [(job, profile) for job, profile in self._published if job.partition not in partitions]

    def _show_held_back(self) -> None:
        """How many wait for the budget or for their own pause, and not for a free place."""
        queue = self._backlog.for_llm
        held = queue.held
        waiting = 0 if self._budget.allows(time.monotonic()) else len(queue) - held
        metrics.TEXTS_HELD_BACK.labels(by="user_pause").set(held)
        metrics.TEXTS_HELD_BACK.labels(by="calls_per_s").set(waiting)

    def _take_in(self, record: Record, outputs: Outputs) -> None:
        """The latest request of a user replaces the one before; null cancels it and takes a published profile back.

        The same record may come again after a failed commit, and must not undo the work on it.
        """
        key = (record.partition, record.key)
        known = self._offset(key)
        if known is not None and known < record.offset:
            self._drop(key)
            metrics.SUPERSEDED.inc()
            known = None
        if record.message is None:
            self._words.forget(key)
            outputs.records.append(Output(USER_PROFILES, record.key, None))
        elif known is None and isinstance(record.message, ProfileRequest):
            if self._job(Queued(record.partition, record.offset, record.message)).finished:
                self._backlog.ready.put(record.partition, record.offset, record.message)
            else:
                ready_at_s = self._budget.ready_at_s(key, record.message.priority)
                self._backlog.for_llm.put(record.partition, record.offset, record.message, ready_at_s)
            self._sent_at_ms[key] = record.timestamp_ms

    def _job(self, queued: Queued) -> ProfileJob:
        limits = self._settings.narrator
        return ProfileJob.of(queued.request, queued.partition, queued.offset, limits.llm_languages, limits.prompt, self._words)

    def _offset(self, key: StateKey) -> int | None:
        """Where the user's request was read that is not answered yet."""
        return self._jobs[key].offset if key in self._jobs else self._backlog.offset(key)

    @property
    def _users(self) -> int:
        return len(self._backlog) + len(self._jobs)

    def _is_full(self) -> bool:
        """Whether reading pauses. It goes on after a few answers, not after each: every stop discards what was fetched."""
        limits = self._settings.narrator
        used = max(self._users / limits.queue_limit, self._backlog.packed_bytes / (limits.queue_mb * 1_000_000))
        return used > max(0.0, 1 - limits.max_in_flight / limits.queue_limit) if self._full else used >= 1

    def _drop(self, key: StateKey) -> None:
        self._backlog.drop(key)
        self._sent_at_ms.pop(key, None)
        job = self._jobs.pop(key, None)
        if job is None:
            return
        job.dropped = True
        for text in self._in_flight:
            if text.job is job:
                text.future.cancel()

    def _collect(self) -> None:
        """Take the answers that are there, in the order they were asked for."""
        done = [text for text in self._in_flight if text.future.done()]
        if not done:
            return
        self._in_flight = [text for text in self._in_flight if not text.future.done()]
        for text in done:
            if not text.job.dropped:
                self._take_answer(text)

    def _take_answer(self, text: _InFlight) -> None:
        job, work = text.job, text.work
        try:
            generation = text.future.result()
        except CancelledError:
            return job.ask_again(work)
        except Retryable as error:
            job.ask_again(work)
            return self._back_off(self._llm_backoff, PROFILE_LLM.name, error)
        except BadMessage as error:
            log.warning("profile_llm refused a prompt of request %s: %s", job.request.request_id, error)
            metrics.GROUNDING_FAILURES.labels(reason="model_error").inc()
            return job.fail(work)
        self._llm_backoff.succeeded()
        job.generated_tokens += generation.tokens
        metrics.GENERATED_TOKENS.inc(generation.tokens)
        metrics.GENERATION_SECONDS.observe(generation.seconds)
        for kind in {fault.kind for fault in job.answer(work, generation.text)}:
            metrics.GROUNDING_FAILURES.labels(reason=kind).inc()

    def _ask(self) -> None:
        """Keep as many texts in flight as allowed, most urgent users first; fewer while finished ones cannot leave."""
        free = self._settings.narrator.max_in_flight - len(self._in_flight)
        if self._encoder_fails:
            free -= sum(job.finished for job in self._jobs.values())
        if free <= 0 or self._llm_backoff.waiting:
            return
        waiting = [(job.rank, job) for job in self._jobs.values() if any(work.waiting for work in job.works)]
        heapq.heapify(waiting)
        now_s = time.monotonic()
        self._backlog.for_llm.release(now_s)
        while free > 0 and (job := self._most_urgent(waiting, now_s)) is not None:
            works = [work for work in job.works if work.waiting and not job.recall(work)][:free]
            free -= len(works)
            for work in works:
                future = self._inference.generate(job.question(work), self._sampling(job, work))
                work.asked = True
                self._in_flight.append(_InFlight(future, job, work))

    def _most_urgent(self, waiting: list[tuple[Rank, ProfileJob]], now_s: float) -> ProfileJob | None:
        """The next of the jobs in work, a heap, or of the queue, as far as the budget goes.

        Those of the queue whose facts others have had worded meanwhile need nothing any more; a call's worth is taken at once.
        """
        queue, allowed = self._backlog.for_llm, self._budget.allows(now_s)
        queued = queue.first_rank() if allowed else None
        if waiting and (queued is None or waiting[0][0] < queued):
            return heapq.heappop(waiting)[1]
        for _ in range(self._settings.triton.max_batch if allowed else 0):
            job = self._start(queue, self._budget.turn_of_oldest)
            if job is None or not job.finished:
                break
        else:
            return None
        if job is not None:
            self._begin(job, now_s)
        return job

    def _begin(self, job: ProfileJob, now_s: float) -> None:
        """The model will be asked for the job."""
        self._budget.begin((job.partition, job.request.user_id), now_s)
        waited_s = time.time() - job.request.requested_at_ms / 1000
        metrics.TEXTS_BEGUN.labels(reason=job.request.reason).inc()
        metrics.TEXT_WAIT_SECONDS.labels(reason=job.request.reason).observe(max(waited_s, 0.0))

    def _start(self, queue: RequestQueue, oldest: bool = False) -> ProfileJob | None:
        """The queue's most urgent request, or the oldest, becomes a job."""
        queued = queue.take(oldest)
        if queued is None:
            return None
        job = self._jobs[queued.partition, queued.request.user_id] = self._job(queued)
        return job

    def _sampling(self, job: ProfileJob, work: FactWork) -> Sampling:
        """The likeliest words; a model that was not tuned is given more freedom at later attempts."""
        tokens = min(self._settings.narrator.max_tokens, max_tokens(work.fact, job.request.statements))
        urgent = job.request.priority
        if work.attempt and job.style == "few_shot":
            return Sampling(tokens, temperature=0.7, top_p=0.9, seed=work.attempt, stop=("\n",), priority=urgent)
        return Sampling(tokens, stop=("\n",), priority=urgent)

    def _back_off(self, backoff: Backoff, model: str, error: Retryable) -> None:
        """Leave a model alone for a while, longer each time, until it answers. One outage counts once, not once per text."""
        if backoff.waiting:
            return
        pause_s = backoff.failed(error.retry_in_s)
        metrics.RETRIES.labels(cause=model).inc()
        log.warning("%s; asking again in %.1f s, %d users wait", error, pause_s, self._users)

    def _publish(self, outputs: Outputs) -> None:
        """Put complete profiles into the outputs, a call's worth at most. They wait for text_encoder; cancellations do not."""
        self._published = []
        if self._encoder_backoff.waiting:
            return
        most = min(self._settings.triton.max_batch, MOST_AT_ONCE)
        finished = [job for job in self._jobs.values() if job.finished][:most]
        for _ in range(most - len(finished)):
            job = self._start(self._backlog.ready)
            if job is None:
                break
            if job.finished:
                finished.append(job)
            else:  # its words were forgotten while it waited
                self._begin(job, time.monotonic())
        if not finished:
            return
        try:
            self._published = self._profiles(finished)
            self._encoder_backoff.succeeded()
            self._encoder_fails = False
        except Retryable as error:
            self._encoder_fails = True
            self._back_off(self._encoder_backoff, TEXT_ENCODER.name, error)
        outputs.records += [Output(USER_PROFILES, job.request.user_id, profile) for job, profile in self._published]

    def _profiles(self, jobs: Sequence[ProfileJob]) -> list[tuple[ProfileJob, UserProfile]]:
        """Profiles with their text vectors, empty where text_encoder refuses the text.

        Raises:
            Retryable: text_encoder cannot be reached.
        """
        now_ms = int(time.time() * 1000)
        version = PLAIN_VERSION
        if any(job.by_llm or work.remembered for job in jobs for work in job.works):
            version = self._inference.model_version(PROFILE_LLM.name)
            self._words.of_version(version)
        profiles = [profile_of(job, version, now_ms) for job in jobs]
        vectors = self._inference.encode_texts([profile.text for profile in profiles])
        return [
            (job, profile.model_copy(update={"text_vector": [round(float(x), 6) for x in vector] if vector.any() else []}))
            for job, profile, vector in zip(jobs, profiles, vectors, strict=True)
        ]

    def _give_up_old(self) -> None:
        """Hold no request that its topic is about to delete. What leaves with this turn's outputs is answered."""
        if time.monotonic() < self._look_at_s:
            return
        self._look_at_s = time.monotonic() + LOOK_EVERY_S
        leaving = {(job.partition, job.request.user_id) for job, _ in self._published}
        until_ms = time.time() * 1000 - HELD_FOR_MS
        old = [key for key, at in self._sent_at_ms.items() if 0 < at <= until_ms and key not in leaving]  # 0: without a time
        for key in old:
            offset = self._offset(key)
            assert offset is not None
            self._expired.add((key[0], offset))
            self._drop(key)
        if old:
            log.warning(
                "gave up %d profile requests, unanswered for %.0f hours: %s is about to delete them",
                len(old), HELD_FOR_MS / 3_600_000, PROFILE_REQUESTS.name,
            )  # fmt: skip

    def _unfinished(self) -> dict[TopicPartition, int]:
        """The lowest offset of each partition that is not answered yet."""
        published = {id(job) for job, _ in self._published}
        offsets = list(self._backlog.lowest_offsets().items())
        offsets += [(job.partition, job.offset) for job in self._jobs.values() if id(job) not in published]
        hold: dict[TopicPartition, int] = {}
        for partition, offset in offsets:
            part = TopicPartition(PROFILE_REQUESTS.name, partition)
            hold[part] = min(hold.get(part, offset), offset)
        return hold
