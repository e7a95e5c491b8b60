"""Data folders as people have them: formats, mappings, bad rows, and errors that say what is expected."""

import gzip
import importlib.util
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from producers.convert import ARTICLE_LAST, _title
from producers.dataset import Dataset, open_dataset
from producers.mappings import ready_mappings
from schemas.errors import ConfigError

COLUMNS = ("user_id", "item_id", "type", "event_time_ms", "value", "text")
ROWS = [
    ("u1", "i1", "view", 1_700_000_000_000, 12.5, None),
    ("u2", "i2", "purchase", 1_700_000_001_000, 2.0, None),
    ("u1", None, "search", 1_700_000_002_000, None, 'say "hi", 你好'),
]


def csv_text(rows: list[tuple[object, ...]], columns: tuple[str, ...] = COLUMNS) -> str:
    def cell(value: object) -> str:
        text = "" if value is None else str(value)
        return '"' + text.replace('"', '""') + '"' if '"' in text or "," in text else text

    return "\n".join([",".join(columns), *(",".join(map(cell, row)) for row in rows)]) + "\n"


def jsonl_text(rows: list[tuple[object, ...]]) -> str:
    return "".join(json.dumps(dict(zip(COLUMNS, row, strict=True))) + "\n" for row in rows)


def write_parquet(path: Path, rows: list[tuple[object, ...]]) -> None:
    if importlib.util.find_spec("pyarrow") is None:
        pytest.skip("Parquet needs the data extra")
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist([dict(zip(COLUMNS, row, strict=True)) for row in rows]), path)


def write_events(folder: Path, form: str, rows: list[tuple[object, ...]]) -> None:
    path = folder / f"events.{form}"
    if form == "parquet":
        write_parquet(path, rows)
        return
    data = (csv_text(rows) if "csv" in form else jsonl_text(rows)).encode()
    path.write_bytes(gzip.compress(data) if form.endswith("gz") else data)


@pytest.mark.parametrize("form", ["csv", "csv.gz", "jsonl", "jsonl.gz", "parquet"])
def test_every_format_gives_the_same_events(tmp_path: Path, form: str) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    write_events(folder, form, ROWS)
    data = open_dataset(folder)
    events = list(data.events())
    assert [(e.user_id, e.item_id, e.type, e.event_time_ms, e.value, e.text) for e in events] == ROWS
    assert [e.event_id for e in events] == ["my-data-1", "my-data-2", "my-data-3"]
    assert list(open_dataset(folder).events()) == events, "the same file gives the same ids"
    assert len(data.bad_rows) == 0


def test_an_event_id_column_is_used(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(csv_text([("id-7", *ROWS[0])], ("event_id", *COLUMNS)))
    assert [event.event_id for event in open_dataset(tmp_path).events()] == ["id-7"]


def test_events_out_of_order_are_sent_in_order_of_time(tmp_path: Path) -> None:
    write_events(tmp_path, "csv", [ROWS[2], ROWS[0], ROWS[1]])
    data = open_dataset(tmp_path)
    assert not data.times.in_order
    assert [event.event_time_ms for event in data.events()] == [row[3] for row in ROWS]


def test_bad_rows_are_named_by_file_and_line_and_left_out(tmp_path: Path) -> None:
    good = "u1,i1,view,1700000000000,,\n"
    lines = [
        ",".join(COLUMNS) + "\n",
        good,
        "u1,i1,stare,1700000000000,,\n",
        "u1,i1,view,yesterday,,\n",
        ",i1,view,1700000000000,,\n",
        "u1,i1,view,1700000000000,much,\n",
        "u1,i1,view\n",
        "u1,i1,view,1700000000000,nan,\n",
        "u\x07,i1,view,1700000000000,,\n",
        good,
    ]
    (tmp_path / "events.csv").write_bytes("".join(lines).encode() + b"\xff\xfe,i1,view,1700000000000,,\n" + good.encode())
    data = open_dataset(tmp_path)
    assert len(list(data.events())) == 3
    assert len(data.bad_rows) == 8
    assert sorted(row.line for row in data.bad_rows.first) == [3, 4, 5, 6, 7, 8, 9, 11]
    assert "events.csv:3: event type 'stare'" in [str(row)[:32] for row in data.bad_rows.first]
    assert next(data.events()).event_id.endswith("-1")
    assert len(data.bad_rows) == 8, "a second pass counts no row twice"


def test_bad_json_lines_are_left_out(tmp_path: Path) -> None:
    text = jsonl_text(ROWS) + "{not json\n[1, 2]\n\n" + "[" * 100_000 + "\n" + jsonl_text(ROWS[:1])
    (tmp_path / "events.jsonl").write_text(text)
    data = open_dataset(tmp_path)
    assert len(list(data.events())) == 4
    assert [row.line for row in data.bad_rows.first] == [4, 5, 7]


def test_plain_sequences_become_messages_in_turns(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "sequences.txt.gz", "wt") as file:
        file.write("u1 a b a\nu2 c\n")
    (tmp_path / "item_attributes.json").write_text('{"a": [7, "soap"], "b": []}')
    data = open_dataset(tmp_path)
    events = [(one.user_id, one.item_id, one.type) for one in data.events()]
    assert events == [("u1", "a", "view"), ("u2", "c", "view"), ("u1", "b", "view"), ("u1", "a", "view")]
    assert [(one.title, one.tags, one.domain) for one in data.items()] == [
        ("a", ["7", "soap"], "ecommerce"),
        ("b", [], "ecommerce"),
    ]
    assert not data.has_times and len({one.event_id for one in data.events()}) == 4
    (tmp_path / "portrait-mapping.toml").write_text('domain = "social"\n[events]\nconstant_type = "follow"\n')
    told = open_dataset(tmp_path)
    assert {one.type for one in told.events()} == {"follow"} and {one.domain for one in told.items()} == {"social"}
    (tmp_path / "events.csv").write_text("user_id,event_time_ms,type\n")
    with pytest.raises(ConfigError, match=r"has events\.csv and sequences\.txt\.gz"):
        open_dataset(tmp_path)


@pytest.mark.parametrize(("name", "content"), [("sequences.txt.gz", "u1 a b\n"), ("events.csv.gz", csv_text(ROWS))])
def test_an_archive_that_was_changed_inside_is_a_sentence(tmp_path: Path, name: str, content: str) -> None:
    packed = bytearray(gzip.compress(content.encode() * 200))
    packed[20:40] = b"\xff" * 20
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(ConfigError, match="really what its name says"):
        list(open_dataset(tmp_path).events())


@settings(max_examples=60)
@given(junk=st.binary(max_size=200))
def test_no_bytes_in_the_middle_of_a_file_stop_a_replay(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("junk")
    (folder / "events.jsonl").write_bytes(jsonl_text(ROWS).encode() + junk + b"\n" + jsonl_text(ROWS).encode())
    assert len(list(open_dataset(folder).events())) >= 6


def mapped(folder: Path, mapping: str, events: str, items: str | None = None, users: str | None = None) -> Dataset:
    (folder / "portrait-mapping.toml").write_text(mapping)
    (folder / "events.csv").write_text(events)
    for name, text in (("items", items), ("users", users)):
        if text is not None:
            (folder / f"{name}.csv").write_text(text)
    return open_dataset(folder)


MAPPING = """
domain = "news"
language = "zh"
missing = ["-"]

[values]
sex = { f = "female", m = "male" }

[events]
user_id = "who"
item_id = "what"
time = "when"
time_unit = "iso"
type = "did"
types = { read = "view", bought = "purchase" }
event_id_prefix = "paper"

[items]
item_id = "id"
title = "head"
description = ["lead", "by {author}"]
tags = ["section", "keywords"]
tag_separator = ";"
attributes = ["author", "words"]
published_at = "day"
time_format = "%d.%m.%Y"

[users]
user_id = "id"
gender = "sex"
tags = "likes"
"""


def test_a_mapping_names_columns_times_types_and_texts(tmp_path: Path) -> None:
    data = mapped(
        tmp_path,
        MAPPING,
        "who,what,when,did\nu1,n1,2024-05-01T08:00:00+02:00,read\nu1,n1,2024-05-01 07:00:00,bought\n",
        "id,head,lead,author,section,keywords,words,day\nn1,标题,导语,-,体育,足球;体育;,900,01.05.2024\nn2,标题二,导语,老陈,,,,-\n",
        "id,sex,likes\nu1,f,运动|旅游\nu2,-,\n",
    )
    first, second = data.events()
    assert (first.event_id, first.type, first.event_time_ms, first.domain) == ("paper-1", "view", 1_714_543_200_000, "news")
    assert (second.type, second.event_time_ms) == ("purchase", 1_714_546_800_000)
    one, two = data.items()
    assert (one.language, one.description, one.tags, one.attributes) == ("zh", "导语", ["体育", "足球"], {"words": 900.0})
    assert one.published_at_ms == 1_714_521_600_000
    assert (two.description, two.attributes, two.published_at_ms) == ("导语 by 老陈", {"author": "老陈"}, 0)
    declared = list(data.attributes())
    assert [(user.user_id, user.gender, user.tags) for user in declared] == [("u1", "female", ["运动", "旅游"])]
    assert data.user_ids() == ("u1", "u2")
    assert len(data.bad_rows) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ('user_id = "who"', 'user_id = "nobody"'),
            "no column 'nobody' for events.user_id; the file has who, what, when, did",
        ),
        (('tag_separator = ";"', 'tag_separator = ""'), "items.tag_separator"),
        (('read = "view"', 'read = "stare"'), "events.types.read"),
        (('time_unit = "iso"', 'time_uint = "iso"'), "events.time_uint: Extra inputs"),
        (('"by {author}"', '"by {editor}"'), "no column 'editor' for items.description"),
        (("[events]", "[events"), "Expected ']'"),
    ],
)
def test_a_wrong_mapping_is_named(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    assert change[0] in MAPPING
    with pytest.raises(ConfigError) as refused:
        mapped(
            tmp_path,
            MAPPING.replace(*change),
            "who,what,when,did\n",
            "id,head,lead,author,section,keywords,words,day\n",
            "id,sex,likes\n",
        )
    assert message in str(refused.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a folder"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"has no events file; expected one of events\.csv, events\.csv\.gz"):
        open_dataset(tmp_path)
    (tmp_path / "events.csv").write_text(csv_text(ROWS))
    with pytest.raises(ConfigError, match="has no items file"):
        open_dataset(tmp_path, "online-retail")
    with pytest.raises(
        ConfigError,
        match="no mapping 'imdb': name a mapping file, or one of amazon-beauty-s3rec, movielens-100k, online-retail",
    ):
        open_dataset(tmp_path, "imdb")
    (tmp_path / "events.jsonl").write_text("")
    with pytest.raises(ConfigError, match=r"has events\.csv and events\.jsonl"):
        open_dataset(tmp_path)


def test_damaged_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress(csv_text(ROWS * 500).encode())[:-20])
    with pytest.raises(ConfigError, match=r"cannot read .*events\.csv\.gz"):
        list(open_dataset(tmp_path).events())
    (tmp_path / "events.csv.gz").write_bytes(b"no gzip at all")
    with pytest.raises(ConfigError, match=r"cannot read .*events\.csv\.gz"):
        open_dataset(tmp_path)
    (tmp_path / "events.csv.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(ConfigError, match="its first line must name the columns"):
        open_dataset(tmp_path)


def test_a_file_without_a_usable_event_says_why(tmp_path: Path) -> None:
    write_events(tmp_path, "csv", [("u", "i", "view", "soon", None, None)])
    with pytest.raises(ConfigError, match=r"no event that can be used: events\.csv:2: column 'event_time_ms': 'soon'"):
        _ = open_dataset(tmp_path).times


def test_items_need_a_domain_from_somewhere(tmp_path: Path) -> None:
    write_events(tmp_path, "csv", ROWS)
    (tmp_path / "items.csv").write_text("item_id,title\ni1,One\n")
    with pytest.raises(ConfigError, match="no column 'domain' for items"):
        open_dataset(tmp_path)


def test_the_documented_layout_lists_every_mapping_key() -> None:
    from producers.mappings import EventColumns, ItemColumns, Mapping, UserColumns

    page = (Path(__file__).resolve().parents[2] / "docs" / "data-layout.md").read_text()
    for section in (Mapping, EventColumns, ItemColumns, UserColumns):
        for name in section.model_fields:
            assert f"`{name}`" in page, f"docs/data-layout.md does not say what {name} is"
    assert all(f"`{name}`" in page for name in ready_mappings())


@pytest.mark.parametrize(
    ("filed", "shown"),
    [
        ("Matrix, The (1999)", "The Matrix (1999)"),
        ("Enfer, L' (1994)", "L'Enfer (1994)"),
        ("Big Blue, The (Grand bleu, Le) (1988)", "The Big Blue (Le Grand bleu) (1988)"),
        ("Paris, Texas (1984)", "Paris, Texas (1984)"),
        ("Seven", "Seven"),
    ],
)
def test_articles_go_first(filed: str, shown: str) -> None:
    assert _title(filed, "as_is", True) == shown
    assert _title(filed, "as_is", False) == filed


@given(st.text("a, (The)", max_size=300))
def test_the_article_pattern_never_runs_away(title: str) -> None:
    assert len(ARTICLE_LAST.sub("", title)) <= len(title)
