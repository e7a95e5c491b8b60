"""The refresh gate: whether a text is asked for after a micro-batch, and what it is to say. Pure; the profiler asks it."""

from typing import NamedTuple

from consumers.catalogue import Catalogue
from consumers.consent import consents
from consumers.drift import age_of_text_ms, history_drift
from consumers.overlay import Touched
from consumers.refresh import PRIORITY, Reason, enough_for_a_text, profile_language, refresh_reason
from consumers.statements.feedback import event_weight
from consumers.statements.interests import InterestRules
from consumers.statements.statements import statements
from schemas.messages import Language, ProfileRequest, Statement
from schemas.settings import Settings
from schemas.state import UserState

CLEAR_DISLIKE = -4.0
"""An event that weighs so little is looked at at once, as is what the user wrote: it may have reversed what the text says."""


class WantedText(NamedTuple):
    """A text to ask for."""

    reason: Reason
    language: Language
    statements: list[Statement]


def wanted_text(
    user: Touched, under_way: bool, catalogue: Catalogue, rules: InterestRules, settings: Settings
) -> WantedText | None:
    """The text that a user's part of a micro-batch asks for, or None; `under_way` says that one was asked for already.

    Most users of most batches fail `may_need_text`, before anything is computed for them.
    """
    if not may_need_text(user, under_way, settings):
        return None
    state, told = user.state, user.own_word or user.declared
    items, vocabulary = catalogue.items, catalogue.vocabulary
    stated = statements(state, items, rules, vocabulary)
    drift, age_ms = _drift(state, catalogue, rules, settings), age_of_text_ms(state)
    reason = refresh_reason(state, stated, settings, told, drift, age_ms)
    if reason is None:
        return None
    return WantedText(reason, profile_language(state, items, settings.profiler.default_language), stated)


def _commented(user: Touched) -> bool:
    """Whether the user has just written something."""
    return any(event.type == "comment" and event.text for event in user.events)


def _drift(state: UserState, catalogue: Catalogue, rules: InterestRules, settings: Settings) -> float:
    """`history_drift`, computed only when there are enough events for it to be a reason."""
    if state.profile is None or state.event_count - state.profile.events_seen < settings.profiler.refresh_drift_events:
        return 0.0
    return history_drift(state, catalogue, rules)


def profile_request(user: Touched, wanted: WantedText, request_id: str, now_ms: int) -> ProfileRequest:
    """The request for a wanted text."""
    return ProfileRequest(
        user_id=user.user_id,
        request_id=request_id,
        language=wanted.language,
        reason=wanted.reason,
        priority=PRIORITY[wanted.reason],
        state_version=user.state.version,
        state_life=user.state.life,
        event_count=user.state.event_count,
        statements=wanted.statements,
        requested_at_ms=now_ms,
        cause=user.cause,
    )


def may_need_text(user: Touched, under_way: bool, settings: Settings) -> bool:
    """Whether it is worth a look: the user allows it, and said or did enough since the last look.

    While a text is under way only the user's own word asks again.
    """
    if not consents(user.state, "profile", settings.fold):
        return False
    if user.own_word or user.declared:
        return True
    if under_way and not user.profile_arrived:
        return False
    if user.profile_arrived or worth_a_look(user.state, len(user.events), settings):
        return True
    weights = settings.fold.type_weights
    return _commented(user) or any(event_weight(event.type, event.value, weights) <= CLEAR_DISLIKE for event in user.events)


def worth_a_look(state: UserState, new_events: int, settings: Settings) -> bool:
    """Whether `refresh_reason` can have changed its mind, after `new_events` and nothing else: cheap, as it is asked of all.

    True each time the events since the last text pass a multiple of `look_events`; and, for a user without a text, always
    once they did or declared enough for one.
    """
    if state.profile is None:
        return enough_for_a_text(state, settings)
    since, step = state.event_count - state.profile.events_seen, settings.profiler.look_events
    return since // step > (since - new_events) // step
