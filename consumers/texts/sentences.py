"""The sentence that says what a sheet holds, in each of the wordings: an example for a model, and what one is tuned on."""

from collections.abc import Sequence

from consumers.texts.joining import and_joined
from consumers.texts.parts import Sheet
from consumers.texts.prompt_texts import TEXTS, VARIANTS, Group
from consumers.texts.wording import article, listed
from schemas.messages import Language

DECLARED = ("age", "occupation", "field", "condition", "location")


def fact_lines(sheet: Sheet, language: Language, variant: int) -> list[str]:
    """The facts as `label: value`. The label of a list of names is the wording to use, with a gap where they go."""
    texts, chosen = TEXTS.of(language), wording_of(sheet, variant)
    lines = [f"{texts.labels['subject']}: {subject(sheet, language, variant)}"]
    lines += [f"{texts.labels[name]}: {value}" for name in DECLARED if (value := getattr(sheet, name))]
    comma = "、" if language == "zh" else ", "
    for group, names in sheet.groups:
        lines.append(f"{texts.wordings[group][chosen].format_map(_Gap())}: {comma.join(names)}")
    return lines


def sentence(sheet: Sheet, language: Language, variant: int) -> str:
    """What the model is to write, with the wording of `variant`."""
    if sheet.kind == "about":
        return (_chinese_about if language == "zh" else _english_about)(sheet, wording_of(sheet, variant))
    clauses = [clause(group, names, language, wording_of(sheet, variant)) for group, names in sheet.groups]
    name = subject(sheet, language, variant)
    if language == "zh":
        return ("" if sheet.kind == "viewed" and wording_of(sheet, variant) == 0 else name) + "，".join(clauses) + "。"
    return f"{name} {and_joined(clauses)}."


def subject(sheet: Sheet, language: Language, variant: int) -> str:
    """How the sentence names the user."""
    texts = TEXTS.of(language)
    if language == "zh" and sheet.kind == "about" and wording_of(sheet, variant) != 1 and (sheet.gender or sheet.age):
        return texts.nouns[sheet.gender or "unknown"]
    return texts.subjects[sheet.gender or "unknown"]


def wording_of(sheet: Sheet, variant: int) -> int:
    """Which of the wordings a variant is."""
    return variant % VARIANTS


def clause(group: Group, names: Sequence[str], language: Language, variant: int) -> str:
    """`is interested in a and b`."""
    pattern = TEXTS.of(language).wordings[group][variant]
    if language == "zh":
        return pattern.format_map({"and": "、".join(names)})
    return pattern.format_map({"and": listed(names, "and"), "or": listed(names, "or")})


class _Gap(dict[str, str]):
    """Fills every gap of a pattern with the sign for one."""

    def __missing__(self, key: str) -> str:
        return "…"


def _english_about(sheet: Sheet, variant: int) -> str:
    name = subject(sheet, "en", variant)
    likes = next((clause(group, names, "en", variant) for group, names in sheet.groups), "")
    occupation, location = sheet.occupation, sheet.location
    if variant == 0 and occupation:
        person = f"{sheet.age}-year-old {occupation}" if sheet.age else occupation
        home = f" from {location}" if location else ""
        return f"{name} is {article(person)} {person}{home}{f' who {likes}' if likes else ''}."
    if variant == 2 and likes:
        before = [
            f"aged {sheet.age}" if sheet.age else "",
            sheet.condition,
            f"working as {article(occupation)} {occupation}" if occupation else "",
            f"working in {sheet.field}" if sheet.field else "",
            f"from {location}" if location else "",
        ]
        before = [aside for aside in before if aside]
        if before:
            head = listed(before, "and")
            return f"{head[0].upper()}{head[1:]}, {name[0].lower()}{name[1:]} {likes}."
        return f"{name} {likes}."
    clauses = [
        f"is {sheet.age} years old" if sheet.age else "",
        f"is {sheet.condition}" if sheet.condition else "",
        f"works as {article(occupation)} {occupation}" if occupation else "",
        f"works in {sheet.field}" if sheet.field else "",
        f"comes from {location}" if location else "",
        likes,
    ]
    return f"{name} {listed([each for each in clauses if each], 'and')}."


def _chinese_about(sheet: Sheet, variant: int) -> str:
    name = subject(sheet, "zh", variant)
    likes = next((clause(group, names, "zh", variant) for group, names in sheet.groups), "")
    age = f"{sheet.age}岁" if sheet.age else ""
    home = f"来自{sheet.location}" if sheet.location else ""
    work = sheet.occupation or sheet.field or sheet.condition
    if variant == 1:
        return name + _clauses(age, f"职业是{work}" if work else "", home, likes) + "。"
    if variant == 2:
        named = sheet.gender or sheet.age
        head = f"一位{home}{'的' if home else ''}{age}{name}" if named else home
        return ("" if named else name) + _clauses(head, f"职业为{work}" if work else "", likes) + "。"
    head = age + name if sheet.age or sheet.gender else ""
    told = _clauses(head, home, f"职业为{work}" if work else "", likes)
    return ("" if head else name) + told + "。"


def _clauses(*clauses: str) -> str:
    return "，".join(each for each in clauses if each)
