"""user_encoder: history, tags, profile and demographics to one unit vector a user, and to the items that come next.

Version 1 is a plain fusion, whose weights are in config.pbtxt; it expects no item. In a later version's folder lie
encoder.pt2, the network that `portrait train` exported, and ranker.json, the ranker trained with it.

Environment:
    PORTRAIT_MODELS__DEVICE   auto (default), cpu or cuda
"""

import ctypes
import json
import os
from pathlib import Path

import numpy as np
import torch
import triton_python_backend_utils as pb_utils
from torch.export.passes import move_to_device_pass

RATING_NEUTRAL = 3.0
RATING_STEP = 2.0
MAX_RATING_WEIGHT = 10.0  # one absurd rating must not outweigh a history
HISTORY = ("HISTORY_PLACES", "HISTORY_ITEMS", "HISTORY_TYPES", "HISTORY_AGES", "HISTORY_VALUES")
ALONE = ("TAG_VECTOR", "PROFILE_VECTOR", "DEMOGRAPHICS")
INPUTS = ("ITEM_VECTORS", *HISTORY, *ALONE)
LAST_TYPE = 16
NEXT_ITEMS, NEXT_SCORES = 160, 9
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # mallopt's names for them
KEPT_BYTES, MOST_AT_ONCE_BYTES = 512 * 2**20, 32 * 2**20


def keep_freed_memory() -> None:
    """Have glibc keep what one batch frees for the next: fetched anew, its pages cost a quarter of a batch's time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, MOST_AT_ONCE_BYTES)
        mallopt(TRIM_THRESHOLD, KEPT_BYTES)


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

    def forward(self, vectors, places, items, types, ages, values, tag, profile, demographics):
        """As the exported network: vectors [n, d], and no items."""
        vectors = torch.nn.functional.pad(vectors.flatten(0, 1).float(), (0, 0, 1, 0))
        known = (vectors != 0).any(dim=-1)[places]  # an item without a vector must not dilute the others
        weights = self.event_weights(types, ages, values) * known
        total = weights.abs().sum(dim=1, keepdim=True).clamp(min=1e-12)
        history = torch.nn.functional.embedding_bag(places, vectors, per_sample_weights=weights / total, mode="sum")
        fused = self.history_weight * history + self.tag_weight * tag + self.profile_weight * profile
        none = torch.zeros(len(fused), NEXT_ITEMS, NEXT_SCORES, device=fused.device)
        return torch.nn.functional.normalize(fused, dim=1), none[:, :, 0].long(), none  # zeros stay zeros


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        wanted = os.environ.get("PORTRAIT_MODELS__DEVICE", "auto")
        if wanted == "auto":
            wanted = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = torch.device(wanted)
        if wanted == "cpu":
            torch.set_num_threads(1)  # a memory-bound sum gains nothing from more
            keep_freed_memory()
        folder = Path(args["model_repository"]) / args["model_version"]
        exported = folder / "encoder.pt2"
        self.ranker = (folder / "ranker.json").read_text() if exported.exists() else ""
        if exported.exists():
            program = move_to_device_pass(torch.export.load(exported), str(self.device))  # masks it makes go there too
            self.network = program.module()
        else:
            parameters = json.loads(args["model_config"])["parameters"]
            self.network = Fusion({key: value["string_value"] for key, value in parameters.items()}).to(self.device)
        types, numbers, vectors = torch.zeros(8, 50).int(), torch.zeros(8, 50), torch.zeros(8, 384)
        halves = torch.zeros(8, 40, 384).half()
        self.encode([halves, types, types.long(), types, numbers, numbers, vectors, vectors, torch.zeros(8, 4)])

    def execute(self, requests: list) -> list:
        """One response a request; a request with wrong input gets an error, the others their vectors."""
        return [self.respond(request) for request in requests]

    def respond(self, request: "pb_utils.InferenceRequest") -> "pb_utils.InferenceResponse":
        if request.is_cancelled():  # its caller waits no longer: time spent on it would be taken from those who do
            return pb_utils.InferenceResponse(error=pb_utils.TritonError("cancelled", pb_utils.TritonError.CANCELLED))
        asked = request.requested_output_names()
        try:
            inputs = self.read(request)
            if "RANKER" in asked:
                return pb_utils.InferenceResponse([pb_utils.Tensor("RANKER", self.rankers(len(inputs[0])))])
            answers = zip(("USER_VECTOR", "NEXT_ITEMS", "NEXT_SCORES"), self.encode(inputs), strict=True)
        except ValueError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG))
        return pb_utils.InferenceResponse([pb_utils.Tensor(name, array) for name, array in answers if name in asked])

    def rankers(self, users: int) -> np.ndarray:
        """The same one for each user of the request."""
        return np.array([[self.ranker.encode()]] * users, dtype=object)

    def read(self, request: "pb_utils.InferenceRequest") -> list[torch.Tensor]:
        """The input tensors in the order of INPUTS; ValueError when they do not fit together."""
        arrays = [pb_utils.get_input_tensor_by_name(request, name).as_numpy() for name in INPUTS]
        vectors, places = arrays[:2]
        for name, array in zip(HISTORY, arrays[1:6], strict=True):
            if array.shape != places.shape:
                raise ValueError(f"user_encoder: {name} is {array.shape}, HISTORY_PLACES asks for {places.shape}")
        for name, array, most in (
            ("HISTORY_PLACES", places, vectors.shape[0] * vectors.shape[1]),
            ("HISTORY_TYPES", arrays[3], LAST_TYPE),
        ):
            if array.size and (array.min() < 0 or array.max() > most):
                raise ValueError(f"user_encoder: {name} must be in 0..{most}, found {array.min()}..{array.max()}")
        for name, array in (("HISTORY_AGES", arrays[4]), *zip(ALONE, arrays[6:], strict=True)):
            if not np.isfinite(array).all():
                raise ValueError(f"user_encoder: {name} must hold finite numbers")
        return [torch.from_numpy(array) for array in arrays]

    @torch.inference_mode()
    def encode(self, inputs: list[torch.Tensor]) -> list[np.ndarray]:
        """Unit vectors float32 [n, d], and what comes next; ValueError when an item's vector is NaN or infinite."""
        vectors, items, scores = self.network(*(tensor.to(self.device) for tensor in inputs))
        if not vectors.isfinite().all():
            raise ValueError("user_encoder: ITEM_VECTORS must hold finite numbers")
        return [answer.cpu().numpy() for answer in (vectors, items, scores)]
