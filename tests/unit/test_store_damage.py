"""What a store's owner and its readers say of damaged files."""

import random
from collections.abc import Callable
from errno import EXDEV
from pathlib import Path
from unittest.mock import Mock

import pytest

from consumers.runtime.packing import pack
from consumers.runtime.store import Position, Store, StoreReader
from schemas.errors import ConfigError, TaskCorrupted

USERS = {f"user-{number}".encode(): pack(random.Random(number).randbytes(1000)) for number in range(50)}
POSITION = Position(50, {"events": 7}, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path, 0)
    store.restore(USERS, POSITION)
    store.record_position(POSITION)  # flushes: keys are in an .sst, states in a .blob
    store.close()
    return tmp_path


def damage(folder: Path, files: str) -> None:
    found = list((folder / "0").glob(files))
    assert found
    for file in found:
        whole = file.read_bytes()
        spoilt = 64 if file.suffix == ".sst" else len(whole)  # the end of an .sst is read when it is opened
        file.write_bytes(bytes(spoilt) + whole[spoilt:])


def remove(folder: Path, files: str) -> None:
    for file in (folder / "0").glob(files):
        file.unlink()


@pytest.mark.parametrize(("harm", "files"), [(damage, "*.blob"), (damage, "*.sst"), (remove, "*.blob")])
def test_the_owner_is_told_to_restore(folder: Path, harm: Callable[[Path, str], None], files: str) -> None:
    harm(folder, files)
    with pytest.raises(TaskCorrupted, match="store of partition 0: a file of it is damaged"):
        Store(folder, 0).load(["user-7"])


CLOSED_TO_ALL = [(damage, "CURRENT"), (damage, "MANIFEST-*"), (remove, "CURRENT"), (remove, "MANIFEST-*"), (remove, "*.sst")]


@pytest.mark.parametrize(("harm", "files"), CLOSED_TO_ALL)
def test_a_store_that_cannot_be_opened_begins_anew(folder: Path, harm: Callable[[Path, str], None], files: str) -> None:
    harm(folder, files)
    store = Store(folder, 0)
    assert store.position() == Position() and store.load(["user-7"]) == {}


def test_one_whose_compaction_met_the_damage_can_be_closed_and_wiped(folder: Path) -> None:
    damage(folder, "*.blob")
    store = Store(folder, 0)
    meet(store)
    store.close()
    del store
    store = Store(folder, 0)
    meet(store)
    store.wipe()
    assert store.position() == Position() and store.load(["user-7"]) == {}


def meet(store: Store) -> None:
    """Have damaged files compacted, now or in the background."""
    with pytest.raises(Exception, match="Corruption"):
        compact(store)


def compact(store: Store) -> None:
    store._db.set_options({"blob_garbage_collection_age_cutoff": "1.0"})
    for number in range(4):
        store.write({f"new-{number}": pack(bytes(1000))}, POSITION)
        store._db.flush()
        store._db.compact_range(None, None)


def test_one_that_is_in_use_is_not_touched(folder: Path) -> None:
    store = Store(folder, 0)
    with pytest.raises(ConfigError, match="is another worker running"):
        Store(folder, 0)
    assert store.position() == POSITION


@pytest.mark.parametrize("files", ["*.blob", "*.sst"])
def test_readers_say_which_folder_to_delete_and_do_not_end_in_silence(folder: Path, files: str) -> None:
    damage(folder, files)
    advice = "delete this folder while its worker is off"
    with pytest.raises(ConfigError, match=advice) as scanned, StoreReader(folder / "0") as reader:
        list(reader.states())
    assert "portrait-store-" not in str(scanned.value)
    with pytest.raises(ConfigError, match=advice), StoreReader(folder / "0") as reader:
        reader.get(b"user-7")


def test_readers_keep_what_the_owner_deletes_meanwhile(folder: Path) -> None:
    with StoreReader(folder / "0") as reader:
        for files in ("*.blob", "*.sst", "*.log", "MANIFEST-*"):
            remove(folder, files)
        assert dict(reader.states()).keys() == USERS.keys()


def test_across_disks_they_say_that_the_worker_may_have_moved_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "hardlink_to", Mock(side_effect=OSError(EXDEV, "Invalid cross-device link")))
    with StoreReader(folder / "0") as reader:
        remove(folder, "*.blob")
        with pytest.raises(ConfigError, match="may just have put this into other files"):
            reader.get(b"user-7")


def test_whole_ones_give_everything(folder: Path) -> None:
    with StoreReader(folder / "0") as reader:
        assert dict(reader.states()).keys() == USERS.keys()
