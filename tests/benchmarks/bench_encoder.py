"""The learned user_encoder through Triton against the same artefact called directly, and lists made of what it says.

    python -m tests.benchmarks.bench_encoder

Takes the version in service, or the one given with --version; make one first: portrait train --data FOLDER. Users are
made up: histories of known items of 50 events. Direct and served calls take turns, one thread each, so that what else the
machine does falls on both alike. The last line is JSON.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from consumers.inference import InferenceClient
from deploy.evaluation.models import UserEncoder
from deploy.local.encoder_versions import PLAIN, EncoderVersions
from deploy.local.show import cell, table
from deploy.local.stack import local_stack
from deploy.machine import MachineMeter
from schemas.errors import ConfigError
from schemas.messages import EVENT_TYPES
from schemas.settings import ModelSettings, RuntimeSettings, Settings, load_settings
from schemas.tensors import DEMOGRAPHICS_DIM, EMBEDDING_DIM, USER_ENCODER

BATCHES = (1, 32, 256)
EVENTS = 50
WARM_UP = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--version", type=int, help="of user_encoder; default: the one in service")
    parser.add_argument("--rounds", type=int, default=25, help="pairs of calls of each batch size")
    parser.add_argument("--seed", type=int, default=7)
    asked = parser.parse_args()
    versions = EncoderVersions.of(load_settings())
    version = asked.version or versions.active
    folder = versions.path(version)
    meter, direct = MachineMeter(), UserEncoder(folder)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        project = versions_for_bench(Path(scratch), version, folder)
        with local_stack(Path(scratch) / "stack", project, kafka=False, models=(USER_ENCODER.name,)) as stack:
            client = InferenceClient(stack.settings.triton)
            figures = {
                str(batch): compared(
                    features(batch, known_numbers(direct), asked.seed), direct.encode, client.encode_users, asked.rounds
                )
                for batch in BATCHES
            }
            client.close()
    shown = table("users a call", "direct ms", "through Triton ms", "Triton's users/s against direct")
    for batch, found in figures.items():
        ms = [f"{found[name]:.2f}" for name in ("direct_ms", "triton_ms")]
        shown.add_row(*(cell(text) for text in (batch, *ms, f"{found['ratio']:.2f}")))
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


def known_numbers(encoder: UserEncoder) -> Any:
    """Numbers of items that the network knows."""
    empty = features(1, np.zeros(1, np.int64), 0)
    return encoder.encode(empty).expected.numbers[0][:40]


def features(users: int, numbers: Any, seed: int) -> dict[str, Any]:
    """Made-up users with full histories."""
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(users, EVENTS, EMBEDDING_DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    return {
        "HISTORY_VECTORS": vectors.astype(np.float16),
        "HISTORY_ITEMS": random.choice(numbers, (users, EVENTS)),
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
    """Median times of both, in turns, and the median ratio of a pair: over 1 is faster through Triton."""
    pairs = []
    for turn in range(WARM_UP + rounds):
        first, second = (direct, served) if turn % 2 else (served, direct)
        times = {}
        for call in (first, second):
            began = time.perf_counter()
            call(told)
            times[call] = time.perf_counter() - began
        if turn >= WARM_UP:
            pairs.append((times[direct], times[served]))
    return {
        "direct_ms": round(1000 * statistics.median(pair[0] for pair in pairs), 3),
        "triton_ms": round(1000 * statistics.median(pair[1] for pair in pairs), 3),
        "ratio": round(statistics.median(pair[0] / pair[1] for pair in pairs), 3),
    }


if __name__ == "__main__":
    main()
