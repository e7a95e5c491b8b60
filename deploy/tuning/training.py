"""Trains an adapter on pairs: loss on the answer and the token that ends it, batches of like length, checkpoints."""

import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from peft import PeftModel, get_peft_model
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from deploy.tuning.adapters import LEARNING_RATE, Method, adapter_config
from deploy.tuning.pairs import Pair

IGNORED = -100
WARM_UP = 0.05
LAST_LEARNING_RATE = 0.1
SORTED_BATCHES = 64
"""So many batches' pairs are sorted by length together."""


@dataclass(frozen=True)
class Plan:
    """How to train."""

    method: Method = "lora"
    rank: int = 8
    steps: int = 500
    batch: int = 4
    seed: int = 7
    learning_rate: float | None = None
    checkpoint_every: int = 50
    bf16: bool = True
    start_from: Path | None = None


class Step(NamedTuple):
    """What one step showed."""

    number: int
    loss: float
    tokens_per_s: float


class Example(NamedTuple):
    """A pair in tokens; the answer ends with the token that ends a turn."""

    prompt: list[int]
    answer: list[int]


OnStep = Callable[[Step], None]
OnCheckpoint = Callable[[Any, int], None]


def load_base(folder: Path, bf16: bool) -> tuple[Any, Any]:
    """The model that is to be tuned, and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16 if bf16 else torch.float32)
    return model, tokenizer


def train(model: Any, tokenizer: Any, pairs: Sequence[Pair], plan: Plan, on_step: OnStep, on_checkpoint: OnCheckpoint) -> Any:
    """The model with a trained adapter. The base's weights are not touched."""
    torch.manual_seed(plan.seed)
    tuned = _with_adapter(model, plan)
    tuned.train()
    trainable = [weight for weight in tuned.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trainable, lr=plan.learning_rate or LEARNING_RATE[plan.method], weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_share(step, plan.steps))
    examples = [example_of(pair, tokenizer) for pair in pairs]
    batches = batches_of(examples, plan.batch, random.Random(plan.seed))
    for number in range(1, plan.steps + 1):
        batch, begin = next(batches), time.perf_counter()
        loss = answer_loss(tuned, batch, tokenizer.pad_token_id)
        loss.backward()  # type: ignore[no-untyped-call]
        clip_grad_norm_(trainable, 1.0)
        optimizer.step()
        schedule.step()
        if plan.method == "adalora":
            tuned.base_model.update_and_allocate(number)  # reads the gradients
        optimizer.zero_grad()
        tokens = sum(len(example.prompt) + len(example.answer) for example in batch)
        on_step(Step(number, float(loss.detach()), tokens / (time.perf_counter() - begin)))
        if number % plan.checkpoint_every == 0 and number < plan.steps:
            on_checkpoint(tuned, number)
    tuned.eval()
    return tuned


def _with_adapter(model: Any, plan: Plan) -> Any:
    """The model with a new adapter, or with the one to start from."""
    if plan.start_from is not None:
        return PeftModel.from_pretrained(model, plan.start_from, is_trainable=True)
    return get_peft_model(model, adapter_config(plan.method, plan.rank, plan.steps, model.config.num_hidden_layers))


def learning_rate_share(step: int, steps: int) -> float:
    """The share of the full learning rate: it rises over the first steps, then falls as a cosine."""
    warm_up = max(1, int(WARM_UP * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    gone = min(1.0, (step - warm_up) / max(1, steps - warm_up))
    return LAST_LEARNING_RATE + (1 - LAST_LEARNING_RATE) * (1 + math.cos(math.pi * gone)) / 2


def example_of(pair: Pair, tokenizer: Any) -> Example:
    """The pair's tokens; the end of the turn is one to learn, as a model that never saw it goes on for ever."""
    prompt = tokenizer(pair.prompt, add_special_tokens=False)["input_ids"]
    answer = tokenizer(pair.answer, add_special_tokens=False)["input_ids"]
    return Example(prompt, [*answer, tokenizer.eos_token_id])


def batches_of(examples: Sequence[Example], size: int, source: random.Random) -> Iterator[list[Example]]:
    """Batches of examples of like length, for ever, in another order each time round."""
    while True:
        order = source.sample(range(len(examples)), len(examples))
        for start in range(0, len(order), size * SORTED_BATCHES):
            near = sorted(order[start : start + size * SORTED_BATCHES], key=lambda index: sum(map(len, examples[index])))
            groups = [near[at : at + size] for at in range(0, len(near), size)]
            source.shuffle(groups)
            for group in groups:
                yield [examples[index] for index in group]


def answer_loss(model: Any, batch: Sequence[Example], padding: int) -> torch.Tensor:
    """Mean cross entropy over the answers' tokens. Rows end together, so only the last positions' logits are computed."""
    width = max(len(example.prompt) + len(example.answer) for example in batch)
    answered = max(len(example.answer) for example in batch)
    tokens = torch.full((len(batch), width), padding)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    labels = torch.full((len(batch), answered), IGNORED)
    for row, (prompt, answer) in enumerate(batch):
        length = len(prompt) + len(answer)
        tokens[row, width - length :] = torch.tensor([*prompt, *answer])
        mask[row, width - length :] = 1
        labels[row, answered - len(answer) :] = torch.tensor(answer)
    output = model(input_ids=tokens, attention_mask=mask, logits_to_keep=answered + 1, use_cache=False)
    logits = output.logits[:, -answered - 1 : -1]
    return cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def save_adapter(tuned: Any, folder: Path, base: str) -> None:
    """Write adapter_config.json and adapter_model.safetensors (bf16) into `folder`; `base` names what it is an adapter of."""
    config = tuned.peft_config["default"]
    config.base_model_name_or_path = base
    state = {name: weight.to(torch.bfloat16) for name, weight in tuned.state_dict().items()}
    tuned.save_pretrained(folder, state_dict=state, save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)  # PEFT's is an empty form
    path = folder / "adapter_config.json"
    told = json.loads(path.read_text())
    if isinstance(modules := told.get("target_modules"), list):
        told["target_modules"] = sorted(modules)  # PEFT writes a set, in another order each time
    path.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
