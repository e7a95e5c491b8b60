"""Why a user's profile text is asked for again: because what it says has changed, not because something happened."""

from collections.abc import Sequence, Set
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
"""Likes at the head of the list, which every text names."""
CLEAR = 4.0
"""What a difference counts for that statements call a trend: a new or rising like, or one that fades."""
VAGUE = 0.1
"""What it counts for when a like or dislike only trades places with others."""
NEWS_STRENGTH = 0.38
"""A like on its way up counts as CLEAR from here on: weaker ones are gone again too often to be worth a text."""
LASTING: frozenset[Reason] = frozenset({"reversed", "changed"})
"""Reasons from events alone, which come and go with them: they hold when they held some events ago too."""


def refresh_reason(
    state: UserState,
    statements: Sequence[Statement],
    settings: Settings,
    told: bool = False,
    drift: float = 0.0,
    age_ms: int = 0,
    earlier: Sequence[str] | None = None,
    refused: Set[str] = frozenset(),
) -> Reason | None:
    """Why a new text should be asked for, or None. Without consent for the purpose `profile` there is never a reason.

    What the user said themselves counts at once; `told` says that they have just edited, muted or declared something. Other
    differences between statements and text count the sooner the more there are, and only those that were there `earlier`, in
    the topics of some events ago, where these are given. `drift` and `age_ms` are how far the user has moved since the text,
    and how old it is (`consumers.drift`). `refused` are tags, case-folded, of what they turned down by a button or in so many
    words since the text: a like that went with that need not have been gone earlier.
    """
    if not statements or not consents(state, "profile", settings.fold):
        return None
    profile = state.profile
    if profile is None:
        return "first" if enough_for_a_text(state, settings) else None
    now, then = statement_topics(statements), profile.topics
    if _own_words_differ(state, profile, set(now) ^ set(then)):
        return "edited"
    if declared_language(state) not in (None, profile.language) or _told_differ(now, then, told):
        return "declared"
    if _turned_down(now, then, refused):
        return "reversed"
    if _reversed(now, then) and (earlier is None or _reversed(earlier, then)):
        return "reversed"
    difference = differences(statements, then, earlier)
    return _outdated(difference, state.event_count - profile.events_seen, settings.profiler, drift, age_ms)


def _outdated(difference: float, new_events: int, rules: ProfilerSettings, drift: float, age_ms: int) -> Reason | None:
    """Reasons that wait until there is enough of them. However long it is, a small difference alone is none."""
    if min(new_events, rules.refresh_events) * difference >= rules.refresh_events:
        return "changed"
    if drift >= rules.refresh_drift and new_events >= rules.refresh_drift_events:
        return "drifted"
    if age_ms >= rules.refresh_age_h * 3_600_000 and new_events > 0:
        return "aged"
    return "grown" if new_events >= rules.refresh_grown_events else None


def differences(statements: Sequence[Statement], then: Sequence[str], earlier: Sequence[str] | None = None) -> float:
    """How far the likes and dislikes that hold now are from a text's topics: main ones that came, and its main ones that went.

    A like that the text names somewhere may trade places without a text. What statements call new, rising or fading counts
    CLEAR, what has no trend 1, and what only came or went among others VAGUE. Habits count nothing: they follow from the rest,
    and the next text tells of them. Given the topics that held `earlier`, only what they say too counts.
    """
    known, topics = set(then), statement_topics(statements)
    likes = [s for s in statements if s.stance == "likes" and s.trend != "fading"]
    came = [s for at, s in enumerate(likes) if at < MAIN_LIKES or _is_news(s)]
    came = [statement for statement in came if _topic(statement) not in known and _held(_topic(statement), earlier)]
    went = [topic for topic in _likes(then)[:MAIN_LIKES] if topic not in topics and topic not in (earlier or ())]
    disliked = [topic for topic in topics if topic.startswith("dislikes:") and topic not in known and _held(topic, earlier)]
    other = VAGUE if any(statement.trend for statement in statements) else 1.0
    return (
        sum(CLEAR if _is_news(statement) else other for statement in came)
        + sum(CLEAR if topic.replace("likes:", "fades:", 1) in topics else other for topic in went)
        + sum(VAGUE for _ in disliked)
    )


def _is_news(like: Statement) -> bool:
    """Whether a like is on its way up, and strong enough by now that it will hardly be gone again soon."""
    return like.trend in ("new", "rising") and like.strength >= NEWS_STRENGTH


def _held(topic: str, earlier: Sequence[str] | None) -> bool:
    """Whether the topic held earlier, a like among the main ones or next to them."""
    return earlier is None or topic in (_likes(earlier) if topic.startswith("likes:") else earlier)


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


def _likes(topics: Sequence[str]) -> list[str]:
    return [topic for topic in topics if topic.startswith("likes:")]


def _told_differ(now: Sequence[str], then: Sequence[str], told: bool) -> bool:
    differing = set(now) ^ set(then)
    return bool(told and differing) or any(topic.startswith("is:") for topic in differing)


def _reversed(now: Sequence[str], then: Sequence[str]) -> bool:
    """Whether what was liked is disliked, or the other way round."""
    turned = {"likes": "dislikes", "fades": "dislikes", "dislikes": "likes"}
    opposites = {f"{turned[stance]}:{tag}" for stance, _, tag in (topic.partition(":") for topic in then) if stance in turned}
    return not opposites.isdisjoint(now)


def _turned_down(now: Sequence[str], then: Sequence[str], refused: Set[str]) -> bool:
    """Whether the text names a like that was refused since and no longer holds."""
    tags = [topic.removeprefix("likes:") for topic in _likes(then)] if refused else []
    return any(tag.casefold() in refused and f"likes:{tag}" not in now for tag in tags)


def _own_words_differ(state: UserState, profile: ProfileRef, differing: set[str]) -> bool:
    """Whether the text does not yet say what the user's edits and mutes ask for."""
    muted = {tag_key(tag) for tag in state.muted_tags}
    own = muted | {tag_key(topic) for topic in state.edits}
    if any(topic.partition(":")[2].casefold() in own for topic in differing):
        return True
    return any(topic.partition(":")[2].casefold() in muted for topic in profile.topics)
