"""What the narrator asks of profile_llm for made-up users, in English and in Chinese, short and long."""

import random
from typing import Any, NamedTuple

from consumers.texts.prompts import max_tokens, parts, prompt
from schemas.messages import Language, Statement

LIKES: dict[Language, list[str]] = {
    "en": ["sports", "technology", "travel", "cooking", "films", "music", "chess", "gardening", "history", "photography"],
    "zh": ["运动", "科技", "旅游", "烹饪", "电影", "音乐", "围棋", "园艺", "历史", "摄影"],
}
TITLES: dict[Language, list[str]] = {
    "en": [
        "The Long Road",
        "Blue Lamp Desk",
        "Quiet Headphones",
        "Mountain Tent for Two",
        "Red Kettle",
        "Night Trains of Europe",
    ],
    "zh": ["漫漫长路", "蓝色台灯", "静音耳机", "双人登山帐篷", "红色水壶", "欧洲夜行列车"],
}
OCCUPATIONS: dict[Language, list[str]] = {"en": ["teacher", "nurse", "engineer"], "zh": ["教师", "护士", "工程师"]}


class Asked(NamedTuple):
    """A prompt and the most tokens its answer may have."""

    text: str
    max_tokens: int


def make_prompts(count: int, seed: int) -> list[Asked]:
    """Prompts of users in turn English and Chinese, in the order in which the narrator asks."""
    words = random.Random(seed)
    asked: list[Asked] = []
    for number in range(count):
        language: Language = "zh" if number % 2 else "en"
        told = make_statements(words, language)
        asked += [Asked(prompt(part, told, language), max_tokens(part, told)) for part in parts(told)]
        if len(asked) >= count:
            break
    return asked[:count]


def make_statements(words: random.Random, language: Language) -> list[Statement]:
    """A user with one to three likes, and perhaps dislikes, an age, an occupation, habits and titles viewed."""
    topics = words.sample(LIKES[language], words.randint(2, 5))
    liked = words.randint(1, min(3, len(topics)))
    told = [statement(topic, "likes", trend=words.choice(["steady", "new", "rising"])) for topic in topics[:liked]]
    told += [statement(topic, "dislikes", trend="steady") for topic in topics[liked:]]
    told += [statement("gender", "is", words.choice(["male", "female"]))] if words.random() < 0.7 else []
    told += [statement("age", "is", str(words.randint(18, 70)))] if words.random() < 0.7 else []
    told += [statement("occupation", "is", words.choice(OCCUPATIONS[language]))] if words.random() < 0.4 else []
    told += [statement("time_of_day", "habit", "evening")] if words.random() < 0.4 else []
    return told + [statement(title, "viewed") for title in words.sample(TITLES[language], words.randint(0, 3))]


def statement(topic: str, stance: Any, value: str | None = None, trend: Any = None) -> Statement:
    """One that rests on an event."""
    return Statement(topic=topic, stance=stance, value=value, trend=trend, strength=0.5, evidence=["event:1"])
