"""How many messages wait to be folded, asked of the broker beside the loop.

What a consumer knows of a log's end comes with what it fetches, and of a paused partition it fetches nothing: that would stand
still while a model is down, and be nothing during a restore. So a thread asks the broker now and then, for all partitions at
once, and no turn of the loop waits for it. What is not known is not reported: the last word stays.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from confluent_kafka import Consumer, IsolationLevel
from confluent_kafka import TopicPartition as KafkaTopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from consumers.runtime.processor import TopicPartition
from schemas.metrics import LAG

log = logging.getLogger("portrait.lag")

EVERY_S = 2.0
REQUEST_TIMEOUT_S = 10.0

Offsets = Mapping[TopicPartition, int]


@dataclass(frozen=True)
class Answer:
    """Where logs end, and of what is not read now where they begin and what is committed; an offset below 0 is none."""

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
        self._broker = _Broker(admin, observer)
        self._topics = list(topics)
        self._read_to = read_to
        self._asked: Future[Answer] | None = None
        self._ask_at_s = 0.0

    def report(self, parts: Sequence[TopicPartition]) -> None:
        """Take an answer that has come, or ask when it is time; `parts` are those assigned to this member now."""
        if self._asked is not None:
            if self._asked.done():
                self._take(self._asked, parts)
                self._asked = None
        elif time.monotonic() >= self._ask_at_s:
            self._ask_at_s = time.monotonic() + EVERY_S
            unread = [part for part in parts if self._read_to(part) is None]
            self._asked = Future()
            threading.Thread(target=self._broker.ask, args=(parts, unread, self._asked), name="lag", daemon=True).start()

    def _take(self, asked: "Future[Answer]", parts: Iterable[TopicPartition]) -> None:
        if (failure := asked.exception()) is not None:
            return log.info("the lag is not known: %s", failure)
        answer = asked.result()
        lags: dict[str, list[int | None]] = {topic: [] for topic in self._topics}
        for part in parts:
            lags[part.topic].append(answer.lag(part, self._read_to(part)))
        for topic, of_parts in lags.items():
            known = [messages for messages in of_parts if messages is not None]
            if len(known) == len(of_parts):
                LAG.labels(topic=topic).set(sum(known))
        return None


class _Broker:
    """Asks and waits, in one thread at a time. Its clients are made and dropped there too, as that may take long."""

    def __init__(self, admin: Callable[[], AdminClient], observer: Callable[[], Consumer]) -> None:
        self._new_client, self._new_observer = admin, observer
        self._client: AdminClient | None = None
        self._observer: Consumer | None = None

    def ask(self, parts: Sequence[TopicPartition], unread: Sequence[TopicPartition], future: "Future[Answer]") -> None:
        """Complete the future, come what may: while it is open nobody asks again."""
        try:
            ends = self._list_offsets(parts, OffsetSpec.latest())  # type: ignore[no-untyped-call]
            starts = self._list_offsets(unread, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
            answer = Answer(ends, starts, self._committed(unread))
        except Exception as error:  # of a figure, which must never end a worker
            self._client = None
            future.set_exception(error)
        else:
            if len(ends) < len(parts):
                self._client = None  # after a broker's restart an old one asks with a leader epoch that is gone
            future.set_result(answer)

    def _list_offsets(self, parts: Sequence[TopicPartition], spec: OffsetSpec) -> Offsets:
        """Those that are known."""
        if not parts:
            return {}
        client = self._client = self._client or self._new_client()
        request = {KafkaTopicPartition(*part): spec for part in parts}
        asked = client.list_offsets(
            request, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=REQUEST_TIMEOUT_S
        )
        return {
            TopicPartition(part.topic, part.partition): said.result().offset
            for part, said in asked.items()
            if said.exception(2 * REQUEST_TIMEOUT_S) is None
        }

    def _committed(self, parts: Sequence[TopicPartition]) -> Offsets:
        """An admin client dies of a segmentation fault when the broker it asks is not the group's coordinator (librdkafka
        issue 5040); a consumer finds the one that is."""
        if not parts:
            return {}
        observer = self._observer = self._observer or self._new_observer()
        said = observer.committed([KafkaTopicPartition(*part) for part in parts], timeout=REQUEST_TIMEOUT_S)
        return {TopicPartition(part.topic, part.partition): part.offset for part in said if part.error is None}
