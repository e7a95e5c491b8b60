"""One sentence of what the model said of several facts: "likes chess", "likes tea" and "enjoys film" become "She likes chess
and tea, and enjoys film." (text generation calls it aggregation). Nothing is added but the subject and what joins."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from consumers.texts.prompt_texts import TEXTS
from consumers.texts.wording import listed
from schemas.messages import Language

_DENIES = re.compile(r"\b(?:not|no|never|neither)\b|n't\b")
"""English verbs after which a list is joined by "or"."""
_ENDS_OR_SUBJECTS = re.compile(r"[.!?:;。！？：；]|\b(?:this user|they|he|she|who)\b|[他她]|用户", re.IGNORECASE)
"""What the words of a clause do not hold beside its name."""


class Clause(NamedTuple):
    """What is said of one fact: the words without subject and full stop, and the name in them."""

    words: str
    name: str


def clause_in(text: str, name: str, language: Language) -> str | None:
    """The words of a sentence about "This user" and a name, without subject and full stop; None when it is not such a one."""
    subject, stop = (TEXTS.of(language).subjects["unknown"], "。") if language == "zh" else ("This user ", ".")
    if not text.endswith(stop) or not (text.startswith(subject) or language == "zh"):  # 曾浏览过… has no subject
        return None
    words = text.removesuffix(stop).removeprefix(subject)
    before, _, after = words.rpartition(name)
    begins = words[:1].isalnum() or words.startswith(name)
    return words if begins and not _ENDS_OR_SUBJECTS.search(f"{before} {after}") else None


def joined(clauses: Sequence[Clause], subject: str, language: Language) -> str:
    """The sentence that says all of them, in their order; those that differ in the name alone share their words."""
    told: dict[tuple[str, str], list[str]] = {}
    for words, name in clauses:
        before, found, after = words.rpartition(name)  # the last: "has started to like art"
        told.setdefault((before, after) if found else (words, ""), []).append(found)
    phrases = [_phrase(before, names, after, language) for (before, after), names in told.items()]
    if language == "zh":
        return f"{subject}{'，'.join(phrases)}。"
    return f"{subject} {and_joined(phrases)}."


def and_joined(phrases: Sequence[str]) -> str:
    """`likes a and b, and enjoys c`: phrases may hold lists of their own."""
    if len(phrases) == 1:
        return phrases[0]
    comma = "," if len(phrases) > 2 or any(word in phrases[0] for word in (" and ", " or ")) else ""
    return f"{', '.join(phrases[:-1])}{comma} and {phrases[-1]}"


def _phrase(before: str, names: Sequence[str], after: str, language: Language) -> str:
    if language == "zh":
        return before + "、".join(names) + after
    return before + listed(names, "or" if _DENIES.search(before) else "and") + after
