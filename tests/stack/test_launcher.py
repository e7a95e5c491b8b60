"""`portrait up` and `down`: what is left of them, whoever dies when. Nothing here is simulated but the models."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.launch import stop_stack
from deploy.local.record import is_locked, read_record, running_stack
from schemas.settings import Settings, load_settings
from tests.stack.process_table import assert_no_process, await_true, pids_of, processes, shared_memory_of

pytestmark = pytest.mark.usefixtures("needs_java", "needs_triton")
PORTRAIT = str(Path(sys.executable).with_name("portrait"))
LAUNCH = [sys.executable, str(Path(__file__).with_name("launch_echo.py"))]
SERVERS = ("controller.properties", "broker.properties", "bin/tritonserver", "triton_python_backend_stub")


def portrait(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PORTRAIT, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def launch(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*LAUNCH, str(folder / "stack")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def launch_and_wait(folder: Path) -> None:
    output, errors = launch(folder).communicate(timeout=120)
    assert "all ready" in output, errors


def test_up_status_refusal_ending_and_down(folder: Path) -> None:
    launch_and_wait(folder)
    assert all(len(pids_of(folder, name)) == 1 for name in SERVERS), processes(folder)

    found = portrait("status", "--json")
    servers = {server["name"]: server for server in json.loads(found.stdout)["servers"]}
    assert found.returncode == 0 and servers["kafka"]["up"] and servers["triton"]["up"]
    assert servers["triton"]["models"] == ["echo version 1 READY"]
    assert servers["kafka"]["pid"] == pids_of(folder, "broker.properties")[0]
    assert running_stack(load_settings()).kafka.bootstrap_servers == servers["kafka"]["addresses"]["bootstrap"]

    again = portrait("up")
    assert again.returncode == 2 and "already running" in again.stderr and "Traceback" not in again.stderr

    os.kill(servers["kafka"]["pid"], signal.SIGKILL)
    assert await_true(lambda: ended(folder, "kafka"), 5)
    after = portrait("status")
    assert after.returncode == 1 and "killed by signal 9" in " ".join(after.stdout.split())

    assert portrait("down").stdout.strip() == "stopped"
    assert_no_process(folder, 0)
    assert not is_locked(folder / "stack")
    assert portrait("down").returncode == 0


def ended(folder: Path, name: str) -> bool:
    record = read_record(folder / "stack")
    service = record.service(name) if record else None
    return service is not None and service.ended is not None


def test_supervisor_killed_leaves_nothing_and_can_be_started_at_once(folder: Path) -> None:
    launch_and_wait(folder)
    record = read_record(folder / "stack")
    assert record is not None and shared_memory_of(record.owner_pid)
    os.kill(record.owner_pid, signal.SIGKILL)
    again = portrait("up", "--no-triton")  # waits for the guards to end what is left
    assert again.returncode == 0, again.stderr
    assert not pids_of(folder, "tritonserver") and not pids_of(folder, "triton_python_backend_stub")
    assert not shared_memory_of(record.owner_pid)
    assert stop_stack(folder / "stack", lambda: None)
    assert_no_process(folder, 0)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)])
def test_launcher_ended_while_starting_leaves_nothing(folder: Path, number: signal.Signals, status: int) -> None:
    launcher = subprocess.Popen([PORTRAIT, "up", "--no-triton"], stdout=subprocess.DEVNULL)
    assert await_true(lambda: pids_of(folder, "broker.properties"))
    launcher.send_signal(number)
    assert launcher.wait(30) == status
    assert_no_process(folder)
    assert not is_locked(folder / "stack")


def test_launcher_killed_while_triton_loads_leaves_nothing(folder: Path) -> None:
    with launch(folder) as launcher:
        assert await_true(lambda: all(pids_of(folder, name) for name in SERVERS))
        launcher.kill()
    assert_no_process(folder)


def test_settings_without_a_stack_stay_as_they_are(folder: Path) -> None:
    settings = Settings()
    assert running_stack(settings) == settings
