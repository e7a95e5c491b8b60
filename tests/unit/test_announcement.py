"""One process has a name in a folder; its word of where it serves is nobody else's to change."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from consumers.runtime.announcement import ENDPOINTS_FOLDER
from consumers.runtime.health import Health
from schemas.errors import ConfigError
from schemas.settings import RuntimeSettings

OTHER_PROCESS = """
import signal
from pathlib import Path
from consumers.runtime.health import Health
from schemas.settings import RuntimeSettings
Health(RuntimeSettings(folder=Path({folder!r})), "fold").start()
print("started", flush=True)
signal.pause()
"""


def word(folder: Path) -> dict | None:
    path = folder / ENDPOINTS_FOLDER / "fold-0.json"
    return json.loads(path.read_text()) if path.exists() else None


def test_a_second_worker_of_a_name_is_refused_and_the_first_ones_word_stays(tmp_path: Path) -> None:
    first, second = (Health(RuntimeSettings(folder=tmp_path), "fold") for _ in range(2))
    first.start()
    told = word(tmp_path)
    with pytest.raises(ConfigError, match=rf"already running .*process {os.getpid()}.*PORTRAIT_RUNTIME__REPLICA"):
        second.start()
    second.stop()
    assert told is not None and word(tmp_path) == told
    first.stop()
    assert word(tmp_path) is None
    second.start()
    second.stop()


def test_others_of_the_role_and_other_roles_are_not_refused(tmp_path: Path) -> None:
    workers = [
        Health(RuntimeSettings(folder=tmp_path, replica=replica), role) for replica in "01" for role in ("fold", "judge")
    ]
    for worker in workers:
        worker.start()
    assert len(list((tmp_path / ENDPOINTS_FOLDER).glob("*.json"))) == 4
    for worker in workers:
        worker.stop()


def test_a_name_is_free_once_its_process_was_killed(tmp_path: Path) -> None:
    code = OTHER_PROCESS.format(folder=str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"started\n"
        health = Health(RuntimeSettings(folder=tmp_path), "fold")
        with pytest.raises(ConfigError, match=f"process {other.pid}"):
            health.start()
        other.send_signal(signal.SIGKILL)
    assert (left := word(tmp_path)) is not None and left["pid"] == other.pid
    health.start()
    assert (now := word(tmp_path)) is not None and now["pid"] == os.getpid()
    health.stop()


def test_a_worker_that_finds_its_port_taken_gives_the_name_free(tmp_path: Path) -> None:
    first = Health(RuntimeSettings(folder=tmp_path, replica="first"), "fold")
    first.start()
    port = int(json.loads((tmp_path / ENDPOINTS_FOLDER / "fold-first.json").read_text())["url"].rpartition(":")[2])
    with pytest.raises(ConfigError, match="HTTP_PORT"):
        Health(RuntimeSettings(folder=tmp_path, http_port=port), "fold").start()
    again = Health(RuntimeSettings(folder=tmp_path), "fold")
    again.start()
    again.stop()
    first.stop()
