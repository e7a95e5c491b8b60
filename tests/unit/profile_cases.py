"""Statements and states for the tests of profiles."""

from collections.abc import Sequence

from hypothesis import strategies as st

from consumers.statements.statements import clean
from schemas.messages import Cause, EventType, Item, Language, ProfileRequest, Stance, Statement, Trend
from schemas.state import Attributes, HistoryEvent, UserState

Happened = tuple[str, EventType, str]
"""Event id, type, item id."""
CAUSE = Cause(topic="behavior-events", partition=0, offset=1, record_time_ms=1, waiting_since_ms=1)
WORKED_EXAMPLE: dict[Language, tuple[list[str], list[str]]] = {
    "zh": (["运动", "科技", "旅游"], ["商品B", "商品C", "商品D"]),
    "en": (["sports", "technology", "travel"], ["Item B", "Item C", "Item D"]),
}


def facts(
    likes: Sequence[str] = (), dislikes: Sequence[str] = (), viewed: Sequence[str] = (), **declared: str
) -> list[Statement]:
    """Statements as consumers.statements.statements orders them."""
    evidence = ["event:1"]
    return [
        *(Statement(topic=tag, stance="likes", strength=0.4, evidence=evidence) for tag in likes),
        *(Statement(topic=tag, stance="dislikes", strength=0.4, evidence=evidence) for tag in dislikes),
        *(
            Statement(topic=name, stance="is", value=value, strength=1, evidence=[f"field:{name}"])
            for name, value in declared.items()
        ),
        *(Statement(topic=title, stance="viewed", strength=1, evidence=evidence) for title in viewed),
    ]


def told(stance: Stance, topic: str, trend: Trend | None = None, value: str | None = None) -> Statement:
    """One statement."""
    return Statement(topic=topic, stance=stance, value=value, strength=0.4, trend=trend, evidence=["event:1"])


def user_a(language: Language) -> list[Statement]:
    """The worked example: 25, male, three tags, three items."""
    tags, titles = WORKED_EXAMPLE[language]
    return facts(tags, (), titles, age="25", gender="male")


def request(
    user_id: str, statements: Sequence[Statement], language: Language = "en", priority: int = 1, requested_at_ms: int = 1000
) -> ProfileRequest:
    """A request as the profiler makes it."""
    return ProfileRequest(
        user_id=user_id,
        request_id=f"{user_id}-{requested_at_ms}",
        language=language,
        reason="first",
        priority=priority,
        state_version=3,
        event_count=3,
        statements=list(statements),
        requested_at_ms=requested_at_ms,
        cause=CAUSE,
    )


def item(item_id: str, *tags: str, title: str = "", language: Language = "en") -> Item:
    """An item of the catalogue."""
    return Item(item_id=item_id, domain="video", language=language, title=title or f"Title {item_id}", tags=list(tags))


def state_of(*events: Happened, attributes: Attributes | None = None) -> UserState:
    """A state of (event id, type, item id), one hour apart."""
    history = [HistoryEvent(3_600_000 * hour, name, item_id, kind) for hour, (name, kind, item_id) in enumerate(events)]
    counts: dict[str, int] = {kind: sum(event.type == kind for event in history) for kind in {event.type for event in history}}
    return UserState(events=history, type_counts=counts, attributes=attributes, consent={"profile": True})


names = st.text(min_size=1, max_size=90).map(clean).filter(bool)
statement_lists = st.builds(
    facts,
    likes=st.lists(names, max_size=5, unique_by=str.lower),
    dislikes=st.lists(names, max_size=3, unique_by=str.lower),
    viewed=st.lists(names, max_size=3, unique_by=str.lower),
)


HABITS: dict[str, st.SearchStrategy[str]] = {
    "time_of_day": st.sampled_from(["morning", "afternoon", "evening", "night"]),
    "price_band": st.builds(lambda low, width: f"{low}-{low + width} EUR", st.integers(0, 900), st.integers(1, 99)),
    "format": st.sampled_from(["ecommerce", "video", "social", "news"]),
    "brand": names,
    "author": names,
}
LIKES_TRENDS: list[Trend | None] = [None, "new", "rising", "steady", "fading", "reversed"]
DISLIKES_TRENDS: list[Trend | None] = [None, "new", "steady", "reversed"]


@st.composite
def people_who_change(draw: st.DrawFn) -> list[Statement]:
    """Any mixture of facts with trends and habits, in statement order."""
    base = draw(people())
    trends = {"likes": LIKES_TRENDS, "dislikes": DISLIKES_TRENDS}
    changing = [
        s.model_copy(update={"trend": draw(st.sampled_from(trends[s.stance]))}) if s.stance in trends else s for s in base
    ]
    habits = [told("habit", topic, value=value) for topic, values in HABITS.items() if (value := draw(st.none() | values))]
    place = sum(s.stance != "viewed" for s in changing)
    return [*changing[:place], *habits, *changing[place:]]


@st.composite
def people(draw: st.DrawFn) -> list[Statement]:
    """Any mixture of facts, in statement order."""
    declared = {
        "age": draw(st.none() | st.integers(0, 130).map(str)),
        "gender": draw(st.sampled_from([None, "male", "female"])),
        "occupation": draw(st.none() | names),
        "location": draw(st.none() | names),
    }
    base = draw(statement_lists)
    stated = facts(**{name: value for name, value in declared.items() if value})
    return [
        *(s for s in base if s.stance in ("likes", "dislikes")),
        *stated,
        *(s for s in base if s.stance == "viewed"),
    ]
