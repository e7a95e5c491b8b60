"""Holds everything a chaos run wrote against a single-threaded fold of its input: changelog, outputs and stores."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

from consumers.runtime.changelog import PROGRESS_KEY
from consumers.runtime.clients import RawRecord
from consumers.runtime.packing import unpack
from consumers.runtime.store import Store
from deploy.reading import read_all
from schemas.settings import Settings
from tests.benchmarks.tag_fold import EVENTS, STATES, SUMMARIES, State, Summary, decode_event, encode, fold, summary


class Version(NamedTuple):
    """A user's state after so many events."""

    user_id: str
    count: int


@dataclass(frozen=True)
class FoldVerdict:
    """What was found. `lost`: events missing in the final states. `duplicated`: events counted more than once in them, and
    states or summaries published twice or going back. `differing`: records, final states and store entries that are not the
    plain fold's; `first_differing` says for each partition where that began.
    """

    events: int
    users: int
    states_checked: int
    summaries_checked: int
    store_entries_checked: int
    lost: int
    duplicated: int
    differing: int
    first_differing: dict[int, str]


class Log:
    """One published topic: the digest of each version of each user's value, and how often it did not go forward."""

    def __init__(self, records: Iterable[RawRecord], kind: type[State] | type[Summary]) -> None:
        self.digests: dict[Version, bytes] = {}
        self.last: dict[str, int] = {}
        self.duplicated = 0
        read_count = msgspec.json.Decoder(kind).decode
        for raw in records:
            if raw.key == PROGRESS_KEY or raw.key is None or raw.value is None:
                continue
            value = unpack(raw.value)
            user_id, count = raw.key.decode(), read_count(value).count
            if count <= self.last.get(user_id, 0):
                self.duplicated += 1
            self.last[user_id] = count
            self.digests[Version(user_id, count)] = digest(value)


def judge_fold(settings: Settings, stores: Iterable[Path]) -> FoldVerdict:
    """Compare, record for record. The workers must have stopped with nothing left to read."""
    states = Log(read_all(settings.kafka, (STATES,)), State)
    summaries = Log(read_all(settings.kafka, (SUMMARIES,)), Summary)
    found: Counter[str] = Counter()
    first_differing: dict[int, str] = {}
    folded = plain(settings, states, summaries, found, first_differing)
    missing = [state.count - log.last.get(user_id, 0) for user_id, state in folded.items() for log in (states, summaries)]
    lost, counted_again = sum(max(0, events) for events in missing), sum(max(0, -events) for events in missing)
    unknown = len(states.digests) + len(summaries.digests) - found["matched"] - found["differing"]
    entries, wrong_entries = check_stores(stores, folded, settings.kafka.partitions)
    return FoldVerdict(
        events=sum(state.count for state in folded.values()),
        users=len(folded),
        states_checked=len(states.digests),
        summaries_checked=len(summaries.digests),
        store_entries_checked=entries,
        lost=lost,
        duplicated=states.duplicated + summaries.duplicated + counted_again,
        differing=found["differing"] + unknown + wrong_entries,
        first_differing=first_differing,
    )


def plain(
    settings: Settings, states: Log, summaries: Log, found: Counter[str], first_differing: dict[int, str]
) -> dict[str, State]:
    """Fold the input event by event, in the order of each partition, and hold every version that was published against it."""
    folded: dict[str, State] = {}
    for raw in read_all(settings.kafka, (EVENTS,)):
        event = decode_event(raw)[1]
        state = folded.setdefault(event.user_id, State())
        fold(state, event)
        version = Version(event.user_id, state.count)
        for log, value in ((states, state), (summaries, None)):
            published = log.digests.get(version)
            if published is None:
                continue
            if published == digest(encode(value or summary(state))):
                found["matched"] += 1
                continue
            found["differing"] += 1
            sent_at = datetime.fromtimestamp(raw.timestamp_ms / 1000)
            first_differing.setdefault(raw.partition, f"{version} of event offset {raw.offset}, sent at {sent_at}")
    return folded


def check_stores(folders: Iterable[Path], folded: dict[str, State], partitions: int) -> tuple[int, int]:
    """Entries compared and entries that differ; a partition that no store holds to its end counts as one that differs.

    The newest store of each partition counts: others belong to workers that lost the partition on the way.
    """
    newest: dict[int, tuple[int, Path]] = {}
    for folder in folders:
        for path in folder.iterdir() if folder.exists() else ():
            store = Store(folder, int(path.name))
            reached = store.position().changelog_offset
            store.close()
            newest[int(path.name)] = max(newest.get(int(path.name), (-1, path)), (reached, path))
    entries = wrong = 0
    remaining = set(folded)
    for number, (_, path) in newest.items():
        store = Store(path.parent, number)
        held = store.load(sorted(remaining))
        store.close()
        remaining -= held.keys()
        entries += len(held)
        wrong += sum(data != encode(folded[user_id]) for user_id, data in held.items())
    return entries, wrong + len(remaining) + partitions - len(newest)


def digest(value: bytes) -> bytes:
    """Short, and the same for the same bytes."""
    return hashlib.blake2b(value, digest_size=8).digest()
