"""The catalog role against an encoder that fails, is slow, or refuses when told to; tests/triton has a real one."""

from collections.abc import Sequence

import numpy as np
import pytest

from consumers import catalog as module
from consumers.catalog import ITEMS_PER_CALL, MAX_TEXT, SLICE_S, Catalog, item_text
from consumers.inference import Vectors
from consumers.runtime.processor import Batch, Outputs, Record, TopicPartition
from schemas import metrics
from schemas.errors import Retryable
from schemas.messages import Item, ItemVector
from schemas.topics import ITEM_VECTORS, ITEMS
from tests.unit.synthetic import item

PART_0 = TopicPartition(ITEMS.name, 0)


class Encoder:
    """The inference client, on the spot: each call takes `call_s` of the catalog's clock, `fail` makes the next one fail."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.ready: list[tuple[list[str], float]] = []
        self.fail = False
        self.refused: set[str] = set()
        self.call_s = 0.0
        self.now_s = 0.0

    def wait_ready(self, models: list[str], timeout_s: float) -> None:
        self.ready.append((models, timeout_s))

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        self.now_s += self.call_s
        if self.fail:
            self.fail = False
            raise Retryable("text_encoder does not answer")
        self.calls.append(list(texts))
        vectors = [[0.0, 0.0] if text in self.refused else [1 / 3, len(text)] for text in texts]
        return np.array(vectors, np.float32)

    def model_version(self, name: str) -> str:
        return f"{name}-7"


def batch(*records: tuple[str, Item | None], first_offset: int = 0, partition: int = 0) -> Batch:
    return Batch(
        [
            Record(ITEMS.name, partition, offset, 0, key, message)
            for offset, (key, message) in enumerate(records, first_offset)
        ],
        lambda *_: {},
    )


def many(number: int) -> list[tuple[str, Item | None]]:
    return [(f"i{n}", item(f"i{n}")) for n in range(number)]


def turn(catalog: Catalog, given: Batch) -> Outputs:
    outputs = catalog.process(given)
    catalog.on_committed()
    return outputs


def vectors(outputs: Outputs) -> set[str]:
    return {record.key for record in outputs.records if record.message is not None}


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Encoder:
    encoder = Encoder()
    monkeypatch.setattr(module.time, "monotonic", lambda: encoder.now_s)
    return encoder


def counted() -> float:
    return metrics.ITEMS_ENCODED._value.get()


def test_items_become_vectors_in_one_call_and_the_last_record_of_an_item_holds() -> None:
    encoder = Encoder()
    catalog = Catalog(encoder)
    first, second = item("a", title="old"), item("a", title="new")
    outputs = catalog.process(batch(("a", first), ("b", item("b")), ("a", second), ("c", item("c")), ("c", None)))
    assert len(encoder.calls) == 1 and sorted(encoder.calls[0]) == sorted([item_text(second), item_text(item("b"))])
    found = {record.key: record.message for record in outputs.records}
    assert [record.topic for record in outputs.records] == [ITEM_VECTORS] * 3
    assert found["c"] is None
    vector = found["a"]
    assert isinstance(vector, ItemVector)
    assert (vector.item_id, vector.model_name, vector.model_version) == ("a", "text_encoder", "text_encoder-7")
    assert vector.vector == [0.333333, len(item_text(second))]
    assert not outputs.states


def test_an_item_that_comes_back_after_its_tombstone_has_a_vector() -> None:
    outputs = Catalog(Encoder()).process(batch(("a", None), ("a", item("a"))))
    assert [(record.key, record.message is None) for record in outputs.records] == [("a", False)]


def test_nothing_is_asked_for_tombstones_or_idle_batches() -> None:
    encoder = Encoder()
    catalog = Catalog(encoder)
    assert catalog.process(batch()).records == []
    assert [record.message for record in catalog.process(batch(("gone", None))).records] == [None]
    assert encoder.calls == []


def test_a_batch_that_failed_and_came_again_is_counted_once_when_committed() -> None:
    encoder, before = Encoder(), counted()
    catalog = Catalog(encoder)
    encoder.fail = True
    with pytest.raises(Retryable):
        catalog.process(batch(("a", item("a"))))
    catalog.on_revoked(frozenset({0}))
    catalog.process(batch(("a", item("a"))))
    assert counted() == before
    catalog.on_committed()
    catalog.on_committed()
    assert counted() == before + 1


def test_a_slow_encoder_is_given_its_items_in_slices_and_offsets_are_held_back(encoder: Encoder) -> None:
    encoder.call_s = 0.9 * SLICE_S
    catalog, number = Catalog(encoder), 5 * ITEMS_PER_CALL + 1
    outputs = turn(catalog, batch(*many(number), first_offset=10))
    assert len(vectors(outputs)) == 2 * ITEMS_PER_CALL, "a turn ends soon after its time is over"
    assert outputs.hold == {PART_0: 10 + 2 * ITEMS_PER_CALL} and outputs.pause
    found = vectors(outputs)
    while outputs.pause:
        outputs = turn(catalog, batch())
        assert not found & vectors(outputs)
        found |= vectors(outputs)
    assert found == {key for key, _ in many(number)} and outputs.hold == {}
    assert turn(catalog, batch()).records == []


def test_a_slice_that_could_not_be_committed_is_made_again(encoder: Encoder) -> None:
    encoder.call_s = 2 * SLICE_S
    catalog, given = Catalog(encoder), batch(*many(2 * ITEMS_PER_CALL))
    first = catalog.process(given)
    again = catalog.process(given)
    assert vectors(first) == vectors(again) and first.hold == again.hold == {PART_0: ITEMS_PER_CALL}
    catalog.on_committed()
    assert vectors(turn(catalog, batch())) == {f"i{n}" for n in range(ITEMS_PER_CALL, 2 * ITEMS_PER_CALL)}


def test_what_was_encoded_before_the_encoder_failed_goes_out_and_the_rest_waits(encoder: Encoder) -> None:
    catalog = Catalog(encoder)
    encode = encoder.encode_texts

    def fail_in_the_second_call(texts: Sequence[str]) -> Vectors:
        encoder.fail = len(encoder.calls) == 1
        return encode(texts)

    encoder.encode_texts = fail_in_the_second_call  # type: ignore[method-assign]
    outputs = turn(catalog, batch(*many(ITEMS_PER_CALL + 5)))
    assert len(vectors(outputs)) == ITEMS_PER_CALL and outputs.hold == {PART_0: ITEMS_PER_CALL} and outputs.pause
    with pytest.raises(Retryable):
        catalog.process(batch())
    encoder.encode_texts = encode  # type: ignore[method-assign]
    assert len(vectors(turn(catalog, batch()))) == 5


def test_tombstones_do_not_wait_for_the_encoder(encoder: Encoder) -> None:
    catalog = Catalog(encoder)
    encoder.fail = True
    outputs = turn(catalog, batch(("a", item("a")), ("gone", None)))
    assert [(record.key, record.message) for record in outputs.records] == [("gone", None)] and outputs.hold == {PART_0: 0}
    assert vectors(turn(catalog, batch())) == {"a"}


def test_a_newer_record_of_a_waiting_item_replaces_it(encoder: Encoder) -> None:
    encoder.call_s = 2 * SLICE_S
    catalog = Catalog(encoder)
    turn(catalog, batch(*many(ITEMS_PER_CALL), ("late", item("late", title="old")), ("gone", item("gone"))))
    newer = item("late", title="new")
    outputs = turn(catalog, batch(("late", newer), ("gone", None), first_offset=500))
    assert [record.key for record in outputs.records] == ["gone", "late"] and outputs.hold == {}
    assert encoder.calls[-1] == [item_text(newer)]


def test_revoked_partitions_are_dropped_and_others_kept(encoder: Encoder) -> None:
    catalog = Catalog(encoder)
    for partition in (0, 1):
        encoder.fail = True
        with pytest.raises(Retryable):
            catalog.process(batch((f"p{partition}", item(f"p{partition}")), partition=partition))
    catalog.on_revoked(frozenset({0}))
    assert vectors(turn(catalog, batch())) == {"p1"}


def test_a_refused_item_has_its_vector_taken_back_and_the_others_go_on(encoder: Encoder) -> None:
    refused = metrics.ITEMS_REFUSED._value.get()
    catalog, bad = Catalog(encoder), item("bad", title="refuse me")
    encoder.refused = {item_text(bad)}
    before = counted()
    outputs = turn(catalog, batch(("a", item("a")), ("bad", bad), ("b", item("b"))))
    assert vectors(outputs) == {"a", "b"} and outputs.hold == {}
    assert [record.key for record in outputs.records if record.message is None] == ["bad"]
    assert (metrics.ITEMS_REFUSED._value.get(), counted()) == (refused + 1, before + 2)


def test_it_waits_for_the_text_encoder_alone() -> None:
    encoder = Encoder()
    Catalog(encoder).startup()
    assert [models for models, _ in encoder.ready] == [["text_encoder"]]


def test_item_text_is_title_tags_description_and_bounded() -> None:
    text = item_text(item("a", title="标题", tags=["x", "y"], description="d" * 20_000))
    assert text.startswith("标题\nx, y\nddd") and len(text) == MAX_TEXT
    assert item_text(item("a", title="only", tags=[])) == "only"
