"""Tiny recorded events with known answers, and what every recommender must do."""

from collections.abc import Sequence

import numpy as np

from deploy.recs.event_columns import TIE_SEED, columns_of, in_order
from deploy.recs.interactions import Interactions
from deploy.recs.recommender import Recommender
from schemas.messages import BehaviorEvent

DAY_MS = 86_400_000
Event = tuple[str, str, int]


def events(*rows: Event, types: Sequence[str] | None = None, sessions: Sequence[str] | None = None) -> Interactions:
    """(user, item, day) rows; all are purchases unless `types` says otherwise."""
    users, items, days = zip(*rows, strict=True)
    return ordered(users, items, [day * DAY_MS for day in days], types or ["purchase"] * len(rows), sessions)


def ordered(
    users: Sequence[str],
    items: Sequence[str],
    times_ms: Sequence[int],
    types: Sequence[str],
    sessions: Sequence[str] | None = None,
    item_ids: Sequence[str] | None = None,
    seed: int = TIE_SEED,
) -> Interactions:
    """Events as models get them."""
    rows = zip(users, items, times_ms, types, sessions or [""] * len(users), strict=True)
    recorded = (
        BehaviorEvent.model_construct(
            event_id="", user_id=user, item_id=item, event_time_ms=at, type=kind, session_id=session or None
        )
        for user, item, at, kind, session in rows
    )
    return in_order(columns_of(recorded), item_ids, seed)


def named(data: Interactions, items: Sequence[int]) -> set[str]:
    return {data.item_ids[item] for item in items}


def two_tastes() -> Interactions:
    """Ten users of a and ten of b: those of a take a1..a4, those of b take b1..b4; one of each has only two yet.

    All is taken within the newest week. What user a-new wants is a3 or a4, and b-new wants b3 or b4.
    """
    rows: list[Event] = []
    for taste in "ab":
        for number in range(10):
            rows += [(f"{taste}{number}", f"{taste}{item}", 1) for item in range(1, 5)]
        rows += [(f"{taste}-new", f"{taste}{item}", 2) for item in (1, 2)]
    return events(*rows)


class RecommenderConformance:
    """Every recommender must pass; a test class gives `make` and says whether it tells tastes apart."""

    personal = True

    def make(self) -> Recommender:
        raise NotImplementedError

    def fitted(self) -> tuple[Recommender, Interactions]:
        train, model = two_tastes(), self.make()
        model.fit(train)
        return model, train

    def test_scores_are_finite_float32_of_all_items_for_each_user_asked(self) -> None:
        model, train = self.fitted()
        scores = model.scores(np.array([3, 0, 3], dtype=np.int32))
        assert scores.shape == (3, len(train.item_ids)) and scores.dtype == np.float32
        assert np.isfinite(scores).all()
        np.testing.assert_array_equal(scores[0], scores[2])

    def test_scores_may_be_changed_by_who_asked(self) -> None:
        model, _ = self.fitted()
        users = np.array([0, 1], dtype=np.int32)
        before = model.scores(users).copy()
        model.scores(users)[:] = -1
        np.testing.assert_allclose(model.scores(users), before, rtol=1e-5)

    def test_fitting_again_forgets_what_was_known(self) -> None:
        model, train = self.fitted()
        users = np.arange(len(train.user_ids), dtype=np.int32)
        model.fit(train.part(np.asarray(train.users) < 12))
        again = self.make()
        again.fit(train.part(np.asarray(train.users) < 12))
        np.testing.assert_allclose(model.scores(users), again.scores(users), rtol=1e-4, atol=1e-5)

    def test_what_is_left_of_ones_own_taste_comes_first(self) -> None:
        model, train = self.fitted()
        for taste in "ab":
            user = train.user_ids.index(f"{taste}-new")
            scores = model.scores(np.array([user], dtype=np.int32))[0]
            unseen = [item for item in train.item_ids if item not in (f"{taste}1", f"{taste}2")]
            best = sorted(unseen, key=lambda item: -scores[train.item_ids.index(item)])[:2]
            if self.personal:
                assert set(best) == {f"{taste}3", f"{taste}4"}
