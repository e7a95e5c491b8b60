"""What is left to chance in lists: drawn by nothing but the seed, as often as propensities say."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.catalogue import Catalogue
from consumers.lists.exploration import Chance, chance_of, ranked_propensity
from consumers.lists.rules import GroupCap, Pin, RuleBook
from schemas.messages import RecommendedItem
from tests.unit.synthetic import DIM, NOW_MS, add, event, shop, topic_vector, user, vectors_of
from tests.unit.test_list_maker import branded_shop, ids, kinds, made_for, maker


def test_exploration_follows_user_and_state_version_and_not_the_order_of_the_catalogue() -> None:
    state = user(event("sports-0", "like"))
    found = {}
    for order in (1, -1):
        catalogue, plain = Catalogue(DIM), shop()
        for item_id in plain.item_ids[::order]:
            add(catalogue, plain.items[item_id], topic_vector(item_id.split("-")[0], 0.1 * int(item_id[-1])))
        making = maker(catalogue, explore=0.4)
        for version in range(40):
            places = made_for(state, topic_vector("sports"), making, chance_of("ann", version))
            drawn = [place.item_id for place in places if "exploration" in kinds(place)]
            assert len(places) == 5 and found.setdefault(version, drawn) == drawn
    counts = [len(drawn) for drawn in found.values()]
    assert 1.5 < np.mean(counts) <= 2.5 and len({tuple(drawn) for drawn in found.values()}) > 20
    assert chance_of("ann", 3) != chance_of("ann", 4) != chance_of("bob", 4)


def test_propensities_are_how_often_items_really_stand_there() -> None:
    """Counted over many seeds, in the main list and on a surface, with a place that is pinned and items not to be shown."""
    catalogue = branded_shop()
    book = RuleBook(pins=(Pin("hero", "cooking-3", 2),))
    making = maker(catalogue, book=book, explore=0.5, surfaces={"home": 4})  # of 5 places: 2 or 3; of 4: 2
    state = user(event("sports-0", "like"))
    rounds = 3000
    main, home, together = Stood(), Stood(), Counter[bool]()
    vectors = vectors_of(*[topic_vector("sports")] * 250)
    for start in range(0, rounds, 250):
        seeds = [chance_of("ann", start + number) for number in range(250)]
        for lists in making.make([state] * 250, vectors, NOW_MS, seeds):
            assert len(lists.items) == 5 and len(lists.surfaces["home"]) == 4
            main.note(lists.items)
            home.note(lists.surfaces["home"])
            together["exploration" in kinds(lists.items[0]) and "exploration" in kinds(lists.surfaces["home"][0])] += 1
    for stood, places, most in ((main, (0, 2, 3, 4), 6), (home, (0, 2, 3), 4)):
        assert all(len(found) == 1 for found in stood.told.values())  # one place of one item has one propensity
        propensity = {key: next(iter(found)) for key, found in stood.told.items()}
        assert propensity["cooking-3", 1] == 1
        for key, expected in propensity.items():
            error = 4 * (expected * (1 - expected) / rounds) ** 0.5
            assert stood.times[key] / rounds == pytest.approx(expected, abs=error + 1e-9), key
        ranked = [key for key in propensity if propensity[key] > 0.1]
        assert len(ranked) >= most  # the same ranked items, at several places each
        for place in places:
            seen = sum(propensity[key] for key in propensity if key[1] == place)
            assert seen == pytest.approx(1, abs=0.05)  # what was never drawn is missing
    first = sum(propensity for propensity in main.drawn_first()), sum(propensity for propensity in home.drawn_first())
    assert together[True] / rounds == pytest.approx(first[0] * first[1], abs=0.04), "dice of their own"


class Stood:
    """How often items stood at places, how likely that was said to be, and what was drawn."""

    def __init__(self) -> None:
        self.times: Counter[tuple[str, int]] = Counter()
        self.told: dict[tuple[str, int], set[float]] = {}
        self._drawn: set[str] = set()

    def note(self, items: Sequence[RecommendedItem]) -> None:
        assert len(set(ids(items))) == len(items)
        for place, shown in enumerate(items):
            assert shown.propensity is not None
            self.times[shown.item_id, place] += 1
            self.told.setdefault((shown.item_id, place), set()).add(round(shown.propensity, 9))
            if "exploration" in kinds(shown):
                self._drawn.add(shown.item_id)

    def drawn_first(self) -> list[float]:
        """How likely what was drawn was to stand first."""
        return [next(iter(found)) for (item_id, place), found in self.told.items() if place == 0 and item_id in self._drawn]


def test_a_list_that_caps_cut_short_leaves_its_share_to_chance_and_not_a_longer_ones() -> None:
    catalogue = branded_shop()
    making = maker(catalogue, book=RuleBook(caps=(GroupCap("brands", "brand", 1),)), top_k=20, explore=0.4)  # of 5: 2
    seeds = [chance_of("dee", number) for number in range(200)]
    lists = making.make([user(event("sports-0", "like"))] * 200, vectors_of(*[topic_vector("sports")] * 200), NOW_MS, seeds)
    assert {len(one.items) for one in lists} == {5}
    assert {sum("exploration" in kinds(place) for place in one.items) for one in lists} == {2}
    assert all(place.propensity for one in lists for place in one.items)


@pytest.mark.parametrize(("top_k", "share"), [(15, 0.5), (20, 0.5), (30, 0.5), (36, 0.4)])
def test_as_many_are_drawn_as_propensities_say_though_the_list_is_most_of_the_catalogue(top_k: int, share: float) -> None:
    catalogue = shop()
    making = maker(catalogue, top_k=top_k, explore=share)
    state = user(event("sports-0", "like"))
    seeds = [chance_of("cid", number) for number in range(400)]
    open_items = max(0, len(catalogue) - 1 - top_k)
    lists = making.make([state] * 400, vectors_of(*[topic_vector("sports")] * 400), NOW_MS, seeds)
    drawn = [sum("exploration" in kinds(place) for place in one.items) for one in lists]
    assert set(drawn) <= {min(count, open_items) for count, _ in Chance.of(share, top_k).counts()}
    assert np.mean(drawn) == pytest.approx(min(share * top_k, open_items), abs=0.15)
    times: Counter[tuple[str, int]] = Counter()
    propensity = {}
    for one in lists:
        for place, item_shown in enumerate(one.items):
            times[item_shown.item_id, place] += 1
            propensity[item_shown.item_id, place] = item_shown.propensity
    for key, expected in propensity.items():
        assert expected is not None and 0 < expected <= 1
        assert times[key] / 400 == pytest.approx(expected, abs=5 * (expected * (1 - expected) / 400) ** 0.5 + 0.005), key


def test_nothing_left_to_chance_says_nothing_of_it() -> None:
    places = made_for(user(event("sports-0", "like")), topic_vector("sports"), maker(shop()))
    assert {place.propensity for place in places} == {None}


@given(st.integers(1, 12), st.floats(0, 0.5), st.integers(0, 11))
def test_the_places_of_a_ranked_item_are_all_there_is_but_being_dropped(places: int, share: float, rank: int) -> None:
    chance = Chance.of(share, places)
    somewhere = sum(ranked_propensity(chance, places, 100, rank, place) for place in range(places))
    kept = sum(odds for count, odds in chance.counts() if rank < places - min(count, places))
    assert somewhere == pytest.approx(kept)


def test_drawn_items_are_each_as_likely() -> None:
    catalogue = shop()
    making = maker(catalogue, explore=0.2)
    state = user(event("sports-0", "like"))
    seeds = [chance_of("bob", number) for number in range(2000)]
    drawn: Counter[str] = Counter()
    for lists in making.make([state] * 2000, vectors_of(*[topic_vector("sports")] * 2000), NOW_MS, seeds):
        drawn.update(place.item_id for place in lists.items if "exploration" in kinds(place))
    expected = sum(drawn.values()) / len(drawn)
    assert len(drawn) == len(catalogue) - 1 - 5  # all but the one seen and the five ranked
    assert all(count == pytest.approx(expected, abs=5 * expected**0.5) for count in drawn.values())
