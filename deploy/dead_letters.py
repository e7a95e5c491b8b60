"""Dead letters as they lie on their topic: found, read, and taken apart into what came in and why it was refused.

Our headers come first and the record's own after them, and those may imitate ours: the first header of a name is ours.
"""

import heapq
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from consumers.runtime.clients import RawRecord, end_of_partition, error_of, raw_record, table_consumer
from deploy.reading import Follower, log_bounds, read_all
from deploy.state_log import Tick, ticked
from schemas.errors import BadMessage, ConfigError, Retryable
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS
from schemas.wire import DEAD_LETTER_PREFIX, dead_letter_headers

Header = tuple[str, bytes | None]

REPLAYED_FROM = f"{DEAD_LETTER_PREFIX}replayed-from"
"""Header of a message that was sent again; its value says from which dead letter, as PARTITION@OFFSET."""
OURS = frozenset(name for name, _ in dead_letter_headers(BadMessage("", ""), "", 0, 0, 0, None))
READ_TIMEOUT_S = 30.0
SPARE = 4
"""Offsets looked back for each letter wanted: transaction markers take offsets too."""


class Place(NamedTuple):
    """Where a letter lies."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read PARTITION@OFFSET, with or without the topic's name before it.

        Raises:
            ConfigError: it is something else.
        """
        found = re.fullmatch(rf"(?:{DEAD_LETTERS.name}-)?([0-9]{{1,9}})@([0-9]{{1,18}})", text)
        if found is None:
            raise ConfigError(
                f"{text[:80]!r} is no place of a dead letter: write PARTITION@OFFSET, as `dead-letters list` does"
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


@dataclass(frozen=True)
class Letter:
    """A dead letter; key, value and `original_headers` are those of the refused record, byte for byte."""

    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    ours: dict[str, str]
    """Reason, detail, source-topic, … without their prefix."""
    original_headers: tuple[Header, ...]

    @property
    def reason(self) -> str:
        """The code of the refusal; ? in a letter that is not ours."""
        return self.ours.get("reason", "?")

    @property
    def source_topic(self) -> str | None:
        """The topic the record came from; None when the letter does not say."""
        return self.ours.get("source-topic") or None

    @property
    def source(self) -> str:
        """Topic-partition@offset of the refused record."""
        partition, offset = self.ours.get("source-partition", "?"), self.ours.get("source-offset", "?")
        return f"{self.source_topic or '?'}-{partition}@{offset}"

    @property
    def source_timestamp_ms(self) -> int:
        """When the refused record was written; the letter's own time when it does not say."""
        text = self.ours.get("source-timestamp-ms", "")
        return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else self.timestamp_ms

    @property
    def replayed_from(self) -> str | None:
        """The letter this one was replayed from, when it is a second failure."""
        values = [value for name, value in self.original_headers if name == REPLAYED_FROM]
        return (values[-1] or b"").decode(errors="replace") if values else None

    @property
    def size_bytes(self) -> int:
        """Bytes of the value; 0 when it is null."""
        return len(self.value or b"")


def letter_of(raw: RawRecord) -> Letter:
    """Take a record of the dead-letters topic apart."""
    ours: dict[str, str] = {}
    original: list[Header] = []
    for name, value in raw.headers:
        short = name.removeprefix(DEAD_LETTER_PREFIX)
        if name in OURS and short not in ours:
            ours[short] = (value or b"").decode(errors="replace")
        else:
            original.append((name, value))
    return Letter(Place(raw.partition, raw.offset), raw.timestamp_ms, raw.key, raw.value, ours, tuple(original))


@dataclass(frozen=True)
class Choice:
    """Which letters are meant; what is None does not restrict."""

    reason: str | None = None
    topic: str | None = None
    since_ms: int | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing restricts."""
        return self == Choice()

    def has(self, letter: Letter) -> bool:
        """Whether the letter is meant."""
        return (
            self.reason in (None, letter.reason)
            and self.topic in (None, letter.source_topic)
            and (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
        )


def since_ms(text: str, now_ms: int) -> int:
    """A moment: an age as 90s, 15m, 6h or 2d, or an ISO time as 2026-01-31T08:00, UTC unless it says otherwise.

    Raises:
        ConfigError: it is neither.
    """
    from datetime import UTC, datetime

    if found := re.fullmatch(r"([0-9]{1,6})([smhd])", text):
        return now_ms - int(found[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]] * 1000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--since {text[:80]!r} is no time: write 90s, 15m, 6h or 2d, or 2026-01-31T08:00") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def all_letters(kafka: KafkaSettings, tick: Tick | None = None) -> Iterator[Letter]:
    """Every letter there is now, partition by partition mixed; raises as `read_all` does."""
    return map(letter_of, ticked(read_all(kafka, (DEAD_LETTERS,)), tick))


def newest(kafka: KafkaSettings, choice: Choice, limit: int, tick: Tick | None = None) -> list[Letter]:
    """The newest letters that are meant, newest first; raises as `read_all` does."""
    back = SPARE * limit
    if choice.everything and any(end - start > back for start, end in log_bounds(kafka, (DEAD_LETTERS,)).values()):
        found = _newest(_tail(kafka, back), limit)  # the partitions' ends are enough, unless they are full of markers
        if len(found) == limit:
            return found
    return _newest((letter for letter in all_letters(kafka, tick) if choice.has(letter)), limit)


def _newest(letters: Iterable[Letter], limit: int) -> list[Letter]:
    return heapq.nlargest(limit, letters, key=lambda letter: (letter.timestamp_ms, letter.place))


def _tail(kafka: KafkaSettings, back: float) -> Iterator[Letter]:
    with Follower(kafka) as follower:
        follower.follow([DEAD_LETTERS], back=back)
        deadline = time.monotonic() + READ_TIMEOUT_S
        while follower.behind:
            yield from map(letter_of, follower.poll(0.2))
            if time.monotonic() > deadline:
                raise Retryable(f"the end of {DEAD_LETTERS.name} could not be read within {READ_TIMEOUT_S:.0f} s")


def letters_at(kafka: KafkaSettings, places: Sequence[Place]) -> Iterator[Letter]:
    """These letters, in this order.

    Raises:
        ConfigError: there is no letter at a place: never was, or deleted by now.
        Retryable: the broker is away.
    """
    bounds = {place.partition: ends for place, ends in log_bounds(kafka, (DEAD_LETTERS,)).items()}
    for place in places:
        if place.partition not in bounds:
            raise ConfigError(f"{DEAD_LETTERS.name} has no partition {place.partition}, only 0 to {len(bounds) - 1}")
        start, end = bounds[place.partition]
        if place.offset < start:
            raise ConfigError(f"dead letter {place} is gone: partition {place.partition} begins at offset {start} by now")
        if place.offset >= end:
            raise ConfigError(f"there is no dead letter {place} yet: partition {place.partition} ends at offset {end}")
        yield _letter_at(kafka, place)


def _letter_at(kafka: KafkaSettings, place: Place) -> Letter:
    consumer = table_consumer(kafka, "portrait-dead-letters")
    try:
        consumer.assign([TopicPartition(DEAD_LETTERS.name, *place)])
        deadline = time.monotonic() + READ_TIMEOUT_S
        while time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is None:
                continue
            error = message.error()
            if error is None:
                raw = raw_record(message)
                if raw.offset == place.offset:
                    return letter_of(raw)
                break
            if error.code() == KafkaError._PARTITION_EOF and end_of_partition(message)[2] > place.offset:
                break
            if not error.retriable() and error.code() not in (KafkaError._PARTITION_EOF, KafkaError._TRANSPORT):
                raise Retryable(f"dead letter {place} cannot be read: {error.str()}")
        else:
            raise Retryable(
                f"dead letter {place} could not be read within {READ_TIMEOUT_S:.0f} s: a transaction may be open there"
            )
    except KafkaException as error:
        raise Retryable(f"dead letter {place} cannot be read: {error_of(error).str()}") from error
    finally:
        consumer.close()
    raise ConfigError(f"there is no dead letter at {place}: the offset is a transaction's marker, or was never committed")
