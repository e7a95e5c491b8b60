"""How facts read in a sentence: lists, quotes, articles, and the kinds of occupation."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal

from schemas.messages import Language

FIELD_OF_WORK = re.compile(r"(ing|ment|care|tion|tics|ance|logy|law|it|sales|media)$", re.IGNORECASE)
"""Occupations that name a field ("marketing"), not a person ("technician")."""
CONDITION = frozenset({"retired", "unemployed", "self-employed", "freelance"})
NEEDS_QUOTES = re.compile(r"[,.;:!?&<>{}|=\\，。、；：！？]|\band\b|\bor\b|\bbut\b|和|与|及|但", re.IGNORECASE)


def kind_of_work(occupation: str) -> Literal["condition", "field", "occupation"]:
    """Whether an occupation says how one lives, in what one works, or what one is."""
    if occupation.casefold() in CONDITION:
        return "condition"
    return "field" if FIELD_OF_WORK.search(occupation) else "occupation"


def listed(names: Sequence[str], joined_by: str) -> str:
    """`a, b and c`."""
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {joined_by} {names[-1]}"


def quoted(name: str, language: Language, is_title: bool = False) -> str:
    """The name as it is, in quotation marks where its own words or punctuation would be read as ours."""
    opening, closing = "《》" if is_title and language == "zh" else "“”"
    needed = NEEDS_QUOTES.search(name) or (is_title and (language == "en" or " " in name))
    return f"{opening}{name}{closing}" if needed else name


def article(words: str) -> str:
    """`a` or `an`."""
    first = re.match(r"\d+|\w+", words.casefold())
    word = first.group() if first else ""
    if word.isdigit():
        return "an" if word.startswith("8") or word in ("11", "18") else "a"
    return "an" if word[:1] in set("aeiou") and not word.startswith(("use", "uni", "one", "eu")) else "a"


def columns(text: str) -> int:
    """Width of a text, a Chinese character counting two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
