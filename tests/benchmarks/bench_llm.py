"""`make bench-llm`: how fast profile_llm's generator writes, against transformers' `generate` on the same weights.

The narrator's own prompts, English and Chinese, greedy, in three ways that take turns: the generator (rows join and leave a
batch), `generate` in batches of as many, and `generate` one at a time. The same weights, adapter, data type, threads and
prompts. Seconds are of CPU time, by thread, as other work may share the machine. Every token the generator chose must be one
that the plain model finds likeliest, up to what bf16 leaves uncertain.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from transformers import AutoModelForCausalLM

from deploy.local.adapters import adapter_folder
from deploy.local.weights import weights_folder
from deploy.machine import MachineMeter
from schemas.settings import Settings
from tests.benchmarks.llm_prompts import Asked, make_prompts

sys.path.insert(0, str(Path(__file__).parents[2] / "model_repository" / "profile_llm" / "1"))
from generation import Row, TextGenerator  # type: ignore[import-not-found]
from graphed_generation import GraphedGenerator  # type: ignore[import-not-found]

WAYS = {"portrait": "profile_llm", "generate_32": "generate, {batch} together", "one_at_a_time": "generate, one at a time"}
MAX_LOST = 0.75
"""How far below the highest logit of the plain model a chosen token's may be: bf16 keeps 8 bits of logits near 30."""
NEEDED = {"ratio_generate": 1.5, "ratio_one_at_a_time": 6.0}

Tokens = list[int]


@dataclass
class Outcome:
    """Tokens a second of each round, by way; of the first round the tokens written, by way and prompt."""

    rates: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    written: dict[str, list[Tokens]] = field(default_factory=dict)

    def median(self, way: str) -> float:
        """Tokens a second of the middle round."""
        return statistics.median(self.rates[way])

    def ratio(self, way: str) -> float:
        """How many times as fast as `way` the generator is: the median over rounds, whose runs are near in time."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.rates["portrait"], self.rates[way], strict=True))


class Models:
    """The generator, and the plain model of the same weights."""

    def __init__(self, batch: int, progress: Callable[[str], None], device: str = "cpu") -> None:
        models = Settings().models
        self.folder = weights_folder("profile_llm", models.profile_llm, progress)
        self.adapter = adapter_folder(models)
        fast = device != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16")
        self.dtype = torch.bfloat16 if fast else torch.float32
        self.batch, self.device = batch, torch.device(device)
        kind = TextGenerator if device == "cpu" else GraphedGenerator
        self.generator = kind(str(self.folder), self.device, self.dtype, batch, str(self.adapter) if self.adapter else None)
        self.tokenizer = self.generator.tokenizer
        self.tokenizer.padding_side = "left"
        self.plain: Any = self.load_plain()

    def load_plain(self) -> Any:
        """The model as transformers runs it, the adapter merged in."""
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=self.dtype)
        if self.adapter:
            from adapter import merge_adapter  # type: ignore[import-not-found]

            model = merge_adapter(model, str(self.adapter))
        return model.to(self.device).eval()

    def write(self, way: str, asked: Sequence[Asked]) -> list[Tokens]:
        """The tokens of each answer, its end token not counted."""
        if way == "portrait":
            return self._generator(asked)
        size = self.batch if way == "generate_32" else 1
        return [tokens for start in range(0, len(asked), size) for tokens in self._generate(asked[start : start + size])]

    def _generator(self, asked: Sequence[Asked]) -> list[Tokens]:
        rows = [Row(self.generator.tokenize(one.text), max_tokens=one.max_tokens) for one in asked]
        self.generator.generate(rows)
        return [row.tokens for row in rows]

    def _generate(self, asked: Sequence[Asked]) -> list[Tokens]:
        """All of them up to the longest limit: a batch has but one."""
        inputs = self.tokenizer([one.text for one in asked], padding=True, add_special_tokens=False, return_tensors="pt")
        inputs = inputs.to(self.device)
        limit = max(one.max_tokens for one in asked)
        output = self.plain.generate(**inputs, max_new_tokens=limit, do_sample=False, pad_token_id=0)
        rows = output[:, inputs["input_ids"].shape[1] :].tolist()
        return [self.until_end(tokens)[: one.max_tokens] for one, tokens in zip(asked, rows, strict=True)]

    def until_end(self, tokens: Tokens) -> Tokens:
        """The tokens before the one that ends a text."""
        ends = [place for place, token in enumerate(tokens) if token in self.generator.end_tokens]
        return tokens[: ends[0]] if ends else tokens

    @torch.inference_mode()
    def lost(self, asked: Asked, tokens: Tokens) -> float:
        """How far below the highest logit of the plain model those of the tokens are, at most."""
        prompt = self.generator.tokenize(asked.text)
        logits = self.plain(torch.tensor([prompt + tokens], device=self.device)).logits[0, len(prompt) - 1 : -1].float()
        chosen = logits[torch.arange(len(tokens)), torch.tensor(tokens)]
        return float((logits.max(-1).values - chosen).max()) if tokens else 0.0

    def joins_within_steps(self, asked: Sequence[Asked]) -> int:
        """Steps until a row that joins a half-full batch has its first token, at most, each time at another moment."""
        prompts = [self.generator.tokenize(one.text) for one in asked]
        for prompt in prompts[: self.batch // 2]:
            self.generator.start(Row(prompt, max_tokens=64))
        most = 0
        for prompt in prompts[self.batch // 2 :]:
            joining = Row(prompt, max_tokens=2)
            self.generator.start(joining)
            steps = 0
            while not joining.tokens and not joining.finish_reason:
                self.generator.step()
                steps += 1
            most = max(most, steps)
        self.generator.abandon()
        return most


def measure(models: Models, texts: int, alone: int, rounds: int, seed: int, progress: Progress) -> Outcome:
    """The ways in turn, each round with other prompts; one at a time gets every n-th of them."""
    outcome = Outcome()
    task = progress.add_task("warming up", total=rounds * len(WAYS))
    for way in WAYS:
        models.write(way, make_prompts(4, seed - 1))
    for number in range(rounds):
        asked = make_prompts(texts, seed + number)
        for way in WAYS:
            progress.update(task, description=f"round {number + 1}, {WAYS[way].format(batch=models.batch)}")
            some = asked if way != "one_at_a_time" else asked[:: max(1, len(asked) // alone)]
            began = time.process_time()
            written = models.write(way, some)
            seconds = (time.process_time() - began) / torch.get_num_threads()
            outcome.rates[way].append(sum(map(len, written)) / seconds)
            outcome.written.setdefault(way, written)
            progress.advance(task)
    return outcome


def agreement(models: Models, outcome: Outcome, asked: Sequence[Asked]) -> dict[str, float]:
    """How the texts of the first round agree with plain `generate`."""
    ours, theirs = outcome.written["portrait"], outcome.written["generate_32"]
    return {
        "identical_texts": round(sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours), 3),
        "largest_logit_lost": round(max(models.lost(one, tokens) for one, tokens in zip(asked, ours, strict=True)), 3),
    }


def table(outcome: Outcome, batch: int) -> Table:
    """Tokens a second, by way."""
    shown = Table("way", "tokens/s, median", "rounds", "profile_llm is faster")
    for way, name in WAYS.items():
        rounds = " ".join(f"{rate:.0f}" for rate in outcome.rates[way])
        shown.add_row(name.format(batch=batch), f"{outcome.median(way):.1f}", rounds, f"{outcome.ratio(way):.2f} x")
    return shown


def faults(report: dict[str, Any]) -> list[str]:
    """What must not be, in words."""
    found = [f"{name} is {report[name]}, below {least:g}" for name, least in NEEDED.items() if report[name] < least]
    if report["largest_logit_lost"] > MAX_LOST:
        found.append(f"a token was chosen that lies {report['largest_logit_lost']} below the likeliest of the plain model")
    if report["joins_within_steps"] > 1:
        found.append(f"a row that joined waited {report['joins_within_steps']} steps for its first token")
    return found


def main(
    texts: Annotated[int, typer.Option(help="prompts in a round")] = 64,
    alone: Annotated[int, typer.Option(help="of these written one at a time")] = 6,
    batch: Annotated[int, typer.Option(help="texts written together")] = 32,
    rounds: Annotated[int, typer.Option(help="times the ways take turns")] = 3,
    threads: Annotated[int, typer.Option(help="CPU threads of every way")] = Settings().models.llm_threads,
    seed: Annotated[int, typer.Option(help="of the prompts")] = 7,
) -> None:
    """Measure, print a table and what is wrong, and end with a line of JSON; exit 1 when something is not as it must be."""
    torch.set_num_threads(threads)
    console, meter = Console(stderr=True), MachineMeter()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    models = Models(batch, console.print)
    with Progress(*columns, console=console) as progress:
        outcome = measure(models, texts, alone, rounds, seed, progress)
        progress.add_task("comparing texts", total=None)
        asked = make_prompts(texts, seed)
        agreed = agreement(models, outcome, asked)
        joins = models.joins_within_steps(asked[:batch])
    console.print(table(outcome, batch))
    report = {
        "report": "bench-llm",
        "tokens_per_s": {way: round(outcome.median(way), 1) for way in WAYS},
        "ratio_generate": round(outcome.ratio("generate_32"), 2),
        "ratio_one_at_a_time": round(outcome.ratio("one_at_a_time"), 2),
        "joins_within_steps": joins,
        **agreed,
        "tokens": sum(map(len, outcome.written["portrait"])),
        "texts": texts, "batch": batch, "rounds": rounds, "threads": threads, "seed": seed,
        "adapter": models.adapter.name if models.adapter else None, "dtype": str(models.dtype).removeprefix("torch."),
        **meter.report(),
    }  # fmt: skip
    wrong = faults(report)
    for fault in wrong:
        console.print(fault, style="red", markup=False)
    print(json.dumps(report))
    raise typer.Exit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
