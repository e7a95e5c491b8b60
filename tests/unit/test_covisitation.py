"""Item pairs: counted both ways, decayed, bounded, and gone with their items."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.catalogue import Catalogue
from consumers.covisitation import NEIGHBOURS, CoVisitation
from tests.unit.synthetic import DAY_MS, DIM, NOW_MS, add, item, topic_vector


def observe(found: CoVisitation, pairs: list[tuple[int, int]], time_ms: float = NOW_MS) -> None:
    ones, others = np.array(pairs, np.int64).reshape(-1, 2).T
    found.observe(ones, others, np.ones(len(pairs)), np.full(len(pairs), float(time_ms)))


def closeness(found: CoVisitation, row: int) -> dict[int, float]:
    rows, values = found.neighbours(np.array(row))
    return {other: value for other, value in zip(rows.tolist(), values.tolist(), strict=True) if other >= 0}


def filled(count: int) -> CoVisitation:
    found = CoVisitation(count)
    for row in range(count):
        found.add(row)
    return found


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-1, 9), st.integers(-1, 9)), max_size=60), st.integers(1, 4))
def test_it_counts_what_a_plain_count_does(pairs: list[tuple[int, int]], pieces: int) -> None:
    found = filled(10)
    for piece in range(pieces):
        observe(found, pairs[piece::pieces])
    counts: Counter[tuple[int, int]] = Counter()
    for one, other in pairs:
        if one >= 0 and other >= 0 and one != other:
            counts[one, other] += 1
            counts[other, one] += 1
    totals: Counter[int] = Counter()
    for (one, _), count in counts.items():
        totals[one] += count
    for row in range(10):
        expected = {b: n / (totals[a] * totals[b]) ** 0.5 for (a, b), n in counts.items() if a == row}
        got = closeness(found, row)
        assert got.keys() == expected.keys()
        assert all(abs(got[other] - expected[other]) < 1e-5 for other in expected)


def test_an_item_keeps_its_strong_neighbours_when_many_pass_by() -> None:
    found = filled(200)
    observe(found, [(0, 1)] * 50 + [(0, 2)] * 30)
    for other in range(3, 200):
        observe(found, [(0, other)])
    kept = closeness(found, 0)
    assert len(kept) <= NEIGHBOURS and {1, 2} <= kept.keys()
    observe(found, [(0, 150)] * 20)
    assert 150 in closeness(found, 0)


def test_old_pairs_fade_and_decades_are_survived() -> None:
    found = filled(4)
    observe(found, [(0, 1)] * 5, NOW_MS - 300 * DAY_MS)
    observe(found, [(0, 2)], NOW_MS)
    near = closeness(found, 0)
    assert near[2] > 3 * near[1] > 0
    observe(found, [(0, 3)], NOW_MS + 40 * 365 * DAY_MS)
    observe(found, [(0, 1)], 0)
    near = closeness(found, 0)
    assert near[3] > 0.9 and all(np.isfinite(value) for value in near.values())


def test_pairs_go_with_their_item_and_move_with_its_row() -> None:
    catalogue = Catalogue(DIM)
    for name in "abcd":
        add(catalogue, item(name), topic_vector("music"))
    a, b, c, d = catalogue.rows("abcd").tolist()
    observe(catalogue.covisitation, [(a, d), (a, b), (c, d)])
    catalogue.remove_item("b")
    names = {catalogue.item_ids[row] for row in closeness(catalogue.covisitation, catalogue.rows("a")[0])}
    assert names == {"d"}
    assert {catalogue.item_ids[row] for row in closeness(catalogue.covisitation, catalogue.rows("d")[0])} == {"a", "c"}
    add(catalogue, item("b"), topic_vector("music"))
    assert closeness(catalogue.covisitation, catalogue.rows("b")[0]) == {}
    assert {catalogue.item_ids[row] for row in closeness(catalogue.covisitation, catalogue.rows("a")[0])} == {"d"}


def test_what_went_away_gives_its_place_to_what_comes() -> None:
    found = filled(2 * NEIGHBOURS + 1)
    for _ in range(100):
        observe(found, [(0, other) for other in range(1, NEIGHBOURS + 1)])
    for row in range(1, NEIGHBOURS + 1):
        found.move(row, row)
    newcomers = range(NEIGHBOURS + 1, NEIGHBOURS + 11)
    for _ in range(5):
        observe(found, [(0, other) for other in newcomers])
    assert set(closeness(found, 0)) == set(newcomers)


def test_items_that_come_and_go_leave_nothing_behind() -> None:
    """Two items stay, thousands pass: pairs of those that stay are kept, and memory does not grow."""
    found = filled(8)
    observe(found, [(0, 1)] * 30)
    size = len(found._row_of)
    for turn in range(5000):
        observe(found, [(0, 2 + turn % 6)])
        found.move(7, 2 + turn % 6)
        found.add(7)
        near = closeness(found, 0)
        assert near.keys() <= set(range(1, 8)) and 1 in near
        assert not closeness(found, 7)
    assert len(found._row_of) <= 2 * size
    assert len(near) == 1  # nobody else's pairs were taken for theirs
