"""Are the states right? Local stores against the changelog, and the changelog against a plain fold of the inputs.

A store is the image of one commit, so it is held against what the changelog said at that commit: a store that is merely behind
does not differ. Users who changed since, and whose earlier state compaction has removed, cannot be compared and are counted.
The plain fold stops at the input offsets of the changelog's last progress record, so a worker may be at work meanwhile.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from consumers.fold import is_empty
from consumers.runtime.changelog import PROGRESS_KEY, decode_progress
from consumers.runtime.processor import Record
from consumers.runtime.store import Position, StoreReader
from deploy.judge import INPUTS, plain_fold
from deploy.reading import decoded, read_all
from deploy.state_log import FoundStore, LoggedPartition, Tick, read_partition, state_of, ticked, user_name
from schemas.errors import BadMessage
from schemas.settings import Settings
from schemas.state import UserState

MAX_NAMED = 10
SETTLE_ATTEMPTS = 3
"""Reads of a partition until its last record closes a commit."""


@dataclass(frozen=True)
class Difference:
    """A user whose states are not the same, and how."""

    partition: int
    against: str
    user_id: str
    what: str


@dataclass
class Comparison:
    """One partition of the changelog against one store, or against the plain fold.

    `unknown`: users that changed since the store's commit and whose state at that time is no longer in the log.
    """

    partition: int
    against: str
    logged: int = 0
    other: int = 0
    same: int = 0
    unknown: int = 0
    records_behind: int = 0
    differing: int = 0
    differences: list[Difference] = field(default_factory=list)
    """The first few."""

    def differ(self, user_id: str, what: str) -> None:
        """Count a difference."""
        self.differing += 1
        if len(self.differences) < MAX_NAMED:
            self.differences.append(Difference(self.partition, self.against, user_id, what))


def verify_partition(
    settings: Settings, partition: int, stores: list[FoundStore], *, refold: bool, tick: Tick | None = None
) -> list[Comparison]:
    """Compare one partition with each of its stores and, with `refold`, with the plain fold.

    Raises:
        ConfigError, Retryable: a store or the broker cannot be read.
    """
    readers = [(store, StoreReader(store.path)) for store in stores]  # before the log, which then reaches at least as far
    try:
        offsets = [reader.position().changelog_offset for _, reader in readers]
        logged = (
            read_settled(settings, partition, offsets, tick)
            if refold
            else read_partition(settings.kafka, partition, offsets=offsets, tick=tick)
        )
        comparisons = [compare_store(logged, store, reader) for store, reader in readers]
    finally:
        for _, reader in readers:
            reader.close()
    if refold:
        lives = {
            user_name(key): state.life for key, _, value in logged.states() if isinstance(state := state_of(value), UserState)
        }
        folded = fold_partition(settings, partition, logged.progress(), lives, tick)
        comparisons.append(compare_fold(logged, folded))
    return comparisons


def read_settled(settings: Settings, partition: int, offsets: list[int], tick: Tick | None = None) -> LoggedPartition:
    """The partition up to the end of a commit; what stays behind the last one for good is no commit's, and is kept."""
    logged = read_partition(settings.kafka, partition, offsets=offsets, tick=tick)
    for _ in range(SETTLE_ATTEMPTS):
        if not logged.pending:
            break
        logged = read_partition(settings.kafka, partition, offsets=offsets)
    return logged


def compare_store(logged: LoggedPartition, store: FoundStore, reader: StoreReader) -> Comparison:
    """A store against the changelog as it was at the store's commit."""
    position = reader.position()
    offset = position.changelog_offset
    result = Comparison(logged.partition, store.name, records_behind=max(0, logged.end - offset))
    before = logged.before[offset]
    expected = {
        key: said
        for key, latest in logged.latest.items()
        if (said := before.get(key, latest)) is not None and said.kept is not None and key != PROGRESS_KEY
    }
    unknown = {key for key, said in before.items() if said is None}
    result.logged = len(expected)
    for key, value in reader.states():
        result.other += 1
        said = expected.pop(key, None)
        wanted = None if said is None else said.value
        if wanted == value:
            result.same += 1
        elif wanted is None and key in unknown:
            result.unknown += 1
        else:
            result.differ(user_name(key), difference(("changelog", wanted), ("store", value)))
    for key, said in expected.items():
        result.differ(user_name(key), difference(("changelog", said.value), ("store", None)))
    _compare_progress(logged, position, before, result)
    return result


def _compare_progress(logged: LoggedPartition, position: Position, before: Mapping[bytes, object], result: Comparison) -> None:
    said = logged.latest.get(PROGRESS_KEY)
    if PROGRESS_KEY in before or said is None or said.value is None:
        return  # that commit's progress record has been followed by others
    inputs = decode_progress(said.value)
    if inputs != dict(position.input_offsets):
        result.differ("(input offsets)", f"changelog {inputs}, store {dict(position.input_offsets)}")


def fold_partition(
    settings: Settings, partition: int, until: Mapping[str, int], lives: Mapping[str, int], tick: Tick | None = None
) -> dict[str, UserState]:
    """A partition's inputs folded in plain Python, up to these offsets by topic; `lives` as in `plain_fold`."""
    states, _ = plain_fold(list(_records(settings, partition, until, tick)), settings, lives)
    return states


def _records(settings: Settings, partition: int, until: Mapping[str, int], tick: Tick | None) -> Iterator[Record]:
    for raw in ticked(read_all(settings.kafka, INPUTS, partitions=(partition,)), tick):
        if raw.offset >= until.get(raw.topic, 0):
            continue
        try:
            key, message = decoded(raw, settings.fold)
        except BadMessage:
            continue
        yield Record(raw.topic, raw.partition, raw.offset, raw.timestamp_ms, key, message)


def compare_fold(logged: LoggedPartition, folded: dict[str, UserState]) -> Comparison:
    """The changelog's end against the plain fold."""
    result = Comparison(logged.partition, "plain fold", other=len(folded))
    left = dict(folded)
    for key, _, value in logged.states():
        result.logged += 1
        user_id, stored = user_name(key), state_of(value)
        wanted = left.pop(user_id, None)
        if wanted == stored:
            result.same += 1
        else:
            result.differ(user_id, state_difference(("plain fold", wanted), ("changelog", stored)))
    for user_id, wanted in left.items():
        if not is_empty(wanted):
            result.differ(user_id, state_difference(("plain fold", wanted), ("changelog", None)))
    return result


def difference(one: tuple[str, bytes | None], other: tuple[str, bytes | None]) -> str:
    """How two stored states differ, in words."""
    states = [(name, None if value is None else state_of(value)) for name, value in (one, other)]
    return state_difference(states[0], states[1])


def state_difference(one: tuple[str, UserState | str | None], other: tuple[str, UserState | str | None]) -> str:
    """How two states differ, in words; a text stands for bytes that are no state, None for no state."""
    for name, state in (one, other):
        if not isinstance(state, UserState):
            return f"{name}: {'no state' if state is None else state}"
    fields = [
        f"{name}: {one[0]} {getattr(one[1], name)!r:.60}, {other[0]} {getattr(other[1], name)!r:.60}"
        for name in UserState.__struct_fields__
        if getattr(one[1], name) != getattr(other[1], name)
    ]
    return "; ".join(fields) or "the same state in other bytes"
