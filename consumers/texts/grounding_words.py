"""The words a grounded text may use besides the facts, per language, and what each does to the facts that follow it."""

from schemas.messages import Language

NEUTRAL, RESET, STOP, NEGATION = "neutral", "reset", "stop", "negation"
LIKES, DISLIKES, VIEWED, IS, HABIT = "likes", "dislikes", "viewed", "is", "habit"
NEW, RISING, FADING, REVERSED, NOW = "new", "rising", "fading", "reversed", "now"
"""What a text may claim of how an interest moves. `now` is said of what is new or reversed."""
TRENDS_CLAIMED = {
    **{trend: frozenset([trend]) for trend in (NEW, RISING, FADING, REVERSED)},
    NOW: frozenset([NEW, REVERSED]),
}
IS_OF, TENDS = "is of", "tends"
"""`lives`, `works`: unlike a plain `is` they need a declared fact. `tends` needs another verb."""
UNLIKED, NOT_DISLIKED = "unliked", "not disliked"
NEGATED = {LIKES: UNLIKED, DISLIKES: NOT_DISLIKED}
"""What a negation makes of a verb before it. `Not liked` tells a dislike; nothing is told as `not disliked`."""
NOR, FROM = "nor", "from"
LONGER, LOST = "longer", "lost"
"""`no longer likes`, `lost interest in`: a dislike that was a like."""
PAST, CHANGED = "past", "changed"
"""`had`, 曾: only what was looked at may be told as past. 了: after a like or dislike it says that one has changed."""
ASSERTS: dict[str, tuple[str, str | None]] = {
    **{stance: (stance, None) for stance in (LIKES, DISLIKES, VIEWED, IS, IS_OF, HABIT, TENDS)},
    FROM: (IS_OF, None),
    **{f"{HABIT} {topic}": (f"{HABIT} {topic}", None) for topic in ("time_of_day", "price_band", "format", "brand", "author")},
    **{f"{LIKES} {trend}": (LIKES, trend) for trend in (NEW, RISING, FADING, NOW)},
    f"{DISLIKES} {REVERSED}": (DISLIKES, REVERSED),
}
"""Words after which facts of a stance follow, and the trend they claim; None: the one claimed by a word before."""
CHOSEN = frozenset([f"{HABIT} brand", f"{HABIT} author"])
"""Nouns that need a verb before them: the user is no author."""

CLOSE = "close"
OPENS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "open": (
        ("close likes", LIKES, ""),
        ("close dislikes", DISLIKES, ""),
        ("close new", LIKES, NEW),
        ("close now", LIKES, NOW),
        ("close rising", LIKES, RISING),
        ("close fading", LIKES, FADING),
        ("close reversed", DISLIKES, REVERSED),
    ),
    "open new": (("close likes", LIKES, NEW), ("close now", LIKES, NEW), ("close new", LIKES, NEW)),
    "open now": (("close likes", LIKES, NOW), ("close now", LIKES, NOW)),
    "open reversed": (("close likes", DISLIKES, REVERSED), ("close now", DISLIKES, REVERSED)),
}
"""Chinese 对 and its like: what follows is liked or disliked, as the sentence's closing words say: (those, stance, trend)."""


def _lexicon(**words_of: str) -> dict[str, str]:
    return {word.replace("_", " "): effect.replace("__", " ") for effect, words in words_of.items() for word in words.split()}


_ENGLISH = _lexicon(
    neutral="""a an the this that these those their they them themselves user user's users person someone individual
        of for to in at on with by as has have has_had have_had been being also both well including include includes namely
        recently it its out item items topic topics content title titles area areas subject subjects does do than_before within
        usually mostly often most be""",
    reset="and or but who while whereas , ; :",
    stop=".",
    past="had",
    nor="nor",
    negation="not no never neither isn't doesn't don't aren't hasn't without",
    likes="""like likes liking enjoy enjoys enjoying interested interest interests appreciate appreciates fond keen
        love loves loving passionate avid favorite favorites favourite favourites""",
    dislikes="dislike dislikes disliking avoid avoids avoiding uninterested",
    viewed="viewed looked browsed checked seen visited explored viewing browsing",
    habit="prefers chooses picks goes turns returns",
    tends="tends",
    habit__time_of_day="active",
    habit__price_band="price prices priced stay stays",
    habit__brand="brand brands",
    habit__author="author authors",
    new="new newly become started",
    rising="increasingly growing more",
    fading="less fading losing waning",
    now="now come",
    longer="longer",
    lost="lost",
    is__of="works working lives living comes coming based",
    **{"is": "is are", "from": "from"},
)
_CHINESE = _lexicon(
    neutral="""该用户 这位用户 用户 TA 的 是 一位 一名 等 和 与 以及 及 还 也 同时 内容 话题 近期 最近 通常 常 经常 多""",
    reset="， 、 ； 并 并且 但 而 则",
    stop="。",
    past="曾 曾经",
    changed="了",
    likes="喜欢 喜爱 关注 偏好 兴趣包括 兴趣是",
    dislikes="不喜欢 不关注",
    viewed="浏览过 浏览了 看过 查看过 查看了",
    likes__new="开始喜欢 新近喜欢",
    likes__rising="越来越喜欢",
    likes__now="现在喜欢 如今喜欢",
    dislikes__reversed="不再喜欢 不再关注",
    open="对",
    open__new="开始对 新近对",
    open__now="现在对 如今对",
    open__reversed="不再对",
    close__likes="感兴趣 有兴趣",
    close__dislikes="不感兴趣 没有兴趣 没兴趣",
    close__now="感兴趣了 有兴趣了",
    close__new="产生了兴趣 产生兴趣",
    close__rising="越来越感兴趣 的兴趣日益浓厚 的兴趣越来越浓",
    close__fading="的兴趣有所减退 的兴趣逐渐减弱 的兴趣在减退 的热情不如以前 的兴趣不如以前",
    close__reversed="不再感兴趣 失去了兴趣 不再感兴趣了 不感兴趣了 没有兴趣了 没兴趣了",
    habit="选择 青睐 偏爱 偏向 主要看 看 以",
    habit__format="为主",
    habit__time_of_day="活跃 活跃时间 在 为",
    habit__price_band="价位 之间",
    habit__brand="品牌",
    habit__author="作者",
    is__of="来自 职业为 职业是 住在 位于",
)
PHRASES = tuple(word for word in _ENGLISH if " " in word)
"""English lexicon entries of several words."""
QUOTES = "\"'“”‘’《》「」-"
LEXICON: dict[Language, dict[str, str]] = {
    "en": _ENGLISH,
    "zh": {word.lower(): effect for word, effect in _CHINESE.items()},
}
STRONG = frozenset(["love", "loves", "loving", "passionate", "avid", "favorite", "favorites", "favourite", "favourites"])
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
DANGLING = frozenset(
    [
        "a",
        "an",
        "the",
        "of",
        "for",
        "to",
        "in",
        "at",
        "on",
        "with",
        "by",
        "as",
        "has",
        "have",
        "does",
        "do",
        "is",
        "are",
        "and",
        "or",
        "but",
    ]
)
"""No sentence ends with these."""
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
