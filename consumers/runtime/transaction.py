"""Transactions: the only place that begins, commits or aborts one.

    with transaction:                            # begin
        transaction.add_offsets(offsets, group)  # first: see there
        transaction.produce(…)                   # any number
        transaction.produce_progress(…)          # the last record of each changelog partition
        transaction.finish()                     # flush, every delivery a success, commit

Leaving the block before `finish` has returned aborts. Failures come out as the error tree's types: Retryable (aborted, the
same batch may be tried again) or ProducerLost (fenced, fatal, timed out or outcome unknown: the committed offsets tell what
happened). After ProducerLost nothing is asked of this producer any more, not even to abort: after a broker's restart
librdkafka 2.16 can fail or hang again and again, and the next producer's start ends its transaction.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Self

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as KafkaTopicPartition

from consumers.runtime.changelog import PROGRESS_KEY
from consumers.runtime.clients import error_of
from schemas.errors import ProducerLost, Retryable

log = logging.getLogger("portrait.transaction")

Headers = Sequence[tuple[str, bytes | None]]
PARTITION_OF_KEY = -1
CALL_TIMEOUT_S = 5.0
HANG_S = 12.0
"""A call is given CALL_TIMEOUT_S; what has not returned by now never does, however long a transaction may last."""
TIMEOUT_MS = 10_000
MARGIN_S, LEAST_BUDGET_S, LONGEST_BUDGET_S = 5.0, 15.0, 50.0
"""The longest: the waits of one transaction together must stay below max.poll.interval.ms (clients.py), as nothing is polled
meanwhile. The least: a broker that starts again needs it, however short a transaction may be."""


def budget_s(timeout_ms: int) -> float:
    """How long one step of a transaction is waited for. Longer than its timeout, where that is below the longest wait: past it
    the broker has aborted, and only a new start helps."""
    return min(max(timeout_ms / 1000 + MARGIN_S, LEAST_BUDGET_S), LONGEST_BUDGET_S)


class Transaction:
    """A worker's transactional producer, made with this `timeout_ms`. `delivered` holds the offset after each changelog
    partition's progress record.

    Nothing the producer or an error holds may lead back to here: a cycle keeps a lost producer's client, with its threads
    and connections, until the collector comes, which a worker makes rare.
    """

    def __init__(self, producer: Producer, timeout_ms: int = TIMEOUT_MS) -> None:
        self._producer = producer
        self._budget_s = budget_s(timeout_ms)
        self._finished = True
        self._broken: str | None = None  # the words alone: the error's traceback leads back to here
        self.delivered: dict[int, int] = {}
        self._call(lambda: producer.init_transactions(CALL_TIMEOUT_S))

    def __enter__(self) -> Self:
        if self._broken is not None:
            raise ProducerLost(self._broken)
        self._finished = False
        self.delivered = {}
        self._call(self._producer.begin_transaction)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._finished and not isinstance(error, ProducerLost):
            self._abort()

    def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int = PARTITION_OF_KEY,
        headers: Headers | None = None,
        on_delivery: Callable[[KafkaError | None, Message], None] | None = None,
    ) -> None:
        """Add a record; waits when the local buffer is full.

        librdkafka counts what is not delivered, and `finish` fails then; a callback for each would cost as much as the record.
        """
        deadline = 0.0
        while True:
            try:  # keywords would cost half as much again; the stub wants a list of wider tuples
                self._producer.produce(topic, value, key, partition, on_delivery, None, 0, headers)  # type: ignore[arg-type]
                return
            except BufferError as full:
                deadline = deadline or time.monotonic() + self._budget_s
                if time.monotonic() > deadline:
                    raise ProducerLost(f"the producer's buffer has been full for {self._budget_s:.0f} s") from full
                self._producer.poll(0.1)
            except KafkaException as error:
                raise self._meaning(error_of(error), "produce") from error

    def add_offsets(self, offsets: Sequence[KafkaTopicPartition], group_metadata: Callable[[], object]) -> None:
        """Commit the input offsets with the records; to be called before any record is produced.

        The broker is often still ending the transaction before, and answers CONCURRENT_TRANSACTIONS to the first request of
        this one. librdkafka asks again after `retry.backoff.ms` when it adds offsets, after a fixed 20 ms when a partition.
        The group's metadata is read at each attempt: a member's epoch changes when the group's coordinator restarts.
        """
        if offsets:
            self._call(lambda: self._bounded(list(offsets), group_metadata()))

    def produce_progress(self, changelog: str, partition: int, value: bytes) -> None:
        """Add the last record of a changelog partition; where it came to lie is in `delivered` once `finish` has returned."""
        self.produce(changelog, PROGRESS_KEY, value, partition, on_delivery=partial(_note_progress, self.delivered))

    def finish(self, check: Callable[[Mapping[int, int]], None] = lambda _: None) -> None:
        """Flush, and commit if every record was delivered: the commit itself is refused when one was not.

        `check` is given `delivered` in between; what it raises keeps the transaction from being committed.
        """
        deadline = time.monotonic() + self._budget_s
        while self._flush() and time.monotonic() < deadline:
            pass
        if len(self._producer):
            raise ProducerLost(f"{len(self._producer)} records were not delivered within {self._budget_s:.0f} s")
        check(self.delivered)
        self._call(lambda: self._producer.commit_transaction(CALL_TIMEOUT_S))
        self._finished = True

    def _flush(self) -> int:
        try:
            return self._producer.flush(1.0)
        except KafkaException as error:  # a fatal one, such as being fenced
            raise self._meaning(error_of(error), "flush") from error

    def _bounded(self, offsets: list[KafkaTopicPartition], group_metadata: object) -> None:
        """Add the offsets within HANG_S, whatever happens: after a broker's restart librdkafka 2.16 may never return."""
        failures: list[BaseException] = []

        def add() -> None:
            try:
                self._producer.send_offsets_to_transaction(offsets, group_metadata, CALL_TIMEOUT_S)
            except BaseException as error:  # raised again in the worker's thread
                failures.append(error)

        adding = threading.Thread(target=add, name="send-offsets", daemon=True)
        adding.start()
        adding.join(HANG_S)
        if adding.is_alive():
            raise ProducerLost(f"send_offsets_to_transaction has not returned for {HANG_S:.0f} s; this producer is given up")
        if failures:
            raise failures.pop()  # a list that keeps it is kept by its traceback

    def _abort(self) -> None:
        self._finished = True
        try:
            self._call(lambda: self._producer.abort_transaction(CALL_TIMEOUT_S))  # purges what was not sent
            self._producer.poll(0)  # takes the reports of what was purged, lest they count against the next transaction
        except ProducerLost as error:
            self._broken = str(error)  # raised by the next begin, so that it is replaced; here it would hide the first error
            log.warning("the transaction could not be aborted; the broker will time it out")

    def _call(self, operation: Callable[[], None]) -> None:
        """Run a transactional call; retriable failures are tried again with the same arguments, as KIP-447 asks."""
        deadline = time.monotonic() + self._budget_s
        while True:
            try:
                return operation()
            except KafkaException as exception:
                error = error_of(exception)
                passing = error.retriable() or error.code() == KafkaError.CONCURRENT_TRANSACTIONS  # of the writer before us
                if not passing or time.monotonic() > deadline:
                    raise self._meaning(error, "transaction") from exception
                log.debug("transaction call is tried again: %s", error.str())
                time.sleep(0.02)

    def _meaning(self, error: KafkaError, call: str) -> Retryable | ProducerLost:
        if error.txn_requires_abort() and not error.fatal():
            return Retryable(f"{call} failed and the transaction is aborted: {error.str()}")
        return ProducerLost(f"{call} failed for good ({error.name()}): {error.str()}")


def _note_progress(delivered: dict[int, int], error: KafkaError | None, message: Message) -> None:
    if error is None:
        partition, offset = message.partition(), message.offset()
        assert partition is not None and offset is not None
        delivered[partition] = offset + 1
