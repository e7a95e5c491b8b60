"""Names to tune on: of such variety that a model learns to copy them, and not the names themselves."""

import random
import re
import tomllib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from consumers.statements.statements import clean
from producers.shop import Shop
from producers.shop_catalog import TOPICS, ShopTopic
from schemas.messages import Language

HELD_OUT_TOPICS = 16
"""So many topics of the phrase books are left for the evaluation: the last ones."""
STOCK: dict[str, Any] = tomllib.loads((Path(__file__).parent / "stock.toml").read_text(encoding="utf-8"))
SYLLABLES, FIRST_NAMES = STOCK["syllables"].split(), STOCK["first_names"].split()


class Names:
    """Draws names with `source`; never a word of the topics held out."""

    def __init__(self, source: random.Random) -> None:
        self.source = source

    @cached_property
    def topics(self) -> list[ShopTopic]:
        """The topics to train on."""
        return list(TOPICS.values())[:-HELD_OUT_TOPICS]

    @cached_property
    def tags(self) -> dict[Language, list[str]]:
        """Tags of the phrase books."""
        return {
            language: [t.tag(language) for t in self.topics]
            + [theme.phrases(language).tag for t in self.topics for theme in t.theme]
            for language in ("en", "zh")
        }

    @cached_property
    def titles(self) -> dict[Language, list[str]]:
        """Titles of the demo shop's items on these topics."""
        keys = {topic.key for topic in self.topics}
        found: dict[Language, list[str]] = {"en": [], "zh": []}
        for shop_item in Shop(seed=self.source.randrange(10**6), users=0).shop_items:
            if keys.issuperset(shop_item.topics):
                found[shop_item.item.language].append(shop_item.item.title)
        return found

    @cached_property
    def words(self) -> list[str]:
        """English words of the phrase books."""
        text = " ".join(theme.en.feature + " " + theme.en.story for topic in self.topics for theme in topic.theme)
        return sorted({word.lower() for word in re.findall(r"[A-Za-z]{3,}", text)})

    def occupation(self, language: Language) -> str:
        """What somebody is or works in."""
        return str(self.source.choice(STOCK["work"][language]))

    def place(self, language: Language) -> str:
        """Where somebody lives."""
        return str(self.source.choice(STOCK["places"][language]))

    def brand(self, language: Language) -> str:
        """A maker's name."""
        known = [brand for topic in self.topics for brand in getattr(topic.brands, language)]
        invented = self._chinese(2, 4) if language == "zh" else self._invented().title()
        return self._one_of(
            (3, lambda: self.source.choice(known)), (2, lambda: invented), (1, lambda: self._invented().title())
        )

    def author(self, language: Language) -> str:
        """A person's name."""
        source = self.source
        chinese: str = source.choice(STOCK["surnames"]) + self._chinese(1, 2)
        english = source.choice(FIRST_NAMES) + (f" {self._invented().title()}" if source.random() < 0.6 else "")
        return chinese if source.random() < (0.8 if language == "zh" else 0.1) else english

    def tag(self, language: Language) -> str:
        """A subject of interest."""
        source = self.source
        if language == "zh":
            return self._one_of(
                (4, lambda: source.choice(self.tags["zh"])),
                (4, lambda: self._chinese(1, 5)),
                (2, lambda: self.tag("en")),
                (1, lambda: source.choice("ABXT") + self._chinese(1, 3)),
            )
        return self._one_of(
            (5, lambda: source.choice(self.tags["en"])),
            (2, lambda: source.choice(self.words)),
            (2, lambda: self._cased(" ".join(source.sample(self.words, 2)))),
            (3, lambda: self._cased(self._invented())),
            (1, lambda: source.choice(STOCK["marked"])),
            (1, lambda: source.choice(self.tags["zh"])),
        )

    def title(self, language: Language) -> str:
        """What an item is called."""
        source = self.source
        if language == "zh":
            return self._one_of(
                (4, lambda: source.choice(self.titles["zh"])),
                (3, lambda: self._chinese_title()),
                (3, lambda: self.title("en")),
                (1, lambda: f"商品{source.choice('BCDEFGHKM')}"),
                (1, lambda: source.choice(STOCK["orders"]["zh"])),
            )
        return self._one_of(
            (4, lambda: source.choice(self.titles["en"])),
            (6, self._film),
            (2, lambda: self._cased(" ".join(source.sample(self.words, source.randint(1, 7))))),
            (1, lambda: f"Item {source.choice('BCDEFGHKM')}"),
            (1, lambda: source.choice(STOCK["orders"]["en"])),
            (1, lambda: source.choice(self.titles["zh"])),
        )

    def _one_of(self, *ways: tuple[float, Callable[[], str]]) -> str:
        drawn = self.source.choices([way for _, way in ways], [weight for weight, _ in ways])[0]()
        return clean(drawn)

    def _film(self) -> str:
        """`Red Harbour, The (1994)` and the like."""
        source = self.source
        pool: Sequence[str] = self.words if source.random() < 0.7 else [self._invented() for _ in range(4)]
        title = " ".join(word.title() for word in source.sample(list(pool), source.randint(1, 4)))
        title += source.choice(
            ["", "", "", f" {source.randint(2, 13)}", ": " + source.choice(self.words).title(), "'s Way", "!"]
        )
        title += source.choice(["", "", "", ", The", ", A"])
        return title + (f" ({source.randint(1922, 2026)})" if source.random() < 0.8 else "")

    def _invented(self) -> str:
        return "".join(self.source.choices(SYLLABLES, k=self.source.randint(2, 4)))

    def _cased(self, text: str) -> str:
        return self.source.choice((str.lower, str.lower, str.title, str.capitalize))(text)

    def _chinese(self, least: int, most: int) -> str:
        """Common characters (GB 2312's first level) put together at random."""
        codes = [
            (self.source.randint(0xB0, 0xD6), self.source.randint(0xA1, 0xFE)) for _ in range(self.source.randint(least, most))
        ]
        return "".join(bytes(code).decode("gb2312") for code in codes)

    def _chinese_title(self) -> str:
        source = self.source
        title = self._chinese(3, 9)
        tail = source.choice(
            [
                "",
                "",
                "，" + self._chinese(3, 7),
                f"{source.randint(2, 99)}件装",
                "（新版）",
                " Pro",
                f"：{self._chinese(2, 5)}",
            ]
        )
        return source.choice(["", "", "", "【新品】"]) + title + tail
