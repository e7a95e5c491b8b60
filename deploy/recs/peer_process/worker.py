"""Runs a peer from its own package, in the environment of the peers: `python worker.py OWNER FOLDER`.

OWNER is the process that wants the results: without it this one ends. The folder holds task.npz (events in their order,
users to ask) and task.json (which peer, its settings). Of each setting the scores are written to scores-N.npy, float32
[users, items], and of everything that was tried what.json says what it was. Imports nothing of Portrait: only what the
environment of the peers has.
"""

import json
import logging
import os
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
BLOCK = 256
OWNER_LOOKED_AT_S = 1.0


def main(owner: int, folder: Path) -> None:
    """Read the task, run it, and leave the results beside it."""
    threading.Thread(target=end_without, args=(owner,), daemon=True).start()
    warnings.filterwarnings("ignore")
    task = json.loads((folder / "task.json").read_text())
    with np.load(folder / "task.npz") as arrays:
        users, items, asked = arrays["users"], arrays["items"], arrays["asked"]
    run = {"als": als, "sasrec": transformer, "esasrec": transformer}[task["peer"]]
    run(folder, task, users, items, asked)


def end_without(owner: int) -> None:
    """End this process once its owner has gone, however it went: nobody would tell it."""
    while os.getppid() == owner:
        time.sleep(OWNER_LOOKED_AT_S)
    os._exit(1)


class Results:
    """Writes scores one after another, each with the settings that gave it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._made = folder, []  # type: Path, list[dict[str, Any]]

    def add(self, settings: dict[str, Any], scores: Array) -> None:
        """Keep these scores."""
        np.save(self._folder / f"scores-{len(self._made)}.npy", scores.astype(np.float32))
        self._made.append(settings)
        (self._folder / "what.json").write_text(json.dumps(self._made))


def progress(done: int, total: int) -> None:
    """Tell the parent."""
    print(f"progress {done} {total}", flush=True)


def als(folder: Path, task: dict[str, Any], users: Array, items: Array, asked: Array) -> None:
    """Implicit's ALS for every setting: factors, regularization, alpha, iterations; counts are log(1 + times)."""
    from implicit.als import AlternatingLeastSquares
    from scipy import sparse

    shape = (task["users"], task["items"])
    counts = sparse.csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=shape)
    counts.sum_duplicates()
    counts.data = np.log1p(counts.data)
    results = Results(folder)
    for number, settings in enumerate(task["settings"], start=1):
        model = AlternatingLeastSquares(**settings, random_state=task["seed"], num_threads=task["threads"])
        model.fit(counts, show_progress=False)
        results.add(settings, np.asarray(model.user_factors)[asked] @ np.asarray(model.item_factors).T)
        progress(number, len(task["settings"]))


def transformer(folder: Path, task: dict[str, Any], users: Array, items: Array, asked: Array) -> None:
    """RecTools' SASRec or eSASRec for every setting; `epochs` lists after how many the scores are wanted.

    Training stops before a step that would end past `limit_s`, if there are scores by then.
    """
    import pandas as pd
    import torch
    from pytorch_lightning import seed_everything
    from rectools.dataset import Dataset

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(task["threads"])
    # a second an event: RecTools orders by time, and the order here is already the right one
    moments = pd.Timestamp("2000-01-01") + pd.to_timedelta(np.arange(len(users)), unit="s")
    frame = pd.DataFrame({"user_id": users, "item_id": items, "datetime": moments, "weight": 1.0})
    data, results = Dataset.construct(frame), Results(folder)
    for settings in task["settings"]:
        seed_everything(task["seed"], verbose=False)
        rest = {name: value for name, value in settings.items() if name != "epochs"}
        model, steps = _transformer(task["peer"], rest), settings["epochs"]
        started, done = time.monotonic(), 0
        for until in steps:
            took = time.monotonic() - started
            if done and took + took / done * (until - done) > task["limit_s"]:
                break
            for _ in range(done, until):
                model.fit_partial(data, min_epochs=1, max_epochs=1)
                done += 1
                progress(done, steps[-1])
            results.add({**rest, "epochs": [until]}, _all_scores(model, data, asked, task["items"]))


def _transformer(peer: str, settings: dict[str, Any]) -> Any:
    import pytorch_lightning
    from rectools.models import SASRecModel
    from rectools.models.nn.transformers.ligr import LiGRLayers

    def trainer() -> Any:
        return pytorch_lightning.Trainer(
            max_epochs=1, accelerator="auto", devices=1, logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False, deterministic="warn",
        )  # fmt: skip

    if peer == "esasrec":
        return SASRecModel(**settings, loss="sampled_softmax", transformer_layers_type=LiGRLayers, get_trainer_func=trainer)
    return SASRecModel(**settings, loss="softmax", get_trainer_func=trainer)


def _all_scores(model: Any, data: Any, asked: Array, items: int) -> Array:
    """Scores of everything; items that training never met come last."""
    known = np.isin(asked, data.user_id_map.external_ids)
    scores = np.zeros((len(asked), items), dtype=np.float32)
    rows = np.flatnonzero(known)
    for begin in range(0, len(rows), BLOCK):
        own = rows[begin : begin + BLOCK]
        found = model.recommend(asked[own], data, k=items, filter_viewed=False)
        places = {user: row for row, user in zip(own, asked[own], strict=True)}
        into = found["user_id"].map(places).to_numpy()
        least = float(found["score"].min()) - 1
        scores[own] = least
        scores[into, found["item_id"].to_numpy()] = found["score"].to_numpy()
    return scores


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
