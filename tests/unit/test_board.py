"""The log of a training run, read back as its tools read it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from deploy.board import WANDB_PROJECT, Board
from schemas.errors import ConfigError

RUN = """
import sys
from pathlib import Path
from deploy.board import Board
with Board(Path(sys.argv[1]), "lora", {"seed": 7, "start_from": None}) as board:
    board.note(1, {"loss": 0.5})
    board.note(2, {"loss": 0.25})
    board.note(1, {"loss": 0.125}, "second window")
"""


def test_figures_are_there_by_part_and_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WANDB_PROJECT, raising=False)
    with Board(tmp_path, "lora", {}) as board:
        board.note(1, {"loss": 0.5})
        board.note(2, {"loss": 0.25})
        board.note(1, {"loss": 0.125}, "second window")
    [run] = tmp_path.iterdir()
    read = EventAccumulator(str(run)).Reload()
    assert [(one.step, one.value) for one in read.Scalars("training/loss")] == [(1, 0.5), (2, 0.25)]
    assert [one.value for one in read.Scalars("second window/loss")] == [0.125]


def test_weights_and_biases_gets_them_too_where_it_is_configured(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="the extra `wandb` is not installed")
    environment = {**os.environ, WANDB_PROJECT: "portrait", "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tmp_path)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    [log] = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    written = log.read_bytes()
    assert b"training/loss" in written and b"second window/step" in written


def test_what_is_configured_and_not_installed_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WANDB_PROJECT, "portrait")
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match="wandb is not installed"):
        Board(tmp_path, "lora", {})
