"""How fast profile_llm writes, on one core: `python tests/benchmarks/bench_llm.py`.

The narrator's own English prompts, greedy, through the generator (rows join and leave), through plain transformers `generate`
in batches, and through `generate` one at a time; the same weights, dtype and prompts, one way after the other. The generator
has met the prompts' beginnings before, as it has in service. Times are CPU times, as other work may share the machine. The
last line is one JSON object.
"""

import os

os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import AutoModelForCausalLM

from consumers.prompts import max_tokens, parts, prompt
from deploy.local.weights import weights_folder
from schemas.messages import Statement

sys.path.insert(0, str(Path(__file__).parents[2] / "model_repository" / "profile_llm" / "1"))
from generation import Row, TextGenerator  # type: ignore[import-not-found]

LIKES = [
    "sports",
    "technology",
    "travel",
    "cooking",
    "films",
    "music",
    "chess",
    "gardening",
    "history",
    "photography",
    "cycling",
    "painting",
]
TITLES = ["The Long Road", "Blue Lamp Desk", "Quiet Headphones", "Mountain Tent", "Red Kettle"]


class Asked(NamedTuple):
    """A prompt and the most tokens its answer may have."""

    text: str
    max_tokens: int


def make_prompts(count: int, seed: int) -> list[Asked]:
    """What the narrator asks for users with three likes, three views, an age and a gender."""
    words = random.Random(seed)
    asked: list[Asked] = []
    while len(asked) < count:
        told = [statement(topic, "likes") for topic in words.sample(LIKES, 3)]
        told += [
            statement("gender", "is", words.choice(["male", "female"])),
            statement("age", "is", str(words.randint(18, 70))),
        ]
        told += [statement(title, "viewed") for title in words.sample(TITLES, 3)]
        asked += [Asked(prompt(part, told, "en"), max_tokens(part, told)) for part in parts(told)]
    return asked[:count]


def statement(topic: str, stance: Any, value: str | None = None) -> Statement:
    return Statement(topic=topic, stance=stance, value=value, strength=0.5, evidence=["event:1"])


def write_packed(generator: Any, asked: Sequence[Asked]) -> int:
    """Tokens written by profile_llm's generator."""
    rows = [Row(generator.tokenize(one.text), max_tokens=one.max_tokens) for one in asked]
    generator.generate(rows)
    return sum(len(row.tokens) + (row.finish_reason == "stop") for row in rows)


def write_plain(model: Any, tokenizer: Any, asked: Sequence[Asked], batch: int) -> int:
    """Tokens written by transformers' generate, `batch` prompts at a time, up to each one's end."""
    written = 0
    for start in range(0, len(asked), batch):
        some = asked[start : start + batch]
        inputs = tokenizer([one.text for one in some], padding=True, add_special_tokens=False, return_tensors="pt")
        limit = max(one.max_tokens for one in some)
        output = model.generate(**inputs, max_new_tokens=limit, do_sample=False)[:, inputs["input_ids"].shape[1] :].tolist()
        for one, tokens in zip(some, output, strict=True):
            length = tokens.index(model.config.eos_token_id) + 1 if model.config.eos_token_id in tokens else len(tokens)
            written += min(length, one.max_tokens)
    return written


def tokens_per_s(write: Callable[[], int]) -> float:
    """Tokens a second of CPU time."""
    start = time.process_time()
    written = write()
    return written / (time.process_time() - start)


def measure(texts: int, batch: int, repeats: int, seed: int) -> dict[str, float]:
    """The best of `repeats` runs of each way; the ways take turns."""
    folder = str(weights_folder("profile_llm", "builtin:SmolLM2-135M-Instruct", print))
    dtype = torch.bfloat16 if torch.cpu.get_capabilities().get("avx512_bf16") else torch.float32
    generator = TextGenerator(folder, torch.device("cpu"), dtype, batch)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.eval()
    tokenizer = generator.tokenizer
    tokenizer.padding_side = "left"
    write_packed(generator, make_prompts(batch, seed))
    best: dict[str, float] = {}
    for repeat in range(repeats):
        asked = make_prompts(texts, seed + 1 + repeat)
        ways: dict[str, Callable[[], int]] = {
            "profile_llm": lambda asked=asked: write_packed(generator, asked),  # type: ignore[misc]
            "generate": lambda asked=asked: write_plain(model, tokenizer, asked, batch),  # type: ignore[misc]
            "one_at_a_time": lambda asked=asked: write_plain(model, tokenizer, asked[:4], 1),  # type: ignore[misc]
        }
        for name, write in ways.items():
            best[name] = max(best.get(name, 0.0), tokens_per_s(write))
            print(f"{name:14} {best[name]:7.1f} tokens/s", flush=True)
    return best


def main() -> None:
    """Print tokens/s of each way, then the report."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--texts", type=int, default=64)
    arguments.add_argument("--batch", type=int, default=32)
    arguments.add_argument("--repeats", type=int, default=2)
    arguments.add_argument("--seed", type=int, default=7)
    given = arguments.parse_args()
    torch.set_num_threads(1)
    best = measure(given.texts, given.batch, given.repeats, given.seed)
    report = {
        "report": "bench-llm",
        "tokens_per_s": {name: round(value, 1) for name, value in best.items()},
        "ratio_generate": round(best["profile_llm"] / best["generate"], 2),
        "ratio_one_at_a_time": round(best["profile_llm"] / best["one_at_a_time"], 2),
        "texts": given.texts,
        "batch": given.batch,
        "seed": given.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, 1 used",
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
