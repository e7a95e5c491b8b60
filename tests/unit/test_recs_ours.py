"""Portrait's own recommender, on data whose right answers are known."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from deploy.recs.cuts import LEAVE_ONE_OUT, TIME_CUT, split_by, validation_split
from deploy.recs.interactions import Interactions
from deploy.recs.item_models import MIRRORED_AT_ONCE, cosine, ease, following, require_few_items
from deploy.recs.ours.content import DIMENSIONS, content_vectors, texts_to_encode
from deploy.recs.ours.evidence import DAY_MS, POPULARITY_DAYS, Evidence, baskets_ago
from deploy.recs.ours.live import LiveContender
from deploy.recs.ours.network import NetworkShape, SequenceNetwork
from deploy.recs.ours.network_training import FittedNetwork, Schedule, fit_network
from deploy.recs.ours.portrait import PortraitRanker, days_for_newcomers, earlier_windows
from deploy.recs.ours.ranker import OUT, Lesson, train_ranker
from deploy.recs.ours.sequences import MOST_PIECES, sequences, windows
from deploy.recs.split import Split
from schemas.errors import ConfigError
from schemas.messages import EVENT_TYPES
from tests.unit import training_cases

ITEMS = 30
PURCHASE, RETURN = 1 + EVENT_TYPES.index("purchase"), 1 + EVENT_TYPES.index("return")
SMALL = NetworkShape(dim=16, layers=1, heads=1, dropout=0.1, length=10)
QUICK = Schedule(epochs=6, patience=6, batch_sizes=(16, 16), learning_rate=1e-2, warm_up_steps=5)


def recorded(histories: list[list[int]], types: list[list[int]] | None = None, baskets: list[list[int]] | None = None):
    """One event a day; every event a basket of its own unless `baskets` says otherwise."""
    users = np.repeat(np.arange(len(histories)), [len(history) for history in histories])
    places = np.concatenate([np.arange(len(history)) for history in histories])
    count = len(users)
    return Interactions(
        users=users.astype(np.int32),
        items=np.concatenate(histories).astype(np.int32),
        times_ms=(places * DAY_MS).astype(np.int64),
        types=np.full(count, PURCHASE, np.int32) if types is None else np.concatenate(types).astype(np.int32),
        values=np.full(count, np.nan, np.float32),
        baskets=np.concatenate(baskets).astype(np.int32) if baskets else np.arange(count, dtype=np.int32),
        user_ids=[str(user) for user in range(len(histories))],
        item_ids=[str(item) for item in range(ITEMS)],
    )


@pytest.fixture(scope="module")
def cycles() -> Interactions:
    """Each user walks a circle of items: what comes next is certain, and popularity says nothing."""
    starts = np.random.default_rng(3).integers(0, ITEMS, 150)
    return recorded([[(start + step) % ITEMS for step in range(8)] for start in starts.tolist()])


def test_rows_are_the_newest_events_padded_on_the_left() -> None:
    columns = sequences(recorded([[3, 4, 5], [6]]))
    rows = columns.rows(np.array([0, 3]), np.array([3, 4]), 2)
    assert rows[0].tolist() == [[5, 6], [0, 7]]  # 0 is padding, so items count from 1
    assert rows[3].tolist() == [[PURCHASE, PURCHASE], [0, PURCHASE]]


def test_only_lines_of_one_basket_are_shuffled() -> None:
    events = recorded([[1, 2, 3, 4, 5, 6]], baskets=[[0, 0, 0, 1, 1, 1]])
    orders = {tuple(sequences(events, np.random.default_rng(seed)).items.tolist()) for seed in range(20)}
    assert len(orders) > 1
    assert all(sorted(order[:3]) == [2, 3, 4] and sorted(order[3:]) == [5, 6, 7] for order in orders)


def test_windows_share_one_event_and_the_newest_come_first() -> None:
    starts, ends = windows(recorded([list(range(7)), [1]]), 3)
    assert list(zip(starts.tolist(), ends.tolist(), strict=True)) == [(3, 7), (0, 4)]  # each but the first event is predicted
    starts, _ = windows(recorded([[1] * 100]), 3)
    assert len(starts) == MOST_PIECES


def test_baskets_ago_counts_baskets_not_lines() -> None:
    events = recorded([[1, 2, 3, 4], [5]], baskets=[[0, 0, 1, 2], [3]])
    assert baskets_ago(events).tolist() == [2, 2, 1, 0, 0]


def test_ease_is_the_closed_form_with_a_zero_diagonal() -> None:
    taken = sparse.csr_matrix(np.random.default_rng(0).integers(0, 2, (40, 6)).astype(np.float32))
    inverse = np.linalg.inv(taken.toarray().T @ taken.toarray() + 5 * np.eye(6))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ease(taken, ridge=5), expected, atol=1e-4)
    assert (np.diag(cosine(taken)) == 0).all()


def test_an_item_follows_another_within_one_user_only() -> None:
    matrix = following(recorded([[1, 2], [3, 4]]))
    assert matrix[1, 2] > 0 and matrix[3, 4] > 0
    assert matrix[2, 3] == 0 and matrix[2, 1] == 0


def test_a_catalogue_too_large_for_dense_matrices_is_refused() -> None:
    with pytest.raises(ConfigError, match="up to 20,000"):
        require_few_items(20_001)


def test_the_network_looks_back_only_and_padding_says_nothing() -> None:
    torch.manual_seed(0)
    network = SequenceNetwork(ITEMS, SMALL, None).eval()
    table = network.item_table()

    def outputs(items: list[int]) -> torch.Tensor:
        row = torch.tensor([items])
        zeros = torch.zeros_like(row)
        with torch.no_grad():
            return network(row, zeros, zeros, zeros, table)[0]

    alone, padded = outputs([4, 5, 6]), outputs([0, 0, 4, 5, 6])
    torch.testing.assert_close(alone, padded[2:])
    torch.testing.assert_close(outputs([4, 5, 7])[:2], alone[:2])
    assert not torch.allclose(outputs([4, 5, 7])[2], alone[2])


def test_an_item_nobody_took_gets_its_place_from_what_it_says() -> None:
    content = torch.eye(ITEMS)
    content[9] = content[4]
    network = SequenceNetwork(ITEMS, SMALL, content)
    with torch.no_grad():
        network.ids.weight.zero_()
    torch.testing.assert_close(network.item_table()[10], network.item_table()[5])


def test_the_network_learns_a_circle(cycles: Interactions) -> None:
    fitted = fit_network(cycles, None, SMALL, QUICK, seed=1)
    best = fitted.scores(np.arange(150, dtype=np.int32)).argmax(axis=1)
    expected = (cycles.items[cycles.bounds()[1:] - 1] + 1) % ITEMS
    assert (best == expected).mean() > 0.9


def test_fitting_stops_at_the_best_epoch_and_keeps_its_weights(cycles: Interactions) -> None:
    worths = iter([0.1, 0.5, 0.4, 0.3, 0.2, 0.1])
    seen = []

    def judge(fitted: FittedNetwork) -> float:
        seen.append(fitted.network.ids.weight.detach().clone())
        return next(worths)

    fitted = fit_network(cycles, None, SMALL, Schedule(epochs=6, patience=2, batch_sizes=(64, 64)), seed=1, judge=judge)
    assert fitted.epochs == 2 and len(seen) == 4
    torch.testing.assert_close(fitted.network.ids.weight.detach(), seen[1])


def test_what_speaks_against_an_item_is_never_predicted_nor_counted_as_taken() -> None:
    histories = [[1, 2, 3]] * 20
    events = recorded(histories, types=[[PURCHASE, PURCHASE, RETURN]] * 20)
    network = fit_network(events, None, SMALL, QUICK, seed=1)
    evidence = Evidence(events, 3 * DAY_MS, None, network)
    assert evidence.pairs["times"][:, 3].sum() == 0
    assert evidence.pairs["against"][0, 3] == 1
    assert network.scores(np.array([0], np.int32))[0].argmax() != 3


@pytest.mark.parametrize("remove_seen", [True, False])
def test_candidates_hold_finite_features_and_nothing_that_may_not_be_shown(cycles: Interactions, remove_seen: bool) -> None:
    network = fit_network(cycles, None, SMALL, Schedule(epochs=1), seed=1)
    evidence = Evidence(cycles, 8 * DAY_MS, None, network)
    users = np.arange(5, dtype=np.int32)
    offered = evidence.candidates(users, remove_seen)
    assert np.isfinite(offered.features).all() and np.isfinite(offered.context).all()
    bounds = cycles.bounds()
    for user in users:
        own = set(cycles.items[bounds[user] : bounds[user + 1]].tolist())
        shown = offered.items[user][offered.there[user]].tolist()
        assert len(set(shown)) == len(shown)
        assert bool(own & set(shown)) is not remove_seen


def test_someone_new_gets_candidates_too(cycles: Interactions) -> None:
    known = cycles.part(cycles.users > 0)
    network = fit_network(known, None, SMALL, Schedule(epochs=1), seed=1)
    offered = Evidence(known, 8 * DAY_MS, None, network).candidates(np.array([0], np.int32), remove_seen=True)
    assert offered.there.any() and np.isfinite(offered.features).all() and np.isfinite(offered.context).all()


def test_the_ranker_finds_the_feature_that_matters_and_leaves_padding_out(cycles: Interactions) -> None:
    network = fit_network(cycles, None, SMALL, Schedule(epochs=1), seed=1)
    offered = Evidence(cycles, 8 * DAY_MS, None, network).candidates(np.arange(150, dtype=np.int32), True, lists=5)
    wanted = np.where(offered.there, offered.features[..., -1] + offered.features[..., 0], -np.inf)
    taken = (wanted == wanted.max(axis=1, keepdims=True)).astype(np.float32)
    scores = train_ranker([Lesson(offered, taken)], seed=1).scores(offered)
    assert (scores[~offered.there] == OUT).all()
    assert (np.take_along_axis(taken, scores.argmax(axis=1)[:, None], 1) > 0).mean() > 0.7


def test_lists_are_right_where_the_answer_is_certain_and_the_same_again_for_a_seed(cycles: Interactions) -> None:
    split = split_by(LEAVE_ONE_OUT, cycles)

    def lists(seed: int) -> np.ndarray:
        model = PortraitRanker([validation_split(split)], None, seed, SMALL, QUICK)
        model.fit(split.train)
        return model.scores(split.users)

    scores = lists(1)
    assert np.mean([row.argmax() == truth[0] for row, truth in zip(scores, split.truths, strict=True)]) > 0.9
    np.testing.assert_array_equal(scores, lists(1))


def test_users_without_a_history_get_the_popularity_that_was_best_for_such_users_before() -> None:
    events = recorded([[1, 2], [1], [], []])  # two took 1 once, one took 2 now
    events = replace(events, times_ms=np.where(events.items == 1, 0, 100 * DAY_MS))
    evidence = Evidence(events, 101 * DAY_MS, None, fit_network(events, None, SMALL, Schedule(epochs=1), seed=1))
    newcomers = np.array([2, 3], np.int32)

    def days(truth: int, users: np.ndarray) -> int | None:
        truths = [np.array([truth], np.int32)] * len(users)
        return days_for_newcomers(Split(TIME_CUT, events, users, truths, False, 101 * DAY_MS), evidence)

    assert days(2, newcomers) == POPULARITY_DAYS[0]
    assert days(1, newcomers) == POPULARITY_DAYS[-1]
    assert days(1, np.array([0], np.int32)) is None


def test_leave_one_out_has_two_earlier_windows_where_people_did_enough(cycles: Interactions) -> None:
    first, second = earlier_windows(split_by(LEAVE_ONE_OUT, cycles))
    assert len(second.train) == len(first.train) - 150
    assert len(earlier_windows(split_by(LEAVE_ONE_OUT, recorded([[1, 2, 3], [4, 5, 6]])))) == 1


def test_meanings_stand_beside_words_and_what_all_items_share_tells_nothing() -> None:
    random = np.random.default_rng(5)
    items = 3 * DIMENSIONS
    own = random.normal(size=(items, 80)).astype(np.float32)
    shared = 100 * random.normal(size=80).astype(np.float32)
    texts = [" ".join(f"word{word}" for word in random.integers(0, 200, 8)) for _ in range(items)]
    words = content_vectors(texts, [[]] * items)
    both = content_vectors(texts, [[]] * items, own + shared)
    assert words is not None and both is not None
    np.testing.assert_allclose(both[:, : words.shape[1]], words)
    meanings = both[:, words.shape[1] :]
    assert meanings.shape == (items, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(meanings, axis=1), DIMENSIONS**0.5, rtol=1e-4)
    np.testing.assert_allclose(np.abs(meanings @ meanings.T), np.abs(whitened_again(own)), atol=0.5)


def whitened_again(own: np.ndarray) -> np.ndarray:
    """By the covariance's eigenvectors instead of singular vectors."""
    centred = own - own.mean(axis=0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    white = centred @ (vectors[:, -DIMENSIONS:] / np.sqrt(values[-DIMENSIONS:]))
    white *= DIMENSIONS**0.5 / np.linalg.norm(white, axis=1, keepdims=True)
    return white @ white.T


def test_the_text_encoder_reads_nothing_where_few_items_have_a_text() -> None:
    items = 2 * DIMENSIONS
    assert texts_to_encode([""] * items, [["red"]] * items) == []
    assert texts_to_encode(["short"] * 5, [[]] * 5) == []
    assert texts_to_encode(["A kettle"] * items, [["red", "steel"]] * items)[0] == "A kettle\nred, steel"


def test_batches_grow_with_what_there_is_to_learn_from() -> None:
    schedule = Schedule(batch_sizes=(16, 128), steps=100)
    assert [schedule.batch_size(pieces) for pieces in (1, 3_200, 3_201, 6_401, 10**7)] == [16, 16, 32, 64, 128]


def test_ease_of_more_items_than_a_block_is_the_closed_form() -> None:
    users_items = sparse.random(900, 2 * MIRRORED_AT_ONCE + 9, 0.03, format="csr", dtype=np.float32, random_state=2)
    users_items.data[:] = 1
    inverse = np.linalg.inv((users_items.T @ users_items).toarray().astype(np.float64) + 50 * np.eye(users_items.shape[1]))
    expected = -inverse / np.diag(inverse)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(ease(users_items, 50.0), expected, atol=1e-5)


def test_products_with_item_models_copy_none_of_them(cycles: Interactions) -> None:
    taken = sparse.csr_matrix(np.eye(ITEMS, dtype=np.float32))
    assert all(matrix.flags.c_contiguous for matrix in (ease(taken), cosine(taken), following(cycles)))


def test_a_seeds_process_is_given_everything_but_the_open_encoder() -> None:
    contender = LiveContender(training_cases.recorded())
    vars(contender)["encoder"] = lambda texts: None  # like the open one, nothing that another process could be sent
    vars(contender)["material"] = "made once"
    given = pickle.loads(pickle.dumps(contender))
    assert "encoder" not in vars(given) and given.material == "made once"
    assert (given.name, given.data.name) == (contender.name, contender.data.name)
