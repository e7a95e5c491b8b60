"""How fast states become lists, on one core and synthetic data: `python tests/benchmarks/bench_lists.py`.

Features, then retrieval + ranking + policy, for batches of 256 users with 50 events each; and the matrix product that
retrieval uses beside `faiss.knn` on the same vectors. The last line is one JSON object.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import platform
import random
import time
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from consumers.catalogue import Catalogue, Floats
from consumers.lists.features import user_features
from consumers.lists.lists import ListRules, make_lists
from consumers.lists.retrieval import top_rows
from consumers.lists.tag_vectors import TagVectors
from schemas.messages import Item, ItemVector
from schemas.settings import Settings
from schemas.state import Attributes, HistoryEvent, ItemCount, UserState
from schemas.tensors import EMBEDDING_DIM

NOW_MS = 1_760_000_000_000
HOUR_MS = 3_600_000
TOPICS = 60
SUBTOPICS = 5
TYPES = ("view", "view", "click", "like", "purchase", "rating", "skip")


def make_catalogue(items: int, seed: int) -> Catalogue:
    """Item i is of topic i mod 60, with the topic and two of its five subtopics as tags, its vector near the topic's."""
    numbers = np.random.default_rng(seed)
    words = random.Random(seed)
    centres = numbers.standard_normal((TOPICS, EMBEDDING_DIM))
    catalogue = Catalogue()
    for number in range(items):
        topic = number % TOPICS
        tags = [f"topic-{topic}", *(f"topic-{topic}-{sub}" for sub in words.sample(range(SUBTOPICS), 2))]
        vector = centres[topic] + numbers.standard_normal(EMBEDDING_DIM)
        published_at_ms = NOW_MS - words.randrange(90 * 24) * HOUR_MS
        catalogue.put_item(
            Item(item_id=f"i{number}", domain="video", title=f"Title {number}", tags=tags, published_at_ms=published_at_ms)
        )
        catalogue.put_vector(
            ItemVector(item_id=f"i{number}", vector=vector.tolist(), model_name="synthetic", model_version="1")
        )
        catalogue.observe([f"i{number}"], [words.paretovariate(1.2)], NOW_MS)
    return catalogue


def make_states(users: int, events: int, items: int, seed: int) -> list[UserState]:
    """Users with four of five events on four topics; one in ten has declared tags, one in ten has muted a tag."""
    words = random.Random(seed)
    states = []
    for user in range(users):
        topics = words.sample(range(TOPICS), 4)
        history = [
            HistoryEvent(NOW_MS - (events - place) * HOUR_MS, f"e{user}-{place}", _pick(words, topics, items), kind, 4.0)
            for place, kind in enumerate(words.choices(TYPES, k=events))
        ]
        counted = {event.item_id: ItemCount(1000, event.event_time_ms) for event in history if event.item_id}
        state = UserState(version=1, events=history, items=counted)
        if user % 10 == 0:
            state.attributes = Attributes(NOW_MS, tags=[f"topic-{topic}" for topic in topics])
        if user % 10 == 1:
            state.muted_tags = [f"topic-{topics[0]}"]
        states.append(state)
    return states


def _pick(words: random.Random, topics: list[int], items: int) -> str:
    number = words.randrange(items)
    return f"i{number - number % TOPICS + words.choice(topics) if words.random() < 0.8 else number}"


def encode_tags(texts: list[str]) -> "Future[Floats]":
    """Stands for text_encoder, which is not what is measured."""
    answer: Future[Floats] = Future()
    answer.set_result(np.random.default_rng(len(texts)).standard_normal((len(texts), EMBEDDING_DIM)).astype(np.float32))
    return answer


def best_ms(work: Callable[[], object], repeats: int) -> float:
    """CPU time of the fastest of `repeats` runs, the first one left out: other work may share the machine."""
    work()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(1000 * (time.process_time() - start))
    return min(times)


def measure(items: int, users: int, events: int, repeats: int, seed: int) -> dict[str, float]:
    """Times of one batch over a catalogue of `items`."""
    catalogue = make_catalogue(items, seed)
    states = make_states(users, events, items, seed)
    tag_vectors = TagVectors(encode_tags)
    rules = ListRules.of(Settings())
    history = user_features(states, catalogue, tag_vectors)["HISTORY_VECTORS"].astype(np.float32).sum(axis=1)
    vectors = history / np.linalg.norm(history, axis=1, keepdims=True)
    while len(tag_vectors) < len({tag for state in states if state.attributes for tag in state.attributes.tags}):
        tag_vectors.arrivals()
    features_ms = best_ms(lambda: user_features(states, catalogue, tag_vectors), repeats)
    lists_ms = best_ms(lambda: make_lists(states, vectors, catalogue, rules, NOW_MS), repeats)
    product_ms = best_ms(lambda: top_rows(vectors @ catalogue.matrix.T, 50, catalogue), repeats)
    assert all(len(own) == rules.top_k for own in make_lists(states, vectors, catalogue, rules, NOW_MS))
    return {
        "items": items,
        "features_ms": round(features_ms, 1),
        "lists_ms": round(lists_ms, 1),
        "lists_ms_per_user": round(lists_ms / users, 3),
        "users_per_s": round(1000 * users / (features_ms + lists_ms)),
        "product_top50_ms": round(product_ms, 1),
        "faiss_knn50_ms": round(best_ms(lambda: faiss_knn(vectors, catalogue), 2), 1),
    }


def faiss_knn(vectors: Floats, catalogue: Catalogue) -> object:
    """The peer: exact search by faiss on the same arrays."""
    import faiss

    faiss.omp_set_num_threads(1)
    return faiss.knn(vectors, catalogue.matrix, 50, metric=faiss.METRIC_INNER_PRODUCT)


def main() -> None:
    """Print the times for each catalogue size, then the report."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--items", type=int, nargs="+", default=[1_700, 20_000])
    arguments.add_argument("--users", type=int, default=256)
    arguments.add_argument("--events", type=int, default=50)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--seed", type=int, default=7)
    given = arguments.parse_args()
    runs = [measure(items, given.users, given.events, given.repeats, given.seed) for items in given.items]
    for run in runs:
        print(run)
    machine = f"{platform.machine()}, {os.cpu_count()} cores, 1 used"
    print(
        json.dumps(
            {
                "report": "bench-lists",
                "users": given.users,
                "events": given.events,
                "seed": given.seed,
                "machine": machine,
                "runs": runs,
            }
        )
    )


if __name__ == "__main__":
    main()
