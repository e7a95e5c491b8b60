"""The guard on processes that do not want to end."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local import child as child_module
from deploy.local.child import Children
from schemas.errors import ConfigError
from tests.stack.process_table import assert_no_process, await_true, processes

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
RUNAWAY = "import os, time; os.fork() or (os.setsid(), os.fork() or time.sleep(600)); print('away', flush=True)"


def test_what_ignores_the_request_to_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "GRACE_S", 0.5)
    stubborn = Children().start([sys.executable, "-c", STUBBORN], {}, tmp_path / "log")
    assert await_true(lambda: "deaf" in stubborn.last_lines())
    began = time.monotonic()
    stubborn.stop()
    assert stubborn.returncode == 128 + 9 and time.monotonic() - began < 5


def test_what_left_its_parent_and_session_is_ended_too(tmp_path: Path) -> None:
    runaway = Children().start([sys.executable, "-c", RUNAWAY, str(tmp_path)], {}, tmp_path / "log")
    assert runaway.wait(10) == 0
    assert "away" in runaway.last_lines()
    assert_no_process(tmp_path, 0)


def test_owner_killed_ends_the_command(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from deploy.local.child import Children
Children().start(["sleep", "600"], {{"MARK": {str(tmp_path)!r}}}, Path({str(tmp_path / "log")!r}))
print("started", flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "started\n"
        assert len(processes(tmp_path)) >= 2
        owner.kill()
    assert_no_process(tmp_path)


def test_closed_children_start_no_more(tmp_path: Path) -> None:
    children = Children()
    sleeper = children.start(["sleep", "600"], {}, tmp_path / "log")
    children.close()
    assert sleeper.returncode is not None
    with pytest.raises(ConfigError, match="being stopped"):
        children.start(["sleep", "600"], {}, tmp_path / "log")
