"""States as the changelog and the local stores have them, a partition at a time, so that memory holds one partition."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import msgspec

from consumers.runtime.changelog import PROGRESS_KEY, decode_progress
from consumers.runtime.clients import RawRecord
from consumers.runtime.packing import unpack
from consumers.runtime.processor import TopicPartition
from deploy.reading import log_bounds, read_all
from schemas.errors import ConfigError
from schemas.settings import KafkaSettings, Settings
from schemas.state import UserState, decode_state
from schemas.topics import USER_STATE

OWNER = "profiler"
"""The role whose stores hold user states."""
TICK_RECORDS = 1000

Tick = Callable[[int], None]
"""Told now and then how many more records were read."""


class Logged(NamedTuple):
    """The last word of the changelog on a key, as it lies there; None is a tombstone."""

    offset: int
    timestamp_ms: int
    kept: bytes | None

    @property
    def value(self) -> bytes | None:
        """The state; None for a tombstone."""
        return None if self.kept is None else unpack(self.kept)


@dataclass
class LoggedPartition:
    """What a partition of the changelog holds: per key its last record, the progress record among them.

    `before` has, for each offset asked for, what keys said before it that were changed at it or later; None where the log
    does not tell any more.
    """

    partition: int
    latest: dict[bytes, Logged] = field(default_factory=dict)
    before: dict[int, dict[bytes, Logged | None]] = field(default_factory=dict)
    records: int = 0
    log_bytes: int = 0
    pending: int = 0
    """Records behind the last progress record."""
    end: int = 0
    """The offset after the last record read."""

    def take(self, raw: RawRecord) -> None:
        """Note one record; they come in order."""
        key = raw.key or b""
        said = self.latest.get(key)
        for offset, before in self.before.items():
            if raw.offset >= offset and key not in before and (said is None or said.offset < offset):
                before[key] = said
        self.latest[key] = Logged(raw.offset, raw.timestamp_ms, raw.value)
        self.records += 1
        self.log_bytes += len(key) + len(raw.value or b"")
        self.pending = 0 if key == PROGRESS_KEY else self.pending + 1
        self.end = raw.offset + 1

    def states(self) -> Iterator[tuple[bytes, Logged, bytes]]:
        """Key, record and state of every user who has one, in the order of the keys' bytes."""
        for key in sorted(self.latest):
            logged = self.latest[key]
            if key != PROGRESS_KEY and (value := logged.value) is not None:
                yield key, logged, value

    def progress(self) -> dict[str, int]:
        """The input offsets of the last commit, by topic; empty before the first."""
        said = self.latest.get(PROGRESS_KEY)
        return {} if said is None or said.value is None else decode_progress(said.value)


def read_partition(
    kafka: KafkaSettings, partition: int, *, offsets: Sequence[int] = (), tick: Tick | None = None
) -> LoggedPartition:
    """One partition of the changelog to its present end; `offsets` are moments that will be asked for.

    Raises:
        ConfigError, Retryable: as `deploy.reading.read_all`.
    """
    logged = LoggedPartition(partition, before={offset: {} for offset in offsets})
    for raw in ticked(read_all(kafka, (USER_STATE,), partitions=(partition,)), tick):
        logged.take(raw)
    return logged


def ticked(records: Iterator[RawRecord], tick: Tick | None) -> Iterator[RawRecord]:
    """The records, with word to `tick` every so many."""
    count = 0
    for count, record in enumerate(records, 1):
        yield record
        if tick is not None and count % TICK_RECORDS == 0:
            tick(TICK_RECORDS)
    if tick is not None:
        tick(count % TICK_RECORDS)


def changelog_bounds(kafka: KafkaSettings) -> dict[int, tuple[int, int]]:
    """First offset and high watermark by partition of the changelog; raises as `read_all` does."""
    return {place.partition: bounds for place, bounds in sorted(log_bounds(kafka, (USER_STATE,)).items())}


def log_length(bounds: dict[int, tuple[int, int]] | dict[TopicPartition, tuple[int, int]]) -> int:
    """At most so many records are between these bounds."""
    return sum(end - start for start, end in bounds.values())


@dataclass(frozen=True)
class FoundStore:
    """A store's folder; `owner` is the worker it belongs to, as `profiler-0`."""

    owner: str
    partition: int
    path: Path

    @property
    def name(self) -> str:
        """Owner and partition."""
        return f"{self.owner}/{self.partition}"

    def disk_bytes(self) -> int:
        """The sum of its files, as long as they are."""
        return sum(size for file in self.path.iterdir() if (size := _size(file)) is not None)


def _size(file: Path) -> int | None:
    try:
        return file.stat().st_size
    except FileNotFoundError:  # its owner is at work
        return None


def stores_in(folder: Path) -> list[FoundStore]:
    """The stores of this folder: a project's, its `state`, one worker's, or one partition's.

    Raises:
        ConfigError: there are none.
    """
    folder = folder.resolve()
    owners = [folder.parent] if folder.name.isdigit() else [folder]
    if not _partitions(owners[0]):
        owners = sorted([*folder.glob(f"state/{OWNER}-*"), *folder.glob(f"{OWNER}-*")])
    found = [FoundStore(owner.name, int(path.name), path) for owner in owners for path in _partitions(owner)]
    chosen = [store for store in found if not folder.name.isdigit() or store.path == folder]
    if not chosen:
        raise ConfigError(
            f"no store in {folder}: give the project's folder, a worker's (…/state/{OWNER}-0) or a partition's (…/{OWNER}-0/3)"
        )
    return chosen


def _partitions(owner: Path) -> list[Path]:
    if not owner.is_dir():
        return []
    folders = [path for path in owner.iterdir() if path.name.isdigit() and (path / "CURRENT").is_file()]
    return sorted(folders, key=lambda path: int(path.name))


def stores_of(settings: Settings, folder: Path | None) -> list[FoundStore]:
    """The stores of the folder that was given, else what the project's folder has, which may be nothing."""
    if folder is not None:
        return stores_in(folder)
    try:
        return stores_in(settings.runtime.folder)
    except ConfigError:
        return []


def state_of(value: bytes) -> UserState | str:
    """The state, or why these bytes are none."""
    try:
        return decode_state(value)
    except msgspec.MsgspecError as error:
        return f"not a state of this build's codec ({error})"


def user_name(key: bytes) -> str:
    """The user id; what is not UTF-8 is escaped."""
    return key.decode(errors="backslashreplace")
