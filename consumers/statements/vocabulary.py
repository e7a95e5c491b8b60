"""What the catalogue can be spoken of with: its tags as they are found in text, and its formats. Kept item by item."""

import re
import unicodedata
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Self, TypeVar

from schemas.messages import Domain, Item

Read = TypeVar("Read")

MAX_TEXT = 4000
"""Characters of a text that are read: all that a message may hold."""
MAX_READINGS = 10_000
"""Texts whose reading is remembered until the tags change."""

_UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af\U00020000-\U0003ffff"
"""Scripts written without spaces between words: each character is a token, so that a tag is found inside a sentence."""
UNSPACED = re.compile(f"[{_UNSPACED}]")
_TOKEN = re.compile(f"[{_UNSPACED}]|[^\\W_{_UNSPACED}]+[+#]*|[\u2600-\u27bf\U0001f300-\U0001faff]")
_NO_PLURAL = re.compile(r"(?:news|[a-z]*ics|[a-z]*ss|new)$")


class Token(NamedTuple):
    """A word, or a character of an unspaced script, with its place in the plain text."""

    text: str
    start: int
    end: int


def plain(text: str) -> str:
    """The text as it is read, at most MAX_TEXT characters: compatibility forms and case folded, invisible characters gone."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text[:MAX_TEXT]).replace("\u2019", "'")
        text = "".join(character for character in text if unicodedata.category(character) not in ("Cf", "Mn", "Cs", "Co"))
    return text[:MAX_TEXT].casefold()[:MAX_TEXT]


def tokens_of(plain_text: str) -> list[Token]:
    """The tokens of a text that went through `plain`."""
    return [Token(found.group(), found.start(), found.end()) for found in _TOKEN.finditer(plain_text)]


@lru_cache(maxsize=50_000)
def _keys(tag: str) -> tuple[tuple[str, ...], ...]:
    """How a tag is looked up: its tokens; then the same in the other number, for a last word in Latin letters."""
    words = tuple(token.text for token in tokens_of(plain(tag)))
    if not words:
        return ()
    last = words[-1]
    if len(last) < 3 or not (last.isascii() and last.isalpha()) or _NO_PLURAL.match(last):
        return (words,)
    other = last[:-1] if last.endswith("s") else last + "s"
    return (words, (*words[:-1], other)) if len(other) >= 3 else (words,)


class Vocabulary:
    """Every tag of a set of items, by its words, and how many items there are of each format.

    What it finds depends on the items alone, not on the order in which they came and went.
    """

    def __init__(self) -> None:
        self.formats: Counter[Domain] = Counter()
        self._uses: Counter[str] = Counter()
        self._spellings: dict[str, set[tuple[bool, str]]] = {}
        self._lengths: dict[str, Counter[int]] = {}
        self._readings: OrderedDict[str, Any] = OrderedDict()

    @classmethod
    def of(cls, items: Iterable[Item]) -> Self:
        """The vocabulary of these items."""
        vocabulary = cls()
        for item in items:
            vocabulary.add(item)
        return vocabulary

    def __len__(self) -> int:
        return len(self._uses)

    def add(self, item: Item) -> None:
        """Take an item's tags and format in."""
        self.formats[item.domain] += 1
        for tag in set(item.tags):
            self._uses[tag] += 1
            if self._uses[tag] == 1:
                self._learn(tag)

    def remove(self, item: Item) -> None:
        """Undo `add` of the same item."""
        self.formats[item.domain] -= 1
        if not self.formats[item.domain]:
            del self.formats[item.domain]
        for tag in set(item.tags):
            self._uses[tag] -= 1
            if not self._uses[tag]:
                del self._uses[tag]
                self._forget(tag)

    def tag_at(self, tokens: Sequence[Token], place: int) -> tuple[int, tuple[str, ...]] | None:
        """The longest tag that begins with this token: its length in tokens, and its spellings, the nearest one first."""
        lengths = self._lengths.get(tokens[place].text)
        if lengths is None:
            return None
        for length in sorted(lengths, reverse=True):
            words = [token.text for token in tokens[place : place + length]]
            spellings = self._spellings.get(" ".join(words))
            if spellings and len(words) == length:
                return length, tuple(tag for _, tag in sorted(spellings))
        return None

    def remembered(self, text: str, read: Callable[[str], Read]) -> Read:
        """What `read` makes of the text with the tags there are now; it is asked once, for the texts used last."""
        found = self._readings.get(text)
        if found is None:
            found = self._readings[text] = read(text)
            if len(self._readings) > MAX_READINGS:
                self._readings.popitem(last=False)
        return found

    def forget_texts(self) -> None:
        """Remember none of the texts that were read: what they say is read again when it is asked for."""
        self._readings.clear()

    def _learn(self, tag: str) -> None:
        self._readings.clear()
        for other_number, words in enumerate(_keys(tag)):
            self._spellings.setdefault(" ".join(words), set()).add((bool(other_number), tag))
            self._lengths.setdefault(words[0], Counter())[len(words)] += 1

    def _forget(self, tag: str) -> None:
        self._readings.clear()
        for other_number, words in enumerate(_keys(tag)):
            key, lengths = " ".join(words), self._lengths[words[0]]
            self._spellings[key].discard((bool(other_number), tag))
            if not self._spellings[key]:
                del self._spellings[key]
            lengths[len(words)] -= 1
            if not lengths[len(words)]:
                del lengths[len(words)]
            if not lengths:
                del self._lengths[words[0]]


NO_WORDS = Vocabulary()
"""The vocabulary of no items: never add to it."""
