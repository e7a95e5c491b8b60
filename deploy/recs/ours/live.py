"""The live path in a comparison: the user_encoder and ranker that `portrait train` makes, asked as the profiler asks them."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.evaluation.models import TextEncoder, UserEncoder
from deploy.recs.comparison import LIVE
from deploy.recs.contender import OnDone, Params
from deploy.recs.recommender import Recommender
from deploy.recs.recorded import RecordedData
from deploy.recs.split import Split
from schemas.settings import load_settings

if TYPE_CHECKING:
    from deploy.training.material import Material


@dataclass(frozen=True)
class LiveContender:
    """States by the fold, candidates by the sources, scores by the ranker; repeats where they are asked for."""

    data: RecordedData
    name: str = LIVE
    random: bool = True

    def __getstate__(self) -> dict[str, Any]:
        """What a process that fits one seed is given: it opens the encoder itself, whose vectors are kept on disk."""
        return {name: value for name, value in self.__dict__.items() if name != "encoder"}

    def missing(self) -> str | None:
        """It needs torch, and items that say something."""
        if not find_spec("torch"):
            return "needs torch: install the `serving` extra"
        return None if self.data.items else "the data does not describe its items"

    def version(self) -> str | None:
        """Its figures are never remembered: too much code is behind them."""
        return None

    def tries(self, split: Split, seed: int, on_done: OnDone) -> Iterator[tuple[Params, Recommender]]:
        """Nothing is chosen from outside; what all seeds share is made here."""
        _ = self.material
        return iter(())

    def fitted(self, split: Split, params: Params, seed: int, on_done: OnDone) -> Recommender:
        """Learned from earlier cuts inside what is known, then from all of it."""
        from deploy.recs.ours.portrait import earlier_windows
        from deploy.training.learning import RANKER, Learner, Recipe, same_threads
        from deploy.training.replayed import Replayed
        from deploy.training.served_lists import ServedLists

        settings = load_settings()
        repeats = settings.profiler.model_copy(update={"repeats": "never" if split.remove_seen else "learned"})
        settings = settings.model_copy(update={"profiler": repeats})
        with tempfile.TemporaryDirectory() as scratch, same_threads():
            folder = Path(scratch) / "2"
            learner = Learner(
                self.material,
                settings,
                self.encoder.encode,
                Recipe(seed=seed),
                on_step=lambda step, done, total: on_done(done, total),
            )
            learner.learn(split.train, earlier_windows(split), folder, measure=False)
            ranker = (folder / RANKER).read_text(encoding="utf-8")
            encoder = UserEncoder(folder)
        replayed = Replayed(split.train, self.material, settings, self.encoder.encode)
        return ServedLists(replayed, encoder, split, ranker)

    @cached_property
    def material(self) -> "Material":
        """The data's items, encoded once for all seeds."""
        from deploy.training.learning import same_threads
        from deploy.training.material import read_material

        with same_threads():
            material = read_material(self.data, self.encoder.encode)
        self.encoder.keep()
        return material

    @cached_property
    def encoder(self) -> TextEncoder:
        """text_encoder in this process."""
        return TextEncoder(load_settings(), lambda line: None)
