"""From scored candidates to lists: which of them each surface shows, in which order, and why."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.language import declared_language, profile_language
from consumers.lists.candidates import NAMES, Candidates, Source
from consumers.lists.chance_places import Mixer
from consumers.lists.diversity import Cap, Diversity, Pool, choose
from consumers.lists.exploration import Draws, taken_draws
from consumers.lists.list_rules import MAIN, ListRules
from consumers.lists.offered import Offered
from consumers.lists.reasons import Listener, Teller, Told, nearest_liked, notable_parts, reasons
from consumers.lists.rules import Pin, RowRules
from consumers.lists.shelf import Shelf
from schemas.messages import Language, RecommendedItem, SourceName
from schemas.state import UserState

EXPLORATION = int(Source.EXPLORATION)
SOURCE_NAMES: dict[int, list[SourceName]] = {
    bits: [NAMES[source] for source in Source if bits & source]  # type: ignore[misc]
    for bits in range(2 ** len(Source))
}


class UserLists(NamedTuple):
    """A user's main list, and those of the surfaces by name; best first, but for what is pinned."""

    items: list[RecommendedItem]
    surfaces: dict[str, list[RecommendedItem]]


class Surface(NamedTuple):
    """What one surface shows, or with `drawn` what was drawn for it; of the main list too.

    `shown` [users, m] marks places of `Chosen.places`; `pins` by row.
    """

    name: str
    shown: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]"
    pins: dict[int, Pin]
    drawn: bool = False


class Chosen(NamedTuple):
    """Candidates that some surface shows: `places` [users, m] among all candidates, -1 where there is none, and their data.

    With exploration `draws` says of each list from how many its own were drawn.
    """

    places: Rows
    shown: Candidates
    surfaces: list[Surface]
    draws: Mapping[str, Draws]


def choose_places(
    offered: Offered, scores: Floats, rules: ListRules, row_rules: RowRules, catalogue: Catalogue, pool_width: int
) -> Chosen:
    """The policy's choice among what is offered, with these scores [users, n], for the main list and every surface.

    What only chance brought is no candidate for a ranked place: those must be the same whatever is drawn.
    """
    candidates, draws = offered.candidates, offered.draws
    by_chance_alone = candidates.sources == int(Source.EXPLORATION)
    ranked = replace(candidates, rows=np.where(by_chance_alone, -1, candidates.rows))
    scores = np.where(ranked.rows >= 0, scores, np.float32(-np.inf))
    pinned = ranked.came_from(Source.PINNED)
    pool_places = np.lexsort((catalogue.tie_break[ranked.rows], -scores, ~pinned), axis=1)[:, :pool_width]
    if pinned.any():  # what some surface has pinned is in the pool, and the pool is best first
        found, own = np.take_along_axis(ranked.rows, pool_places, axis=1), np.take_along_axis(scores, pool_places, axis=1)
        best_first = np.lexsort((catalogue.tie_break[found], -own), axis=1)
        pool_places = np.take_along_axis(pool_places, best_first, axis=1)
    pool = ranked.taken(pool_places)
    scores = np.take_along_axis(scores, pool_places, axis=1)
    vectors = catalogue.vectors(pool.rows)
    caps = [Cap(groups, most) for groups, most in row_rules.caps(pool.rows)]
    diversity = Diversity(rules.diversity, rules.diversity_method)
    surfaces = []
    for name, size in rules.sizes.items():
        pins = _pins_by_row(row_rules, name, offered.shelf, catalogue)
        forced = np.isin(pool.rows, list(pins))
        taken = choose(Pool(pool.rows, scores, forced, vectors), size, diversity, caps)
        shown = np.zeros((len(taken), pool.rows.shape[1] + 1), np.bool_)
        np.put_along_axis(shown, taken, True, axis=1)  # -1 marks the column that is cut off
        surfaces.append(Surface(name, shown[:, :-1] & (pool.rows >= 0), pins))
    if not draws:
        return _narrowed(pool_places, pool, surfaces, {})
    left, columns = {}, [pool_places]
    for surface in surfaces:
        listed = [own[there] for own, there in zip(pool.rows, surface.shown, strict=True)]
        drawn = draws[surface.name]
        left[surface.name] = drawn._replace(open_items=drawn.open_items - [len(rows) for rows in listed])
        columns.append(_drawn_places(candidates, taken_draws(drawn, listed)))
    places = np.concatenate(columns, axis=1)
    return _narrowed(places, candidates.taken(np.maximum(places, 0)), _with_drawn(surfaces, columns), left)


def _drawn_places(candidates: Candidates, drawn: Sequence[Sequence[int]]) -> Rows:
    """Places of what was drawn among the candidates, [users, most drawn], -1 after the last."""
    found = np.full((len(drawn), max(map(len, drawn), default=0)), -1, np.int64)
    for own, rows, into in zip(candidates.rows, drawn, found, strict=True):
        into[: len(rows)] = [int(np.flatnonzero(own == row)[0]) for row in rows]
    return found


def _with_drawn(surfaces: Sequence[Surface], columns: Sequence[Rows]) -> list[Surface]:
    """The surfaces over all columns, of the pool and of what was drawn for each; and as many that show what was drawn."""
    there = [column >= 0 for column in columns]
    none = [np.zeros_like(one) for one in there]
    wider = [one._replace(shown=np.concatenate([one.shown, *none[1:]], axis=1)) for one in surfaces]
    for number, surface in enumerate(surfaces, start=1):
        shown = np.concatenate([*none[:number], there[number], *none[number + 1 :]], axis=1)
        wider.append(Surface(surface.name, shown, {}, drawn=True))
    return wider


def _narrowed(pool_places: Rows, pool: Candidates, surfaces: list[Surface], draws: Mapping[str, Draws]) -> Chosen:
    """Without the candidates that no surface shows."""
    anywhere = np.logical_or.reduce([surface.shown for surface in surfaces])
    width = max(1, int(anywhere.sum(axis=1).max(initial=0)))
    kept = np.argsort(~anywhere, axis=1, kind="stable")[:, :width]
    there = np.take_along_axis(anywhere, kept, axis=1)
    narrowed = [surface._replace(shown=np.take_along_axis(surface.shown, kept, axis=1)) for surface in surfaces]
    places = np.where(there, np.take_along_axis(pool_places, kept, axis=1), -1)
    shown = pool.taken(kept)
    shown = Candidates(np.where(there, shown.rows, -1), shown.sources, shown.closeness, shown.origins)
    return Chosen(places, shown, narrowed, draws)


def features_at(features: Floats, places: Rows) -> Floats:
    """The features [users, m, f] of candidates at these places."""
    taken: Floats = np.take_along_axis(features, np.maximum(places, 0)[:, :, None], axis=1)
    return taken


def _pins_by_row(row_rules: RowRules, name: str, shelf: Shelf, catalogue: Catalogue) -> dict[int, Pin]:
    pins = row_rules.pins(name, shelf.now_ms)
    rows = catalogue.rows([pin.item_id for pin in pins]).tolist()
    return {row: pin for row, pin in zip(rows, pins, strict=True) if row >= 0}


class Writer:
    """Writes chosen places out as they are published.

    `scores` [users, m], `features` and their `parts` of the score, [users, m, f], are those of `Chosen.places`.
    """

    def __init__(
        self, chosen: Chosen, scores: Floats, features: Floats, parts: Floats, offered: Offered, teller: Teller
    ) -> None:
        users = offered.users
        self._mixers = {name: Mixer(draws) for name, draws in chosen.draws.items()}
        self._users, self._concept_tastes, self._teller = users, offered.concept_tastes, teller
        self._surfaces = [(surface, surface.shown.tolist()) for surface in chosen.surfaces]
        self._rows: list[list[int]] = chosen.shown.rows.tolist()
        self._bits: list[list[int]] = chosen.shown.sources.tolist()
        self._origins: list[list[int]] = chosen.shown.origins.tolist()
        self._nearest: list[list[int]] = nearest_liked(chosen.shown, users, teller.catalogue).tolist()
        self._notable = notable_parts(parts, features)
        self._scores: list[list[float]] = np.round(scores.astype(np.float64), 6).tolist()

    def lists(self, user: int) -> UserLists:
        """The lists of one user of the batch, by their place."""
        made: dict[tuple[int, bool, str | None], RecommendedItem] = {}
        listener = self._listener(user)
        lists: dict[str, list[RecommendedItem]] = {}
        pinned: dict[str, set[str]] = {}
        for surface, shown in self._surfaces:
            name, found = surface.name, []
            for at, is_shown in enumerate(shown[user]):
                if is_shown:
                    pin = surface.pins.get(self._rows[user][at])
                    key = at, surface.drawn, pin.name if pin else None
                    if key not in made:
                        made[key] = self._item(user, *key, listener)
                    found.append((pin, made[key]))
            if surface.drawn:
                lists[name] = self._mixers[name].mixed(user, lists[name], [item for _, item in found], pinned[name])
            else:
                lists[name] = _in_order(found)
                pinned[name] = {pin.item_id for pin in surface.pins.values()}
        return UserLists(lists.pop(MAIN), lists)

    def _listener(self, user: int) -> Listener:
        users, state = self._users, self._users.states[user]
        liked = zip(users.liked[user].tolist(), users.liked_weights[user].tolist(), strict=True)
        likings = {row: weight for row, weight in liked if row >= 0}
        return Listener(state, users.tastes[user], self._concept_tastes[user], likings, self._language(state), {})

    def _language(self, state: UserState) -> Language:
        languages = list(self._teller.catalogue.languages)
        if len(languages) == 1 and state.events:  # most sites: no need to look at every event
            return declared_language(state) or languages[0]
        return profile_language(state, self._teller.catalogue.items, self._teller.language)

    def _item(self, user: int, at: int, explored: bool, pinned_by: str | None, listener: Listener) -> RecommendedItem:
        row, bits = self._rows[user][at], self._bits[user][at]
        item = self._teller.catalogue.items[self._teller.catalogue.item_ids[row]]
        bits = bits | EXPLORATION if explored else bits & ~EXPLORATION
        told = Told(row, item, self._origins[user][at], self._nearest[user][at], pinned_by, explored)
        why = reasons(told, self._notable[user][at], listener, self._teller)
        return RecommendedItem(
            item_id=item.item_id, title=item.title, score=self._scores[user][at], reasons=why, sources=SOURCE_NAMES[bits]
        )


def _in_order(found: Sequence[tuple[Pin | None, RecommendedItem]]) -> list[RecommendedItem]:
    """By score, then item id, with what is pinned at its place."""
    places = sorted((item for pin, item in found if pin is None), key=lambda item: (-item.score, item.item_id))
    for pin, item in sorted((one for one in found if one[0] is not None), key=lambda one: one[0].place if one[0] else 0):
        if pin is not None:
            places.insert(pin.place - 1, item)
    return places
