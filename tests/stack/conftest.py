from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.launch import stop_stack
from tests.stack.process_table import assert_no_process


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project folder that commands started by the test take as theirs. Afterwards no process of it may live."""
    monkeypatch.setenv("PORTRAIT_RUNTIME__FOLDER", str(tmp_path))
    yield tmp_path
    forgotten = stop_stack(tmp_path / "stack", lambda: None)
    assert_no_process(tmp_path, 5)
    assert not forgotten, "the test left a stack running"
