"""Whether a statement's evidence really supports it: a second, plain reading of the facts, with no code of the first."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from producers.shop_frames import FRAMES
from schemas.messages import Item, Statement
from schemas.state import HistoryEvent, UserState

FOR = {"view", "click", "play", "like", "favorite", "share", "follow", "add_to_cart", "purchase"}
AGAINST = {"return", "skip", "dislike", "not_interested"}
BLAME = {remark for frames in FRAMES.values() for remark in frames.bad_comments}
Told = Mapping[str, Mapping[str, int]]
"""What texts say, by `field:free_text` or `event:ID`: tag → 1 or -1."""


def unsupported(
    statement: Statement, state: UserState, items: Mapping[str, Item], told: Told, utc_offset_h: float = 0.0
) -> list[str]:
    """The evidence that does not support the statement; empty when all of it does."""
    if statement.stance == "habit":
        return [one for one in statement.evidence if not _shows_habit(one, statement, state, items, utc_offset_h)]
    supports = {"likes": _speaks_for, "dislikes": _speaks_against, "is": _declares, "viewed": _shows_item}[statement.stance]
    return [one for one in statement.evidence if not supports(one, statement, state, items, told)]


def _event(evidence: str, state: UserState) -> HistoryEvent | None:
    return next((event for event in state.events if f"event:{event.event_id}" == evidence), None)


def _item(event: HistoryEvent | None, items: Mapping[str, Item]) -> Item | None:
    return None if event is None or event.item_id is None else items.get(event.item_id)


def _same(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _sign(event: HistoryEvent) -> int:
    if event.type == "rating" and event.value is not None:
        return (event.value > 3) - (event.value < 3)
    if event.type == "comment":
        return -1 if event.text in BLAME else 1
    return 1 if event.type in FOR else -1 if event.type in AGAINST else 0


def _told(evidence: str, topic: str, told: Told) -> int:
    return next((sign for tag, sign in told.get(evidence, {}).items() if _same(tag, topic)), 0)


def _event_speaks(evidence: str, topic: str, state: UserState, items: Mapping[str, Item], told: Told) -> int:
    event = _event(evidence, state)
    item = _item(event, items)
    if event is None:
        return 0
    tagged = item is not None and any(_same(tag, topic) for tag in item.tags)
    return _told(evidence, topic, told) or (_sign(event) if tagged else 0)


def _speaks_for(evidence: str, statement: Statement, state: UserState, items: Mapping[str, Item], told: Told) -> bool:
    topic, attributes = statement.topic, state.attributes
    match evidence:
        case "field:edits":
            return any(_same(tag, topic) and stance == "interested" for tag, stance in state.edits.items())
        case "field:tags":
            return attributes is not None and any(_same(tag, topic) for tag in attributes.tags)
        case "field:answers":
            return attributes is not None and any(_same(tag, topic) and yes for tag, yes in attributes.answers.items())
        case "field:free_text":
            return _told(evidence, topic, told) > 0
    return _event_speaks(evidence, topic, state, items, told) > 0


def _speaks_against(evidence: str, statement: Statement, state: UserState, items: Mapping[str, Item], told: Told) -> bool:
    topic, attributes = statement.topic, state.attributes
    match evidence:
        case "field:edits":
            return any(_same(tag, topic) and stance == "not_interested" for tag, stance in state.edits.items())
        case "field:answers":
            return attributes is not None and any(_same(tag, topic) and not yes for tag, yes in attributes.answers.items())
        case "field:free_text":
            return _told(evidence, topic, told) < 0
    return _event_speaks(evidence, topic, state, items, told) < 0


def _declares(evidence: str, statement: Statement, state: UserState, items: Mapping[str, Item], told: Told) -> bool:
    value = getattr(state.attributes, statement.topic)
    return evidence == f"field:{statement.topic}" and value is not None and str(value) == statement.value


def _shows_item(evidence: str, statement: Statement, state: UserState, items: Mapping[str, Item], told: Told) -> bool:
    item = _item(_event(evidence, state), items)
    return item is not None and item.title == statement.topic


def _shows_habit(
    evidence: str, statement: Statement, state: UserState, items: Mapping[str, Item], utc_offset_h: float
) -> bool:
    event = _event(evidence, state)
    if event is None or statement.value is None:
        return False
    if statement.topic == "time_of_day":
        local = datetime.fromtimestamp(event.event_time_ms / 1000, UTC) + timedelta(hours=utc_offset_h)
        names = ["night"] * 5 + ["morning"] * 7 + ["afternoon"] * 5 + ["evening"] * 5 + ["night"] * 2
        return names[local.hour] == statement.value
    item = _item(event, items)
    if item is None or _sign(event) <= 0:
        return False
    if statement.topic == "format":
        return item.domain == statement.value
    if statement.topic == "price_band":
        band, _, currency = statement.value.partition(" ")
        low, high = map(float, band.split("-"))
        price = item.attributes["price"]
        assert isinstance(price, int | float)
        return event.type in ("purchase", "add_to_cart") and item.attributes["currency"] == currency and low <= price <= high
    names_of = {"brand": ("brand",), "author": ("creator", "author", "outlet")}[statement.topic]
    return any(item.attributes.get(name) == statement.value for name in names_of)
