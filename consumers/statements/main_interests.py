"""Which of many likes, or dislikes, to state: those that add to the picture.

An item carries several tags, so what draws a user to one of them counts for all. The strongest tag is taken first; the events
it explains then count little for the others. What is left is strong on its own account. Measured on the demo shop, this states
more of the true interests and far fewer that only go along with one (docs/statements.md).
"""

from collections.abc import Mapping, Set

from consumers.statements.interests import Interest

COMING = 0.6
"""An interest that is new or rising has to have only so much of the strength asked of others: it has had less time."""
KEPT = 0.25
"""What an event still says of a tag when a tag already taken explains it."""
MOSTLY = 0.8
"""An interest of which so much is explained by a fading one fades with it, and by a refused one goes with it."""


def main_interests(
    found: Mapping[str, Interest], most: int, least: float, least_share: float, explained: Set[str] = frozenset()
) -> dict[str, Interest]:
    """At most `most` of the tags in `found`, which are all likes or all dislikes, in the order in which they were taken.

    The user's edits come first. Of the others, what is left of the weight must be `least`, and `least_share` of the strongest;
    three fifths of that for what is new or rising. What came, hardly by chance, is not held against the strongest, and only
    what came as well explains it: older interests were there without it. `explained` are ids of events that something refused
    explains already; what rests on these alone is left out.
    """
    taken: dict[str, Interest] = {}
    explained, explained_by_came = set(explained), set(explained)
    left = {tag: one for tag, one in found.items() if one.word_share or _share(one, explained) < MOSTLY}
    enough = max(least, least_share * max((abs(interest.weight) for interest in found.values()), default=0.0))
    while left and len(taken) < most:
        own = {tag: _own_weight(one, explained_by_came if one.came else explained) for tag, one in left.items()}
        tag = min(left, key=lambda tag: ("field:edits" not in left[tag].evidence, -own[tag], tag))
        interest = left.pop(tag)
        needed = least if interest.came else enough
        if interest.came or interest.trend in ("new", "rising"):
            needed *= COMING
        if own[tag] >= needed or "field:edits" in interest.evidence:
            taken[tag] = interest
            explained |= interest.shares.keys()
            if interest.came:
                explained_by_came |= interest.shares.keys()
    return _with_fading(taken)


def _with_fading(taken: Mapping[str, Interest]) -> dict[str, Interest]:
    """The same, where what wanes fades when another came, as attention is finite, and what a fading one explains with it."""
    another_came = any(interest.came for interest in taken.values())
    fading: set[str] = set()
    result = {}
    for tag, interest in taken.items():
        if (interest.wanes and another_came) or _share(interest, fading) >= MOSTLY:
            interest = interest._replace(trend="fading")
        if interest.trend == "fading":
            fading |= interest.shares.keys()
        result[tag] = interest
    return result


def _share(interest: Interest, event_ids: Set[str]) -> float:
    """How much of what supports the interest are these events."""
    total = interest.word_share + sum(interest.shares.values())
    return sum(share for event_id, share in interest.shares.items() if event_id in event_ids) / total if total else 0.0


def _own_weight(interest: Interest, explained: Set[str]) -> float:
    """The size of the weight, less what is explained already: in proportion, as refusals have shrunk it."""
    return abs(interest.weight) * (1.0 - (1.0 - KEPT) * _share(interest, explained))
