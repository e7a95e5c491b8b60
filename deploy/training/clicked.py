"""What the ranker learns from lists that were seen: what stood in them, and what of it was clicked.

A click counts by one over how much its place is looked at, so that the ranker does not learn where things stood (Joachims,
Swaminathan and Schnabel, "Unbiased learning to rank with biased feedback", WSDM 2017; the listwise loss with such weights is
that of Ai, Bi, Luo, Guo and Croft, "Unbiased learning to rank with unbiased propensity estimation", SIGIR 2018). How much a
place is looked at is read off what was drawn by chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from consumers.fold import fold
from deploy.evaluation.models import UserEncoder
from deploy.feedback.log_source import FILES, read_files, read_topics
from deploy.feedback.shown_lists import ShownList, joined
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.ours.evidence import Candidates
from deploy.recs.ours.portrait import stacked
from deploy.recs.ours.ranker import Lesson, train_ranker
from deploy.recs.split import Split
from deploy.training.replayed import Replayed, event_at
from deploy.training.topics_folder import Hidden
from schemas.settings import FoldSettings, Settings
from schemas.state import UserState, decode_state, encode_state
from schemas.topics import BEHAVIOR_EVENTS

LISTS_AT_ONCE = 128
ATTRIBUTION_S = 3600.0
"""As in `portrait eval policy`."""
MOST_LISTS = 4_000
POWERS = np.linspace(0, 2, 81)
LIKELY_POWER = 1.0
"""What is expected of a list, give or take one, until draws say otherwise."""


@dataclass(frozen=True)
class ShownLists:
    """Lists that users saw, by the code of `deploy.feedback`, in the order in which they were made."""

    lists: Sequence[ShownList]

    @classmethod
    def none(cls) -> Self:
        """Where no site sends impressions."""
        return cls(())

    @classmethod
    def read(cls, folder: Path | None, settings: Settings) -> Self:
        """From the topics, without users who may not be learned from, or from a folder with all files of such a log.

        Raises:
            ConfigError: there is no Kafka, or a topic is missing.
        """
        if folder is not None:
            if not all((folder / name).is_file() for name in FILES):
                return cls.none()
            log = read_files(folder)
            return cls(joined(log.lists, log.impressions, log.events, ATTRIBUTION_S).lists)
        log, hidden = read_topics(settings), Hidden.of(settings)
        seen = [
            one for one in log.impressions if not hidden.covers(one) and not hidden.erased_after(one.user_id, one.shown_at_ms)
        ]
        return cls(joined(log.lists, seen, log.events, ATTRIBUTION_S).lists)

    @cached_property
    def looked_at(self) -> Floats | None:
        """How much each place is looked at, the first one being 1; None where nothing drawn by chance was clicked.

        The n-th as 1 / n to some power: place by place a few draws would say anything.
        """
        places = max((one.places for one in self.lists), default=0)
        drawn = [(item.position, item.clicked) for one in self.lists for item in one.items if item.explored]
        if not any(clicked for _, clicked in drawn):
            return None
        positions, clicks = np.array(drawn, np.int64).T
        shown, clicked = np.bincount(positions, minlength=places), np.bincount(positions, clicks, minlength=places)
        curves = (1.0 + np.arange(places)) ** -POWERS[:, None]
        rates = clicked.sum() / (curves @ shown)
        # Of Poisson counts; what they sum to is the same for every power.
        likelihood = (clicked * np.log(rates[:, None] * curves)).sum(axis=1)
        curve: Floats = curves[np.argmax(likelihood - (POWERS - LIKELY_POWER) ** 2 / 2)].astype(np.float32)
        return curve

    def clicked_between(self, from_ms: int, until_ms: int | None) -> list[ShownList]:
        """Lists made then of which something was clicked and something was not; the newest MOST_LISTS."""
        found = [
            one
            for one in self.lists
            if from_ms <= one.made_at_ms and (until_ms is None or one.made_at_ms < until_ms)
            if 0 < sum(item.clicked for item in one.items) < len(one.items)
        ]
        return sorted(found, key=lambda one: one.made_at_ms)[-MOST_LISTS:]


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
    window: Split, until_ms: int | None, shown: ShownLists, events: Interactions, replayed: Replayed, encoder: UserEncoder,
    rules: FoldSettings,
) -> Clicked | None:  # fmt: skip
    """Of the lists made from the window's cut until `until_ms`, by a replay and an encoder that know nothing from after it.

    None where the window has no cut in time, or nothing was clicked.
    """
    if window.cut_ms is None:
        return None
    later = LaterStates(replayed, events, window.cut_ms, rules)
    lists = [one for one in shown.clicked_between(window.cut_ms, until_ms) if one.user_id in later.users]
    seen = [_seen(lists[start : start + LISTS_AT_ONCE], later, encoder) for start in range(0, len(lists), LISTS_AT_ONCE)]
    if not seen:
        return None
    offered = stacked(seen)
    places, clicked = np.zeros(offered.items.shape, np.int32), np.zeros(offered.items.shape, np.float32)
    for stood, counts, one in zip(places, clicked, lists, strict=True):
        stood[: len(one.items)] = [item.position for item in one.items]
        counts[: len(one.items)] = [item.clicked for item in one.items]
    if shown.looked_at is not None:
        clicked /= shown.looked_at[places]
    return Clicked(Lesson(offered, clicked * offered.there), places)


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
    """Of all pairs of a clicked and another item of its list the share that scores put so; a pair weighs as its click."""
    taken, others = lesson.taken[:, :, None], (lesson.candidates.there & (lesson.taken == 0))[:, None, :]
    before = (scores[:, :, None] > scores[:, None, :]) + 0.5 * (scores[:, :, None] == scores[:, None, :])
    weights = taken * others
    return float((weights * before).sum() / weights.sum())


def _seen(lists: Sequence[ShownList], later: LaterStates, encoder: UserEncoder) -> Candidates:
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
