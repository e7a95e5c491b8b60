"""Pairs of a prompt and the sentence it asks for, invented by seed. Each sentence passes the grounding check."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from consumers.texts.grounding import Fault, read
from consumers.texts.parts import Part, parts, sheet_of
from consumers.texts.profile_jobs import must_name
from consumers.texts.prompt_texts import VARIANTS, PartKind
from consumers.texts.prompts import CHATML, ChatTemplate, prompt_of
from consumers.texts.sentences import sentence
from deploy.tuning.names import Names
from schemas.messages import Language, Stance, Statement, Trend

SHARE_CORRECTED = 0.08
"""So many prompts name the faults of an attempt before, as a second attempt's do."""
CURRENCIES = ("EUR", "CNY", "USD", "GBP")
KINDS: tuple[PartKind, ...] = ("about", "trends", "dislikes", "habits", "viewed")
KIND_WEIGHTS = (5, 4, 2, 3, 4)


class Pair(NamedTuple):
    """One example. `answer` is without the token that ends a turn."""

    prompt: str
    answer: str
    language: Language
    kind: PartKind


def make_pairs(seed: int, count: int, template: ChatTemplate = CHATML) -> Iterator[Pair]:
    """`count` pairs, half of them Chinese; the same for the same seed.

    Raises:
        AssertionError: a sentence does not pass the grounding check, which is a fault of the wordings or the check.
    """
    source = random.Random(f"narrator pairs {seed}")
    names = Names(source)
    for index in range(count):
        language: Language = "zh" if index % 2 else "en"
        yield _pair(source, names, language, template)


def invent_statements(
    source: random.Random, names: Names, language: Language, kind: PartKind | None = None
) -> list[Statement]:
    """What might hold of somebody; with `kind` only what such a sentence tells."""
    wanted = set(KINDS) if kind is None else {kind}
    found: list[Statement] = []
    if "about" in wanted:
        found += _likes(names, language, source.choice((0, 1, 1, 2, 2, 3, 3, 3, 3)), [None])
    if "trends" in wanted:
        found += _likes(names, language, source.choice((0, 1, 1, 2, 3)), ["new", "rising", "fading", "reversed", "steady"])
        found += _dislikes(names, language, source.choice((0, 1, 1, 2)), "reversed")
    if "dislikes" in wanted:
        found += _dislikes(names, language, source.randint(1, 3), None)
    found += _declared(source, names, language, whole="about" in wanted)
    if "habits" in wanted:
        found += _habits(source, names, language)
    if "viewed" in wanted:
        found += [_said("viewed", title) for title in _different(lambda: names.title(language), source.randint(1, 3))]
    return sorted(found, key=lambda statement: ("likes", "dislikes", "is", "habit", "viewed").index(statement.stance))


def _pair(source: random.Random, names: Names, language: Language, template: ChatTemplate) -> Pair:
    kind = source.choices(KINDS, KIND_WEIGHTS)[0]
    while True:
        statements = invent_statements(source, names, language, kind)
        part = next((part for part in parts(statements) if part.kind == kind), None)
        if part is not None and not _only_gender(part, statements):
            break
    sheet, variant = sheet_of(part, statements, language), source.randrange(VARIANTS)
    variant = variant if sheet.groups else 0  # what is declared alone has one wording
    answer = sentence(sheet, language, variant)
    basis = [statements[index] for index in part.basis]
    faults = read(answer, basis, language, must_name(part, statements)).faults
    assert not faults, f"{answer!r} of {basis} has {faults}"
    corrected = _faults(source, names, language, basis) if source.random() < SHARE_CORRECTED else []
    return Pair(prompt_of(sheet, language, variant, corrected, "tuned", template), answer, language, kind)


def _only_gender(part: Part, statements: Sequence[Statement]) -> bool:
    return all(statements[index].topic == "gender" for index in part.statements)


def _faults(source: random.Random, names: Names, language: Language, basis: Sequence[Statement]) -> list[Fault]:
    """As the check might have found them in another sentence on the same facts."""
    told = [s.value or s.topic for s in basis if s.topic != "gender"]
    missing = [Fault("missing", name) for name in source.sample(told, min(len(told), source.randint(0, 2)))]
    return missing or [Fault("word", names.tag(language))]


def _likes(names: Names, language: Language, count: int, trends: Sequence[Trend | None]) -> list[Statement]:
    tags = _different(lambda: names.tag(language), count)
    return [_said("likes", tag, trend=names.source.choice(trends)) for tag in tags]


def _dislikes(names: Names, language: Language, count: int, trend: Trend | None) -> list[Statement]:
    return [_said("dislikes", tag, trend=trend) for tag in _different(lambda: names.tag(language), count)]


def _declared(source: random.Random, names: Names, language: Language, whole: bool) -> list[Statement]:
    found = []
    if whole and source.random() < 0.75:
        found.append(_said("is", "age", str(source.randint(8, 95))))
    if source.random() < 0.7:
        found.append(_said("is", "gender", source.choice(("male", "female"))))
    if whole and source.random() < 0.5:
        found.append(_said("is", "occupation", names.occupation(language)))
    if whole and source.random() < 0.4:
        found.append(_said("is", "location", names.place(language)))
    return found


def _habits(source: random.Random, names: Names, language: Language) -> list[Statement]:
    low = source.choice((0, 5, 10, 20, 35, 50, 80, 100, 140, 250, 999))
    drawn = [
        ("time_of_day", source.choice(("morning", "afternoon", "evening", "night"))),
        ("price_band", f"{low}-{low + source.choice((5, 10, 30, 45, 150, 501))} {source.choice(CURRENCIES)}"),
        ("format", source.choice(("ecommerce", "video", "social", "news"))),
        ("brand", names.brand(language)),
        ("author", names.author(language)),
    ]
    count = source.choice((1, 1, 2, 2, 3, 4, 5))
    chosen = sorted(source.sample(range(len(drawn)), count))
    return [_said("habit", *drawn[index]) for index in chosen]


def _different(draw: Callable[[], str], count: int) -> list[str]:
    """`count` names of which none holds another."""
    found: list[str] = []
    while len(found) < count:
        name = draw()
        if not any(name.casefold() in known.casefold() or known.casefold() in name.casefold() for known in found):
            found.append(name)
    return found


def _said(stance: Stance, topic: str, value: str | None = None, trend: Trend | None = None) -> Statement:
    return Statement(topic=topic, stance=stance, value=value, strength=0.4, trend=trend, evidence=["field:invented"])
