"""The log of a training run for TensorBoard, where that is installed."""

import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Board:
    """Notes figures by step; does nothing without tensorboard."""

    def __init__(self, folder: Path, version: int) -> None:
        self._writer: Any = None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(str(folder / f"user_encoder-{version}-{int(time.time())}"))

    def note(self, name: str, step: int, figures: Mapping[str, float]) -> None:
        """Figures of one step of what has this name."""
        if self._writer is not None:
            for figure, value in figures.items():
                self._writer.add_scalar(f"{name}/{figure}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()
