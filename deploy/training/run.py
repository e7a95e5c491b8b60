"""`portrait train` once its options are read: read, learn, measure, write a version, serve it."""

import json
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from rich.console import Console

from deploy.board import Board, weights_and_biases
from deploy.evaluation.models import TextEncoder
from deploy.evaluation.progress import Steps
from deploy.local.activation import activate
from deploy.local.encoder_versions import RECORD, EncoderVersions
from deploy.local.record import running_stack
from deploy.machine import MachineMeter
from deploy.recs.cuts import TIME_CUT, TIME_CUT_NEW_ITEMS, default_protocol, split_by
from deploy.recs.kept_columns import kept_in
from deploy.recs.ours.network import Fusion, NetworkShape
from deploy.recs.ours.network_training import Schedule
from deploy.recs.ours.portrait import earlier_windows
from deploy.recs.recorded import from_dataset
from deploy.recs.split import Split
from deploy.training.card import model_card
from deploy.training.known_profiles import KnownProfiles
from deploy.training.learning import ENCODER, Learner, Recipe
from deploy.training.material import Material, read_material
from deploy.training.seen_lists import SeenLists
from deploy.training.topics_folder import write_topics
from deploy.training.trials import best_recipe
from producers.dataset import Dataset, open_dataset
from schemas.errors import ConfigError
from schemas.settings import Settings, load_settings

MEASURES = ("ndcg10", "hr10")


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    data: Path | None
    mapping: str | None
    seed: int
    epochs: int
    trials: int
    fusion: Fusion
    threads: int | None
    activate: bool


def run(asked: Asked) -> None:
    """Train with these options; the last line printed is JSON.

    Raises:
        ConfigError: the folder, the topics or the data are wrong, or hold too little to learn from; or wandb is missing.
    """
    weights_and_biases()
    torch.set_num_threads(asked.threads or os.cpu_count() or 1)
    settings, console = running_stack(load_settings()), Console(highlight=False, markup=False, emoji=False)
    meter, began, steps = MachineMeter(), time.perf_counter(), Steps(console)
    dataset, seen, profiles = opened(asked, settings, steps)
    encoder = TextEncoder(settings, console.print)
    torch.set_num_threads(asked.threads or os.cpu_count() or 1)  # the encoder takes half the cores, as it does on Triton
    with steps.step("reading events, encoding items"):
        keep_in = kept_in(settings) if asked.data is not None else None  # topics are a folder of Parquet already
        material = read_material(from_dataset(dataset, keep_in), encoder.encode, profiles)
        encoder.keep()
    protocol, windows = newest_windows(material, settings.profiler.repeats == "learned")
    console.print(sentence(material, protocol, windows, seen), soft_wrap=True)
    recipe = Recipe(NetworkShape(fusion=asked.fusion), Schedule(epochs=asked.epochs), asked.seed)
    tried: list[dict[str, Any]] = []
    if asked.trials:
        with steps.step(f"trying {asked.trials} settings") as on_done:
            recipe, tried = best_recipe(material, settings, encoder.encode, recipe, windows[0], asked.trials, on_done)
    versions = EncoderVersions.of(settings)
    with versions.being_made() as (version, folder), board_of(version, recipe, settings) as board:
        with Shown(steps) as show:
            learner = Learner(
                material,
                settings,
                encoder.encode,
                recipe,
                seen,
                show,
                lambda part, step, figures: board.note(step, figures, part),
            )
            found = learner.learn(material.recorded.interactions, windows, folder)
        encoder.keep()
        facts = {
            "version": version,
            "data": dataset.folder.resolve().name,
            "protocol": protocol,
            "events": len(material.recorded.interactions),
            "users": len(material.recorded.interactions.user_ids),
            "items": len(material.recorded.items),
            "bad_rows": material.recorded.bad_rows,
            **found,
            "seed": recipe.seed,
            "recipe": settings_of(recipe),
            "tried": tried,
            "artefact_bytes": sum(file.stat().st_size for file in folder.iterdir()),
            "step_seconds": steps.seconds,
            "seconds": round(time.perf_counter() - began, 1),
            **meter.report(),
        }
        measured = {f"{name} {kind}": found[name][kind] for name in MEASURES for kind in found.get(name, {})}
        board.note(0, measured, "newest window")
        (folder / RECORD).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(model_card(facts), encoding="utf-8")
    console.print(f"user_encoder {version} is in {versions.path(version)} ({ENCODER}, ranker, card)", soft_wrap=True)
    facts["activated"] = asked.activate and serves_better(found, console)
    if facts["activated"]:
        activate(version, settings, console.print)
    print(json.dumps({"report": "train", **facts}, ensure_ascii=False))


def settings_of(recipe: Recipe) -> dict[str, Any]:
    """What a recipe says of the network, by name."""
    return {**vars(recipe.shape), "learning_rate": recipe.schedule.learning_rate}


def board_of(version: int, recipe: Recipe, settings: Settings) -> Board:
    """The log of this run."""
    return Board(
        settings.runtime.folder / "train" / "runs", f"user_encoder-{version}", {"seed": recipe.seed, **settings_of(recipe)}
    )


def opened(asked: Asked, settings: Settings, steps: Steps) -> tuple[Dataset, SeenLists, KnownProfiles]:
    """The folder asked for, or one with what is in the topics now."""
    if asked.data is not None:
        return open_dataset(asked.data, asked.mapping), SeenLists.of_folder(asked.data), KnownProfiles.of_folder(asked.data)
    with steps.step("reading the topics"):
        folder = write_topics(settings, settings.runtime.folder / "train" / "topics")
        seen, profiles = SeenLists.of_topics(settings), KnownProfiles.of_topics(settings)
        seen.write(folder)
        profiles.write(folder)
    return open_dataset(folder), seen, profiles


def newest_windows(material: Material, repeats: bool) -> tuple[str, list[Split]]:
    """How these events are cut, and the newest cuts, the newest first.

    Where lists never hold what a user met before, only new items are asked for.
    """
    recorded = material.recorded
    protocol = default_protocol(recorded)
    if protocol == TIME_CUT and not repeats:
        protocol = TIME_CUT_NEW_ITEMS
    newest = split_by(protocol, recorded.interactions)
    try:
        earlier = earlier_windows(newest)[:1]
    except ConfigError:  # too little was done before it to tell how good what is learned will be
        earlier = []
    return protocol, [newest, *earlier]


def sentence(material: Material, protocol: str, windows: list[Split], seen: SeenLists) -> str:
    """What is learned from."""
    recorded, told = material.recorded, protocol
    if protocol == TIME_CUT_NEW_ITEMS and default_protocol(recorded) == TIME_CUT:
        told += (
            f" ({recorded.repeat_share:.0%} of events repeat an item: with PORTRAIT_PROFILER__REPEATS=learned, here and where "
            "the profiler runs, lists may hold what users took before)"
        )
    teachers = f"{' and '.join(f'{len(window.users):,}' for window in windows)} users teach the ranker"
    clicks = f", and what was clicked of {len(seen.lists):,} lists that were seen" if seen.lists else ""
    return (
        f"{len(recorded.interactions):,} events of {len(recorded.interactions.user_ids):,} users, "
        f"{len(recorded.items):,} items described; cut by {told}: {teachers}{clicks}"
    )


def serves_better(found: dict[str, Any], console: Console) -> bool:
    """Whether lists of the newest window are better than those of the plain encoder; told when they are not."""
    if "ndcg10" not in found:
        console.print("too little was done to measure it: choose it with `portrait models activate` if you want it served")
        return False
    learned, plain = found["ndcg10"]["learned"], found["ndcg10"]["plain"]
    if learned <= plain:
        console.print(
            f"NDCG@10 {learned} is not above the plain encoder's {plain}: the version in service stays", soft_wrap=True
        )
        return False
    return True


class Shown:
    """Progress by the names of steps, as `Learner` tells it: a bar in a terminal, lines elsewhere.

    A step ends with the next one: a network that gets no better ends before all its epochs.
    """

    def __init__(self, steps: Steps) -> None:
        self._steps, self._name = steps, ""
        self._open = ExitStack()

    def __call__(self, name: str, done: int, total: int) -> None:
        """So much of so much is done."""
        if name != self._name:
            self._open.close()
            self._name, self._on_done = name, self._open.enter_context(self._steps.step(name))
        self._on_done(done, total)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.__exit__(kind, error, trace)
