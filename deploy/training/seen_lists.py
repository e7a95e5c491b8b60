"""Lists that users saw, as material: from the topics, and kept beside the snapshot of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from deploy.feedback.estimators import place_curve
from deploy.feedback.log_source import FILES, read_files, read_topics
from deploy.feedback.shown_lists import ShownList, joined
from deploy.recs.interactions import Floats
from deploy.training.json_lines import read_lines, write_lines
from deploy.training.topics_folder import Hidden
from schemas.settings import Settings

FILE = "seen-lists.jsonl"
ATTRIBUTION_S = 3600.0
"""As in `portrait eval policy`."""
MOST_LISTS = 4_000


@dataclass(frozen=True)
class SeenLists:
    """Lists that users saw, with what they clicked, joined by the code of `deploy.feedback`."""

    lists: Sequence[ShownList]

    @classmethod
    def none(cls) -> Self:
        """Where no site sends impressions."""
        return cls(())

    @classmethod
    def of_topics(cls, settings: Settings) -> Self:
        """What the topics hold, without users who may not be learned from.

        Raises:
            ConfigError: there is no Kafka, or a topic is missing.
        """
        log, hidden = read_topics(settings), Hidden.of(settings)
        seen = [
            one for one in log.impressions if not hidden.covers(one) and not hidden.erased_after(one.user_id, one.shown_at_ms)
        ]
        return cls(joined(log.lists, seen, log.events, ATTRIBUTION_S).lists)

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """What `write` left there, or else a log with all its files; none of both is no lists.

        Raises:
            ConfigError: a line is not what `write` makes.
        """
        if (folder / FILE).is_file():
            return cls(read_lines(folder / FILE, ShownList, "seen list"))
        if not all((folder / name).is_file() for name in FILES):
            return cls.none()
        log = read_files(folder)
        return cls(joined(log.lists, log.impressions, log.events, ATTRIBUTION_S).lists)

    def write(self, folder: Path) -> None:
        """Into FILE, a list a line, in place of what was there."""
        write_lines(folder / FILE, self.lists)

    @cached_property
    def looked_at(self) -> Floats | None:
        """How much each place is looked at, the first one being 1; None where nothing drawn by chance was clicked."""
        curve = place_curve(self.lists, max((one.places for one in self.lists), default=0))
        return None if curve is None else curve.astype(np.float32)

    def clicked_between(self, from_ms: int, until_ms: int | None) -> list[ShownList]:
        """Lists made then of which something was clicked and something was not; the newest MOST_LISTS."""
        found = [
            one
            for one in self.lists
            if from_ms <= one.made_at_ms and (until_ms is None or one.made_at_ms < until_ms)
            if 0 < sum(item.clicked for item in one.items) < len(one.items)
        ]
        return sorted(found, key=lambda one: one.made_at_ms)[-MOST_LISTS:]
