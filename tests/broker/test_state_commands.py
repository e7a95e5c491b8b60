"""`portrait state` on a real broker, with a real worker that holds its store."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from confluent_kafka import Producer
from typer.testing import CliRunner

from consumers.runtime.clients import RawRecord
from consumers.runtime.packing import unpack
from consumers.runtime.store import Position, Store
from consumers.runtime.worker import Worker
from deploy.cli import app
from deploy.local.stack import LocalStack, local_stack
from deploy.reading import partition_of, read_all
from deploy.topics import ensure_topics
from producers.publisher import Publisher
from schemas.messages import BehaviorEvent, ConsentControl, EraseControl, UserAttributes
from schemas.settings import RuntimeSettings, Settings
from schemas.state import decode_state, encode_state
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_STATE
from tests.broker.folder import Folder
from tests.broker.test_runtime import running
from tests.conftest import fresh_settings

HOSTILE = "[red]evil[/red]\u202e用户]8;;\u200b"
ERASED = "erased-user"
USERS = [f"user-{number}" for number in range(20)]
EVENTS_EACH = 30


@pytest.fixture(scope="module")
def stack(needs_java: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A broker of our own: its changelog must hold nothing but true states."""
    with local_stack(tmp_path_factory.mktemp("state"), fresh_settings(), triton=False) as stack:
        ensure_topics(stack.settings)
        yield stack


@pytest.fixture(scope="module")
def settings(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    runtime = RuntimeSettings(folder=tmp_path_factory.mktemp("project"))
    return stack.settings.model_copy(update={"runtime": runtime})


@pytest.fixture(scope="module")
def worker(settings: Settings) -> Iterator[Worker]:
    """At work while the tests look."""
    with running(Folder(), settings) as worker:
        send_all(settings)
        wait_for_fold(settings)
        yield worker


def event(user_id: str, number: int) -> BehaviorEvent:
    return BehaviorEvent(
        event_id=f"{number}", user_id=user_id, item_id=f"[bold]item-{number % 7}", type="view", domain="video",
        event_time_ms=int(time.time() * 1000) - 1000 + number, text="\x1b[2J\u202eclear",
    )  # fmt: skip


def send_all(settings: Settings) -> None:
    now_ms = int(time.time() * 1000)
    with Publisher(settings.kafka) as publisher:
        for number in range(EVENTS_EACH):
            for user in (*USERS, HOSTILE, ERASED):
                publisher.send(BEHAVIOR_EVENTS, user, event(user, number))
        declared = UserAttributes(user_id=HOSTILE, updated_at_ms=now_ms, age=25, tags=["[link]体育", "\x1b]0;owned\x07"])
        publisher.send(USER_ATTRIBUTES, HOSTILE, declared)
        consent = ConsentControl(user_id=HOSTILE, issued_at_ms=now_ms, purpose="profile", granted=True)
        publisher.send(USER_CONTROLS, HOSTILE, consent)
        publisher.flush()
        time.sleep(0.05)
        publisher.send(USER_CONTROLS, ERASED, EraseControl(user_id=ERASED, issued_at_ms=now_ms))


def wait_for_fold(settings: Settings) -> None:
    deadline = time.monotonic() + 60
    while True:
        last = {record.key: record.value for record in read_all(settings.kafka, (USER_STATE,))}
        states = [decode_state(unpack(kept)) for user in (*USERS, HOSTILE) if (kept := last.get(user.encode()))]
        folded = sum(state.event_count for state in states)
        if folded == EVENTS_EACH * (len(USERS) + 1) and states[-1].consent and last.get(ERASED.encode(), b"") is None:
            return
        assert time.monotonic() < deadline, folded
        time.sleep(0.2)


@pytest.fixture
def portrait(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> "Command":
    monkeypatch.setenv("PORTRAIT_KAFKA__BOOTSTRAP_SERVERS", str(settings.kafka.bootstrap_servers))
    monkeypatch.setenv("PORTRAIT_RUNTIME__FOLDER", str(settings.runtime.folder))
    return Command()


class Command:
    """Runs `portrait state …` in this process."""

    def __call__(self, *arguments: str, status: int = 0) -> Result:
        result = CliRunner().invoke(app, ["state", *arguments])
        assert result.exit_code == status, result.output
        for character in "\x1b\u202e\u200b\x07\x9d":
            assert character not in result.output
        return result


def last_json(result: Result) -> dict:
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("from_store", [False, True], ids=["changelog", "store of a running worker"])
def test_get_shows_all_of_a_state(portrait: Command, worker: Worker, settings: Settings, from_store: bool) -> None:
    where = ["--store", str(settings.runtime.folder)] if from_store else []
    found = json.loads(portrait("get", HOSTILE, "--json", *where).stdout)
    assert found["user_id"] == HOSTILE
    assert found["source"] == ("store" if from_store else "changelog")
    assert found["partition"] == partition_of(HOSTILE, settings.kafka.partitions)
    state = found["state"]
    assert [entry["event_id"] for entry in state["events"]] == [str(number) for number in range(EVENTS_EACH)]
    assert state["type_counts"] == {"view": EVENTS_EACH} and state["consent"] == {"profile": True}
    assert state["attributes"]["tags"] == ["[link]体育", "\x1b]0;owned\x07"]
    text = portrait("get", HOSTILE, *where).stdout
    assert "[red]evil[/red]" in text and "[link]体育" in text and "[bold]item-" in text and "owned" in text
    assert ("store profiler-0/" if from_store else "user-state-") in text


def test_get_says_when_a_user_is_unknown_or_erased(portrait: Command, worker: Worker, settings: Settings) -> None:
    assert "nothing is known of user nobody" in portrait("get", "nobody", status=1).stderr
    assert "nothing is known" in portrait("get", ERASED, status=1).stderr
    assert "nothing is known" in portrait("get", ERASED, "--store", str(settings.runtime.folder), status=1).stderr


def test_scan_lists_every_user_once(portrait: Command, worker: Worker, settings: Settings) -> None:
    for where in ([], ["--store", str(settings.runtime.folder / "state" / "profiler-0")]):
        lines = [json.loads(line) for line in portrait("scan", "--json", *where).stdout.splitlines()]
        assert sorted(line["user_id"] for line in lines) == sorted([*USERS, HOSTILE])
        assert all(line["events"] == EVENTS_EACH and line["items"] == 7 and not line["profile"] for line in lines)
    assert len(portrait("scan", "--prefix", "user-1").stdout.splitlines()) == 1 + 11
    assert len(portrait("scan", "--limit", "3", "--json").stdout.splitlines()) == 3


def test_size_counts_log_and_live_bytes(portrait: Command, worker: Worker, settings: Settings) -> None:
    records = list(read_all(settings.kafka, (USER_STATE,)))
    last = {(record.partition, record.key): record.value for record in records}
    states = [unpack(value) for (_, key), value in last.items() if value is not None and key != b"\x00progress"]
    sizes = sorted(map(len, states))
    report = last_json(portrait("size"))
    assert report["report"] == "state-size" and report["users"] == len(USERS) + 1
    assert report["max_bytes"] == sizes[-1] and report["mean_bytes"] == pytest.approx(sum(sizes) / len(sizes), abs=0.1)
    assert report["log_bytes"] == sum(len(record.key or b"") + len(record.value or b"") for record in records)
    assert report["live_bytes"] == sum(len(key) + len(value) for (_, key), value in last.items() if value is not None)
    assert report["store_bytes"] > 0 and report["stores"] == settings.kafka.partitions


def test_verify_agrees_while_the_worker_is_at_work(portrait: Command, worker: Worker, settings: Settings) -> None:
    stopped = threading.Event()

    def keep_sending() -> None:
        number = 0
        with Publisher(settings.kafka) as publisher:
            while not stopped.is_set():
                publisher.send(BEHAVIOR_EVENTS, f"busy-{number % 50}", event(f"busy-{number % 50}", number))
                number += 1
                time.sleep(0.0005)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        time.sleep(1)
        report = last_json(portrait("verify", "--refold"))
    finally:
        stopped.set()
        sender.join()
    assert report["differing"] == 0
    assert report["stores"] == settings.kafka.partitions and report["store_users"] > len(USERS)
    assert report["refold_users"] > len(USERS)


def at_rest(settings: Settings, partition: int) -> list[RawRecord]:
    """The changelog's partition, once the worker has folded all that the test before sent."""
    records: list[RawRecord] = []
    while True:
        again = list(read_all(settings.kafka, (USER_STATE,), partitions=(partition,)))
        if again and again == records:
            return records
        records = again
        time.sleep(0.5)


def test_verify_finds_a_tampered_store(portrait: Command, worker: Worker, settings: Settings, tmp_path: Path) -> None:
    user = USERS[3]
    number = partition_of(user, settings.kafka.partitions)
    records = at_rest(settings, number)
    last, end = {record.key: record.value for record in records}, records[-1].offset + 1
    state = last[user.encode()] or b""
    store = Store(tmp_path / "state" / "profiler-x", number)
    changed = decode_state(unpack(state))
    changed.version += 1
    store.write({user: encode_state(changed), "invented": state}, Position(end, {}))
    store.close()
    result = portrait("verify", "--store", str(tmp_path), status=1)
    report = last_json(result)
    others = sum(partition_of(other, settings.kafka.partitions) == number for other in (*USERS, HOSTILE)) - 1
    assert report["differing"] >= others + 2 + 1  # all that the store lacks, the two, and the input offsets
    whole = Store(tmp_path / "whole" / "state" / "profiler-x", number)
    progress = json.loads(last.pop(b"\x00progress") or b"")
    whole.write({(key or b"").decode(): value for key, value in last.items()}, Position(end, progress))
    assert last_json(portrait("verify", "--store", str(tmp_path / "whole")))["differing"] == 0
    whole.write({user: encode_state(changed)}, Position(end, progress))
    result = portrait("verify", "--store", str(tmp_path / "whole"), status=1)
    assert last_json(result)["differing_users"] == [user]
    assert "version" in result.stdout
    whole.close()


def test_a_store_that_is_behind_does_not_differ(portrait: Command, worker: Worker, settings: Settings, tmp_path: Path) -> None:
    number = partition_of(USERS[0], settings.kafka.partitions)
    records = list(read_all(settings.kafka, (USER_STATE,), partitions=(number,)))
    cut = next(index for index, record in enumerate(records) if record.key == b"\x00progress") + 1
    image = {(r.key or b"").decode(): r.value for r in records[: cut - 1]}
    store = Store(tmp_path / "profiler-old", number)
    store.write(image, Position(records[cut - 1].offset + 1, json.loads(records[cut - 1].value or b"")))
    store.close()
    result = portrait("verify", "--store", str(tmp_path / "profiler-old" / str(number)))
    assert last_json(result)["differing"] == 0 and last_json(result)["store_users"] == len([v for v in image.values() if v])


def test_errors_are_one_sentence_with_status_2(portrait: Command, worker: Worker, tmp_path: Path, monkeypatch) -> None:
    assert "no store in" in portrait("get", "x", "--store", str(tmp_path), status=2).stderr
    monkeypatch.setenv("PORTRAIT_RUNTIME__FOLDER", str(tmp_path))
    assert "nothing to compare" in portrait("verify", status=2).stderr
    Store(tmp_path / "profiler-strange", 99).close()
    for command in ("size", "verify"):
        strange = portrait(command, "--store", str(tmp_path / "profiler-strange" / "99"), status=2)
        assert "stores of partitions [99]" in strange.stderr
    monkeypatch.setattr("deploy.reading.REQUEST_TIMEOUT_S", 1.0)
    monkeypatch.setenv("PORTRAIT_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    assert "does not answer" in (stderr := portrait("scan", status=2).stderr) and "portrait up" in stderr


def test_verify_finds_a_tampered_changelog(portrait: Command, settings: Settings, worker: Worker) -> None:
    """The last test: the changelog stays wrong."""
    user = USERS[5]
    number = partition_of(user, settings.kafka.partitions)
    last = {r.key: r.value for r in read_all(settings.kafka, (USER_STATE,), partitions=(number,))}
    changed = decode_state(unpack(last[user.encode()] or b""))
    changed.type_counts["view"] += 1
    producer = Producer({**settings.kafka.client_config(), "log_level": 0})
    producer.produce(USER_STATE.name, encode_state(changed), user.encode(), partition=number)
    producer.produce(USER_STATE.name, b"\xff\x1b[2J", HOSTILE.encode(), partition=partition_of(HOSTILE, 4))
    producer.flush(10)
    result = portrait("verify", "--refold", status=1)
    assert set(last_json(result)["differing_users"]) == {user, HOSTILE}
    assert "type_counts" in result.stdout and "not a state" in result.stdout
    assert "cannot be read" in portrait("get", HOSTILE, status=2).stderr
    assert "unreadable" in portrait("scan").stdout
