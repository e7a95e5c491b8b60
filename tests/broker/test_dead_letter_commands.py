"""`portrait dead-letters` on a real broker: letters that a real worker wrote, and their way back."""

import base64
import json
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from confluent_kafka import Producer
from typer.testing import CliRunner

from consumers.runtime.clients import RawRecord
from consumers.runtime.worker import Worker
from deploy.cli import app
from deploy.dead_letters import Letter, all_letters
from deploy.local.stack import LocalStack, local_stack
from deploy.reading import murmur2, read_all
from deploy.topics import ensure_topics
from producers.publisher import Publisher
from schemas.messages import EraseControl
from schemas.settings import RuntimeSettings, Settings
from schemas.topics import BEHAVIOR_EVENTS, DEAD_LETTERS, USER_ATTRIBUTES, USER_CONTROLS
from tests.broker.folder import Folder
from tests.broker.test_runtime import running
from tests.conftest import fresh_settings

HOSTILE_TEXT = '{"x": "[red]not[/red] an event \u202e用户 \u200b'.encode()
HOSTILE_BYTES = b"\x1b[2J\x1b]0;owned\x07\xff\x00 binary"
HEADERS = [
    ("trace", b"\x1b[31m\xff"),
    ("portrait-reason", b"forged"),
    ("portrait-source-topic", b"user-controls"),
    ("null", None),
]
Bad = tuple[bytes | None, bytes | None]


@pytest.fixture(scope="module")
def settings(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Of a broker of our own: whole topics are replayed here."""
    stack: LocalStack
    with local_stack(tmp_path_factory.mktemp("letters"), fresh_settings(), triton=False) as stack:
        ensure_topics(stack.settings)
        runtime = RuntimeSettings(folder=tmp_path_factory.mktemp("project"))
        yield stack.settings.model_copy(update={"runtime": runtime})


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[Worker]:
    with running(Folder(), settings) as worker:
        yield worker


@pytest.fixture
def portrait(settings: Settings, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> "Command":
    monkeypatch.setenv("PORTRAIT_KAFKA__BOOTSTRAP_SERVERS", str(settings.kafka.bootstrap_servers))
    monkeypatch.setenv("PORTRAIT_RUNTIME__FOLDER", str(settings.runtime.folder))
    return Command()


class Command:
    """Runs `portrait dead-letters …` in this process; nothing that steers a terminal may come out."""

    def __call__(self, *arguments: str, status: int = 0, answer: str = "") -> Result:
        result = CliRunner().invoke(app, ["dead-letters", *arguments], input=answer, env={"COLUMNS": "200"})
        assert result.exit_code == status, result.output
        for character in "\x1b\u202e\u200b\x07\x00":
            assert character not in result.output
        return result


def refused(settings: Settings, bad: list[Bad], topic: str = BEHAVIOR_EVENTS.name) -> list[Letter]:
    """Send these, each with a mark of its own, and give the letters that the worker writes, in the order of `bad`."""
    marks = [uuid.uuid4().hex.encode() for _ in bad]
    producer = Producer({**settings.kafka.client_config(), "partitioner": "murmur2_random", "log_level": 0})
    for mark, (key, value) in zip(marks, bad, strict=True):
        producer.produce(topic, value, key, headers=[("mark", mark), *HEADERS])
    producer.flush(10)
    deadline = time.monotonic() + 60
    while True:
        found = {dict(letter.original_headers)["mark"]: letter for letter in ours(settings)}
        if set(marks) <= found.keys():
            return [found[mark] for mark in marks]
        assert time.monotonic() < deadline, f"{len(found)} letters"
        time.sleep(0.2)


def ours(settings: Settings) -> list[Letter]:
    return [letter for letter in all_letters(settings.kafka) if "mark" in dict(letter.original_headers)]


def replayed(settings: Settings, letter: Letter, topic: str = BEHAVIOR_EVENTS.name) -> list[RawRecord]:
    place = str(letter.place).encode()
    records = list(read_all(settings.kafka, (next(t for t in (BEHAVIOR_EVENTS, USER_ATTRIBUTES) if t.name == topic),)))
    return [record for record in records if ("portrait-replayed-from", place) in record.headers]


def last_json(result: Result) -> dict:
    return json.loads(result.stdout.splitlines()[-1])


def a_user() -> bytes:
    return f"user-{uuid.uuid4().hex[:10]}".encode()


def test_list_shows_the_newest_and_what_is_asked_for(portrait: Command, settings: Settings) -> None:
    first, second = refused(settings, [(b"[red]k\x1b\xff", HOSTILE_BYTES), (a_user(), HOSTILE_TEXT)])
    text = portrait("list").stdout
    assert str(first.place) in text and first.source in text
    assert "[red]k\\x1b\\xff" in text and "\\x1b[2J\\x1b]0;owned" in text and "[red]not[/red] an event \\u202e用户" in text
    lines = [json.loads(line) for line in portrait("list", "--json", "-n", "500").stdout.splitlines()]
    mine = next(line for line in lines if line["place"] == str(first.place))
    assert base64.b64decode(mine["value_base64"]) == HOSTILE_BYTES
    assert mine["source_topic"] == BEHAVIOR_EVENTS.name and mine["reason"] == first.reason == "bad_key"
    assert len(portrait("list", "-n", "1", "--json").stdout.splitlines()) == 1
    assert (
        str(second.place) in portrait("list", "--reason", "not_json", "--topic", BEHAVIOR_EVENTS.name, "--since", "1h").stdout
    )
    for nothing in (["--reason", "forged"], ["--topic", "items"], ["--since", "2999-01-01"]):
        assert "no such dead letter" in portrait("list", *nothing).stderr


def test_show_tells_everything_and_gives_the_bytes_back(portrait: Command, settings: Settings, tmp_path: Path) -> None:
    binary, text, empty = refused(settings, [(a_user(), HOSTILE_BYTES), (a_user(), HOSTILE_TEXT), (a_user(), None)])
    shown = portrait("show", str(binary.place)).stdout
    assert "1b 5b 32 4a" in shown and "reason      not_json" in shown
    assert "header      trace: \\x1b[31m\\xff" in shown
    assert "header      portrait-reason: forged" in shown and "header      null: (null)" in shown
    assert "[red]not[/red] an event \\u202e用户 \\u200b" in portrait("show", f"dead-letters-{text.place}").stdout
    shown = portrait("show", str(empty.place)).stdout
    assert "payload     (null)" in shown and "missing_value" in shown
    portrait("show", str(binary.place), "--raw", str(tmp_path / "raw"))
    assert (tmp_path / "raw").read_bytes() == HOSTILE_BYTES
    assert "null" in portrait("show", str(empty.place), "--raw", str(tmp_path / "none"), status=2).stderr


def test_replay_delivers_the_same_bytes_to_the_key_s_partition(portrait: Command, settings: Settings) -> None:
    bad: list[Bad] = [
        (a_user(), HOSTILE_BYTES),
        (a_user(), HOSTILE_TEXT),
        (b"\xff\x1b", b"[]"),
        (a_user(), None),
        (a_user(), b""),
    ]
    letters = refused(settings, bad)
    report = last_json(portrait("replay", *(str(letter.place) for letter in letters), "--yes"))
    assert report["sent"] == len(bad) and report["topics"] == {BEHAVIOR_EVENTS.name: len(bad)}
    for (key, value), letter in zip(bad, letters, strict=True):
        (record,) = replayed(settings, letter)
        assert (record.key, record.value) == (key, value)
        assert record.headers[:-1] == list(letter.original_headers) and record.headers[2:-1] == HEADERS[1:]
        assert record.partition == (murmur2(key or b"") & 0x7FFFFFFF) % settings.kafka.partitions
        assert record.partition == int(letter.ours["source-partition"])


def test_what_fails_again_is_not_replayed_again_in_silence(portrait: Command, settings: Settings) -> None:
    (letter,) = refused(settings, [(a_user(), b'{"still": "bad"}')])
    portrait("replay", str(letter.place), "--yes")
    deadline = time.monotonic() + 30
    while not (second := [found for found in ours(settings) if found.replayed_from == str(letter.place)]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    report = last_json(portrait("replay", str(second[0].place), "--yes"))
    assert report["sent"] == 0 and report["left_out"] == {"replayed before": 1}
    assert last_json(portrait("replay", str(second[0].place), "--yes", "--again"))["sent"] == 1
    (record,) = replayed(settings, second[0])
    assert [name for name, _ in record.headers].count("portrait-replayed-from") == 1
    assert "(replayed)" in portrait("list", "-n", "500").stdout


def test_replay_sends_nothing_when_dry_or_declined(portrait: Command, settings: Settings) -> None:
    (letter,) = refused(settings, [(a_user(), b"[1]")])
    report = last_json(portrait("replay", str(letter.place), "--dry-run"))
    assert (report["planned"], report["sent"]) == (1, 0)
    portrait("replay", str(letter.place), answer="n\n", status=1)
    assert replayed(settings, letter) == []
    portrait("replay", str(letter.place), answer="y\n")
    assert len(replayed(settings, letter)) == 1


def test_replay_by_reason_and_topic_takes_those_alone(portrait: Command, settings: Settings) -> None:
    user = a_user()
    wrong_key = json.dumps({"user_id": "other", "updated_at_ms": int(time.time() * 1000)}).encode()
    (meant,) = refused(settings, [(user, wrong_key)], USER_ATTRIBUTES.name)
    (other,) = refused(settings, [(user, b"[")], USER_ATTRIBUTES.name)
    report = last_json(portrait("replay", "--reason", "key_mismatch", "--topic", USER_ATTRIBUTES.name, "--yes"))
    assert report["topics"] == {USER_ATTRIBUTES.name: 1}
    assert len(replayed(settings, meant, USER_ATTRIBUTES.name)) == 1
    assert replayed(settings, other, USER_ATTRIBUTES.name) == []


def test_letters_of_an_erased_user_stay(portrait: Command, settings: Settings) -> None:
    user = a_user()
    (letter,) = refused(settings, [(user, b"[2]")])
    with Publisher(settings.kafka) as publisher:
        erase = EraseControl(user_id=user.decode(), issued_at_ms=int(time.time() * 1000))
        publisher.send(USER_CONTROLS, user.decode(), erase)
    report = last_json(portrait("replay", str(letter.place), "--yes", "--again"))
    assert report["left_out"] == {"user erased since": 1} and report["sent"] == 0
    assert replayed(settings, letter) == []


def test_errors_are_one_sentence_with_status_2(portrait: Command, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(settings, [(a_user(), b"[3]")])
    for wrong in ("3", "a@b", "1@-2", "[red]1@2", "1@2@3"):
        assert "PARTITION@OFFSET" in portrait("show", "--", wrong, status=2).stderr
    assert "ends at offset" in portrait("show", "0@999999999", status=2).stderr
    assert "no partition 99" in portrait("replay", "99@0", "--yes", status=2).stderr
    there = {letter.place for letter in all_letters(settings.kafka)}
    marker = next(
        place._replace(offset=place.offset + 1) for place in there if place._replace(offset=place.offset + 1) not in there
    )
    assert "marker" in portrait("show", str(marker), status=2).stderr
    letter = next(iter(there))
    assert "no topic" in portrait("replay", str(letter), "--again", "--to", "nowhere", "--yes", status=2).stderr
    assert "only Portrait" in portrait("replay", str(letter), "--again", "--to", "user-state", "--yes", status=2).stderr
    assert "one way" in portrait("replay", "--all", "0@1", status=2).stderr
    assert "one way" in portrait("replay", status=2).stderr
    assert "is no time" in portrait("list", "--since", "yesterday", status=2).stderr
    monkeypatch.setattr("deploy.reading.REQUEST_TIMEOUT_S", 1.0)
    monkeypatch.setenv("PORTRAIT_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    for arguments in (["list"], ["show", "0@0"], ["replay", "--all", "--yes"]):
        assert "does not answer" in portrait(*arguments, status=2).stderr


def test_a_letter_without_source_is_refused_and_all_others_go(portrait: Command, settings: Settings) -> None:
    producer = Producer({**settings.kafka.client_config(), "log_level": 0})
    producer.produce(DEAD_LETTERS.name, b"strange", a_user())
    producer.flush(10)
    strange = next(letter for letter in all_letters(settings.kafka) if letter.value == b"strange")
    assert strange.source_topic is None and "?" in portrait("show", str(strange.place)).stdout
    assert "--to" in portrait("replay", str(strange.place), "--yes", status=2).stderr
    (letter,) = refused(settings, [(a_user(), b"[4]")])
    letters = list(all_letters(settings.kafka))
    before = len(letters)
    newest = max(letters, key=lambda found: (found.timestamp_ms, found.place))
    assert before > 20  # more than `list` looks back for one letter
    assert json.loads(portrait("list", "-n", "1", "--json").stdout)["place"] == str(newest.place)
    report = last_json(portrait("replay", "--all", "--yes", status=1))
    assert report["left_out"]["no source"] == 1 and report["planned"] == report["sent"] > 1
    assert sum(report["left_out"].values()) + report["sent"] == before
    assert len(replayed(settings, letter)) == 1
    assert last_json(portrait("replay", str(strange.place), "--to", USER_ATTRIBUTES.name, "--yes"))["sent"] == 1
    (record,) = replayed(settings, strange, USER_ATTRIBUTES.name)
    assert record.value == b"strange" and re.fullmatch(rb"[0-9]+@[0-9]+", record.headers[-1][1] or b"")
