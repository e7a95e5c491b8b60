"""The models of model_repository in this process: the code that Triton runs, without the server between."""

import hashlib
import importlib
import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from consumers.encoded_users import EncodedUsers, NextItems
from deploy.local.adapters import adapter_folder, weights_version
from deploy.local.weights import Progress, weights_folder
from schemas.settings import Settings
from schemas.tensors import EMBEDDING_DIM, USER_ENCODER

REPOSITORY = Path(__file__).parents[2] / "model_repository"
PARAMETER = re.compile(r'key:\s*"(\w+)"\s*value\s*:?\s*\{\s*string_value:\s*"([^"]*)"')
Floats = npt.NDArray[np.float32]


OnText = Callable[[int, str], None]


class ModelError(Exception):
    """What a model's code raises in place of Triton's error."""


class TextEncoder:
    """text_encoder: texts to unit vectors, by its own `encode`. What it knows is kept in a file for the next run."""

    def __init__(self, settings: Settings, progress: Progress) -> None:
        folder = weights_folder("text_encoder", settings.models.text_encoder, progress)
        os.environ["PORTRAIT_WEIGHTS__TEXT_ENCODER"] = str(folder)
        self._model = _model_of("text_encoder").TritonPythonModel()
        config = json.dumps({"output": [{"dims": [EMBEDDING_DIM]}]})
        self._model.initialize({"model_config": config})
        self._most = int(_model_of("text_encoder").MAX_CHARACTERS)
        weights = weights_version({"text_encoder": folder})
        self._file = settings.runtime.folder / "eval" / f"vectors-{weights}.npz"
        self._known = _read_vectors(self._file)

    def keep(self) -> None:
        """Write what is known to the file, whole or not at all."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        part = self._file.with_suffix(f".{os.getpid()}.npz")
        np.savez(part, keys=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))
        part.replace(self._file)

    def encode(self, texts: Sequence[str]) -> Floats:
        """Unit vectors, [n, d], in the order of the texts; a text met before is not encoded again."""
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest() for text in texts]
        new = {key: text[: self._most] for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._model.encode(list(new.values())), strict=True))
        return np.stack([self._known[key] for key in keys]) if keys else np.zeros((0, EMBEDDING_DIM), np.float32)


class UserEncoder:
    """user_encoder: features to user vectors, with the weights of its config.pbtxt, or as the artefact in `folder` learned."""

    def __init__(self, folder: Path = REPOSITORY / "user_encoder" / "1") -> None:
        text = (REPOSITORY / "user_encoder" / "config.pbtxt").read_text()
        parameters = {name: {"string_value": value} for name, value in PARAMETER.findall(text)}
        self._model = _model_of("user_encoder").TritonPythonModel()
        config = json.dumps({"parameters": parameters})
        place = {"model_repository": str(folder.parent), "model_version": folder.name}
        self._model.initialize({"model_config": config, **place})

    @property
    def ranker(self) -> str:
        """The ranker that was trained with it, as JSON; empty for the plain one."""
        return str(self._model.ranker)

    def encode(self, features: Mapping[str, npt.NDArray[Any]]) -> EncodedUsers:
        """What it says of users, of the tensors that `user_features` makes."""
        import torch

        inputs = [torch.from_numpy(features[tensor.name]) for tensor in USER_ENCODER.inputs]
        vectors, numbers, scores = self._model.encode(inputs)
        return EncodedUsers(vectors, NextItems(numbers, scores))


class LanguageModel:
    """profile_llm: prompts to texts by its own `TextGenerator`, rows joining and leaving a full batch."""

    def __init__(self, settings: Settings, threads: int, progress: Progress) -> None:
        self._settings, self._threads = settings, threads
        self._folder = weights_folder("profile_llm", settings.models.profile_llm, progress)
        self.adapter = adapter_folder(settings.models)
        folders = {"profile_llm": self._folder} | ({"profile_llm_adapter": self.adapter} if self.adapter else {})
        self.version = weights_version(folders)
        self.tokens = 0

    def write(self, asked: Sequence[Mapping[str, Any]], on_text: OnText) -> None:
        """Write every text, the longest first, so that the batch stays full to the end.

        Each is a `prompt` and the arguments of `generation.Row`; `on_text` is told its place and words when it is finished.
        """
        rows = []
        for place, one in enumerate(asked):
            sampling = {name: value for name, value in one.items() if name != "prompt"}
            finished = partial(_tell, on_text, place)
            rows.append(self._row(self._generator.tokenize(one["prompt"]), on_finished=finished, **sampling))
        self._generator.generate(sorted(rows, key=lambda row: -int(row.max_tokens)))
        self.tokens += sum(len(row.tokens) for row in rows)

    @property
    def _row(self) -> Any:
        return _beside("profile_llm", "generation").Row

    @cached_property
    def _generator(self) -> Any:
        """Loaded when the first text is to be written."""
        import torch

        torch.set_num_threads(self._threads)
        wanted = self._settings.models.device
        device = torch.device(wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
        dtype = _model_of("text_encoder").fast_dtype(device)  # profile_llm's own rule is the same
        most, adapter = self._settings.models.llm_max_batch, str(self.adapter) if self.adapter else None
        return _beside("profile_llm", "generation").TextGenerator(str(self._folder), device, dtype, most, adapter)


def _tell(on_text: OnText, place: int, row: Any) -> None:
    on_text(place, row.text)


def _read_vectors(file: Path) -> dict[str, Floats]:
    """Vectors by the hash of their text; none where there is no file."""
    if not file.is_file():
        return {}
    stored = np.load(file)
    return dict(zip(stored["keys"].tolist(), stored["vectors"], strict=True))


def _beside(model: str, module: str) -> ModuleType:
    """A module that lies beside a model's model.py, imported as the model imports it."""
    folder = str(REPOSITORY / model / "1")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(module)


def _model_of(model: str) -> ModuleType:
    """A model's model.py. What Triton's Python backend offers it is not there; only errors of it are needed here."""
    name = f"portrait_model_{model}"
    if name in sys.modules:
        return sys.modules[name]
    stub = ModuleType("triton_python_backend_utils")
    stub.TritonError = stub.TritonModelException = ModelError  # type: ignore[attr-defined]
    sys.modules.setdefault("triton_python_backend_utils", stub)
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / model / "1" / "model.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
