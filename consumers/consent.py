"""What a user allows: their last word on each purpose, or the default for one who said nothing."""

from schemas.messages import Purpose
from schemas.settings import FoldSettings
from schemas.state import UserState


def consents(state: UserState, purpose: Purpose, rules: FoldSettings) -> bool:
    """Whether the user allows this purpose."""
    return state.consent.get(purpose, purpose in rules.default_consent)
