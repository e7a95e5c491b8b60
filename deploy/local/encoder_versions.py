"""Versions of the learned user_encoder: where they are kept, which one is served, and how another takes its place.

    .portrait/models/user_encoder/2/    model.py, encoder.pt2, ranker.json, tensors.txt, README.md, training.json
    .portrait/models/user_encoder/active    the number of the version that is served; 1, the plain one, where there is no file

A folder of a version can be dropped into any Triton repository as it is.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.links import MODEL_REPOSITORY
from schemas.errors import ConfigError
from schemas.settings import Settings
from schemas.tensors import USER_ENCODER

PLAIN = 1
RECORD = "training.json"
TENSORS = "tensors.txt"
ACTIVE, PREVIOUS = "active", "previous"


@dataclass(frozen=True)
class EncoderVersions:
    """The versions of a project folder."""

    folder: Path

    @classmethod
    def of(cls, settings: Settings) -> "EncoderVersions":
        """Those that the settings name, or of this project."""
        return cls((settings.models.user_encoders or settings.runtime.folder / "models" / USER_ENCODER.name).absolute())

    @property
    def learned(self) -> list[int]:
        """Numbers of the learned versions, ascending."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdigit() and path.is_dir())

    @property
    def active(self) -> int:
        """The number of the version to serve.

        Raises:
            ConfigError: its folder has gone.
        """
        return self._noted(ACTIVE)

    @property
    def previous(self) -> int:
        """The one served before."""
        return self._noted(PREVIOUS)

    def path(self, version: int) -> Path:
        """Where a version lies.

        Raises:
            ConfigError: there is no such version; the message names those there are.
        """
        path = MODEL_REPOSITORY / USER_ENCODER.name / "1" if version == PLAIN else self.folder / str(version)
        if not path.is_dir():
            known = ", ".join(map(str, [PLAIN, *self.learned]))
            raise ConfigError(f"user_encoder has no version {version}; there are {known} (1 is the plain one)")
        return path

    def servable(self, version: int) -> Path:
        """As `path`, of a version that can be served.

        Raises:
            ConfigError: there is no such version, or it was made for other tensors than are sent and read now.
        """
        path = self.path(version)
        made_for = (path / TENSORS).read_text().splitlines() if (path / TENSORS).is_file() else []
        if version != PLAIN and made_for != tensors():
            raise ConfigError(
                f"user_encoder {version} was trained for other tensors than are in use now: make another with "
                f"`portrait train`, or serve the plain one with `portrait models activate {PLAIN}`"
            )
        return path

    def record(self, version: int) -> dict[str, Any]:
        """What was noted when it was trained; nothing for the plain one."""
        file = self.path(version) / RECORD
        return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}

    @contextmanager
    def being_made(self) -> Iterator[tuple[int, Path]]:
        """The next version's number, and a folder to fill: it becomes the version at the end, or nothing at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix="part-", dir=self.folder))
        try:
            version = max([PLAIN, *self.learned]) + 1
            yield version, part
            shutil.copy(MODEL_REPOSITORY / USER_ENCODER.name / "1" / "model.py", part / "model.py")
            (part / TENSORS).write_text("\n".join(tensors()) + "\n")
            part.chmod(0o755)
            part.rename(self.folder / str(version))
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise

    def note_active(self, version: int) -> None:
        """From now on this one is served."""
        self.servable(version)
        self.folder.mkdir(parents=True, exist_ok=True)
        if version != self.active:
            self._note(PREVIOUS, self.active)
        self._note(ACTIVE, version)

    def _noted(self, name: str) -> int:
        file = self.folder / name
        try:
            version = int(file.read_text()) if file.is_file() else PLAIN
        except ValueError:
            raise ConfigError(f"{file} does not hold a version's number; choose one with `portrait models activate`") from None
        return version

    def _note(self, name: str, version: int) -> None:
        part = self.folder / f"{name}.{os.getpid()}"
        part.write_text(f"{version}\n")
        part.replace(self.folder / name)


def tensors() -> list[str]:
    """The tensors of user_encoder in their order, each with its type and shape."""
    return [" ".join([one.name, one.datatype, *map(str, one.shape)]) for one in (*USER_ENCODER.inputs, *USER_ENCODER.outputs)]
