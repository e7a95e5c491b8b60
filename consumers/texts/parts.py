"""A profile's sentences: which statements each is to tell, what the model words of them, and those facts as clean names."""

from collections.abc import Sequence
from typing import NamedTuple

from consumers.statements.statements import clean
from consumers.texts.prompt_texts import GROUPS, TEXTS, Group, PartKind
from consumers.texts.wording import columns, kind_of_work, quoted
from schemas.messages import Language, Statement

MAX_DISLIKES = 3
MAX_TRENDS = 4
MAX_HABITS = 5
MAX_VIEWED = 3
VIEWED_COLUMNS = 48
"""Titles beyond this width together are left out, but never the newest: each costs time, and a small model loses the third."""
TREND_GROUPS: dict[tuple[str, str], Group] = {
    ("likes", "new"): "new",
    ("likes", "reversed"): "back",
    ("likes", "rising"): "rising",
    ("likes", "fading"): "fading",
    ("dislikes", "reversed"): "gone",
}
MOST_TELLING: tuple[Group, ...] = ("gone", "back", "new", "rising", "fading")


class Part(NamedTuple):
    """What is told together. `statements` are indexes of what it is to say, `basis` also of what its words may rest on."""

    kind: PartKind
    statements: tuple[int, ...]
    basis: tuple[int, ...]


class Sheet(NamedTuple):
    """What a sentence has to say, as it is put to the model; an occupation is a noun, a field of work or a condition."""

    kind: PartKind
    gender: str = ""
    age: str = ""
    occupation: str = ""
    field: str = ""
    condition: str = ""
    location: str = ""
    groups: tuple[tuple[Group, tuple[str, ...]], ...] = ()


def parts(statements: Sequence[Statement]) -> list[Part]:
    """The sentences of a profile, in order: who the user is and likes, what changed, dislikes, habits, what they looked at."""
    of = {
        stance: [i for i, s in enumerate(statements) if s.stance == stance] for stance in ("likes", "dislikes", "is", "viewed")
    }
    trends = _trends(statements)
    chosen: dict[PartKind, list[int]] = {
        "about": [i for i in of["likes"] if i not in trends and statements[i].trend != "fading"] + of["is"],
        "trends": trends,
        "dislikes": [index for index in of["dislikes"] if index not in trends][:MAX_DISLIKES],
        "habits": [i for i, s in enumerate(statements) if s.stance == "habit" and s.topic in GROUPS and s.value][:MAX_HABITS],
        "viewed": _titles_that_fit(statements, of["viewed"]),
    }
    gender = [index for index in of["is"] if statements[index].topic == "gender"]
    if chosen["about"] == gender and any(told for kind, told in chosen.items() if kind != "about"):
        chosen["about"] = []  # the other sentences' pronoun says it
    return [
        Part(kind, tuple(told), tuple(told) if kind == "about" else (*told, *gender)) for kind, told in chosen.items() if told
    ]


def facts_of(part: Part, statements: Sequence[Statement]) -> list[Part]:
    """What the model words of a part, each for itself: who the user is, and every other fact.

    Nothing but the fact decides the words of one, so they are worded once for all users (`consumers.texts.words`).
    """
    declared = tuple(index for index in part.statements if statements[index].stance == "is")
    others = [Part(part.kind, (index,), (index,)) for index in part.statements if index not in declared]
    only_gender = all(statements[index].topic == "gender" for index in declared)
    if not declared or (only_gender and others):  # the pronoun says it
        return others
    return [Part(part.kind, declared, declared), *others]


def sheet_of(part: Part, statements: Sequence[Statement], language: Language) -> Sheet:
    """The part's facts, in the words of the language where they are not names."""
    told = [statements[index] for index in part.basis]
    declared = {s.topic: clean(s.value or "") for s in told if s.stance == "is"}
    work = kind_of_work(declared["occupation"]) if declared.get("occupation") else ""
    occupation = quoted(declared.get("occupation", ""), language)
    groups: dict[Group, list[str]] = {}
    for statement in told:
        if statement.stance != "is":
            groups.setdefault(_group(part.kind, statement), []).append(_name(statement, language))
    return Sheet(
        part.kind,
        gender=gender if (gender := declared.get("gender", "")) in ("male", "female") else "",
        age=declared.get("age", ""),
        occupation=occupation if work == "occupation" else "",
        field=occupation if work == "field" else "",
        condition=occupation if work == "condition" else "",
        location=quoted(declared.get("location", ""), language),
        groups=tuple((group, tuple(groups[group])) for group in GROUPS if group in groups),
    )


def fact_name(fact: Part, statements: Sequence[Statement], language: Language) -> str:
    """The name that the words of a single fact hold."""
    return _name(statements[fact.statements[0]], language)


def _trends(statements: Sequence[Statement]) -> list[int]:
    """What is told as a change, the most telling first to be taken. Where every like is new, that is no news."""
    found: dict[Group, list[int]] = {}
    for index, statement in enumerate(statements):
        group = TREND_GROUPS.get((statement.stance, statement.trend or ""))
        if group is not None:
            found.setdefault(group, []).append(index)
    if all(statement.trend == "new" for statement in statements if statement.stance == "likes"):
        found.pop("new", None)
    taken = [index for group in MOST_TELLING for index in found.get(group, [])][:MAX_TRENDS]
    return [index for group in GROUPS for index in found.get(group, []) if index in taken]


def _titles_that_fit(statements: Sequence[Statement], viewed: Sequence[int]) -> list[int]:
    fitting: list[int] = []
    used = 0
    for index in viewed[:MAX_VIEWED]:
        used += columns(statements[index].topic)
        if fitting and used > VIEWED_COLUMNS:
            break
        fitting.append(index)
    return fitting


def _group(kind: PartKind, statement: Statement) -> Group:
    if kind == "trends":
        return TREND_GROUPS[statement.stance, statement.trend or ""]
    return statement.topic if statement.stance == "habit" else statement.stance  # type: ignore[return-value]


def _name(statement: Statement, language: Language) -> str:
    """How the statement's topic or value stands in a sentence."""
    texts = TEXTS.of(language)
    if statement.stance == "habit":
        value = clean(statement.value or "")
        if statement.topic == "time_of_day":
            return texts.times.get(value, value)
        if statement.topic == "format":
            return texts.formats.get(value, value)
        return quoted(value, language)
    return quoted(clean(statement.topic), language, is_title=statement.stance == "viewed")
