"""Profile-only retrieval: the held-out item found with nothing but the profile's text as the query, against popularity.

The text is searched as lists are made: what it names brings the items that the same users met (co-visitation), and its vector
decides between equals. Beside it the vector alone. Full ranking over the catalogue, without what the user has seen and what is
not on offer; ties stand at their middle rank.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from consumers.catalogue import Catalogue, Floats
from consumers.statements.clean_text import clean
from deploy.evaluation.people import Person
from deploy.evaluation.text_check import find_names, folded

AT = 10
BETWEEN_EQUALS = 1e-4


@dataclass
class Hits:
    """Ranks of held-out items: by the text, by the text's vector alone, and by popularity.

    `popularity_in_language` puts items of the user's language first.
    """

    profile: list[float] = field(default_factory=list)
    vector: list[float] = field(default_factory=list)
    popularity: list[float] = field(default_factory=list)
    popularity_in_language: list[float] = field(default_factory=list)

    @property
    def users(self) -> int:
        """How many users were asked about."""
        return len(self.profile)

    @staticmethod
    def rate(ranks: Sequence[float], at: int = AT) -> float:
        """HR@10 of these ranks."""
        return sum(rank <= at for rank in ranks) / len(ranks) if ranks else 0.0

    def add(self, other: "Hits") -> None:
        """Count the other's users too."""
        self.profile += other.profile
        self.vector += other.vector
        self.popularity += other.popularity
        self.popularity_in_language += other.popularity_in_language


def popularity_before(people: Sequence[Person]) -> Counter[str]:
    """How many users met each item before their own cut: everything but what is held out."""
    return Counter(item_id for person in people for item_id in {event.item_id for event in person.events if event.item_id})


class CoVisitation:
    """Which items the same users met before their cuts: cosine of the items' users; none with itself."""

    def __init__(self, people: Sequence[Person], catalogue: Catalogue) -> None:
        met = np.zeros((len(people), len(catalogue)), np.float32)
        for number, person in enumerate(people):
            rows = catalogue.rows({event.item_id for event in person.events if event.item_id})
            met[number, rows[rows >= 0]] = 1.0
        lengths = np.sqrt(np.maximum(met.sum(axis=0), 1.0))
        self._likeness: Floats = (met.T @ met) / np.outer(lengths, lengths)
        np.fill_diagonal(self._likeness, 0.0)
        self._rows: dict[str, list[int]] = {}
        for row, item_id in enumerate(catalogue.item_ids):
            self._rows.setdefault(folded(clean(catalogue.items[item_id].title)), []).append(row)

    def scores(self, text: str) -> Floats:
        """How much each item goes with those that the text names; zeros when it names none."""
        rows = [row for found in find_names(text, self._rows) for row in self._rows[found.name]]
        total: Floats = self._likeness[rows].sum(axis=0)
        return total


def rank_held_out(
    person: Person, text: str, query: Floats, popularity: Counter[str], covisitation: CoVisitation, catalogue: Catalogue
) -> Hits:
    """The ranks of one user's held-out item; the query is the profile's text, and its vector."""
    truth = int(catalogue.rows([person.held_out])[0])
    seen = catalogue.rows({event.item_id for event in person.events if event.item_id})
    assert truth >= 0 and truth not in seen, f"{person.user_id}: the held-out item was seen"
    allowed = catalogue.available(max(event.event_time_ms for event in person.events))
    allowed[seen[seen >= 0]] = False
    allowed[truth] = True
    counts, own = popularity_scores(popularity, person, catalogue)
    scores = catalogue.matrix @ query
    named = covisitation.scores(text) + np.float32(BETWEEN_EQUALS) * scores
    return Hits(*([middle_rank(each, truth, allowed)] for each in (named, scores, counts, own)))


def popularity_scores(popularity: Counter[str], person: Person, catalogue: Catalogue) -> tuple[Floats, Floats]:
    """How many users met each item, and the same with the items of the person's language first; [items] each."""
    counts = np.array([popularity[item_id] for item_id in catalogue.item_ids], np.float32)
    spoken = np.array([catalogue.items[item_id].language == person.language for item_id in catalogue.item_ids])
    return counts, counts + (counts.max(initial=0.0) + 1) * spoken


def middle_rank(scores: Floats, truth: int, allowed: "np.ndarray[tuple[int, ...], np.dtype[np.bool_]]") -> float:
    """The rank of `truth` among the allowed, 1 for the best; in the middle of those that score the same."""
    others = np.flatnonzero(allowed)
    better = int((scores[others] > scores[truth]).sum())
    equal = int((scores[others] == scores[truth]).sum()) - 1
    return 1 + better + equal / 2
