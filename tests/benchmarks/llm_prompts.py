"""What the narrator asks of profile_llm for made-up users, in English and in Chinese, short and long: no fact twice."""

import random
from typing import NamedTuple

from consumers.texts.parts import facts_of
from consumers.texts.prompts import max_tokens, parts, prompt
from deploy.tuning.names import Names
from deploy.tuning.pairs import invent_statements
from schemas.messages import Language


class Asked(NamedTuple):
    """A prompt and the most tokens its answer may have."""

    text: str
    max_tokens: int


def make_prompts(count: int, seed: int) -> list[Asked]:
    """Prompts of users in turn English and Chinese, in the order in which the narrator asks for facts it does not know yet."""
    source = random.Random(f"benchmark {seed}")
    names = Names(source)
    asked: dict[str, Asked] = {}
    number = 0
    while len(asked) < count:
        language: Language = "zh" if number % 2 else "en"
        told = invent_statements(source, names, language)
        for fact in (fact for part in parts(told) for fact in facts_of(part, told)):
            text = prompt(fact, told, language)
            asked.setdefault(text, Asked(text, max_tokens(fact, told)))
        number += 1
    return list(asked.values())[:count]
