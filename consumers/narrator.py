"""The narrator: turns profile requests into profiles. Slow by nature, so it never blocks: texts are asked for, and collected
when they are there. Offsets of requests still in work are held back, so none is lost when this worker dies."""

import heapq
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import CancelledError, Future
from typing import NamedTuple, Protocol

from consumers.inference import Generation, Sampling, Vectors
from consumers.profile_jobs import PartWork, ProfileJob
from consumers.prompts import max_tokens
from consumers.runtime.backoff import Backoff
from consumers.runtime.processor import Batch, Output, Outputs, Record, StateKey, TopicPartition
from schemas import metrics
from schemas.errors import BadMessage, Retryable
from schemas.messages import ProfileRequest, UserProfile
from schemas.settings import Settings
from schemas.tensors import PROFILE_LLM, TEXT_ENCODER
from schemas.topics import PROFILE_REQUESTS, USER_PROFILES

log = logging.getLogger(__name__)

START_BUDGET_S = 120.0
BACKOFF_S = (0.5, 10.0)
PLAIN_MODEL = "plain"
PLAIN_VERSION = "1"
"""What a profile names as its model when no sentence is the LLM's."""


class Writer(Protocol):
    """What the narrator needs of the inference client."""

    def generate(self, prompt: str, sampling: Sampling) -> Future[Generation]:
        """Ask for a text. The future raises Retryable when the server is down or overloaded."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, [n, d]."""
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
    work: PartWork


class Narrator:
    """The Processor of the slow path; see `consumers.runtime.processor.Processor`."""

    name = "narrator"
    inputs = (PROFILE_REQUESTS,)
    tables = ()
    changelog = None

    def __init__(self, inference: Writer, settings: Settings) -> None:
        self._inference = inference
        self._settings = settings
        self._jobs: dict[StateKey, ProfileJob] = {}
        self._in_flight: list[_InFlight] = []
        self._published: list[tuple[ProfileJob, UserProfile]] = []
        self._backoff = Backoff(*BACKOFF_S)

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
        outputs.hold = self._unfinished()
        outputs.pause = len(self._jobs) >= self._settings.narrator.queue_limit
        metrics.NARRATOR_QUEUE.set(len(self._jobs))
        return outputs

    def on_committed(self) -> None:
        """What was published is out: forget it. Until then it would be published again."""
        for job, profile in self._published:
            key = (job.partition, job.request.user_id)
            if self._jobs.get(key) is job:
                del self._jobs[key]
            metrics.PROFILES.inc()
            for sentence in profile.summary:
                metrics.SENTENCES.labels(source=sentence.source, language=profile.language).inc()
        self._published = []
        metrics.NARRATOR_QUEUE.set(len(self._jobs))

    def on_revoked(self, partitions: frozenset[int]) -> None:
        """Their requests will come again, here or at another worker."""
        for key in [key for key in self._jobs if key[0] in partitions]:
            self._drop(key)
        self._published = [(job, profile) for job, profile in self._published if job.partition not in partitions]

    def _take_in(self, record: Record, outputs: Outputs) -> None:
        """The latest request of a user replaces the one before; null cancels it and takes a published profile back.

        The same record may come again after a failed commit, and must not undo the work on it.
        """
        key = (record.partition, record.key)
        known = self._jobs.get(key)
        if known is not None and known.offset < record.offset:
            self._drop(key)
            metrics.SUPERSEDED.inc()
            known = None
        if record.message is None:
            outputs.records.append(Output(USER_PROFILES, record.key, None))
        elif known is None and isinstance(record.message, ProfileRequest):
            languages = self._settings.narrator.llm_languages
            self._jobs[key] = ProfileJob.of(record.message, record.partition, record.offset, languages)

    def _drop(self, key: StateKey) -> None:
        job = self._jobs.pop(key)
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
            return self._back_off(error)
        except BadMessage as error:
            log.warning("profile_llm refused a prompt of request %s: %s", job.request.request_id, error)
            metrics.GROUNDING_FAILURES.labels(reason="model_error").inc()
            return job.fail(work)
        self._backoff.succeeded()
        job.generated_tokens += generation.tokens
        metrics.GENERATED_TOKENS.inc(generation.tokens)
        metrics.GENERATION_SECONDS.observe(generation.seconds)
        for kind in {fault.kind for fault in job.answer(work, generation.text)}:
            metrics.GROUNDING_FAILURES.labels(reason=kind).inc()

    def _ask(self) -> None:
        """Keep as many texts in flight as allowed, most urgent users first."""
        free = self._settings.narrator.max_in_flight - len(self._in_flight)
        if free <= 0 or self._backoff.waiting:
            return
        waiting = (job for job in self._jobs.values() if any(work.waiting for work in job.works))
        most_urgent = heapq.nsmallest(free, waiting, key=lambda job: job.rank)
        works = [(job, work) for job in most_urgent for work in job.works if work.waiting]
        for job, work in works[:free]:
            future = self._inference.generate(job.question(work), self._sampling(job, work))
            work.asked = True
            self._in_flight.append(_InFlight(future, job, work))

    def _sampling(self, job: ProfileJob, work: PartWork) -> Sampling:
        """The likeliest words first; for a second attempt others."""
        tokens = min(self._settings.narrator.max_tokens, max_tokens(work.part, job.request.statements))
        if work.attempt:
            return Sampling(tokens, temperature=0.7, top_p=0.9, seed=work.attempt, stop=("\n",))
        return Sampling(tokens, stop=("\n",))

    def _back_off(self, error: Retryable) -> None:
        """Ask for nothing for a while, longer each time, until a text arrives. One outage counts once, not once per text."""
        if self._backoff.waiting:
            return
        pause_s = self._backoff.failed()
        metrics.RETRIES.labels(cause=PROFILE_LLM.name).inc()
        log.warning("%s; asking again in %.1f s, %d users wait", error, pause_s, len(self._jobs))

    def _publish(self, outputs: Outputs) -> None:
        """Put every complete profile into the outputs. Without a text vector it waits; cancellations never do."""
        self._published = []
        finished = [job for job in self._jobs.values() if job.finished]
        if not finished or self._backoff.waiting:
            return
        size = self._settings.triton.max_batch
        try:
            for start in range(0, len(finished), size):
                self._published += self._profiles(finished[start : start + size])
        except Retryable as error:
            self._back_off(error)
        outputs.records += [Output(USER_PROFILES, job.request.user_id, profile) for job, profile in self._published]

    def _profiles(self, jobs: Sequence[ProfileJob]) -> list[tuple[ProfileJob, UserProfile]]:
        """Profiles with their text vectors, in one call. Raises Retryable when text_encoder is not to be reached."""
        now_ms = int(time.time() * 1000)
        version = self._inference.model_version(PROFILE_LLM.name)
        profiles = [profile_of(job, version, now_ms) for job in jobs]
        vectors = self._inference.encode_texts([profile.text for profile in profiles])
        return [
            (job, profile.model_copy(update={"text_vector": [round(float(x), 6) for x in vector]}))
            for job, profile, vector in zip(jobs, profiles, vectors, strict=True)
        ]

    def _unfinished(self) -> dict[TopicPartition, int]:
        """The lowest offset in work of each partition."""
        published = {id(job) for job, _ in self._published}
        hold: dict[TopicPartition, int] = {}
        for job in self._jobs.values():
            if id(job) not in published:
                part = TopicPartition(PROFILE_REQUESTS.name, job.partition)
                hold[part] = min(hold.get(part, job.offset), job.offset)
        return hold


def profile_of(job: ProfileJob, model_version: str, now_ms: int) -> UserProfile:
    """The profile of a finished job, its text vector still to come."""
    request, summary = job.request, job.summary()
    by_llm = any(sentence.source == "llm" for sentence in summary)
    return UserProfile(
        user_id=request.user_id,
        request_id=request.request_id,
        language=request.language,
        state_version=request.state_version,
        state_life=request.state_life,
        event_count=request.event_count,
        statements=request.statements,
        summary=summary,
        text_vector=[],
        model_name=PROFILE_LLM.name if by_llm else PLAIN_MODEL,
        model_version=model_version if by_llm else PLAIN_VERSION,
        generated_tokens=job.generated_tokens,
        generated_at_ms=now_ms,
        requested_at_ms=request.requested_at_ms,
        cause=request.cause,
    )
