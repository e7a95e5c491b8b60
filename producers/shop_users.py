"""The demo shop's users: what they hide (their interests over time) and what they say of themselves."""

import random
from dataclasses import dataclass
from typing import Literal

from producers.shop_catalog import DAY_MS, TOPICS
from producers.shop_frames import FRAMES
from schemas.messages import Gender, Language, UserAttributes

Weights = dict[str, float]
"""Topic key → share of the user's interest; the shares sum to 1."""

SHARE_CHANGING, SHARE_COLD, SHARE_REFUSING, SHARE_SILENT = 0.25, 0.06, 0.1, 0.1
USERS_PER_ERASURE = 60


@dataclass(frozen=True)
class ShopUser:
    """One invented user.

    `interests` are (from_ms, weights) in order of time: two of them for a user who changes, and `says_so` is how that user
    declares the change. `consent` says whether they let a profile be written; None: they never say. `activity` is their share
    of all events, relative to others; 0 for cold users.
    """

    user_id: str
    language: Language
    joined_ms: int
    interests: tuple[tuple[int, Weights], ...]
    attributes: UserAttributes | None
    consent: bool | None
    activity: float
    erased_ms: int | None = None
    says_so: Literal["edit", "mute"] | None = None

    @property
    def changes_ms(self) -> int | None:
        """When the interests change, or None."""
        return self.interests[1][0] if len(self.interests) > 1 else None

    @property
    def dropped_topic(self) -> str | None:
        """The topic a changing user turns away from."""
        if len(self.interests) < 2:
            return None
        before, after = self.interests[0][1], self.interests[1][1]
        return next(topic for topic in before if topic not in after)

    def weights_at(self, time_ms: int) -> Weights:
        """The true interests at a time; those at first before the user joined."""
        current = self.interests[0][1]
        for from_ms, weights in self.interests:
            if time_ms >= from_ms:
                current = weights
        return current


def make_users(seed: int, count: int, start_ms: int, days: int) -> list[ShopUser]:
    """`count` users, half of them Chinese; the same for the same arguments."""
    return [_make_user(seed, index, count, start_ms, days) for index in range(count)]


Kind = Literal["regular", "changing", "cold"]


def _make_user(seed: int, index: int, count: int, start_ms: int, days: int) -> ShopUser:
    source = random.Random(f"shop user {seed} {index}")
    user_id = f"shop{seed}-{index:04d}"
    language: Language = "zh" if index % 2 else "en"
    kind = _kind(source)
    joined_ms = start_ms + source.randrange(DAY_MS // 2)
    if source.random() < 0.3:
        joined_ms = start_ms + source.randrange(days * DAY_MS // 2)
    interests = [(joined_ms, draw_weights(source))]
    if kind == "changing":
        left_ms = start_ms + days * DAY_MS - joined_ms
        interests.append((joined_ms + int(left_ms * source.uniform(0.4, 0.7)), _changed(source, interests[0][1])))
    erases = kind == "regular" and index % USERS_PER_ERASURE == USERS_PER_ERASURE // 3
    attributes = _attributes(source, user_id, language, kind, interests[0], joined_ms)
    return ShopUser(
        user_id=user_id,
        language=language,
        joined_ms=joined_ms,
        interests=tuple(interests),
        attributes=attributes,
        consent=True if erases else _consent(source),
        activity=0.0 if kind == "cold" else source.lognormvariate(0, 0.7),
        erased_ms=start_ms + int(days * DAY_MS * source.uniform(0.8, 0.95)) if erases else None,
        says_so=source.choice(("edit", "edit", "mute", None, None)) if kind == "changing" else None,
    )


def _kind(source: random.Random) -> Kind:
    draw = source.random()
    if draw < SHARE_COLD:
        return "cold"
    return "changing" if draw < SHARE_COLD + SHARE_CHANGING else "regular"


def _consent(source: random.Random) -> bool | None:
    draw = source.random()
    if draw < SHARE_REFUSING:
        return False
    return None if draw < SHARE_REFUSING + SHARE_SILENT else True


def draw_weights(source: random.Random) -> Weights:
    """Two to four topics, the first clearly ahead."""
    topics = source.sample(list(TOPICS), source.randint(2, 4))
    raw = [source.uniform(0.8, 1.2) / (rank + 1) for rank in range(len(topics))]
    return {topic: round(weight / sum(raw), 4) for topic, weight in zip(topics, raw, strict=True)}


def _changed(source: random.Random, before: Weights) -> Weights:
    """The strongest interest is gone, a new one stands in its place."""
    strongest = max(before, key=lambda topic: before[topic])
    fresh = source.choice([topic for topic in TOPICS if topic not in before])
    return {fresh if topic == strongest else topic: weight for topic, weight in before.items()}


def _attributes(
    source: random.Random, user_id: str, language: Language, kind: Kind, interest: tuple[int, Weights], joined_ms: int
) -> UserAttributes | None:
    if kind != "cold" and source.random() < 0.3:
        return None
    frames = FRAMES[language]
    favourites = [TOPICS[topic].tag(language) for topic in interest[1]]
    gender: Gender = source.choice(("male", "female", "female", "male", "other"))
    with_text = source.random() < (0.5 if kind == "cold" else 0.15)
    with_tags = (kind == "cold" and not with_text) or source.random() < 0.5
    return UserAttributes(
        user_id=user_id,
        updated_at_ms=joined_ms,
        age=source.randint(18, 75) if source.random() < 0.8 else None,
        gender=gender if source.random() < 0.8 else None,
        location=source.choice(frames.places) if source.random() < 0.6 else None,
        occupation=source.choice(frames.occupations) if source.random() < 0.5 else None,
        language=language,
        tags=favourites[:3] if with_tags else [],
        free_text=source.choice(frames.free_texts).format(first=favourites[0], second=favourites[1]) if with_text else None,
    )
