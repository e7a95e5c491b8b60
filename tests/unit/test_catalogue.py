import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.catalogue import FIRST_CAPACITY, Catalogue, lean
from consumers.statements.hidden import Hidden
from consumers.statements.vocabulary import Vocabulary, tokens_of
from schemas.errors import BadMessage
from schemas.state import UserState
from tests.unit.synthetic import DAY_MS, DIM, NOW_MS, TOPICS, add, item, topic_vector, vector

IDS = [f"i{number}" for number in range(6)]
OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put_item", "put_vector", "remove_item", "remove_vector"]),
        st.sampled_from(IDS),
        st.lists(st.sampled_from(TOPICS), max_size=3),
        st.integers(0, 7),
    ),
    max_size=40,
)


@settings(max_examples=200)
@given(OPERATIONS)
def test_after_any_operations_it_equals_two_plain_dicts(operations: list[tuple[str, str, list[str], int]]) -> None:
    catalogue, items, axes = Catalogue(DIM), {}, {}
    for published, (name, item_id, tags, axis) in enumerate(operations):
        if name == "put_item":
            items[item_id] = item(item_id, tags=tags, published_at_ms=published)
            catalogue.put_item(items[item_id])
        elif name == "put_vector":
            axes[item_id] = np.eye(DIM)[axis]
            catalogue.put_vector(vector(item_id, axes[item_id].tolist()))
        elif name == "remove_item":
            items.pop(item_id, None)
            catalogue.remove_item(item_id)
        else:
            axes.pop(item_id, None)
            catalogue.remove_vector(item_id)

    both = items.keys() & axes.keys()
    rows = catalogue.rows(IDS)
    assert {item_id for item_id, row in zip(IDS, rows, strict=True) if row >= 0} == both
    assert sorted(rows[rows >= 0]) == list(range(len(catalogue))) == list(range(len(both)))
    assert dict(catalogue.items) == items
    vocabulary, tokens = Vocabulary.of(items.values()), tokens_of(" ".join(TOPICS))
    assert len(catalogue.vocabulary) == len(vocabulary) and catalogue.vocabulary.formats == vocabulary.formats
    for place in range(len(TOPICS)):
        assert catalogue.vocabulary.tag_at(tokens, place) == vocabulary.tag_at(tokens, place)
    assert catalogue.matrix.flags["C_CONTIGUOUS"] and catalogue.matrix.dtype == np.float32
    for item_id, row in zip(IDS, rows, strict=True):
        expected = axes[item_id] if row >= 0 else np.zeros(DIM)
        assert np.array_equal(catalogue.vectors(np.array([row]))[0], expected)
        assert np.array_equal(catalogue.half_vectors(np.array([row]))[0], expected)
        if row >= 0:
            assert catalogue.item_ids[row] == item_id
            assert catalogue.published_at_ms[row] == items[item_id].published_at_ms
            assert set(catalogue.tags(row)) == set(items[item_id].tags)
            assert catalogue.tag_counts[row] == len(set(items[item_id].tags))
    for tag in TOPICS:
        assert {catalogue.item_ids[row] for row in catalogue.rows_with_tag(tag)} == {i for i in both if tag in items[i].tags}


def test_tags_are_found_in_any_letter_case_and_after_an_update() -> None:
    catalogue = Catalogue(DIM)
    add(catalogue, item("a", tags=["Sports", "SPORTS"]), topic_vector("sports"))
    assert catalogue.rows_with_tag("sPORTS").tolist() == [0]
    assert catalogue.tag_counts.tolist() == [1]
    catalogue.put_item(item("a", tags=["music"]))
    assert catalogue.rows_with_tag("sports").tolist() == []
    assert catalogue.rows_with_tag("music").tolist() == [0]


def test_it_grows_and_keeps_what_it_had() -> None:
    catalogue = Catalogue(DIM)
    count = 2 * FIRST_CAPACITY + 10
    for number in range(count):
        add(catalogue, item(f"i{number}", published_at_ms=number), np.eye(DIM)[number % DIM].tolist())
        if number == 5:
            catalogue.observe(["i5"], [3.0], NOW_MS)
    assert catalogue.rows([f"i{number}" for number in range(count)]).tolist() == list(range(count))
    assert np.array_equal(catalogue.matrix.argmax(axis=1), np.arange(count) % DIM)
    assert np.array_equal(catalogue.published_at_ms, np.arange(count))
    assert catalogue.popularity.shares(count).argmax() == 5
    assert not catalogue.vectors(np.array([-1])).any()


@pytest.mark.parametrize(
    ("values", "reason"),
    [([1.0] * (DIM + 1), "wrong_dimension"), ([], "wrong_dimension"), ([0.0] * DIM, "no_direction")],
)
def test_a_vector_that_cannot_be_searched_is_refused_and_changes_nothing(values: list[float], reason: str) -> None:
    catalogue = Catalogue(DIM)
    add(catalogue, item("a"), topic_vector("music"))
    with pytest.raises(BadMessage) as error:
        catalogue.put_vector(vector("a", values))
    assert error.value.reason == reason
    assert np.array_equal(catalogue.matrix[0], topic_vector("music"))


@pytest.mark.parametrize("size", [1e-300, 1.0, 1e300])
def test_vectors_are_scaled_to_unit_length(size: float) -> None:
    catalogue = Catalogue(DIM)
    add(catalogue, item("a"), [size] * DIM)
    assert np.linalg.norm(catalogue.matrix[0]) == pytest.approx(1.0, abs=1e-6)


def test_arrivals_are_told_once_and_only_while_the_item_is_there() -> None:
    catalogue = Catalogue(DIM)
    catalogue.put_item(item("a"))
    catalogue.put_vector(vector("b", topic_vector("music")))
    assert catalogue.drain_arrivals() == []
    catalogue.put_item(item("b"))
    catalogue.put_vector(vector("a", topic_vector("music")))
    add(catalogue, item("c"), topic_vector("music"))
    catalogue.remove_item("c")
    assert catalogue.drain_arrivals() == ["b", "a"]
    catalogue.put_item(item("a"))
    assert catalogue.drain_arrivals() == []


def test_availability_is_from_inclusive_until_exclusive() -> None:
    catalogue = Catalogue(DIM)
    add(catalogue, item("always"), topic_vector("music"))
    add(catalogue, item("window", available_from_ms=100, available_until_ms=200), topic_vector("music"))
    assert [catalogue.available(now).tolist()[1] for now in (99, 100, 199, 200)] == [False, True, True, False]
    assert all(catalogue.available(now)[0] for now in (0, NOW_MS))


def test_popularity_decays_ignores_dislikes_and_survives_removals() -> None:
    catalogue = Catalogue(DIM)
    for item_id in ("old", "gone", "new", "disliked"):
        add(catalogue, item(item_id), topic_vector("music"))
    catalogue.observe(["old", "gone", "unknown", None], [5.0, 9.0, 9.0, 9.0], NOW_MS - 70 * DAY_MS)
    catalogue.observe(["new", "disliked"], [5.0, -5.0], [NOW_MS, NOW_MS])
    catalogue.remove_item("gone")
    share = dict(zip(catalogue.item_ids, catalogue.popularity.shares(3), strict=True))
    assert share["new"] == 1.0
    assert 0 < share["old"] < 0.01
    assert share["disliked"] == 0


def test_popularity_stays_finite_over_decades_in_any_order() -> None:
    catalogue = Catalogue(DIM)
    for item_id in ("early", "late"):
        add(catalogue, item(item_id), topic_vector("music"))
    for time_ms in (NOW_MS, 0, NOW_MS - 40 * 365 * DAY_MS, NOW_MS + DAY_MS):
        catalogue.observe(["late"], [1.0], time_ms)
        catalogue.observe(["early"], [1e6], 0)
    assert catalogue.popularity.shares(2).tolist() == [0.0, 1.0]


def test_what_is_kept_of_an_item_is_all_of_it_and_tags_are_shared() -> None:
    full = item("a", "sports", description="d", attributes={"brand": "b"}, media_urls=["https://x.example/1"], language="zh")
    assert lean(full) == full and lean(full).model_dump_json() == full.model_dump_json()
    catalogue, tags = Catalogue(DIM), ["".join(["spo", "rts"]) for _ in range(2)]
    for item_id, tag in zip("bc", tags, strict=True):
        catalogue.put_item(item(item_id, tag))
    assert tags[0] is not tags[1]
    assert catalogue.items["b"].tags[0] is catalogue.items["c"].tags[0]


def test_tags_are_kept_as_people_see_them_and_a_mute_of_what_they_see_is_obeyed() -> None:
    catalogue = Catalogue(DIM)
    catalogue.put_item(item("a", "x").model_copy(update={"tags": ["Heavy\u00a0Metal", " Rock\u200b", "\u200b"]}))
    assert catalogue.items["a"].tags == ["Heavy Metal", "Rock"]
    for muted in ("heavy metal", "Heavy\u00a0Metal"):
        assert Hidden.of(UserState(muted_tags=[muted])).hides(catalogue.items["a"])
