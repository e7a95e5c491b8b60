"""The simple peers and the settings each is tried with."""

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

from deploy.recs.contender import GridContender, Params
from deploy.recs.peers.cold import WarmOnly
from deploy.recs.peers.ease import Ease, EaseWeights
from deploy.recs.peers.item_knn import ItemKnn, ItemLikeness
from deploy.recs.peers.markov import Markov
from deploy.recs.peers.popularity import PersonalFrequency, Popularity
from deploy.recs.recommender import Recommender
from deploy.recs.split import Split

RIDGES = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
MANY_ITEMS, FEW_RIDGES = 8000, (30.0, 100.0, 300.0, 1000.0)
"""An inversion takes a minute from here on: fewer are tried."""
LAST = (1, 3, 10, 30, 100)
MATRIX_FILES = ("item_models.py", "matrices.py", "peers/cold.py", "peers/popularity.py", "peers/simple.py")


def simple_peers() -> list[GridContender]:
    """All of them; those that differ only in the history they read share what is costly."""
    return [
        GridContender("popularity", Popularity, _once, MATRIX_FILES),
        GridContender("popularity-7d", partial(Popularity, 7.0), _once, MATRIX_FILES),
        GridContender("personal-frequency", PersonalFrequency, _personal, MATRIX_FILES),
        _warm("item-knn", partial(ItemKnn, compared=ItemLikeness()), _neighbours, "peers/item_knn.py"),
        _warm("item-knn-last-n", partial(ItemKnn, compared=ItemLikeness()), _last_neighbours, "peers/item_knn.py"),
        _warm("markov", Markov, _chains, "peers/markov.py"),
        _warm("ease", partial(Ease, solved=EaseWeights()), _ridges, "peers/ease.py"),
        _warm("ease-last-n", partial(Ease, solved=EaseWeights()), _last_ridges, "peers/ease.py"),
        _warm("ease-log", partial(Ease, counting="log", solved=EaseWeights()), _ridges, "peers/ease.py"),
    ]


def _warm(name: str, make: Any, grid: Any, file: str) -> GridContender:
    def made(**params: Any) -> Recommender:
        return WarmOnly(make(**params))

    return GridContender(name, made, grid, (file, *MATRIX_FILES))


def _once(split: Split) -> Sequence[Params]:
    return [{}]


def _personal(split: Split) -> Sequence[Params]:
    if split.remove_seen:  # what remains of it is last week's popularity
        return [{}]
    return _grid(half_life_days=(None, 30.0, 90.0), popular=(0.1, 0.5, 1.0, 3.0))


def _neighbours(split: Split) -> Sequence[Params]:
    return _grid(neighbours=(50, 200, 1000), shrink=(0.0, 20.0), own=_own(split))


def _last_neighbours(split: Split) -> Sequence[Params]:
    return _grid(neighbours=(50, 200, 1000), shrink=(0.0, 20.0), own=_own(split), last_n=LAST)


def _chains(split: Split) -> Sequence[Params]:
    return _grid(window=(1, 3, 10), shrink=(0.0, 5.0, 50.0), last_n=(1, 3, 10))


def _own(split: Split) -> Sequence[bool]:
    return (False,) if split.remove_seen else (False, True)


def _ridges(split: Split) -> Sequence[Params]:
    return _grid(ridge=_worth_trying(split))


def _last_ridges(split: Split) -> Sequence[Params]:
    return _grid(ridge=_worth_trying(split), last_n=LAST)


def _worth_trying(split: Split) -> Sequence[float]:
    return FEW_RIDGES if len(split.train.item_ids) > MANY_ITEMS else RIDGES


def _grid(**choices: Sequence[Any]) -> Sequence[Params]:
    """Every combination; the last name changes fastest."""
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]
