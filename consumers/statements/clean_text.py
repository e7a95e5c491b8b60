"""Text of sellers and users as one harmless line."""

import unicodedata
from functools import lru_cache

MAX_TOPIC_LENGTH = 80


def tag_key(tag: str) -> str:
    """What a tag is known by: two that people cannot tell apart, or tell apart by letter case alone, are one."""
    return clean(tag).casefold()


@lru_cache(maxsize=20_000)  # the same tags and titles come again with every user
def clean(text: str, limit: int = MAX_TOPIC_LENGTH) -> str:
    """One printable line of at most `limit` characters: no control, format or private characters, no chat template marks."""
    plain = "".join(" " if character.isspace() else character for character in text)
    plain = "".join(character for character in plain if unicodedata.category(character)[0] != "C")
    while "<|" in plain or "|>" in plain:
        plain = plain.replace("<|", "").replace("|>", "")
    plain = " ".join(plain.split())
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + "…"
