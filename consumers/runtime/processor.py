"""The seam between the runtime and a role: what a role is given, and what it gives back.

A role (profiler, narrator, catalog) implements `Processor`. It never sees Kafka or RocksDB: the runtime decodes, calls
`process`, and commits the outputs, the states and the input offsets in one transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec
from pydantic import BaseModel

from schemas.topics import Topic


class TopicPartition(NamedTuple):
    """A partition of an input topic."""

    topic: str
    partition: int


class Record(msgspec.Struct, frozen=True, gc=False):
    """One valid input message. `message` is None for a tombstone."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str
    message: BaseModel | None


class Output(NamedTuple):
    """A message to publish, or its bytes. `message` None writes a tombstone. The key decides the partition (murmur2)."""

    topic: Topic
    key: str
    message: BaseModel | bytes | None


StateKey = tuple[int, str]
"""(partition, key): a key's state lives with the input partition that its key hashes to."""


def _no_keys(partition: int) -> Sequence[str]:
    return ()


@dataclass(frozen=True)
class Batch:
    """A micro-batch of records, each partition's in its order; empty when nothing new arrived within the poll.

    `load` reads the committed states of keys of one partition; keys without a state are absent. `partitions` are those that
    are served now, so all their states are there; `sample` gives keys of one of them that have a state, chosen by chance and
    in an order of chance: all while there are few, else some thousands.
    """

    records: Sequence[Record]
    load: Callable[[int, Sequence[str]], Mapping[str, bytes]]
    partitions: frozenset[int] = frozenset()
    sample: Callable[[int], Sequence[str]] = _no_keys


@dataclass
class Outputs:
    """What a micro-batch leads to; committed as one, or not at all.

    states: new state bytes by (partition, key); None deletes.
    hold: the lowest offset of each input partition whose work is not finished; offsets are committed no further than that,
        so a role may answer a record in a later batch. Absent: everything read is finished.
    pause: stop reading inputs until a later `process` returns False; `process` is still called, with empty batches.
    """

    records: list[Output] = field(default_factory=list)
    states: dict[StateKey, bytes | None] = field(default_factory=dict)
    hold: dict[TopicPartition, int] = field(default_factory=dict)
    pause: bool = False


class Processor(Protocol):
    """A role. The runtime calls every method from one thread."""

    @property
    def name(self) -> str:
        """Consumer group, folder and metric name of the role."""
        ...

    @property
    def inputs(self) -> tuple[Topic, ...]:
        """Topics read in micro-batches; user-keyed ones are co-partitioned."""
        ...

    @property
    def tables(self) -> tuple[Topic, ...]:
        """Compacted topics read in full by every worker, before the first batch and on."""
        ...

    @property
    def changelog(self) -> Topic | None:
        """Where states are logged; None for a role without state."""
        ...

    def startup(self) -> None:
        """Called once before any record. Raises ConfigError when a server or model the role needs is missing."""

    def on_table_record(self, record: Record) -> None:
        """One record of a table topic, in order of its partition."""

    def process(self, batch: Batch) -> Outputs:
        """Turn a micro-batch into outputs.

        Called with an empty batch when idle, at least every 100 ms. Must not change anything it could not repeat: after
        Retryable the same records come again.

        Raises:
            Retryable: a server is slow or down; the batch is tried again after a pause, nothing is committed.
        """
        ...

    def on_committed(self) -> None:
        """The last outputs are committed. What must not be done twice is done here."""

    def on_revoked(self, partitions: frozenset[int]) -> None:
        """These input partitions are no longer ours, or are read again: drop all unfinished work on them."""
