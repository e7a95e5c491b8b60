"""Which statements hold of a user: computed from state and catalogue alone, each with the evidence it rests on."""

import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache

from consumers.feedback import event_weight
from consumers.interests import MAX_EVIDENCE, Interest, InterestRules, interests
from schemas.messages import Item, Statement
from schemas.state import Attributes, UserState

MAX_LIKES = 5
MAX_DISLIKES = 3
MAX_VIEWED = 3
MAX_TOPIC_LENGTH = 80

MIN_LIKE = 0.25
"""Weight below which an interest is not worth a word."""
MIN_DISLIKE = 1.0
"""A dislike is a claim against something: it takes more than a skipped item or two."""
MIN_SHARE = 0.15
"""An interest far below the strongest one is noise."""
HALF_STRENGTH = 4.0
"""The weight at which strength is 0.5."""
UNSTATED = frozenset({"", "other", "none", "unknown", "n/a"})
"""Answers that say nothing."""


def statements(state: UserState, items: Mapping[str, Item], rules: InterestRules) -> list[Statement]:
    """Likes, dislikes, declared attributes and recently viewed items, in this order, strongest or newest first.

    Mutes and edits are obeyed; events on unknown items say nothing yet.
    """
    found = interests(state, items, rules)
    return [
        *_likes(found),
        *_dislikes(found),
        *_declared(state.attributes),
        *_viewed(state, items, rules),
    ]


@lru_cache(maxsize=20_000)  # the same tags and titles come again with every user
def clean(text: str, limit: int = MAX_TOPIC_LENGTH) -> str:
    """One printable line of at most `limit` characters: no control, format or private characters, no chat template marks."""
    plain = "".join(" " if character.isspace() else character for character in text)
    plain = "".join(character for character in plain if unicodedata.category(character)[0] != "C")
    while "<|" in plain or "|>" in plain:
        plain = plain.replace("<|", "").replace("|>", "")
    plain = " ".join(plain.split())
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + "…"


def _likes(found: Mapping[str, Interest]) -> Iterator[Statement]:
    liked = {tag: interest for tag, interest in found.items() if interest.weight > 0}
    strongest = max((interest.weight for interest in liked.values()), default=0.0)
    enough = max(MIN_LIKE, MIN_SHARE * strongest)
    ranked = sorted(liked.items(), key=_own_word_first)
    yield from (_interest(tag, interest) for tag, interest in ranked[:MAX_LIKES] if interest.weight >= enough and clean(tag))


def _dislikes(found: Mapping[str, Interest]) -> Iterator[Statement]:
    disliked = {tag: interest for tag, interest in found.items() if interest.weight <= -MIN_DISLIKE}
    ranked = sorted(disliked.items(), key=_own_word_first)
    yield from (_interest(tag, interest) for tag, interest in ranked[:MAX_DISLIKES] if clean(tag))


def _own_word_first(entry: tuple[str, Interest]) -> tuple[bool, float, str]:
    """What the user said in an edit stands before what events say; ties go by tag, so that the order is always the same."""
    tag, interest = entry
    return "field:edits" not in interest.evidence, -abs(interest.weight), tag


def _interest(tag: str, interest: Interest) -> Statement:
    strength = abs(interest.weight) / (abs(interest.weight) + HALF_STRENGTH)
    return Statement(
        topic=clean(tag),
        stance="likes" if interest.weight > 0 else "dislikes",
        strength=round(strength, 3),
        evidence=list(interest.evidence),
    )


def _declared(attributes: Attributes | None) -> Iterator[Statement]:
    if attributes is None:
        return
    for name in ("age", "gender", "occupation", "location"):
        value = getattr(attributes, name)
        stated = "" if value is None else clean(str(value), 40)
        if stated.casefold() not in UNSTATED:
            yield Statement(
                topic=name,
                stance="is",
                value=stated,
                strength=1.0,
                evidence=[f"field:{name}"],
            )


def _viewed(state: UserState, items: Mapping[str, Item], rules: InterestRules) -> Iterator[Statement]:
    """The newest distinct items the user looked at without turning them down."""
    hidden = {tag.casefold() for tag in state.muted_tags}
    hidden |= {topic.casefold() for topic, stance in state.edits.items() if stance == "not_interested"}
    muted_items = set(state.muted_items)
    seen: dict[str, list[str]] = {}
    for event in reversed(state.events):
        item = items.get(event.item_id) if event.item_id is not None else None
        if item is None or item.item_id in muted_items or hidden.intersection(tag.casefold() for tag in item.tags):
            continue
        if event.type == "search" or event_weight(event.type, event.value, rules.type_weights) < 0:
            continue
        title = clean(item.title)
        if not title or (title not in seen and len(seen) == MAX_VIEWED):
            continue
        evidence = seen.setdefault(title, [])
        if len(evidence) < MAX_EVIDENCE:
            evidence.append(f"event:{event.event_id}")
    for title, evidence in seen.items():
        yield Statement(topic=title, stance="viewed", strength=1.0, evidence=evidence)
