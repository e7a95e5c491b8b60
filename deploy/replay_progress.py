"""How far a replay has come, so that one that was stopped goes on: the committed offsets of a consumer group of its own.

They are committed in the transaction that sends the letters, so what was sent and what is noted never differ. A replay that
comes to its end deletes the group; one that was stopped and never goes on is forgotten when Kafka expires the group's offsets.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from contextlib import closing

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from consumers.runtime.clients import admin, error_of, group_observer
from deploy.dead_letters import Letter
from deploy.reading import REQUEST_TIMEOUT_S
from schemas.errors import ConfigError, Retryable
from schemas.settings import KafkaSettings
from schemas.topics import DEAD_LETTERS

GROUP = "dead-letters-replay"
COORDINATOR_MOVES = frozenset(
    {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}
)
SETTLING_S = 30.0
"""How long a first answer may take: of a coordinator that loads its groups, or of a transaction that is being ended."""


def name_of(choice: object) -> str:
    """The name of a choice of letters, equal for equal choices; `choice` is anything JSON can hold."""
    return hashlib.sha256(json.dumps(choice).encode()).hexdigest()[:16]


class AnotherRunEnded(ConfigError):
    """Another run of the same replay came to its end, and forgot how far it had come."""


class Progress:
    """What was sent of one choice of letters."""

    def __init__(self, kafka: KafkaSettings, name: str) -> None:
        self.name = name
        self._kafka = kafka
        self._group = f"{GROUP}-{name}"
        self._passed_to: Mapping[int, int] = {}

    def load(self, *, stable: bool = False) -> None:
        """Ask the broker; with `stable` what a transaction under way may still move is waited for.

        Raises:
            Retryable: it does not say.
            AnotherRunEnded: what it said before is gone.
        """
        settled_at_s = time.monotonic() + SETTLING_S
        while (passed_to := self._ask(stable, settled_at_s)) is None:
            time.sleep(0.2)
        if not self._passed_to.keys() <= passed_to.keys():
            raise AnotherRunEnded(
                "another run of the same replay has ended meanwhile and sent the rest; the same command would send all anew"
            )
        self._passed_to = passed_to

    def _ask(self, stable: bool, settled_at_s: float) -> dict[int, int] | None:
        """The committed offsets; None while a coordinator is only just found, as in a cluster that never had a group."""
        try:
            with closing(self.member(stable=stable)) as member:
                topics = member.list_topics(DEAD_LETTERS.name, timeout=REQUEST_TIMEOUT_S).topics
                parts = [TopicPartition(DEAD_LETTERS.name, number) for number in topics[DEAD_LETTERS.name].partitions]
                committed = member.committed(parts, timeout=SETTLING_S) if parts else []
            for part in committed:
                if part.error is not None:
                    raise KafkaException(part.error)
        except KafkaException as exception:
            error = error_of(exception)
            if error.code() in COORDINATOR_MOVES and time.monotonic() < settled_at_s:
                return None
            servers = self._kafka.bootstrap_servers
            raise Retryable(f"Kafka at {servers} does not answer what was replayed ({error.str()})") from exception
        return {part.partition: part.offset for part in committed if part.offset >= 0}

    def has(self, letter: Letter) -> bool:
        """Whether the letter was sent, or passed over, by a run before this one."""
        return letter.place.offset < self._passed_to.get(letter.place.partition, -1)

    def member(self, *, stable: bool = False) -> Consumer:
        """A consumer that speaks for the group in a transaction, and never joins."""
        return group_observer(self._kafka, self._group, stable=stable)

    def forget(self) -> None:
        """The replay is done: the next of the same choice begins anew.

        Raises:
            Retryable: the group could not be deleted.
        """
        client = admin(self._kafka, "portrait-replay")
        try:
            client.delete_consumer_groups([self._group], request_timeout=REQUEST_TIMEOUT_S)[self._group].result()
        except KafkaException as exception:
            error = error_of(exception)
            if error.code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise Retryable(
                    f"all letters were sent, but the consumer group {self._group}, which says so, could not be deleted "
                    f"({error.str()}): delete it before you send the same letters again"
                ) from exception
