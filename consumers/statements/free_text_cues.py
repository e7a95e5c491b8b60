"""The words by which people say what they like and what no more, in English and Chinese. Data for `free_text`.

All patterns are for text that went through `consumers.statements.vocabulary.plain`: case folded, with straight apostrophes.
"""

import re
from typing import Literal, NamedTuple

Role = Literal["likes", "dislikes", "not", "once", "without", "hedge", "except", "besides", "neither", "skip"]

NEAR = 3
"""Words between a negation and what it turns round, at most."""


class CueKind(NamedTuple):
    """What a cue says of what it is about.

    `neither` and `besides` say nothing, nor does a `hedge` by itself (`rarely`); `without` and `except` say nothing where
    something is denied before them (`nothing without jazz`); `skip` keeps others from matching. `before` says that the
    opposite held before; `topical` that it is said of an interest, not of one thing at hand. A cue turns a liking or disliking
    that comes at most `turns_within` words after it. Behind the words of each `then` its kind holds: `gave up golf for chess`.
    """

    role: Role
    before: bool = False
    topical: bool = False
    turns_within: int = -1
    then: "tuple[tuple[re.Pattern[str], CueKind], ...]" = ()


def _then(english: str, chinese: str = "(?!)") -> re.Pattern[str]:
    """Words that follow in the same clause, not far away and with no negation between."""
    between = r"(?:(?! (?:but|no|not|never|[a-z]+n't) )[^.,;:!?()。，；：！？（）不没\n]){0,60}?"
    return re.compile(rf"{between}(?P<then>(?<![a-z])(?:{english})(?![a-z])|{chinese})")


def _not_of(verbs: str, word: str) -> str:
    """The word, but not where one of the verbs before it takes it: `stopped going to the opera`."""
    return word + "".join(f"(?<!{verb} {word})" for verb in verbs.split())


_LIKES, _LIKES_TOPIC = CueKind("likes"), CueKind("likes", topical=True)
_DISLIKES, _DISLIKES_TOPIC = CueKind("dislikes"), CueKind("dislikes", topical=True)
_EXCEPT, _BESIDES, _NEITHER, _SKIP = CueKind("except"), CueKind("besides"), CueKind("neither"), CueKind("skip")

_TO = _not_of(
    "going coming listening returning travelling traveling driving flying moving subscribing contributing belonging paying"
    " talking speaking writing relating donating tuning trying wanting learning hoping planning pretending needing having"
    " wishing getting starting continuing attempting struggling refusing agreeing expecting used able chance dream"
    " time myself how",
    "to",
)
_FOR = _not_of(
    "going looking searching waiting paying training preparing asking shopping hunting rooting cheering caring competing"
    " playing coaching working hoping longing applying voting signing settling falling practising practicing",
    "for",
)
_OTHER_THAN = (_then("other than|apart from|aside from"), _BESIDES)
_UNTIL = (_then("until|till"), _NEITHER)
_ALL = CueKind("skip", then=(_OTHER_THAN,))
_NOT = CueKind("not", turns_within=NEAR, then=(_OTHER_THAN, _UNTIL))
_NO_LONGER = CueKind("not", before=True, topical=True, turns_within=NEAR)
_ONCE, _WITHOUT = CueKind("once", before=True, turns_within=NEAR), CueKind("without", turns_within=NEAR)
_SELDOM, _DOUBT = CueKind("hedge", turns_within=1), CueKind("hedge", turns_within=NEAR - 1)

_DOING = "(?:go|play|watch|do|read|travel|listen|drink|eat|cook)"
_FOR_ANOTHER = _then(
    rf"{_FOR}(?! (?:good|ever|now|lent|a (?:while|few|bit|year|month|week)|the (?:time|moment))\b)|in favou?r of"
    rf"|{_TO} (?:do|focus|concentrate|start|take up|learn|pursue|study|become|try|make|spend)"
    rf"|and (?:started|began|now(?= (?:i )?{_DOING} ))",
    r"改(?:为|成)?|转(?:向|到|为|而|去)?|换(?:成|到)?|(?<=工作|职位|学业|事业|一切)[去来做学]",
)
_PERHAPS_FOR_ANOTHER = _then(
    rf"{_TO}(?= {_DOING}\b)", r"(?<![弃了戒掉止])(?<!周末|每天|每周|今年|明年|继续|一起|坚持)去(?=[^\W的]{1,8}(?:$|\W))"
)
_INSTEAD = _then(rf"so(?= i )|i(?= {_DOING}\b)", r"(?<![倦了够别])去(?=[^\W的]{1,8}(?:$|\W))")
_GAVE_UP = CueKind("dislikes", before=True, topical=True)
_STOPPED = _GAVE_UP._replace(turns_within=0, then=((_FOR_ANOTHER, _LIKES), (_PERHAPS_FOR_ANOTHER, _NEITHER)))
_SWAPPED = _GAVE_UP._replace(then=((_then("for|in favou?r of"), _LIKES),))
_LEFT = _GAVE_UP._replace(then=((_then("to|for"), _LIKES),))
_WEARY = _GAVE_UP._replace(then=((_INSTEAD, _NEITHER),))
_HATES, _LESS = CueKind("dislikes", then=(_UNTIL,)), CueKind("dislikes", then=((_then("more(?! than)"), _LIKES),))
_TO_MUSIC = r"(?<=dancing to|singing to|working to) (?:music|jazz|rock|pop|techno|salsa|blues|metal|songs)"
_PREFERS = CueKind("likes", then=((_then(rf"(?<!prefer )(?<!prefers ){_TO}(?!{_TO_MUSIC})|over|than"), _NEITHER),))
_RATHER = CueKind("skip", then=((_then("than"), _NEITHER),))
_SWITCHED = CueKind("skip", then=((_then("from"), _NEITHER),))

_PAST = "(?:以前|曾经|过去|原来|从前|小时候|曾(?!经))"
_STILL = r"(?![^。！？；…\n]{0,16}(?:现在|如今|至今)(?:也|还|仍|更|依然|依旧|仍然)(?:是|很|挺)?(?:喜欢|爱|热爱)(?:\W|$))"
"""Not before: `and I still do`."""
_NO_MORE = (
    r"(?=[^。！？；…\n]{1,20}(?:现在|如今|后来)\w{0,4}?(?:不(?:再|怎么|太|那么|想)?(?:喜欢|爱|看|玩|打|听|关注)"
    r"|没(?:有)?(?:那么喜欢|兴趣|感觉)|[看玩听]?腻|厌倦|无感)了?(?:\W|$))"
)
"""Before: `and now no more`."""

_ENGLISH: tuple[tuple[CueKind, str], ...] = (
    # what looks like a negation or a liking and is none comes first
    (_LIKES, r"(?:can't|cannot|can not|couldn't|could not) (?:live|do|be) without"),
    (_LIKES, r"(?:can't|cannot|can not|couldn't|never) get enough(?: of)?|never (?:get |grow )?(?:tired|bored|sick) of"),
    (_LIKES, r"(?:never|rarely|seldom|hardly ever|wouldn't|can't|couldn't) (?:ever )?(?:miss|skip)(?:p?ed)?"),
    (_LIKES, r"(?:don't|didn't|haven't) (?:ever )?(?:miss|skip)(?:p?ed)? (?:a|an|any|one)|hate (?:to miss|missing)"),
    (_LIKES, r"(?:[a-z]+n't|cannot|not|never) (?:ever |yet )?(?:stop|stopped|quit|give up|gave up|given up|giving up)"),
    (_LIKES, r"(?:[a-z]+n't|cannot|not|never) say no to|nothing (?:but|beats|except)|(?:nothing|lost) without|never not"),
    (_NEITHER, r"(?:[a-z]+n't|not|never) (?:[a-z]+ ){0,2}anything (?:[a-z]+ ){0,3}(?:more|better) than"),
    (_NEITHER, r"(?:bored|sad|lonely|miserable|restless|unhappy) (?:without|(?:when|if) (?:there(?:'s| is| are)|i have) no)"),
    (_NEITHER, r"(?:went|gone|came) from [a-z]+ing(?=[^.,;!?]{1,40} to (?:loving|liking|enjoying|adoring) (?:it|them)\b)"),
    (_NEITHER, r"(?:life|world|days?|week|weekends?) without|without(?=[^.,;!?]{1,40}(?:can't|cannot|couldn't))"),
    (_DISLIKES, r"(?:couldn't|could not|can't) care less (?:about|for)"),
    (_SKIP, r"(?:[a-z]+n't|not) (?:only|just|merely|simply)|not to mention|no (?:doubt|matter|wonder|question|joke|lie)"),
    (_SKIP, r"not (?:ashamed|afraid|embarrassed)|not (?:gonna|going to) lie|why not|if not|not bad|would like to"),
    (_SKIP, r"(?:can't|cannot|couldn't) help(?= but| [a-z]+ing)"),
    (_SKIP, r"(?:can't|cannot|couldn't) (?:deny|hide|explain|believe)(?=(?: how much| why| that)? (?:i|my) )"),
    (_SKIP, r"(?<!one )(?<!body )(?<!people )(?<!person )who (?:doesn't|wouldn't)"),
    (_NEITHER, r"(?:don't|doesn't|do not) (?:own|have|know|mind|remember|need|live|miss)|not sure|less than"),
    (_NEITHER, r"(?:am|'m|get|got|getting) used to|can take or leave"),
    (_NEITHER, r"(?:never|didn't) (?:thought|think|knew|know|expect(?:ed)?) (?:i'd|i would|to) (?:ever )?(?:like|love|enjoy)"),
    (_NEITHER, r"(?:wish|if) i (?:liked|loved|enjoyed)|(?:pretend(?:ed|ing)?|tried) to (?:like|love)"),
    (_DISLIKES_TOPIC, r"(?:don't|do not|never|not|stop) (?:want to |wish to )?(?:show|see|send|hear)(?: me| about)?"),
    (_DISLIKES_TOPIC, r"(?:don't|do not|never|not|stop) (?:want to |wish to )?(?:recommend|suggest|read|watch)(?: me)?"),
    (_DISLIKES, r"(?:can't|cannot|can not|couldn't|can hardly) (?:stand|bear)"),
    # what turns others round
    (_NO_LONGER, r"no longer|not (?:any ?more|any longer)|never again"),
    (_ONCE, r"used to(?: be)?"),
    (_SELDOM, r"(?:rarely|seldom|scarcely)(?: ever)?"),
    (_DOUBT, r"(?:don't|didn't|wouldn't|not|never) (?:really )?(?:think|thought|believe|say|said)(?: that)?"),
    (_DOUBT, r"(?:don't|didn't|wouldn't|not|never) (?:really )?(?:find|found|feel|felt)"),
    (_WITHOUT, r"without"),
    (_ALL, r"all|any|every(?:thing|one|body)?"),
    (_NOT, r"(?:[a-z]+n't|not|never|no|nor|neither|hardly|barely|refuse to)(?![a-z'])"),
    # against
    (_GAVE_UP, r"(?:have |has |'ve |i )?los(?:t|ing) (?:all |my |any )?interest in"),
    (_STOPPED, r"(?:stopped|quit|quitted|gave up|given up|giving up)(?: on)?(?: with)?(?: being)?"),
    (_STOPPED, r"(?:dropped|ditched|abandoned)(?: on)?(?: with)?|(?:grew|grown|growing) out of|outgr(?:ew|own)"),
    (_SWAPPED, r"swapped"),
    (_LEFT, r"(?:moved|switched|changed|went) from"),
    (_SWITCHED, r"(?:moved|switched|changed|converted) (?:over )?to"),
    (_GAVE_UP, r"(?:done|finished|through|over) with|moved on from|turned away from|(?<![a-z] )enough (?:with|of)"),
    (_WEARY, r"(?:bored|tired|sick|weary) (?:of|with|by)|fed up with|had (?:quite )?enough of|burn(?:ed|t) out on"),
    (_GAVE_UP, r"(?:gone|went|going|go) off|(?:(?:am|'m|so|totally|completely) )+over"),
    (_DISLIKES_TOPIC, r"(?:no|zero|little) interest in|(?:uninterested|disinterested) in|indifferent to"),
    (_DISLIKES_TOPIC, r"stop [a-z]+ing(?: me)?"),
    (_HATES, r"hates?|hated|hating|dislikes?|disliked|disliking|detests?|loathes?|despises?|avoids?|avoiding|allergic to"),
    (_DISLIKES, r"bores? me"),
    (_EXCEPT, r"anything but|except(?: for)?|excluding|with the exception of"),
    (_BESIDES, r"(?:other than|apart from|aside from)(?=[^.;!?]{1,60}(?<![a-z])(?:all|any|every))"),
    (_DISLIKES_TOPIC, r"remove|delete|unfollow|block|mute|hide|nothing about"),
    (_LESS, r"less|fewer"),
    (_DISLIKES, r"(?:too much|rather than|instead of|unlike|spare me(?: the)?)"),
    # for
    (_LIKES_TOPIC, r"(?:interested|interest|interests) in|into|fan of|fond of|keen on"),
    (_LIKES_TOPIC, r"(?:passionate|curious|enthusiastic|care|cares) about"),
    (_LIKES_TOPIC, r"(?:crazy|mad|nuts|wild) about|obsessed with|hooked on|addicted to|devoted to|drawn to|took up|taken up"),
    (_LIKES, r"(?:like|likes|liking|love|loves|loving|enjoy|enjoys|enjoying|adore|adores|adoring|care for)"),
    (_PREFERS, r"prefers?"),
    (_RATHER, r"rather"),
    (_LIKES, r"(?:favou?rites?|passion|hobby|hobbies|interests)(?: (?:is|are))?"),
    (_LIKES, r"(?:have|has|'ve) always (?:loved|liked|enjoyed)"),
)  # fmt: skip

_NEARBY = r"[^，。！？；,.!?;\s]{1,10}"
"""A few characters with no mark between."""

_CHINESE: tuple[tuple[CueKind, str], ...] = (
    # what looks like a negation or a liking and is none comes first
    (_LIKES, r"(?:离|戒|忘|停|放|拒绝|抗拒|抵挡)不(?:开|了|掉|下)|少不了|(?:无法|不能|难以)(?:拒绝|抗拒|抵挡|自拔)"),
    (_LIKES, r"不[能可](?:一日)?(?:没有|缺少|无)|百看不厌|[看玩听吃]不[腻厌]|(?:不[会想能容愿]|从[不没未]|很少)错过"),
    (_LIKES, r"从来?[不没未](?:有)?(?:停止|放弃|厌倦)过?|没有一[天日]不|一[天日]不(?=[看玩喝吃听打])|很少不"),
    (_LIKES, rf"没有?(?={_NEARBY}(?:活不|不行|会死))|不(?=[看玩喝吃听打练跑做]{_NEARBY}(?:不行|难受|不舒服|睡不着))"),
    (_LIKES, rf"不(?=[看玩喝吃听打练跑做]{_NEARBY}就(?:没(?:精神|力气|状态|动力|灵魂)|犯困|心慌|想睡|不自在|不踏实|睡不好))"),
    (_LIKES, r"(?:谁|怎么?|如何|哪)(?:能|会|可以|舍得)(?:拒绝|抗拒|抵挡|讨厌|没有|缺少)"),
    (_NEITHER, r"没有?(?:什么|哪种|一种)?(?:是)?我不(?:喜欢|爱[看玩吃听喝]?)的"),
    (_NEITHER, r"(?:好|很|许)久(?:都)?没有?(?=[^。！？；…\n]{1,16}(?<![不有])(?<!不是)(?:[好很真超]想|想念|怀念|手痒))"),
    (_SKIP, r"(?:很难|难以|没办法|没法|无法|怎么?[能会])不(?=喜欢|爱)|(?:并非|不是)[只仅光单]"),
    (_NEITHER, rf"没有?(?={_NEARBY}的(?:日子|生活|周末|人生))|(?:不是|并非|不会|不能)不(?:喜欢|爱)"),
    (_LIKES, rf"(?<![除并莫])非(?![常洲])(?={_NEARBY}不[行可看玩喝吃听打])|无(?={_NEARBY}不欢)"),
    (_SKIP, r"不仅|不但|不只|不光|不止|不单|不管|不论|不得不|差不多|不好意思|不错|别人|特别|区别|级别|个别"),
    (_SKIP, r"忍不住|不由|不禁|不自觉|不知不觉|不知(?=何|为|从)|不知道为|不否认|不可否认|没事|不如"),
    (_SKIP, r"不[时断停少久愧同]|无(?:比|敌|限|尽|疑|论|数|意[中间])|毫无疑问|(?:谁[会能]?|[没哪]有?人)不(?=喜欢|爱)"),
    (_SKIP, r"(?:没想到|想不到)(?=[我自己会能]*(?:喜欢|爱))|比起?(?:以前|曾经|过去|原来|从前)"),
    (_SKIP, r"能不能|可不可以|有没有|(?:干[吗嘛]|为什么|为何|何|怎么)不(?=[去来试])"),
    (_NEITHER, rf"比(?![赛较])(?={_NEARBY}更)|比起|相比于?|与其"),
    (_NEITHER, r"喜不喜欢|爱不爱|感不感兴趣|(?:要不要|会不会|是不是)(?:喜欢|爱)?"),
    (_NEITHER, r"(?:假装|装作|要是|试着)[也能会很]?(?:喜欢|爱)"),
    (_NO_LONGER, r"不再(?:那么|怎么|是)?|再也不|不想再|不要再|别再"),
    (_ONCE, rf"(?<!从){_PAST}(?!就){_STILL}|(?<=从){_PAST}(?=的)|{_PAST}{_NO_MORE}"),
    (_GAVE_UP, r"失去(?:了)?(?:兴趣|热情|对)?|取消(?:了)?关注|(?:没|没有|失去)(?:了)?热情"),
    (_STOPPED, r"放弃(?:了)?|停止(?=喜欢|关注|[看玩])|戒(?:掉|了)"),
    (_WEARY, r"厌倦(?:了)?|受够(?:了)?|告别(?:了)?"),
    (_GAVE_UP, r"退坑|弃坑|脱粉|取关(?:了)?|[看玩听吃]?腻(?:了)?"),
    (_DISLIKES_TOPIC, r"没(?:有)?(?:什么|啥|太大|多大|多少|任何|太多|一点)?的?(?:兴趣|感觉(?!到)|好感)"),
    (_DISLIKES_TOPIC, r"不(?:太|怎么|大)?(?:感冒|来电)"),
    (_DISLIKES_TOPIC, r"无感|提不起(?:什么|任何|一点)?(?:兴[趣致]|精神|劲)|毫无(?:兴趣|感觉)|缺乏兴趣|兴[趣致]不[大高]"),
    (_DISLIKES_TOPIC, r"(?:一点|半点|丝毫)?(?:儿)?(?:兴趣|感觉)(?:都|也)?没(?:有)?|少(?:来)?(?:一)?(?:点|些)"),
    (_LIKES_TOPIC, r"多(?:来)?(?:一)?(?:点|些)"),
    (_DISLIKES_TOPIC, r"(?:别|少|不要|不用|不必|停止)(?:再)?(?:给我|跟我|向我)?(?:推荐?|发|看到)(?:点|些|送)?"),
    (_DISLIKES, r"讨厌|厌恶|反感|烦透(?:了)?|嫌弃|拒绝|拉黑|看不上|受不了|忍受不了|没意思|没劲"),
    (_DISLIKES, r"(?:无法|不能|难以)(?:忍受|接受)|接受不了|欣赏不来|[看吃喝听]不(?:惯|来|下去)|不敢[看玩]|害?怕看"),
    (_NEITHER, r"(?<![不多至年])少[看玩刷吃喝]|(?<=我)[很最超]?害?怕(?![冷热黑死胖累人晒疼吵没错失忘被高水鬼输老孤看])"),
    (_BESIDES, rf"除了|除去|(?<![删清排消免])除(?!夕)(?={_NEARBY}(?:[之以]外的|外[，,]?[我全什么其他的]*都))"),
    (_SELDOM, r"(?:很|极|甚|鲜)少"),
    (_DOUBT, r"不(?:太)?(?:觉得|认为)"),
    (_NEITHER, r"难得|无所谓|可有可无"),
    (_NOT, r"不(?:太|怎么|大|是很|是|算|那么|会|想|爱|要|用)?|并[不非]|没那么|没(?:有)?怎么|没有?|从来?[不没未]|别|无"),
    (_LIKES, r"(?<![不能想会要是])只(?=[看玩喝吃听打爱])"),
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
_REALLY = "(?:我|是|就|都|真的|实在|完全|也|太|才|很|最|对我(?:来说)?|什么的|类|的)*"
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
        (_DISLIKES, r"(?:(?:is|are) )?(?:so |just |really |too |very )?(?:boring|dull|overrated|a bore)\b|sucks?\b"),
        (_DISLIKES, r"(?:really |just )?bor(?:es?|ed) me|leaves? me cold"),
        (_DISLIKES, r"(?:never|rarely|seldom|hardly) (?:really )?(?:interest|appeal|excite)(?:s|e?d)\b"),
        (_DISLIKES, r"(?:does|is|means?) nothing (?:for|to) me"),
        (_DISLIKES, r"(?:doesn't|don't|didn't|never) (?:(?:do|did|does) )?(?:it|much|anything) for me"),
        (_DISLIKES, r"(?:that |which )?i (?:really )?(?:hate|dislike|can't stand|don't like|do not like)" + _ENDS),
        (_LIKES, r"rocks?\b|rules?\b|(?:is|are) (?:my (?!past)|everything|the best|awesome|great|fun|amazing|wonderful)"),
        (_LIKES, r"(?:that |which )?i (?:really |do )?(?:love|like|adore|enjoy)" + _ENDS),
        (_LIKES, r"(?:fascinates?|interests?|excites?) me"),
        (_NO_LONGER, _OF_LATE + r"(?:不再|再也不|没(?:有)?(?:什么|啥)?兴趣了|不感兴趣了)"),
        (_NO_LONGER, _OF_LATE + r"(?:[看玩听吃]?腻了|不(?:喜欢|爱|关注|看|玩)了)"),
        (_DISLIKES, r"(?:我)?(?:一点|半点|丝毫)(?:儿)?(?:兴趣|感觉)?(?:都|也)(?:没|不)"),
        (_DISLIKES, _REALLY + r"(?:没意思|没劲|无聊|算了|免了|不适合我|没(?:有)?(?:什么|啥|太大|多大)?(?:兴趣|吸引力))"),
        (_DISLIKES, _REALLY + r"没(?:有)?(?:什么|啥)[好可][看玩听吃]"),
        (_DISLIKES, _REALLY + r"(?:没(?:有)?(?:什么|啥|多大)?感觉|不(?:太|怎么|大)?(?:感冒|来电)|兴趣不大)" + _ENDS),
        (_DISLIKES, _REALLY + r"(?:欣赏不来|[看听]不下去|受不了|过敏)" + _ENDS),
        (_NEITHER, _REALLY + r"(?:除外|不行|无所谓|可有可无|不如|相比|才怪|有什么好[看玩听吃])"),
        (_DISLIKES, _REALLY + r"(?:不(?:太|怎么)?感兴趣|不(?:太|怎么)?(?:喜欢|爱)" + _ENDS + ")"),
        (_LIKES, _REALLY + r"(?:不错|很棒|真香|我的最爱|有意思|好玩|感兴趣|有兴趣|(?:喜欢|爱[看玩]?)" + _ENDS + ")"),
    )
)
"""What follows a tag at once and is about it, whatever stands before."""

ANY_MORE = re.compile(r"(?<![a-z])(?:any ?more|any longer)(?![a-z])|(?<![算免不])了[吧啊呢啦嘛]?$")
"""At the end of a negation: the opposite held before."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FILLERS = _words("""
    a an the any more much so very really that too to at in of on for me with about all my this these those kind sort even want
    再 太 想 要 会 看 玩 踢 打 追 碰 听 读 吃 喝 买 推 刷 给 我 什 么 那 这 任 何 很 是 做 去 学 养 练 跑 逛 的 了 对 关 心 注
    到 见
""")
"""Between a bare negation and the tag it is about: `not so much football`, 不看足球."""

ENDINGS = _words("most more least now anymore too either all at much the 了 的 啊 吧 呢 啦 嘛")
"""Words after a cue that ends a clause and so is about the tag before it: `football is what I hate most`."""

DEEDS = ENDINGS | FILLERS | _words("play watch follow drink eat read do use go")
"""Words after a negation that ends a clause and so is about the tag before it: `golf I never play`."""

CONNECTIVES = _words("and or nor also plus even & the a an too either as well 和 与 及 跟 或 者 还 有 以 也 等 都")
"""What a list may hold beside tags."""

_KIN = (
    r"(?:wife|husband|sons?|daughters?|kids?|child|children|mother|mom|mum|father|dad|brothers?|sisters?|grand\w+|parents?|family"
    r"|friends?|boss|partner|girlfriend|boyfriend|colleagues?|neighbou?rs?|flatmates?|roommates?|ex|cousins?|uncle|aunt|spouse)"
)
_CHINESE_KIN = (
    "(?:老公|老婆|妻子|丈夫|先生|太太|女儿|儿子|孩子|妈妈?|爸妈?|爸爸|父母|朋友|同事|男朋友|女朋友|男友|女友|家人|哥哥?|姐姐?|弟弟?|妹妹?"
    "|爷爷|奶奶|室友|邻居|同学|闺蜜|前任)们?"
)
OTHERS = re.compile(
    r"(?:and |so |also |because |since |when |if |sometimes |apparently )*"
    rf"(?:(?:my (?:\w+ )?{_KIN}|(?:our|the) (?:kids?|children|sons?|daughters?|wife|husband))(?! and (?:i|me)\b)"
    r"|he|she|they|people|(?:not )?(?:everyone|everybody)|no one|nobody|some|others|most|(?:many|lots of) people)"
    r"(?:'s|'re|'ve)? "
    rf"|(?:而且|因为|但|只是|如果)*(?:我(?:的|家)?{_CHINESE_KIN}(?!和我|跟我|与我)|他们?|她们?|大家|别人|有人|有些人"
    rf"|人们|没人|(?:很多|不少|多数|大部分|很少有?)人|{_CHINESE_KIN}[也都很最不常]*(?:天天|特别|非常|一直)?(?:喜欢|爱|讨厌|看|玩))"
)
"""How a clause about somebody else begins."""

SENTENCE_END = re.compile(r"[.!;。！；…\n]+(?=\s|$|[^\w])|[。！；…\n]+|[?？]+")
CLAUSE_END = re.compile(
    r"(?P<list>[,，、](?! ?except))|[()（）]"
    r"|(?<!anything )(?<!nothing )(?<!\w)(?:but(?! me\b)|however|though|although|whereas|while)(?!\w)"
    r"|(?<!\w)and (?=i\b|i'|we\b|my\b)|但是|但(?!是)|不过|可是|然而|反而|却|而(?!且)|现在|如今"
)
EVERYTHING = re.compile(r"(?<![a-z])(?:all|any|every)(?![a-z])|(?<![a-z])every(?:thing|one|body)(?![a-z])")
"""What a `but` with nothing but tags behind it takes them out of: `all sports but golf`."""
ASKED = re.compile(r"吗\W*$")
"""How a question ends that has no mark."""
