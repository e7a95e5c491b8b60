"""Our ranker in a comparison: it gets the data's texts and tags, and learns what it blends from the validation split."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from deploy.recs.contender import OnDone, Params
from deploy.recs.cuts import validation_split
from deploy.recs.recommender import Recommender
from deploy.recs.recorded import RecordedData
from deploy.recs.split import Split

MODULE, CLASS = "deploy.recs.ours.portrait", "PortraitRanker"


@dataclass(frozen=True)
class PortraitContender:
    """The ranker of `deploy.recs.ours.portrait`; imported when asked for, since training it needs the `training` extra."""

    data: RecordedData
    name: str = "portrait"
    random: bool = True

    def missing(self) -> str | None:
        """It must be importable."""
        try:
            _ranker()
        except (ImportError, AttributeError) as error:
            return f"cannot import {CLASS} from {MODULE}: {error}"
        return None

    def version(self) -> str | None:
        """Its figures are never remembered: too much code is behind them."""
        return None

    def tries(self, split: Split, seed: int, on_done: OnDone) -> Iterator[tuple[Params, Recommender]]:
        """Nothing is chosen from outside."""
        return iter(())

    def fitted(self, split: Split, params: Params, seed: int, on_done: OnDone) -> Recommender:
        """Made for this split and fitted to what is known in it."""
        model: Recommender = _ranker()(
            seed=seed, texts=self.data.texts, tags=self.data.tags, validation=validation_split(split), **params
        )
        model.fit(split.train)
        return model


def _ranker() -> Any:
    return getattr(importlib.import_module(MODULE), CLASS)
