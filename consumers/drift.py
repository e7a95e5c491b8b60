"""How far a user has moved since their last text was asked for: told from the history that the state holds, nothing more."""

import numpy as np

from consumers.catalogue import Catalogue
from consumers.statements.interests import InterestRules, event_weights
from schemas.state import UserState


def history_drift(state: UserState, catalogue: Catalogue, rules: InterestRules) -> float:
    """1 - cosine between the weighted mean of the item vectors of the history as the last text knew it, and as it is now.

    0 is no change, 1 unrelated, 2 opposite. The history is the user_encoder's with its plain weights, so nothing has to be
    remembered with the profile. 0 too where it cannot be told: without a text, when the history holds none of the events that
    the text knew, and while no item of either has a vector.
    """
    known = events_known(state)
    if not 0 < known < len(state.events):
        return 0.0
    rows = catalogue.rows([event.item_id for event in state.events])
    weighted = np.asarray(event_weights(state, rules), np.float32)[:, None] * catalogue.vectors(rows)
    then, now = weighted[:known].sum(axis=0), weighted.sum(axis=0)
    lengths = float(np.linalg.norm(then) * np.linalg.norm(now))
    return 1.0 - float(then @ now) / lengths if lengths > 0 else 0.0


def age_of_text_ms(state: UserState) -> int:
    """Time of the user's newest event, less that of the newest one which the last text knew: its age in event time.

    At least that, when the history no longer holds an event which the text knew; 0 without a text or without events.
    """
    if state.profile is None or not state.events:
        return 0
    return state.events[-1].event_time_ms - state.events[max(events_known(state) - 1, 0)].event_time_ms


def events_known(state: UserState) -> int:
    """How many events of the history, from the oldest on, the last text knew; those that came late since are taken for old."""
    if state.profile is None:
        return 0
    return len(state.events) - min(state.event_count - state.profile.events_seen, len(state.events))
