"""Our ranker in a comparison: it learns what it weighs from earlier cuts of what is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from deploy.recs.contender import OnDone, Params
from deploy.recs.recommender import Recommender
from deploy.recs.recorded import RecordedData
from deploy.recs.split import Split


@dataclass(frozen=True)
class PortraitContender:
    """The ranker of `deploy.recs.ours.portrait`; imported when asked for, since torch is in the `serving` extra."""

    data: RecordedData
    name: str = "portrait"
    random: bool = True

    def missing(self) -> str | None:
        """It needs torch."""
        return None if find_spec("torch") else "needs torch: install the `serving` extra"

    def version(self) -> str | None:
        """Its figures are never remembered: too much code is behind them."""
        return None

    def tries(self, split: Split, seed: int, on_done: OnDone) -> Iterator[tuple[Params, Recommender]]:
        """Nothing is chosen from outside."""
        return iter(())

    def fitted(self, split: Split, params: Params, seed: int, on_done: OnDone) -> Recommender:
        """Made for this split and fitted to what is known in it."""
        from deploy.recs.ours.portrait import PortraitRanker, earlier_windows

        windows = earlier_windows(split)
        model = PortraitRanker(
            windows, self.data.texts, self.data.tags, seed, on_step=lambda step, done, total: on_done(done, total), **params
        )
        model.fit(split.train)
        return model
