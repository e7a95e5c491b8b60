"""A real Triton that hangs, dies, is full or refuses: calls fail fast, the breaker closes again, and no item is lost."""

import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from consumers.catalog import Catalog, item_text
from consumers.inference import InferenceClient
from deploy.local.stack import LocalStack, local_stack
from deploy.local.triton import TritonServer
from deploy.reading import read_all
from producers.publisher import Publisher
from schemas import metrics
from schemas.errors import Retryable
from schemas.messages import Item, ItemVector
from schemas.settings import RuntimeSettings, Settings, TritonSettings
from schemas.tensors import EMBEDDING_DIM
from schemas.topics import ITEM_VECTORS, ITEMS
from tests.broker.test_runtime import running
from tests.conftest import fresh_settings

MODELS = Path(__file__).with_name("models")
CLOSED, OPEN = 0, 2
TIMEOUT_S = 1.0
LONGEST_PAUSE_S = 0.8
OUT_S = 6.0
"""Two calls learn of the outage, a second each; pauses of chance and probes of a second follow."""
ITEM_COUNT = 900
OUTAGE_S = 3.0
FAST_S = 0.05
"""A call that is not made takes no longer."""


@pytest.fixture(scope="module")
def server(needs_triton: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A Triton with a small text_encoder that does as its texts say."""
    folder = tmp_path_factory.mktemp("triton")
    with local_stack(folder, fresh_settings(), kafka=False, models=("text_encoder",), repository=MODELS) as stack:
        yield stack


def triton_settings(server: LocalStack) -> TritonSettings:
    return TritonSettings(
        grpc_address=server.settings.triton.grpc_address,
        encoder_timeout_s=TIMEOUT_S,
        retry_budget_s=0.3,
        breaker_failures=2,
        breaker_first_pause_s=0.4,
        breaker_longest_pause_s=LONGEST_PAUSE_S,
        max_batch=16,
    )


@pytest.fixture
def unhurried(server: LocalStack) -> Iterator[InferenceClient]:
    """A client that waits as long as it takes."""
    client = InferenceClient(
        TritonSettings(grpc_address=server.settings.triton.grpc_address, encoder_timeout_s=60.0, max_batch=16)
    )
    client.wait_ready(["text_encoder"], timeout_s=60)
    yield client
    client.close()


@pytest.fixture
def client(server: LocalStack, unhurried: InferenceClient) -> Iterator[InferenceClient]:
    assert unhurried.encode_texts(["warm"]).any()
    client = InferenceClient(triton_settings(server))
    client.wait_ready(["text_encoder"], timeout_s=30)
    yield client
    client.close()


@contextmanager
def stopped(server: TritonServer) -> Iterator[None]:
    """The server hangs: it takes connections and requests, and answers nothing."""
    assert server.child is not None
    os.kill(server.child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(server.child.pid, signal.SIGCONT)


@contextmanager
def dead(server: TritonServer) -> Iterator[None]:
    server.kill()
    try:
        yield
    finally:
        server.start()


def breaker_state() -> float:
    return metrics.BREAKER_STATE.labels("text_encoder")._value.get()


def call_for(client: InferenceClient, seconds: float) -> list[float]:
    """Call again and again; gives how long each call took to fail."""
    took_s = []
    end_s = time.monotonic() + seconds
    while (begun_s := time.monotonic()) < end_s:
        with pytest.raises(Retryable, match="text_encoder"):
            client.encode_texts(["anyone there"])
        took_s.append(time.monotonic() - begun_s)
        time.sleep(0.02)
    return took_s


def seconds_until_it_answers(client: InferenceClient) -> float:
    begun_s = time.monotonic()
    while time.monotonic() - begun_s < 20:
        try:
            assert client.encode_texts(["here again"]).any()
            return time.monotonic() - begun_s
        except Retryable:
            time.sleep(0.02)
    pytest.fail("it did not answer again")


@pytest.mark.parametrize("outage", [stopped, dead])
def test_while_it_is_out_calls_fail_fast_and_when_it_is_back_the_breaker_closes(
    server: LocalStack, client: InferenceClient, outage: object
) -> None:
    with outage(server.triton):  # type: ignore[operator]
        took_s = call_for(client, OUT_S)
        assert breaker_state() == OPEN
    slow_s = [seconds for seconds in took_s if seconds > FAST_S]
    assert len(slow_s) <= 2 + OUT_S / 0.4, "two calls to learn of it, then no more than the probes"
    assert len(took_s) - len(slow_s) > 30 and max(took_s) < 0.3 + TIMEOUT_S + 0.3
    assert seconds_until_it_answers(client) < LONGEST_PAUSE_S + TIMEOUT_S + 2.0
    assert breaker_state() == CLOSED


def test_a_call_held_back_says_when_it_is_asked_again(server: LocalStack, client: InferenceClient) -> None:
    with stopped(server.triton):
        for _ in range(2):
            with pytest.raises(Retryable):
                client.encode_texts(["anyone there"])
        with pytest.raises(Retryable, match="let through in") as caught:
            client.encode_texts(["anyone there"])
        assert caught.value.retry_in_s is not None and 0 < caught.value.retry_in_s <= 0.4
    seconds_until_it_answers(client)


def test_a_short_outage_is_bridged_by_repeats_inside_the_call(server: LocalStack) -> None:
    patient = InferenceClient(triton_settings(server).model_copy(update={"retry_budget_s": 30.0}))
    before = metrics.CALLS_REPEATED.labels("text_encoder")._value.get()
    assert patient.encode_texts(["warm"]).any()
    server.triton.kill()
    starting = patient.encode_texts_soon(["asked while it is dead"])
    server.triton.start()
    assert starting.result(timeout=30).any()
    assert metrics.CALLS_REPEATED.labels("text_encoder")._value.get() > before
    patient.close()


def test_one_refused_text_is_left_without_a_vector_and_the_server_is_not_blamed(unhurried: InferenceClient) -> None:
    texts = [f"text {number}" for number in range(40)]
    texts[7] = texts[33] = "REFUSE this"
    vectors = unhurried.encode_texts(texts)
    assert sorted(np.flatnonzero(~vectors.any(axis=1))) == [7, 33]
    alone = np.concatenate([unhurried.encode_texts([text]) for text in texts if "REFUSE" not in text])
    assert np.array_equal(vectors[vectors.any(axis=1)], alone)
    assert breaker_state() == CLOSED


@pytest.fixture
def settings(kafka: LocalStack, server: LocalStack, tmp_path: Path) -> Settings:
    runtime = RuntimeSettings(folder=tmp_path)
    triton = triton_settings(server).model_copy(update={"encoder_timeout_s": 2.0, "max_batch": 8})
    return kafka.settings.model_copy(update={"runtime": runtime, "triton": triton})


def test_a_catalogue_is_encoded_through_hangs_and_deaths_and_nothing_is_lost(
    server: LocalStack, settings: Settings, unhurried: InferenceClient
) -> None:
    mark = uuid.uuid4().hex[:8]
    items = [
        Item(item_id=f"{mark}-{n}", domain="video", title="REFUSE" if n % 50 == 7 else f"SLEEP item {n}")
        for n in range(ITEM_COUNT)
    ]
    client = InferenceClient(settings.triton)
    with Publisher(settings.kafka) as publisher:
        for item in items:
            publisher.send(ITEMS, item.item_id, item)
    with running(Catalog(client), settings):
        for outage, encoded in ((stopped, 10), (dead, 80), (stopped, 160)):
            assert len(await_vectors(settings, mark, encoded)) < ITEM_COUNT, "the outage came too late"
            with outage(server.triton):
                time.sleep(OUTAGE_S)
        found = await_vectors(settings, mark, len(items))
    expected = unhurried.encode_texts([item_text(item) for item in items])
    for item, vector in zip(items, expected, strict=True):
        message = found[item.item_id]
        if not vector.any():
            assert message is None, "a refused item has a tombstone"
        else:
            assert message is not None and len(message.vector) == EMBEDDING_DIM
            assert message.vector == pytest.approx(vector.tolist(), abs=1e-6)
    client.close()


def await_vectors(settings: Settings, mark: str, number: int) -> dict[str, ItemVector | None]:
    """What is said of each of the marked items last, once it is said of so many of them."""
    deadline_s = time.monotonic() + 120
    found: dict[str, ItemVector | None] = {}
    while len(found) < number:
        assert time.monotonic() < deadline_s, f"{len(found)} of {number} items were encoded"
        time.sleep(0.2)
        with suppress(Retryable):  # a broker that has just started
            found = vectors_of(settings, mark)
    return found


def vectors_of(settings: Settings, mark: str) -> dict[str, ItemVector | None]:
    found: dict[str, ItemVector | None] = {}
    for record in read_all(settings.kafka, (ITEM_VECTORS,)):
        key = (record.key or b"").decode()
        if key.startswith(mark):
            found[key] = ItemVector.model_validate_json(record.value) if record.value else None
    return found
