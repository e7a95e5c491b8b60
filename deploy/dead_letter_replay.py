"""Dead letters sent back to where they came from: the original key, value and headers, byte for byte.

A letter keeps lying on its topic, so replaying it twice sends it twice; only a replay that was stopped goes on where it was.
What must not happen in silence is refused: a message that has already been replayed and failed again (it carries
`portrait-replayed-from`), and one of a user who has been erased since it was written. The record's time is that of the replay.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaException

from consumers.runtime.clients import admin, error_of
from deploy.dead_letters import REPLAYED_FROM, Header, Letter, Place
from deploy.reading import REQUEST_TIMEOUT_S, decoded, read_all
from schemas.errors import BadMessage, ConfigError, Retryable
from schemas.messages import EraseControl
from schemas.settings import KafkaSettings, Settings
from schemas.topics import DEAD_LETTERS, TOPICS, USER_CONTROLS, USER_STATE, Key, Topic

REPLAYED_BEFORE = "replayed before"
ERASED_SINCE = "user erased since"
NO_SOURCE = "no source"
PASSED_ALREADY = "passed before it was stopped"
CLOSED = frozenset({USER_STATE.name, DEAD_LETTERS.name})


@dataclass
class Plan:
    """What a replay will send, and what it leaves out and why."""

    targets: dict[Place, str] = field(default_factory=dict)
    """The topic of each letter, in the order of sending."""
    left_out: Counter[str] = field(default_factory=Counter)
    sourceless: list[Place] = field(default_factory=list)
    size_bytes: int = 0

    def topics(self) -> dict[str, int]:
        """How many letters go to each topic."""
        return dict(sorted(Counter(self.targets.values()).items()))


def make_plan(
    letters: Iterable[Letter],
    erased_at_ms: dict[bytes, int],
    *,
    to: str | None,
    again: bool,
    passed: Callable[[Letter], bool] = lambda _: False,
) -> Plan:
    """Decide on each letter; `erased_at_ms` has the users' last erasures, `passed` knows what a stopped run has sent, or
    could not send."""
    plan = Plan()
    for letter in letters:
        target = to or letter.source_topic
        if target is None:
            plan.left_out[NO_SOURCE] += 1
            plan.sourceless.append(letter.place)
        elif _of_erased_user(letter, target, erased_at_ms):
            plan.left_out[ERASED_SINCE] += 1
        elif letter.replayed_from is not None and not again:
            plan.left_out[REPLAYED_BEFORE] += 1
        elif passed(letter):
            plan.left_out[PASSED_ALREADY] += 1
        else:
            plan.targets[letter.place] = target
            plan.size_bytes += letter.size_bytes
    return plan


def _of_erased_user(letter: Letter, target: str, erased_at_ms: dict[bytes, int]) -> bool:
    keyed_by_user = topic_named(target).key is Key.USER_ID or topic_named(letter.source_topic or "").key is Key.USER_ID
    return keyed_by_user and letter.source_timestamp_ms <= erased_at_ms.get(letter.key or b"", -1)


def erasures(settings: Settings) -> dict[bytes, int]:
    """When each user was last erased, by key; raises as `read_all` does."""
    found: dict[bytes, int] = {}
    for raw in read_all(settings.kafka, (USER_CONTROLS,)):
        try:
            _, message = decoded(raw, settings.fold)
        except BadMessage:
            continue
        if isinstance(message, EraseControl) and raw.key is not None:
            found[raw.key] = max(raw.timestamp_ms, found.get(raw.key, -1))
    return found


def topic_named(name: str) -> Topic:
    """The contract of one of our topics; one without a contract for any other name."""
    known = {topic.name: topic for topic in TOPICS}
    return known.get(name, Topic(name, Key.SOURCE, "delete", ""))


def require_topics(kafka: KafkaSettings, names: Iterable[str]) -> None:
    """See that all these topics exist, and that others than Portrait itself may write to them.

    Raises:
        ConfigError: one is missing or closed.
        Retryable: the broker does not answer.
    """
    try:
        there = admin(kafka, "portrait-replay").list_topics(timeout=REQUEST_TIMEOUT_S).topics
    except KafkaException as error:
        raise Retryable(f"Kafka at {kafka.bootstrap_servers} does not answer ({error_of(error).str()})") from error
    for name in names:
        if name in CLOSED:
            raise ConfigError(f"nothing is replayed to {name}: only Portrait's own workers write there")
        if name not in there:
            raise ConfigError(f"Kafka at {kafka.bootstrap_servers} has no topic {name!r:.200}; choose another with --to TOPIC")


def replay_headers(letter: Letter) -> list[Header]:
    """The record's own headers, then where the replay comes from; a former replay's word is replaced."""
    kept = [(name, value) for name, value in letter.original_headers if name != REPLAYED_FROM]
    return [*kept, (REPLAYED_FROM, str(letter.place).encode())]
