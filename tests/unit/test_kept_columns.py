"""What was read of a data folder is kept, and never believed when it is of something else."""

import os
from pathlib import Path

import numpy as np
import pytest

from deploy.recs import kept_columns
from deploy.recs.interactions import Interactions
from deploy.recs.recorded import RecordedData, read_folder
from schemas.errors import PortraitError

pytest.importorskip("pyarrow")

EVENTS = """user_id,item_id,event_time_ms,type,value,session_id
u2,b,3000,play,2.5,
u1,a,1000,view,,s1
u1,,500,search,,
u1,b,2000,purchase,3,s1
"""
ITEMS = """item_id,title,domain
a,Tent,ecommerce
b,Stove,ecommerce
c,Rope,ecommerce
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "events.csv").write_text(EVENTS)
    (folder / "items.csv").write_text(ITEMS)
    (folder / "users.csv").write_text("user_id,age\nu1,30\n")
    return folder


@pytest.fixture
def conversions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each time that messages were read one by one."""
    asked: list[int] = []
    real = kept_columns.columns_of
    monkeypatch.setattr(kept_columns, "columns_of", lambda events: asked.append(1) or real(events))
    return asked


def same(one: RecordedData, other: RecordedData) -> bool:
    a, b = one.interactions, other.interactions
    columns = all(
        np.array_equal(getattr(a, name), getattr(b, name), equal_nan=name == "values")
        for name in Interactions.__dataclass_fields__
        if name not in ("user_ids", "item_ids")
    )
    told = [(data.attributes, data.has_times, data.texts, data.bad_rows) for data in (one, other)]
    return columns and a.user_ids == b.user_ids and a.item_ids == b.item_ids and told[0] == told[1]


def test_a_second_reading_converts_nothing_and_says_the_same(folder: Path, tmp_path: Path, conversions: list[int]) -> None:
    fresh, first, second = read_folder(folder), *(read_folder(folder, keep_in=tmp_path / "kept") for _ in range(2))
    assert len(conversions) == 2 and same(fresh, first) and same(first, second)
    assert first.interactions.item_ids == ["a", "b", "c"] and len(first.interactions) == 3
    assert first.attributes["u1"].updated_at_ms == 500, "as of the first event, be it a search"
    baskets = dict(zip(first.interactions.times_ms.tolist(), first.interactions.baskets.tolist(), strict=True))
    assert baskets[1000] == baskets[2000] != baskets[3000]


def test_other_events_another_mapping_and_a_damaged_file_are_read_anew(
    folder: Path, tmp_path: Path, conversions: list[int]
) -> None:
    kept = tmp_path / "kept"
    read_folder(folder, keep_in=kept)
    (folder / "events.csv").write_text(EVENTS + "u3,c,4000,view,,\n")
    assert len(read_folder(folder, keep_in=kept).interactions) == 4
    (folder / "portrait-mapping.toml").write_text('[values]\ntype = { view = "play" }\n')
    assert len(set(read_folder(folder, keep_in=kept).interactions.types.tolist())) == 2
    [file] = kept.iterdir()
    for damaged in (b"", file.read_bytes()[:200], b"not parquet at all"):
        file.write_bytes(damaged)
        assert len(read_folder(folder, keep_in=kept).interactions) == 4
    assert len(conversions) == 6 and len(list(kept.iterdir())) == 1


def test_a_bit_that_fell_over_is_never_believed(folder: Path, tmp_path: Path) -> None:
    kept, fresh = tmp_path / "kept", read_folder(folder)
    read_folder(folder, keep_in=kept)
    [file] = kept.iterdir()
    good = file.read_bytes()
    for place in range(0, len(good), 37):
        file.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
        assert same(read_folder(folder, keep_in=kept), fresh), place


def test_another_file_of_the_same_size_and_age_is_read(folder: Path, tmp_path: Path) -> None:
    events = folder / "events.csv"
    read_folder(folder, keep_in=tmp_path / "kept")
    before = events.stat()
    other = folder / "other"
    other.write_text(EVENTS.replace("u1,b,2000", "u1,c,2000"))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.replace(events)
    found = read_folder(folder, keep_in=tmp_path / "kept").interactions
    assert "c" in [found.item_ids[item] for item in found.items]


def test_a_file_with_bad_rows_is_told_each_time(folder: Path, tmp_path: Path) -> None:
    (folder / "events.csv").write_text(EVENTS + "u3,c,soon,view,,\n")
    for _ in range(2):
        assert read_folder(folder, keep_in=tmp_path / "kept").bad_rows == 1


def test_a_place_that_cannot_be_written_is_a_sentence(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PortraitError, match="cannot keep what was read in"):
        read_folder(folder, keep_in=tmp_path / "file")
    assert os.listdir(tmp_path / "data")
