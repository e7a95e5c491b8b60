"""Peers from their own packages, run in the peers' environment by a process: implicit's ALS, RecTools' SASRec and eSASRec."""

import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deploy.recs.contender import HERE, OnDone, Params, code_version
from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.peers.cold import WarmOnly
from deploy.recs.recommender import Recommender
from deploy.recs.split import Split
from schemas.errors import PortraitError

WORKER = HERE / "peer_process" / "worker.py"
IMPORTS = {"als": "implicit", "sasrec": "rectools.models", "esasrec": "rectools.models.nn.transformers.ligr"}
FILES = ("peers/outside.py", "peer_process/worker.py", "peers/cold.py", "matrices.py")
LIMIT_S = 900.0
ERROR_CHARS = 300


@dataclass(frozen=True)
class Ready:
    """Scores that a process has computed for the users it was asked about."""

    asked: Ints
    of_asked: Floats

    def fit(self, train: Interactions) -> None:
        """It has been."""

    def scores(self, users: Ints) -> Floats:
        """Looked up."""
        return np.array(self.of_asked[np.searchsorted(self.asked, users)], dtype=np.float32)


@dataclass
class OutsidePeer:
    """One peer; `grid` are its settings, for a transformer with the `epochs` after which it is judged."""

    name: str
    grid: Sequence[Params]
    python: Path
    threads: int = 1
    keep: Path | None = None
    random: bool = True
    _import_error: list[str] = field(default_factory=list)

    def missing(self) -> str | None:
        """It needs the peers' environment with its package in it."""
        if not self.python.exists():
            return f"no {self.python}: `make eval-recs-peers` installs the peers' environment"
        if not self._import_error:
            tried = subprocess.run([self.python, "-I", "-c", f"import {IMPORTS[self.name]}"], capture_output=True, text=True)
            self._import_error.append(tried.stderr.strip().rpartition("\n")[2] if tried.returncode else "")
        if self._import_error[0]:
            return f"{self.python} cannot import {IMPORTS[self.name]}: {self._import_error[0][:ERROR_CHARS]}"
        return None

    def version(self) -> str | None:
        """Of the code that runs it; the package itself is pinned."""
        return code_version(FILES)

    def tries(self, split: Split, seed: int, on_done: OnDone) -> Iterator[tuple[Params, Recommender]]:
        """All settings in one process."""
        yield from self._run(split, self.grid, seed, on_done)

    def fitted(self, split: Split, params: Params, seed: int, on_done: OnDone) -> Recommender:
        """The last of what was asked for."""
        *_, (_, model) = self._run(split, [params], seed, on_done)
        return model

    def _run(self, split: Split, settings: Sequence[Params], seed: int, on_done: OnDone) -> list[tuple[Params, Recommender]]:
        events = split.train.part(split.train.positive())
        task = {
            "peer": self.name,
            "settings": list(settings),
            "seed": seed,
            "threads": self.threads,
            "users": len(events.user_ids),
            "items": len(events.item_ids),
            "limit_s": LIMIT_S,
        }
        with tempfile.TemporaryDirectory(prefix="portrait-peer-") as scratch:
            folder = self._folder(task, events, split.users) or Path(scratch)
            if not (folder / "finished").exists():
                folder.mkdir(parents=True, exist_ok=True)
                np.savez(folder / "task.npz", users=events.users, items=events.items, asked=split.users)
                (folder / "task.json").write_text(json.dumps(task))
                self._start(folder, on_done)
                (folder / "finished").touch()
            made: list[tuple[Params, Recommender]] = []
            for number, params in enumerate(json.loads((folder / "what.json").read_text())):
                model = WarmOnly(Ready(split.users, np.load(folder / f"scores-{number}.npy", mmap_mode="r")))
                model.only_popular(split.train)
                made.append((params, model))
        return made

    def _folder(self, task: Params, events: Interactions, asked: Ints) -> Path | None:
        if self.keep is None:
            return None
        digest = hashlib.sha256(f"{self.version()} {sorted(task.items())}".encode())
        for column in (events.users, events.items, asked):
            digest.update(column.tobytes())
        return self.keep / f"{self.name}-{digest.hexdigest()[:24]}"

    def _start(self, folder: Path, on_done: OnDone) -> None:
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        with (folder / "errors.txt").open("w+") as errors:
            command = [str(self.python), "-I", str(WORKER), str(os.getpid()), str(folder)]
            with subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | threads
            ) as process:
                try:
                    for line in process.stdout or ():
                        if line.startswith("progress "):
                            _, done, total = line.split()
                            on_done(int(done), int(total))
                except BaseException:
                    process.kill()
                    raise
            if process.returncode:
                errors.seek(0)
                told = errors.read().strip().rpartition("\n")[2] or f"exit status {process.returncode}"
                raise PortraitError(f"the peer {self.name} failed in its process: {told[:ERROR_CHARS]}")


def outside_peers(python: Path, threads: int, keep: Path | None) -> list[OutsidePeer]:
    """All three, with the settings each is tried with; those of the transformers follow RecTools at a size for CPUs."""
    factors = [
        {"factors": size, "regularization": ridge, "alpha": alpha, "iterations": 15}
        for size in (32, 64, 128, 256)
        for ridge in (0.1, 10.0)
        for alpha in (1.0, 10.0)
    ]
    size = {"n_factors": 64, "n_blocks": 2, "n_heads": 2, "dropout_rate": 0.2, "session_max_len": 100, "lr": 0.001}
    epochs = {"epochs": [8, 16, 24, 32, 40, 48, 64, 80, 96]}
    return [
        OutsidePeer("als", factors, python, threads, keep),
        OutsidePeer("sasrec", [size | epochs], python, threads, keep),
        OutsidePeer("esasrec", [size | epochs | {"n_negatives": 128}], python, threads, keep),
    ]
