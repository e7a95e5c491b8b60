"""A Triton Inference Server of our own, from the nvidia-pytriton wheel, on the repository's models."""

import importlib.util
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from deploy.local import triton_http
from deploy.local.child import Child, Children
from deploy.local.encoder_versions import EncoderVersions
from deploy.local.links import MODEL_REPOSITORY as MODEL_REPOSITORY
from deploy.local.links import ModelVersion, link_backends, link_models, link_python_library
from deploy.local.progress import Report, silent
from deploy.local.record import ServiceRecord
from schemas.errors import ConfigError, Retryable
from schemas.settings import Settings
from schemas.tensors import PROFILE_LLM, USER_ENCODER

READY_TIMEOUT_S = 60.0
LOAD_TIMEOUT_S = 300.0
EXIT_TIMEOUT_S = 5
INSTALL_TRITON = (
    "install the serving extra (`pip install 'portrait[serving]'`), or set PORTRAIT_TRITON__GRPC_ADDRESS to a server"
)


@dataclass(frozen=True)
class TritonPorts:
    """The three ports of a server, all on 127.0.0.1."""

    http: int
    grpc: int
    metrics: int


@dataclass(frozen=True)
class ModelRepository:
    """A model repository, and the models of it to serve."""

    folder: Path
    models: Sequence[str]


class TritonServer:
    """A server on fixed ports that serves models of a repository; it can be stopped and started again.

    Models are loaded by name (explicit control), so that one that fails is named, and versions can change without a restart.
    """

    name = "triton"

    def __init__(
        self, folder: Path, settings: Settings, ports: TritonPorts, repository: ModelRepository, log: Path, children: Children
    ) -> None:
        self.folder = folder.absolute()
        self.log = log
        self.child: Child | None = None
        self.http_address = f"127.0.0.1:{ports.http}"
        self.grpc_address = f"127.0.0.1:{ports.grpc}"
        self.metrics_address = f"127.0.0.1:{ports.metrics}"
        self._settings = settings
        self._ports = ports
        self._repository = repository
        self._children = children

    def start(self, report: Report = silent) -> None:
        """Start the server and return when it and all models are ready.

        Raises:
            ConfigError: the wheel or weights are missing, or the server or a model did not come up; the message says which
                model, and has the last log lines.
        """
        wheel = wheel_folder()
        backends = link_backends(wheel, self.folder / "backends")
        libraries = link_python_library(self.folder / "libs")
        weights = self._weights(report)
        env = server_environment(wheel, libraries, self._settings, weights)
        command = self._command(wheel, backends, self._linked_models(weights))
        report(self.name, "starting the server")
        self.child = self._children.start(command, env, self.log, self._shm_prefix)
        with ThreadPoolExecutor(max_workers=max(1, len(self._repository.models))) as pool:
            try:
                self._wait_live(self.child)
                self._load_models(self.child, pool, report)
            except BaseException:
                self.child.stop()  # before the pool waits for its calls: they end with the server
                raise
        report(self.name, f"ready on {self.grpc_address} (gRPC) with {', '.join(self._repository.models)}")

    def stop(self) -> None:
        """Shut the server down in good order."""
        if self.child is not None:
            self.child.stop()

    def kill(self) -> None:
        """kill -9, as a crash would; the models' processes go as well."""
        if self.child is not None:
            self.child.kill()

    def record(self) -> ServiceRecord:
        """The server as others may know it."""
        return ServiceRecord(
            name=self.name,
            addresses={"grpc": self.grpc_address, "http": self.http_address, "metrics": self.metrics_address},
            pid=self.child and self.child.pid,
            log=self.log,
            models=list(self._repository.models),
            ended=self.child and self.child.returncode,
        )

    def _weights(self, report: Report) -> dict[str, Path]:
        """The weight folders of the models, prepared when they are not yet."""
        from deploy.local.weights import prepare

        if self._repository.folder != MODEL_REPOSITORY:
            return {}
        return prepare(self._settings, lambda doing: report(self.name, doing))

    def _linked_models(self, weights: Mapping[str, Path]) -> Path:
        """The repository to serve: its version of profile_llm tells which weights and adapter it has, that of user_encoder
        is the one in use."""
        from deploy.local.adapters import weights_version

        if self._repository.folder != MODEL_REPOSITORY:
            return self._repository.folder
        of_llm = {name: folder for name, folder in weights.items() if name.startswith(PROFILE_LLM.name)}
        learned = EncoderVersions.of(self._settings)
        versions = {USER_ENCODER.name: ModelVersion(learned.active, learned.servable(learned.active))}
        if of_llm:
            folder = MODEL_REPOSITORY / PROFILE_LLM.name / "1"
            versions[PROFILE_LLM.name] = ModelVersion(weights_version(of_llm), folder)
        return link_models(self._repository.folder, self._repository.models, versions, self.folder / "models")

    @property
    def _shm_prefix(self) -> str:
        return f"portrait_{os.getpid()}_{self._ports.grpc}_"

    def _command(self, wheel: Path, backends: Path, models: Path) -> list[str]:
        flags = {
            "model-repository": models,
            "backend-directory": backends,
            "model-control-mode": "explicit",
            "backend-config": f"python,shm-region-prefix-name={self._shm_prefix}",
            "http-address": "127.0.0.1",
            "http-port": self._ports.http,
            "http-thread-count": 2,
            "grpc-address": "127.0.0.1",
            "grpc-port": self._ports.grpc,
            "metrics-address": "127.0.0.1",
            "metrics-port": self._ports.metrics,
            "metrics-config": "summary_latencies=true",
            "exit-timeout-secs": EXIT_TIMEOUT_S,
        }
        # every config.pbtxt is complete, and completing it would import each model.py (and torch) once more
        return [
            str(wheel / "bin" / "tritonserver"),
            "--disable-auto-complete-config",
            *(f"--{name}={value}" for name, value in flags.items()),
        ]

    def _wait_live(self, child: Child) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not triton_http.is_live(self.http_address):
            if child.returncode is not None:
                raise ConfigError(self._failure(child, f"ended with status {child.returncode} while starting"))
            if time.monotonic() > deadline:
                raise ConfigError(self._failure(child, f"was not ready after {READY_TIMEOUT_S:.0f} s"))
            time.sleep(0.05)

    def _load_models(self, child: Child, pool: ThreadPoolExecutor, report: Report) -> None:
        """Load all models side by side: each spends most of its time importing and reading."""
        loads = {
            pool.submit(triton_http.load_model, self.http_address, name, LOAD_TIMEOUT_S): name
            for name in self._repository.models
        }
        waiting = dict.fromkeys(self._repository.models)
        report(self.name, f"loading {', '.join(waiting)}")
        for load in as_completed(loads):
            name = loads[load]
            try:
                load.result()
            except Retryable as error:
                if child.returncode is not None:
                    raise ConfigError(self._failure(child, f"ended with status {child.returncode} loading {name}")) from error
                why = str(error).partition("\n")[0]
                raise ConfigError(
                    f"Triton could not load model {name}: {why}; the whole traceback is in {self.log}"
                ) from error
            del waiting[name]
            report(self.name, f"{name} is ready" + (f"; loading {', '.join(waiting)}" if waiting else ""))

    def _failure(self, child: Child, what: str) -> str:
        return f"Triton {what}; {self.log} ends:\n{child.last_lines()}"


def wheel_folder() -> Path:
    """The server's folder inside the installed nvidia-pytriton.

    Raises:
        ConfigError: it is not installed.
    """
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"Triton is not installed: {INSTALL_TRITON}")
    return Path(spec.submodule_search_locations[0]) / "tritonserver"


def server_environment(wheel: Path, python: Path, settings: Settings, weights: Mapping[str, Path]) -> dict[str, str]:
    """What the server and its models see: the wheel's libraries, this Python, and the model settings."""
    libraries = [str(wheel.parents[1] / "nvidia_pytriton.libs"), str(python), os.environ.get("LD_LIBRARY_PATH", "")]
    model_settings = {f"PORTRAIT_MODELS__{name.upper()}": str(value) for name, value in settings.models.model_dump().items()}
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PORTRAIT_")}  # no Kafka passwords
    return {
        "OMP_NUM_THREADS": "1",  # each model has its own process: more threads only take the cores from one another
        "TOKENIZERS_PARALLELISM": "false",
        **inherited,
        **model_settings,
        **{f"PORTRAIT_WEIGHTS__{name.upper()}": str(path) for name, path in weights.items()},
        "LD_LIBRARY_PATH": os.pathsep.join(filter(None, libraries)),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
    }
