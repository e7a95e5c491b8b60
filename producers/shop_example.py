"""The worked example in each language: user A, 25, male, tags sports, technology, travel, browsed items B, C and D."""

from collections.abc import Iterator

from producers.shop_catalog import TOPICS, ShopItem
from producers.shop_users import ShopUser
from schemas.messages import BehaviorEvent, ConsentControl, Item, Language, UserAttributes, UserControl

TOPIC_KEYS = ("sports", "technology", "travel")
MINUTE_MS = 60_000

DESCRIPTIONS = {
    "en": {
        "B": "A light running jacket with a reflective back, for training in any weather.",
        "C": "A watch that counts steps, answers calls and lasts ten days on one charge.",
        "D": "A cabin-size backpack with a rain cover, made for trips of a week.",
    },
    "zh": {
        "B": "轻薄的跑步外套，背后有反光条，什么天气都能出门训练。",
        "C": "能计步、能接电话的智能手表，充一次电用十天。",
        "D": "登机尺寸的旅行双肩包，自带防雨罩，够装一周的行李。",
    },
}
TAGS = {"B": ("sports",), "C": ("technology", "sports"), "D": ("travel",)}


def user_id(language: Language) -> str:
    """User A's id in a language: user-a-en or user-a-zh."""
    return f"user-a-{language}"


def example_items(published_at_ms: int) -> list[ShopItem]:
    """Items B, C and D in English and in Chinese."""
    return [
        ShopItem(
            Item(
                item_id=f"item-{letter.lower()}-{language}",
                domain="ecommerce",
                language=language,
                title=f"商品{letter}" if language == "zh" else f"Item {letter}",
                description=DESCRIPTIONS[language][letter],
                tags=[TOPICS[key].tag(language) for key in keys],
                published_at_ms=published_at_ms,
            ),
            keys,
        )
        for language in ("en", "zh")
        for letter, keys in TAGS.items()
    ]


def example_user(language: Language, joined_ms: int) -> ShopUser:
    """User A with their true interests."""
    return ShopUser(
        user_id=user_id(language),
        language=language,
        joined_ms=joined_ms,
        interests=((joined_ms, dict.fromkeys(TOPIC_KEYS, 1 / len(TOPIC_KEYS))),),
        attributes=UserAttributes(
            user_id=user_id(language),
            updated_at_ms=joined_ms,
            age=25,
            gender="male",
            language=language,
            tags=[TOPICS[key].tag(language) for key in TOPIC_KEYS],
        ),
        consent=True,
        activity=0.0,
    )


def example_messages(language: Language, joined_ms: int) -> Iterator[UserAttributes | UserControl | BehaviorEvent]:
    """All that user A does, in order of time: declares, consents, views B, C and D a minute apart."""
    user = example_user(language, joined_ms)
    assert user.attributes is not None
    yield user.attributes
    yield ConsentControl(user_id=user.user_id, issued_at_ms=joined_ms, purpose="profile", granted=True)
    for minute, letter in enumerate("BCD", start=1):
        yield BehaviorEvent(
            event_id=f"a-{language}-{letter.lower()}",
            user_id=user.user_id,
            item_id=f"item-{letter.lower()}-{language}",
            type="view",
            event_time_ms=joined_ms + minute * MINUTE_MS,
            domain="ecommerce",
            surface="home",
            session_id=f"a-{language}-1",
        )
