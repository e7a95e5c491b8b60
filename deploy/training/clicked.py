"""What the ranker learns from lists that were seen: what stood in them, and what of it was clicked.

A click counts by one over how much its place is looked at, so that the ranker does not learn where things stood (Joachims,
Swaminathan and Schnabel, "Unbiased learning to rank with biased feedback", WSDM 2017; the listwise loss with such weights is
that of Ai, Bi, Luo, Guo and Croft, "Unbiased learning to rank with unbiased propensity estimation", SIGIR 2018). How much a
place is looked at is read off what was drawn by chance.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from consumers.fold import fold
from deploy.evaluation.models import UserEncoder
from deploy.feedback.shown_lists import ShownList
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.ours.evidence import Candidates
from deploy.recs.ours.portrait import stacked
from deploy.recs.ours.ranker import Lesson, train_ranker
from deploy.recs.split import Split
from deploy.training.replayed import Replayed, event_at
from deploy.training.seen_lists import SeenLists
from schemas.settings import FoldSettings
from schemas.state import UserState, decode_state, encode_state
from schemas.topics import BEHAVIOR_EVENTS

LISTS_AT_ONCE = 128
MS_PER_H = 3_600_000


@dataclass(frozen=True)
class LaterStates:
    """States of users at later moments than a replay ended: what they did in between is folded on top.

    The replay must be of the beginning of each user's `events`: then no two events of a user have the same number as their id.
    """

    replayed: Replayed
    events: Interactions
    after_ms: int
    rules: FoldSettings

    @cached_property
    def users(self) -> dict[str, int]:
        """Their places, by id."""
        return {user_id: place for place, user_id in enumerate(self.events.user_ids)}

    def state(self, user: int, now_ms: int) -> UserState:
        """The user's state before `now_ms`."""
        state = decode_state(encode_state(self.replayed.states[user]))
        bounds, times_ms = self._bounds, self.events.times_ms
        for place in range(bounds[user], bounds[user + 1]):
            if self.after_ms <= times_ms[place] < now_ms:
                fold(state, BEHAVIOR_EVENTS.name, event_at(self.events, place), self.rules)
        return state

    @cached_property
    def _bounds(self) -> "np.typing.NDArray[np.int64]":
        return self.events.bounds()


class Clicked(NamedTuple):
    """What was clicked of what stood in some lists: a lesson, and the place of each item [n, k]."""

    lesson: Lesson
    places: Ints


def clicked_lesson(
    window: Split, until_ms: int | None, seen: SeenLists, events: Interactions, replayed: Replayed, encoder: UserEncoder,
    rules: FoldSettings,
) -> Clicked | None:  # fmt: skip
    """Of the lists made from the window's cut until `until_ms`, by a replay and an encoder that know nothing from after it.

    None where the window has no cut in time, or nothing was clicked.
    """
    if window.cut_ms is None:
        return None
    later = LaterStates(replayed, events, window.cut_ms, rules)
    lists = [one for one in seen.clicked_between(window.cut_ms, until_ms) if one.user_id in later.users]
    told = [_told(few, later, encoder) for few in _of_one_hour(lists, min(LISTS_AT_ONCE, replayed.maker.users_at_once))]
    if not told:
        return None
    offered = stacked(told)
    places, clicked = np.zeros(offered.items.shape, np.int32), np.zeros(offered.items.shape, np.float32)
    for stood, counts, one in zip(places, clicked, lists, strict=True):
        stood[: len(one.items)] = [item.position for item in one.items]
        counts[: len(one.items)] = [item.clicked for item in one.items]
    if seen.looked_at is not None:
        clicked /= seen.looked_at[places]
    clicked *= offered.there
    return Clicked(Lesson(offered, clicked), places) if clicked.any() else None


def taught(clicked: Sequence[Clicked | None]) -> list[Lesson]:
    """The lessons there are."""
    return [one.lesson for one in clicked if one is not None]


def clicks_told(clicked: Sequence[Clicked | None], lessons: Sequence[Lesson], seed: int) -> dict[str, Any]:
    """How often a clicked item of the newest window's lists is put before one that was not, by what was learned before it.

    With and without clicks, and as the lists stood; nothing where there were no clicks before it, or none in it.
    """
    newest, before = clicked[0], taught(clicked[1:])
    if newest is None or not before:
        return {}
    orders = {
        "as shown": -newest.places.astype(np.float32),
        "without clicks": train_ranker(lessons, seed).scores(newest.lesson.candidates),
        "with clicks": train_ranker([*lessons, *before], seed).scores(newest.lesson.candidates),
    }
    return {
        "clicked_lists": {"taught": sum(len(one.taken) for one in taught(clicked)), "asked": len(newest.lesson.taken)},
        "clicked_first": {name: round(clicked_first(newest.lesson, scores), 4) for name, scores in orders.items()},
    }


def clicked_first(lesson: Lesson, scores: Floats) -> float:
    """Of all pairs of a clicked and another item of its list the share that scores put so; a pair weighs as its click.

    Half where there is no pair: nothing tells scores apart.
    """
    taken, others = lesson.taken[:, :, None], (lesson.candidates.there & (lesson.taken == 0))[:, None, :]
    before = (scores[:, :, None] > scores[:, None, :]) + 0.5 * (scores[:, :, None] == scores[:, None, :])
    weights = taken * others
    return float((weights * before).sum() / weights.sum()) if weights.any() else 0.5


def _of_one_hour(lists: Sequence[ShownList], most: int) -> Iterator[list[ShownList]]:
    """Lists in the order of time, a few at once: what a ranker is told of all of them is as of the first one's moment."""
    for _, of_hour in groupby(lists, lambda one: one.made_at_ms // MS_PER_H):
        own = list(of_hour)
        yield from (own[start : start + most] for start in range(0, len(own), most))


def _told(lists: Sequence[ShownList], later: LaterStates, encoder: UserEncoder) -> Candidates:
    """The items of these lists with all that a ranker is told of them, in the order in which they stood."""
    replayed = later.replayed
    states = [later.state(later.users[one.user_id], one.made_at_ms) for one in lists]
    rows = np.full((len(lists), max(len(one.items) for one in lists)), -1, np.int64)
    for own, one in zip(rows, lists, strict=True):
        own[: len(one.items)] = replayed.catalogue.rows([item.item_id for item in one.items])
    vectors, expected, _ = replayed.encoded(states, encoder)
    told = replayed.maker.told_of(rows, states, vectors, lists[0].made_at_ms, expected)
    details, context = replayed.maker.details(told)
    rows = told.candidates.rows
    return Candidates(rows, rows >= 0, np.concatenate([told.features, details], axis=2), context)
