"""The log of a training run: for TensorBoard where that is installed, and for Weights & Biases where that is configured."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from schemas.errors import ConfigError

WANDB_PROJECT = "WANDB_PROJECT"


class Board:
    """Notes figures by step in `folder`/RUN-TIME, and on Weights & Biases, which is set up by its own variables (WANDB_…)."""

    def __init__(self, folder: Path, run: str, about: Mapping[str, Any]) -> None:
        """`about` is what the run was made with."""
        name = f"{run}-{int(time.time())}"
        self._writer: Any = None
        self._wandb: Any = None
        if (wandb := weights_and_biases()) is not None:
            folder.mkdir(parents=True, exist_ok=True)
            config = {key: value if isinstance(value, (int, float)) else str(value) for key, value in about.items()}
            self._wandb = wandb.init(name=name, dir=str(folder), config=config)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            return
        self._writer = SummaryWriter(str(folder / name))

    def note(self, step: int, figures: Mapping[str, float], part: str = "training") -> None:
        """Figures of one step of a part of the run."""
        named = {f"{part}/{figure}": value for figure, value in figures.items()}
        if self._writer is not None:
            for name, value in named.items():
                self._writer.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.define_metric(f"{part}/*", step_metric=f"{part}/step")  # W&B's own step only ever rises
            self._wandb.log({**named, f"{part}/step": step})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._wandb is not None:
            self._wandb.finish(exit_code=int(kind is not None))


def weights_and_biases() -> Any:
    """The package of Weights & Biases where WANDB_PROJECT is set, else None; asked for before anything long begins.

    Raises:
        ConfigError: it is configured, and not installed.
    """
    if not os.environ.get(WANDB_PROJECT):
        return None
    try:
        import wandb
    except ImportError:
        raise ConfigError(
            f"{WANDB_PROJECT} is set, but wandb is not installed: install Portrait's `wandb` extra, or unset {WANDB_PROJECT}"
        ) from None
    return wandb
