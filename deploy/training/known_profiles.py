"""Profiles that users had, as material: vectors of their texts from the topic, kept beside the snapshot of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from deploy.training.json_lines import read_lines, write_lines
from deploy.training.topics_folder import Hidden, newest
from schemas.messages import UserProfile
from schemas.settings import Settings
from schemas.state import ProfileRef
from schemas.topics import USER_PROFILES

FILE = "profiles.jsonl"


class KnownProfile(msgspec.Struct, frozen=True):
    """The newest profile of one user: when it was written, and its text's vector, of unit length."""

    user_id: str
    language: str
    generated_at_ms: int
    text_vector: list[float]

    @property
    def ref(self) -> ProfileRef:
        """What a state remembers of it, as far as lists are made with it."""
        vector = np.asarray(self.text_vector, dtype="<f2").tobytes()
        return ProfileRef(0, self.language, [], vector, 0, self.generated_at_ms)


@dataclass(frozen=True)
class KnownProfiles:
    """Profiles by user id. Only the newest is known of each user: before that was written, none is."""

    by_user: Mapping[str, KnownProfile] = field(default_factory=dict)

    @classmethod
    def of_topics(cls, settings: Settings) -> Self:
        """What the topic holds, without users who may not be learned from.

        Raises:
            ConfigError: there is no Kafka, or a topic is missing.
        """
        hidden = Hidden.of(settings)
        found = [one for one in newest(settings, USER_PROFILES, hidden) if isinstance(one, UserProfile)]
        return cls(
            {
                one.user_id: KnownProfile(one.user_id, one.language, one.generated_at_ms, one.text_vector)
                for one in found
                if not hidden.covers(one)
            }
        )

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """What `write` left there; none where it did not.

        Raises:
            ConfigError: a line is not what `write` makes.
        """
        path = folder / FILE
        return cls({one.user_id: one for one in read_lines(path, KnownProfile, "profile")} if path.is_file() else {})

    def write(self, folder: Path) -> None:
        """Into FILE, a profile a line, in place of what was there."""
        write_lines(folder / FILE, self.by_user.values())

    def before(self, user_id: str, time_ms: int) -> ProfileRef | None:
        """The profile that a user had at this moment, as far as it is known."""
        found = self.by_user.get(user_id)
        return found.ref if found is not None and found.generated_at_ms <= time_ms else None
