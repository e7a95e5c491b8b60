"""The conformance suite of vector search: every adapter finds what brute force finds in a catalogue that changes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from consumers.catalogue import Catalogue, Floats
from consumers.search.choice import vector_index
from consumers.search.faiss_index import FaissChoice, FaissIndex
from consumers.search.vector_index import Found, Mask, VectorIndex
from schemas.errors import Retryable
from schemas.settings import SearchSettings
from tests.unit.synthetic import add, item, vector

DIM = 16
MANY = 1500
KINDS = ["exact", "ivf", "ivf_pq", "hnsw", "milvus"]
RECALL = {"exact": 1.0, "milvus": 1.0, "ivf": 0.97, "hnsw": 0.97, "ivf_pq": 0.95}


class Place:
    """A catalogue, and an index that follows it."""

    def __init__(self, index: VectorIndex, kind: str) -> None:
        self.index, self.kind = index, kind
        self.catalogue = Catalogue(DIM)
        self.numbers = np.random.default_rng(3)
        self.centres = self.numbers.standard_normal((20, DIM))

    def directions(self, count: int) -> Floats:
        near = self.centres[self.numbers.integers(0, 20, count)] + 0.5 * self.numbers.standard_normal((count, DIM))
        return (near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32)

    def fill(self, count: int = MANY) -> None:
        for number, values in enumerate(self.directions(count)):
            add(self.catalogue, item(f"i{number}"), values.tolist())
        self.settle()

    def settle(self) -> None:
        self.index.follow(self.catalogue)
        self.index.wait()
        self.index.follow(self.catalogue)

    def search(self, queries: Floats, count: int, allowed: Mask | None = None) -> Found:
        self.index.follow(self.catalogue)
        everything = np.ones(len(self.catalogue), bool)
        return self.index.search(queries, count, everything if allowed is None else allowed, self.catalogue)

    def ids(self, found: Found) -> list[list[str]]:
        return [[self.catalogue.item_ids[row] for row in own if row >= 0] for own in found.rows.tolist()]

    def check(self, count: int = 20, queries: int = 30, allowed: Mask | None = None) -> None:
        """Against brute force over the catalogue as it is now."""
        asked = self.directions(queries)
        shown = np.ones(len(self.catalogue), bool) if allowed is None else allowed
        found = self.search(asked, count, shown)
        scores = np.where(shown, asked @ self.catalogue.matrix.T, -np.inf)
        best = np.argsort(-scores, axis=1)[:, : min(count, int(shown.sum()))]
        shared = [len(set(ours) & set(theirs)) for ours, theirs in zip(found.rows.tolist(), best.tolist(), strict=True)]
        assert sum(shared) >= RECALL[self.kind] * best.size
        there = found.rows >= 0
        assert shown[found.rows[there]].all()
        assert found.rows.shape == found.similarities.shape == (queries, count)
        assert np.isneginf(found.similarities[~there]).all()
        expected = np.take_along_axis(scores, np.maximum(found.rows, 0), axis=1)
        assert np.allclose(found.similarities[there], expected[there], atol=2e-3)
        assert (np.diff(np.where(there, found.similarities, -9.0), axis=1) <= 1e-6).all()
        assert all(len(set(own)) == len(own) for own in self.ids(found))


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    # with exact_up_to 0 FAISS has something to do; a catalogue this small needs many of its lists searched
    settings = SearchSettings(
        index=request.param, exact_up_to=200, lists_probed=48, milvus_address=str(tmp_path / "milvus.db")
    )
    index = vector_index(settings, DIM)
    yield Place(index, request.param)
    close: Callable[[], None] | None = getattr(index, "close", None)
    if close is not None:
        close()


def test_it_finds_what_brute_force_finds(place: Place) -> None:
    place.fill()
    place.check()


def test_an_empty_catalogue_has_no_answer(place: Place) -> None:
    found = place.search(place.directions(3), 5)
    assert (found.rows == -1).all() and np.isneginf(found.similarities).all() and found.rows.shape == (3, 5)


def test_few_items_are_all_found_and_the_rest_is_missing(place: Place) -> None:
    place.fill(7)
    found = place.search(place.directions(2), 10)
    assert [sorted(own) for own in place.ids(found)] == [sorted(place.catalogue.item_ids)] * 2
    assert (found.rows[:, 7:] == -1).all()


def test_what_is_added_is_found_at_once(place: Place) -> None:
    place.fill()
    for number in range(30):
        add(place.catalogue, item(f"new-{number}"), place.directions(1)[0].tolist())
        query = place.catalogue.vectors(place.catalogue.rows([f"new-{number}"]))
        assert place.ids(place.search(query, 3))[0][0] == f"new-{number}"
    place.check()


def test_what_is_removed_is_never_found_again_and_what_took_its_row_is(place: Place) -> None:
    place.fill()
    for number in range(0, MANY, 5):
        query = place.catalogue.vectors(place.catalogue.rows([f"i{number}"]))
        place.catalogue.remove_item(f"i{number}")
        assert f"i{number}" not in place.ids(place.search(query, 10))[0]
    place.check()


def test_what_changed_is_found_where_it_is_now(place: Place) -> None:
    place.fill()
    before = place.catalogue.vectors(place.catalogue.rows(["i3"]))
    place.catalogue.put_vector(vector("i3", (-before[0]).tolist()))
    assert place.ids(place.search(-before, 1)) == [["i3"]]
    found = place.search(before, 50)
    assert "i3" not in place.ids(found)[0]


def test_an_item_that_leaves_and_comes_back_is_there_once(place: Place) -> None:
    place.fill()
    query = place.catalogue.vectors(place.catalogue.rows(["i4"]))
    for _ in range(3):
        entry = place.catalogue.items["i4"]
        place.catalogue.remove_item("i4")
        assert "i4" not in place.ids(place.search(query, 5))[0]
        place.catalogue.put_item(entry)
        found = place.ids(place.search(query, 5))[0]
        assert found[0] == "i4" and found.count("i4") == 1


def test_changes_of_half_the_catalogue_are_survived(place: Place) -> None:
    place.fill()
    for number in range(0, MANY, 2):
        place.catalogue.put_vector(vector(f"i{number}", place.directions(1)[0].tolist()))
        if number % 100 == 0:
            place.search(place.directions(1), 5)
    place.check()
    place.settle()
    place.check()


@pytest.mark.parametrize("share", [0.9, 0.3, 0.01, 0.0])
def test_only_what_is_allowed_is_found(place: Place, share: float) -> None:
    place.fill()
    place.check(allowed=place.numbers.random(MANY) < share)


def test_equal_items_are_in_an_order_of_their_own_each_time(place: Place) -> None:
    place.fill()
    for number in range(6):
        add(place.catalogue, item(f"twin-{number}"), [1.0] + [0.0] * (DIM - 1))
    query = np.eye(DIM, dtype=np.float32)[:1]
    first = place.ids(place.search(query, 6))[0]
    tie_break = place.catalogue.tie_break[place.catalogue.rows(first)]
    assert sorted(first) == [f"twin-{number}" for number in range(6)] and (np.diff(tie_break.astype(float)) > 0).all()
    assert place.ids(place.search(query, 6))[0] == first


def test_a_search_while_the_index_is_being_built_finds_everything() -> None:
    place = Place(vector_index(SearchSettings(index="ivf", exact_up_to=100, lists_probed=200), DIM), "ivf")
    for number, values in enumerate(place.directions(MANY)):
        add(place.catalogue, item(f"i{number}"), values.tolist())
    place.check()
    place.catalogue.remove_item("i1")
    place.check()


def test_vectors_kept_as_bytes_find_as_much() -> None:
    place = Place(FaissIndex(FaissChoice(exact_up_to=200, lists_probed=48, bytes_from=500)), "ivf")
    place.fill()
    place.check()
    place.catalogue.remove_item("i1")
    place.check()


def test_automatic_choice_is_faiss_that_begins_exact() -> None:
    place = Place(vector_index(SearchSettings(), DIM), "exact")
    assert isinstance(place.index, FaissIndex)
    place.fill()
    place.check()


def test_milvus_that_is_not_there_can_be_asked_later() -> None:
    with pytest.raises(Retryable, match="MILVUS_ADDRESS"):
        vector_index(SearchSettings(index="milvus", milvus_address="http://127.0.0.1:1"), DIM)
