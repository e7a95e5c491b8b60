"""The words by which people say what they like and what no more, in English and Chinese. Data for `free_text`.

All patterns are for text that went through `consumers.statements.vocabulary.plain`: case folded, with straight apostrophes.
"""

import re
from typing import Literal, NamedTuple

Role = Literal["likes", "dislikes", "not", "once", "neither", "skip"]


class CueKind(NamedTuple):
    """What a cue says of what it is about. `not` and `once` turn a `likes` beside them; `skip` keeps others from matching.

    `before` says that the opposite held before; `topical` that it is said of an interest, not of one thing at hand.
    """

    role: Role
    before: bool = False
    topical: bool = False


_LIKES, _LIKES_TOPIC = CueKind("likes"), CueKind("likes", topical=True)
_DISLIKES, _DISLIKES_TOPIC = CueKind("dislikes"), CueKind("dislikes", topical=True)
_GAVE_UP = CueKind("dislikes", before=True, topical=True)
_NOT, _NO_LONGER = CueKind("not"), CueKind("not", before=True, topical=True)
_ONCE = CueKind("once", before=True)
_NEITHER, _SKIP = CueKind("neither"), CueKind("skip")

_ENGLISH: tuple[tuple[CueKind, str], ...] = (
    # what looks like a negation or a liking and is none comes first
    (_LIKES, r"(?:can't|cannot|can not|couldn't|could not) (?:live|do|be) without|(?:can't|cannot|can not) get enough of"),
    (_LIKES, r"(?:never|don't|wouldn't|hate to|can't) (?:ever )?miss|never (?:get |grow )?(?:tired|bored|sick) of"),
    (_LIKES, r"nothing (?:but|beats)"),
    (_DISLIKES, r"(?:couldn't|could not|can't) care less (?:about|for)"),
    (_SKIP, r"not (?:only|just|merely|to mention)|no (?:doubt|matter|wonder)|why not|if not|not bad|would like to"),
    (_NEITHER, r"(?:don't|doesn't|do not) (?:own|have|know|mind|remember|need|live)|not sure"),
    (_NEITHER, r"(?:am|'m|get|got|getting) used to"),
    (_DISLIKES_TOPIC, r"(?:don't|do not|never|not|stop) (?:want to |wish to )?(?:show|see|send|hear)(?: me| about)?"),
    (_DISLIKES_TOPIC, r"(?:don't|do not|never|not|stop) (?:want to |wish to )?(?:recommend|suggest|read|watch)(?: me)?"),
    (_DISLIKES, r"(?:can't|cannot|can not|couldn't|can hardly) (?:stand|bear)"),
    # what turns others round
    (_NO_LONGER, r"no longer|not (?:any ?more|any longer)|never again"),
    (_ONCE, r"used to(?: be)?"),
    (_NOT, r"(?:[a-z]+n't|not|never|no|nor|neither|hardly|barely|without)(?![a-z'])"),
    # against
    (_GAVE_UP, r"(?:have |has |'ve |i )?lost (?:all |my |any )?interest in|(?:grew|grown|growing) out of|outgr(?:ew|own)"),
    (_GAVE_UP, r"(?:stopped|quit|quitted|gave up|given up|giving up|dropped|ditched|abandoned)(?: on)?(?: with)?"),
    (_GAVE_UP, r"(?:done|finished|through|over) with|moved on from|turned away from|(?:moved|switched|changed|went) from"),
    (_GAVE_UP, r"(?:bored|tired|sick|weary) (?:of|with|by)|fed up with|had (?:quite )?enough of|burn(?:ed|t) out on"),
    (_GAVE_UP, r"(?:gone|went|going|go) off|(?:(?:am|'m|so|totally|completely) )+over"),
    (_DISLIKES_TOPIC, r"(?:no|zero|little) interest in|(?:uninterested|disinterested) in|indifferent to"),
    (_DISLIKES_TOPIC, r"stop [a-z]+ing(?: me)?"),
    (_DISLIKES, r"hates?|hated|hating|dislikes?|disliked|detests?|loathes?|despises?|avoids?|avoiding|allergic to"),
    (_DISLIKES, r"bores? me|anything but|except(?: for)?"),
    (_DISLIKES_TOPIC, r"remove|delete|unfollow|block|mute|hide|nothing about"),
    (_DISLIKES, r"(?:too much|less|fewer|rather than|instead of|unlike|spare me(?: the)?)"),
    # for
    (_LIKES_TOPIC, r"(?:interested|interest|interests) in|into|fan of|fond of|keen on"),
    (_LIKES_TOPIC, r"(?:passionate|curious|enthusiastic|care|cares) about"),
    (_LIKES_TOPIC, r"(?:crazy|mad|nuts|wild) about|obsessed with|hooked on|addicted to|devoted to|drawn to|took up|taken up"),
    (_LIKES, r"(?:like|likes|liking|love|loves|loving|enjoy|enjoys|enjoying|adore|adores|adoring|prefer|prefers|care for)"),
    (_LIKES, r"(?:favou?rites?|passion|hobby|hobbies|interests)(?: (?:is|are))?"),
    (_LIKES, r"(?:have|has|'ve) always (?:loved|liked|enjoyed)"),
)  # fmt: skip

_CHINESE: tuple[tuple[CueKind, str], ...] = (
    (_LIKES, r"离不开|少不了|不能没有|不能缺少|百看不厌|[看玩听吃]不[腻厌]|不[会想能容愿]错过|从不错过"),
    (_SKIP, r"不仅|不但|不只|不光|不止|不单|不管|不论|不得不|差不多|不好意思|不错|别人|特别|区别|级别|个别"),
    (_NO_LONGER, r"不再(?:那么|怎么|是)?|再也不|不想再|不要再|别再"),
    (_ONCE, r"以前|曾经|过去|原来|从前|小时候|曾(?!经)"),
    (_GAVE_UP, r"失去(?:了)?(?:兴趣|热情|对)?|取消(?:了)?关注|(?:没|没有|失去)(?:了)?热情"),
    (_GAVE_UP, r"厌倦(?:了)?|受够(?:了)?|放弃(?:了)?|告别(?:了)?|戒(?:掉|了)"),
    (_GAVE_UP, r"退坑|弃坑|脱粉|取关(?:了)?|[看玩听吃]?腻(?:了)?"),
    (_DISLIKES_TOPIC, r"没(?:有)?(?:什么|啥|太大|多大|任何|太多)?的?兴趣|不感冒|无感|提不起兴趣|毫无兴趣|缺乏兴趣"),
    (_DISLIKES_TOPIC, r"(?:一点|半点|丝毫)?(?:儿)?(?:兴趣|感觉)(?:都|也)?没(?:有)?|少(?:来)?(?:一)?(?:点|些)"),
    (_LIKES_TOPIC, r"多(?:来)?(?:一)?(?:点|些)"),
    (_DISLIKES_TOPIC, r"(?:别|少|不要|不用|不必|停止)(?:再)?(?:给我|跟我|向我)?(?:推荐?|发|看到)(?:点|些|送)?"),
    (_DISLIKES, r"讨厌|厌恶|反感|烦透(?:了)?|嫌弃|拒绝|拉黑|看不上|受不了|忍受不了|没意思|没劲"),
    (_NEITHER, r"除了|除去"),
    (_NOT, r"不(?:太|怎么|大|是很|是|算|那么|会|想|爱|要|用)?|并不|没那么|没有?|从不|从来不|从来没|别|无"),
    (_LIKES_TOPIC, r"(?:感|有)(?:了)?(?:点|些|很大的?|浓厚的?)?兴趣|感?兴趣(?:是|在|在于)?"),
    (_LIKES_TOPIC, r"关注|热衷(?:于)?|痴迷|迷上|着迷|沉迷(?:于)?|入坑"),
    (_LIKES, r"喜欢|热爱|钟爱|偏爱|喜爱|最爱|酷爱|迷恋|爱好(?:是)?|爱上|享受|在意|粉丝"),
    (_LIKES, r"超爱|真爱|爱(?:看|玩|吃|听|逛|读|做)|爱"),
)  # fmt: skip


def _compiled(table: tuple[tuple[CueKind, str], ...], begins: str, ends: str) -> tuple[re.Pattern[str], tuple[CueKind, ...]]:
    pattern = "|".join(f"({alternatives})" for _, alternatives in table)
    return re.compile(f"{begins}(?:{pattern}){ends}"), tuple(kind for kind, _ in table)


TABLES = (_compiled(_ENGLISH, "(?:(?<![a-z0-9'])|(?='))", "(?![a-z0-9])"), _compiled(_CHINESE, "", ""))
"""By language: a pattern with one group for each kind, and the kinds."""

_OF_LATE = "(?:我|已经|早就|早已|现在|也|都|就)*"
_ENDS = r"(?=\W*(?:$|at all|any|either|now|most|too|[了的啊吧呢]))"
"""Nothing follows that it could be about instead."""
_REALLY = "(?:我|是|就|都|真的|实在|完全|也|太|才|很|最|对我来说|什么的|类|的)*"
AFTER_MENTION: tuple[tuple[CueKind, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(r"\s*(?:" + pattern + ")"))
    for kind, pattern in (
        (_NO_LONGER, r"(?:really )?no longer|(?:was|were) once"),
        (_NO_LONGER, r"(?:doesn't|don't|does not|do not) (?:really )?(?:interest|excite|appeal|attract)[a-z]*"),
        (_NO_LONGER, r"(?:has|have) (?:lost (?:its|their) (?:appeal|charm)|faded|waned|gone|died)|(?:is|are) (?:gone|over)\b"),
        (
            _DISLIKES,
            r"(?:(?:is|are|was|were) (?:just |so )?not|isn't|aren't|wasn't) (?:really )?(?:for me|my |interest|fun|what i)",
        ),
        (_DISLIKES, r"(?:is|are) (?:so |just |really |too |very )?(?:boring|dull|overrated|a bore)|sucks?\b"),
        (_DISLIKES, r"(?:really |just )?bor(?:es?|ed) me|leaves? me cold|never (?:interested|appealed)"),
        (_DISLIKES, r"(?:that |which )?i (?:really )?(?:hate|dislike|can't stand|don't like|do not like)" + _ENDS),
        (_LIKES, r"rocks?\b|rules?\b|(?:is|are) (?:my (?!past)|everything|the best|awesome|great|fun|amazing|wonderful)"),
        (_LIKES, r"(?:that |which )?i (?:really |do )?(?:love|like|adore|enjoy)" + _ENDS),
        (_LIKES, r"(?:fascinates?|interests?|excites?) me"),
        (_NO_LONGER, _OF_LATE + r"(?:不再|再也不|没(?:有)?(?:什么|啥)?兴趣了|不感兴趣了)"),
        (_NO_LONGER, _OF_LATE + r"(?:[看玩听吃]?腻了|不(?:喜欢|爱|关注|看|玩)了)"),
        (_DISLIKES, r"(?:我)?(?:一点|半点|丝毫)(?:儿)?(?:兴趣|感觉)?(?:都|也)(?:没|不)"),
        (_DISLIKES, _REALLY + r"(?:没意思|没劲|无聊|算了|免了|不适合我|没(?:有)?(?:什么|啥)?兴趣|没什么吸引力)"),
        (_DISLIKES, _REALLY + r"(?:不(?:太|怎么)?感兴趣|不(?:太|怎么)?(?:喜欢|爱)" + _ENDS + ")"),
        (_LIKES, _REALLY + r"(?:不错|很棒|真香|我的最爱|有意思|好玩|感兴趣|有兴趣|(?:喜欢|爱[看玩]?)" + _ENDS + ")"),
    )
)
"""What follows a tag at once and is about it, whatever stands before."""

ANY_MORE = re.compile(r"(?<![a-z])(?:any ?more|any longer)(?![a-z])|(?<![算免])了[吧啊呢啦嘛]?$")
"""At the end of a negation: the opposite held before."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILLERS = _words("""
    a an the any more much so very really that too to at in of on for me with about all my this these those kind sort even want
    再 太 想 要 会 看 玩 踢 打 追 碰 听 读 吃 买 推 刷 给 我 什 么 那 这 任 何 很 是 做 去 学 养 练 跑 逛 的 了 对 关 心 注
    到 见
""")
"""Between a bare negation and the tag it is about: `not so much football`, 不看足球."""

ENDINGS = _words("most more least now anymore too either all at much the 了 的 啊 吧 呢 啦 嘛")
"""Words after a cue that ends a clause and so is about the tag before it: `football is what I hate most`."""

CONNECTIVES = _words("and or nor also plus even & the a an too either as well 和 与 及 跟 或 者 还 有 以 也 等 都")
"""What a list may hold beside tags."""

_KIN = (
    r"(?:wife|husband|sons?|daughters?|kids?|child|children|mother|mom|mum|father|dad|brothers?|sisters?|grand\w+|parents?|family"
    r"|friends?|boss|partner|girlfriend|boyfriend|colleagues?|neighbou?rs?|flatmates?|roommates?)"
)
_CHINESE_KIN = (
    "(?:老公|老婆|妻子|丈夫|先生|太太|女儿|儿子|孩子|妈妈?|爸爸?|父母|朋友|同事|男朋友|女朋友|男友|女友|家人|哥哥?|姐姐?|弟弟?|妹妹?"
    "|爷爷|奶奶|室友|邻居)"
)
OTHERS = re.compile(
    r"(?:and |so |also |because |since |when |if |sometimes |apparently )*"
    rf"(?:my (?:\w+ )?{_KIN}(?! and (?:i|me)\b)|he|she|they|people|everyone|everybody|some|others|most)(?:'s|'re|'ve)? "
    rf"|(?:而且|因为|但|只是|如果)*(?:我(?:的|家)?{_CHINESE_KIN}(?!和我|跟我|与我)|他们?|她们?|大家|别人|有人|有些人)"
)
"""How a clause about somebody else begins."""

SENTENCE_END = re.compile(r"[.!;。！；…\n]+(?=\s|$|[^\w])|[。！；…\n]+|[?？]+")
CLAUSE_END = re.compile(
    r"(?P<list>[,，、])|[()（）]|(?<!anything )(?<!nothing )(?<!\w)(?:but|however|though|although|whereas|while)(?!\w)"
    r"|(?<!\w)and (?=i\b|i'|we\b|my\b)|但是|但(?!是)|不过|可是|然而|反而|却|而(?!且)|现在|如今"
)
