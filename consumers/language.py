"""Which language a user is spoken to in."""

from collections import Counter
from collections.abc import Mapping

from schemas.messages import Item, Language
from schemas.state import UserState


def profile_language(state: UserState, items: Mapping[str, Item], default: Language) -> Language:
    """The declared language, else the one most items of the history are in, else the default."""
    declared = declared_language(state)
    if declared is not None:
        return declared
    known = (items.get(event.item_id) for event in state.events if event.item_id is not None)
    counts = Counter(item.language for item in known if item is not None)
    if not counts:
        return default
    return max(sorted(counts), key=lambda language: (counts[language], language == default))


def declared_language(state: UserState) -> Language | None:
    """The language the user asked for, if it is one we write."""
    declared = state.attributes.language if state.attributes is not None else None
    return "zh" if declared == "zh" else "en" if declared == "en" else None
