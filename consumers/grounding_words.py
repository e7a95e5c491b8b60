"""The words a grounded text may use besides the facts, per language, and what each does to the facts that follow it."""

from schemas.messages import Language

NEUTRAL, RESET, STOP, NEGATION = "neutral", "reset", "stop", "negation"
LIKES, DISLIKES, VIEWED, IS = "likes", "dislikes", "viewed", "is"
OPEN = "open"
"""Chinese 对: what follows is liked or disliked, as the sentence's closing words say."""
CLOSE_LIKES, CLOSE_DISLIKES = "close likes", "close dislikes"


def _lexicon(**words_of: str) -> dict[str, str]:
    return {word: effect.replace("_", " ") for effect, words in words_of.items() for word in words.split()}


_ENGLISH = _lexicon(
    neutral="""a an the this that these those their they them themselves user user's users person someone individual
        of for to in at on with by as has have had been being also both well including include includes namely recently
        it its out item items topic topics content title titles area areas subject subjects does do did""",
    reset="and or but who while whereas , ; :",
    stop=".",
    negation="not no nor never neither isn't doesn't don't aren't hasn't longer without",
    likes="""like likes liking enjoy enjoys enjoying interested interest interests appreciate appreciates fond keen
        love loves loving loved passionate avid favorite favorites favourite favourites""",
    dislikes="dislike dislikes disliking avoid avoids avoiding uninterested",
    viewed="viewed looked browsed checked seen visited explored viewing browsing",
    **{"is": "is are works working lives living comes from based"},
)
_CHINESE = _lexicon(
    neutral="该用户 这位用户 用户 TA 的 是 一位 一名 等 和 与 以及 及 还 也 同时 内容 话题 近期 最近 曾 曾经 了",
    reset="， 、 ； 并 并且 但 而 则",
    stop="。",
    likes="喜欢 喜爱 关注 偏好 兴趣包括 兴趣是",
    dislikes="不喜欢 不关注",
    viewed="浏览过 浏览了 看过 查看过 查看了",
    open="对",
    close_likes="感兴趣 有兴趣",
    close_dislikes="不感兴趣 没有兴趣 没兴趣",
    **{"is": "来自 职业为 职业是 住在 位于"},
)
QUOTES = "\"'“”‘’《》「」-"
LEXICON: dict[Language, dict[str, str]] = {
    "en": _ENGLISH,
    "zh": {word.lower(): effect for word, effect in _CHINESE.items()},
}
STRONG = frozenset(
    ["love", "loves", "loving", "loved", "passionate", "avid", "favorite", "favorites", "favourite", "favourites"]
)
"""Words that claim more than an interest."""
GENDER: dict[Language, dict[str, str]] = {
    "en": {
        **dict.fromkeys(["he", "him", "his", "himself", "man", "male", "boy", "gentleman"], "male"),
        **dict.fromkeys(["she", "her", "hers", "herself", "woman", "female", "girl", "lady"], "female"),
    },
    "zh": {
        **dict.fromkeys(["他", "男性", "男士", "男", "男生", "男子"], "male"),
        **dict.fromkeys(["她", "女性", "女士", "女", "女生", "女子"], "female"),
    },
}
CHILD = frozenset(["boy", "girl"])
ADULT = frozenset(["man", "woman", "gentleman", "lady", "男士", "女士"])
FINAL: dict[Language, str] = {"en": ".", "zh": "。"}

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def number_words(number: int) -> str:
    """0..199 in English words, tens and units joined by a hyphen."""
    if number < 20:
        return _UNITS[number]
    if number < 100:
        tens = _TENS[number // 10 - 2]
        return f"{tens}-{_UNITS[number % 10]}" if number % 10 else tens
    return "one hundred" + (f" and {number_words(number - 100)}" if number > 100 else "")
