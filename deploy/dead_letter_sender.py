"""Sends planned dead letters, exactly once: each transaction also notes how far the replay has come.

A record that filled its topic's limit has no room for one more header. So a batch that a topic refuses is halved until the
letter is alone, and then sent without our header; only what is refused even so, as after a limit was lowered, stays behind.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers.runtime.clients import transactional_producer
from consumers.runtime.transaction import Transaction
from deploy.dead_letter_replay import Plan, replay_headers
from deploy.dead_letters import Letter, Place
from deploy.replay_progress import GROUP, Progress
from producers.publisher import SERVER_SIDE
from schemas.errors import ConfigError, ProducerLost, Retryable
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS

TRANSACTION_LETTERS = 1000
TRANSACTION_BYTES = 8 * 1024 * 1024
TIMEOUT_MS = 60_000
TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
OF_THE_RECORD = TOO_LARGE | {KafkaError.INVALID_RECORD}
"""What a topic refuses of one record, as none without a key where it compacts; it takes others."""


@dataclass
class Sent:
    """What has become of a plan's letters so far."""

    letters: int = 0
    refused: list[Place] = field(default_factory=list)


class Refused(Exception):
    """A topic refuses a record."""

    def __init__(self, error: KafkaError) -> None:
        super().__init__(error.str())
        self.code = error.code()


def send(
    kafka: KafkaSettings,
    letters: Iterable[Letter],
    plan: Plan,
    progress: Progress,
    sent: Sent,
    tick: Callable[[int], None],
    say: Callable[[str], None],
) -> None:
    """Send the planned ones of these letters, in the order of their partitions; `sent` grows with each transaction, and
    `say` is told at once what is odd about one: a run that goes on from here knows only how far this one came.

    Raises:
        ConfigError, Retryable, ProducerLost: the rest was not sent; what `progress` holds tells how much was.
    """
    with closing(progress.member()) as member:
        sender = _Sender(kafka, plan, progress, member, sent, say)
        for batch in _batches(letter for letter in letters if letter.place in plan.targets):
            sender.send(batch)
            tick(len(batch))


def _batches(letters: Iterable[Letter]) -> Iterator[list[Letter]]:
    """As many as one transaction sends: none is open while letters are read."""
    batch: list[Letter] = []
    size_bytes = 0
    for letter in letters:
        batch.append(letter)
        size_bytes += letter.size_bytes
        if len(batch) == TRANSACTION_LETTERS or size_bytes >= TRANSACTION_BYTES:
            yield batch
            batch, size_bytes = [], 0
    if batch:
        yield batch


class _Sender:
    def __init__(
        self, kafka: KafkaSettings, plan: Plan, progress: Progress, member: Consumer, sent: Sent, say: Callable[[str], None]
    ) -> None:
        self._kafka = kafka
        self._plan = plan
        self._progress = progress
        self._member = member
        self._sent = sent
        self._say = say
        self._begin()

    def _begin(self) -> None:
        """Take a producer, which fences any other of this choice of letters; only then it is sure what was sent before."""
        # zstd: what came in compressed must not need more room than it had
        producer = transactional_producer(self._kafka, GROUP, self._progress.name, TIMEOUT_MS, compression="zstd")
        self._transaction = Transaction(producer, TIMEOUT_MS)
        self._progress.load(stable=True)

    def send(self, letters: Sequence[Letter]) -> None:
        """Send these, or all but those that their topics refuse."""
        letters = [letter for letter in letters if not self._progress.has(letter)]
        try:
            self._commit(letters)
            self._sent.letters += len(letters)
        except Refused:
            self._begin()  # librdkafka 2.16 fails once more with the old one, for a gap in its sequence numbers
            if len(letters) > 1:
                middle = len(letters) // 2
                self.send(letters[:middle])
                self.send(letters[middle:])
            else:
                self._send_unmarked(letters[0])

    def _send_unmarked(self, letter: Letter) -> None:
        try:
            self._commit([letter], marked=False)
            self._sent.letters += 1
            self._say(
                f"dead letter {letter.place} had no room for the header that marks a replay: should it fail again, "
                "`list` cannot tell"
            )
        except Refused as refused:
            self._begin()
            topic = self._plan.targets[letter.place]
            advice = f"raise max.message.bytes of {topic}" if refused.code in TOO_LARGE else "choose another with --to TOPIC"
            self._sent.refused.append(letter.place)
            self._say(
                f"dead letter {letter.place} was not sent: {topic} does not take its {letter.size_bytes:,} bytes ({refused}); "
                f"{advice}, and replay {letter.place} alone"
            )

    def _commit(self, letters: Sequence[Letter], marked: bool = True) -> None:
        """One transaction; raises Refused when a topic does not take one of them."""
        failures: list[tuple[Letter, KafkaError]] = []
        try:
            with self._transaction as transaction:
                transaction.add_offsets(_offsets_after(letters), self._member.consumer_group_metadata)
                for letter in letters:
                    headers = replay_headers(letter) if marked else list(letter.original_headers)
                    topic, note = self._plan.targets[letter.place], partial(_note, failures, letter)
                    transaction.produce(topic, letter.key, letter.value, headers=headers, on_delivery=note)
                transaction.finish()
        except (Retryable, ProducerLost) as error:
            for letter, failure in failures:
                if failure.code() in OF_THE_RECORD:
                    raise Refused(failure) from error
                if not (failure.retriable() or failure.code() in SERVER_SIDE):
                    topic = self._plan.targets[letter.place]
                    raise ConfigError(f"dead letter {letter.place} did not reach {topic}: {failure.str()}") from error
            cause = error.__cause__
            if isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError._STATE and len(letters) > 1:
                raise Refused(cause.args[0]) from error  # one was refused before all were produced; which, is not known yet
            raise


def _note(failures: list[tuple[Letter, KafkaError]], letter: Letter, error: KafkaError | None, _: Message) -> None:
    if error is not None:
        failures.append((letter, error))


def _offsets_after(letters: Iterable[Letter]) -> list[TopicPartition]:
    after = {letter.place.partition: letter.place.offset + 1 for letter in letters}
    return [TopicPartition(DEAD_LETTERS.name, partition, offset) for partition, offset in after.items()]
