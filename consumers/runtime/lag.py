"""How many messages wait to be folded, asked of the broker beside the loop.

What a consumer knows of a log's end comes with what it fetches, and of a paused partition it fetches nothing: that would stand
still while a model is down, and be nothing during a restore. So the broker is asked now and then, for all partitions at once,
and no turn of the loop waits for its answer. What is not known is not reported: the last word stays.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, IsolationLevel, KafkaException
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from consumers.runtime.processor import TopicPartition
from schemas.metrics import LAG

log = logging.getLogger("portrait.lag")

EVERY_S = 2.0
REQUEST_TIMEOUT_S = 10.0

Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True)
class Question:
    """What the broker was asked: where logs end, and of what is not read now where they begin and what is committed."""

    ends: dict[KafkaTopicPartition, "Future[Any]"]
    starts: dict[KafkaTopicPartition, "Future[Any]"]
    committed: "Future[Offsets]"

    @property
    def answered(self) -> bool:
        """Whether every answer is there, or known to be missing."""
        return all(future.done() for future in self._futures())

    @property
    def failures(self) -> list[BaseException]:
        """What kept the broker from answering in part; to be read once it is answered."""
        return [failure for future in self._futures() if (failure := future.exception()) is not None]

    def _futures(self) -> "Iterable[Future[Any]]":
        return [*self.ends.values(), *self.starts.values(), self.committed]


@dataclass(frozen=True)
class Answer:
    """What the broker said; a committed offset below 0 is none."""

    ends: Offsets
    starts: Offsets
    committed: Offsets

    def lag(self, part: TopicPartition, read_to: int | None) -> int | None:
        """Messages from `read_to` on, or from where the group would begin; None where that is not known."""
        if read_to is None and part in self.starts and part in self.committed:
            read_to = max(self.starts[part], self.committed[part])
        if read_to is None or part not in self.ends:
            return None
        return max(0, self.ends[part] - read_to)


class Lag:
    """Reports the lag of one member of a group. `observer` makes a consumer that knows the group and never joins it.

    `read_to` gives the end of what it has read of a partition; None while it does not read it, when what the group has
    committed counts.
    """

    def __init__(
        self,
        admin: Callable[[], AdminClient],
        observer: Callable[[], Consumer],
        topics: Iterable[str],
        read_to: Callable[[TopicPartition], int | None],
    ) -> None:
        self._new_client = admin
        self._client: AdminClient | None = None
        self._new_observer = observer
        self._observer: Consumer | None = None
        self._topics = list(topics)
        self._read_to = read_to
        self._question: Question | None = None
        self._ask_at_s = 0.0

    def report(self, parts: Iterable[TopicPartition]) -> None:
        """Take an answer that has come, or ask when it is time; `parts` are those assigned to this member now."""
        if self._question is not None:
            if self._question.answered:
                self._take(self._question, parts)
                self._question = None
        elif time.monotonic() >= self._ask_at_s:
            self._ask_at_s = time.monotonic() + EVERY_S
            self._question = self._ask(list(parts))

    def _ask(self, parts: list[TopicPartition]) -> Question:
        client = self._client = self._client or self._new_client()
        unread = [part for part in parts if self._read_to(part) is None]
        return Question(
            ends=_list_offsets(client, parts, OffsetSpec.latest()),  # type: ignore[no-untyped-call]
            starts=_list_offsets(client, unread, OffsetSpec.earliest()),  # type: ignore[no-untyped-call]
            committed=self._ask_committed(unread),
        )

    def _ask_committed(self, parts: list[TopicPartition]) -> "Future[Offsets]":
        """An admin client would not need a thread, but dies of a segmentation fault when the broker it asks is not the group's
        coordinator (librdkafka issue 5040)."""
        future: Future[Offsets] = Future()
        if parts:
            observer = self._observer = self._observer or self._new_observer()
            threading.Thread(target=_committed, args=(observer, parts, future), name="lag", daemon=True).start()
        else:
            future.set_result({})
        return future

    def _take(self, question: Question, parts: Iterable[TopicPartition]) -> None:
        if failures := question.failures:
            log.info("the lag is not known, or not all of it: %s", failures[0])
            self._client = None  # after a broker's restart an old one asks with a leader epoch that is gone
        lags: dict[str, list[int | None]] = {topic: [] for topic in self._topics}
        answer = Answer(
            _known(question.ends),
            _known(question.starts),
            question.committed.result() if question.committed.exception() is None else {},
        )
        for part in parts:
            lags[part.topic].append(answer.lag(part, self._read_to(part)))
        for topic, of_parts in lags.items():
            known = [messages for messages in of_parts if messages is not None]
            if len(known) == len(of_parts):
                LAG.labels(topic=topic).set(sum(known))


def _list_offsets(
    client: AdminClient, parts: Iterable[TopicPartition], spec: OffsetSpec
) -> "dict[KafkaTopicPartition, Future[Any]]":
    request = {KafkaTopicPartition(*part): spec for part in parts}
    if not request:
        return {}
    return client.list_offsets(request, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=REQUEST_TIMEOUT_S)


def _known(asked: "Mapping[KafkaTopicPartition, Future[Any]]") -> Offsets:
    return {
        TopicPartition(part.topic, part.partition): said.result().offset
        for part, said in asked.items()
        if said.exception() is None
    }


def _committed(observer: Consumer, parts: Iterable[TopicPartition], future: "Future[Offsets]") -> None:
    try:
        said = observer.committed([KafkaTopicPartition(*part) for part in parts], timeout=REQUEST_TIMEOUT_S)
    except KafkaException as error:
        future.set_exception(error)
    else:
        future.set_result({TopicPartition(part.topic, part.partition): part.offset for part in said if part.error is None})
