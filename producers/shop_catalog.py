"""The demo shop's catalogue, composed by seed from the phrase books in shop_phrases/.

Two sources of variety: which theme appears in which domain, and how a phrase is framed. Nothing is translated by machine:
each theme was written once in English and once in Chinese.
"""

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producers.shop_frames import FRAMES, Frames
from schemas.errors import ConfigError
from schemas.messages import Domain, Item, Language

PHRASES_FOLDER = Path(__file__).parent / "shop_phrases"
LANGUAGES: tuple[Language, ...] = ("en", "zh")
DOMAINS: tuple[Domain, ...] = ("ecommerce", "video", "social", "news")
DAY_MS = 86_400_000
CNY_PER_UNIT = 7


class Phrases(BaseModel):
    """What is said of one theme in one language, a phrase for each domain: product, skill, moment, story."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: str
    product: str = Field(description="noun phrase of something sold")
    feature: str = Field(description="a sentence about the product")
    skill: str = Field(description="verb phrase of something to learn")
    moment: str = Field(description="a post, in the first person")
    story: str = Field(description="a headline")


class Theme(BaseModel):
    """A part of a topic, such as hiking of outdoors. `also` are other topics it touches."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    also: tuple[str, ...] = ()
    en: Phrases
    zh: Phrases

    def phrases(self, language: Language) -> Phrases:
        """The theme in a language."""
        return self.zh if language == "zh" else self.en


class Brands(BaseModel):
    """Invented names of makers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    en: tuple[str, ...] = Field(min_length=1)
    zh: tuple[str, ...] = Field(min_length=1)


class ShopTopic(BaseModel):
    """Something people are interested in. Its English and its Chinese tag are the same topic."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    en: str
    zh: str
    price: tuple[float, float]
    brands: Brands
    theme: tuple[Theme, ...] = Field(min_length=4)

    def tag(self, language: Language) -> str:
        """The topic's tag in a language."""
        return self.zh if language == "zh" else self.en


def _read_topics() -> dict[str, ShopTopic]:
    topics: dict[str, ShopTopic] = {}
    for path in sorted(PHRASES_FOLDER.glob("*.toml")):
        try:
            found = [ShopTopic.model_validate(raw) for raw in tomllib.loads(path.read_text(encoding="utf-8"))["topic"]]
        except (KeyError, tomllib.TOMLDecodeError, ValidationError) as error:
            raise ConfigError(f"phrase book {path}: {error}") from error
        topics.update((topic.key, topic) for topic in found)
    if not topics:
        raise ConfigError(f"no phrase books in {PHRASES_FOLDER}; is Portrait installed with its data files?")
    return topics


TOPICS: Mapping[str, ShopTopic] = _read_topics()
"""Every topic by its key, with its English and Chinese tag and its themes."""


@cache
def topic_of_tag() -> Mapping[str, str]:
    """The topic key of every topic tag and theme tag, in both languages."""
    tags = {topic.tag(language): topic.key for topic in TOPICS.values() for language in LANGUAGES}
    for topic in TOPICS.values():
        for theme in topic.theme:
            tags.update((theme.phrases(language).tag, topic.key) for language in LANGUAGES)
    return tags


@dataclass(frozen=True)
class ShopItem:
    """An item with the topics it is really about, the main one first."""

    item: Item
    topics: tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """What one item is made of."""

    topic: ShopTopic
    theme: Theme
    domain: Domain
    language: Language

    @property
    def phrases(self) -> Phrases:
        """The theme's phrases in the item's language."""
        return self.theme.phrases(self.language)

    @property
    def frames(self) -> Frames:
        """The sentence frames of the item's language."""
        return FRAMES[self.language]


def compose_items(seed: int, start_ms: int, days: int, per_topic: int = 10) -> list[ShopItem]:
    """`per_topic` items (8 to 16) a topic and language; the same for the same arguments.

    Most are out at `start_ms`, some appear in the `days` after it, and some are on offer for a part of that time only.
    """
    items = []
    for topic in TOPICS.values():
        for language in LANGUAGES:
            source = random.Random(f"shop items {seed} {topic.key} {language}")
            for number, (theme, domain) in enumerate(_choose_cells(source, topic, per_topic), start=1):
                cell = Cell(topic, theme, domain, language)
                items.append(_compose(source, cell, f"{topic.key}-{language}-{number:02d}", start_ms, days))
    return items


def _choose_cells(source: random.Random, topic: ShopTopic, count: int) -> list[tuple[Theme, Domain]]:
    """Every theme and every domain at least twice; the rest by chance."""
    themes, domains = list(topic.theme), list(DOMAINS)
    source.shuffle(themes)
    source.shuffle(domains)
    chosen = [(themes[i % len(themes)], domains[(i + step) % 4]) for i in range(4) for step in (0, 1)]
    others = [(theme, domain) for theme in themes for domain in domains if (theme, domain) not in chosen]
    source.shuffle(others)
    return (chosen + others)[:count]


def _compose(source: random.Random, cell: Cell, item_id: str, start_ms: int, days: int) -> ShopItem:
    title, description, attributes = _TEXTS[cell.domain](source, cell)
    published_at_ms = start_ms - source.randrange(90 * DAY_MS)
    if source.random() < 0.15:
        published_at_ms = start_ms + source.randrange(days * DAY_MS * 3 // 4)
    available_from_ms, available_until_ms = None, None
    if cell.domain in ("ecommerce", "news") and source.random() < 0.15:
        available_from_ms = published_at_ms
        available_until_ms = max(start_ms, published_at_ms) + source.randrange(days * DAY_MS // 4, days * DAY_MS)
    item = Item(
        item_id=item_id,
        domain=cell.domain,
        language=cell.language,
        title=title,
        description=description,
        tags=_tags(source, cell),
        attributes=attributes,
        published_at_ms=published_at_ms,
        available_from_ms=available_from_ms,
        available_until_ms=available_until_ms,
    )
    return ShopItem(item, (cell.topic.key, *cell.theme.also))


def _tags(source: random.Random, cell: Cell) -> list[str]:
    others = [TOPICS[key].tag(cell.language) for key in cell.theme.also]
    tags = [cell.topic.tag(cell.language), cell.phrases.tag, *others]
    if not others and source.random() < 0.4:
        tags.append(source.choice(cell.frames.domain_tags[cell.domain]))
    return tags


Text = tuple[str, str, dict[str, str | float | int | bool]]


def _ecommerce(source: random.Random, cell: Cell) -> Text:
    phrases, low_high = cell.phrases, cell.topic.price
    brand = source.choice(cell.topic.brands.zh if cell.language == "zh" else cell.topic.brands.en)
    price = low_high[0] * (low_high[1] / low_high[0]) ** source.random()
    joint = "" if cell.language == "zh" else " "
    closing = source.choice(cell.frames.offers).format(tag=phrases.tag, topic=cell.topic.tag(cell.language))
    return (
        f"{brand}{joint}{phrases.product}",
        f"{phrases.feature}{joint}{closing}",
        {"brand": brand, **_price(price, cell.language)},
    )


def _price(price: float, language: Language) -> dict[str, str | float | int | bool]:
    if language == "zh":
        return {"price": float(round(price * CNY_PER_UNIT)), "currency": "CNY"}
    return {"price": round(price) - 0.01, "currency": "EUR"}


def _video(source: random.Random, cell: Cell) -> Text:
    phrases, minutes = cell.phrases, source.randrange(4, 31)
    words = {"skill": phrases.skill, "tag": phrases.tag, "topic": cell.topic.tag(cell.language)}
    return (
        source.choice(cell.frames.video_titles).format(**words),
        source.choice(cell.frames.video_texts).format(**words),
        {"creator": source.choice(cell.frames.people), "minutes": minutes},
    )


def _social(source: random.Random, cell: Cell) -> Text:
    phrases, frames = cell.phrases, cell.frames
    hashtags = " ".join("#" + tag.replace(" ", "") for tag in (cell.topic.tag(cell.language), phrases.tag))
    return phrases.moment, f"{source.choice(frames.calls)} {hashtags}", {"author": source.choice(frames.people)}


def _news(source: random.Random, cell: Cell) -> Text:
    words = {"tag": cell.phrases.tag, "topic": cell.topic.tag(cell.language)}
    outlet = source.choice(cell.frames.outlets)
    joint = "" if cell.language == "zh" else " "
    lead = source.choice(cell.frames.news_leads).format(story=cell.phrases.story, outlet=outlet)
    closing = source.choice(cell.frames.news_closings).format(**words)
    return cell.phrases.story, f"{lead}{joint}{closing}", {"outlet": outlet, "author": source.choice(cell.frames.people)}


_TEXTS = {"ecommerce": _ecommerce, "video": _video, "social": _social, "news": _news}
