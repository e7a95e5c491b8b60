"""Sentence frames of the demo shop: what its texts say around the phrases, by language."""

from collections.abc import Mapping
from dataclasses import dataclass

from schemas.messages import Domain, Language


@dataclass(frozen=True)
class Frames:
    """Frames and names of one language; {skill}, {story}, {tag}, {topic} and {outlet} are filled in."""

    offers: tuple[str, ...]
    video_titles: tuple[str, ...]
    video_texts: tuple[str, ...]
    calls: tuple[str, ...]
    news_leads: tuple[str, ...]
    news_closings: tuple[str, ...]
    outlets: tuple[str, ...]
    people: tuple[str, ...]
    domain_tags: Mapping[Domain, tuple[str, ...]]
    good_comments: tuple[str, ...]
    bad_comments: tuple[str, ...]
    free_texts: tuple[str, ...]
    occupations: tuple[str, ...]
    places: tuple[str, ...]


ENGLISH = Frames(
    offers=(
        "Made for people who take {tag} seriously and themselves less so.",
        "A good first step into {tag}. Free returns within thirty days.",
        "Our customers' favourite in {topic} this season.",
        "Spare parts are kept for ten years.",
        "A present that anyone fond of {tag} will use up.",
    ),
    video_titles=(
        "How to {skill}",
        "Learn to {skill} in a weekend",
        "How to {skill}, step by step",
        "How to {skill}: what nobody tells beginners",
        "The calm way to {skill}",
    ),
    video_texts=(
        "We {skill} slowly, show every mistake once and then get it right. For everyone curious about {tag}.",
        "A teacher with twenty years of {tag} behind her shows how to {skill}. No special gear is needed.",
        "Three people who had never tried {tag} learn to {skill}. One of them gives up, two do not.",
        "All you need to {skill}, without the talk around it. Part of our series on {topic}.",
    ),
    calls=(
        "Tell me it is not just me.",
        "Who else had a week like this?",
        "Pictures in the comments.",
        "Ask me anything, I have time.",
        "Day one of many.",
    ),
    news_leads=(
        "{story}, {outlet} has learned.",
        "{story}. That is what those involved told {outlet} this week.",
        "{outlet} went to see for itself: {story}.",
        "It took longer than planned, but it is true: {story}.",
    ),
    news_closings=(
        "For people who follow {tag}, it is the news of the month.",
        "Experts in {topic} call it a sign of what is to come.",
        "More on {tag} in our weekend edition.",
        "Readers who care about {topic} have waited a long time for this.",
    ),
    outlets=("The Morning Post Bag", "Riverside Herald", "The Long Weekend", "Harbour Times"),
    people=("Ada", "Ben", "Chloe", "Dev", "Elif", "Femi", "Greta", "Hugo", "Ines", "Jonas", "Kira", "Liam", "Maya", "Noor"),
    domain_tags={
        "ecommerce": ("gift ideas", "new in"),
        "video": ("how-to", "for beginners"),
        "social": ("daily life", "small joys"),
        "news": ("good news", "local news"),
    },
    good_comments=(
        "This made my day.", "Saved for the weekend.", "Exactly what I was looking for.", "More of this, please.",
        "Tried it, works.", "Sending this to my sister.",
    ),
    bad_comments=("Not for me.", "I expected something else.", "Please show me less of this."),
    free_texts=(
        "I spend most weekends on {first} and lately I am getting into {second}.",
        "Mostly here for {first}. A bit of {second} is welcome too.",
        "I work a lot, so when I have an hour it goes to {first} or {second}.",
    ),
    occupations=("teacher", "engineer", "nurse", "student", "designer", "driver", "accountant", "gardener", "cook"),
    places=("Leeds", "Lisbon", "Toronto", "Berlin", "Dublin", "Utrecht", "Auckland", "Chicago"),
)  # fmt: skip

CHINESE = Frames(
    offers=(
        "认真玩{tag}的人会喜欢它。",
        "入门{tag}的第一件好物，三十天内免费退换。",
        "本季{topic}类回购最多的一款。",
        "配件保证供应十年。",
        "送给喜欢{tag}的朋友，不会闲置。",
    ),
    video_titles=(
        "手把手教你{skill}",
        "一个周末学会{skill}",
        "如何{skill}：完整示范",
        "{skill}，新手最容易忽略的几件事",
        "慢慢来，从零开始{skill}",
    ),
    video_texts=(
        "跟着镜头{skill}，每个错误都先犯一遍再改对，适合对{tag}好奇的你。",
        "做了二十年{tag}的老师亲自示范如何{skill}，不需要特别的装备。",
        "三个从没接触过{tag}的人尝试{skill}，一个放弃了，两个坚持了下来。",
        "想{skill}，看这一集就够，不说废话。收录在{topic}系列里。",
    ),
    calls=("不会只有我这样吧？", "这周和我一样的举个手。", "图在评论区。", "想问什么尽管问，今天有空。", "打卡第一天。"),
    news_leads=(
        "{outlet}讯：{story}。",
        "{story}，当事人本周向{outlet}讲述了经过。",
        "{outlet}记者到现场看了看：{story}。",
        "比原计划晚了一些，但消息属实：{story}。",
    ),
    news_closings=(
        "对关注{tag}的人来说，这是本月的大新闻。",
        "{topic}领域的专家认为，这预示着接下来的变化。",
        "更多{tag}报道见本报周末版。",
        "关心{topic}的读者等这一天很久了。",
    ),
    outlets=("晨间邮报", "江畔日报", "周末慢报", "港城时报"),
    people=("阿禾", "小满", "林一", "周舟", "青禾", "老陈", "阿木", "南星", "米粒", "江白", "顾晚", "许多多", "大树", "知夏"),
    domain_tags={
        "ecommerce": ("送礼", "新品"),
        "video": ("教程", "新手入门"),
        "social": ("日常", "小确幸"),
        "news": ("好消息", "本地新闻"),
    },
    good_comments=("看完心情都好了。", "先收藏，周末试试。", "正好需要这个。", "多来点这样的。",
        "试过了，真的有用。", "转给我姐看。"),
    bad_comments=("不太适合我。", "和想的不一样。", "少给我推这个吧。"),
    free_texts=(
        "周末基本都在{first}，最近也开始对{second}感兴趣。",
        "主要来看{first}，偶尔看看{second}也不错。",
        "平时工作忙，有一个小时也会留给{first}或者{second}。",
    ),
    occupations=("教师", "工程师", "护士", "学生", "设计师", "司机", "会计", "园艺师", "厨师"),
    places=("成都", "杭州", "西安", "广州", "厦门", "沈阳", "昆明", "武汉"),
)  # fmt: skip

FRAMES: Mapping[Language, Frames] = {"en": ENGLISH, "zh": CHINESE}
