"""Starts and stops the supervisor: what `portrait up` and `portrait down` do."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel

from deploy.local.child import GRACE_S, is_alive, tail
from deploy.local.progress import Report
from deploy.local.record import StackRecord, is_locked, lock_owner, read_record
from deploy.local.stack import ALL_MODELS, Ports
from deploy.local.triton import MODEL_REPOSITORY
from schemas.errors import ConfigError


class Plan(BaseModel):
    """Which servers the supervisor is to own, on which ports, with which models."""

    kafka: bool = True
    triton: bool = True
    ports: Ports = Ports()
    repository: Path = MODEL_REPOSITORY
    models: tuple[str, ...] = ALL_MODELS


@contextmanager
def launched(folder: Path, plan: Plan, report: Report) -> Iterator[StackRecord]:
    """Start a supervisor and yield its record once all servers are ready; it stays when the block ends well.

    When the block raises, or this process ends before the block does, everything started is stopped again.

    Raises:
        ConfigError: the stack did not come up, for the reason given.
    """
    log = folder / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stderr:
        supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", "deploy.local.supervisor", plan.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
    assert supervisor.stdin is not None and supervisor.stdout is not None
    try:
        follow(supervisor.stdout, report, log)
        record = read_record(folder)
        if record is None:
            raise ConfigError(f"the stack came up and ended at once; see {log}")
        yield record
        try:
            supervisor.stdin.write("stay\n")
            supervisor.stdin.flush()
        except BrokenPipeError as error:
            raise ConfigError(f"the stack came up and ended at once; see {log}") from error
    except BaseException:
        with contextlib.suppress(BrokenPipeError):
            supervisor.stdin.close()  # the end of its stdin is its word to stop
        supervisor.wait()
        raise
    finally:
        supervisor.stdout.close()


def follow(lines: Iterable[str], report: Report, log: Path) -> None:
    """Pass on a supervisor's progress until it is ready.

    Raises:
        ConfigError: it could not start the stack.
    """
    for line in lines:
        message = json.loads(line)
        if "error" in message:
            raise ConfigError(message["error"])
        if "ready" in message:
            return
        report(message["service"], message["doing"])
    raise ConfigError(f"the supervisor ended while starting; {log} ends:\n{tail(log, 12)}")


def stop_stack(folder: Path, forced: Callable[[], None]) -> bool:
    """Stop the stack of a folder and wait until the last of its processes has gone; False when none was running.

    `forced` is called when its owner does not end by itself and is killed (its guards then end the servers).

    Raises:
        ConfigError: it would not end.
    """
    if not is_locked(folder):
        return False
    owner = lock_owner(folder)
    if owner is not None:
        signal_process(owner, signal.SIGTERM)
    if not wait_ended(folder, owner, GRACE_S + 10) and owner is not None:
        forced()
        signal_process(owner, signal.SIGKILL)
    if not wait_ended(folder, owner, 10):
        raise ConfigError(f"the stack in {folder} does not end; its log is {folder / 'logs' / 'supervisor.log'}")
    return True


def signal_process(pid: int, number: signal.Signals) -> None:
    """Send a signal; a process that has ended meanwhile is as good."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
    except PermissionError as error:
        raise ConfigError(f"the stack belongs to another user's process {pid}: stop it as that user") from error


def wait_ended(folder: Path, owner: int | None, timeout_s: float) -> bool:
    """Whether the owner and the last process of a stack have gone within the time."""
    deadline = time.monotonic() + timeout_s
    while is_locked(folder) or (owner is not None and is_alive(owner)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
