"""The plain profile: statements put into fixed sentences per language. True for every set of facts, and marked `plain`."""

from collections.abc import Sequence

from consumers.texts.parts import Part, parts, sheet_of
from consumers.texts.prompt_texts import TEXTS
from consumers.texts.sentences import clause
from consumers.texts.wording import CONDITION, FIELD_OF_WORK, article, listed, quoted
from schemas.messages import Language, Sentence, Statement

ENGLISH_NOUN = {"male": "man", "female": "woman"}
ENGLISH_CHILD = {"male": "boy", "female": "girl"}
CHINESE_NOUN = {"male": "男性", "female": "女性"}
ADULT_AGE = 18


def plain_text(statements: Sequence[Statement], language: Language) -> list[Sentence]:
    """All the facts: who the user is, likes, dislikes and looked at, then what changed, then habits; empty without facts."""
    apart = [part for part in parts(statements) if part.kind in ("trends", "habits")]
    gone = {i for part in apart for i in part.statements if statements[i].stance == "dislikes"}
    main = [i for i, s in enumerate(statements) if s.stance != "habit" and i not in gone]
    sentences = _main_sentence(statements, language, main, follows=False)
    for part in apart:
        sentences += plain_part(part, statements, language, follows=True)
    return sentences


def plain_part(part: Part, statements: Sequence[Statement], language: Language, follows: bool) -> list[Sentence]:
    """One part of the facts in a sentence; with `follows` it names the user as one after another does."""
    if part.kind not in ("trends", "habits"):
        return _main_sentence(statements, language, part.statements, follows)
    sheet = sheet_of(part, statements, language)
    clauses = [clause(group, names, language, 0) for group, names in sheet.groups]
    if language == "zh":
        text = f"{subject_of(statements, language)}{'，'.join(clauses)}。"
    else:
        text = f"{subject_of(statements, language)} {listed(clauses, 'and')}."
    return [Sentence(text=text, source="plain", statements=list(part.statements))]


def _main_sentence(
    statements: Sequence[Statement], language: Language, indexes: Sequence[int], follows: bool
) -> list[Sentence]:
    facts = _Facts([statements[index] for index in indexes])
    if facts.nothing:
        return []
    name = subject_of(statements, language) if follows else ""
    text = _chinese(facts, name or "该用户") if language == "zh" else _english(facts, name)
    return [Sentence(text=text, source="plain", statements=list(indexes))]


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


def subject_of(statements: Sequence[Statement], language: Language) -> str:
    """How a sentence that follows another one names the user."""
    gender = next(
        (statement.value for statement in statements if statement.topic == "gender" and statement.stance == "is"), ""
    )
    subjects = TEXTS.of(language).subjects
    return subjects.get(gender or "unknown", subjects["unknown"])


def _english(facts: _Facts, subject: str) -> str:
    """`A 25-year-old man interested in A and B, who has looked at C.`, or with a pronoun as subject: `He has looked at C.`"""
    interest = _english_interest(facts)
    viewed = f"has looked at {_english_list(facts.viewed)}" if facts.viewed else ""
    if subject and not facts.declared:
        said = [f"is {interest}" if interest else "", viewed]
        return f"{subject} {' and '.join(each for each in said if each)}."
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
    head = f"{article(words).capitalize()} {words}"
    if facts.location:
        head += f" from {quoted(facts.location, 'en')}"
    if not facts.occupation or condition in CONDITION:
        return head, False
    occupation = quoted(facts.occupation, "en")
    if FIELD_OF_WORK.search(facts.occupation):
        return f"{head}, working in {occupation}", True
    return f"{head}, {article(facts.occupation)} {occupation}", True


def _english_list(names: Sequence[str], joined_by: str = "and") -> str:
    return listed([quoted(name, "en") for name in names], joined_by)


def _chinese(facts: _Facts, subject: str) -> str:
    """`25岁男性，对A、B感兴趣，曾浏览过C。`"""
    said = _chinese_head(facts)
    if facts.likes:
        said.append(f"对{_chinese_list(facts.likes)}感兴趣")
    if facts.dislikes:
        said.append(f"对{_chinese_list(facts.dislikes)}不感兴趣")
    if facts.viewed:
        said.append(f"曾浏览过{_chinese_list(facts.viewed, is_title=True)}")
    if not facts.declared:
        said[0] = subject + said[0]
    return "，".join(said) + "。"


def _chinese_head(facts: _Facts) -> list[str]:
    noun = CHINESE_NOUN.get(facts.gender, "用户")
    age = f"{facts.age}岁" if facts.age else ""
    head = [age + noun] if facts.declared else []
    if facts.location:
        head.append(f"来自{quoted(facts.location, 'zh')}")
    if facts.occupation:
        head.append(f"职业为{quoted(facts.occupation, 'zh')}")
    return head


def _chinese_list(names: Sequence[str], is_title: bool = False) -> str:
    return "、".join(quoted(name, "zh", is_title) for name in names)
