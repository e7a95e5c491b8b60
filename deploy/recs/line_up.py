"""Everyone who can take part, in the order of the table; the blend comes after what it blends."""

from collections.abc import Sequence
from pathlib import Path

from deploy.recs.comparison import LIVE, OURS
from deploy.recs.contender import Contender, Params
from deploy.recs.ours.contender import PortraitContender
from deploy.recs.ours.live import LiveContender
from deploy.recs.peers.blend import PARTS, BlendContender
from deploy.recs.peers.outside import outside_peers
from deploy.recs.peers.simple import simple_peers
from deploy.recs.recorded import RecordedData
from schemas.errors import ConfigError

SIMPLE = (
    "popularity",
    "popularity-7d",
    "personal-frequency",
    "item-knn",
    "item-knn-last-n",
    "markov",
    "ease",
    "ease-last-n",
    "ease-log",
)
MODELS = (*SIMPLE, "blend", "als", "sasrec", "esasrec", OURS, LIVE)


def chosen_models(names: str | None) -> list[str]:
    """The models of a list such as "popularity,ease"; all for None.

    Raises:
        ConfigError: one is unknown; the message names all.
    """
    asked = list(MODELS) if names is None else [name.strip() for name in names.split(",") if name.strip()]
    for name in asked:
        if name not in MODELS:
            raise ConfigError(f"no model {name!r}; choose from {', '.join(MODELS)}")
    if not asked:
        raise ConfigError(f"--models names none; choose from {', '.join(MODELS)}")
    if "blend" in asked and sum(name in PARTS for name in asked) < 2:
        raise ConfigError(f"blend needs at least two of {', '.join(PARTS)} in --models")
    return [name for name in MODELS if name in asked]


def line_up(
    names: Sequence[str], data: RecordedData, chosen: dict[str, Params], python: Path, threads: int, keep: Path | None
) -> list[Contender]:
    """The contenders of these names; `chosen` is where the blend will find the settings of its parts."""
    simple = simple_peers()
    known: list[Contender] = [
        *simple,
        BlendContender(simple, chosen),
        *outside_peers(python, threads, keep),
        PortraitContender(data),
        LiveContender(data),
    ]
    return [one for one in known if one.name in names]
