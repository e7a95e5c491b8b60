"""An adapter is merged into profile_llm's weights when they are loaded, or stops the start with one sentence."""

import sys
from pathlib import Path
from typing import Any

import pytest

from consumers.inference import InferenceClient, Sampling
from deploy.local.stack import local_stack
from deploy.local.weights import weights_folder
from schemas.errors import ConfigError
from schemas.settings import ModelSettings
from tests.conftest import fresh_settings

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
sys.path.insert(0, str(Path(__file__).parents[2] / "model_repository" / "profile_llm" / "1"))
adapter = pytest.importorskip("adapter")
generation = pytest.importorskip("generation")

BASE = "builtin:SmolLM2-135M-Instruct"
PROMPT = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n"
TOKENS = 12


def load_plain(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def tiny_model() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=64, num_hidden_layers=1, **sizes))


def save_adapter(model: Any, folder: Path, config: Any) -> Path:
    peft.get_peft_model(model, config).save_pretrained(folder)
    return folder


def lora(**options: Any) -> Any:
    torch.manual_seed(5)
    return peft.LoraConfig(
        task_type="CAUSAL_LM", r=8, lora_alpha=128, target_modules="all-linear", init_lora_weights=False, **options
    )


@pytest.fixture(scope="module")
def base() -> Path:
    return weights_folder("profile_llm", BASE, print)


@pytest.fixture(scope="module")
def trained(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random adapter of the default model: what it makes it write is no sentence, but always the same."""
    return save_adapter(load_plain(base), tmp_path_factory.mktemp("trained"), lora())


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of a model with other sizes."""
    return save_adapter(tiny_model(), tmp_path_factory.mktemp("foreign"), lora())


def test_merged_weights_compute_what_peft_computes_beside_them(base: Path, trained: Path) -> None:
    tokens = torch.tensor([[5, 90, 1000, 17, 333]])
    beside = peft.PeftModel.from_pretrained(load_plain(base), trained)
    merged = adapter.merge_adapter(load_plain(base), str(trained))
    with torch.inference_mode():
        expected, plain, found = (model(tokens).logits for model in (beside, load_plain(base), merged))
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert (found - expected).abs().max() < 0.01
    assert (found - plain).abs().max() > 1


def test_an_adapter_of_another_base_model_is_refused(base: Path, foreign: Path, trained: Path) -> None:
    with pytest.raises(ValueError, match=r"another base model: .* of that one has size 32, of this one 1536"):
        adapter.merge_adapter(load_plain(base), str(foreign))
    with pytest.raises(ValueError, match=r"another base model: .*layers\.1\."):
        adapter.merge_adapter(tiny_model(), str(only_layer(trained, 1)))


def only_layer(trained: Path, layer: int) -> Path:
    """The adapter with the weights of one of its layers."""
    from safetensors.torch import load_file, save_file

    folder = trained.with_name("layer")
    folder.mkdir()
    (folder / "adapter_config.json").write_bytes((trained / "adapter_config.json").read_bytes())
    weights = load_file(trained / "adapter_model.safetensors")
    kept = {name: weight for name, weight in weights.items() if f"layers.{layer}." in name}
    save_file(kept, folder / "adapter_model.safetensors")
    return folder


def test_an_adapter_that_cannot_be_merged_is_refused(base: Path, tmp_path: Path) -> None:
    prefix = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    with pytest.raises(ValueError, match="PREFIX_TUNING, which cannot be merged"):
        adapter.merge_adapter(load_plain(base), str(save_adapter(load_plain(base), tmp_path, prefix)))


def served(folder: Path, profile_llm_adapter: str) -> tuple[str, str]:
    """What profile_llm with an adapter writes, and the version it says it is."""
    settings = fresh_settings()
    models = ModelSettings(profile_llm_adapter=profile_llm_adapter)
    settings = settings.model_copy(update={"models": models})
    with local_stack(folder, settings, kafka=False, models=("profile_llm",)) as stack:
        client = InferenceClient(stack.settings.triton)
        loaded = client.model_version("profile_llm")
        text = client.generate(PROMPT, Sampling(max_tokens=TOKENS)).result(60).text
        assert client.model_version("profile_llm") == loaded  # the answer's own word
        client.close()
    return text, loaded


def test_triton_serves_the_adapter_under_a_version_of_its_own(needs_triton: None, trained: Path, tmp_path: Path) -> None:
    plain, plain_version = served(tmp_path, "")
    adapted, adapted_version = served(tmp_path, str(trained))  # in the same folder, with the links of the start before
    assert "Paris" in plain
    assert "Paris" not in adapted
    assert plain_version != adapted_version


def test_an_adapter_of_another_base_model_stops_the_start_with_one_sentence(
    needs_triton: None, foreign: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"could not load model profile_llm: .*trained for another base model") as raised:
        served(tmp_path, str(foreign))
    assert "\n" not in str(raised.value)
