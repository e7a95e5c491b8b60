"""Each model folder against the contracts: tensors, queue limits, fusion weights, environment, imports. Needs no server."""

import ast
import json
import re
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from consumers.inference import Sampling
from consumers.statements.feedback import RATING_NEUTRAL, RATING_STEP
from deploy.local.adapters import NARRATOR_FOLDER
from deploy.local.triton import MODEL_REPOSITORY, server_environment
from schemas.messages import EVENT_TYPES
from schemas.settings import ProfilerSettings, Settings
from schemas.tensors import MODELS, PROFILE_LLM, TEXT_ENCODER, USER_ENCODER, ModelContract, Tensor

VLLM = MODEL_REPOSITORY.parent / "deploy" / "vllm"
OURS = {"schemas", "producers", "consumers", "deploy"}
every_model = pytest.mark.parametrize("contract", MODELS, ids=lambda contract: contract.name)


def read_config(contract: ModelContract, repository: Path = MODEL_REPOSITORY) -> model_config_pb2.ModelConfig:
    text = (repository / contract.name / "config.pbtxt").read_text()
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def sources(contract: ModelContract) -> list[Path]:
    return sorted((MODEL_REPOSITORY / contract.name / "1").glob("*.py"))


def as_tensor(configured: model_config_pb2.ModelInput) -> Tensor:
    datatype = model_config_pb2.DataType.Name(configured.data_type).removeprefix("TYPE_").replace("STRING", "BYTES")
    return Tensor(configured.name, datatype, tuple(configured.dims), getattr(configured, "optional", False))


def test_every_model_folder_has_a_contract() -> None:
    assert {path.parent.name for path in MODEL_REPOSITORY.glob("*/config.pbtxt")} == {contract.name for contract in MODELS}


@every_model
def test_tensors_agree(contract: ModelContract) -> None:
    config = read_config(contract)
    assert config.name == contract.name
    assert [as_tensor(tensor) for tensor in config.input] == list(contract.inputs)
    assert [as_tensor(tensor) for tensor in config.output] == list(contract.outputs)
    assert (config.max_batch_size > 0) == contract.batched


def test_the_vllm_folder_has_the_same_tensors() -> None:
    config = read_config(PROFILE_LLM, VLLM)
    assert (config.name, config.backend, config.max_batch_size) == (PROFILE_LLM.name, "vllm", 0)
    assert config.model_transaction_policy.decoupled
    assert [as_tensor(tensor) for tensor in config.input] == list(PROFILE_LLM.inputs)
    assert [as_tensor(tensor) for tensor in config.output] == list(PROFILE_LLM.outputs)


def test_the_vllm_folder_names_model_type_and_adapter() -> None:
    """The backend fails to load when LoRA is on and multi_lora.json is not there."""
    version = VLLM / PROFILE_LLM.name / "1"
    engine = json.loads((version / "model.json").read_text())
    assert engine["model"].endswith(Settings().models.profile_llm.removeprefix("builtin:"))
    assert engine["dtype"] == "bfloat16"
    assert engine["enable_lora"] is True
    (folder,) = json.loads((version / "multi_lora.json").read_text()).values()
    assert folder.endswith(f"{PROFILE_LLM.name}/{NARRATOR_FOLDER.name}")


def test_the_client_asks_in_words_that_vllm_knows() -> None:
    """Of `SamplingParams`, and `lora_name`, which Triton's backend takes out of them."""
    asked = json.loads(Sampling(max_tokens=5, seed=3, stop=("x",), priority=4).as_json("narrator"))
    assert asked == {"max_tokens": 5, "temperature": 0.0, "top_p": 1.0, "stop": ["x"], "seed": 3, "lora_name": "narrator"}
    assert "lora_name" not in json.loads(Sampling().as_json())


@every_model
def test_queues_are_bounded(contract: ModelContract) -> None:
    config = read_config(contract)
    if contract is PROFILE_LLM:  # its queue is its own
        assert int(config.parameters["max_waiting"].string_value) > 0
        assert float(config.parameters["max_wait_s"].string_value) > 0
        assert float(config.parameters["output_cache_mb"].string_value) < 1024
    elif contract is USER_ENCODER:  # two calls of each worker at most, those given up left out
        assert not config.HasField("dynamic_batching")
        assert "is_cancelled" in sources(contract)[0].read_text()
    else:
        policy = config.dynamic_batching.default_queue_policy
        assert policy.max_queue_size > 0
        assert not policy.default_timeout_microseconds and not policy.allow_timeout_override  # see config.pbtxt


@pytest.mark.parametrize("contract", [TEXT_ENCODER, USER_ENCODER], ids=lambda contract: contract.name)
def test_a_full_call_of_the_client_fits(contract: ModelContract) -> None:
    assert read_config(contract).max_batch_size >= Settings().triton.max_batch


def test_fusion_weighs_events_as_the_fold_does() -> None:
    parameters = {name: value.string_value for name, value in read_config(USER_ENCODER).parameters.items()}
    weights = [float(weight) for weight in parameters["type_weights"].split()]
    assert dict(zip(EVENT_TYPES, weights, strict=True)) == Settings().fold.type_weights
    assert int(parameters["rating_type_id"]) == 1 + EVENT_TYPES.index("rating")
    assert float(parameters["half_life_hours"]) == ProfilerSettings().half_life_h


def test_fusion_weighs_ratings_as_the_fold_does() -> None:
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(sources(USER_ENCODER)[0].read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id != "INPUTS"
    }
    assert (constants["RATING_NEUTRAL"], constants["RATING_STEP"]) == (RATING_NEUTRAL, RATING_STEP)


def test_user_encoder_knows_the_contract() -> None:
    constants = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(sources(USER_ENCODER)[0].read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id != "INPUTS"
    }
    names = [tensor.name for tensor in USER_ENCODER.inputs]
    assert ["ITEM_VECTORS", *constants["HISTORY"], *constants["ALONE"]] == names
    assert constants["LAST_TYPE"] == len(EVENT_TYPES)


@every_model
def test_models_import_none_of_us(contract: ModelContract) -> None:
    for path in sources(contract):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not OURS & {alias.name.split(".")[0] for alias in node.names}, path
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in OURS, path


@every_model
def test_the_launcher_sets_what_a_model_reads(contract: ModelContract) -> None:
    weights = {name: Path("weights") for name in ("text_encoder", "profile_llm", "profile_llm_adapter")}
    given = server_environment(Path("a/b/c"), Path("lib"), Settings(), weights)
    read = {name for path in sources(contract) for name in re.findall(r"PORTRAIT_\w+", path.read_text())}
    assert read, "each model reads at least the device"
    assert read <= given.keys()
