"""Reads a published text by itself: are all its numbers and entities the user's, and is each told with the right polarity?

A second method beside the guard's (consumers/grounding*), with no code of it: names are cut out of the text longest first,
and what is left must be plain function words (function_words.toml).
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from schemas.messages import Language, Statement

Kind = Literal["number", "entity", "polarity"]


class TextFault(NamedTuple):
    """Something in a text that is not the user's, or is told the wrong way round."""

    kind: Kind
    words: str


class Named(NamedTuple):
    """A name found in a text, and where."""

    start: int
    end: int
    name: str


@dataclass
class TextReport:
    """How much a text says, and what of it is wrong."""

    numbers: int = 0
    entities: int = 0
    faults: list[TextFault] = field(default_factory=list)

    def wrong(self, kind: Kind) -> int:
        """Faults of a kind."""
        return sum(fault.kind == kind for fault in self.faults)


_WORDS = tomllib.loads(Path(__file__).with_name("function_words.toml").read_text(encoding="utf-8"))
ENGLISH_WORDS = frozenset(_WORDS["en"].split())
CHINESE_WORDS = sorted(_WORDS["zh"].split(), key=len, reverse=True)
"""What texts may say beside the user's facts: nothing that names a thing."""

MARKS = " \t\n.,;:!?()'\"“”‘’《》「」、，。；：！？（）·-–—…/&"
NEGATIVE = {
    "en": re.compile(r"\b(?:not|no longer|never|dislikes?|disliked|lost interest|hates?)\b"),
    "zh": re.compile(r"不感兴趣|没有兴趣|没兴趣|不喜欢|不再|讨厌|失去"),
}
POSITIVE_ENGLISH = re.compile(
    r"\b(?:interested|likes?|enjoys?|interest|looked|viewed|browsed|is|has|tends|often|usually|mostly|works|prefers|chooses)\b"
)
BREAKS = {"en": re.compile(r"[.;!?](?:\s|$)"), "zh": re.compile(r"[。；，,;！？!?]|但|而")}


def check_text(text: str, statements: Sequence[Statement], language: Language, world: Iterable[str] = ()) -> TextReport:
    """The report on one text. `world` are `telling_names` of the catalogue and of other users, which it may not use."""
    facts = names_of(statements, language)
    found = find_names(text, facts)
    report = TextReport(entities=len(found))
    rest = _without(text, found)
    _check_numbers(text, rest, found, facts, report)
    _check_entities(rest, language, world, report)
    _check_polarity(text, found, statements, language, report)
    return report


TIMES = {
    "en": {"morning": "morning", "afternoon": "afternoon", "evening": "evening", "night": "night"},
    "zh": {"morning": "早上", "afternoon": "下午", "evening": "晚上", "night": "深夜"},
}
FORMATS = {
    "en": {"ecommerce": "products", "video": "videos", "social": "posts", "news": "news"},
    "zh": {"ecommerce": "商品", "video": "视频", "social": "帖子", "news": "新闻"},
}


def names_of(statements: Sequence[Statement], language: Language) -> dict[str, list[Statement]]:
    """Every name that the statements hold, with those that hold it."""
    facts: dict[str, list[Statement]] = {}
    for statement in statements:
        name = statement.topic if statement.value is None else statement.value
        if statement.stance == "is" and statement.topic == "gender":
            continue  # told by pronouns
        if statement.stance == "habit":
            name = {"time_of_day": TIMES, "format": FORMATS}.get(statement.topic, {}).get(language, {}).get(name, name)
        facts.setdefault(folded(name), []).append(statement)
    return facts


def find_names(text: str, facts: Iterable[str]) -> list[Named]:
    """Names in the text, the longest first, none within another, each at word boundaries where it is Latin."""
    low, taken, found = folded(text), [False] * len(text), list[Named]()
    for name in sorted(facts, key=len, reverse=True):
        start = low.find(name) if name else -1
        while start >= 0:
            end = start + len(name)
            if not any(taken[start:end]) and _whole(low, start, end):
                taken[start:end] = [True] * (end - start)
                found.append(Named(start, end, name))
            start = low.find(name, start + 1)
    return sorted(found)


def folded(text: str) -> str:
    """Lower case, character by character, so that places in the text stay."""
    return "".join(low if len(low := character.lower()) == 1 else character for character in text)


def _whole(text: str, start: int, end: int) -> bool:
    """Whether no Latin word or number is cut at either end."""
    return not (_joins(text[start - 1 : start], text[start]) or _joins(text[end - 1], text[end : end + 1]))


def _joins(left: str, right: str) -> bool:
    both = left + right
    return len(both) == 2 and both.isalnum() and both.isascii()


def _without(text: str, found: Sequence[Named]) -> str:
    """The text with a mark where a name was."""
    parts, at = [], 0
    for name in found:
        parts += [text[at : name.start], " \0 "]
        at = name.end
    return "".join([*parts, text[at:]])


def _check_numbers(
    text: str, rest: str, found: Sequence[Named], facts: dict[str, list[Statement]], report: TextReport
) -> None:
    """Digits outside of the user's names are no fact of theirs; so are ages spelt in words."""
    report.numbers = len(re.findall(r"\d+", text))
    report.faults += [TextFault("number", number) for number in re.findall(r"\d+(?:[.,]\d+)*", rest)]
    ages = {name for name, own in facts.items() if any(s.topic == "age" and s.stance == "is" for s in own)}
    told = _without(text, [name for name in found if name.name not in ages])
    for age in re.finditer(r"(\d+)[- ]?(?:year|岁)|aged (\d+)", told):
        if (age.group(1) or age.group(2)) not in ages:
            report.faults.append(TextFault("number", age.group()))
    for spelt in re.finditer(r"[一二三四五六七八九十百]+岁|\b(?:twenty|thirty|forty|fifty|sixty|seventy)\b", rest.lower()):
        report.faults.append(TextFault("number", spelt.group()))


def _check_entities(rest: str, language: Language, world: Iterable[str], report: TextReport) -> None:
    """Words left that are no function words, and known names of others, are entities that no fact bears out."""
    words = [word.strip(MARKS) for word in re.split(r"[\s\0]+|(?<=[a-z])-(?=[a-z])", rest)]
    left = [part for word in words if word for part in _foreign(word, language)]
    report.faults += [TextFault("entity", word) for word in left]
    report.entities += len(left)
    for other in find_names(rest, world):
        report.faults.append(TextFault("entity", other.name))


def telling_names(names: Iterable[str], language: Language) -> frozenset[str]:
    """The names, folded, without those that could be our own words."""
    return frozenset(folded(name) for name in names if _is_telling(name, language))


def _is_telling(name: str, language: Language) -> bool:
    """Whether the name could not be one of our own words."""
    low = folded(name).strip()
    if not low or all(part in ENGLISH_WORDS for part in low.split()):
        return False
    return low not in CHINESE_WORDS and not (language == "zh" and len(low) < 2)


def _foreign(word: str, language: Language) -> list[str]:
    """What of a word is not ours."""
    if language == "en":
        parts = [part for part in re.split(r"[^\w]+|_", word) if part]
        return [part for part in parts if part.lower() not in ENGLISH_WORDS and not part.isdigit()]
    rest = word
    for known in CHINESE_WORDS:
        rest = rest.replace(known, " ")
    return [part for part in re.split(r"[\s\W\d_]+", rest) if part]


def _check_polarity(
    text: str, found: Sequence[Named], statements: Sequence[Statement], language: Language, report: TextReport
) -> None:
    """Each name told as liked, or denied, must be so in a statement."""
    facts = names_of(statements, language)
    places = [(name.start, name.end) for name in found]
    for name in found:
        negated = is_negated(text, (name.start, name.end), language, places)
        if not any((statement.stance == "dislikes") == negated for statement in facts[name.name]):
            report.faults.append(TextFault("polarity", ("not " if negated else "") + name.name))


Span = tuple[int, int]


def is_negated(text: str, place: Span, language: Language, names: Sequence[Span] = ()) -> bool:
    """Whether the text denies an interest in what stands at this place. Words within `names` are not the text's own."""
    masked = list(folded(text))
    for start, end in (*names, place):
        masked[start:end] = "\0" * (end - start)
    return (_negated_english if language == "en" else _negated_chinese)("".join(masked), *place)


def _negated_english(text: str, start: int, end: int) -> bool:
    """The nearest verb before the name, in its sentence, decides."""
    starts = [0, *(found.end() for found in BREAKS["en"].finditer(text, 0, start))]
    before = text[max(starts) : start]
    denied = [found.end() for found in NEGATIVE["en"].finditer(before)]
    if not denied:
        return False
    after = before[denied[-1] :]
    return _governs(after)


def _governs(words: str) -> bool:
    """Whether a denial still holds after these words: over the verb that follows it, and not over a second one."""
    verbs = list(POSITIVE_ENGLISH.finditer(words))
    if not verbs:
        return True
    return len(verbs) == 1 and re.fullmatch(r"\W*(?:in\W+)?(?:an?\W+)?(?:longer\W+)?", words[: verbs[0].start()]) is not None


def _negated_chinese(text: str, start: int, end: int) -> bool:
    """A word of denial in the name's clause, wherever it stands."""
    starts = [0, *(found.end() for found in BREAKS["zh"].finditer(text, 0, start))]
    ends = [found.start() for found in BREAKS["zh"].finditer(text, end)]
    return NEGATIVE["zh"].search(text[max(starts) : min(ends, default=len(text))]) is not None


def invisible(text: str) -> str:
    """Characters of a text that steer its reader's screen: controls, direction marks, zero-width ones."""
    return "".join(character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs"))
