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
LOOK_EVERY = 5
"""Events of a user between two looks at whether their text still holds."""
STRONG_CHANGE = 2
"""So many main likes that the text does not name make it stale after half of `refresh_events`; one may soon go again."""
STALE_AFTER = 3
"""After so many times `refresh_events` new events a text is asked for even when its topics still hold."""


def worth_a_look(state: UserState, new_events: int, settings: Settings) -> bool:
    """Whether `refresh_reason` can have changed its mind, after `new_events` and nothing else: cheap, as it is asked of all.

    True each time the events since the last text pass a multiple of LOOK_EVERY; and, for a user without a text, always once
    they did or declared enough for one.
    """
    if state.profile is None:
        return _enough_for_a_text(state, settings)
    since = state.event_count - state.profile.events_seen
    return since // LOOK_EVERY > (since - new_events) // LOOK_EVERY


def refresh_reason(state: UserState, statements: Sequence[Statement], settings: Settings, told: bool = False) -> Reason | None:
    """Why a new text should be asked for, or None. Without consent for the purpose `profile` there is never a reason.

    What the user said themselves counts at once, and so does a reversed interest; `told` says that they have just edited,
    muted or declared something. A new main like or dislike counts after `refresh_events` new events, or half of them when it
    is not the only one; that one fades counts last, with a new text for a long history.
    """
    if not statements or not consents(state, "profile", settings.fold):
        return None
    profile = state.profile
    if profile is None:
        return "first" if _enough_for_a_text(state, settings) else None
    now, then = statement_topics(statements), profile.topics
    if _own_words_differ(state, profile, set(now) ^ set(then)):
        return "edited"
    if _declared_language(state) not in (None, profile.language) or _differ_at_once(now, then, told):
        return "changed"
    since, enough = state.event_count - profile.events_seen, settings.profiler.refresh_events
    if (since >= enough and _came(now, then)) or (since >= enough / 2 and _is_strong(now, then)):
        return "changed"
    return "grown" if since >= STALE_AFTER * enough else None


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


def _enough_for_a_text(state: UserState, settings: Settings) -> bool:
    declared = state.attributes is not None and bool(state.attributes.tags)
    return declared or state.event_count >= settings.profiler.min_events


def _came(now: Sequence[str], then: Sequence[str]) -> set[str]:
    """Dislikes and main likes that the text does not name. A like that it names somewhere may trade places without a text."""
    return {*_main_likes(now), *(topic for topic in now if topic.startswith("dislikes:"))} - set(then)


def _main_likes(topics: Sequence[str]) -> list[str]:
    return [topic for topic in topics if topic.startswith("likes:")][:MAIN_LIKES]


def _is_strong(now: Sequence[str], then: Sequence[str]) -> bool:
    return len(set(_main_likes(now)) - set(then)) >= STRONG_CHANGE


def _differ_at_once(now: Sequence[str], then: Sequence[str], told: bool) -> bool:
    differing = set(now) ^ set(then)
    return bool(told and differing) or any(topic.startswith("is:") for topic in differing) or _reversed(now, then)


def _reversed(now: Sequence[str], then: Sequence[str]) -> bool:
    """Whether what was liked is disliked, or the other way round."""
    turned = {"likes": "dislikes", "dislikes": "likes"}
    opposites = {f"{turned[stance]}:{tag}" for stance, _, tag in (topic.partition(":") for topic in then) if stance in turned}
    return not opposites.isdisjoint(now)


def _own_words_differ(state: UserState, profile: ProfileRef, differing: set[str]) -> bool:
    """Whether the text does not yet say what the user's edits and mutes ask for."""
    muted = {tag.casefold() for tag in state.muted_tags}
    own = muted | {topic.casefold() for topic in state.edits}
    if any(topic.partition(":")[2].casefold() in own for topic in differing):
        return True
    return any(topic.partition(":")[2].casefold() in muted for topic in profile.topics)
