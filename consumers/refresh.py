"""When a user's profile text is asked for again: when what it says has changed, not on each event."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from consumers.consent import consents
from schemas.messages import Item, Language, Statement
from schemas.settings import Settings
from schemas.state import ProfileRef, UserState

Reason = Literal["first", "changed", "edited", "grown"]
PRIORITY: dict[Reason, int] = {"edited": 0, "first": 1, "changed": 4, "grown": 7}
"""`ProfileRequest.priority` by reason: the user's own word first, then users without a profile."""

MAIN_LIKES = 3


def refresh_reason(state: UserState, statements: Sequence[Statement], settings: Settings) -> Reason | None:
    """Why a new text should be asked for, or None. Without consent for the purpose `profile` there is never a reason."""
    if not statements or not consents(state, "profile", settings.fold):
        return None
    profile = state.profile
    if profile is None:
        declared = state.attributes is not None and bool(state.attributes.tags)
        return "first" if declared or state.event_count >= settings.profiler.min_events else None
    differing = _differing(statement_topics(statements), profile.topics)
    if _own_words_differ(state, profile, differing):
        return "edited"
    if differing or _declared_language(state) not in (None, profile.language):
        return "changed"
    if state.event_count - profile.events_seen >= settings.profiler.refresh_events:
        return "grown"
    return None


def statement_topics(statements: Sequence[Statement]) -> list[str]:
    """What a profile is about, for `ProfileRef.topics`: `likes:TAG`, `dislikes:TAG`, `is:NAME=VALUE`, in statement order.

    Viewed titles are left out: they change with each event, and that is no reason for a new text.
    """
    return [
        f"is:{statement.topic}={statement.value}" if statement.stance == "is" else f"{statement.stance}:{statement.topic}"
        for statement in statements
        if statement.stance != "viewed"
    ]


def profile_language(state: UserState, items: Mapping[str, Item], default: Language) -> Language:
    """The declared language, else the one most items of the history are in, else the default."""
    declared = _declared_language(state)
    if declared is not None:
        return declared
    known = (items.get(event.item_id) for event in state.events if event.item_id is not None)
    counts = Counter(item.language for item in known if item is not None)
    if not counts:
        return default
    return max(sorted(counts), key=lambda language: (counts[language], language == default))


def _declared_language(state: UserState) -> Language | None:
    declared = state.attributes.language if state.attributes is not None else None
    return "zh" if declared == "zh" else "en" if declared == "en" else None


def _differing(now: Sequence[str], then: Sequence[str]) -> set[str]:
    """Topics that came or went and matter.

    A like matters when it is new among the first three, or was among them and is in none of the statements now: so two tags
    that trade places at the edge of the list do not ask for a text each time.
    """
    likes_now, likes_then = ([topic for topic in topics if topic.startswith("likes:")] for topics in (now, then))
    came = set(likes_now[:MAIN_LIKES]) - set(likes_then)
    went = set(likes_then[:MAIN_LIKES]) - set(likes_now)
    others = {topic for topic in now if not topic.startswith("likes:")} ^ {
        topic for topic in then if not topic.startswith("likes:")
    }
    return came | went | others


def _own_words_differ(state: UserState, profile: ProfileRef, differing: set[str]) -> bool:
    """Whether the text does not yet say what the user's edits and mutes ask for."""
    muted = {tag.casefold() for tag in state.muted_tags}
    own = muted | {topic.casefold() for topic in state.edits}
    if any(topic.partition(":")[2].casefold() in own for topic in differing):
        return True
    return any(topic.partition(":")[2].casefold() in muted for topic in profile.topics)
