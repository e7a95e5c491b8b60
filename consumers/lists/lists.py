"""From users' states and vectors to their lists: retrieve, rank, apply the policy, explain."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from consumers.catalogue import Catalogue, Floats, Rows
from consumers.encoded_users import NextItems
from consumers.lists import sources
from consumers.lists.candidates import Candidates, Offer, Source, merge
from consumers.lists.concepts import NO_CONCEPTS, Concepts
from consumers.lists.details import context_of, details_of
from consumers.lists.exploration import Draws, draws_of
from consumers.lists.features import profile_vectors
from consumers.lists.list_rules import ListRules as ListRules
from consumers.lists.offered import Offered
from consumers.lists.people import People, people
from consumers.lists.places import UserLists, Writer, choose_places, features_at
from consumers.lists.ranking import FEATURES, PlainRanker, Ranker, combine, name_matches, row_matches, vector_matches
from consumers.lists.reasons import Teller
from consumers.lists.rules import RowRules, RuleBook
from consumers.lists.shelf import Shelf
from consumers.search.exact import ExactIndex
from consumers.search.vector_index import VectorIndex
from schemas.messages import RecommendedItem
from schemas.state import UserState

MAX_CELLS = 8_000_000
"""Scores held at once, users times items: 32 MB."""
MAX_SPARE = 40
"""Candidates beyond the list that diversity may choose from."""
CAPPED_SPARE = 150
"""The same where caps may pass many over."""
NEAREST = 64
"""Items asked of the vector index, at least."""


class ListMaker:
    """Makes lists from one catalogue, with an index, rules and concepts that follow it.

    It ranks by the plain ranker until told otherwise.
    """

    def __init__(
        self, rules: ListRules, catalogue: Catalogue, index: VectorIndex | None = None, book: RuleBook | None = None,
        concepts: Concepts = NO_CONCEPTS,
    ) -> None:  # fmt: skip
        self.rules = rules
        self.ranker: Ranker
        self.rank_by(PlainRanker(rules.weights))
        self._catalogue = catalogue
        self._index = index or ExactIndex()
        self._row_rules = RowRules(book or RuleBook())
        self._concepts = concepts
        self._searcher = ThreadPoolExecutor(1, thread_name_prefix="vector-search")

    def rank_by(self, ranker: Ranker) -> None:
        """Rank so from now on; lists hold what users took before if it was trained for that and the rules allow it."""
        self.ranker = ranker
        self.repeats = ranker.repeats and self.rules.repeats

    def follow(self) -> None:
        """Take over what the catalogue changed; `make` begins with it.

        Raises:
            Retryable: the vector index is a server that cannot be reached.
        """
        self._index.follow(self._catalogue)
        self._row_rules.follow(self._catalogue)
        self._concepts.follow(self._catalogue)

    def make(
        self,
        states: Sequence[UserState],
        user_vectors: Floats,
        now_ms: int,
        seeds: Sequence[int] | None = None,
        expected: NextItems | None = None,
    ) -> list[UserLists]:
        """Each user's lists: `top_k` items, or all that they may be shown, and the same for every surface.

        `user_vectors` [users, d] are of unit length, or zeros for a user nothing is known of: they get what is popular or new.
        `expected` is what a learned user_encoder expects next of them.

        No list holds an item twice, or one that the user has seen (but with `repeats`), muted or refused by tag, that rules
        keep from them, or that is not available at `now_ms`. What is left to chance follows from `seeds`
        (`exploration.chance_of`).

        Raises:
            Retryable: as `follow`.
        """
        if not len(self._catalogue):
            return [UserLists([], {name: [] for name in self.rules.surfaces}) for _ in states]
        lists: list[UserLists] = []
        for offered in self.offered(states, user_vectors, now_ms, seeds or [0] * len(states), expected):
            lists += self._lists_of(offered)
        return lists

    def offered(
        self,
        states: Sequence[UserState],
        user_vectors: Floats,
        now_ms: int,
        seeds: Sequence[int],
        expected: NextItems | None = None,
        also: Rows | None = None,
    ) -> Iterator[Offered]:
        """The candidates of these users with all that a ranker is told of them, in blocks of users that fit memory.

        `also` [users, n] are rows that are candidates whatever the sources offer, -1 where there is none.

        Raises:
            Retryable: as `follow`.
        """
        self.follow()
        shelf = Shelf(self._catalogue, self.rules.weights, now_ms, self._row_rules)
        expected = expected or NextItems.none(len(states))
        size = max(1, min(len(states), self.users_at_once))
        for start in range(0, len(states), size):
            part = slice(start, start + size)
            next_items = NextItems(expected.numbers[part], expected.scores[part])
            more = None if also is None else also[part]
            yield self._offered(states[part], user_vectors[part], shelf, seeds[part], next_items, more)

    @property
    def users_at_once(self) -> int:
        """Users in a block."""
        items = len(self._catalogue)
        return max(1, MAX_CELLS // max(1, items if items <= self.rules.scan_up_to else 1))

    def told_of(
        self, rows: Rows, states: Sequence[UserState], user_vectors: Floats, now_ms: int, expected: NextItems
    ) -> Offered:
        """As `offered`, of these rows [users, n] alone and in their order; -1 of those that a user may not be shown.

        For no more than `users_at_once`: they are one block.
        """
        [found] = self.offered(states, user_vectors, now_ms, [0] * len(states), expected, rows)
        candidates = found.candidates
        ordered = np.where(candidates.rows >= 0, candidates.rows, np.iinfo(np.int64).max)
        at = np.stack([np.searchsorted(own, asked) for own, asked in zip(ordered, rows, strict=True)])
        at = np.minimum(at, ordered.shape[1] - 1)
        there = (np.take_along_axis(ordered, at, axis=1) == rows) & (rows >= 0)
        kept = candidates.taken(at)
        kept = Candidates(np.where(there, kept.rows, -1), kept.sources, kept.closeness, kept.origins)
        return found._replace(candidates=kept, features=np.take_along_axis(found.features, at[:, :, None], axis=1))

    def _offered(
        self, states: Sequence[UserState], user_vectors: Floats, shelf: Shelf, seeds: Sequence[int], expected: NextItems,
        also: Rows | None,
    ) -> Offered:  # fmt: skip
        rules, catalogue = self.rules, self._catalogue
        searched = self._search(states, user_vectors, shelf)
        repeats_at_ms = shelf.now_ms if self.repeats else None
        users = people(states, user_vectors, catalogue, rules.interest, rules.weights, seeds, expected, repeats_at_ms)
        for user, hidden in enumerate(self._row_rules.hidden(states, len(catalogue))):
            if len(hidden):
                users.blocked[user] = np.concatenate([users.blocked[user], hidden])
        concept_tastes = self._concepts.tastes(users.liked, users.liked_weights)
        draws = draws_of(users, shelf, rules.explore, rules.sizes, catalogue)
        candidates = self.retrieve(users, concept_tastes, shelf, searched, draws, also)
        features = self.features(candidates, users, concept_tastes, shelf)
        return Offered(users, shelf, concept_tastes, candidates, features, draws)

    def details(self, offered: Offered) -> tuple[Floats, Floats]:
        """What else a learned ranker is told: of the candidates [users, n, len(DETAILS)], and of the users [users, c]."""
        more = details_of(offered.candidates, offered.users, offered.shelf, self._catalogue)
        return more, context_of(offered.users, offered.shelf.now_ms)

    def _lists_of(self, offered: Offered) -> list[UserLists]:
        rules, catalogue, ranker = self.rules, self._catalogue, self.ranker
        more = self.details(offered) if ranker.wants_details else None
        scores = ranker.scores(offered.features, more)
        chosen = choose_places(offered, scores, rules, self._row_rules, catalogue, self.pool_width)
        features = features_at(offered.features, chosen.places)
        parts = ranker.parts(features, None if more is None else (features_at(more[0], chosen.places), more[1]))
        scores = np.take_along_axis(scores, np.maximum(chosen.places, 0), axis=1)
        type_weights, now_ms = rules.interest.type_weights, offered.shelf.now_ms
        teller = Teller(catalogue, self._row_rules, self._concepts, type_weights, rules.language, now_ms)
        writer = Writer(chosen, scores, features, parts, offered, teller)
        return [writer.lists(user) for user in range(len(offered.users))]

    def _search(self, states: Sequence[UserState], user_vectors: Floats, shelf: Shelf) -> "Future[Offer] | None":
        """Ask the index, which has no use for Python's lock, while the rest of what is to know of the users is found out."""
        if len(self._catalogue) <= self.rules.scan_up_to:
            return None
        queries = combine(user_vectors, profile_vectors(states, self._catalogue.dim), self.rules.weights)
        count = max(NEAREST, self.pool_width)
        return self._searcher.submit(sources.nearest, queries, shelf, count, self._index, self._catalogue)

    def retrieve(
        self,
        users: People,
        concept_tastes: Sequence[Mapping[str, float]],
        shelf: Shelf,
        searched: "Future[Offer] | None",
        draws: Mapping[str, Draws],
        also: Rows | None = None,
    ) -> Candidates:
        """What the sources offer these users, without what they may not be shown; `searched` is the index's offer, if any.

        `draws` are what is left to chance, by list; `also` are more rows, of no source.
        """
        rules, catalogue = self.rules, self._catalogue
        offers = [
            sources.popular(users, shelf),
            sources.fresh(users, shelf),
            sources.neighbours(users, catalogue, shelf),
            sources.expected(users, shelf),
            sources.again(users, shelf),
            self._pinned(users, shelf),
        ]
        offers += [Offer(Source.EXPLORATION, drawn.rows) for drawn in draws.values()]
        if also is not None:
            offers.append(Offer(Source(0), also))
        if self._concepts:
            names = sources.strongest(concept_tastes)
            offers.append(sources.carrying(Source.CONCEPT, names, self._concepts.table, shelf))
        if searched is None:
            count = max(NEAREST, self.pool_width)
            offers.append(sources.scanned(users, shelf, rules.weights.interest, count, catalogue))
            return merge(offers, users.blocked, len(catalogue))
        offers.append(searched.result())
        offers.append(sources.carrying(Source.INTEREST, sources.strongest(users.tastes), catalogue.tag_table, shelf))
        found = merge(offers, users.blocked, len(catalogue))
        return self._filled(found, offers, users, shelf)

    @property
    def pool_width(self) -> int:
        """How many of the best candidates the policy chooses from."""
        spare = CAPPED_SPARE if self._row_rules.book.caps else min(2 * self.rules.longest, MAX_SPARE)
        return self.rules.longest + spare

    def features(
        self, candidates: Candidates, users: People, concept_tastes: Sequence[Mapping[str, float]], shelf: Shelf
    ) -> Floats:
        """What a ranker is told of each candidate, float32 [users, n, len(FEATURES)]; row -1 has no meaning."""
        rows, catalogue = candidates.rows, self._catalogue
        features = np.empty((*rows.shape, len(FEATURES)), np.float32)
        features[:, :, [0, 2]] = vector_matches(rows, users.vectors, users.profiles, catalogue)
        features[:, :, 1] = name_matches(rows, users.tastes, catalogue.tag_table)
        features[:, :, 3] = shelf.popularity[rows]
        features[:, :, 4] = shelf.freshness[rows]
        features[:, :, 5] = candidates.closeness
        features[:, :, 6] = name_matches(rows, concept_tastes, self._concepts.table) if self._concepts else 0
        features[:, :, 7] = shelf.boosts[rows]
        features[:, :, 8] = row_matches(rows, users.expected, users.expectations[:, :, :1], len(catalogue))[:, :, 0]
        return features

    def _pinned(self, users: People, shelf: Shelf) -> Offer:
        pins = {pin.item_id for name in self.rules.sizes for pin in self._row_rules.pins(name, shelf.now_ms)}
        rows = self._catalogue.rows(sorted(pins))
        rows = rows[rows >= 0]
        rows = rows[shelf.shown[rows]]
        return Offer(Source.PINNED, np.broadcast_to(rows, (len(users), len(rows))))

    def _filled(self, found: Candidates, offers: Sequence[Offer], users: People, shelf: Shelf) -> Candidates:
        """For users whom the sources leave with less than a list, as so much is kept from them: the best of everything."""
        # What only chance brought takes no ranked place.
        ranked = (found.rows >= 0) & (found.sources != int(Source.EXPLORATION))
        short = np.flatnonzero(ranked.sum(axis=1) < min(self.rules.longest, len(self._catalogue)))
        if not len(short):
            return found
        rows = np.full((len(users), self.pool_width), -1, np.int64)
        size = max(1, MAX_CELLS // len(self._catalogue))
        for start in range(0, len(short), size):
            few = short[start : start + size]
            best = sources.scanned(users.part(few), shelf, self.rules.weights.interest, self.pool_width, self._catalogue)
            rows[few, : best.rows.shape[1]] = best.rows
        return merge([*offers, Offer(Source.VECTOR, rows)], users.blocked, len(self._catalogue))


def make_lists(
    states: Sequence[UserState], user_vectors: Floats, catalogue: Catalogue, rules: ListRules, now_ms: int
) -> list[list[RecommendedItem]]:
    """The main lists that a `ListMaker` without index, rules and concepts makes."""
    return [found.items for found in ListMaker(rules, catalogue).make(states, user_vectors, now_ms)]
