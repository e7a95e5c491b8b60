"""Does the cited evidence bear a statement out? Judged from the raw messages and the catalogue alone.

A second method: it shares no code with what computes statements or checks texts (consumers). For the demo shop it also knows
what every item is really about, so evidence that only seems to be on the topic is seen.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from producers.shop import Shop, Timed
from producers.shop_catalog import topic_of_tag
from producers.shop_frames import FRAMES
from schemas.messages import BehaviorEvent, EditControl, Item, Statement, UserAttributes

FOR = frozenset({"view", "click", "play", "like", "favorite", "share", "follow", "add_to_cart", "purchase"})
AGAINST = frozenset({"return", "skip", "dislike", "not_interested"})
BLAME = frozenset(remark for frames in FRAMES.values() for remark in frames.bad_comments)
DOMAIN_TAGS = frozenset(tag for frames in FRAMES.values() for tags in frames.domain_tags.values() for tag in tags)
"""Tags of the demo shop that are of no topic."""
MOST = 0.5
"""A habit must hold in more than half of what could show it."""
HOURS = {"morning": (5, 12), "afternoon": (12, 17), "evening": (17, 22)}
MAKERS = {"brand": ("brand",), "author": ("creator", "author", "outlet")}


@dataclass(frozen=True)
class Facts:
    """What is known of a user from outside: their messages before the text, and the catalogue."""

    messages: Sequence[Timed]
    items: Mapping[str, Item]
    shop: Shop | None = None
    utc_offset_h: float = 0.0
    events: dict[str, BehaviorEvent] = field(init=False)
    attributes: UserAttributes | None = field(init=False)

    def __post_init__(self) -> None:
        events = [message for message in self.messages if isinstance(message, BehaviorEvent)]
        declared = [message for message in self.messages if isinstance(message, UserAttributes)]
        object.__setattr__(self, "events", {event.event_id: event for event in events})
        object.__setattr__(self, "attributes", declared[-1] if declared else None)

    def item_of(self, event: BehaviorEvent) -> Item | None:
        """The event's item, if it is in the catalogue."""
        return self.items.get(event.item_id) if event.item_id else None


def plain(text: str) -> str:
    """A text for comparison: compatibility forms and case folded, what does not print left out, spaces single."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(c if c.isprintable() else " " if c.isspace() else "" for c in folded).split())


def same(name: str, original: str) -> bool:
    """Whether a statement's name is the original's, which may have been cut at its end."""
    name, original = plain(name), plain(original)
    return name == original or (name.endswith(("…", "...")) and original.startswith(name.rstrip(".… ")))


def faults_of(statement: Statement, facts: Facts) -> list[str]:
    """What is wrong with a statement's evidence; empty: it is supported."""
    if not statement.evidence:
        return ["no evidence"]
    judge = _JUDGES[statement.stance]
    found = [fault for one in statement.evidence if (fault := _fault(one, statement, facts, judge))]
    if statement.stance == "habit" and not found:
        found += _not_a_habit(statement, facts)
    if statement.stance in ("likes", "dislikes") and not found:
        found += _overruled(statement, facts)
    return found


Judge = Callable[[str, str, Statement, Facts], bool]


def _fault(evidence: str, statement: Statement, facts: Facts, judge: Judge) -> str:
    kind, _, name = evidence.partition(":")
    if kind == "event" and name not in facts.events:
        return f"{evidence} is no event of the user"
    if kind not in ("event", "field"):
        return f"{evidence} names neither an event nor a field"
    return "" if judge(kind, name, statement, facts) else f"{evidence} does not say so"


def _speaks(kind: str, name: str, statement: Statement, facts: Facts) -> bool:
    """Whether it speaks for a like, or against for a dislike."""
    wanted = 1 if statement.stance == "likes" else -1
    if kind == "field":
        return _field_speaks(name, statement.topic, facts) == wanted
    event = facts.events[name]
    item = facts.item_of(event)
    if event.text is not None and event.type == "comment" and plain(statement.topic) in plain(event.text):
        return True  # said in words; how they are read is judged by the reversal cases
    return item is not None and _is_about(item, statement.topic, facts) and sign_of(event) == wanted


def sign_of(event: BehaviorEvent) -> int:
    """What an event says of its item: 1, -1 or 0."""
    if event.type == "rating":
        return 0 if event.value is None else (event.value > 3) - (event.value < 3)
    if event.type == "comment":
        return -1 if event.text in BLAME else 1
    return 1 if event.type in FOR else -1 if event.type in AGAINST else 0


def _is_about(item: Item, tag: str, facts: Facts) -> bool:
    """Whether the item carries the tag, and in the demo shop is really about its topic."""
    if not any(same(tag, own) for own in item.tags):
        return False
    topic = topic_of_tag().get(tag)
    known = facts.shop is not None and topic is not None and tag not in DOMAIN_TAGS
    return not known or topic in facts.shop.topics_of(item.item_id)  # type: ignore[union-attr]


def _field_speaks(name: str, tag: str, facts: Facts) -> int:
    declared = facts.attributes
    if name == "edits":
        edits = [one for one in facts.messages if isinstance(one, EditControl) and same(tag, one.topic)]
        return {"interested": 1, "not_interested": -1}.get(edits[-1].stance, 0) if edits else 0
    if declared is None:
        return 0
    if name == "tags":
        return int(any(same(tag, own) for own in declared.tags))
    if name == "answers":
        return next((1 if likes else -1 for own, likes in declared.answers.items() if same(tag, own)), 0)
    if name == "free_text" and declared.free_text and plain(tag) in plain(declared.free_text):
        return -1 if _denies(plain(declared.free_text), plain(tag)) else 1
    return 0


def _denies(text: str, tag: str) -> bool:
    """A plain reading: a word of denial in the tag's own clause."""
    for mark in ".。；;!！?？":
        text = text.replace(mark, "\n")
    clauses = [clause for clause in text.split("\n") if tag in clause]
    return any(
        word in clause for clause in clauses for word in ("not ", "n't ", "no longer", "hate", "不再", "不喜欢", "没兴趣")
    )


def _overruled(statement: Statement, facts: Facts) -> list[str]:
    """The user's last edit or mute says otherwise."""
    for message in reversed(facts.messages):
        if isinstance(message, EditControl) and same(statement.topic, message.topic):
            against = {"likes": "not_interested", "dislikes": "interested"}[statement.stance]
            return [f"the user's edit says {message.stance}"] if message.stance == against else []
    return []


def _declares(kind: str, name: str, statement: Statement, facts: Facts) -> bool:
    value = getattr(facts.attributes, name, None) if kind == "field" and name == statement.topic else None
    return value is not None and same(statement.value or "", str(value))


def _shows(kind: str, name: str, statement: Statement, facts: Facts) -> bool:
    event = facts.events.get(name) if kind == "event" else None
    item = facts.item_of(event) if event else None
    return event is not None and item is not None and same(statement.topic, item.title) and sign_of(event) >= 0


def _fits_habit(kind: str, name: str, statement: Statement, facts: Facts) -> bool:
    event = facts.events.get(name) if kind == "event" else None
    return event is not None and _fits(event, statement, facts)


def _fits(event: BehaviorEvent, statement: Statement, facts: Facts) -> bool:
    """Whether an event goes with a habit."""
    item, value = facts.item_of(event), statement.value or ""
    if statement.topic == "time_of_day":
        return _part_of_day(event, facts.utc_offset_h) == value
    if item is None:
        return False
    if statement.topic == "format":
        return item.domain == value
    if statement.topic == "price_band":
        price, (low, high, currency) = item.attributes.get("price"), _band(value)
        return isinstance(price, int | float) and low <= price <= high and item.attributes.get("currency") == currency
    return any(same(value, str(item.attributes.get(key, ""))) for key in MAKERS.get(statement.topic, ()))


def _band(value: str) -> tuple[float, float, str]:
    """`20-50 EUR` as numbers; an impossible band when it is not one."""
    ends, _, currency = value.partition(" ")
    low, _, high = ends.partition("-")
    try:
        return float(low), float(high), currency
    except ValueError:
        return 1.0, 0.0, currency


def _part_of_day(event: BehaviorEvent, utc_offset_h: float) -> str:
    hour = (datetime.fromtimestamp(event.event_time_ms / 1000, UTC) + timedelta(hours=utc_offset_h)).hour
    return next((name for name, (start, end) in HOURS.items() if start <= hour < end), "night")


def _not_a_habit(statement: Statement, facts: Facts, newest: int = 50) -> list[str]:
    """Whether most of the newest events that could show the habit show another."""
    able = [event for event in list(facts.events.values())[-newest:] if _could_show(event, statement, facts)]
    share = sum(_fits(event, statement, facts) for event in able) / len(able) if able else 0.0
    return [] if share > MOST else [f"holds in {share:.0%} of {len(able)} events"]


def _could_show(event: BehaviorEvent, statement: Statement, facts: Facts) -> bool:
    item = facts.item_of(event)
    if statement.topic == "time_of_day":
        return True
    if item is None or sign_of(event) <= 0:
        return False
    if statement.topic == "format":
        return True
    if statement.topic == "price_band":
        return event.type in ("purchase", "add_to_cart") and "price" in item.attributes
    return any(key in item.attributes for key in MAKERS.get(statement.topic, ()))


_JUDGES: Mapping[str, Judge] = {
    "likes": _speaks,
    "dislikes": _speaks,
    "is": _declares,
    "habit": _fits_habit,
    "viewed": _shows,
}


def true_likes(likes: Sequence[Statement], shop: Shop, user_id: str, time_ms: int) -> tuple[int, int]:
    """How many liked topics the shop's truth confirms, and how many it knows: (right, known)."""
    truth = shop.truth(user_id, time_ms)
    topics = {topic for like in likes if (topic := topic_of_tag().get(like.topic)) is not None}
    return sum(topic in truth for topic in topics), len(topics)
