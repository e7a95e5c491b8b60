"""Each peer on events whose right answer is known."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from rich.console import Console

from deploy.evaluation.progress import Steps
from deploy.recs.comparison import Comparison
from deploy.recs.contender import GridContender
from deploy.recs.cuts import leave_one_out, time_cut, validation_split
from deploy.recs.matrices import user_items
from deploy.recs.measures import gains
from deploy.recs.peers.blend import Blend, BlendContender
from deploy.recs.peers.cold import WarmOnly
from deploy.recs.peers.ease import Ease, EaseWeights
from deploy.recs.peers.item_knn import ItemKnn, ItemLikeness
from deploy.recs.peers.markov import Markov
from deploy.recs.peers.outside import WORKER, OutsidePeer, Ready
from deploy.recs.peers.popularity import PersonalFrequency, Popularity
from deploy.recs.peers.simple import simple_peers
from deploy.recs.recommender import Recommender
from deploy.recs.remembered import Remembered
from schemas.errors import PortraitError
from tests.unit.recommendation_cases import RecommenderConformance, events, two_tastes


def silent(done: int, total: int) -> None:
    pass


class TestPopularity(RecommenderConformance):
    personal = False

    def make(self) -> Recommender:
        return Popularity()


class TestPopularityOfTheLastWeek(RecommenderConformance):
    personal = False

    def make(self) -> Recommender:
        return Popularity(7)


class TestPersonalFrequency(RecommenderConformance):
    personal = False

    def make(self) -> Recommender:
        return PersonalFrequency(half_life_days=30)


class TestItemKnn(RecommenderConformance):
    def make(self) -> Recommender:
        return ItemKnn()


class TestMarkov(RecommenderConformance):
    def make(self) -> Recommender:
        return Markov(window=3, last_n=3)


class TestItemKnnOnTheLastEvent(RecommenderConformance):
    def make(self) -> Recommender:
        return ItemKnn(last_n=1, own=True, neighbours=4)


class TestEase(RecommenderConformance):
    def make(self) -> Recommender:
        return Ease(ridge=1)


class TestEaseOnTheLastEventsInLogCounts(RecommenderConformance):
    def make(self) -> Recommender:
        return Ease(ridge=1, counting="log", last_n=2)


class TestBlend(RecommenderConformance):
    def make(self) -> Recommender:
        return Blend([(1.0, Ease(ridge=1)), (0.5, ItemKnn()), (0.1, Popularity())])


class TestWarmOnly(RecommenderConformance):
    def make(self) -> Recommender:
        return WarmOnly(ItemKnn())


def test_popularity_counts_what_speaks_for_an_item_and_forgets_after_a_week() -> None:
    train = events(
        ("u", "old", 1), ("v", "old", 1), ("w", "old", 2), ("u", "new", 20), ("v", "new", 15), ("w", "bad", 20),
        types=["purchase"] * 5 + ["return"],
    )  # fmt: skip
    ever, lately = Popularity(), Popularity(7)
    ever.fit(train), lately.fit(train)
    by_name = [dict(zip(train.item_ids, model.scores(np.array([0]))[0], strict=True)) for model in (ever, lately)]
    assert by_name == [{"old": 3, "new": 2, "bad": 0}, {"old": 0, "new": 2, "bad": 0}]


def test_personal_frequency_puts_ones_own_first_and_old_habits_fade() -> None:
    train = events(("u", "a", 1), ("u", "a", 2), ("u", "b", 90), ("v", "c", 90), ("w", "c", 90))
    user = np.array([train.user_ids.index("u")])

    def best(model: PersonalFrequency) -> list[str]:
        model.fit(train)
        return [train.item_ids[item] for item in np.argsort(-model.scores(user)[0])]

    assert best(PersonalFrequency()) == ["a", "b", "c"]
    assert best(PersonalFrequency(half_life_days=10)) == ["b", "c", "a"]


def test_item_knn_is_the_cosine_of_who_took_them() -> None:
    train = events(("u", "a", 1), ("u", "b", 1), ("v", "a", 1), ("v", "c", 1), ("w", "a", 1))
    model = ItemKnn(shrink=0)
    model.fit(train)
    scores = model.scores(np.array([train.user_ids.index("w")]))[0]
    np.testing.assert_allclose(scores, [0, 1 / np.sqrt(3), 1 / np.sqrt(3)], rtol=1e-6)


def test_markov_counts_what_came_after_what() -> None:
    train = events(("u", "a", 1), ("u", "b", 2), ("u", "c", 3), ("v", "a", 1), ("v", "c", 2), ("w", "b", 1), ("w", "a", 2))
    asked = np.array([train.user_ids.index("w")])  # took b, then a

    def scores(**params: float) -> dict[str, float]:
        model = Markov(**params)  # type: ignore[arg-type]
        model.fit(train)
        return dict(zip(train.item_ids, model.scores(asked)[0].tolist(), strict=True))

    assert scores() == pytest.approx({"a": 0, "b": 1 / 3, "c": 1 / 3})  # after one of three a
    assert scores(window=2) == pytest.approx({"a": 0, "b": 1 / 3, "c": (1 + 1 / 2) / 3})
    assert scores(last_n=2) == pytest.approx({"a": 1 / 2 / 2, "b": 1 / 3, "c": 1 / 3 + 1 / 2 / 2})
    assert scores(shrink=3.0) == pytest.approx({"a": 0, "b": 1 / 6, "c": 1 / 6})


def test_ease_solves_its_regression() -> None:
    train = two_tastes()
    taken = user_items(train).toarray().astype(np.float64)
    inverse = np.linalg.inv(taken.T @ taken + 2 * np.eye(taken.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    np.testing.assert_allclose(EaseWeights().of(train, 2.0, "once"), weights, atol=1e-4)


def test_what_two_models_share_is_solved_once_and_again_for_other_events() -> None:
    train, shared, compared = two_tastes(), EaseWeights(), ItemLikeness()
    assert shared.of(train, 2.0, "once") is shared.of(train, 2.0, "once")
    assert compared.of(train, 5, 0.0, False) is compared.of(train, 5, 0.0, False)
    other = train.part(train.users < 5)
    assert not np.allclose(shared.of(other, 2.0, "once"), EaseWeights().of(train, 2.0, "once"))
    assert compared.of(other, 5, 0.0, False).nnz < compared.of(train, 5, 0.0, False).nnz


def test_a_user_without_history_is_shown_what_is_popular() -> None:
    rows = [("u", "a", 0), ("u", "b", 1), ("v", "a", 80), ("v", "b", 85), ("w", "c", 85), ("x", "c", 88), ("new", "c", 100)]
    split = time_cut(events(*rows), remove_seen=False)
    model = WarmOnly(ItemKnn())
    model.fit(split.train)
    new = np.array([split.train.user_ids.index("new")])
    assert split.train.item_ids[int(model.scores(new)[0].argmax())] == "c"


@pytest.mark.parametrize("contender", simple_peers(), ids=lambda one: one.name)
def test_every_simple_peer_gets_the_settings_that_were_best_on_validation(contender: GridContender) -> None:
    split = leave_one_out(two_tastes())
    validation = validation_split(split)
    tried = list(contender.tries(validation, 1, silent))
    assert len({json.dumps(params) for params, _ in tried}) == len(tried) > 0
    found = [gains(model, validation).ndcg.mean() for _, model in tried]
    comparison = Comparison(split, [1], Steps(Console(quiet=True)), Remembered(None), {}, lambda line: None)
    [outcome] = comparison.run([contender])
    assert [worth for _, worth in outcome.choice.tried] == [round(float(one), 5) for one in found]
    assert outcome.choice.params == tried[int(np.argmax(found))][0]
    assert outcome.mean("ndcg").shape == split.users.shape


def test_the_blend_is_at_least_as_good_as_its_best_part_on_validation() -> None:
    source = np.random.default_rng(5)
    rows = [
        (f"{taste}{user}", f"{taste}{source.integers(12)}", day) for taste in "abc" for user in range(12) for day in range(9)
    ]
    validation = validation_split(leave_one_out(events(*rows)))
    peers = simple_peers()
    chosen = {one.name: one.grid(validation)[0] for one in peers}
    alone = [gains(one.fitted(validation, chosen[one.name], 1, silent), validation).ndcg.mean() for one in peers[1:]]
    contender = BlendContender(peers, chosen)
    assert contender.missing() is None
    [(params, model)] = contender.tries(validation, 1, silent)
    assert gains(model, validation).ndcg.mean() >= max(alone) - 1e-6
    again = contender.fitted(validation, params, 1, silent)
    np.testing.assert_allclose(again.scores(validation.users), model.scores(validation.users), rtol=1e-4, atol=1e-4)


def test_the_version_of_a_peer_is_that_of_its_files() -> None:
    peers = {one.name: one.version() for one in simple_peers()}
    assert peers["ease"] == peers["ease-log"] != peers["item-knn"]


def test_a_peer_that_is_not_installed_says_so(tmp_path: Path) -> None:
    assert "make eval-recs-peers" in str(OutsidePeer("als", [{}], tmp_path / "python").missing())
    without = tmp_path / "without"
    without.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'implicit'\" >&2\nexit 1\n")
    without.chmod(0o755)
    assert "cannot import implicit" in str(OutsidePeer("als", [{}], without).missing())


def test_a_peer_whose_process_dies_is_an_error_with_its_last_words(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'MemoryError: too many items' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(PortraitError, match="als failed in its process: MemoryError: too many items"):
        OutsidePeer("als", [{}], broken).fitted(leave_one_out(two_tastes()), {}, 1, silent)


ALS_LIKE = """
import json, sys, numpy as np
from pathlib import Path
folder = Path(sys.argv[-1])
task = json.loads((folder / "task.json").read_text())
arrays = np.load(folder / "task.npz")
print("progress 1 1", flush=True)
np.save(folder / "scores-0.npy", np.full((len(arrays["asked"]), task["items"]), task["seed"], dtype=np.float32))
(folder / "what.json").write_text(json.dumps(task["settings"]))
"""


def test_scores_of_a_process_are_kept_and_not_computed_again(tmp_path: Path) -> None:
    script, python = tmp_path / "als.py", tmp_path / "python"
    script.write_text(ALS_LIKE)
    python.write_text(f'#!/bin/sh\necho ran >> {tmp_path}/runs\nexec {sys.executable} {script} "$@"\n')
    python.chmod(0o755)
    split, told = leave_one_out(two_tastes()), []
    peer = OutsidePeer("als", [{"factors": 2}], python, keep=tmp_path / "kept")
    for seed in (4, 4, 5):
        model = peer.fitted(split, {"factors": 2}, seed, lambda done, total: told.append((done, total)))
        assert (model.scores(split.users) == seed).all()
    assert (tmp_path / "runs").read_text().count("ran") == 2 and told == [(1, 1)] * 2


def test_a_peers_process_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "task.json")  # its task never comes
    start = f"subprocess.Popen([sys.executable, '-I', {str(WORKER)!r}, str(os.getpid()), {str(tmp_path)!r}])"
    script = f"import os, subprocess, sys, time; print({start}.pid, flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = psutil.Process(int(owner.stdout.readline()))
        owner.kill()
    child.wait(timeout=20)


def test_scores_are_looked_up_by_user() -> None:
    ready = Ready(np.array([2, 5], dtype=np.int32), np.array([[1, 2], [3, 4]], dtype=np.float32))
    assert ready.scores(np.array([5, 2], dtype=np.int32)).tolist() == [[3, 4], [1, 2]]
