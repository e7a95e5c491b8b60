"""How lists are made, as settings say it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from consumers.lists.diversity import Method
from consumers.lists.ranking import RankWeights
from consumers.statements.interests import InterestRules
from schemas.messages import Language
from schemas.settings import Settings

MAIN = "main"
"""The name under which rules know the list that is of no surface."""


@dataclass(frozen=True)
class ListRules:
    """How lists are made. `diversity` is a dial in 0..1: 0 is by score alone.

    `explore` is the share of each list left to chance, `surfaces` the sizes of lists beside the main one, and `scan_up_to` the
    size of a catalogue up to which every item is scored: beyond it, those that a source gives.
    With `repeats` lists may hold what a user took before, if the ranker was trained for it.
    """

    top_k: int
    interest: InterestRules
    weights: RankWeights = field(default_factory=RankWeights)
    diversity: float = 0.15
    diversity_method: Method = "mmr"
    explore: float = 0.0
    surfaces: Mapping[str, int] = field(default_factory=dict)
    scan_up_to: int = 10_000
    repeats: bool = False
    language: Language = "en"

    @classmethod
    def of(cls, settings: Settings) -> "ListRules":
        """The rules these settings ask for."""
        profiler, search = settings.profiler, settings.search
        scan_up_to = {"exact": 2**62, "milvus": 0}.get(search.index, search.exact_up_to)
        return cls(
            profiler.top_k,
            InterestRules(settings.fold.type_weights, profiler.half_life_h, profiler.utc_offset_h),
            diversity=profiler.diversity,
            diversity_method=profiler.diversity_method,
            explore=profiler.explore_share,
            surfaces=profiler.surfaces,
            scan_up_to=scan_up_to,
            repeats=profiler.repeats == "learned",
            language=profiler.default_language,
        )

    @property
    def sizes(self) -> dict[str, int]:
        """Length of every list that is made, by its name; the main one comes first."""
        return {MAIN: self.top_k, **self.surfaces}

    @property
    def longest(self) -> int:
        """Length of the longest list that is made."""
        return max(self.sizes.values())
