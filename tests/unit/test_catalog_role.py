import numpy as np
import pytest

from consumers.catalog import MAX_TEXT, Catalog, item_text
from consumers.catalogue import Floats
from consumers.runtime.processor import Batch, Record
from schemas import metrics
from schemas.errors import Retryable
from schemas.messages import Item, ItemVector
from schemas.topics import ITEM_VECTORS, ITEMS
from tests.unit.synthetic import item


class Encoder:
    """The inference client's three methods, on the spot; `fail` makes the next call fail."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.ready: list[tuple[list[str], float]] = []
        self.fail = False

    def wait_ready(self, models: list[str], timeout_s: float) -> None:
        self.ready.append((models, timeout_s))

    def encode_texts(self, texts: list[str]) -> Floats:
        if self.fail:
            self.fail = False
            raise Retryable("text_encoder does not answer")
        self.calls.append(texts)
        return np.array([[1 / 3, len(text)] for text in texts], np.float32)

    def model_version(self, name: str) -> str:
        return f"{name}-7"


def batch(*records: tuple[str, Item | None]) -> Batch:
    return Batch(
        [Record(ITEMS.name, 0, offset, 0, key, message) for offset, (key, message) in enumerate(records)], lambda *_: {}
    )


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


def test_it_waits_for_the_text_encoder_alone() -> None:
    encoder = Encoder()
    Catalog(encoder).startup()
    assert [models for models, _ in encoder.ready] == [["text_encoder"]]


def test_item_text_is_title_tags_description_and_bounded() -> None:
    text = item_text(item("a", title="标题", tags=["x", "y"], description="d" * 20_000))
    assert text.startswith("标题\nx, y\nddd") and len(text) == MAX_TEXT
    assert item_text(item("a", title="only", tags=[])) == "only"
