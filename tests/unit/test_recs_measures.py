"""Measures on lists whose worth is known."""

from itertools import permutations

import numpy as np
import pytest
from scipy import sparse

from deploy.recs.bootstrap import mean_interval, paired_gain
from deploy.recs.cuts import leave_one_out
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.item_words import word_vectors
from deploy.recs.measures import TOP, coverage, diversity, first_hit, gains, history_bands, mean_ndcg, novelty
from deploy.recs.split import Split
from schemas.errors import PortraitError
from tests.unit.recommendation_cases import events


class Fixed:
    """Gives the scores it was made with, a row a user."""

    def __init__(self, rows: list[list[float]]) -> None:
        self.rows = np.array(rows, dtype=np.float32)

    def fit(self, train: Interactions) -> None:
        raise AssertionError

    def scores(self, users: Ints) -> Floats:
        return self.rows[users]


def asked(items: int, *truths: list[int], remove_seen: bool = False) -> Split:
    """A user for each truth, who knows item 0."""
    rows = [(f"u{user}", "i00", 1) for user in range(len(truths))]
    catalogue = [("catalogue", f"i{item:02}", 1) for item in range(items)]
    train = events(*catalogue, *rows)
    users = np.array([train.user_ids.index(f"u{user}") for user in range(len(truths))], dtype=np.int32)
    return Split("test", train, users, [np.array(truth, dtype=np.int32) for truth in truths], remove_seen)


def gained(split: Split, rows: list[list[float]]) -> dict[str, list[float]]:
    found = gains(Fixed([[0.0] * len(split.train.item_ids), *rows]), split)
    return {name: np.round(getattr(found, name), 6).tolist() for name in ("ndcg", "hr", "recall", "mrr")}


def test_a_truth_at_the_top_at_place_three_and_out_of_the_list() -> None:
    ranking = [20.0 - item for item in range(20)]
    found = gained(asked(20, [0], [2], [15]), [ranking] * 3)
    assert found["ndcg"] == [1.0, 0.5, 0.0]
    assert found["hr"] == [1.0, 1.0, 0.0]
    np.testing.assert_allclose(found["mrr"], [1, 1 / 3, 1 / 16], atol=1e-6)


def test_a_basket_is_found_in_parts() -> None:
    ranking = [20.0 - item for item in range(20)]
    found = gained(asked(20, [0, 2, 15, 16]), [ranking])
    best = sum(1 / np.log2(place + 1) for place in (1, 2, 3, 4))
    assert found["recall"] == [0.5] and found["hr"] == [1.0] and found["mrr"] == [1.0]
    np.testing.assert_allclose(found["ndcg"], [(1 + 0.5) / best], atol=1e-6)


def test_a_model_that_cannot_tell_gets_what_chance_gives() -> None:
    found = gained(asked(20, [7]), [[1.0] * 20])
    assert found["hr"] == [0.5]
    np.testing.assert_allclose(found["ndcg"], [sum(1 / np.log2(place + 1) for place in range(1, 11)) / 20], atol=1e-6)
    np.testing.assert_allclose(found["mrr"], [np.mean([1 / place for place in range(1, 21)])], atol=1e-6)


def test_ties_are_worth_the_mean_over_every_order() -> None:
    scores, truth = [9, 9, 5, 5, 5, 5, 1, 1, 1, 1, 1, 1], [3, 4, 7]
    orders = {order for order in permutations((2, 3, 4, 5))}
    dcg, hits = [], []
    for order in orders:
        for last in range(6):  # where item 7 stands among its equals
            ranks = [2 + order.index(item) for item in (3, 4)] + [6 + last]
            dcg.append(sum(1 / np.log2(rank + 2) for rank in ranks if rank < TOP))
            hits.append(1 / (1 + min(ranks)))
    best = sum(1 / np.log2(place + 1) for place in (1, 2, 3))
    found = gained(asked(12, truth), [list(map(float, scores))])
    np.testing.assert_allclose(found["ndcg"], [np.mean(dcg) / best], atol=1e-6)
    np.testing.assert_allclose(found["mrr"], [np.mean(hits)], atol=1e-6)


def test_the_first_hit_among_many_equals() -> None:
    hit, rank = first_hit(above=8, level=4, truths=2)
    assert hit == pytest.approx(1 - (2 / 4) * (1 / 3))
    assert rank == pytest.approx(0.5 / 9 + (2 / 4) * (2 / 3) / 10 + (2 / 4) * (1 / 3) / 11)
    assert first_hit(above=10, level=3, truths=3)[0] == 0


def test_seen_items_are_no_candidates_only_where_the_protocol_says_so() -> None:
    ranking = [20.0 - item for item in range(20)]
    kept, removed = asked(20, [1]), asked(20, [1], remove_seen=True)
    np.testing.assert_allclose(gained(kept, [ranking])["ndcg"], [1 / np.log2(3)], atol=1e-6)
    assert gained(removed, [ranking])["ndcg"] == [1.0]
    model = Fixed([[0.0] * 20, ranking])
    assert 0 in gains(model, kept).lists and 0 not in gains(model, removed).lists
    assert mean_ndcg(model.scores(removed.users), removed) == pytest.approx(1.0)


def test_a_list_of_few_candidates_is_shorter() -> None:
    found = gains(Fixed([[0.0] * 4, [4.0, 3.0, 2.0, 1.0]]), asked(4, [1], remove_seen=True))
    assert found.lists.tolist() == [[1, 2, 3] + [-1] * 7]


def test_scores_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(PortraitError, match="finite"):
        gains(Fixed([[0.0] * 4, [np.nan] * 4]), asked(4, [1]))


def test_coverage_and_novelty() -> None:
    train = events(("u", "a", 1), ("v", "a", 1), ("v", "b", 1), ("w", "a", 1), ("w", "c", 1), ("w", "d", 1))
    lists = np.array([[0, 1, -1], [0, 1, -1]], dtype=np.int32)
    assert coverage(lists, 4) == 0.5
    assert novelty(lists, train) == pytest.approx((-np.log2(4 / 4) - np.log2(2 / 4)) / 2)


def test_a_list_of_the_same_is_not_diverse() -> None:
    texts, tags = ["red ball", "red ball", "blue tent", "blue tent"], [["in"], ["in"], ["out"], ["out"]]
    for vectors in (word_vectors(texts, [()] * 4), word_vectors(["same words"] * 4, tags)):
        list_is_as_diverse_as_it_is(vectors)
    assert word_vectors(["", ""], [[], []]) is None and diversity(np.array([[0, 1]]), None) is None


def list_is_as_diverse_as_it_is(vectors: sparse.csr_matrix | None) -> None:
    assert diversity(np.array([[0, 1, -1]]), vectors) == pytest.approx(0, abs=1e-9)
    assert diversity(np.array([[0, 2, -1]]), vectors) == pytest.approx(1)
    assert diversity(np.array([[0, 1, 2]]), vectors) == pytest.approx(2 / 3)


def test_history_bands_count_what_is_known() -> None:
    rows = [("few", f"i{day}", day) for day in range(4)] + [("many", f"i{day}", day) for day in range(30)]
    bands = history_bands(leave_one_out(events(*rows)))
    assert {name: chosen.tolist() for name, chosen in bands.items()} == {"1-5": [True, False], "21+": [False, True]}


def test_the_bootstrap_tells_a_gain_from_none() -> None:
    source = np.random.default_rng(1)
    theirs = source.random(400)
    better, same = paired_gain(theirs + 0.1, theirs), paired_gain(source.permutation(theirs), theirs)
    assert better is not None and same is not None
    assert better.mean == pytest.approx(0.1 / theirs.mean()) and 0 < better.low < better.mean < better.high
    assert same.low < 0 < same.high
    assert paired_gain(theirs, np.zeros(400)) is None
    low, high = mean_interval(theirs)
    assert low < theirs.mean() < high and high - low == pytest.approx(4 * theirs.std() / 20, rel=0.2)
