"""What profile_llm is asked: one short sentence per fact of a profile.

A model tuned on these prompts (`portrait tune narrator`), or a large one, gets a line of instruction and the facts. One that
is neither is shown examples too, as small models copy form well and follow rules badly: the examples have exactly the facts
the question has (one with an age or a third title makes a small model invent them). The text before the question is the same
for many users, so the model can reuse its prefix. Facts are data: cleaned, on one line each.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from consumers.statements.statements import clean
from consumers.texts.grounding import Fault
from consumers.texts.parts import Part, Sheet, parts, sheet_of
from consumers.texts.prompt_texts import FEW_SHOT, TEXTS, ExamplePerson
from consumers.texts.sentences import DECLARED, fact_lines, sentence
from consumers.texts.wording import columns
from schemas.messages import Language, Statement

__all__ = ["CHATML", "ChatTemplate", "Part", "Style", "max_tokens", "parts", "prompt", "version_of", "writable"]

Style = Literal["tuned", "few_shot"]
MAX_FAULT_LENGTH = 40
MAX_FAULTS = 3
MUST_NOT_SAY = frozenset({"word", "name", "number", "symbol", "language", "gender", "age", "overstated", "polarity", "trend"})
"""Kinds of faults whose words the next attempt is told to leave out."""


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


def writable(part: Part, statements: Sequence[Statement], language: Language, style: Style = "tuned") -> bool:
    """Whether the model can be asked: there is more than a gender to tell, and nothing an untuned one stumbles over.

    That is a Chinese name in an English text.
    """
    told = [statements[index] for index in part.statements]
    if all(statement.topic == "gender" and statement.stance == "is" for statement in told):
        return False
    return style == "tuned" or language == "zh" or all(_latin(statement.value or statement.topic) for statement in told)


def prompt(
    part: Part,
    statements: Sequence[Statement],
    language: Language,
    attempt: int = 0,
    faults: Sequence[Fault] = (),
    style: Style = "tuned",
    template: ChatTemplate = CHATML,
) -> str:
    """The text the model is given to continue with the part's sentence.

    A later attempt asks for another wording, and names the `faults` of the text before it.
    """
    sheet = sheet_of(part, statements, language)
    return prompt_of(sheet, language, variant_of(sheet, attempt), faults, style, template, turn=attempt * 2)


def prompt_of(
    sheet: Sheet,
    language: Language,
    variant: int,
    faults: Sequence[Fault],
    style: Style,
    template: ChatTemplate,
    turn: int = 0,
) -> str:
    """The prompt for a sheet with the wording of `variant`. `turn` turns the examples round, as small models copy the last."""
    question, corrections = "\n".join(fact_lines(sheet, language, variant)), fault_lines(faults, language)
    if style == "tuned":  # the corrections stand apart from the facts, or a small model writes them into the sentence
        return template.render("\n".join([TEXTS.of(language).system, *corrections]), (), question)
    examples = [_example(person, sheet) for person in FEW_SHOT.of(language).people]
    turn %= len(examples)
    examples = examples[turn:] + examples[:turn]
    turns = [("\n".join(fact_lines(each, language, variant)), sentence(each, language, variant)) for each in examples]
    return template.render(FEW_SHOT.of(language).system, turns, "\n".join([question, *corrections]))


def variant_of(sheet: Sheet, attempt: int = 0) -> int:
    """Which wording is asked for: for the same facts the same, and another for another attempt.

    What is declared alone begins with the first, the only one a model is tuned on for it.
    """
    if not sheet.groups:
        return attempt
    told = "\n".join(name for _, names in sheet.groups for name in names)
    return zlib.crc32(f"{sheet.kind}\n{sheet.age}\n{told}".encode()) + attempt


def fault_lines(faults: Sequence[Fault], language: Language) -> list[str]:
    """What the next attempt is to mind, as lines like those of the facts; the words of faults are data too."""
    texts = TEXTS.of(language)
    lines: list[str] = []
    for fault in faults:
        words = clean(fault.detail, MAX_FAULT_LENGTH)
        label = texts.must_name if fault.kind == "missing" else texts.must_not_say if fault.kind in MUST_NOT_SAY else ""
        if label and words and (line := f"{label}: {words}") not in lines:
            lines.append(line)
    return lines[:MAX_FAULTS]


def version_of(style: Style) -> str:
    """The version of the prompt file behind a style."""
    return TEXTS.version if style == "tuned" else f"{FEW_SHOT.version}+{TEXTS.version}"


def max_tokens(part: Part, statements: Sequence[Statement]) -> int:
    """Enough for the part's names and the words around them. A Chinese character takes two tokens or three."""
    names = [statements[index].value or statements[index].topic for index in part.statements]
    return 40 + 16 * (len(names) if part.kind in ("trends", "habits") else 1) + int(1.5 * sum(map(columns, names)))


def _example(person: ExamplePerson, facts: Sheet) -> Sheet:
    """The person with only the kinds of facts there are in the question, and as many names."""
    absent = {name: "" for name in DECLARED if not getattr(facts, name)}
    told = {name: getattr(person, name) for name in DECLARED}
    named = person.titles if facts.kind == "viewed" else person.names
    groups = tuple((group, (named * len(names))[: len(names)]) for group, names in facts.groups)
    return Sheet(facts.kind, person.gender, groups=groups)._replace(**{**told, **absent})


def _latin(text: str) -> bool:
    return all(ord(character) < 0x2E80 for character in text)
