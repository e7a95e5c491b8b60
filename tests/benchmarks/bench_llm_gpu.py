"""`make bench-llm-gpu`: how fast profile_llm writes on a GPU, against transformers' `generate` and continuous batching.

The same weights, adapter, data type and prompts (those of bench_llm), greedy, at several batch sizes; the ways take turns and
seconds are of the clock. `bandwidth_share` compares with the least a step must read, weights and keys and values of its rows,
at the rate of a copy on the same GPU. A steady step is one in which every row writes on.
"""

import gc
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
import transformers
import typer
from rich.console import Console
from rich.table import Table

from deploy.machine import MachineMeter
from tests.benchmarks.bench_llm import MAX_LOST, Models, Row, Tokens
from tests.benchmarks.continuous_batching import continuous_batching
from tests.benchmarks.llm_prompts import Asked, make_prompts

WAYS = {
    "portrait": "profile_llm",
    "generate": "generate, as many together",
    "continuous": "continuous batching",
    "continuous_graphs": "continuous batching, CUDA graphs",
}
STEADY_STEPS = 32
WARM_STEPS = 4
CHECKED = 32  # texts of each batch size, whose tokens are compared with the plain model's likeliest
COPIED_BYTES = 2 << 30
COPIES = 20

Write = Callable[[Sequence[Asked]], list[Tokens]]


@dataclass
class Measured:
    """Of one batch size."""

    tokens_per_s: dict[str, float] = field(default_factory=dict)
    bandwidth_share: float = 0.0
    steady_ms: dict[str, float] = field(default_factory=dict)
    steady_share: float = 0.0
    largest_logit_lost: float = 0.0

    def ratio(self, *ways: str) -> float:
        """How many times as fast as the fastest of `ways` profile_llm is."""
        return round(self.tokens_per_s["portrait"] / max(self.tokens_per_s[way] for way in ways), 2)


class Bench:
    """The models, and the bytes they must read."""

    def __init__(self, models: Models) -> None:
        self.models, self.generator = models, models.generator
        self.paged = models.load_plain()  # continuous batching sets another attention, for good
        config = models.plain.config
        dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        values = 2 * config.num_hidden_layers * config.num_key_value_heads * dim
        self.bytes_per_token = values * models.dtype.itemsize
        self.weight_bytes = sum(weight.numel() * weight.element_size() for weight in models.plain.parameters())

    def measure(self, batch: int, texts: int, rounds: int, seed: int, bytes_per_s: float, compiled: bool) -> Measured:
        """Every way at one batch size."""
        self.models.batch = self.generator.max_rows = batch
        self.generator.store = self.generator.new_store()
        measured = Measured()
        asked = make_prompts(texts, seed)
        least = self.bytes_read(asked)  # and every shape is recorded now
        for way in WAYS:
            with self.writer(way, batch) as write:
                write(asked[:batch] if way == "generate" else asked)  # so that kernels are loaded and graphs recorded
                runs = [timed(lambda write=write: write(asked)) for _ in range(rounds)]
            seconds, written = statistics.median(seconds for seconds, _ in runs), runs[0][1]
            measured.tokens_per_s[way] = round(sum(map(len, written)) / seconds, 1)
            if way == "portrait":
                measured.bandwidth_share = round(least / seconds / bytes_per_s, 4)
                pairs = list(zip(asked, written, strict=True))[:CHECKED]
                measured.largest_logit_lost = round(max(self.models.lost(one, tokens) for one, tokens in pairs), 3)
        self.steady(measured, asked, batch, bytes_per_s, compiled)
        return measured

    @contextmanager
    def writer(self, way: str, batch: int) -> Iterator[Write]:
        """The function that writes texts in one way."""
        if not way.startswith("continuous"):
            yield lambda asked: self.models.write("generate_32" if way == "generate" else way, asked)
            return
        graphs = True if way == "continuous_graphs" else None
        with continuous_batching(self.paged, batch, graphs, self.generator.end_tokens) as peer:

            def write(asked: Sequence[Asked]) -> list[Tokens]:
                limited = [(self.generator.tokenize(one.text), one.max_tokens) for one in asked]
                return [self.models.until_end(tokens) for tokens in peer.write(limited)]

            yield write
        gc.collect()

    def bytes_read(self, asked: Sequence[Asked]) -> int:
        """The least bytes that steps read while these texts are written: weights once a step, and what its rows have seen."""
        total, step = 0, self.generator.step

        def counted() -> None:
            nonlocal total
            seen = sum(row.prefix.own_tokens + row.length + len(row.next) for row in self.generator.rows)
            total += self.weight_bytes + seen * self.bytes_per_token
            step()

        self.generator.step = counted
        self.models.write("portrait", asked)
        del self.generator.step
        return total

    def steady(self, measured: Measured, asked: Sequence[Asked], batch: int, bytes_per_s: float, compiled: bool) -> None:
        """A step of a full batch without graphs, with them, and compiled besides."""
        measured.steady_ms["graphs"], seen = self.steady_step(asked, batch)
        least = self.weight_bytes + seen * self.bytes_per_token
        measured.steady_share = round(least / (measured.steady_ms["graphs"] / 1e3) / bytes_per_s, 4)
        for recorded in self.generator.store.passes.values():
            recorded.graph = None
        measured.steady_ms["launched_singly"], _ = self.steady_step(asked, batch)
        if compiled:
            self.generator.compile()
            measured.steady_ms["graphs_compiled"], _ = self.steady_step(asked, batch)
            self.generator.compiled = None
        self.generator.store = self.generator.new_store()

    def steady_step(self, asked: Sequence[Asked], batch: int) -> tuple[float, int]:
        """Milliseconds of a step in which all rows write on, the median; tokens that they had seen half-way."""
        ends, self.generator.end_tokens = self.generator.end_tokens, set()
        limit = WARM_STEPS + STEADY_STEPS + 1
        rows = [Row(self.generator.tokenize(asked[number % len(asked)].text), max_tokens=limit) for number in range(batch)]
        for row in rows:
            self.generator.start(row)
        for _ in range(WARM_STEPS):
            self.generator.step()
        steps = [timed(self.generator.step)[0] for _ in range(STEADY_STEPS)]
        seen = sum(row.length for row in rows) - batch * STEADY_STEPS // 2
        self.generator.generate([])
        self.generator.end_tokens = ends
        return round(statistics.median(steps) * 1e3, 4), seen


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds, until the GPU is done, and what was returned."""
    began = time.perf_counter()
    made = work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began, made


def copied_bytes_per_s(device: torch.device, size: int) -> float:
    """Bytes read and written a second by copies of a large tensor on the device: the median."""
    source = torch.randint(256, (size,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    target.copy_(source)
    return 2 * size / statistics.median(timed(lambda: target.copy_(source))[0] for _ in range(COPIES))


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def table(measured: dict[int, Measured]) -> Table:
    """Tokens a second by way and batch size."""
    shown = Table("way", *(f"batch {batch}" for batch in measured), title="tokens/s")
    for way, name in WAYS.items():
        shown.add_row(name, *(f"{one.tokens_per_s[way]:.0f}" for one in measured.values()))
    shown.add_row("share of the bandwidth limit", *(f"{one.bandwidth_share:.1%}" for one in measured.values()))
    for kind in dict.fromkeys(kind for one in measured.values() for kind in one.steady_ms):
        shown.add_row(f"steady step, {kind}, ms", *(f"{one.steady_ms.get(kind, math.nan):.2f}" for one in measured.values()))
    return shown


def report(measured: dict[int, Measured]) -> dict[str, Any]:
    """The figures by batch size."""
    continuous = [way for way in WAYS if way.startswith("continuous")]
    return {
        "tokens_per_s": {batch: one.tokens_per_s for batch, one in measured.items()},
        "ratio_generate": {batch: one.ratio("generate") for batch, one in measured.items()},
        "ratio_continuous": {batch: one.ratio(*continuous) for batch, one in measured.items()},
        "bandwidth_share": {batch: one.bandwidth_share for batch, one in measured.items()},
        "steady_step_ms": {batch: one.steady_ms for batch, one in measured.items()},
        "steady_bandwidth_share": {batch: one.steady_share for batch, one in measured.items()},
        "largest_logit_lost": max(one.largest_logit_lost for one in measured.values()),
    }


def main(
    device: Annotated[str, typer.Option(help="as torch names it; on a CPU nothing is recorded")] = "cuda",
    batches: Annotated[str, typer.Option(help="texts written together")] = "1,8,32,128",
    texts_each: Annotated[int, typer.Option(help="prompts for each place in the batch, but at least 8 in all")] = 3,
    rounds: Annotated[int, typer.Option(help="timed runs of each way")] = 3,
    compiled: Annotated[int, typer.Option(help="the batch size to time torch.compile at, which takes a minute; 0: none")] = 32,
    seed: Annotated[int, typer.Option(help="of the prompts")] = 7,
) -> None:
    """Measure, print a table, and end with a line of JSON; exit 1 when the texts are not those of the plain model."""
    console, meter = Console(stderr=True), MachineMeter()
    sizes = [int(size) for size in batches.split(",")]
    models = Models(max(sizes), console.print, device)
    bytes_per_s = copied_bytes_per_s(models.device, COPIED_BYTES if models.device.type == "cuda" else COPIED_BYTES >> 6)
    bench = Bench(models)
    measured: dict[int, Measured] = {}
    for batch in sizes:
        measured[batch] = bench.measure(batch, max(8, texts_each * batch), rounds, seed, bytes_per_s, compiled == batch)
        console.print(f"batch {batch}: {measured[batch]}", markup=False)
    console.print(table(measured))
    figures = report(measured)
    print(json.dumps({
        "report": "bench-llm-gpu", **figures, "device": device_name(models.device), "copy_gb_per_s": round(bytes_per_s / 1e9),
        "rounds": rounds, "seed": seed, "adapter": models.adapter.name if models.adapter else None,
        "dtype": str(models.dtype).removeprefix("torch."), "torch": torch.__version__,
        "transformers": transformers.__version__, **meter.report(),
    }))  # fmt: skip
    raise typer.Exit(1 if figures["largest_logit_lost"] > MAX_LOST else 0)


if __name__ == "__main__":
    typer.run(main)
