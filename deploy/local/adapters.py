"""Which adapter profile_llm's weights are merged with, and the number that tells one set of weights from another."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from schemas.errors import ConfigError
from schemas.settings import ModelSettings

NARRATOR = "builtin:narrator"
NARRATOR_BASE = "builtin:SmolLM2-135M-Instruct"
NARRATOR_FOLDER = Path(__file__).parents[2] / "model_repository" / "profile_llm" / "narrator-lora"
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
SAMPLED_BYTES = 1 << 20
VERSIONS = 10**9


def adapter_folder(models: ModelSettings) -> Path | None:
    """The local folder of the adapter that the settings name; None when there is none.

    `builtin:narrator` was trained on the default model, so it is taken with that one only.

    Raises:
        ConfigError: there is no such adapter.
    """
    source = models.profile_llm_adapter
    if source == NARRATOR:
        fits = models.profile_llm == NARRATOR_BASE and (NARRATOR_FOLDER / ADAPTER_FILES[0]).is_file()
        return NARRATOR_FOLDER if fits else None
    if not source:
        return None
    folder = Path(source).expanduser().resolve()
    if missing := [name for name in ADAPTER_FILES if not (folder / name).is_file()]:
        raise ConfigError(
            f"setting PORTRAIT_MODELS__PROFILE_LLM_ADAPTER={source}: {folder} has no {missing[0]}; name a folder that "
            f"peft saved an adapter in, {NARRATOR}, or nothing"
        )
    return folder


def weights_version(folders: Mapping[str, Path]) -> int:
    """The Triton version of a model with these weights: other weights have, but for a chance of one in 10^9, another.

    Of large files only size, beginning and end are read: enough to tell two trainings apart.
    """
    digest = hashlib.sha256()
    for name, folder in sorted(folders.items()):
        for file in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors"), *folder.glob("*.bin")]):
            digest.update(f"{name}/{file.name}:{file.stat().st_size}".encode())
            with file.open("rb") as opened:
                digest.update(opened.read(SAMPLED_BYTES))
                opened.seek(-min(SAMPLED_BYTES, file.stat().st_size), 2)
                digest.update(opened.read())
    return 1 + int.from_bytes(digest.digest()[:8], "big") % (VERSIONS - 1)
