"""A partition's local store: the only owner of RocksDB.

Only committed data is ever in it. One WriteBatch holds the states, the changelog offset and the input offsets, so the store
is always the image of one commit. The log is not synced to disk per write: a killed process loses nothing, and what a killed
machine loses the changelog's tail brings back.
"""

import json
import logging
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    DBCompactionStyle,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from consumers.runtime.key_sample import EVERY_KEY, KeySample
from consumers.runtime.packing import Packed, unpack
from schemas.errors import ConfigError, TaskCorrupted

log = logging.getLogger("portrait.store")

BLOOM_BITS = 10
"""A key: one look in a hundred is in vain."""
MIN_BLOB_BYTES = 256
BLOB_FILE_BYTES, OPEN_FILES = 8 * 1024 * 1024, 256
"""Blobs of 2 GB are open at once: those of more than a million users."""
BLOB_READAHEAD_BYTES = 2 * 1024 * 1024
"""A compaction reads its blobs in the order in which they lie; without this it asks the system for each of them."""
OLDEST_BLOBS = 0.5
"""The share of blob files whose live states a compaction moves on, so that what was overwritten beside them is freed."""
MOST_NEW_PERCENT = 50
"""Keys in newer runs than the oldest, of that one's: with more, all keys are compacted, which is what frees blobs. With
RocksDB's 200 a store grew to seven times what is alive."""
RUNS_BEFORE_COMPACTION, FILES_BEFORE_SLOWDOWN = 2, 64
"""Whether keys are to be compacted is asked soon, as that frees states; a restore need not wait for it."""
EQUAL_RUNS_MERGED, MOST_RUNS = 4, 12
"""Without RocksDB's bound of as many runs as are asked about: newer ones are merged by fours."""
COMPACTED_AT_CLOSE_BYTES = 96 * 1024 * 1024
"""Blobs that are moved in a moment, of some fifty thousand users. Of larger stores what is overwritten is freed in time."""
MEMTABLE_BYTES = 32 * 1024 * 1024
MEMTABLE_FILTER_SHARE = 0.005
"""Of a memtable, for a filter of its keys: with many users most states that are asked for have left it, and are not looked for
there in vain."""
_RUNS = f"{{max_size_amplification_percent={MOST_NEW_PERCENT};min_merge_width={EQUAL_RUNS_MERGED};max_read_amp={MOST_RUNS};}}"
"""As RocksDB reads it: rocksdict does not know max_read_amp."""
_STATE, _SAMPLED = b"s", b"k"
_POSITION, _SAMPLED_BELOW = b"m:position", b"m:sampled_below"


@dataclass(frozen=True)
class Position:
    """Which commit a store is the image of: the next changelog offset to read, and the next input offsets by topic.

    `complete_at_ms` is a moment at which the store held all there was: what it lacks was written later.
    """

    changelog_offset: int = 0
    input_offsets: Mapping[str, int] = field(default_factory=dict)
    complete_at_ms: int = 0


class StoreMemory:
    """What all stores of a process may hold in memory together, in bytes: blocks read from their files, and at most half of it
    writes that are not in files yet."""

    def __init__(self, limit_bytes: int) -> None:
        self.blocks = Cache(limit_bytes)
        self.writes = WriteBufferManager.new_write_buffer_manager_with_cache(limit_bytes // 2, False, self.blocks)


class Store:
    """States of one partition by key, as bytes. Without `memory` it has RocksDB's own bounds, for itself.

    Every method raises TaskCorrupted when a file turns out to be damaged, and ConfigError when the disk refuses. A store that
    cannot even be opened for damage begins anew, empty: its owner restores it.
    """

    def __init__(self, folder: Path, partition: int, memory: StoreMemory | None = None) -> None:
        self.partition = partition
        self._memory = memory
        self._path, self._gone = folder / str(partition), folder / f"{partition}.gone"
        self._has_unlogged = False
        self._open()

    def _open(self) -> None:
        self._key_sample: KeySample | None = None
        shutil.rmtree(self._gone, ignore_errors=True)
        self._path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_write_buffer_size(MEMTABLE_BYTES)
        options.set_memtable_whole_key_filtering(True)
        options.set_memtable_prefix_bloom_ratio(MEMTABLE_FILTER_SHARE)
        options.set_keep_log_file_num(2)
        _keep_values_apart(options)
        table = BlockBasedOptions()
        table.set_bloom_filter(BLOOM_BITS, False)  # a state lies in one of many files; the others are not read
        if self._memory is not None:
            table.set_block_cache(self._memory.blocks)
            options.set_write_buffer_manager(self._memory.writes)
        options.set_block_based_table_factory(table)
        try:
            self._db = Rdict(str(self._path), options)
            self._db.set_options({"compaction_options_universal": _RUNS})
        except Exception as error:  # rocksdict raises bare Exception
            if not _is_damage(str(error)):
                raise ConfigError(
                    f"cannot open the store {self._path}: {error}; is another worker running with the same "
                    "PORTRAIT_RUNTIME__REPLICA?"
                ) from error
            log.warning("the store %s is damaged (%s); it begins anew", self._path, error)
            self._path.rename(self._gone)
            self._open()

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # rocksdict raises bare Exception
            if _is_damage(str(error)):
                raise TaskCorrupted(self.partition, f"a file of it is damaged ({error})") from error
            raise ConfigError(f"the store {self._path} cannot be used: {error}; is the disk full?") from error

    def load(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The states of these keys; keys without one are absent."""
        if not keys:
            return {}
        with self._reporting():
            found = cast(list[bytes | None], self._db.get([_STATE + key.encode() for key in keys]))
        return {key: unpack(value) for key, value in zip(keys, found, strict=True) if value is not None}

    def sample(self) -> list[str]:
        """Keys of states, chosen by chance and in an order of chance: all while there are few, else some thousands."""
        return [key.decode() for key in self._sampled().in_order()]

    def _sampled(self) -> KeySample:
        if self._key_sample is None:
            with self._reporting():
                keys = [key[len(_SAMPLED) :] for key, _ in _entries(self._db, _SAMPLED)]
                self._key_sample = KeySample(keys, int(self._db.get(_SAMPLED_BELOW) or EVERY_KEY))
        return self._key_sample

    def position(self) -> Position:
        """Which commit this store is the image of."""
        with self._reporting():
            raw = self._db.get(_POSITION)
        return Position() if raw is None else Position(**json.loads(raw))

    def write(self, states: Mapping[str, Packed | None], position: Position) -> None:
        """Apply one commit at once."""
        self._flush_unlogged()
        self._apply({key.encode(): value for key, value in states.items()}, position, WriteOptions())

    def restore(self, states: Mapping[bytes, Packed | None], position: Position) -> None:
        """Apply one slice of a restore at once, as it lies on the changelog.

        A death before `record_position` may take the store back to where it stood.
        """
        if not self._has_unlogged:
            with self._reporting():
                self._free_blobs(False)
            self._has_unlogged = True
        self._apply(states, position, _unlogged())

    def _apply(self, states: Mapping[bytes, Packed | None], position: Position, options: WriteOptions) -> None:
        sample = self._sampled()
        moved = sample.follow(states)
        batch = WriteBatch(raw_mode=True)
        _add(batch, _STATE, states)
        _add(batch, _SAMPLED, moved)
        if moved:
            batch.put(_SAMPLED_BELOW, str(sample.bound).encode())
        batch.put(_POSITION, _encode(position))
        with self._reporting():
            self._db.write(batch, options)

    def record_position(self, position: Position) -> None:
        """Say which commit this store is the image of; of what was restored, nothing can be lost any more."""
        self._flush_unlogged()
        with self._reporting():
            self._db.put(_POSITION, _encode(position))

    def _flush_unlogged(self) -> None:
        """A logged write must never outlive an unlogged one before it: the position would promise what is lost."""
        if self._has_unlogged:
            with self._reporting():
                self._db.flush()
                self._free_blobs(True)
            self._has_unlogged = False

    def _free_blobs(self, wanted: bool) -> None:
        """Whether compaction moves live states: hardly one is overwritten during a restore, and all were moved for nothing."""
        self._db.set_options({"enable_blob_garbage_collection": "true" if wanted else "false"})

    def wipe(self) -> None:
        """Forget everything, position included."""
        with suppress(Exception):  # it is closed, and says what its compaction met in damaged files
            self._db.close()
        if self._path.exists():
            self._path.rename(self._gone)  # at once: what is half deleted could not be opened again
        self._has_unlogged = False
        self._open()

    def close(self) -> None:
        """Put what is in memory into files, which the next opening would do first, and release them.

        It takes some tenths of a second at most.
        """
        try:
            self._db.flush()
            if (self._db.property_int_value("rocksdb.live-blob-file-size") or 0) <= COMPACTED_AT_CLOSE_BYTES:
                self._db.set_options({"blob_garbage_collection_age_cutoff": "1.0"})
                self._db.compact_range(None, None)
            self._db.close()
        except Exception as error:  # rocksdict raises bare Exception
            log.warning("the store %s could not be written out (%s); its log holds what is missing", self._path, error)
            with suppress(Exception):  # the same once more
                self._db.close()


def _keep_values_apart(options: Options) -> None:
    """States in blob files, so that compaction moves keys and not states: at millions of users that was most of a store's CPU
    time (WiscKey, FAST '16). What is overwritten is freed when its blob file is among the oldest."""
    options.set_enable_blob_files(True)
    options.set_min_blob_size(MIN_BLOB_BYTES)
    options.set_blob_file_size(BLOB_FILE_BYTES)
    options.set_max_open_files(OPEN_FILES)
    options.set_blob_compression_type(DBCompressionType.none())  # states come packed
    options.set_enable_blob_gc(True)
    options.set_blob_gc_age_cutoff(OLDEST_BLOBS)
    options.set_blob_compaction_readahead_size(BLOB_READAHEAD_BYTES)
    options.set_compaction_style(DBCompactionStyle.universal())  # rewrites all keys seldom, where levels do each time
    options.set_level_zero_file_num_compaction_trigger(RUNS_BEFORE_COMPACTION)
    options.set_level_zero_slowdown_writes_trigger(FILES_BEFORE_SLOWDOWN)
    options.set_level_zero_stop_writes_trigger(2 * FILES_BEFORE_SLOWDOWN)


def _add(batch: WriteBatch, prefix: bytes, entries: Mapping[bytes, bytes | None]) -> None:
    put, delete = batch.put, batch.delete
    for key, value in entries.items():
        if value is None:
            delete(prefix + key)
        else:
            put(prefix + key, value)


def _entries(db: Rdict, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What is kept under keys that begin so, in their order. A damaged file raises, where items() would end without a word."""
    found = db.iter()
    found.seek(prefix)
    while found.valid():
        key = cast(bytes, found.key())
        if not key.startswith(prefix):
            return
        yield key, cast(bytes, found.value())
        found.next()
    found.status()


def _is_damage(failure: str) -> bool:
    """Whether RocksDB says that what it read is not what it wrote, or gone; rocksdict passes on its words alone."""
    return failure.startswith("Corruption") or _is_gone(failure)


def _is_gone(failure: str) -> bool:
    return "No such file or directory" in failure


def _encode(position: Position) -> bytes:
    return json.dumps({**vars(position), "input_offsets": dict(position.input_offsets)}).encode()


def _unlogged() -> WriteOptions:
    """Writes that skip the log: what a killed process loses of a restore is read again."""
    options = WriteOptions()
    options.disable_wal = True  # type: ignore[method-assign,assignment]  # a property; rocksdict's stubs say a method
    return options


def _link(name: Path, file: Path) -> None:
    """Another name for a file, which stays when its owner deletes it; on another disk a pointer, which may come to nothing."""
    try:
        name.hardlink_to(file)
    except OSError:
        name.symlink_to(file.resolve())


OPEN_ATTEMPTS = 20


class StoreReader:
    """One moment of a store, which a running worker may hold: nothing in its folder is written, locked or waited for.

    The moment is the store's last commit when the reader was made; what is committed later is not seen. Every method raises
    ConfigError when a file turns out to be damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._links = Path(tempfile.mkdtemp(prefix="portrait-store-"))
        try:
            self._db = self._open(path)
        except BaseException:
            shutil.rmtree(self._links)
            raise

    def _open(self, path: Path) -> Rdict:
        """Open a folder of links: rocksdict writes a file of its own wherever it opens, even to read only."""
        if not (path / "CURRENT").is_file():
            raise ConfigError(f"{path} is no store: it has no file CURRENT; a store is the folder of one partition")
        failure = ""
        for attempt in range(OPEN_ATTEMPTS):
            links = self._links / str(attempt)
            links.mkdir()
            for file in path.iterdir():
                if file.name != "rocksdict-config.json":
                    _link(links / file.name, file)
            try:
                return Rdict(str(links), Options(raw_mode=True), access_type=AccessType.read_only())
            except Exception as error:  # rocksdict raises bare Exception; the owner may have changed files meanwhile
                failure = str(error)
                time.sleep(0.05)
        raise self._unreadable(failure)

    def _unreadable(self, failure: str) -> ConfigError:
        failure = re.sub(rf"{re.escape(str(self._links))}/\d+", str(self._path), failure)
        advice = ""
        if _is_damage(failure):
            moved = "its worker may just have put this into other files: ask again, or " if _is_gone(failure) else ""
            advice = f"; {moved}delete this folder while its worker is off: the worker restores it from the changelog"
        return ConfigError(f"cannot read the store {self._path}: {failure}{advice}")

    def _look_up(self, key: bytes) -> bytes | None:
        try:
            return cast(bytes | None, self._db.get(key))
        except Exception as error:  # rocksdict raises bare Exception
            raise self._unreadable(str(error)) from error

    def position(self) -> Position:
        """Which commit is seen."""
        raw = self._look_up(_POSITION)
        return Position() if raw is None else Position(**json.loads(raw))

    def get(self, key: bytes) -> bytes | None:
        """The state of this key."""
        kept = self._look_up(_STATE + key)
        return None if kept is None else unpack(kept)

    def states(self) -> Iterator[tuple[bytes, bytes]]:
        """All keys with their states, in the order of the keys' bytes.

        Raises:
            ConfigError: a file is damaged; the states before it were given.
        """
        try:
            for key, value in _entries(self._db, _STATE):
                yield key[len(_STATE) :], unpack(value)
        except Exception as error:
            raise self._unreadable(str(error)) from error

    def close(self) -> None:
        """Release the files."""
        self._db.close()
        shutil.rmtree(self._links)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
