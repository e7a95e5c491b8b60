"""The diversity dial on recorded data: what it does to lists, and what the report says of it."""

import numpy as np
import pytest
from scipy import sparse

from consumers.lists.diversity import METHODS
from deploy.recs.comparison import Outcome
from deploy.recs.dial import DIALS, DialPoint, dial_curve, most_distance
from deploy.recs.figures import as_json, figures
from deploy.recs.measures import POOL, gains, list_ndcg
from deploy.recs.page import page
from deploy.recs.split import even_sample
from tests.unit.test_recs_measures import Fixed, asked

ITEMS = 40
GROUPS = 4


def outcome() -> tuple[Outcome, sparse.csr_matrix]:
    """Two users whose best ten are all of one group, the truths the very best and one of the next group."""
    split = asked(ITEMS, [0], [10])
    vectors = sparse.csr_matrix(np.eye(GROUPS)[np.arange(ITEMS) * GROUPS // ITEMS])
    ranking = [float(ITEMS - item) for item in range(ITEMS)]
    found = gains(Fixed([[0.0] * ITEMS, ranking, ranking]), split)
    return Outcome("ease", by_seed=[found]), vectors


def test_distance_grows_with_the_dial_and_the_first_point_is_the_list_as_it_was() -> None:
    one, vectors = outcome()
    curve = dial_curve(one, asked(ITEMS, [0], [10]), vectors)
    assert [point.setting for point in curve] == list(DIALS)
    assert curve[0].distance == 0.0 and curve[0].ndcg == float(one.mean("ndcg").mean()) == 0.5
    for method in METHODS:
        distances = [point.distance for point in curve if point.setting.method == method]
        assert distances == sorted(distances) and distances[-1] > 0.5
    assert max(point.ndcg for point in curve) > 0.5, "item 10 comes into the lists"


def test_only_a_sample_of_many_users_is_thinned(monkeypatch: pytest.MonkeyPatch) -> None:
    assert even_sample(5, 2).tolist() == [0, 4] and even_sample(3, 9).tolist() == [0, 1, 2]
    one, vectors = outcome()
    monkeypatch.setattr("deploy.recs.dial.MOST_USERS", 1)
    assert dial_curve(one, asked(ITEMS, [0], [10]), vectors)[0].ndcg == 1.0, "the first user alone, whose truth is on top"


def test_no_curve_without_vectors() -> None:
    assert dial_curve(outcome()[0], asked(ITEMS, [0], [10]), None) == []


def test_lists_shorter_than_ten_stay_as_they_are() -> None:
    split = asked(6, [1], remove_seen=True)
    found = gains(Fixed([[0.0] * 6, [1.0] * 6]), split)
    vectors = sparse.csr_matrix(np.eye(6))
    curve = dial_curve(Outcome("ease", by_seed=[found]), split, vectors)
    assert {round(point.distance, 6) for point in curve} == {1.0}
    assert found.pool.shape == found.pool_scores.shape == (1, POOL) and (found.pool_scores[found.pool < 0] == 0).all()


def test_ndcg_of_a_finished_list() -> None:
    lists = np.array([[3, 1, 2, -1, -1, -1, -1, -1, -1, -1]], dtype=np.int32)
    both = (1 + 1 / np.log2(4)) / (1 + 1 / np.log2(3))
    np.testing.assert_allclose(list_ndcg(lists, [np.array([2, 3], dtype=np.int32)]), [both])


def test_the_most_varied_point_that_is_cheap_enough() -> None:
    curve = [DialPoint(DIALS[0], 0.2, 0.5), DialPoint(DIALS[3], 0.196, 0.6), DialPoint(DIALS[5], 0.19, 0.9)]
    assert most_distance(curve, 0.03) == curve[1]
    assert most_distance([], 0.03) is None


def test_the_curve_is_in_the_json_and_on_the_page() -> None:
    one, vectors = outcome()
    found = figures([one], asked(ITEMS, [0], [10]), vectors)
    said = as_json(found, [one])
    assert said["diversity_dial"]["model"] == "ease" and len(said["diversity_dial"]["curve"]) == len(DIALS)
    about = {"data": "shop", "protocol": "test", "users_asked": 2, "items": ITEMS, "events_known": 3, "truncate": None}
    shown = page(found, {**about, "seeds": [1], "machine": "m", **said})
    assert "NDCG@10 as the diversity dial is turned" in shown and ">DPP<" in shown and "for at most 3% of NDCG@10" in shown


def test_what_is_served_has_a_gain_of_its_own() -> None:
    split = asked(ITEMS, [0], [10], [20])
    ranking = np.array([float(ITEMS - item) for item in range(ITEMS)])
    better = ranking + 100 * np.isin(np.arange(ITEMS), [10, 20])
    by_name = {"ease": ranking, "portrait": better, "portrait-live": better * (np.arange(ITEMS) != 20)}
    measured = [Outcome(name, by_seed=[gains(Fixed([scores.tolist()] * 4), split)]) for name, scores in by_name.items()]
    said = as_json(figures(measured, split, None), measured)
    assert said["ours"] == "portrait" and 0 < said["served_gain"] < said["gain"]
    low, high = said["served_gain_interval"]
    assert low <= said["served_gain"] <= high
    alone = as_json(figures(measured[::2], split, None), measured[::2])
    assert alone["ours"] == "portrait-live" and alone["gain"] == said["served_gain"] and alone["served_gain"] is None
