"""All that recorded events say of a user and an item: sources that propose items, and features that a ranker weighs."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sparse

from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.item_models import FADINGS, cosine, ease, following, require_few_items
from deploy.recs.matrices import user_items
from deploy.recs.ours.network_training import FittedNetwork
from deploy.recs.ours.sequences import basket_numbers

DAY_MS = 86_400_000
SOURCE_LISTS = 60
"""Items that each source proposes to a user."""
POPULARITY_DAYS = (3, 7, 28, 100_000)
FADING = (0.9, 0.6)
"""As FADINGS, of how often a user took an item."""
UNKNOWN_AGE_DAYS = 400.0
LEAST_LOG_SHARE = -20.0

Dense = dict[str, Floats]
"""A score of each item for each user, float32 [users, items], by name."""


@dataclass(frozen=True)
class Candidates:
    """Items proposed to users, and what is known of each: `items` int [n, k], `there` False at padding, `features` [n, k, f].

    `context` [n, c] is what is known of the users alone: how long, how new and how repetitive their history is.
    """

    items: npt.NDArray[np.int64]
    there: npt.NDArray[np.bool_]
    features: Floats
    context: Floats


class Evidence:
    """What events until `now_ms` say. `content` [items, c] holds unit vectors of what items say and are."""

    def __init__(self, events: Interactions, now_ms: int, content: Floats | None, network: FittedNetwork) -> None:
        require_few_items(len(events.item_ids))
        self.events, self.now_ms, self.content, self.network = events, now_ms, content, network.at_rest()
        self.liked = events.part(events.positive())
        self.baskets_ago = baskets_ago(self.liked)
        taken = user_items(events)
        self.item_models = {
            "ease": ease(taken),
            "ease_log": ease(user_items(events, "log")),
            "cosine": cosine(taken),
            "following": following(self.liked),
        }
        all_fadings = {fading for fadings in FADINGS.values() for fading in fadings}
        self.faded = {fading: self.by_user(fading**self.baskets_ago) for fading in sorted(all_fadings)}
        self.pairs = self.pair_matrices()
        self.item_features = self.features_of_items()

    def by_user(self, weights: npt.NDArray[np.float64]) -> sparse.csr_matrix:
        """Sums of a weight an event, sparse [users, items]."""
        shape = (len(self.events.user_ids), len(self.events.item_ids))
        return sparse.csr_matrix((weights.astype(np.float32), (self.liked.users, self.liked.items)), shape)

    def pair_matrices(self) -> dict[str, sparse.csr_matrix]:
        """What is known of a user and an item they took before, sparse [users, items] each."""
        liked, shape = self.liked, (len(self.events.user_ids), len(self.events.item_ids))
        keys = liked.users.astype(np.int64) * shape[1] + liked.items
        pairs, of_event = np.unique(keys, return_inverse=True)
        once = np.unique(np.stack([of_event, self.baskets_ago]), axis=1)  # lines of one basket count once
        times = np.bincount(once[0], minlength=len(pairs))
        last_ms, first_ms = np.zeros(len(pairs), np.int64), np.full(len(pairs), self.now_ms)
        np.maximum.at(last_ms, of_event, liked.times_ms)
        np.minimum.at(first_ms, of_event, liked.times_ms)
        age_days = np.maximum(self.now_ms - last_ms, 0) / DAY_MS
        interval_days = (last_ms - first_ms) / DAY_MS / np.maximum(times - 1, 1)
        again = times > 1
        columns = {
            "times": times,
            **{f"times_fading_{fading}": np.bincount(once[0], fading ** once[1], len(pairs)) for fading in FADING},
            "recent_week": np.exp2(-age_days / 7),
            "recent_month": 1 / (1 + age_days / 30),
            "again": again,
            "due": np.where(again, np.log((age_days + 1) / (interval_days + 1)), 0),
        }
        users, items = np.divmod(pairs, shape[1])
        matrices = {
            name: sparse.csr_matrix((column.astype(np.float32), (users, items)), shape) for name, column in columns.items()
        }
        against = self.events.part(~self.events.positive())
        ones = np.ones(len(against), np.float32)
        return {**matrices, "against": sparse.csr_matrix((ones, (against.users, against.items)), shape)}

    def features_of_items(self) -> dict[str, Floats]:
        """What is known of an item alone: float32 [items] each."""
        size, liked = len(self.events.item_ids), self.liked
        popularity = {}
        for days in POPULARITY_DAYS:
            lately = liked.times_ms > self.now_ms - days * DAY_MS
            takers = np.unique(np.stack([liked.users[lately], liked.items[lately]]), axis=1)
            popularity[days] = np.bincount(takers[1], minlength=size)
        first_ms = np.full(size, self.now_ms)
        np.minimum.at(first_ms, liked.items, liked.times_ms)
        times = self.pairs["times"]
        again = np.asarray((times > 1).sum(axis=0)).ravel() / (np.asarray((times > 0).sum(axis=0)).ravel() + 5)
        features = {
            **{f"popularity_{days}": np.log1p(count) for days, count in popularity.items()},
            "trend": np.log((popularity[7] + 1) / (popularity[28] / 4 + 1)),
            "taken_again": again,
            "new": 1 / (1 + (self.now_ms - first_ms) / DAY_MS / 7),
        }
        return {name: feature.astype(np.float32) for name, feature in features.items()}

    def candidates(self, users: Ints, remove_seen: bool, lists: int = SOURCE_LISTS) -> Candidates:
        """What the sources propose to these users, with features; without items they took before where `remove_seen`."""
        sources = self.sources(users)
        seen = self.faded[1.0][users].toarray() + self.pairs["against"][users].toarray() > 0 if remove_seen else None
        chosen = np.zeros((len(users), len(self.events.item_ids)), bool)
        lists = min(lists, chosen.shape[1])
        for scores in sources.values():
            open_scores = scores if seen is None else np.where(seen, -np.inf, scores)
            np.put_along_axis(chosen, np.argpartition(-open_scores, lists - 1, axis=1)[:, :lists], True, axis=1)
        if seen is not None:
            chosen &= ~seen
        items = np.argsort(~chosen, axis=1, kind="stable")[:, : int(chosen.sum(axis=1).max())]
        dense = {**sources, **self.details(users, sources)}
        features = np.stack([np.take_along_axis(scores, items, axis=1) for scores in dense.values()], axis=-1)
        return Candidates(items, np.take_along_axis(chosen, items, axis=1), features, self.context(users))

    def sources(self, users: Ints) -> Dense:
        """Scores that propose items, each a list of its own."""
        scores: Dense = {}
        for name, matrix in self.item_models.items():
            for fading in FADINGS[name]:
                scores[f"{name}_{fading}"] = self.faded[fading][users] @ matrix
        for name in ("times", *(f"times_fading_{fading}" for fading in FADING)):
            scores[name] = self.pairs[name][users].toarray()
        for days in POPULARITY_DAYS:
            scores[f"popularity_{days}"] = np.broadcast_to(self.item_features[f"popularity_{days}"], scores["times"].shape)
        scores["network"] = log_shares(self.network.scores(users))
        if self.content is not None:
            wanted = self.faded[0.8][users] @ self.content
            wanted /= np.linalg.norm(wanted, axis=1, keepdims=True) + 1e-9
            scores["content"] = wanted @ self.content.T
        return scores

    def details(self, users: Ints, sources: Dense) -> Dense:
        """What else a ranker weighs."""
        pairs = {name: matrix[users].toarray() for name, matrix in self.pairs.items() if not name.startswith("times")}
        items = {
            name: np.broadcast_to(feature, sources["times"].shape)
            for name, feature in self.item_features.items()
            if not name.startswith("popularity")
        }
        habit = np.log1p(sources["times"])
        share = sources["times"] / np.maximum(self.baskets(users), 1)[:, None]
        return {**pairs, **items, "habit": habit, "share": share, "habit_again": habit * items["taken_again"]}

    def baskets(self, users: Ints) -> Floats:
        """How many baskets each user has, float32 [users]."""
        bounds, most = self.liked.bounds(), np.append(self.baskets_ago, -1)
        there = bounds[users + 1] > bounds[users]
        baskets: Floats = np.where(there, most[np.where(there, bounds[users], -1)] + 1, 0).astype(np.float32)
        return baskets

    def context(self, users: Ints) -> Floats:
        """What is known of the users alone, float32 [users, 5]."""
        bounds, times_ms = self.events.bounds(), np.append(self.events.times_ms, 0)
        events = bounds[users + 1] - bounds[users]
        idle_days = np.maximum(self.now_ms - times_ms[bounds[users + 1] - 1], 0) / DAY_MS
        times = self.pairs["times"][users]
        items = np.asarray((times > 0).sum(axis=1)).ravel()
        repeats = 1 - items / np.maximum(np.asarray(times.sum(axis=1)).ravel(), 1)
        idle = np.log1p(np.where(events > 0, idle_days, UNKNOWN_AGE_DAYS))
        columns = [np.log1p(events), np.log1p(self.baskets(users)), np.log1p(items), repeats, idle]
        context: Floats = np.stack(columns, axis=1).astype(np.float32)
        return context


def baskets_ago(events: Interactions) -> npt.NDArray[np.int64]:
    """How many baskets of the same user came after that of each event: int64 [n], 0 for the last."""
    if not len(events):
        return np.zeros(0, np.int64)
    numbers, bounds = basket_numbers(events), events.bounds()
    ago: npt.NDArray[np.int64] = numbers[bounds[events.users + 1] - 1] - numbers
    return ago


def log_shares(logits: Floats) -> Floats:
    """Logarithm of the softmax over items, never under LEAST_LOG_SHARE."""
    shares: Floats = logits - logits.max(axis=1, keepdims=True)
    shares -= np.log(np.exp(shares).sum(axis=1, keepdims=True))
    return np.maximum(shares, LEAST_LOG_SHARE, out=shares)
