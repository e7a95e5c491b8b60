"""The changelog at a moment, stores on disk, and sizes."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consumers.runtime.changelog import PROGRESS_KEY, encode_progress
from consumers.runtime.clients import RawRecord
from consumers.runtime.store import Position, Store, StoreReader
from deploy.cli import app
from deploy.state_commands import _from_stores, _stored_states
from deploy.state_log import FoundStore, LoggedPartition, stores_in
from deploy.state_size import StateSize
from deploy.state_verify import compare_store
from schemas.errors import ConfigError
from schemas.state import UserState, encode_state

OLD, NEW = encode_state(UserState(version=1)), encode_state(UserState(version=2))


def a_log(records: list[tuple[int, bytes, bytes | None]], offsets: list[int]) -> LoggedPartition:
    logged = LoggedPartition(0, before={offset: {} for offset in offsets})
    for offset, key, value in records:
        logged.take(RawRecord("user-state", 0, offset, 1000, key, value, []))
    return logged


def compared(folder: Path, states: dict[str, bytes | None], at: int, records: list[tuple[int, bytes, bytes | None]]):
    store = Store(folder / "profiler-0", 0)
    store.write(states, Position(at, {"behavior-events": 5}))
    with StoreReader(folder / "profiler-0" / "0") as reader:
        result = compare_store(a_log(records, [at]), FoundStore("profiler-0", 0, folder), reader)
    store.close()
    return result


def test_a_store_is_held_against_the_log_at_its_own_commit(tmp_path: Path) -> None:
    progress = encode_progress({"behavior-events": 5})
    log = [(0, b"a", OLD), (1, b"b", OLD), (2, PROGRESS_KEY, progress), (4, b"a", NEW), (5, b"b", None), (6, b"new", OLD)]
    result = compared(tmp_path, {"a": OLD, "b": OLD}, 3, log)
    assert (result.same, result.differing, result.records_behind) == (2, 0, 4)


def test_what_compaction_removed_is_not_known_rather_than_wrong(tmp_path: Path) -> None:
    result = compared(tmp_path, {"a": OLD, "b": OLD}, 3, [(1, b"b", OLD), (4, b"a", NEW)])
    assert (result.same, result.unknown, result.differing) == (1, 1, 0)


def test_every_kind_of_difference_is_found(tmp_path: Path) -> None:
    log = [
        (0, b"wrong", OLD),
        (1, b"lacking", OLD),
        (2, b"erased", None),
        (3, PROGRESS_KEY, encode_progress({"behavior-events": 6})),
    ]
    result = compared(tmp_path, {"wrong": NEW, "erased": OLD, "invented": OLD}, 4, log)
    what = {found.user_id: found.what for found in result.differences}
    assert what.keys() == {"wrong", "lacking", "erased", "invented", "(input offsets)"} and result.differing == 5
    assert what["wrong"] == "version: changelog 1, store 2"
    assert what["lacking"] == "store: no state" and what["erased"] == what["invented"] == "changelog: no state"


def test_a_store_in_use_is_read_without_a_trace(tmp_path: Path) -> None:
    store = Store(tmp_path, 3)
    store.write({f"u{number}": OLD for number in range(100)}, Position(7, {"t": 1}))
    files = sorted((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in (tmp_path / "3").iterdir())
    with StoreReader(tmp_path / "3") as reader:
        store.write({"later": NEW}, Position(8, {}))
        assert reader.position() == Position(7, {"t": 1})
        assert len(list(reader.states())) == 100 and reader.get(b"later") is None and reader.get(b"u1") == OLD
    before = {name for name, _, _ in files}
    assert {file.name for file in (tmp_path / "3").iterdir()} == before
    assert store.load(["later"]) == {"later": NEW}
    store.close()
    again = sorted((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in (tmp_path / "3").iterdir())
    with StoreReader(tmp_path / "3") as reader:
        assert reader.get(b"later") == NEW
    assert again == sorted((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in (tmp_path / "3").iterdir())


def test_stores_are_found_from_every_folder_above_them(tmp_path: Path) -> None:
    for owner, number in (("profiler-a", 0), ("profiler-a", 11), ("profiler-b", 2), ("other-a", 1)):
        Store(tmp_path / "state" / owner, number).close()
    every = ["profiler-a/0", "profiler-a/11", "profiler-b/2"]
    assert [store.name for store in stores_in(tmp_path)] == every
    assert [store.name for store in stores_in(tmp_path / "state")] == every
    assert [store.name for store in stores_in(tmp_path / "state" / "profiler-a")] == every[:2]
    assert [store.name for store in stores_in(tmp_path / "state" / "profiler-a" / "11")] == every[1:2]
    for nothing in (tmp_path / "nowhere", tmp_path / "state" / "profiler-a" / "5"):
        with pytest.raises(ConfigError, match="no store in"):
            stores_in(nothing)
    assert not (tmp_path / "nowhere").exists()


def test_percentiles_are_sizes_that_occur() -> None:
    size = StateSize(list(range(1, 101)), records=3, log_bytes=400, live_bytes=100)
    assert [size.percentile(share) for share in (0.0, 0.5, 0.95, 1.0)] == [1, 50, 95, 100]
    assert size.saving == 0.75 and size.mean == 50.5
    assert StateSize().percentile(0.5) == 0 and StateSize().saving == 0.0


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """A project whose partition 0 moved from one worker to another, where ann was erased and cid came back."""
    for owner, offset, value in (("profiler-0", 10, OLD), ("profiler-1", 50, None)):
        store = Store(tmp_path / "state" / owner, 0)
        store.write({"ann": OLD, "cid": OLD}, Position(5))
        store.write({"ann": value, "cid": OLD if value else NEW}, Position(offset))
        store.close()
    other = Store(tmp_path / "state" / "profiler-1", 1)
    other.write({"bob": NEW}, Position(90))
    other.close()
    return tmp_path


def test_a_scan_of_stores_lists_nobody_of_a_store_left_behind(moved: Path) -> None:
    assert list(_stored_states(moved)) == [(b"cid", NEW), (b"bob", NEW)]
    ended = CliRunner().invoke(app, ["state", "scan", "--json", "--store", str(moved)])
    assert [json.loads(line)["user_id"] for line in ended.stdout.splitlines()] == ["cid", "bob"]


def test_a_scan_of_stores_has_one_store_open_at_a_time(moved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[StoreReader] = []
    most = [0]

    class Counted(StoreReader):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            opened.append(self)
            most[0] = max(most[0], len(opened))

        def close(self) -> None:
            super().close()
            opened.remove(self)

    monkeypatch.setattr("consumers.runtime.store.StoreReader", Counted)
    assert len(list(_stored_states(moved))) == 2
    assert (most, opened) == ([1], [])


def test_a_store_left_behind_does_not_answer_for_who_was_erased_since(moved: Path) -> None:
    assert _from_stores(moved, "ann") is None
    found = _from_stores(moved, "bob")
    assert found is not None and found[2] == NEW


def test_a_death_in_the_middle_of_a_wipe_leaves_nothing_to_trip_over(tmp_path: Path) -> None:
    store = Store(tmp_path, 0)
    store.write({"ann": OLD}, Position(5))
    store.close()
    (tmp_path / "0").rename(tmp_path / "0.gone")  # as far as a wipe came
    next((tmp_path / "0.gone").glob("MANIFEST*")).unlink()
    store = Store(tmp_path, 0)
    assert store.load(["ann"]) == {} and not (tmp_path / "0.gone").exists()
    store.write({"ann": OLD}, Position(5))
    store.wipe()
    assert store.load(["ann"]) == {} and store.position() == Position()
    store.close()
