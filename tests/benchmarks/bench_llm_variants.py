"""What int8 weights and torch.compile would do for profile_llm on a CPU: steps of a full batch, and what is written.

    python -m tests.benchmarks.bench_llm_variants

Every variant writes the same texts from the same weights. Seconds are of CPU time, by thread, the median over the steps in
which every row writes on. `largest_logit_lost` is how far below the plain model's likeliest token a chosen one was,
`identical_texts` the share of texts that are those of the first variant.
"""

import gc
import json
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import torch
import typer
from torch import nn

from deploy.machine import MachineMeter
from tests.benchmarks.bench_llm import GraphedGenerator, Models, Row, TextGenerator, Tokens
from tests.benchmarks.llm_prompts import Asked, make_prompts

WARM_STEPS = 3


def as_served(models: Models) -> Any:
    return models.generator


def int8(models: Models) -> Any:
    """Linear layers with int8 weights by output channel, and activations turned to int8 at each step."""
    generator = made(models, TextGenerator)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that torch.ao is to move to another package
        by_channel = {nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
        torch.ao.quantization.quantize_dynamic(generator.model, by_channel, inplace=True)
    return generator


def fixed_shapes(models: Models) -> Any:
    """The passes that a GPU records, which torch.compile needs: it cannot follow packed ones."""
    return made(models, GraphedGenerator)


def compiled(models: Models) -> Any:
    generator = made(models, GraphedGenerator)
    generator.compile()
    return generator


VARIANTS: dict[str, Callable[[Models], Any]] = {
    "as_served": as_served,
    "int8": int8,
    "fixed_shapes": fixed_shapes,
    "fixed_shapes_compiled": compiled,
}


def made(models: Models, kind: Any) -> Any:
    adapter = str(models.adapter) if models.adapter else None
    return kind(str(models.folder), models.device, models.dtype, models.batch, adapter)


def measure(generator: Any, models: Models, asked: list[Asked], steps: int) -> tuple[dict[str, float], list[Tokens]]:
    """Milliseconds of a steady step, the start in seconds, and how far what is written is from likeliest; and the texts."""
    rows = [Row(generator.tokenize(one.text), max_tokens=WARM_STEPS + steps) for one in asked]
    ends, generator.end_tokens = generator.end_tokens, set()  # every row writes to its limit
    began = time.perf_counter()
    for row in rows:
        generator.start(row)
    for _ in range(WARM_STEPS):
        generator.step()
    warm_s = time.perf_counter() - began
    took: list[float] = []
    while generator.rows:
        step_began = time.process_time()
        generator.step()
        took.append((time.process_time() - step_began) / torch.get_num_threads())
    generator.end_tokens = ends
    texts = [models.until_end(row.tokens) for row in rows]
    lost = max(models.lost(one, text) for one, text in zip(asked, texts, strict=True))
    step_ms = round(1e3 * statistics.median(took), 1)
    return {"step_ms": step_ms, "start_s": round(warm_s, 1), "largest_logit_lost": round(lost, 2)}, texts


def main(
    batch: Annotated[int, typer.Option(help="texts written together")] = 32,
    steps: Annotated[int, typer.Option(help="measured, of each variant")] = 24,
    threads: Annotated[int, typer.Option(help="CPU threads")] = 1,
    variants: Annotated[str, typer.Option(help="which")] = ",".join(VARIANTS),
    seed: Annotated[int, typer.Option(help="of the prompts")] = 7,
) -> None:
    """Measure each variant; a line each, and a last one of JSON."""
    torch.set_num_threads(threads)
    meter = MachineMeter()
    models = Models(batch, print)
    asked = make_prompts(batch, seed)
    found: dict[str, dict[str, float]] = {}
    written: dict[str, list[Tokens]] = {}
    for name in variants.split(","):
        generator = VARIANTS[name](models)
        found[name], written[name] = measure(generator, models, asked, steps)
        same = [one == other for one, other in zip(written[name], next(iter(written.values())), strict=True)]
        found[name]["identical_texts"] = round(sum(same) / len(same), 3)
        print(name, found[name], flush=True)
        del generator
        gc.collect()
    adapter = models.adapter.name if models.adapter else None
    sizes = {"batch": batch, "steps": steps, "threads": threads, "seed": seed, "adapter": adapter}
    dtype = str(models.dtype).removeprefix("torch.")
    print(json.dumps({"report": "bench-llm-variants", "variants": found, **sizes, "dtype": dtype, **meter.report()}))


if __name__ == "__main__":
    typer.run(main)
