"""What this machine has and lacks for the local stack, and how to get what is missing."""

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.jars import INSTALL_MAVEN, JAVA_MIN, jars_folder, java_path, java_version
from deploy.local.links import python_library
from deploy.local.ports import free_port
from deploy.local.triton import INSTALL_TRITON, wheel_folder
from schemas.errors import ConfigError
from schemas.settings import Settings

PYTHON_MIN = (3, 11)
PYTHON_BELOW = (3, 13)
DISK_NEEDED_GIB = 2.0
MEMORY_NEEDED_GIB = 4.0
SHM_NEEDED_MIB = 256
CORES_NEEDED = 2
GIB = 1024**3


@dataclass(frozen=True)
class Check:
    """One thing that was looked at. `remedy` is empty when all is well; what is not `needed` is only advice."""

    name: str
    found: str
    remedy: str = ""
    needed: bool = True

    @property
    def failed(self) -> bool:
        """Whether something is missing that the stack cannot do without."""
        return bool(self.remedy) and self.needed


def check_machine(settings: Settings) -> list[Check]:
    """Look at everything that the parts of the stack in use need, Kafka's and Triton's only where they are started here."""
    checks: list[Callable[[], Check]] = [check_python, check_kernel, check_cores, check_memory, lambda: check_disk(settings)]
    if settings.kafka.bootstrap_servers is None:
        checks += [check_java, lambda: check_jars(settings)]
    if settings.triton.grpc_address is None:
        checks += [check_triton, *(package_check(name) for name in ("torch", "transformers", "peft")), check_shared_memory]
        checks += [lambda: check_weights(settings)]
    return [*(check() for check in checks), check_ports()]


def check_python() -> Check:
    """This Python's version."""
    good = PYTHON_MIN <= sys.version_info[:2] < PYTHON_BELOW
    return Check("Python", platform.python_version(), "" if good else "make the environment with Python 3.11 or 3.12")


def check_kernel() -> Check:
    """Linux and its /proc, by which the guards keep track of processes."""
    good = sys.platform == "linux" and Path("/proc/self/stat").exists()
    remedy = "the local stack runs on Linux with /proc mounted; elsewhere set the addresses of a Kafka and a Triton"
    return Check("Kernel", f"{platform.system()} {platform.release()} {platform.machine()}", "" if good else remedy)


def check_cores() -> Check:
    """Cores this process may use."""
    cores = len(os.sched_getaffinity(0))
    return Check("Cores", str(cores), "" if cores >= CORES_NEEDED else f"{CORES_NEEDED} or more are better", needed=False)


def check_memory() -> Check:
    """Memory that is free now."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free_gib = int(fields["MemAvailable"].split()[0]) * 1024 / GIB
    remedy = (
        "" if free_gib >= MEMORY_NEEDED_GIB else f"free {MEMORY_NEEDED_GIB:.0f} GiB: Kafka takes 1, the default models 2 to 3"
    )
    return Check("Memory", f"{free_gib:.1f} GiB free", remedy, needed=False)


def check_disk(settings: Settings) -> Check:
    """Disk space where the project folder is."""
    folder = settings.runtime.folder.absolute()
    while not folder.exists():
        folder = folder.parent
    free_gib = shutil.disk_usage(folder).free / GIB
    remedy = f"free {DISK_NEEDED_GIB:.0f} GiB, or set PORTRAIT_RUNTIME__FOLDER to a folder on another disk"
    return Check("Disk", f"{free_gib:.1f} GiB free in {folder}", "" if free_gib >= DISK_NEEDED_GIB else remedy)


def check_java() -> Check:
    """A Java that can run Kafka."""
    try:
        java = java_path()
        version = java_version(java)
    except ConfigError as error:
        return Check("Java", "not found", str(error))
    return Check("Java", f"{version} at {java}", "" if version >= JAVA_MIN else f"Kafka needs Java {JAVA_MIN} or later")


def check_jars(settings: Settings) -> Check:
    """Kafka's jars, or Maven to fetch them with."""
    folder = jars_folder(settings)
    if folder.is_dir():
        return Check("Kafka", f"jars in {folder}")
    maven = shutil.which("mvn")
    if maven:
        return Check("Kafka", f"jars not downloaded yet; `portrait up` will, with {maven}")
    return Check("Kafka", f"no jars in {folder} and no Maven", INSTALL_MAVEN)


def check_triton() -> Check:
    """The wheel with the server in it."""
    try:
        wheel_folder()
    except ConfigError as error:
        return Check("Triton", "not installed", str(error))
    try:
        python_library()
    except ConfigError as error:
        return Check("Triton", "no shared library of Python", str(error))
    return Check("Triton", f"nvidia-pytriton {importlib.metadata.version('nvidia-pytriton')}")


def package_check(name: str) -> Callable[[], Check]:
    """A check that a package is installed, without importing it."""

    def check() -> Check:
        try:
            return Check(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            return Check(name, "not installed", INSTALL_TRITON)

    return check


def check_shared_memory() -> Check:
    """Room in /dev/shm, through which Triton talks to its models; containers often give 64 MiB."""
    free_mib = shutil.disk_usage("/dev/shm").free / 1024**2
    remedy = f"give /dev/shm {SHM_NEEDED_MIB} MiB or more (containers: --shm-size)"
    return Check("Shared memory", f"{free_mib:.0f} MiB free in /dev/shm", "" if free_mib >= SHM_NEEDED_MIB else remedy)


def check_weights(settings: Settings) -> Check:
    """The weights of the models, or where they would come from; nothing is converted or downloaded now."""
    from deploy.local.weights import prepare

    try:
        folders = prepare(settings, stop_at_work)
    except WorkNeededError as work:
        return Check("Weights", f"`portrait up` will be {work}")
    except ConfigError as error:
        return Check("Weights", "not to be had", str(error))
    return Check("Weights", ", ".join(f"{model} in {folder}" for model, folder in folders.items()))


class WorkNeededError(Exception):
    """Preparing the weights would take work."""


def stop_at_work(doing: str) -> None:
    """A progress callback that ends the preparation of weights where it would begin."""
    raise WorkNeededError(doing)


def check_ports() -> Check:
    """That there are ports to be had on this machine."""
    try:
        return Check("Ports", f"free ones can be had, {free_port()} for one")
    except ConfigError as error:
        return Check("Ports", "none free", str(error))
