"""Which statements hold of a user: computed from state and catalogue alone, each with the evidence it rests on."""

from collections.abc import Iterator, Mapping, Set

from consumers.statements.clean_text import clean as clean  # the narrator's parts know it from here
from consumers.statements.feedback import heard_weight
from consumers.statements.habits import Habit, habits
from consumers.statements.hidden import Hidden
from consumers.statements.interests import MAX_EVIDENCE, Interest, InterestRules, interests
from consumers.statements.main_interests import main_interests
from consumers.statements.vocabulary import NO_WORDS, Vocabulary
from schemas.messages import Item, Statement
from schemas.state import Attributes, UserState

MAX_LIKES = 5
MAX_DISLIKES = 3
MAX_VIEWED = 3

MIN_LIKE = 0.25
"""Weight below which an interest is not worth a word; it is what no stronger interest explains that counts."""
MIN_DISLIKE = 1.0
"""A dislike is a claim against something: it takes more than a skipped item or two."""
CLEAR_DISLIKE = 4.0
"""A single event that weighs so much on a tag is enough."""
MIN_SHARE = 0.25
"""An interest far below the strongest one is noise."""
HALF_STRENGTH = 4.0
"""The weight at which strength is 0.5."""
UNSTATED = frozenset({"", "other", "none", "unknown", "n/a"})
"""Answers that say nothing."""


def statements(
    state: UserState, items: Mapping[str, Item], rules: InterestRules, vocabulary: Vocabulary = NO_WORDS
) -> list[Statement]:
    """Likes, dislikes, declared attributes, habits and recently viewed items, in this order, strongest or newest first.

    Mutes and edits are obeyed; events on unknown items say nothing yet. `vocabulary` is that of `items`, kept beside them
    (`Catalogue.vocabulary`); without it free text and comments say nothing. docs/statements.md has the rules.
    """
    found = interests(state, items, rules, vocabulary)
    return [
        *_likes(found, _hidden_events(state, items)),
        *_dislikes(found),
        *_declared(state.attributes),
        *(_habit(habit) for habit in habits(state, items, rules, vocabulary)),
        *_viewed(state, items, rules),
    ]


def _hidden_events(state: UserState, items: Mapping[str, Item]) -> frozenset[str]:
    """Ids of events on items with a tag that the user refuses or muted: it drew them, so they say little of other tags."""
    hidden = Hidden.of(state)._replace(item_ids=frozenset())
    if not hidden.names:
        return frozenset()
    known = ((event, items.get(event.item_id)) for event in state.events if event.item_id is not None)
    return frozenset(f"event:{event.event_id}" for event, item in known if item is not None and hidden.hides(item))


def _likes(found: Mapping[str, Interest], hidden: Set[str]) -> Iterator[Statement]:
    liked = {tag: interest for tag, interest in found.items() if interest.weight > 0 and clean(tag)}
    yield from (_interest(*taken) for taken in main_interests(liked, MAX_LIKES, MIN_LIKE, MIN_SHARE, hidden).items())


def _dislikes(found: Mapping[str, Interest]) -> Iterator[Statement]:
    disliked = {tag: interest for tag, interest in found.items() if interest.weight < 0 and clean(tag) and _is_sure(interest)}
    yield from (_interest(*taken) for taken in main_interests(disliked, MAX_DISLIKES, MIN_DISLIKE, 0.0).items())


def _is_sure(dislike: Interest) -> bool:
    """Whether it rests on the user's word, on more than one event, or on one as clear as a word."""
    return bool(dislike.word_share) or len(dislike.shares) > 1 or dislike.weight <= -CLEAR_DISLIKE


def _interest(tag: str, interest: Interest) -> Statement:
    strength = abs(interest.weight) / (abs(interest.weight) + HALF_STRENGTH)
    return Statement(
        topic=clean(tag),
        stance="likes" if interest.weight > 0 else "dislikes",
        strength=round(strength, 3),
        confidence=interest.confidence,
        trend=interest.trend,
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


def _habit(habit: Habit) -> Statement:
    return Statement(
        topic=habit.topic,
        stance="habit",
        value=habit.value,
        strength=round(habit.share, 3),
        confidence=habit.confidence,
        evidence=[f"event:{event_id}" for event_id in habit.event_ids],
    )


def _viewed(state: UserState, items: Mapping[str, Item], rules: InterestRules) -> Iterator[Statement]:
    """The newest distinct items the user looked at without turning them down."""
    hidden = Hidden.of(state)
    seen: dict[str, list[str]] = {}
    refused: set[str] = set()
    for event in reversed(state.events):
        item = items.get(event.item_id) if event.item_id is not None else None
        if item is None or hidden.hides(item) or item.item_id in refused:
            continue
        if heard_weight(event, rules.type_weights) < 0:
            refused.add(item.item_id)
            continue
        if event.type == "search":
            continue
        title = clean(item.title)
        if not title or (title not in seen and len(seen) == MAX_VIEWED):
            continue
        evidence = seen.setdefault(title, [])
        if len(evidence) < MAX_EVIDENCE:
            evidence.append(f"event:{event.event_id}")
    for title, evidence in seen.items():
        yield Statement(topic=title, stance="viewed", strength=1.0, evidence=evidence)
