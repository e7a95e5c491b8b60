"""The words the prompts are made of: instructions, labels, and example people and titles, per language.

The examples come from other walks of life than the items, so that a name copied from them is seen by the grounding check.
"""

from typing import Literal, NamedTuple

from schemas.messages import Language

PartKind = Literal["about", "dislikes", "viewed"]


class Person(NamedTuple):
    """What a sentence about somebody needs, as it is put to the model; an occupation is a noun, a field or a condition."""

    subject: str
    age: str = ""
    occupation: str = ""
    field: str = ""
    condition: str = ""
    location: str = ""
    names: tuple[str, ...] = ()


SYSTEM: dict[Language, str] = {
    "en": "You write one short English sentence about a user from the facts given. "
    "Use every fact, keep names as they are, and add nothing.",
    "zh": "你根据给出的资料，用一句简短的中文描述用户。写出每一项资料，名称照抄，不要添加任何内容。",
}
SUBJECT: dict[Language, dict[str, str]] = {
    "en": {"male": "He", "female": "She", "": "This user"},
    "zh": {"male": "他", "female": "她", "": "该用户"},
}
LABELS: dict[Language, dict[str, str]] = {
    "en": {
        "age": "age", "occupation": "occupation", "field": "works in", "condition": "status", "location": "location",
        "subject": "subject", "about": "interests", "dislikes": "not interested in", "viewed": "looked at",
    },
    "zh": {
        "age": "年龄", "occupation": "职业", "field": "职业", "condition": "职业", "location": "所在地",
        "subject": "主语", "about": "兴趣", "dislikes": "不感兴趣", "viewed": "浏览过",
    },
}  # fmt: skip
PEOPLE: dict[Language, tuple[Person, ...]] = {
    "en": (
        Person("This user", "41", "dentist", "banking", "self-employed", "Porto", ("gardening", "jazz", "chess")),
        Person("She", "29", "welder", "shipping", "retired", "Oslo", ("history", "baking", "poetry")),
        Person("He", "63", "pilot", "printing", "unemployed", "Quito", ("board games", "opera", "birds")),
        Person("This user", "37", "tailor", "farming", "freelance", "Cairo", ("origami", "tea", "sewing")),
    ),
    "zh": (
        Person("该用户", "41", "牙医", "银行", "自由职业", "波尔图", ("园艺", "爵士乐", "围棋")),
        Person("她", "29", "焊工", "航运", "退休", "奥斯陆", ("历史", "烘焙", "诗歌")),
        Person("他", "63", "飞行员", "印刷", "待业", "基多", ("桌游", "歌剧", "观鸟")),
        Person("该用户", "37", "裁缝", "农业", "自由职业", "开罗", ("折纸", "茶", "缝纫")),
    ),
}
TITLES: dict[Language, tuple[tuple[str, ...], ...]] = {
    "en": (
        ("The Silk Road", "Bird Feeder", "Chess for Two"),
        ("Garden Hose 20 m", "Poems of the North", "Bread Tin"),
        ("Jazz at Noon (1961)", "Oak Desk", "Letters, The (1988)"),
        ("Sewing Kit", "Tea, Slowly", "Map of Oslo"),
    ),
    "zh": (
        ("丝绸之路", "喂鸟器", "双人围棋"),
        ("花园水管", "北方诗选", "面包模具"),
        ("正午爵士", "橡木书桌", "信"),
        ("针线盒", "慢慢喝茶", "奥斯陆地图"),
    ),
}
