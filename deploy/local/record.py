"""What is known of the stack of a project folder: a lock held while any of it lives, and a file with its addresses."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from deploy.local.child import is_alive
from schemas.errors import ConfigError
from schemas.settings import Settings

ENDING_WAIT_S = 5.0


class ServiceRecord(BaseModel):
    """A server of the stack. `pid` is None for one that was there before us; `ended` is its exit status once it has ended."""

    model_config = ConfigDict(extra="forbid")

    name: str
    addresses: dict[str, str]
    pid: int | None = None
    log: Path | None = None
    models: list[str] = []
    ended: int | None = None


class StackRecord(BaseModel):
    """A stack that came up: who owns it, and its servers."""

    model_config = ConfigDict(extra="forbid")

    owner_pid: int
    started_at_ms: int
    services: list[ServiceRecord]

    def service(self, name: str) -> ServiceRecord | None:
        """The server of this name."""
        return next((service for service in self.services if service.name == name), None)


def stack_folder(settings: Settings) -> Path:
    """Where the stack of this project keeps data, logs and its record."""
    return settings.runtime.folder.absolute() / "stack"


@contextmanager
def folder_lock(folder: Path) -> Iterator[int]:
    """Hold the lock of a stack folder and yield its file descriptor.

    Every guard keeps the descriptor open as well, so the lock is free only when the last process of the stack has gone.

    Raises:
        ConfigError: a stack of this folder runs already.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        acquire(folder, descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield descriptor
        finally:
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def acquire(folder: Path, descriptor: int) -> None:
    """Take the lock, waiting a moment for the servers of an owner that has just died to end."""
    deadline = time.monotonic() + ENDING_WAIT_S
    while not try_lock(descriptor):
        owner = lock_owner(folder)
        if owner is not None:
            raise ConfigError(
                f"a stack is already running in {folder} (pid {owner}): see `portrait status`, or stop it with `portrait down`"
            )
        if time.monotonic() > deadline:
            raise ConfigError(
                f"the servers of a stack in {folder} whose owner has died are still ending; try again in a moment"
            )
        time.sleep(0.05)


def try_lock(descriptor: int) -> bool:
    """Whether the lock could be taken."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(folder: Path) -> bool:
    """Whether any process of a stack of this folder lives."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor)
    finally:
        os.close(descriptor)


def lock_owner(folder: Path) -> int | None:
    """The pid of the process that owns the folder's stack, or None when that has ended. Only to be trusted while locked."""
    try:
        pid = int((folder / "lock").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return pid if is_alive(pid) else None


def write_record(folder: Path, record: StackRecord) -> None:
    """Replace the record, whole or not at all."""
    fresh = folder / "stack.json.new"
    fresh.write_text(record.model_dump_json(indent=2))
    fresh.replace(folder / "stack.json")


def read_record(folder: Path) -> StackRecord | None:
    """The record of the running stack; None when none runs.

    Raises:
        ConfigError: it cannot be read.
    """
    if not is_locked(folder):
        return None
    try:
        record = StackRecord.model_validate_json((folder / "stack.json").read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise ConfigError(
            f"{folder / 'stack.json'} is not readable ({error.errors()[0]['msg']}): run `portrait down`"
        ) from error
    return record if record.owner_pid == lock_owner(folder) else None


def running_stack(settings: Settings) -> Settings:
    """The settings, with addresses that were not set taken from the running stack of the project folder."""
    record = read_record(stack_folder(settings))
    return settings if record is None else with_addresses(settings, record)


def with_addresses(settings: Settings, record: StackRecord) -> Settings:
    """The settings, with addresses that were not set taken from a record."""
    kafka, triton = record.service("kafka"), record.service("triton")
    update: dict[str, BaseModel] = {}
    if kafka is not None and not settings.kafka.bootstrap_servers:
        update["kafka"] = settings.kafka.model_copy(update={"bootstrap_servers": kafka.addresses["bootstrap"]})
    if triton is not None and not settings.triton.grpc_address:
        update["triton"] = settings.triton.model_copy(update={"grpc_address": triton.addresses["grpc"]})
    return settings.model_copy(update=update)
