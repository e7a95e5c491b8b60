"""What profile_llm is asked: one short sentence per part of a profile, shown by examples from other walks of life.

Small models copy form well and follow rules badly. So each part is asked on its own, and the examples have exactly the facts
the question has (an example with an age or a third title makes a small model invent one). The text before the question depends
on that shape alone, so the model can reuse its prefix. Facts are data: cleaned, on one line each, titles in quotation marks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from consumers.plain_text import CONDITION, FIELD_OF_WORK
from consumers.prompt_examples import LABELS, PEOPLE, SUBJECT, SYSTEM, TITLES, PartKind, Person
from consumers.statements import clean
from schemas.messages import Language, Statement

MAIN_LIKES = 3
MAX_DISLIKES = 3
MAX_VIEWED = 3
DECLARED = ("age", "occupation", "field", "condition", "location")


@dataclass(frozen=True)
class ChatTemplate:
    """How a family of chat models marks turns."""

    turn: str
    answer: str

    def render(self, system: str, turns: Sequence[tuple[str, str]], question: str) -> str:
        """The whole prompt, ending where the answer begins."""
        spoken = [("system", system)]
        for asked, answered in turns:
            spoken += [("user", asked), ("assistant", answered)]
        spoken.append(("user", question))
        return "".join(self.turn.format(role=role, content=content) for role, content in spoken) + self.answer


CHATML = ChatTemplate(turn="<|im_start|>{role}\n{content}<|im_end|>\n", answer="<|im_start|>assistant\n")
"""SmolLM2, Qwen and their like."""


class Part(NamedTuple):
    """One sentence to write. `statements` are indexes of what it is to say, `basis` also of what its words may rest on."""

    kind: PartKind
    statements: tuple[int, ...]
    basis: tuple[int, ...]


def parts(statements: Sequence[Statement]) -> list[Part]:
    """The sentences of a profile, in order: who the user is and likes, what they dislike, what they looked at."""
    by_stance = {
        stance: tuple(index for index, statement in enumerate(statements) if statement.stance == stance)
        for stance in ("likes", "dislikes", "is", "viewed")
    }
    gender = tuple(index for index in by_stance["is"] if statements[index].topic == "gender")
    about = by_stance["likes"][:MAIN_LIKES] + by_stance["is"]
    found = []
    if about:
        found.append(Part("about", about, about))
    for kind, limit in (("dislikes", MAX_DISLIKES), ("viewed", MAX_VIEWED)):
        if chosen := by_stance[kind][:limit]:
            found.append(Part(kind, chosen, chosen + gender))  # type: ignore[arg-type]
    return found


def writable(part: Part, statements: Sequence[Statement], language: Language) -> bool:
    """Whether the model can be asked: there is more than a gender to tell, and no Chinese name to put into an English text."""
    told = [statements[index] for index in part.statements]
    if all(statement.topic == "gender" and statement.stance == "is" for statement in told):
        return False
    return language == "zh" or all(_latin(statement.value or statement.topic) for statement in told)


def prompt(
    part: Part, statements: Sequence[Statement], language: Language, attempt: int = 0, template: ChatTemplate = CHATML
) -> str:
    """The text the model is given to continue with the part's sentence.

    A later attempt turns the examples round: small models like to copy from the last one.
    """
    facts = _facts(part, statements, language)
    if part.kind == "about":
        people = [_alike(person, facts) for person in PEOPLE[language]]
    else:
        named = [person.names for person in PEOPLE[language]] if part.kind == "dislikes" else TITLES[language]
        examples = zip(PEOPLE[language], named, strict=True)
        people = [Person(person.subject, names=names[: len(facts.names)]) for person, names in examples]
    turn = attempt * 2 % len(people)
    people = people[turn:] + people[:turn]
    answer = _chinese_answer if language == "zh" else _english_answer
    turns = [(_question(part.kind, person, language), answer(part.kind, person)) for person in people]
    return template.render(SYSTEM[language], turns, _question(part.kind, facts, language))


def max_tokens(part: Part, statements: Sequence[Statement]) -> int:
    """Enough for the part's names and a few words around them."""
    return 24 + sum(len(statements[index].value or statements[index].topic) for index in part.statements) // 2


def _facts(part: Part, statements: Sequence[Statement], language: Language) -> Person:
    told = [statements[index] for index in part.basis]
    declared = {s.topic: clean(s.value or "") for s in told if s.stance == "is"}
    names = tuple(clean(s.topic) for s in told if s.stance != "is")
    subject = SUBJECT[language].get(declared.get("gender", ""), SUBJECT[language][""])
    occupation = declared.get("occupation", "")
    work = {_kind_of_work(occupation): occupation} if occupation else {}
    return Person(subject, declared.get("age", ""), location=declared.get("location", ""), names=names, **work)


def _kind_of_work(occupation: str) -> str:
    if occupation.casefold() in CONDITION:
        return "condition"
    return "field" if FIELD_OF_WORK.search(occupation) else "occupation"


def _alike(example: Person, facts: Person) -> Person:
    """The example with only the kinds of facts there are in the question, and as many names."""
    absent = {name: "" for name in DECLARED if not getattr(facts, name)}
    return example._replace(names=example.names[: len(facts.names)], **absent)


def _question(kind: PartKind, person: Person, language: Language) -> str:
    labels = LABELS[language]
    lines = [f"{labels[name]}: {value}" for name in DECLARED if (value := getattr(person, name))]
    if person.names:
        names = [_quoted(name) for name in person.names] if kind == "viewed" else list(person.names)
        lines.append(f"{labels[kind]}: {', '.join(names)}")
    return "\n".join([*lines, f"{labels['subject']}: {person.subject}"])


def _english_answer(kind: PartKind, person: Person) -> str:
    if kind == "viewed":
        return f"{person.subject} recently looked at {_listed([_quoted(name) for name in person.names], 'and')}."
    if kind == "dislikes":
        return f"{person.subject} is not interested in {_listed(person.names, 'or')}."
    interests = f"interested in {_listed(person.names, 'and')}" if person.names else ""
    age, home = person.age, f" from {person.location}" if person.location else ""
    if person.occupation:
        head = f"is a {age + '-year-old ' if age else ''}{person.occupation}{home}"
        return f"{person.subject} {head}{' who is ' + interests if interests else ''}."
    clauses = [
        f"is {age} years old" if age else "",
        f"is {person.condition}" if person.condition else "",
        f"works in {person.field}" if person.field else "",
        f"comes{home}" if home else "",
        f"is {interests}" if interests else "",
    ]
    return f"{person.subject} {_listed([clause for clause in clauses if clause], 'and')}."


def _chinese_answer(kind: PartKind, person: Person) -> str:
    if kind == "viewed":
        return f"{person.subject}最近浏览过{'、'.join(f'《{name}》' for name in person.names)}。"
    if kind == "dislikes":
        return f"{person.subject}对{'、'.join(person.names)}不感兴趣。"
    clauses = [
        f"{person.age}岁" if person.age else "",
        f"职业为{work}" if (work := person.occupation or person.field or person.condition) else "",
        f"来自{person.location}" if person.location else "",
        f"对{'、'.join(person.names)}感兴趣" if person.names else "",
    ]
    return person.subject + "，".join(clause for clause in clauses if clause) + "。"


def _listed(names: Sequence[str], joined_by: str) -> str:
    if len(names) < 3:
        return f" {joined_by} ".join(names)
    return f"{', '.join(names[:-1])}, {joined_by} {names[-1]}"


def _quoted(name: str) -> str:
    inner = name.replace('"', "'")
    return f'"{inner}"'


def _latin(text: str) -> bool:
    return all(ord(character) < 0x2E80 for character in text)
