"""What one event says about its item: a signed weight, positive for interest."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from consumers.statements.clean_text import clean
from consumers.statements.vocabulary import Vocabulary, plain
from schemas.messages import BehaviorEvent, EventType
from schemas.state import HistoryEvent

RATING_NEUTRAL = 3.0
RATING_STEP = 2.0
RATING_LIMIT = 10.0
GLANCE_S = 15.0
"""A look that ended sooner found nothing, and says nothing for its item (web analytics call a visit engaged from 10 s on)."""
LOOKS = frozenset({"view", "click", "play"})
_LOOK, _RATING = 1, 2
_KINDS = dict.fromkeys(LOOKS, _LOOK) | {"rating": _RATING}

_ASKS_FOR_LESS = re.compile(
    r"less of this|(?:no|not) more (?:of this|like this)|stop (?:showing|recommending)|don't show me|not interested(?! in)"
    r"|no longer interested(?! in)|(?:少|别|不要)(?:再)?(?:给我|跟我)?推(?:荐)?(?:这|了|$|吧)|(?:不感|没)兴趣[。！!]?$"
)
_BLAMES = re.compile(
    r"not for me|isn't for me|expected (?:something|more|better)|disappoint|boring|waste of|terrible|awful|horrible|hate"
    r"|(?:don't|do not|didn't|did not) (?:really )?(?:like|enjoy|recommend)|not (?:good|great|worth)|never again|regret"
    r"|不太?适合我|[和跟]想的不一样|失望|无聊|难[看吃用]|垃圾|不好[看用玩吃听]|不喜欢|没意思|浪费|差评|不推荐|后悔|踩雷"
)


def event_weight(event_type: EventType, value: float | None, type_weights: Mapping[EventType, float]) -> float:
    """The weight of an event: its type's weight, or for a rating (stars - 3) * 2, so that low stars count against, within ±10.

    `type_weights` is `FoldSettings.type_weights`; an unknown type weighs 0. A glance weighs 0 too.
    """
    if value is not None:
        if event_type == "rating":
            return max(-RATING_LIMIT, min(RATING_LIMIT, (value - RATING_NEUTRAL) * RATING_STEP))
        if value < GLANCE_S and event_type in LOOKS:
            return 0.0
    return type_weights.get(event_type, 0.0)


def weights_of(
    events: Sequence[BehaviorEvent | HistoryEvent], type_weights: Mapping[EventType, float]
) -> npt.NDArray[np.float64]:
    """`event_weight` of each event, float64 [n]."""
    kind_of, weight_of = _KINDS.get, type_weights.get
    weights = np.array([weight_of(event.type, 0.0) for event in events], np.float64)
    values = np.array([event.value for event in events], np.float64)  # None becomes NaN
    kinds = np.array([kind_of(event.type, 0) for event in events], np.int8)
    weights[(kinds == _LOOK) & (values < GLANCE_S)] = 0.0
    rated = (kinds == _RATING) & ~np.isnan(values)
    weights[rated] = np.clip((values[rated] - RATING_NEUTRAL) * RATING_STEP, -RATING_LIMIT, RATING_LIMIT)
    return weights


def heard_weight(event: HistoryEvent, type_weights: Mapping[EventType, float]) -> float:
    """`event_weight`, with a comment that blames its item counted against it, and one that asks for less as not_interested."""
    weight = event_weight(event.type, event.value, type_weights)
    if event.text is None or event.type != "comment":
        return weight
    verdict = _verdict(event.text)
    if verdict == "less":
        return type_weights.get("not_interested", 0.0)
    return -abs(weight) if verdict == "blame" else weight


def is_refusal(event: HistoryEvent, type_weights: Mapping[EventType, float]) -> bool:
    """Whether the user said that they do not want the item: by a button, by sending it back, or in a comment."""
    if event.type in ("not_interested", "dislike", "return"):
        return True
    return event.type == "comment" and heard_weight(event, type_weights) < 0


@lru_cache(maxsize=10_000)
def _verdict(comment: str) -> str:
    text = plain(comment).strip()
    return "less" if _ASKS_FOR_LESS.search(text) else "blame" if _BLAMES.search(text) else ""


def forget_words(vocabulary: Vocabulary) -> None:
    """Keep nothing in memory that users wrote, as when one is erased; what was made of it is made again when needed."""
    vocabulary.forget_texts()
    _verdict.cache_clear()
    clean.cache_clear()
