"""MMR, MSD and DPP against plain versions of themselves, and within caps."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.catalogue import Floats
from consumers.lists.candidates import Offer, Source, merge
from consumers.lists.diversity import METHODS, Cap, Diversity, Method, Pool, choose


def pool(seed: int, users: int = 3, width: int = 12, dim: int = 6, missing: int = 0) -> Pool:
    numbers = np.random.default_rng(seed)
    vectors = numbers.standard_normal((users, width, dim)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    scores = -np.sort(-numbers.random((users, width)), axis=1).astype(np.float32)
    rows = np.broadcast_to(np.arange(width), (users, width)).copy()
    if missing:
        rows[:, -missing:] = -1
        scores[:, -missing:], vectors[:, -missing:] = -np.inf, 0
    return Pool(rows, scores, np.zeros(rows.shape, bool), vectors)


def plain_mmr(scores: Floats, vectors: Floats, count: int, dial: float) -> list[int]:
    taken: list[int] = []
    while len(taken) < count:
        worth = [
            -np.inf
            if one in taken
            else (1 - dial) * scores[one] - dial * max([0.0, *(float(vectors[one] @ vectors[other]) for other in taken)])
            for one in range(len(scores))
        ]
        taken.append(int(np.argmax(worth)))
    return sorted(taken)


def plain_msd(scores: Floats, vectors: Floats, count: int, dial: float) -> list[int]:
    taken: list[int] = []
    while len(taken) < count:
        worth = [
            -np.inf
            if one in taken
            else (1 - dial) * scores[one]
            - dial * sum(float(vectors[one] @ vectors[other]) for other in taken) / max(count - 1, 1)
            for one in range(len(scores))
        ]
        taken.append(int(np.argmax(worth)))
    return sorted(taken)


def plain_dpp(scores: Floats, vectors: Floats, count: int, dial: float) -> list[int]:
    """The item that makes the determinant of the kernel largest, by taking the determinant."""
    quality = np.exp((1 - dial) / (2 * dial) * scores.astype(np.float64))
    likeness = (1 + vectors.astype(np.float64) @ vectors.T.astype(np.float64)) / 2
    kernel = quality[:, None] * likeness * quality
    taken: list[int] = []
    while len(taken) < count:
        worth = [
            -np.inf if one in taken else np.linalg.slogdet(kernel[np.ix_([*taken, one], [*taken, one])])[1]
            for one in range(len(scores))
        ]
        taken.append(int(np.argmax(worth)))
    return sorted(taken)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.1, 0.5, 0.9]), st.sampled_from(METHODS))
def test_a_batch_is_chosen_as_by_the_definition(seed: int, count: int, dial: float, method: Method) -> None:
    given_pool = pool(seed)
    taken = choose(given_pool, count, Diversity(dial, method))
    plain = {"mmr": plain_mmr, "msd": plain_msd, "dpp": plain_dpp}[method]
    for own, scores, vectors in zip(taken.tolist(), given_pool.scores, given_pool.vectors, strict=True):
        assert own == plain(scores, vectors, count, dial)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 12), st.sampled_from(METHODS), st.integers(0, 3))
def test_dial_zero_is_the_order_of_scores(seed: int, count: int, method: Method, missing: int) -> None:
    taken = choose(pool(seed, missing=missing), count, Diversity(0.0, method), [Cap(np.zeros((3, 12), np.int64), 1)])
    assert taken.tolist() == [list(range(count))] * 3


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from(METHODS))
def test_caps_hold_and_what_is_forced_is_taken(seed: int, most: int, dial: float, method: Method) -> None:
    numbers = np.random.default_rng(seed)
    groups = numbers.integers(0, 4, (3, 12))
    forced = numbers.random((3, 12)) < 0.1
    given_pool = pool(seed)._replace(forced=forced)
    taken = choose(given_pool, 8, Diversity(dial, method), [Cap(groups, most)])
    for own, group, must in zip(taken.tolist(), groups, forced, strict=True):
        chosen = [place for place in own if place >= 0]
        assert len(set(chosen)) == len(chosen) and set(np.flatnonzero(must)) <= set(chosen)
        for number in range(1, 4):
            members = [place for place in chosen if group[place] == number]
            assert len(members) <= max(most, int(must[members].sum())) or all(must[members])
        possible = int((group == 0).sum()) + sum(min(most, int((group == number).sum())) for number in range(1, 4))
        assert len(chosen) >= min(8, possible)


@pytest.mark.parametrize("method", METHODS)
def test_more_dial_is_more_difference(method: Method) -> None:
    def spread(dial: float) -> float:
        given_pool = pool(5, users=50, width=40, dim=24)
        taken = choose(given_pool, 8, Diversity(dial, method))
        chosen = np.take_along_axis(given_pool.vectors, taken[:, :, None], axis=1)
        return float(1 - np.matmul(chosen, chosen.transpose(0, 2, 1)).mean())

    assert spread(0.0) < spread(0.3) < spread(0.9)


@pytest.mark.parametrize("method", METHODS)
def test_copies_of_one_item_are_survived(method: Method) -> None:
    copies = pool(1)._replace(vectors=np.tile(np.eye(6, dtype=np.float32)[0], (3, 12, 1)))
    taken = choose(copies, 5, Diversity(0.5, method))
    assert taken.tolist() == [[0, 1, 2, 3, 4]] * 3


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_candidates_are_what_is_offered_once_with_all_its_sources(seed: int, users: int) -> None:
    numbers = np.random.default_rng(seed)
    kinds = [Source.VECTOR, Source.POPULAR, Source.NEIGHBOUR]
    offers = []
    for kind in kinds:
        rows = np.array([numbers.permutation(np.arange(-2, 9))[:5] for _ in range(users)])
        rows = np.maximum(rows, -1)
        if kind is Source.NEIGHBOUR:
            closeness = np.where(rows >= 0, 0.5 + rows / 100, 0).astype(np.float32)
            offers.append(Offer(kind, rows, closeness, np.where(rows >= 0, rows + 1, -1)))
        else:
            offers.append(Offer(kind, rows))
    blocked = [numbers.integers(0, 9, numbers.integers(0, 4)) for _ in range(users)]
    found = merge(offers, blocked, 9)
    for user in range(users):
        expected: dict[int, int] = {}
        for offer in offers:
            for row in offer.rows[user].tolist():
                if row >= 0 and row not in blocked[user]:
                    expected[row] = expected.get(row, 0) | int(offer.source)
        there = found.rows[user] >= 0
        assert found.rows[user][there].tolist() == sorted(expected)
        assert dict(zip(found.rows[user][there].tolist(), found.sources[user][there].tolist(), strict=True)) == expected
        near = found.came_from(Source.NEIGHBOUR)[user]
        assert found.origins[user][near].tolist() == (found.rows[user][near] + 1).tolist()
        assert np.allclose(found.closeness[user][near], 0.5 + found.rows[user][near] / 100)
        assert (found.origins[user][~near] == -1).all() and not found.closeness[user][~near].any()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dial", [1e-300, 1e-10, 1e-5])
def test_a_dial_next_to_nothing_is_the_order_of_scores_and_still_obeys(method: Method, dial: float) -> None:
    few = pool(3, missing=2)
    few.forced[:, 7] = True
    assert choose(few, 4, Diversity(dial, method)).tolist() == [[0, 1, 2, 7]] * 3
