"""`portrait tune narrator` on a tiny model made here: it trains, saves, measures and reports. Seconds, as CI runs it."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from typer.testing import CliRunner

from deploy.cli import app
from deploy.tuning.adapters import METHODS, Method
from deploy.tuning.evaluation import evaluate
from deploy.tuning.held_out import shop_cases, worked_example
from deploy.tuning.pairs import make_pairs
from deploy.tuning.training import Plan, Step, batches_of, example_of, learning_rate_share, load_base, save_adapter, train

MARKS = ("<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights: a Llama of one layer that reads bytes."""
    folder = tmp_path_factory.mktemp("tiny")
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(letters)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False, special=True) for mark in MARKS])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=MARKS[1], pad_token=MARKS[1]).save_pretrained(folder)
    torch.manual_seed(1)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(letters) + 2, initializer_range=0.2, num_key_value_heads=2, eos_token_id=len(letters) + 1, **shape
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def run(base: Path, method: Method, steps: int, rate: float | None = None) -> tuple[Any, Any, list[Step], list[int]]:
    model, tokenizer = load_base(base, bf16=False)
    shown: list[Step] = []
    kept: list[int] = []
    plan = Plan(method, rank=4, steps=steps, batch=2, learning_rate=rate, checkpoint_every=2)
    pairs = list(make_pairs(3, 4))
    tuned = train(model, tokenizer, pairs, plan, shown.append, lambda tuned, number: kept.append(number))
    return tuned, tokenizer, shown, kept


@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")  # PEFT's, on reading its own AdaLoRA
@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_and_its_adapter_is_read_back(method: Method, base: Path, tmp_path: Path) -> None:
    tuned, tokenizer, shown, kept = run(base, method, steps=4)
    assert [step.number for step in shown] == [1, 2, 3, 4] and kept == [2]
    assert all(0 < step.loss < 20 and step.tokens_per_s > 0 for step in shown)
    save_adapter(tuned, tmp_path, "tiny")
    assert {path.name for path in tmp_path.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == "tiny"
    again = PeftModel.from_pretrained(load_base(base, bf16=False)[0], tmp_path).eval()
    tokens = torch.tensor([tokenizer("drama")["input_ids"]])
    difference = again(input_ids=tokens).logits - tuned.eval()(input_ids=tokens).logits
    assert float(difference.detach().abs().max()) < 0.05, "bf16 rounds"


def test_it_learns(base: Path) -> None:
    _, _, shown, _ = run(base, "lora", steps=40, rate=3e-2)
    assert sum(step.loss for step in shown[-5:]) < 0.8 * sum(step.loss for step in shown[:5])


def test_the_end_of_the_turn_is_learned_and_like_lengths_go_together(base: Path) -> None:
    _, tokenizer = load_base(base, bf16=False)
    examples = [example_of(pair, tokenizer) for pair in make_pairs(3, 64)]
    assert all(
        example.answer[-1] == tokenizer.eos_token_id and example.answer.count(example.answer[-1]) == 1 for example in examples
    )
    batches = batches_of(examples, 8, random.Random(1))
    first = [next(batches) for _ in range(8)]
    assert sorted(example for batch in first for example in batch) == sorted(examples), "each once a round"
    assert max(max(map(size, batch)) - min(map(size, batch)) for batch in first) < 400


def size(example: tuple[list[int], list[int]]) -> int:
    return len(example[0]) + len(example[1])


def test_the_learning_rate_rises_and_falls() -> None:
    shares = [learning_rate_share(step, 100) for step in range(100)]
    assert shares[0] < shares[4] and max(shares) <= 1 and shares[-1] < 0.11 and shares[5:] == sorted(shares[5:], reverse=True)


def test_a_narrator_that_writes_what_it_is_told_is_worth_everything_and_one_that_does_not_nothing() -> None:
    cases = [*shop_cases(6, seed=1), worked_example("zh")]
    assert {case.request.language for case in cases} == {"en", "zh"}
    assert any(statement.stance == "habit" for case in cases for statement in case.request.statements)
    silent = evaluate(cases, lambda prompts, limits: ["..."] * len(prompts))
    assert all(score.first == score.later == score.by_llm == 0 and score.profiles for score in silent.values())
    rounds = 0

    def right_at_last(prompts: list[str], limits: list[int]) -> list[str]:
        nonlocal rounds
        rounds += 1
        names = [re.split(r"[:：] ?", prompt.split("<|im_end|>")[1])[-1] for prompt in prompts]
        return [written(name) if rounds == 2 else "该用户喜欢茶。" for name in names]

    def written(name: str) -> str:
        return "25岁男性。" if name == "25" else f"曾浏览过{name}。" if name.startswith("商品") else f"该用户对{name}感兴趣。"

    (score,) = evaluate([worked_example("zh")], right_at_last).values()  # type: ignore[arg-type]
    assert (score.profiles, score.first, score.later, score.by_llm) == (1, 0, 1, 2)
    assert score.samples == ["25岁男性，对运动、科技、旅游感兴趣。他曾浏览过商品B、商品C、商品D。"] and len(score.refused) == 7


def test_the_command_ends_with_an_adapter_a_card_and_a_line_of_json(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTRAIT_RUNTIME__FOLDER", str(tmp_path / "state"))
    options = ["--base", str(base), "--steps", "3", "--batch", "2", "--rank", "2", "--profiles", "0"]
    arguments = ["tune", "narrator", *options, "--movielens", str(tmp_path / "absent"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout.strip().splitlines()[-1])
    assert report["report"] == "tune-narrator" and report["steps"] == 3
    assert report["evaluation"]["worked example"]["zh"]["profiles"] == 1 and "movielens-100k is left out" in done.output
    card = (tmp_path / "out" / "README.md").read_text()
    assert "--steps 3 --batch 2 --seed 7" in card and str(tmp_path) not in card
    again = CliRunner().invoke(app, [*arguments, "--evaluate-only"])
    assert again.exit_code == 0 and json.loads(again.stdout.strip().splitlines()[-1])["evaluation"]["worked example"]
    further = CliRunner().invoke(
        app, [*arguments[:-1], str(tmp_path / "more"), "--start-from", str(tmp_path / "out"), "--seed", "8"]
    )
    assert further.exit_code == 0, further.output
    made = json.loads((tmp_path / "more" / "training.json").read_text())["commands"]
    assert len(made) == 2 and "--seed 7" in made[0] and made[1].endswith("--seed 8 --start-from out")
    missing = CliRunner().invoke(app, [*arguments[:-1], str(tmp_path / "nowhere"), "--evaluate-only"])
    assert missing.exit_code == 2


def test_the_methods_are_compared_in_a_table(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTRAIT_RUNTIME__FOLDER", str(tmp_path))
    options = ["--steps", "2", "--batch", "2", "--rank", "2", "--profiles", "0", "--movielens", str(tmp_path / "absent")]
    done = CliRunner().invoke(app, ["tune", "narrator", "--base", str(base), "--compare", *options])
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout.strip().splitlines()[-1])["methods"]
    assert [row["method"] for row in rows] == list(METHODS) and all(row["weights"] > 0 for row in rows)
