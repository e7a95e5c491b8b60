"""Why a user's profile text is asked for again: because what it says has changed, not because something happened."""

from collections.abc import Sequence
from typing import Literal

from consumers.consent import consents
from consumers.language import declared_language
from consumers.language import profile_language as profile_language
from consumers.statements.clean_text import tag_key
from schemas.messages import Statement
from schemas.settings import ProfilerSettings, Settings
from schemas.state import ProfileRef, UserState

Reason = Literal["edited", "declared", "first", "reversed", "changed", "drifted", "aged", "grown"]
PRIORITY: dict[Reason, int] = {
    "edited": 0, "declared": 0, "first": 1, "reversed": 2, "changed": 4, "drifted": 5, "aged": 7, "grown": 7,
}  # fmt: skip
"""`ProfileRequest.priority` by reason: the user's own word first, then users without a profile."""

MAIN_LIKES = 3
"""Likes at the head of the list: that one of them came or went is told, however steady it is."""


def refresh_reason(
    state: UserState,
    statements: Sequence[Statement],
    settings: Settings,
    told: bool = False,
    drift: float = 0.0,
    age_ms: int = 0,
) -> Reason | None:
    """Why a new text should be asked for, or None. Without consent for the purpose `profile` there is never a reason.

    `told` says that the user has just edited, muted or declared something. `drift` and `age_ms` are how far they have moved
    since the text, and how old it is (`consumers.drift`).
    """
    if not statements or not consents(state, "profile", settings.fold):
        return None
    profile = state.profile
    if profile is None:
        return "first" if enough_for_a_text(state, settings) else None
    now, then = statement_topics(statements), profile.topics
    new_events, rules = state.event_count - profile.events_seen, settings.profiler
    if set(now) == set(then) and declared_language(state) in (None, profile.language):
        return _outdated(new_events, rules, drift, age_ms)  # nothing could be told otherwise
    if _own_words_differ(state, profile, set(now) ^ set(then)):
        return "edited"
    if declared_language(state) not in (None, profile.language) or _told_differ(now, then, told):
        return "declared"
    if _reversed(now, then):
        return "reversed"
    if _changed(statements, then):
        return "changed"
    return _outdated(new_events, rules, drift, age_ms)


def _outdated(new_events: int, rules: ProfilerSettings, drift: float, age_ms: int) -> Reason | None:
    """Reasons that wait until there is enough of them."""
    if drift >= rules.refresh_drift and new_events >= rules.refresh_drift_events:
        return "drifted"
    if age_ms >= rules.refresh_age_h * 3_600_000 and new_events > 0:
        return "aged"
    return "grown" if new_events >= rules.refresh_grown_events else None


def _changed(statements: Sequence[Statement], then: Sequence[str]) -> bool:
    """Whether a like came that is a main one or on its way up, or one that the text names is none any more, or fades.

    Likes may trade places, and one that is neither may come untold. A dislike of what the text does not like, habits and
    titles count nothing: the next text tells them.
    """
    likes = [statement for statement in statements if statement.stance == "likes" and statement.trend != "fading"]
    came = (s for at, s in enumerate(likes) if at < MAIN_LIKES or s.trend in ("new", "rising"))
    held = {_topic(statement) for statement in likes}
    told = (topic for topic in then if topic.startswith("likes:"))
    return any(_topic(statement) not in then for statement in came) or any(topic not in held for topic in told)


def statement_topics(statements: Sequence[Statement]) -> list[str]:
    """What a profile is about, for `ProfileRef.topics`: `likes:TAG`, `dislikes:TAG`, `is:NAME=VALUE`, in statement order.

    A like on its way out is `fades:TAG`: its text does not say that it holds. Viewed titles and habits are left out: they
    change with the events, and that is no reason for a new text.
    """
    return [topic for statement in statements if (topic := _topic(statement))]


def _topic(statement: Statement) -> str:
    match statement.stance:
        case "viewed" | "habit":
            return ""
        case "is":
            return f"is:{statement.topic}={statement.value}"
        case "likes" if statement.trend == "fading":
            return f"fades:{statement.topic}"
        case stance:
            return f"{stance}:{statement.topic}"


def enough_for_a_text(state: UserState, settings: Settings) -> bool:
    """Whether enough is known of a user for a first text."""
    own = state.attributes
    declared = own is not None and bool(own.tags or own.answers or own.free_text)
    return declared or state.event_count >= settings.profiler.min_events


def _told_differ(now: Sequence[str], then: Sequence[str], told: bool) -> bool:
    differing = set(now) ^ set(then)
    return bool(told and differing) or any(topic.startswith("is:") for topic in differing)


def _reversed(now: Sequence[str], then: Sequence[str]) -> bool:
    """Whether what was liked is disliked, or the other way round."""
    turned = {"likes": "dislikes", "fades": "dislikes", "dislikes": "likes"}
    opposites = {f"{turned[stance]}:{tag}" for stance, _, tag in (topic.partition(":") for topic in then) if stance in turned}
    return not opposites.difference(then).isdisjoint(now)


def _own_words_differ(state: UserState, profile: ProfileRef, differing: set[str]) -> bool:
    """Whether the text does not yet say what the user's edits and mutes ask for."""
    muted = {tag_key(tag) for tag in state.muted_tags}
    own = muted | {tag_key(topic) for topic in state.edits}
    return any(_tag(topic) in own for topic in differing) or any(_tag(topic) in muted for topic in profile.topics)


def _tag(topic: str) -> str:
    """The tag, case-folded, that a topic is about; "" of what is declared."""
    stance, _, tag = topic.partition(":")
    return "" if stance == "is" else tag.casefold()
