"""The plain profile: statements put into a fixed sentence per language. True for every set of facts, and marked `plain`."""

import re
from collections.abc import Sequence

from schemas.messages import Language, Sentence, Statement

ENGLISH_NOUN = {"male": "man", "female": "woman"}
ENGLISH_CHILD = {"male": "boy", "female": "girl"}
ENGLISH_PRONOUN = {"male": "He", "female": "She"}
CHINESE_NOUN = {"male": "男性", "female": "女性"}
ADULT_AGE = 18

FIELD_OF_WORK = re.compile(r"(ing|ment|care|tion|tics|ance|logy|law|it|sales|media)$", re.IGNORECASE)
"""Occupations that name a field ("marketing"), not a person ("technician")."""
CONDITION = frozenset({"retired", "unemployed", "self-employed", "freelance"})
NEEDS_QUOTES = re.compile(r"[,.;:!?&，。、；：！？]|\band\b|\bor\b|\bbut\b|和|与|及|但", re.IGNORECASE)


def plain_text(
    statements: Sequence[Statement], language: Language, indexes: Sequence[int] | None = None, follows: bool = False
) -> list[Sentence]:
    """The facts in one sentence of the language; empty without facts.

    With `indexes` only those statements are written; with `follows` the sentence names the user as one after another does.
    """
    chosen = range(len(statements)) if indexes is None else indexes
    facts = _Facts([statements[index] for index in chosen])
    if facts.nothing:
        return []
    text = _chinese(facts) if language == "zh" else _english(facts, _subject(statements) if follows else "")
    return [Sentence(text=text, source="plain", statements=list(chosen))]


class _Facts:
    """Statements sorted by what they say."""

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.likes = [statement.topic for statement in statements if statement.stance == "likes"]
        self.dislikes = [statement.topic for statement in statements if statement.stance == "dislikes"]
        self.viewed = [statement.topic for statement in statements if statement.stance == "viewed"]
        declared = {statement.topic: statement.value or "" for statement in statements if statement.stance == "is"}
        self.age = declared.get("age", "")
        self.gender = declared.get("gender", "")
        self.occupation = declared.get("occupation", "")
        self.location = declared.get("location", "")

    @property
    def declared(self) -> bool:
        return bool(self.age or self.gender or self.occupation or self.location)

    @property
    def nothing(self) -> bool:
        return not (self.likes or self.dislikes or self.viewed or self.declared)


def _subject(statements: Sequence[Statement]) -> str:
    """How a sentence that follows another one names the user."""
    gender = next(
        (statement.value for statement in statements if statement.topic == "gender" and statement.stance == "is"), ""
    )
    return ENGLISH_PRONOUN.get(gender or "", "This user")


def _english(facts: _Facts, subject: str) -> str:
    """`A 25-year-old man interested in A and B, who has looked at C.`, or with a pronoun as subject: `He has looked at C.`"""
    interest = _english_interest(facts)
    viewed = f"has looked at {_english_list(facts.viewed)}" if facts.viewed else ""
    if subject and not facts.declared:
        parts = [f"is {interest}" if interest else "", viewed]
        return f"{subject} {' and '.join(part for part in parts if part)}."
    head, has_aside = _english_head(facts)
    comma = ", " if has_aside else " "
    text = head + (comma + interest if interest else "")
    if viewed:
        text += (", " if interest or has_aside else " ") + "who " + viewed
    return text + "."


def _english_interest(facts: _Facts) -> str:
    if not facts.likes:
        return f"not interested in {_english_list(facts.dislikes, 'or')}" if facts.dislikes else ""
    unlike = f" but not in {_english_list(facts.dislikes, 'or')}" if facts.dislikes else ""
    return f"interested in {_english_list(facts.likes)}{unlike}"


def _english_head(facts: _Facts) -> tuple[str, bool]:
    """`A 25-year-old man from Berlin, a technician`, and whether it ends in such an aside."""
    child = facts.age.isdigit() and int(facts.age) < ADULT_AGE
    noun = (ENGLISH_CHILD if child else ENGLISH_NOUN).get(facts.gender, "user")
    words = f"{facts.age}-year-old {noun}" if facts.age else noun
    condition = facts.occupation.casefold()
    if condition in CONDITION:
        words = f"{condition} {words}"
    head = f"{_article(words).capitalize()} {words}"
    if facts.location:
        head += f" from {_quoted(facts.location, '“”')}"
    if not facts.occupation or condition in CONDITION:
        return head, False
    occupation = _quoted(facts.occupation, "“”")
    if FIELD_OF_WORK.search(facts.occupation):
        return f"{head}, working in {occupation}", True
    return f"{head}, {_article(facts.occupation)} {occupation}", True


def _article(words: str) -> str:
    first = re.match(r"\d+|\w+", words.casefold())
    word = first.group() if first else ""
    if word.isdigit():
        return "an" if word.startswith("8") or word in ("11", "18") else "a"
    return "an" if word[:1] in set("aeiou") and not word.startswith(("use", "uni", "one", "eu")) else "a"


def _english_list(names: Sequence[str], joined_by: str = "and") -> str:
    quoted = [_quoted(name, "“”") for name in names]
    if len(quoted) < 2:
        return "".join(quoted)
    return f"{', '.join(quoted[:-1])} {joined_by} {quoted[-1]}"


def _chinese(facts: _Facts) -> str:
    """`25岁男性，对A、B感兴趣，曾浏览过C。`"""
    parts = _chinese_head(facts)
    if facts.likes:
        parts.append(f"对{_chinese_list(facts.likes)}感兴趣")
    if facts.dislikes:
        parts.append(f"对{_chinese_list(facts.dislikes)}不感兴趣")
    if facts.viewed:
        parts.append(f"曾浏览过{_chinese_list(facts.viewed)}")
    if not facts.declared:
        parts[0] = "该用户" + parts[0]
    return "，".join(parts) + "。"


def _chinese_head(facts: _Facts) -> list[str]:
    noun = CHINESE_NOUN.get(facts.gender, "用户")
    age = f"{facts.age}岁" if facts.age else ""
    parts = [age + noun] if facts.declared else []
    if facts.location:
        parts.append(f"来自{_quoted(facts.location, '“”')}")
    if facts.occupation:
        parts.append(f"职业为{_quoted(facts.occupation, '“”')}")
    return parts


def _chinese_list(names: Sequence[str]) -> str:
    return "、".join(_quoted(name, "《》") for name in names)


def _quoted(name: str, marks: str) -> str:
    """The name as it is, in quotation marks where its own punctuation would be read as ours."""
    return f"{marks[0]}{name}{marks[1]}" if NEEDS_QUOTES.search(name) else name
