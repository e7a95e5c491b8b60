"""What an item is worth against the differences between items: its chance, where a ranker knows it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from consumers.lists.diversity import METHODS, Diversity, Method, Pool, choose
from consumers.lists.learned_ranker import LearnedRanker, read_ranker
from consumers.lists.lists import ListMaker
from consumers.lists.ranking import PlainRanker, RankWeights, chances
from deploy.recs.comparison import Outcome
from deploy.recs.dial import DIALS, dial_curve
from deploy.recs.measures import gains
from tests.unit.synthetic import NOW_MS, event, list_rules, shop, topic_vector, user
from tests.unit.test_ranker_of_encoder import ranker_that_likes
from tests.unit.test_recs_measures import Fixed, asked

WEIGHTS = RankWeights()


def learned(spread: float = 1.0, taken_at_once: float = 1.0, likes: float = 1.0) -> LearnedRanker:
    file = json.loads(ranker_that_likes("interest", likes)) | {"spread": spread, "taken_at_once": taken_at_once}
    found = read_ranker(json.dumps(file), WEIGHTS)
    assert isinstance(found, LearnedRanker)
    return found


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 8), st.floats(0.01, 300))
def test_chances_are_shares_in_the_order_of_scores(seed: int, missing: int, size: float) -> None:
    log_odds = -np.sort(-np.random.default_rng(seed).standard_normal((3, 8)) * size, axis=1).astype(np.float32)
    log_odds[:, 8 - missing :] = -np.inf
    found = chances(log_odds)
    np.testing.assert_allclose(found.sum(axis=1), 1.0 if missing < 8 else 0.0, rtol=1e-5)
    assert (np.diff(found, axis=1) <= 0).all() and not found[:, 8 - missing :].any()
    np.testing.assert_allclose(chances(log_odds + np.float32(5)), found, rtol=1e-3, atol=1e-6)


def test_nobodys_candidates_have_no_chances() -> None:
    assert chances(np.empty((2, 0), np.float32)).shape == (2, 0)


def test_what_is_expected_to_be_taken_does_not_hang_on_how_scores_are_published() -> None:
    log_odds = np.log(np.array([[0.6, 0.3, 0.1], [0.4, 0.4, 0.2]], np.float32))
    for spread in (0.2, 1.0, 7.0):
        found = learned(spread, taken_at_once=4.0).relevance(log_odds * np.float32(spread))
        np.testing.assert_allclose(found, [[2.4, 1.2, 0.4], [1.6, 1.6, 0.8]], rtol=1e-4)
    np.testing.assert_array_equal(PlainRanker(WEIGHTS).relevance(log_odds), log_odds)


@pytest.mark.parametrize("method", METHODS)
def test_who_is_surely_known_keeps_the_best_and_who_is_not_gets_variety(method: Method) -> None:
    """The fourth item is unlike the first three; to put it in costs the first user a third of their hits, the other little."""
    vectors = np.eye(2, dtype=np.float32)[[0, 0, 0, 1]][None].repeat(2, axis=0)
    log_odds = np.array([[5.0, 4.9, 4.8, 0.0], [0.3, 0.2, 0.1, 0.0]], np.float32)
    rows = np.arange(4)[None].repeat(2, axis=0)
    pool = Pool(rows, learned().relevance(log_odds), np.zeros(rows.shape, np.bool_), vectors)
    taken = choose(pool, 3, Diversity(0.015 if method == "dpp" else 0.2, method))
    assert taken.tolist() == [[0, 1, 2], [0, 1, 3]]


def test_lists_weigh_what_the_ranker_expects() -> None:
    """One who is nearly sure to stay with music keeps a list of it; the same lists as scores from 0 to 1 would be mixed."""
    maker = ListMaker(list_rules(top_k=4, diversity=0.5), shop())
    states, vectors = [user(event("music-0"), event("music-1"))], np.array([topic_vector("music")], np.float32)

    def topics() -> set[str]:
        return {place.item_id.split("-")[0] for place in maker.make(states, vectors, NOW_MS)[0].items}

    maker.rank_by(learned(likes=12.0, taken_at_once=30.0))
    assert topics() == {"music"}
    maker.rank_by(learned(likes=0.01))
    assert topics() > {"music"}


def test_the_evaluated_dial_weighs_chances_as_the_profiler_does() -> None:
    """Two models put ten of a kind first, one of them surely; by scores, each brought to its own scale, they are alike."""
    items = 20
    split = asked(items, list(range(10)), list(range(10)))
    vectors = sparse.csr_matrix(np.eye(2)[(np.arange(items) >= 10).astype(int)])
    sure = [9.0] * 10 + [1.0] * 10
    found = gains(Fixed([[0.0] * items, sure, sure]), split)
    at = next(number for number, dial in enumerate(DIALS) if dial == Diversity(0.15))
    known = dial_curve(Outcome("portrait", by_seed=[found]), split, vectors, log_odds=True)[at]
    flat = gains(Fixed([[0.0] * items, [one / 100 for one in sure], [one / 100 for one in sure]]), split)
    unknown = dial_curve(Outcome("portrait", by_seed=[flat]), split, vectors, log_odds=True)[at]
    by_score = [dial_curve(Outcome("ease", by_seed=[one]), split, vectors)[at].distance for one in (found, flat)]
    assert known.distance == 0 < unknown.distance and by_score[0] == by_score[1]
