"""profile_llm's generator against plain transformers, on the same weights: what it saves must not change the texts."""

import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.local.weights import weights_folder

torch = pytest.importorskip("torch")
sys.path.insert(0, str(Path(__file__).parents[2] / "model_repository" / "profile_llm" / "1"))
generation = pytest.importorskip("generation")
graphed_generation = pytest.importorskip("graphed_generation")
GENERATORS = [generation.TextGenerator, graphed_generation.GraphedGenerator]  # on a CPU the second runs what a GPU records
NEW_TOKENS = 14
NOISE = 0.4  # of bf16 in SmolLM2's logits, which are about 20


def chat(*turns: str) -> str:
    """A prompt of user and assistant turns, the answer still to come."""
    roles = ["user", "assistant"] * len(turns)
    spoken = [f"<|im_start|>{role}\n{turn}<|im_end|>\n" for role, turn in zip(roles, turns, strict=False)]
    return "".join(spoken) + "<|im_start|>assistant\n"


JAZZ = ("age: 41; likes: jazz", "This user is 41 and likes jazz.")
PROMPTS = [
    chat(*JAZZ, "age: 25; likes: sports, travel"),
    chat(*JAZZ, "age: 63; likes: a very long list of things, such as opera, chess, tea, cycling, gardening and films"),
    chat(*JAZZ * 6, "age: 25; likes: sports, travel"),
    chat(*JAZZ * 6, "age: 30; likes: tea"),
    chat("Name a colour.", "Blue.", "Name an animal."),
    chat("What is the capital of France?"),
    "The capital of Italy is",
]


@pytest.fixture(scope="module")
def folder() -> str:
    return str(weights_folder("profile_llm", "builtin:SmolLM2-135M-Instruct", print))


@pytest.fixture(scope="module")
def tiny_folder(folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small random model with the default one's tokenizer: arithmetic that takes no time."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(3)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    sizes = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 6, "num_key_value_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), num_hidden_layers=3, initializer_range=0.3, eos_token_id=2, **sizes)
    made = tmp_path_factory.mktemp("tiny")
    LlamaForCausalLM(config).save_pretrained(made)
    tokenizer.save_pretrained(made)
    return str(made)


@pytest.fixture(scope="module", params=GENERATORS)
def generator(folder: str, request: pytest.FixtureRequest) -> Any:
    return request.param(folder, torch.device("cpu"), torch.float32, max_rows=3)


@pytest.fixture(scope="module")
def plain(folder: str) -> Any:
    return plain_model(folder, torch.float32)


def plain_model(folder: str, dtype: Any) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="sdpa").eval()


def rows_of(generator: Any, prompts: list[str], **sampling: Any) -> list[Any]:
    return [generation.Row(generator.tokenize(prompt), **({"max_tokens": NEW_TOKENS} | sampling)) for prompt in prompts]


def written_by(model: Any, prompt: list[int], end_tokens: set[int], max_tokens: int = NEW_TOKENS) -> list[int]:
    tokens = torch.tensor([prompt])
    mask = torch.ones_like(tokens)
    output = model.generate(tokens, attention_mask=mask, max_new_tokens=max_tokens, do_sample=False, pad_token_id=0)
    return [token for token in output[0, len(prompt) :].tolist() if token not in end_tokens]


@pytest.mark.timeout(900)  # all of it is arithmetic of a model that others may share the cores with
def test_texts_are_those_of_plain_generate(generator: Any, plain: Any) -> None:
    """More rows than places: they join and leave at different times, with long, short and no prefixes, shared or not."""
    ends = generator.end_tokens
    expected = [written_by(plain, row.prompt, ends) for row in rows_of(generator, PROMPTS)]
    for _ in range(2):  # prefixes are new, then known
        rows = rows_of(generator, PROMPTS)
        generator.generate(rows)
        assert [row.tokens for row in rows] == expected
    assert not generator.rows
    own = {bool(generator.prefixes.match(row.prompt).own_tokens) for row in rows[:4]}
    assert own == ({True, False} if type(generator) is generation.TextGenerator else {True})


@pytest.mark.parametrize("kind", GENERATORS)
def test_rows_that_join_a_half_full_batch_write_at_once_what_they_write_alone(kind: Any, tiny_folder: str) -> None:
    """Half of 32 places are taken; then one row joins at each step, with a long, a short or no prefix."""
    tiny = kind(tiny_folder, torch.device("cpu"), torch.float32, max_rows=32)
    plain = plain_model(tiny_folder, torch.float32)
    prompts = [f"{PROMPTS[number % len(PROMPTS)]} {number}" for number in range(30)]
    first, joining = rows_of(tiny, prompts[:16], max_tokens=25), rows_of(tiny, prompts[16:])
    for row in first:
        tiny.start(row)
    for row in joining:
        tiny.start(row)
        tiny.step()
        assert len(row.tokens) == 1 or row.finish_reason
    tiny.generate([])
    for row in [*first, *joining]:
        assert row.tokens == written_by(plain, row.prompt, tiny.end_tokens, row.max_tokens)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_recorded_passes_that_take_turns_do_not_write_over_each_others_logits(tiny_folder: str) -> None:
    """At most steps some rows write on and others begin: two graphs, whose memory is shared, before tokens are chosen."""
    prompts = [f"{PROMPTS[number % len(PROMPTS)]} {number}" for number in range(96)]
    written = []
    for kind, device in zip(GENERATORS, ("cpu", "cuda"), strict=True):
        tiny = kind(tiny_folder, torch.device(device), torch.float32, max_rows=32)
        rows = [row for number in (24, 10, 17) for row in rows_of(tiny, prompts[number:], max_tokens=number)]
        tiny.generate(rows)
        written.append([row.tokens for row in rows])
    assert written[0] == written[1]


def test_a_row_joins_at_the_next_step(generator: Any) -> None:
    alone = rows_of(generator, PROMPTS[:2])
    for row in alone:
        generator.generate([row])
    first, second = rows_of(generator, PROMPTS[:2])
    generator.start(first)
    for _ in range(3):
        generator.step()
    generator.start(second)
    generator.step()
    assert (len(first.tokens), len(second.tokens)) == (4, 1)
    generator.generate([])
    assert [first.tokens, second.tokens] == [row.tokens for row in alone]


def test_a_failed_step_leaves_the_generator_usable(generator: Any) -> None:
    good, bad = rows_of(generator, PROMPTS[:2])
    bad.prompt.append(10**9)
    generator.start(good)
    generator.start(bad)
    with pytest.raises(IndexError):
        generator.step()
    assert generator.abandon() == [good, bad]
    generator.generate([good])
    assert "25" in good.text


def test_packed_bf16_chooses_what_plain_bf16_finds_likeliest(folder: str) -> None:
    """Along each text, no token's logit in plain transformers is further below the highest than bf16's noise."""
    packed = generation.TextGenerator(folder, torch.device("cpu"), torch.bfloat16)
    model = plain_model(folder, torch.bfloat16)
    rows = rows_of(packed, PROMPTS)
    packed.generate(rows)
    for row in rows:
        with torch.inference_mode():
            logits = model(torch.tensor([row.prompt + row.tokens])).logits[0, len(row.prompt) - 1 : -1].float()
        lost = logits.max(-1).values - logits[torch.arange(len(row.tokens)), torch.tensor(row.tokens)]
        assert len(row.tokens) > 1
        assert lost.max() < NOISE


@pytest.mark.parametrize(
    ("text", "stop", "shown"),
    [
        ("He likes tea", (), "He likes tea"),
        ("他喜欢\ufffd\ufffd", (), "他喜欢"),  # half a character
        ("He likes tea\n", ("\n\n",), "He likes tea"),
        ("He likes <e", ("<end>", "es <en"), "He lik"),
        ("He likes <x", ("<end>", "es <en"), "He likes <x"),
    ],
)
def test_only_what_will_stay_is_shown(text: str, stop: tuple[str, ...], shown: str) -> None:
    assert generation.settled(text, stop) == shown


def test_what_is_shown_only_grows_into_the_text(generator: Any) -> None:
    shown: list[str] = []
    (row,) = rows_of(generator, [chat("一 二 三 四 五 六")], stop=("there is no such text",))
    row.on_text = lambda row: shown.append(row.text)
    generator.generate([row])
    assert len(shown) > 3
    assert all(later.startswith(earlier) for earlier, later in zip(shown, [*shown[1:], row.text], strict=True))
