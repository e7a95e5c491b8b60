"""The learned user_encoder through Triton against the same artefact called directly, and lists made of what it says.

    python -m tests.benchmarks.bench_encoder

Takes the version in service, or the one given with --version; make one first: portrait train --data FOLDER. Users are
made up: 50 events each on items that the version knows, drawn by Zipf's law, as they are in shops. Direct and served calls
take turns, the model with one thread each, so that what else the machine does falls on both alike. Served are they one call
at a time, and two in flight: then one request travels while the model works on another. The last line is JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from consumers.inference import InferenceClient
from deploy.evaluation.models import UserEncoder
from deploy.local.encoder_versions import PLAIN, EncoderVersions
from deploy.local.show import cell, table
from deploy.local.stack import local_stack
from deploy.machine import MachineMeter
from deploy.training.learning import ENCODER
from schemas.errors import ConfigError
from schemas.messages import EVENT_TYPES
from schemas.settings import ModelSettings, RuntimeSettings, Settings, load_settings
from schemas.tensors import DEMOGRAPHICS_DIM, EMBEDDING_DIM, USER_ENCODER

BATCHES = (1, 32, 256)
EVENTS = 50
WARM_UP = 3
IN_FLIGHT = 3
"""Calls that each of two threads makes, one after another."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, help="of user_encoder; default: the one in service")
    parser.add_argument("--rounds", type=int, default=25, help="pairs of calls of each batch size")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    versions = EncoderVersions.of(load_settings())
    version = asked.version or versions.active
    folder = versions.servable(version)
    meter, direct = MachineMeter(), UserEncoder(folder)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        project = versions_for_bench(Path(scratch), version, folder)
        with local_stack(Path(scratch) / "stack", project, kafka=False, models=(USER_ENCODER.name,)) as stack:
            client = InferenceClient(stack.settings.triton)
            numbers = known_numbers(folder)
            figures = {
                str(batch): compared(features(batch, numbers, asked.seed), direct.encode, client.encode_users, asked.rounds)
                for batch in BATCHES
            }
            client.close()
    shown = table("users a call", "direct ms", "Triton ms", "its users/s against direct", "two in flight")
    for batch, found in figures.items():
        shown.add_row(*(cell(text) for text in (batch, *(f"{figure:.2f}" for figure in found.values()))))
    Console().print(shown)
    report = {"report": "bench-encoder", "version": version, "batches": figures, "rounds": asked.rounds, "seed": asked.seed}
    print(json.dumps({**report, **meter.report()}))


def versions_for_bench(scratch: Path, version: int, folder: Path) -> Settings:
    """Settings of an empty project that serves this version."""
    if version == PLAIN:
        raise ConfigError("the plain user_encoder is in service: make a learned one with `portrait train --data FOLDER`")
    settings = Settings(runtime=RuntimeSettings(folder=scratch), models=ModelSettings(user_encoders=folder.parent))
    if EncoderVersions.of(settings).active != version:
        raise ConfigError(f"put {version} in service first: `portrait models activate {version}`")
    return settings


def known_numbers(folder: Path) -> npt.NDArray[np.int64]:
    """Numbers of the items that the network knows."""
    numbers: npt.NDArray[np.int64] = torch.export.load(folder / ENCODER).state_dict["numbers"].numpy()
    return numbers


def features(users: int, numbers: npt.NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Made-up users with full histories, each item's vector once, as `user_features` has them."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, len(numbers) + 1)
    items = random.choice(random.permutation(len(numbers)), (users, EVENTS), p=shares / shares.sum())
    each, places = np.unique(items, return_inverse=True)
    vectors = random.normal(size=(users, -(-len(each) // users), EMBEDDING_DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return {
        "ITEM_VECTORS": vectors.astype(np.float16),
        "HISTORY_PLACES": (places.reshape(items.shape) + 1).astype(np.int32),
        "HISTORY_ITEMS": numbers[items],
        "HISTORY_TYPES": np.full((users, EVENTS), 1 + EVENT_TYPES.index("play"), np.int32),
        "HISTORY_AGES": np.sort(random.uniform(0, 500, (users, EVENTS)), axis=1)[:, ::-1].astype(np.float32).copy(),
        "HISTORY_VALUES": np.full((users, EVENTS), np.nan, np.float32),
        "TAG_VECTOR": np.zeros((users, EMBEDDING_DIM), np.float32),
        "PROFILE_VECTOR": np.zeros((users, EMBEDDING_DIM), np.float32),
        "DEMOGRAPHICS": np.zeros((users, DEMOGRAPHICS_DIM), np.float32),
    }


def compared(
    told: Mapping[str, Any],
    direct: Callable[[Mapping[str, Any]], Any],
    served: Callable[[Mapping[str, Any]], Any],
    rounds: int,
) -> dict[str, float]:
    """Median times of a call, in turns, and median ratios of a turn's users/s: over 1 is faster through Triton."""
    with ThreadPoolExecutor(2) as pool:

        def two_in_flight(told: Mapping[str, Any]) -> None:
            for made in [pool.submit(served, told) for _ in range(2 * IN_FLIGHT)]:
                made.result()

        turns: list[dict[str, float]] = []
        for turn in range(WARM_UP + rounds):
            times = {}
            order = [("direct", direct, 1), ("served", served, 1), ("two", two_in_flight, 2 * IN_FLIGHT)]
            for name, call, calls in order[turn % 3 :] + order[: turn % 3]:
                began = time.perf_counter()
                call(told)
                times[name] = (time.perf_counter() - began) / calls
            turns.append(times)
    turns = turns[WARM_UP:]
    return {
        "direct_ms": round(1000 * statistics.median(times["direct"] for times in turns), 3),
        "triton_ms": round(1000 * statistics.median(times["served"] for times in turns), 3),
        "ratio": round(statistics.median(times["direct"] / times["served"] for times in turns), 3),
        "ratio_two_in_flight": round(statistics.median(times["direct"] / times["two"] for times in turns), 3),
    }


if __name__ == "__main__":
    main()
