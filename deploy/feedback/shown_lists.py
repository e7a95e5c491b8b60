"""Lists that users saw, with what they clicked: joined from lists, impressions and events."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from schemas.messages import BehaviorEvent, Impression, Recommendations, RecommendedItem

CLICKS = frozenset({"view", "click", "play", "like", "favorite", "share", "comment", "follow", "add_to_cart", "purchase"})
"""Events that say that a shown item was turned to."""


Place = tuple[str, str | None]
"""A list's id and its surface, None for the main list."""


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

    An event clicks the newest impression in which its user saw the item: of the list that it names, else within
    `attribution_s` before; and of the surface that it names, if there is one. Only the first impression of a list counts, as
    propensities are those of being shown once.
    """
    by_id = {found.list_id: found for found in lists if found.list_id is not None}
    found = Joined()
    seen: dict[Place, Impression] = {}
    for impression in sorted(impressions, key=lambda one: (one.shown_at_ms, one.impression_id)):
        place, reason = (impression.list_id, impression.surface), None
        if impression.list_id not in by_id:
            reason = "of a list that is no longer in the topic"
        elif by_id[impression.list_id].user_id != impression.user_id:
            reason = "of another user's list"
        elif place in seen:
            reason = "of a list seen before"
        else:
            seen[place] = impression
        if impression.surface != surface:
            reason = f"of another surface than {surface or 'the main list'}"
        if reason is not None:
            found.left_out[reason] += 1
    clicks = _clicks(seen.values(), events, attribution_s)
    for (list_id, its_surface), impression in seen.items():
        if its_surface != surface:
            continue
        published = _items_of(by_id[list_id], surface)
        shown = _shown(published, impression, clicks[list_id, surface])
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


def _clicks(seen: Iterable[Impression], events: Iterable[BehaviorEvent], attribution_s: float) -> defaultdict[Place, set[str]]:
    """Items clicked, by list and surface."""
    showing: defaultdict[tuple[str, str], list[Impression]] = defaultdict(list)
    for impression in seen:
        for item_id in {item.item_id for item in impression.items}:
            showing[impression.user_id, item_id].append(impression)
    clicks: defaultdict[Place, set[str]] = defaultdict(set)
    for event in events:
        if event.type not in CLICKS or event.item_id is None:
            continue
        meant = [
            one
            for one in showing.get((event.user_id, event.item_id), ())
            if (
                0 <= event.event_time_ms - one.shown_at_ms <= attribution_s * 1000
                if event.list_id is None
                else one.list_id == event.list_id
            )
        ]
        meant = [one for one in meant if one.surface == event.surface] or meant
        if meant:
            newest = max(meant, key=lambda one: (one.shown_at_ms, one.list_id))
            clicks[newest.list_id, newest.surface].add(event.item_id)
    return clicks
