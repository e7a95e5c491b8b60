"""The pieces a text can be cut into at one place: a fact, a lexicon word, or something neither."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from consumers.texts.grounding_words import GENDER, LEXICON, NEUTRAL, PHRASES, QUOTES, number_words
from consumers.texts.prompt_texts import TEXTS
from schemas.messages import Language, Statement

_SAME = str.maketrans("‘’“”–—‐‑", "''\"\"----")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+(?:[.,]\d+)*")
_HAN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_YEAR = re.compile(r"\s*\(\d{4}\)$")
_TRAILING_ARTICLE = re.compile(r"^(.*), (The|A|An)$")


class Piece(NamedTuple):
    """A stretch of the text. `effect` is the lexicon's, the gender of a gender word, or the fault kind of an unknown one."""

    end: int
    kind: str
    text: str
    effect: str = NEUTRAL
    statements: tuple[int, ...] = ()


class Facts:
    """Statements made ready to be found in a text."""

    def __init__(self, statements: Sequence[Statement], language: Language) -> None:
        self.statements = statements
        self.language = language
        self.index_of = {s.topic: index for index, s in enumerate(statements) if s.stance == "is"}
        self.gender = self._declared("gender")
        age = self._declared("age")
        self.age = int(age) if age is not None and age.isdecimal() else None
        self.spellings: dict[str, tuple[int, ...]] = {}
        for index, statement in enumerate(statements):
            for spelling in _spellings(statement, language):
                self.spellings[spelling] = (*self.spellings.get(spelling, ()), index)
        self.age_pattern = _age_pattern(self.age, language)

    def _declared(self, name: str) -> str | None:
        index = self.index_of.get(name)
        return None if index is None else self.statements[index].value


def fold(text: str) -> str:
    """Lower case and plain quotes and dashes, character by character, so that positions stay the same."""
    lowered = (low if len(low := character.lower()) == 1 else character for character in text)
    return "".join(lowered).translate(_SAME)


def pieces_at(text: str, folded: str, start: int, facts: Facts) -> Iterator[Piece]:
    """Every piece that begins at `start`; there is always at least one."""
    yield from _facts_at(folded, start, facts)
    if folded[start].isspace():
        yield Piece(start + 1, "word", " ")
    elif facts.language == "zh" and _is_han_or_mark(folded[start], facts):
        yield from _chinese_at(folded, start)
    elif folded[start] in fold(QUOTES):
        yield Piece(start + 1, "word", folded[start])
    else:
        for phrase in PHRASES if facts.language == "en" else ():
            if folded.startswith(phrase, start) and _ends_word(folded, start + len(phrase)):
                yield Piece(start + len(phrase), "word", phrase, LEXICON["en"][phrase])
        yield _word_at(text, folded, start, facts)


def _facts_at(folded: str, start: int, facts: Facts) -> Iterator[Piece]:
    for spelling, statements in facts.spellings.items():
        end = start + len(spelling)
        if folded.startswith(spelling, start) and _ends_word(folded, end):
            yield Piece(end, "fact", spelling, statements=statements)
    if facts.age_pattern is not None and (found := facts.age_pattern.match(folded, start)):
        yield Piece(found.end(), "fact", found.group(), statements=(facts.index_of["age"],))


def _word_at(text: str, folded: str, start: int, facts: Facts) -> Piece:
    found = None if _HAN.match(folded[start]) else _WORD.match(folded, start)
    word = found.group() if found else folded[start]
    if found and (han := _HAN.search(word)):
        word = word[: han.start()]
    end = start + len(word)
    gender = GENDER[facts.language].get(word)
    if gender is not None:
        return Piece(end, "gender", word, gender)
    effect = LEXICON[facts.language].get(word) or LEXICON[facts.language].get(word.removesuffix("'s"))
    if effect is not None:
        return Piece(end, "word", word, effect)
    return Piece(end, "unknown", text[start:end], _unknown_kind(text, start, facts.language))


def _chinese_at(folded: str, start: int) -> Iterator[Piece]:
    """Chinese has no spaces: every lexicon word that fits here is a piece."""
    for words, kind in ((LEXICON["zh"], "word"), (GENDER["zh"], "gender")):
        for word, effect in words.items():
            if folded.startswith(word, start):
                yield Piece(start + len(word), kind, word, effect)
    yield Piece(start + 1, "unknown", folded[start], "word")


def _is_han_or_mark(character: str, facts: Facts) -> bool:
    return bool(_HAN.match(character)) or character in LEXICON[facts.language]


def _ends_word(folded: str, end: int) -> bool:
    """Whether a Latin word or a number that ends here is not cut in the middle."""
    if end >= len(folded) or not folded[end].isalnum() or _HAN.match(folded[end]):
        return True
    return not folded[end - 1].isalnum() or bool(_HAN.match(folded[end - 1]))


def _unknown_kind(text: str, start: int, language: Language) -> str:
    character = text[start]
    if character.isnumeric():
        return "number"
    if not character.isalpha():
        return "symbol"
    if bool(_HAN.match(character)) != (language == "zh"):
        return "language"
    return "name" if character.isupper() and text[:start].rstrip()[-1:] not in ("", ".") else "word"


def _spellings(statement: Statement, language: Language) -> set[str]:
    """The ways a fact may be written: as it is, in English a tag also in the plural, a title also without its year."""
    if statement.stance == "habit":
        value, texts = statement.value or "", TEXTS.of(language)
        if statement.topic in ("time_of_day", "format"):
            word = (texts.times if statement.topic == "time_of_day" else texts.formats).get(value, value)
            return {fold(word), fold(value) if language == "en" and statement.topic == "time_of_day" else ""} - {""}
        return {fold(value)} - {""}
    if statement.stance == "is":
        if statement.topic in ("age", "gender"):
            return set()
        return {fold(statement.value or "")} - {""}
    if statement.stance == "viewed":
        return {fold(title).replace('"', mark) for title in _title_spellings(statement.topic) for mark in "\"'"} - {""}
    tag = fold(statement.topic)
    forms = {tag, tag.replace("-", " "), tag.replace("&", "and"), tag.replace("'", "")}
    if language == "en" and tag.isascii() and tag[-1:].isalpha():
        forms |= {form.removesuffix("s") if form.endswith("s") else form + "s" for form in (tag, tag.replace("-", " "))}
    return forms - {""}


def _title_spellings(title: str) -> Iterator[str]:
    """`Saint, The (1997)` is also `Saint, The`, `The Saint` and `The Saint (1997)`."""
    yield title
    year = _YEAR.search(title)
    bare = _YEAR.sub("", title)
    yield bare
    if turned := _TRAILING_ARTICLE.match(bare):
        yield f"{turned[2]} {turned[1]}"
        if year:
            yield f"{turned[2]} {turned[1]}{year.group()}"


def _age_pattern(age: int | None, language: Language) -> re.Pattern[str] | None:
    if age is None:
        return None
    if language == "zh":
        return re.compile(rf"{age}\s?岁")
    words = number_words(age)
    number = rf"(?:{age}|{words}|{words.replace('-', ' ')})"
    return re.compile(rf"{number}[- ]years?[- ]old\b|aged? (?:of )?{number}\b")
