"""Portrait's recommender as the evaluation meets it: networks, evidence and ranker, fitted window by window."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from deploy.recs.cuts import validation_split
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.measures import gains, mean_ndcg
from deploy.recs.ours.evidence import POPULARITY_DAYS, Candidates, Evidence
from deploy.recs.ours.network import NetworkShape
from deploy.recs.ours.network_training import FittedNetwork, Schedule, fit_network
from deploy.recs.ours.ranker import OUT, Lesson, train_ranker
from deploy.recs.split import Split, even_sample
from schemas.errors import ConfigError

USERS_AT_ONCE = 256
MOST_TAUGHT = 6_000
"""Users of a window whose lists teach the ranker: more cost memory and teach little."""
MOST_JUDGED = 10_000
"""With a fifth of that one epoch was better than the next by chance, and fitting stopped too early."""

OnStep = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much is done."""


class PortraitRanker:
    """Learns from all of a split's train; how long and with which weights, from `windows`: earlier cuts inside that train.

    The newest window comes first: it decides for how many epochs networks are fitted. `content` is `content_vectors` of the
    items.
    """

    def __init__(
        self,
        windows: Sequence[Split],
        content: Floats | None,
        seed: int,
        shape: NetworkShape | None = None,
        schedule: Schedule | None = None,
        on_step: OnStep = lambda step, done, total: None,
    ) -> None:
        self.windows, self.seed, self.on_step = windows, seed, on_step
        self.shape, self.schedule = shape or NetworkShape(), schedule or Schedule()
        self.content = content

    def fit(self, train: Interactions) -> None:
        """Learn from these events; the windows must lie inside them."""
        newest = self.windows[0]
        epochs, lessons = 0, []
        for number, window in enumerate(self.windows):
            network = self.fit_network(window.train, f"network of window {number + 1}", epochs, newest)
            epochs = epochs or network.epochs
            evidence = self.evidence_of(window.train, moment_of(window), network)
            lessons.append(self.lesson(window, evidence))
            if window is newest:
                self.newcomer_days = days_for_newcomers(window, evidence)
        self.ranker = train_ranker(lessons, self.seed)
        network = self.fit_network(train, "network", epochs, newest)
        self.remove_seen = newest.remove_seen
        self.evidence = self.evidence_of(train, int(train.times_ms.max()), network)

    def fit_network(self, events: Interactions, name: str, epochs: int, newest: Split) -> FittedNetwork:
        """A network for so many epochs, or for as many as make the newest window's lists best when that isn't known yet."""
        schedule = replace(self.schedule, epochs=epochs) if epochs else self.schedule
        judge = None if epochs else judge_of(newest)
        return fit_network(
            events, self.content, self.shape, schedule, self.seed, judge, lambda done, total: self.on_step(name, done, total)
        )

    def evidence_of(self, events: Interactions, now_ms: int, network: FittedNetwork) -> Evidence:
        """What these events say."""
        return Evidence(events, now_ms, self.content, network)

    def lesson(self, window: Split, evidence: Evidence) -> Lesson:
        """What the window's users were offered, and what they took."""
        chosen = np.random.default_rng(self.seed).permutation(len(window.users))[:MOST_TAUGHT]
        chunks = [chosen[first : first + USERS_AT_ONCE] for first in range(0, len(chosen), USERS_AT_ONCE)]
        offered = stacked([evidence.candidates(window.users[chunk], window.remove_seen) for chunk in chunks])
        taken = [np.isin(items, window.truths[place]) for items, place in zip(offered.items, chosen, strict=True)]
        return Lesson(offered, (np.array(taken) & offered.there).astype(np.float32))

    def scores(self, users: Ints) -> Floats:
        """Scores of all items, float32 [users, items]; what no source proposes has the same low one."""
        scores = np.full((len(users), len(self.evidence.events.item_ids)), OUT, np.float32)
        for first in range(0, len(users), USERS_AT_ONCE):
            offered = self.evidence.candidates(users[first : first + USERS_AT_ONCE], self.remove_seen)
            np.put_along_axis(scores[first : first + USERS_AT_ONCE], offered.items, self.ranker.scores(offered), axis=1)
        if self.newcomer_days is not None:
            scores[without_history(self.evidence.events, users)] = self.evidence.item_features[
                f"popularity_{self.newcomer_days}"
            ]
        return scores


def moment_of(window: Split) -> int:
    """When its lists are made."""
    return window.cut_ms if window.cut_ms is not None else int(window.train.times_ms.max())


def without_history(events: Interactions, users: Ints) -> npt.NDArray[np.bool_]:
    """Which of these users have no event [n]."""
    bounds = events.bounds()
    none: npt.NDArray[np.bool_] = bounds[users + 1] == bounds[users]
    return none


def days_for_newcomers(window: Split, evidence: Evidence) -> int | None:
    """Of how many days popularity makes the best lists for a window's users without a history; None where all have one.

    Nothing tells such users apart, and too few of them teach a ranker when it should trust which popularity.
    """
    new = np.flatnonzero(without_history(window.train, window.users))
    if not len(new):
        return None
    asked = replace(window, users=window.users[new], truths=[window.truths[place] for place in new])

    def worth(days: int) -> float:
        counts = evidence.item_features[f"popularity_{days}"]
        return mean_ndcg(np.broadcast_to(counts, (len(new), len(counts))), asked)

    return max(POPULARITY_DAYS, key=worth)


def earlier_windows(split: Split) -> list[Split]:
    """Earlier cuts inside what `split` knows, the newest first: two where people did enough, since one teaches little."""
    windows = [validation_split(split)]
    with suppress(ConfigError):  # nobody is left to ask so early
        windows.append(validation_split(windows[0]))
    return windows


def judge_of(window: Split) -> Callable[[FittedNetwork], float]:
    """NDCG@10 of a network's lists for a window's users, an even sample where there are many."""
    sample = even_sample(len(window.users), MOST_JUDGED)
    asked = replace(window, users=window.users[sample], truths=[window.truths[place] for place in sample])
    return lambda network: float(gains(network.at_rest(), asked).ndcg.mean())


def stacked(chunks: Sequence[Candidates]) -> Candidates:
    """Candidates of all chunks, padded to the longest."""
    width = max(chunk.items.shape[1] for chunk in chunks)

    def padded(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
        return np.pad(array, [(0, 0), (0, width - array.shape[1]), *[(0, 0)] * (array.ndim - 2)])

    return Candidates(
        np.concatenate([padded(chunk.items) for chunk in chunks]),
        np.concatenate([padded(chunk.there) for chunk in chunks]),
        np.concatenate([padded(chunk.features) for chunk in chunks]),
        np.concatenate([chunk.context for chunk in chunks]),
    )
