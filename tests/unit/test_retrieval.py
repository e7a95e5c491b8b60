import numpy as np
import pytest

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.lists.diversity import Diversity, Pool, choose
from consumers.lists.ranking import RankWeights
from consumers.lists.retrieval import top_rows
from consumers.lists.shelf import Shelf
from tests.unit.synthetic import DIM, NOW_MS, add, item, shop, topic_vector


def items_without_news(count: int, reverse: bool = False) -> Catalogue:
    catalogue = Catalogue(DIM)
    for number in sorted(range(count), reverse=reverse):
        add(catalogue, item(f"i{number}"), topic_vector("music"))
    return catalogue


@pytest.mark.parametrize("count", [1, 7, 30])
@pytest.mark.parametrize("n", [1, 16, 31, 500, 1999])
def test_the_cut_finds_what_a_full_sort_finds(n: int, count: int) -> None:
    catalogue = items_without_news(n)
    scores = np.random.default_rng(n).standard_normal((5, n)).astype(np.float32)
    scores[1, n // 2 :] = -np.inf
    scores[2] = -np.inf
    scores[3, : n // 2] = scores[3, 0]
    rows, found = top_rows(scores, count, catalogue)
    expected = -np.sort(-scores, axis=1)[:, :count]
    assert np.array_equal(found, expected)
    assert np.array_equal(rows < 0, np.isneginf(expected))
    for own, line, score in zip(rows, scores, found, strict=True):
        kept = own[own >= 0]
        assert len(set(kept.tolist())) == len(kept)
        assert np.array_equal(line[kept], score[: len(kept)])


def test_equal_scores_are_ordered_by_item_not_by_row() -> None:
    orders = []
    for reverse in (False, True):
        catalogue = items_without_news(8, reverse)
        rows, _ = top_rows(np.zeros((1, 8), np.float32), 8, catalogue)
        orders.append([catalogue.item_ids[row] for row in rows[0]])
    assert orders[0] == orders[1]


def diversify(rows: Rows, scores: Floats, top_k: int, dial: float, catalogue: Catalogue) -> Rows:
    nothing_forced = np.zeros(rows.shape, bool)
    return choose(Pool(rows, scores, nothing_forced, catalogue.vectors(rows)), top_k, Diversity(dial))


def test_diversity_breaks_up_a_row_of_lookalikes_and_dial_zero_does_not() -> None:
    catalogue = shop(4)
    near = catalogue.rows([f"sports-{number}" for number in range(4)] + ["music-0", "travel-0"])
    scores = np.array([[1.0, 0.99, 0.98, 0.97, 0.6, 0.5]], np.float32)
    assert diversify(near[None], scores, 3, 0.0, catalogue).tolist() == [[0, 1, 2]]
    assert diversify(near[None], scores, 3, 0.15, catalogue).tolist() == [[0, 1, 2]]
    assert diversify(near[None], scores, 3, 0.5, catalogue).tolist() == [[0, 4, 5]]


def test_diversity_never_prefers_a_missing_row() -> None:
    catalogue = shop(4)
    rows = np.array([[*catalogue.rows(["sports-0", "sports-1", "sports-2"]), -1, -1], [-1] * 5])
    scores = np.where(rows >= 0, np.float32(-50.0), -np.inf).astype(np.float32)
    taken = diversify(rows, scores, 4, 0.9, catalogue)
    assert np.take_along_axis(rows, taken, axis=1).tolist() == [[*rows[0, :3], -1], [-1] * 4]


@pytest.mark.parametrize("count", [3, 12, 40])
def test_who_leads_among_equals_hangs_on_items_not_on_rows(count: int) -> None:
    orders = []
    for reverse in (False, True):
        catalogue = items_without_news(60, reverse)
        shelf = Shelf(catalogue, RankWeights(), NOW_MS)
        leaders = [shelf.leaders(shelf.freshness, count), shelf.leaders_with(catalogue.tag_table, "sports", count)]
        orders.append([[catalogue.item_ids[row] for row in rows] for rows in leaders])
    assert orders[0] == orders[1] and all(len(set(own)) == count for own in orders[0])
