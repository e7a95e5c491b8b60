"""Merges a trained adapter into the weights it was trained for, so that it costs nothing while texts are written."""

import os
from collections.abc import Mapping

from peft import LoraConfig, PeftConfig, PeftModel
from safetensors import safe_open
from torch import nn

WEIGHTS = "adapter_model.safetensors"
BASE_PREFIX = "base_model.model."
OUTER_AXIS = {
    "A": 1,
    "B": 0,
}  # of lora_A [rank, in] and lora_B [out, rank]: the axis that the layer's weight [out, in] has too


def merge_adapter(model: nn.Module, folder: str) -> nn.Module:
    """The model with the adapter in `folder` added to its weights.

    Raises:
        ValueError: the adapter is of a kind that is not added to weights, or was trained for another base model.
    """
    config = PeftConfig.from_pretrained(folder)
    if not isinstance(config, LoraConfig):
        raise ValueError(
            f"the adapter in {folder} is of type {config.peft_type.value}, which cannot be merged; train a LoRA one"
        )
    with safe_open(os.path.join(folder, WEIGHTS), "pt") as tensors:
        check_fits(model, {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}, folder)  # noqa: SIM118
    return PeftModel.from_pretrained(model, folder).merge_and_unload()


def check_fits(model: nn.Module, shapes: Mapping[str, tuple[int, ...]], folder: str) -> None:
    """ValueError unless the model has every layer that the adapter changes, in the adapter's sizes."""
    for name, shape in shapes.items():
        layer, is_lora, part = name.removeprefix(BASE_PREFIX).partition(".lora_")
        if not is_lora or part[:1] not in OUTER_AXIS:
            continue
        other = f"the adapter in {folder} was trained for another base model"
        try:
            weight = model.get_submodule(layer).weight
        except AttributeError:
            raise ValueError(f"{other}: this one has no {layer}") from None
        axis = OUTER_AXIS[part[:1]]
        if shape[axis] != weight.shape[axis]:
            raise ValueError(f"{other}: {layer} of that one has size {shape[axis]}, of this one {weight.shape[axis]}")
