"""Our ranker in a comparison: it learns what it weighs from earlier cuts of what is known."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

from deploy.evaluation.models import TextEncoder
from deploy.recs.contender import OnDone, Params
from deploy.recs.interactions import Floats
from deploy.recs.ours.content import content_vectors, texts_to_encode
from deploy.recs.recommender import Recommender
from deploy.recs.recorded import RecordedData
from deploy.recs.split import Split
from schemas.settings import load_settings


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
        """Nothing is chosen from outside; what all seeds share is made here, before they are fitted side by side."""
        _ = self.content
        return iter(())

    def fitted(self, split: Split, params: Params, seed: int, on_done: OnDone) -> Recommender:
        """Made for this split and fitted to what is known in it."""
        from deploy.recs.ours.portrait import PortraitRanker, earlier_windows

        windows = earlier_windows(split)
        model = PortraitRanker(windows, self.content, seed, on_step=lambda step, done, total: on_done(done, total), **params)
        model.fit(split.train)
        return model

    @cached_property
    def content(self) -> Floats | None:
        """Of the data's items, made once for all seeds; the text encoder's vectors are kept on disk too."""
        texts, tags = self.data.texts, self.data.tags
        asked = texts_to_encode(texts, tags)
        if not asked:
            return content_vectors(texts, tags)
        import torch

        threads = torch.get_num_threads()
        encoder = TextEncoder(load_settings(), lambda line: None)
        meanings = encoder.encode(asked)
        encoder.keep()
        torch.set_num_threads(threads)  # the encoder takes half the cores, as it does beside other models
        return content_vectors(texts, tags, meanings)
