"""From recorded events to a user_encoder with its ranker: networks fitted window by window, lessons, and the export."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from consumers.catalogue import item_number
from deploy.evaluation.models import UserEncoder
from deploy.recs.interactions import Interactions
from deploy.recs.measures import gains
from deploy.recs.ours.network import NetworkShape
from deploy.recs.ours.network_training import FittedNetwork, Schedule, fit_network
from deploy.recs.ours.portrait import judge_of
from deploy.recs.ours.ranker import Lesson, train_ranker
from deploy.recs.split import Split, even_sample
from deploy.training.clicked import Clicked, clicked_lesson, clicks_told, taught
from deploy.training.declared_loss import DeclaredLoss
from deploy.training.fused_network import FusedNetwork, ServedEncoder, Whitening
from deploy.training.lessons import as_file, lesson
from deploy.training.material import Encode, Material
from deploy.training.neighbours import neighbours_of
from deploy.training.replayed import Replayed
from deploy.training.seen_lists import SeenLists
from deploy.training.served_lists import ServedLists
from schemas.settings import Settings
from schemas.tensors import DEMOGRAPHICS_DIM, EMBEDDING_DIM

ENCODER, RANKER = "encoder.pt2", "ranker.json"
MOST_TAUGHT = 4_000
"""Users of a window whose lists teach the ranker."""
MOST_MEASURED = 4_000
OnStep = Callable[[str, int, int], None]
"""Told what is being done, and how much of how much is done."""


@dataclass(frozen=True)
class Recipe:
    """How to learn: sizes, schedule, seed."""

    shape: NetworkShape = field(default_factory=NetworkShape)
    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 1


@dataclass
class Learner:
    """Learns by a recipe, and what users clicked in lists they have `seen`; `note` is told loss and NDCG@10 of every epoch."""

    material: Material
    settings: Settings
    encode: Encode
    recipe: Recipe = field(default_factory=Recipe)
    seen: SeenLists = field(default_factory=SeenLists.none)
    on_step: OnStep = lambda step, done, total: None
    note: Callable[[str, int, dict[str, float]], None] = lambda name, epoch, figures: None

    def __post_init__(self) -> None:
        self.whitening = Whitening.of(self.material.item_vectors)
        self.content = self.whitening(self.material.item_vectors)
        item_ids = self.material.recorded.interactions.item_ids
        self.numbers = np.array([item_number(item_id) for item_id in item_ids], np.int64)

    def learn(self, events: Interactions, windows: Sequence[Split], folder: Path, measure: bool = True) -> dict[str, Any]:
        """Write encoder and ranker, learned from `events`, into `folder`; what was measured on the way.

        `windows` are earlier cuts inside these events, the newest first: it decides for how many epochs networks are fitted,
        and with `measure` it is asked about by what was learned before it.
        """
        newest, epochs, until_ms = windows[0], 0, None
        lessons, clicked = list[Lesson](), list[Clicked | None]()
        found: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as scratch:
            for number, window in enumerate(windows, start=1):
                fitted = self.fit(window.train, f"network of window {number}", epochs, newest)
                epochs = epochs or fitted.epochs
                place = Path(scratch) / f"window-{number}"
                self.export(fitted, place, not newest.remove_seen)
                with self._step(f"lists of window {number}"), same_threads():
                    encoder = UserEncoder(place)
                    replayed = Replayed(window.train, self.material, self.settings, self.encode)
                    users = np.random.default_rng(self.recipe.seed).permutation(len(window.users))[:MOST_TAUGHT]
                    lessons.append(lesson(window, replayed, encoder, users.astype(np.int32)))
                    clicked.append(clicked_lesson(window, until_ms, self.seen, events, replayed, encoder, self.settings.fold))
                until_ms = window.cut_ms
                if number == 1:
                    measured_by = encoder, replayed
            if measure and len(lessons) > 1:
                with self._step("measuring"):
                    found = self.measured(newest, lessons[1:], taught(clicked[1:]), *measured_by)
                    found |= clicks_told(clicked, lessons[1:], self.recipe.seed)
        ranker = train_ranker([*lessons, *taught(clicked)], self.recipe.seed)
        fitted = self.fit(events, "network", epochs, newest)
        self.export(fitted, folder, not newest.remove_seen)
        (folder / RANKER).write_text(as_file(ranker, lessons, not newest.remove_seen).model_dump_json(), encoding="utf-8")
        return {**found, "epochs": epochs, "windows": len(windows)}

    def fit(self, events: Interactions, name: str, epochs: int, newest: Split) -> FittedNetwork:
        """A network for so many epochs, or for as many as make the newest window's lists best when that isn't known yet."""
        schedule, seed = self.recipe.schedule, self.recipe.seed
        return fit_network(
            events,
            self.content,
            self.recipe.shape,
            replace(schedule, epochs=epochs) if epochs else schedule,
            seed,
            None if epochs else judge_of(newest),
            lambda done, total: self.on_step(name, done, total),
            FusedNetwork,
            DeclaredLoss(events, self.material, self.whitening, self.recipe.shape.length, seed),
            partial(self.note, name),
        )

    def export(self, fitted: FittedNetwork, folder: Path, repeats: bool = False) -> None:
        """Write the network as a program that needs no code of ours, and an empty ranker.

        With `repeats` it may expect what a user met before.
        """
        network = fitted.network
        assert isinstance(network, FusedNetwork)
        folder.mkdir(parents=True, exist_ok=True)
        neighbours = neighbours_of(fitted.events, repeats)
        kept = self.settings.fold.history_length
        served = ServedEncoder(network.cpu(), self.whitening, neighbours, self.numbers, fitted.length, kept).eval()
        users, events = torch.export.Dim("users", max=65_536), torch.export.Dim("events", max=1_000)
        vectors, history, alone = {0: users, 1: torch.export.Dim("vectors", max=1_000)}, {0: users, 1: events}, {0: users}
        with torch.no_grad():
            program = torch.export.export(served, example(), dynamic_shapes=(vectors, *[history] * 5, *[alone] * 3))
        torch.export.save(program, folder / ENCODER)
        (folder / RANKER).write_text("", encoding="utf-8")

    def measured(
        self, window: Split, lessons: Sequence[Lesson], clicks: Sequence[Lesson], encoder: UserEncoder, replayed: Replayed
    ) -> dict[str, Any]:
        """NDCG@10 and HR@10 of the window's lists: learned from before it, and by the plain encoder and ranker."""
        sample = even_sample(len(window.users), MOST_MEASURED)
        asked = replace(window, users=window.users[sample], truths=[window.truths[place] for place in sample])
        ranker = train_ranker([*lessons, *clicks], self.recipe.seed)
        learned = as_file(ranker, lessons, not window.remove_seen).model_dump_json()
        with same_threads():
            ours = gains(ServedLists(replayed, encoder, asked, learned), asked)
            plain = gains(ServedLists(replayed, UserEncoder(), asked, ""), asked)
        return {
            "users_measured": len(asked.users),
            "ndcg10": {"learned": round(float(ours.ndcg.mean()), 4), "plain": round(float(plain.ndcg.mean()), 4)},
            "hr10": {"learned": round(float(ours.hr.mean()), 4), "plain": round(float(plain.hr.mean()), 4)},
        }

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        self.on_step(name, 0, 1)
        yield
        self.on_step(name, 1, 1)


@contextmanager
def same_threads() -> Iterator[None]:
    """Models set the threads of their own process, which here is ours."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def example() -> tuple[torch.Tensor, ...]:
    """The tensors of a few users; no two are the same object, for the export would take them for one input."""
    vectors, history = (4, EMBEDDING_DIM), (4, 60)
    return (
        torch.zeros(4, 50, EMBEDDING_DIM, dtype=torch.float16),
        torch.zeros(history, dtype=torch.int32),
        torch.zeros(history, dtype=torch.int64),
        torch.zeros(history, dtype=torch.int32),
        torch.zeros(history),
        torch.zeros(history),
        torch.zeros(vectors),
        torch.zeros(vectors),
        torch.zeros(4, DEMOGRAPHICS_DIM),
    )
