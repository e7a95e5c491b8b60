"""user_encoder: history, tags and profile to one unit vector a user. The weights of the fusion are in config.pbtxt.

Environment:
    PORTRAIT_MODELS__DEVICE   auto (default), cpu or cuda

DEMOGRAPHICS are accepted and weigh nothing yet.
"""

import json
import os

import numpy as np
import torch
import triton_python_backend_utils as pb_utils

RATING_NEUTRAL = 3.0
RATING_STEP = 2.0
MAX_RATING_WEIGHT = 10.0  # one absurd rating must not outweigh a history


class Fusion(torch.nn.Module):
    """Mean of the history weighted by type, value and recency, plus tag and profile vectors, at unit length."""

    def __init__(self, parameters: dict[str, str]) -> None:
        super().__init__()
        weights = [0.0, *map(float, parameters["type_weights"].split())]
        self.register_buffer("type_weights", torch.tensor(weights))
        self.rating_type_id = int(parameters["rating_type_id"])
        self.half_life_hours = float(parameters["half_life_hours"])
        self.history_weight = float(parameters["history_weight"])
        self.tag_weight = float(parameters["tag_weight"])
        self.profile_weight = float(parameters["profile_weight"])

    def event_weights(self, types: torch.Tensor, ages: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        """[n, L]: what each event says, negative for dislike, fading with age; 0 for padding."""
        stars = ((values - RATING_NEUTRAL) * RATING_STEP).clamp(-MAX_RATING_WEIGHT, MAX_RATING_WEIGHT)
        rated = (types == self.rating_type_id) & ~values.isnan()
        weights = torch.where(rated, stars, self.type_weights[types])
        return weights * torch.exp2(-ages.clamp(min=0) / self.half_life_hours)

    def forward(self, vectors, types, ages, values, tag, profile) -> torch.Tensor:
        vectors = vectors.float()
        # An item without a vector must not dilute the others. No square of a float16 is too small for float32, and the norm
        # takes a seventh of the time of `any`.
        known = torch.linalg.vector_norm(vectors, dim=-1) != 0
        weights = self.event_weights(types, ages, values) * known
        total = weights.abs().sum(dim=1, keepdim=True).clamp(min=1e-12)
        history = torch.bmm((weights / total).unsqueeze(1), vectors).squeeze(1)
        fused = self.history_weight * history + self.tag_weight * tag + self.profile_weight * profile
        return torch.nn.functional.normalize(fused, dim=1)  # zeros stay zeros


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        wanted = os.environ.get("PORTRAIT_MODELS__DEVICE", "auto")
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(wanted)
        if wanted == "cpu":
            torch.set_num_threads(1)  # a memory-bound sum gains nothing from more
        self.fusion = Fusion({key: value["string_value"] for key, value in config["parameters"].items()}).to(self.device)
        types, numbers, vectors = torch.zeros(8, 50).int(), torch.zeros(8, 50), torch.zeros(8, 384)
        self.encode([torch.zeros(8, 50, 384).half(), types, numbers, numbers, vectors, vectors])

    def execute(self, requests: list) -> list:
        """One response a request; a request with wrong input gets an error, the others their vectors."""
        return [self.respond(request) for request in requests]

    def respond(self, request: "pb_utils.InferenceRequest") -> "pb_utils.InferenceResponse":
        try:
            vectors = self.encode(self.read(request))
        except ValueError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
        return pb_utils.InferenceResponse([pb_utils.Tensor("USER_VECTOR", vectors)])

    def read(self, request: "pb_utils.InferenceRequest") -> list[torch.Tensor]:
        """The input tensors in the order of `Fusion.forward`; ValueError when they do not fit together."""
        names = ("HISTORY_VECTORS", "HISTORY_TYPES", "HISTORY_AGES", "HISTORY_VALUES", "TAG_VECTOR", "PROFILE_VECTOR")
        arrays = [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in names]
        vectors, types = arrays[:2]
        for name, array in zip(names[1:4], arrays[1:4], strict=True):
            if array.shape != vectors.shape[:2]:
                raise ValueError(f"user_encoder: {name} is {array.shape}, HISTORY_VECTORS asks for {vectors.shape[:2]}")
        last = len(self.fusion.type_weights) - 1
        if types.size and (types.min() < 0 or types.max() > last):
            raise ValueError(f"user_encoder: HISTORY_TYPES must be in 0..{last}, found {types.min()}..{types.max()}")
        return [torch.from_numpy(array) for array in arrays]

    @torch.inference_mode()
    def encode(self, inputs: list[torch.Tensor]) -> np.ndarray:
        """Unit vectors, float32 [n, d]; ValueError when an input holds NaN or infinity where none is allowed."""
        vectors = self.fusion(*(tensor.to(self.device) for tensor in inputs)).cpu()
        if not vectors.isfinite().all():
            raise ValueError("user_encoder: the vectors and HISTORY_AGES must be finite numbers")
        return vectors.numpy()
