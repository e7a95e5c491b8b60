"""How fast states become lists, without servers: `make bench-lists`.

Retrieval, ranking and policy for a batch of 256 users with 50 events each, by stage, with the plain ranker and with one of a
learned ranker's size that is told what a learned user_encoder expects; what the approximate index finds of the true nearest;
and what a million items cost in memory and time. Items are synthetic: 200 topics of 20 subjects, with vectors
whose directions matter less the later they come, as those of text encoders do. The last line is one JSON object.
"""

import os

# One thread for numpy's products, as workers run that share their cores; a search of FAISS uses them all.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import random
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from consumers.catalogue import Catalogue, Floats
from consumers.encoded_users import NextItems
from consumers.lists import lists as stages
from consumers.lists.details import CONTEXT, DETAILS
from consumers.lists.diversity import METHODS
from consumers.lists.learned_ranker import read_ranker
from consumers.lists.lists import ListMaker, ListRules
from consumers.lists.ranking import FEATURES, Ranker, RankWeights, combine
from consumers.search.choice import vector_index
from consumers.search.exact import scan
from consumers.search.vector_index import VectorIndex
from deploy.machine import MachineMeter
from schemas.messages import Item, ItemVector
from schemas.settings import SearchSettings, Settings
from schemas.state import Attributes, HistoryEvent, ItemCount, ProfileRef, UserState
from schemas.tensors import EMBEDDING_DIM, NEXT_ITEMS, NEXT_SCORES

NOW_MS = 1_760_000_000_000
HOUR_MS = 3_600_000
TOPICS = 200
SUBJECTS = 20
BRANDS = 500
TYPES = ("view", "view", "click", "like", "purchase", "rating", "skip")
SPECTRUM = np.arange(1, EMBEDDING_DIM + 1) ** -0.6
PIECE = 10_000
HIDDEN, MEMBERS = 32, 3
"""As in deploy.recs.ours.ranker, which would bring torch into this process and its memory."""


class World:
    """A catalogue of so many items, item i of topic i mod 200, and what it knows of who met what."""

    def __init__(self, items: int, seed: int) -> None:
        self.items = items
        self.numbers, self.words = np.random.default_rng(seed), random.Random(seed)
        self.centres = self.numbers.standard_normal((TOPICS, EMBEDDING_DIM)) * SPECTRUM
        self.subjects = 0.7 * self.numbers.standard_normal((TOPICS * SUBJECTS, EMBEDDING_DIM)) * SPECTRUM
        self.catalogue = Catalogue()
        for start in range(0, items, PIECE):
            self._put(range(start, min(start + PIECE, items)))

    def _put(self, numbers: range) -> None:
        topics = np.array(numbers) % TOPICS
        subjects = self.numbers.integers(0, SUBJECTS, len(numbers))
        vectors = self.centres[topics] + self.subjects[topics * SUBJECTS + subjects]
        vectors = vectors + 0.7 * self.numbers.standard_normal((len(numbers), EMBEDDING_DIM)) * SPECTRUM
        for number, topic, subject, vector in zip(numbers, topics.tolist(), subjects.tolist(), vectors, strict=True):
            item_id = f"i{number}"
            item = Item(
                item_id=item_id, domain="video", title=f"Title {number}",
                tags=[f"topic-{topic}", f"topic-{topic}-{subject}", f"style-{number % 37}"],
                attributes={"brand": f"brand-{self.words.randrange(BRANDS)}"},
                published_at_ms=NOW_MS - self.words.randrange(90 * 24) * HOUR_MS,
            )  # fmt: skip
            self.catalogue.put_item(item)
            # not validated: a list of Python floats per item would take most of the time
            self.catalogue.put_vector(
                ItemVector.model_construct(item_id=item_id, vector=vector, model_name="synthetic", model_version="1")
            )
        ids = [f"i{number}" for number in numbers]
        self.catalogue.observe(ids, [self.words.paretovariate(1.2) for _ in ids], NOW_MS)

    def meet(self, pairs: int) -> None:
        """Pairs of items that users met, four of five within a topic."""
        ones = self.numbers.integers(0, self.items, pairs)
        near = ones - ones % TOPICS
        others = np.where(
            self.numbers.random(pairs) < 0.8,
            ones % TOPICS + TOPICS * self.numbers.integers(0, self.items // TOPICS, pairs),
            near,
        )
        rows = [self.catalogue.rows([f"i{number}" for number in numbers.tolist()]) for numbers in (ones, others)]
        self.catalogue.covisitation.observe(*rows, np.ones(pairs), np.full(pairs, float(NOW_MS)))

    def states(self, users: int, events: int) -> list[UserState]:
        """Users with four of five events on four topics; some have declared tags, some muted one, half have a profile."""
        states = []
        for user in range(users):
            topics = self.words.sample(range(TOPICS), 4)
            history = [
                HistoryEvent(NOW_MS - (events - place) * HOUR_MS, f"e{user}-{place}", self._pick(topics), kind, 4.0)
                for place, kind in enumerate(self.words.choices(TYPES, k=events))
            ]
            counted = {event.item_id: ItemCount(1000, event.event_time_ms) for event in history if event.item_id}
            state = UserState(version=1, events=history, items=counted)
            if user % 10 == 0:
                state.attributes = Attributes(NOW_MS, tags=[f"topic-{topic}" for topic in topics])
            if user % 10 == 1:
                state.muted_tags = [f"topic-{topics[0]}"]
            if user % 2:
                text = self.centres[topics[0]] / np.linalg.norm(self.centres[topics[0]])
                state.profile = ProfileRef(1, "en", [], text.astype("<f2").tobytes(), 50, NOW_MS)
            states.append(state)
        return states

    def _pick(self, topics: list[int]) -> str:
        number = self.words.randrange(self.items)
        return f"i{number - number % TOPICS + self.words.choice(topics) if self.words.random() < 0.8 else number}"

    def user_vectors(self, states: list[UserState]) -> Floats:
        """What user_encoder's plain form gives, about: the mean of the history."""
        rows = np.array([self.catalogue.rows([event.item_id for event in state.events]) for state in states])
        history = self.catalogue.vectors(rows).sum(axis=1)
        unit: Floats = history / np.linalg.norm(history, axis=1, keepdims=True)
        return unit

    def expected(self, users: int) -> NextItems:
        """What a learned user_encoder would say, about: as many items a user, any of them, with scores of the right size."""
        rows = self.numbers.integers(0, self.items, (users, NEXT_ITEMS))
        scores = self.numbers.exponential(0.1, (users, NEXT_ITEMS, len(NEXT_SCORES)))
        scores[:, :, 0] = -10 * self.numbers.random((users, NEXT_ITEMS))
        return NextItems(self.catalogue.numbers(rows), scores.astype(np.float32))


def made_up_ranker(seed: int) -> Ranker:
    """One of the sizes that `portrait train` makes, with weights drawn by chance."""
    return read_ranker(made_up_ranker_file(seed), RankWeights())


def made_up_ranker_file(seed: int) -> str:
    """As JSON."""
    draw, told, context = np.random.default_rng(seed).normal, len(FEATURES) + len(DETAILS), len(CONTEXT)

    def weights(*shape: int) -> Any:
        return draw(scale=0.1, size=shape).round(4).tolist()

    members = [
        {
            "linear": weights(told), "first": weights(HIDDEN, told + context), "first_bias": weights(HIDDEN),
            "second": weights(HIDDEN, HIDDEN), "second_bias": weights(HIDDEN), "last": weights(HIDDEN),
        }
        for _ in range(MEMBERS)
    ]  # fmt: skip
    scaling = {"mean": weights(told), "deviation": [1.0] * told}
    of_context = {"mean": weights(context), "deviation": [1.0] * context}
    file = {
        "features": [*FEATURES, *DETAILS], "context": list(CONTEXT), "feature_scaling": scaling,
        "context_scaling": of_context, "members": members, "unseen": ["boost"], "spread": 1.0,
    }  # fmt: skip
    return json.dumps(file)


class StageClock:
    """Adds up the time of each stage of `ListMaker.make`, by wrapping what it calls."""

    def __init__(self, maker: ListMaker) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._restore: list[Callable[[], None]] = []
        for owner, name, stage in (
            (stages, "Shelf", "shelf"),
            (stages, "people", "users"),
            (maker, "retrieve", "retrieval"),
            (maker, "features", "features"),
            (type(maker.ranker), "scores", "ranking"),
            (maker, "details", "ranking"),
            (type(maker.ranker), "parts", "reasons"),
            (stages, "choose_places", "policy"),
        ):
            self._wrap(owner, name, stage)

    def _wrap(self, owner: Any, name: str, stage: str) -> None:
        inner = getattr(owner, name)

        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            found = inner(*given, **named)
            self.spent[stage] += time.perf_counter() - start
            return found

        setattr(owner, name, timed)
        self._restore.append(lambda: setattr(owner, name, inner))

    def stop(self) -> None:
        """Put back what was wrapped."""
        for restore in self._restore:
            restore()


def ready_index(catalogue: Catalogue, kind: str) -> tuple[VectorIndex, float]:
    """An index of the whole catalogue, and the seconds its making took."""
    index = vector_index(SearchSettings.model_validate({"index": kind}), EMBEDDING_DIM)
    start = time.perf_counter()
    index.follow(catalogue)
    index.wait()
    index.follow(catalogue)
    return index, time.perf_counter() - start


def recall(index: VectorIndex, queries: Floats, catalogue: Catalogue, count: int = 100) -> float:
    """The share of the true nearest that the index finds."""
    allowed = np.ones(len(catalogue), bool)
    found = index.search(queries, count, allowed, catalogue).rows.tolist()
    true = scan(queries, count, allowed, catalogue).rows.tolist()
    return float(np.mean([len(set(ours) & set(theirs)) / count for ours, theirs in zip(found, true, strict=True)]))


def measure(items: int, users: int, events: int, repeats: int, seed: int, kind: str) -> dict[str, Any]:
    """Times of one batch over a catalogue of `items`, in ms per user."""
    world = World(items, seed)
    world.meet(5 * items)
    states = world.states(users, events)
    vectors = world.user_vectors(states)
    index, build_s = ready_index(world.catalogue, kind)
    maker = ListMaker(ListRules.of(Settings()), world.catalogue, index)
    plain = times(maker, states, vectors, NextItems.none(users), repeats)
    maker.rank_by(made_up_ranker(seed))
    learned = times(maker, states, vectors, world.expected(users), repeats)
    queries = combine(vectors, np.zeros_like(vectors), RankWeights())
    return {
        "items": items,
        "index": kind,
        **plain,
        "learned": learned,
        "recall_at_100": round(recall(index, queries, world.catalogue), 4),
        "index_build_s": round(build_s, 1),
        "dial": dial_curve(states, vectors, world, index),
    }


def times(maker: ListMaker, states: list[UserState], vectors: Floats, expected: NextItems, repeats: int) -> dict[str, Any]:
    """Of one batch, in ms per user: the best of so many runs, its stages, and the one in the middle."""
    users = len(states)
    made = maker.make(states, vectors, NOW_MS, None, expected)
    assert all(len(own.items) == maker.rules.top_k for own in made)
    runs = []
    for _ in range(repeats):
        clock = StageClock(maker)
        start, cpu = time.perf_counter(), time.process_time()
        maker.make(states, vectors, NOW_MS, None, expected)
        clock.spent["all"] = time.perf_counter() - start
        clock.spent["cpu"] = time.process_time() - cpu
        clock.stop()
        runs.append({stage: round(1000 * spent / users, 4) for stage, spent in clock.spent.items()})
    best = min(runs, key=lambda run: run["all"])
    best["the rest"] = round(best["all"] - sum(spent for stage, spent in best.items() if stage not in ("all", "cpu")), 4)
    return {
        "ms_per_user": best["all"],
        "cpu_ms_per_user": min(run["cpu"] for run in runs),
        "ms_per_user_median": sorted(run["all"] for run in runs)[len(runs) // 2],
        "stages_ms_per_user": best,
    }


def dial_curve(states: list[UserState], vectors: Floats, world: World, index: VectorIndex) -> list[dict[str, Any]]:
    """What the diversity dial gives and takes: how unlike each other a list's items are, and what is left of their scores."""
    found: list[dict[str, Any]] = []
    dials = {"mmr": (0.0, 0.15, 0.3, 0.5), "msd": (0.3, 0.5, 0.7), "dpp": (0.5, 0.8, 0.9)}
    for method, dial in [(name, dial) for name in METHODS for dial in dials[name]]:
        rules = replace(ListRules.of(Settings()), diversity=dial, diversity_method=method)
        lists = ListMaker(rules, world.catalogue, index).make(states, vectors, NOW_MS)
        shown = world.catalogue.vectors(np.array([world.catalogue.rows(p.item_id for p in own.items) for own in lists]))
        likeness = np.matmul(shown, shown.transpose(0, 2, 1))
        size = shown.shape[1]
        distance = 1 - (likeness.sum(axis=(1, 2)) - size) / (size * (size - 1))
        score = float(np.mean([place.score for own in lists for place in own.items]))
        found.append({"method": method, "dial": dial, "distance": float(distance.mean()), "score": score})
    plain = found[0]
    return [
        {
            "method": one["method"],
            "dial": one["dial"],
            "distance_gain_percent": round(100 * (one["distance"] / plain["distance"] - 1), 1),
            "score_loss_percent": round(100 * (1 - one["score"] / plain["score"]), 1),
        }
        for one in found
    ]


def measure_memory(items: int, users: int, events: int, seed: int, kind: str) -> dict[str, Any]:
    """The memory of this process with a catalogue of `items`, an index of it and lists made of it, and how long that took."""
    start = time.perf_counter()
    world = World(items, seed)
    load_s = time.perf_counter() - start
    index, build_s = ready_index(world.catalogue, kind)
    states = world.states(users, events)
    vectors = world.user_vectors(states)
    maker = ListMaker(ListRules.of(Settings()), world.catalogue, index)
    times = []
    for _ in range(4):
        start = time.perf_counter()
        maker.make(states, vectors, NOW_MS)
        times.append(time.perf_counter() - start)
    status = Path("/proc/self/status").read_text().splitlines()
    resident = next(line for line in status if line.startswith("VmRSS")).split()[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    queries = vectors[:64]
    return {
        "items": items,
        "index": kind,
        "resident_gib": round(int(resident) / 2**20, 2),
        "peak_resident_gib": round(peak / 2**20, 2),
        "load_s": round(load_s, 1),
        "index_build_s": round(build_s, 1),
        "ms_per_user": round(1000 * min(times) / users, 3),
        "recall_at_100": round(recall(index, queries, world.catalogue), 4),
    }


def main() -> None:
    """Print the figures of each catalogue, then the report."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--items", type=int, nargs="+", default=[10_000, 100_000])
    arguments.add_argument("--large", type=int, default=1_000_000, help="items whose memory is measured; 0: none")
    arguments.add_argument("--users", type=int, default=256)
    arguments.add_argument("--events", type=int, default=50)
    arguments.add_argument("--repeats", type=int, default=9)
    arguments.add_argument("--seed", type=int, default=7)
    arguments.add_argument("--index", default="auto")
    arguments.add_argument("--memory-of", type=int, help="measure nothing but the memory of so many items")
    given = arguments.parse_args()
    if given.memory_of:
        print(json.dumps(measure_memory(given.memory_of, given.users, given.events, given.seed, given.index)))
        return
    meter = MachineMeter()
    runs = []
    for items in given.items:
        runs.append(measure(items, given.users, given.events, given.repeats, given.seed, given.index))
        print(runs[-1], flush=True)
    large = None
    if given.large:  # in a process of its own: memory once taken is not always given back
        same = ["--memory-of", str(given.large), "--seed", str(given.seed), "--index", given.index]
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.bench_lists", *same], stdout=subprocess.PIPE, check=True
        )
        large = json.loads(done.stdout.splitlines()[-1])
        print(large, flush=True)
    report = {"report": "bench-lists", "users": given.users, "events": given.events, "seed": given.seed, "runs": runs}
    print(json.dumps({**report, "large": large, **meter.report()}))


if __name__ == "__main__":
    main()
