"""Who takes part in a comparison: how it is tuned on validation, and how it is made ready for the test."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deploy.recs.recommender import Recommender
from deploy.recs.split import Split

Params = dict[str, Any]
OnDone = Callable[[int, int], None]
HERE = Path(__file__).parent
JUDGES = ("cuts.py", "measures.py", "tie_order.py")
"""What decides on figures whoever is measured: remembered ones are void when it changes."""


class Contender(Protocol):
    """A model with its settings open."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def random(self) -> bool:
        """Whether training depends on a seed."""

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""

    def version(self) -> str | None:
        """Changes with the code behind its figures; None when nothing of it may be remembered."""

    def tries(self, split: Split, seed: int, on_done: OnDone) -> Iterator[tuple[Params, Recommender]]:
        """Ready models for every setting that is tried, fitted to `split.train`; none when there is nothing to choose."""

    def fitted(self, split: Split, params: Params, seed: int, on_done: OnDone) -> Recommender:
        """The model with these settings, fitted to `split.train`."""


@dataclass(frozen=True)
class GridContender:
    """A model of this project that is tried with every setting of a grid; none of them is random."""

    name: str
    make: Callable[..., Recommender]
    grid: Callable[[Split], Sequence[Params]]
    files: Sequence[str]
    random: bool = False

    def missing(self) -> str | None:
        """It is always there."""
        return None

    def version(self) -> str | None:
        """Of its files."""
        return code_version(self.files)

    def tries(self, split: Split, seed: int, on_done: OnDone) -> Iterator[tuple[Params, Recommender]]:
        """One after another."""
        grid = self.grid(split)
        for number, params in enumerate(grid, start=1):
            yield params, self.fitted(split, params, seed, on_done)
            on_done(number, len(grid))

    def fitted(self, split: Split, params: Params, seed: int, on_done: OnDone) -> Recommender:
        """Make and fit."""
        model = self.make(**params)
        model.fit(split.train)
        return model


def code_version(files: Sequence[str]) -> str:
    """A digest of these files of this folder and of what judges everyone."""
    digest = hashlib.sha256()
    for name in sorted({*files, *JUDGES}):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()[:16]
