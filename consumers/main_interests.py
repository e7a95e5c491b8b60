"""Which of many likes, or dislikes, to state: those that add to the picture.

An item carries several tags, so what draws a user to one of them counts for all. The strongest tag is taken first; the events
it explains then count little for the others. What is left is strong on its own account. Measured on the demo shop, this states
more of the true interests and far fewer that only go along with one (docs/statements.md).
"""

from collections.abc import Mapping

from consumers.interests import Interest

COMING = 0.4
"""An interest that is new or rising has to have only so much of the strength asked of others: it has had less time."""
KEPT = 0.25
"""What an event still says of a tag when a tag already taken explains it."""


def main_interests(found: Mapping[str, Interest], most: int, least: float, least_share: float) -> list[str]:
    """At most `most` of the tags in `found`, which are all likes or all dislikes, in the order in which they were taken.

    The user's edits come first. Of the others, what is left of the weight must be `least`, and `least_share` of the strongest;
    half of that for what is new or rising.
    """
    taken: list[str] = []
    explained: set[str] = set()
    left = dict(found)
    enough = max(least, least_share * max((abs(interest.weight) for interest in found.values()), default=0.0))
    while left and len(taken) < most:
        own = {tag: _own_weight(interest, explained) for tag, interest in left.items()}
        tag = min(left, key=lambda tag: ("field:edits" not in left[tag].evidence, -own[tag], tag))
        interest = left.pop(tag)
        if (
            own[tag] >= (COMING * enough if interest.trend in ("new", "rising") else enough)
            or "field:edits" in interest.evidence
        ):
            taken.append(tag)
            explained |= interest.shares.keys()
    return taken


def _own_weight(interest: Interest, explained: set[str]) -> float:
    """The size of the weight, less what is explained already: in proportion, as refusals have shrunk it."""
    total = interest.word_share + sum(interest.shares.values())
    if not total:
        return abs(interest.weight)
    lost = sum(share for event_id, share in interest.shares.items() if event_id in explained)
    return abs(interest.weight) * (1.0 - (1.0 - KEPT) * lost / total)
