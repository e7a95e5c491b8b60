"""How reasons read, in English and Chinese."""

from schemas.messages import Language

_DID: dict[Language, dict[str, str]] = {
    "en": {
        "view": "viewed", "click": "clicked", "play": "played", "like": "liked", "favorite": "saved", "share": "shared",
        "comment": "commented on", "follow": "followed", "rating": "rated", "add_to_cart": "put in your cart",
        "purchase": "bought",
    },
    "zh": {
        "view": "浏览过", "click": "点击过", "play": "播放过", "like": "点赞过", "favorite": "收藏过", "share": "分享过",
        "comment": "评论过", "follow": "关注过", "rating": "评价过", "add_to_cart": "加购过", "purchase": "买过",
    },
}  # fmt: skip
_SAID: dict[Language, dict[str, str]] = {
    "en": {
        "interest": "Because you are interested in {detail}",
        "similar_to": "Similar to {detail}, which you {did}",
        "neighbour": "Because you {did} {detail}: people who turned to it turned to this too",
        "concept": "About {detail}, like {origin}, which you {did}",
        "sequence": "Fits what you did lately",
        "profile": "Fits your profile",
        "popular": "Popular now",
        "fresh": "New",
        "rule": "Picked by the site: {detail}",
        "exploration": "Something different, to get to know you better",
        "again": "You {did} this before",
        "catalogue": "From the catalogue",
    },
    "zh": {
        "interest": "因为您对{detail}感兴趣",
        "similar_to": "与您{did}的“{detail}”相似",
        "neighbour": "因为您{did}“{detail}”，关注它的人也关注了这个",
        "concept": "与您{did}的“{origin}”同属{detail}",
        "sequence": "与您近期的行为相符",
        "profile": "符合您的画像",
        "popular": "近期热门",
        "fresh": "新上架",
        "rule": "网站推荐：{detail}",
        "exploration": "换换口味，以便更懂您",
        "again": "您之前{did}",
        "catalogue": "来自本站目录",
    },
}
_DID_SOMETHING: dict[Language, str] = {"en": "turned to", "zh": "接触过"}


def reason_text(kind: str, language: Language, detail: str, event_type: str = "", origin: str = "") -> str:
    """One reason as a sentence; `event_type` is what the user did with the item that `detail`, or `origin`, names."""
    did = _DID[language].get(event_type, _DID_SOMETHING[language])
    return _SAID[language][kind].format(detail=detail, did=did, origin=origin)
