"""Lists that users saw, with what they clicked: joined from lists, impressions and events."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from schemas.messages import BehaviorEvent, Impression, Recommendations, RecommendedItem

CLICKS = frozenset({"view", "click", "play", "like", "favorite", "share", "comment", "follow", "add_to_cart", "purchase"})
"""Events that say that a shown item was turned to."""


@dataclass(frozen=True)
class ShownItem:
    """One item as it was seen: at which place from 0, how likely it was to stand there, and whether it was clicked.

    `explored` says that it was drawn by chance, `as_ranked` that it stands where it would if nothing had been.
    """

    item_id: str
    position: int
    propensity: float
    explored: bool
    as_ranked: bool
    clicked: bool
    sources: Sequence[str] = ()
    """What proposed it."""


@dataclass(frozen=True)
class ShownList:
    """What one user saw of one list of so many `places`; whether any of them was `left_to_chance`, or could have been."""

    user_id: str
    places: int
    shown_at_ms: int
    items: Sequence[ShownItem]
    made_at_ms: int = 0
    left_to_chance: bool = True


@dataclass
class Joined:
    """Lists that were seen; and what could not be joined, by reason."""

    lists: list[ShownList] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def joined(
    lists: Iterable[Recommendations],
    impressions: Iterable[Impression],
    events: Iterable[BehaviorEvent],
    attribution_s: float,
    surface: str | None = None,
) -> Joined:
    """Each impression of a list of this surface, by default of the main list, with the clicks on it.

    An event with a list_id clicks that list, unless it names another of its surfaces; one without clicks the newest list in
    which its user saw the item within `attribution_s` before. Only the first impression of a list counts, as propensities are
    those of being shown once.
    """
    by_id = {found.list_id: found for found in lists if found.list_id is not None}
    found = Joined()
    seen: dict[str, Impression] = {}
    for impression in sorted(impressions, key=lambda one: (one.shown_at_ms, one.impression_id)):
        if impression.surface != surface:
            found.left_out[f"of another surface than {surface or 'the main list'}"] += 1
        elif impression.list_id not in by_id:
            found.left_out["of a list that is no longer in the topic"] += 1
        elif by_id[impression.list_id].user_id != impression.user_id:
            found.left_out["of another user's list"] += 1
        elif impression.list_id in seen:
            found.left_out["of a list seen before"] += 1
        else:
            seen[impression.list_id] = impression
    clicks = _clicks(seen, by_id, events, attribution_s)
    for list_id, impression in seen.items():
        published = _items_of(by_id[list_id], surface)
        shown = _shown(published, impression, clicks[list_id])
        found.left_out["items that the list did not have there"] += len(impression.items) - len(shown)
        if shown:
            by_chance, made_at_ms = any(item.propensity is not None for item in published), by_id[list_id].generated_at_ms
            found.lists.append(
                ShownList(impression.user_id, len(published), impression.shown_at_ms, shown, made_at_ms, by_chance)
            )
    found.left_out += Counter()  # drops zeros
    return found


def _items_of(published: Recommendations, surface: str | None) -> Sequence[RecommendedItem]:
    return published.items if surface is None else published.surfaces.get(surface, ())


def _shown(published: Sequence[RecommendedItem], impression: Impression, clicked: set[str]) -> list[ShownItem]:
    """Items where the list had them: what a site moved elsewhere has no propensity."""
    shown = []
    drawn = ["exploration" in place.sources for place in published]
    for one in {item.position: item for item in impression.items}.values():
        if one.position < len(published) and published[one.position].item_id == one.item_id:
            place = published[one.position]
            shown.append(
                ShownItem(
                    one.item_id,
                    one.position,
                    1.0 if place.propensity is None else place.propensity,
                    drawn[one.position],
                    not any(drawn[: one.position + 1]) or place.propensity == 1,
                    one.item_id in clicked,
                    place.sources,
                )
            )
    return sorted(shown, key=lambda item: item.position)


def _clicks(
    seen: Mapping[str, Impression],
    by_id: Mapping[str, Recommendations],
    events: Iterable[BehaviorEvent],
    attribution_s: float,
) -> defaultdict[str, set[str]]:
    """Items clicked, by list."""
    by_user: defaultdict[str, list[tuple[int, str, frozenset[str]]]] = defaultdict(list)
    for list_id, impression in seen.items():
        items = frozenset(item.item_id for item in impression.items)
        by_user[impression.user_id].append((impression.shown_at_ms, list_id, items))
    clicks: defaultdict[str, set[str]] = defaultdict(set)
    for event in events:
        if event.type not in CLICKS or event.item_id is None:
            continue
        if event.list_id is not None:
            known = seen.get(event.list_id)
            elsewhere = known is not None and event.surface != known.surface and event.surface in by_id[event.list_id].surfaces
            if known is not None and known.user_id == event.user_id and not elsewhere:
                clicks[event.list_id].add(event.item_id)
            continue
        within = [
            (shown_at_ms, list_id)
            for shown_at_ms, list_id, items in by_user.get(event.user_id, ())
            if event.item_id in items and 0 <= event.event_time_ms - shown_at_ms <= attribution_s * 1000
        ]
        if within:
            clicks[max(within)[1]].add(event.item_id)
    return clicks
