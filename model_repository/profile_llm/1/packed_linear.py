"""bf16 matrix products on the CPU with weights laid out for the matrix unit once, not again for every token."""

import torch
from torch import nn

EXPECTED_ROWS = 32  # the layout depends a little on it


class PackedLinear(nn.Module):
    """The same product as nn.Linear; its weight can no longer be read."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), EXPECTED_ROWS)
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(inputs, self.packed, self.bias, "none", [], "")


def pack_linears(model: nn.Module) -> None:
    """Pack a model's linear modules where it pays: bf16 on a CPU. An output layer that is one with the input's is copied."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and fits(child.weight):
                setattr(module, name, PackedLinear(child))


def fits(weight: torch.Tensor) -> bool:
    wanted = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    return wanted and torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
