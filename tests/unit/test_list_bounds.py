"""Lists at the bounds: hardly anything known or to be shown, pins of other surfaces, more users than fit memory."""

import numpy as np
import pytest

from consumers.catalogue import Catalogue
from consumers.lists.chance_places import Mixer
from consumers.lists.exploration import Draws, chance_of
from consumers.lists.rules import Pin, RuleBook
from schemas.messages import RecommendedItem
from schemas.state import UserState
from tests.unit.synthetic import DIM, NOW_MS, TOPICS, add, event, item, shop, topic_vector, user, vectors_of
from tests.unit.test_list_maker import ids, kinds, maker


@pytest.mark.parametrize("explore", [0.1, 0.5])
def test_what_only_chance_brought_does_not_pass_for_a_list(explore: float) -> None:
    catalogue = Catalogue(DIM)
    for topic in TOPICS:
        for number in range(30):
            add(catalogue, item(f"{topic}-{number}", topic, published_at_ms=0), topic_vector(topic, 0.1 * number))
    making = maker(catalogue, True, top_k=10, explore=explore)
    found = making.make([UserState()] * 8, np.zeros((8, DIM), np.float32), NOW_MS, [chance_of("u", n) for n in range(8)])
    assert [len(one.items) for one in found] == [10] * 8  # nobody knows anything of them, or of what is popular


def test_of_a_large_catalogue_of_which_little_may_be_shown_as_much_is_drawn() -> None:
    catalogue, random = Catalogue(DIM), np.random.default_rng(0)
    for number in range(1500):
        gone = {} if number % 50 == 0 else {"available_until_ms": NOW_MS}
        add(catalogue, item(f"i{number}", TOPICS[number % 4], **gone), random.normal(size=DIM).tolist())
    making = maker(catalogue, top_k=10, explore=0.1)
    vectors = vectors_of(*random.normal(size=(100, DIM)))
    found = making.make([UserState()] * 100, vectors, NOW_MS, [chance_of("u", number) for number in range(100)])
    assert all(sum("exploration" in kinds(place) for place in one.items) == 1 for one in found)
    assert all(place.propensity and 0 < place.propensity <= 1 for one in found for place in one.items)


def test_where_less_was_drawn_than_was_to_be_no_propensity_is_told() -> None:
    catalogue = shop()
    ranked = [
        RecommendedItem(item_id=item_id, title="", score=1, reasons=[], sources=[]) for item_id in catalogue.item_ids[:3]
    ]
    seeds = np.array([7], np.uint64)
    mixer = Mixer(Draws(0.5, np.array([0.2]), np.zeros((1, 0), np.int64), np.array([30]), seeds))
    assert [place.propensity for place in mixer.mixed(0, ranked, [], [])] == [None] * 3
    told = mixer.mixed(0, ranked, ranked[:2], [])
    assert all(place.propensity for place in told)


def test_what_another_surface_has_pinned_is_in_the_main_list_only_by_its_score() -> None:
    book = RuleBook(pins=(Pin("home only", "music-9", 1, frozenset({"home"})),))
    state = user(event("sports-0", "like"))
    found = {}
    for dial in (0.0, 1e-6):
        making = maker(shop(), book=book, diversity=dial, surfaces={"home": 5})
        [found[dial]] = making.make([state], vectors_of(topic_vector("sports")), NOW_MS, [7])
        assert ids(found[dial].surfaces["home"])[0] == "music-9"
    assert ids(found[0.0].items) == ids(found[1e-6].items) and "music-9" not in ids(found[0.0].items)


def test_users_are_taken_in_blocks_that_fit_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    making = maker(shop())
    asked = [user(event("sports-0", "like"))] * 5
    vectors = vectors_of(*[topic_vector("sports")] * 5)
    at_once = making.make(asked, vectors, NOW_MS)
    monkeypatch.setattr("consumers.lists.lists.MAX_CELLS", 2 * len(shop()))
    assert making.users_at_once == 2
    assert [len(one.users) for one in making.offered(asked, vectors, NOW_MS, [0] * 5)] == [2, 2, 1]
    assert [ids(one.items) for one in making.make(asked, vectors, NOW_MS)] == [ids(one.items) for one in at_once]
