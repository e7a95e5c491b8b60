"""Folders of links that Triton is started on: its backend, this Python's library, and the models with their versions."""

import shutil
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from schemas.errors import ConfigError

MODEL_REPOSITORY = Path(__file__).parents[2] / "model_repository"


def link_backends(wheel: Path, folder: Path) -> Path:
    """A backend folder with the Python backend and this Python's stub, linked from the wheel.

    Raises:
        ConfigError: the wheel has no stub for this version of Python.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = wheel / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.exists():
        known = ", ".join(sorted(path.name for path in stub.parents[1].iterdir()))
        raise ConfigError(f"nvidia-pytriton has no Python backend for Python {version}; it has {known}")
    backend = folder / "python"
    backend.mkdir(parents=True, exist_ok=True)
    for source in [*(wheel / "backends" / "python").iterdir(), stub]:
        link(backend / source.name, source)
    return folder


def python_library() -> Path:
    """This Python's shared library, which runs the models.

    Raises:
        ConfigError: it has none.
    """
    name = str(sysconfig.get_config_var("INSTSONAME"))
    places = [Path(str(sysconfig.get_config_var("LIBDIR"))), Path(sys.base_prefix) / "lib"]
    library = next((place / name for place in places if ".so" in name and (place / name).exists()), None)
    if library is None:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ConfigError(
            f"Triton's models need the shared library of Python, and {sys.executable} has none in {places[0]}; install it "
            f"(Debian: `apt-get install libpython{version}`), or make the environment with a Python built with --enable-shared"
        )
    return library


def link_python_library(folder: Path) -> Path:
    """A folder with nothing in it but this Python's shared library.

    Left alone the stub takes any of the same minor version, such as the system's, beside the standard library of this one; two
    patch releases mixed fail at `import ssl`.

    Raises:
        ConfigError: this Python has no shared library.
    """
    library = python_library()
    folder.mkdir(parents=True, exist_ok=True)
    link(folder / library.name, library)
    return folder


@dataclass(frozen=True)
class ModelVersion:
    """A version of a model: the number that Triton names with every answer, and the folder that it is in."""

    number: int
    folder: Path


def link_models(repository: Path, models: Sequence[str], versions: Mapping[str, ModelVersion], folder: Path) -> Path:
    """A repository of links to these models of another, each with the one version in `versions`, or its version 1.

    Triton names that number with every answer, so a profile says which weights wrote it.
    """
    for model in models:
        shutil.rmtree(folder / model, ignore_errors=True)  # the links of the start before, perhaps to other versions
        (folder / model).mkdir(parents=True)
        link(folder / model / "config.pbtxt", repository / model / "config.pbtxt")
        link_version(folder / model, versions.get(model, ModelVersion(1, repository / model / "1")))
    return folder


def link_version(model: Path, version: ModelVersion) -> None:
    """Make this the one version in a model's folder of links."""
    for old in model.iterdir():
        if old.name.isdigit():
            old.unlink()
    link(model / str(version.number), version.folder)


def link(name: Path, target: Path) -> None:
    """Make a symbolic link, in place of an older one."""
    name.unlink(missing_ok=True)
    name.symlink_to(target)
