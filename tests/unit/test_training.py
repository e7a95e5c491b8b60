"""`portrait train`, on a small world whose right answers are known; no weights and no server."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from consumers.catalogue import item_number
from consumers.lists.details import CONTEXT, DETAILS
from consumers.lists.learned_ranker import LearnedRanker, read_ranker
from consumers.lists.ranking import FEATURES, PlainRanker, RankWeights
from deploy.evaluation.models import UserEncoder
from deploy.local.activation import activate
from deploy.local.encoder_versions import PLAIN, TENSORS, EncoderVersions
from deploy.recs.measures import gains
from deploy.recs.ours.evidence import Candidates
from deploy.recs.ours.network_training import FittedNetwork
from deploy.recs.ours.ranker import Lesson, train_ranker
from deploy.recs.recorded import from_dataset
from deploy.recs.split import Split
from deploy.training.fused_network import FusedNetwork, ServedEncoder, Whitening
from deploy.training.learning import ENCODER, RANKER, Learner
from deploy.training.lessons import as_file
from deploy.training.material import Material, read_material
from deploy.training.neighbours import KEPT, PROPOSING, SCORES, AllOthers, StrongestOthers, baskets_ago, neighbours_of
from deploy.training.replayed import Replayed
from deploy.training.run import newest_windows
from deploy.training.served_lists import ServedLists
from deploy.training.served_tensors import newest_last
from deploy.training.topics_folder import Hidden
from producers.dataset import open_dataset
from schemas.errors import ConfigError
from schemas.messages import EVENT_TYPES, UserAttributes
from schemas.settings import RuntimeSettings, Settings
from schemas.tensors import EMBEDDING_DIM, NEXT_ITEMS, NEXT_SCORES
from tests.unit.training_cases import EACH, EVENTS, GROUPS, QUICK, encode, item, material, nobody, recorded

PLAY = 1 + EVENT_TYPES.index("play")


@pytest.fixture(scope="module")
def encoder(artefact: Path) -> UserEncoder:
    return UserEncoder(artefact)


def users(*histories: list[str], length: int = 12) -> dict[str, np.ndarray]:
    """The tensors of users who played these items, one a day."""
    features = nobody(len(histories), length)
    for user, history in enumerate(histories):
        for place, name in enumerate(history):
            group, number = map(int, name.split("-"))
            features["ITEM_VECTORS"][user, place] = encode([item(group, number).title])[0]
            features["HISTORY_ITEMS"][user, place] = item_number(name)
            features["HISTORY_TYPES"][user, place] = PLAY
            features["HISTORY_AGES"][user, place] = 24 * (len(history) - 1 - place)
    return features


def groups_of(numbers: np.ndarray) -> list[int]:
    known = {item_number(f"{group}-{number}"): group for group in range(GROUPS) for number in range(EACH)}
    return [known[number] for number in numbers.tolist() if number]


def test_lists_of_the_live_path_find_what_comes_next(world: Material, split: Split, artefact: Path) -> None:
    replayed = Replayed(split.train, world, Settings(), encode)
    ranker = (artefact / RANKER).read_text()
    learned = gains(ServedLists(replayed, UserEncoder(artefact), split, ranker), split)
    plain = gains(ServedLists(replayed, UserEncoder(), split, ""), split)
    assert learned.ndcg.mean() > 0.8
    assert learned.ndcg.mean() > plain.ndcg.mean() + 0.05


def test_what_comes_next_is_of_the_users_group_and_never_what_they_met(encoder: UserEncoder) -> None:
    history = ["2-3", "2-4", "2-5"]
    found = encoder.encode(users(history))
    numbers = found.expected.numbers[0]
    assert numbers.shape == (NEXT_ITEMS,) and found.expected.scores.shape == (1, NEXT_ITEMS, len(NEXT_SCORES))
    by_network, *by_items = numbers.reshape(len(PROPOSING), -1)
    assert groups_of(by_network[:5]).count(2) >= 4
    assert [best[0] for best in by_items] == [item_number("2-6")] * (len(PROPOSING) - 1)
    assert not {item_number(name) for name in history} & set(numbers.tolist())


@pytest.mark.parametrize("events", [3, QUICK.shape.length + 7])
def test_every_score_is_what_its_item_model_adds_up_to_over_a_history_that_fades(
    encoder: UserEncoder, split: Split, events: int
) -> None:
    """Of all events that a state keeps, more than the network reads."""
    history = [f"2-{number}" for number in range(3, 3 + events)]  # each a basket, a day apart
    found = encoder.encode(users(history, length=events + 2)).expected
    known = {item_number(item_id): place for place, item_id in enumerate(split.train.item_ids)}
    own = [known[item_number(item_id)] + 1 for item_id in history]
    expected = [known[number] for number in found.numbers[0].tolist() if number]
    models = neighbours_of(split.train).models
    for name, (model, fading) in SCORES.items():
        weights = models[model].weights.numpy()
        by_hand = sum(fading**ago * weights[place] for ago, place in enumerate(reversed(own)))
        there = found.scores[0, found.numbers[0] != 0, NEXT_SCORES.index(name)]
        np.testing.assert_allclose(there, by_hand[expected], rtol=1e-3, atol=1e-5, err_msg=name)


def test_a_user_vector_points_at_items_like_those_taken_and_finds_a_new_one_by_its_text(encoder: UserEncoder) -> None:
    everyone = [(group, start) for group in range(GROUPS) for start in range(0, EACH, 3)]
    histories = [[f"{group}-{(start + step) % EACH}" for step in range(3)] for group, start in everyone]
    vectors = encoder.encode(users(*histories)).vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    new = encode([item(group, 99).title for group in range(GROUPS)])
    nearest = (vectors @ new.T).argmax(axis=1)
    assert (nearest == [group for group, _ in everyone]).mean() > 2.5 / GROUPS, "one in five by chance"


def test_declared_tags_alone_find_items(encoder: UserEncoder) -> None:
    features = users([])
    features["TAG_VECTOR"][0] = encode(["group4"])[0]
    found = encoder.encode(features)
    assert np.linalg.norm(found.vectors[0]) == pytest.approx(1, abs=1e-4)
    assert groups_of(found.expected.numbers[0][:6]).count(4) >= 4


def test_a_user_of_whom_nothing_is_known_is_zeros(encoder: UserEncoder) -> None:
    assert not encoder.encode(users([])).vectors.any()


@pytest.mark.parametrize("length", [3, 10, 37])
def test_padding_place_and_company_change_nothing(encoder: UserEncoder, length: int) -> None:
    alone = encoder.encode(users(["1-1", "1-2", "1-3"], length=3))
    among = encoder.encode(users(["0-5"], ["1-1", "1-2", "1-3"], ["4-1", "2-2"], length=length))
    np.testing.assert_allclose(among.vectors[1], alone.vectors[0], atol=1e-5)
    np.testing.assert_allclose(among.expected.scores[1], alone.expected.scores[0], atol=1e-4)


def test_events_in_the_middle_that_are_padding_are_passed_over(encoder: UserEncoder) -> None:
    features = users(["1-1", "0-0", "1-2"])
    for name in ("HISTORY_PLACES", "HISTORY_ITEMS", "HISTORY_TYPES"):
        features[name][0, 1] = 0
    kept = users(["1-1", "1-2"])
    kept["HISTORY_AGES"][0, 0] = 48
    np.testing.assert_allclose(encoder.encode(features).vectors, encoder.encode(kept).vectors, atol=1e-5)


@pytest.mark.parametrize("dense_items", [1_000, 0])
@pytest.mark.parametrize("repeats", [False, True])
def test_the_exported_program_is_the_network(
    world: Material, artefact: Path, dense_items: int, repeats: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.training.neighbours.DENSE_ITEMS", dense_items)
    torch.manual_seed(0)
    events, whitening = world.recorded.interactions, Whitening.of(world.item_vectors)
    network = FusedNetwork(len(events.item_ids), QUICK.shape, torch.from_numpy(whitening(world.item_vectors)))
    numbers = np.array([item_number(item_id) for item_id in events.item_ids], np.int64)
    learner = Learner(world, Settings(), encode, QUICK)
    served = ServedEncoder(
        network, whitening, neighbours_of(events, repeats), numbers, QUICK.shape.length, 2 * QUICK.shape.length
    ).eval()
    folder = artefact.parent / f"random-{dense_items}-{repeats}"
    learner.export(FittedNetwork(network, events, QUICK.shape.length, 1), folder, repeats)
    features = users(["0-1", "0-2"], ["3-3"], length=5)
    features["HISTORY_VALUES"][0, :2] = [3.0, 5.0]
    features["TAG_VECTOR"][:] = encode(["group1"])
    features["PROFILE_VECTOR"][0] = encode(["group2"])[0]
    features["DEMOGRAPHICS"][1] = [0.4, 1, 0, 0]
    with torch.no_grad():
        expected = served(*(torch.from_numpy(array) for array in features.values()))
    found = UserEncoder(folder).encode(features)
    for ours, theirs in zip((found.vectors, found.expected.numbers, found.expected.scores), expected, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=1e-5)
    assert (item_number("3-3") in found.expected.numbers[1]) == repeats


def test_the_newest_events_are_kept() -> None:
    types = torch.tensor([[1, 0, 2, 3, 0]])
    places = torch.tensor([[1, 2, 3, 4, 5]])
    items = torch.tensor([[10, 0, 20, 30, 0]])
    at, kept, kinds, _, _ = newest_last(2, places, items, types, torch.zeros(1, 5), torch.zeros(1, 5))
    assert at.tolist() == [[3, 4]] and kept.tolist() == [[20, 30]] and kinds.tolist() == [[2, 3]]
    _, kept, kinds, _, _ = newest_last(6, places, items, types, torch.zeros(1, 5), torch.zeros(1, 5))
    assert kept.tolist() == [[0, 0, 0, 10, 20, 30]] and kinds.tolist() == [[0, 0, 0, 1, 2, 3]]


def test_events_of_one_moment_are_a_basket() -> None:
    ages = torch.tensor([[0.0, 9.0, 9.0, 2.0, 0.0, 0.0]])
    there = torch.tensor([[False, True, True, True, True, True]])
    assert baskets_ago(ages, there)[0, 1:].tolist() == [2, 2, 1, 0, 0]


def test_of_very_many_items_those_taken_most_often_have_neighbours(world: Material, monkeypatch: pytest.MonkeyPatch) -> None:
    events = world.recorded.interactions
    assert tuple(SCORES) == NEXT_SCORES[1:]
    whole = neighbours_of(events).models["following"].weights
    first, then = (events.item_ids.index(name) for name in ("2-5", "2-6"))
    assert int(whole[first + 1].argmax()) == then
    monkeypatch.setattr("deploy.training.neighbours.MOST_ITEMS", 10)
    few = neighbours_of(events).models["cosine"].weights
    assert few.shape == whole.shape
    with_neighbours = np.flatnonzero(few.sum(dim=1).numpy()) - 1
    taken = np.bincount(events.items, minlength=len(events.item_ids))
    assert 0 < len(with_neighbours) <= 10 and taken[with_neighbours].min() >= np.sort(taken)[-10]
    assert np.flatnonzero(few.sum(dim=0).numpy()).tolist() == with_neighbours.tolist()


@pytest.mark.parametrize("most_items", [10_000, 10])
@pytest.mark.parametrize("model", ["cosine", "following"])
def test_the_strongest_others_say_what_all_others_say(
    model: str, most_items: int, world: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.training.neighbours.MOST_ITEMS", most_items)
    events, random = world.recorded.interactions, torch.Generator().manual_seed(1)
    items = len(events.item_ids)
    own, counts = torch.randint(0, items + 1, (7, 5), generator=random), torch.rand(7, 5, generator=random)
    whole = neighbours_of(events).models[model]
    monkeypatch.setattr("deploy.training.neighbours.DENSE_ITEMS", items - 1)
    strongest = neighbours_of(events).models[model]
    assert isinstance(whole, AllOthers) and isinstance(strongest, StrongestOthers) and items <= KEPT
    found = strongest.of(own)(counts)
    assert found.shape == (7, items)
    torch.testing.assert_close(found, whole.of(own)(counts))  # none speaks against another here


def test_whitening_leaves_zeros_and_shared_parts_out(world: Material) -> None:
    whitening = Whitening.of(world.item_vectors + 50)
    white = whitening(world.item_vectors + 50)
    np.testing.assert_allclose(white.T @ white / len(white), np.eye(white.shape[1]), atol=0.05)
    assert not whitening(np.zeros((1, EMBEDDING_DIM), np.float32)).any()


def lesson() -> Lesson:
    random = np.random.default_rng(1)
    size = len(FEATURES) + len(DETAILS)
    features = random.normal(size=(60, 20, size)).astype(np.float32)
    features[:, :, FEATURES.index("boost")] = 0  # rules are not there in training
    taken = (features[:, :, 2] == features[:, :, 2].max(axis=1, keepdims=True)).astype(np.float32)
    rows = np.tile(np.arange(20), (60, 1))
    return Lesson(Candidates(rows, rows >= 0, features, random.normal(size=(60, len(CONTEXT))).astype(np.float32)), taken)


def test_the_profilers_ranker_is_the_one_that_was_trained() -> None:
    taught = lesson()
    ranker = train_ranker([taught], seed=1)
    file = as_file(ranker, [taught])
    served = read_ranker(file.model_dump_json(), RankWeights())
    assert isinstance(served, LearnedRanker) and served.wants_details
    own, more = taught.candidates.features[:, :, : len(FEATURES)], taught.candidates.features[:, :, len(FEATURES) :]
    found = served.scores(own, (more, taught.candidates.context))
    np.testing.assert_allclose(found, ranker.scores(taught.candidates) * file.spread, rtol=1e-3, atol=1e-4)
    assert (found.argmax(axis=1) == taught.taken.argmax(axis=1)).mean() > 0.4


def test_what_was_never_seen_in_training_counts_as_in_the_plain_ranker_and_rules_always_do() -> None:
    taught = lesson()
    profile, boost = FEATURES.index("profile"), FEATURES.index("boost")
    taught.candidates.features[:, :, profile] = 0
    taught.candidates.context[:, CONTEXT.index("has_profile")] = 0
    file = as_file(train_ranker([taught], seed=1), [taught])
    assert file.unseen == ["profile", "boost"]
    served, weights = read_ranker(file.model_dump_json(), RankWeights()), RankWeights()
    features = taught.candidates.features[:2].copy()
    own, more = features[:, :, : len(FEATURES)], features[:, :, len(FEATURES) :]
    before = served.scores(own, (more, taught.candidates.context[:2])).copy()
    own[:, 3, profile], own[:, 4, boost] = 0.5, own[:, 4, boost] + 2
    context = taught.candidates.context[:2].copy()
    context[:, CONTEXT.index("has_profile")] = 1
    after = served.scores(own, (more, context))
    np.testing.assert_allclose(after[:, 3] - before[:, 3], 0.5 * weights.profile, atol=1e-4)
    assert (after[:, 4] > before[:, 4] + 1).all()
    np.testing.assert_allclose(np.delete(after, [3, 4], axis=1), np.delete(before, [3, 4], axis=1), atol=1e-4)


def test_without_a_ranker_the_plain_one_ranks() -> None:
    assert isinstance(read_ranker("", RankWeights()), PlainRanker)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file.update(features=["similarity"]), "layers|size"),
        (lambda file: file.update(features=[*file["features"][1:], "other"]), "other features"),
        (lambda file: file.update(context=[*file["context"][1:], "other"]), "other context"),
        (lambda file: file["members"][0].update(last=[1.0]), "layers of a member"),
        (lambda file: file["members"][0]["first"][0].append(1.0), "layers of a member"),
        (lambda file: file["feature_scaling"]["deviation"].__setitem__(0, 0.0), "greater than 0"),
        (lambda file: file.update(members=[]), "at least 1"),
        (lambda file: file.update(format=2), "format"),
    ],
)
def test_a_ranker_that_does_not_fit_is_refused_with_what_to_do(change, said: str) -> None:
    file = json.loads(as_file(train_ranker([lesson()], seed=1), [lesson()]).model_dump_json())
    change(file)
    with pytest.raises(ConfigError, match=said) as refused:
        read_ranker(json.dumps(file), RankWeights())
    assert "portrait train" in str(refused.value)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_ranker("no ranker", RankWeights())


@pytest.mark.parametrize(("default", "learned_from"), [(True, {"said nothing", "agreed"}), (False, {"agreed"})])
def test_only_those_are_learned_from_who_consent_to_recommendations(default: bool, learned_from: set[str]) -> None:
    hidden = Hidden({}, {"agreed": True, "withdrew": False}, default)
    users = ("said nothing", "agreed", "withdrew")
    assert {user for user in users if not hidden.covers(UserAttributes(user_id=user, updated_at_ms=1))} == learned_from
    assert not hidden.covers(item(0, 0))


def test_a_folder_that_describes_too_few_items_is_refused() -> None:
    few = dict(list(recorded().items.items())[:5])
    with pytest.raises(ConfigError, match="describes 5 items"):
        read_material(replace(recorded(), items=few), encode)


@pytest.fixture
def project(tmp_path: Path) -> Settings:
    return Settings(runtime=RuntimeSettings(folder=tmp_path))


def interrupted(written: int) -> None:
    raise KeyboardInterrupt(written)


def test_a_version_is_there_whole_or_not_at_all(project: Settings) -> None:
    versions = EncoderVersions.of(project)
    assert (versions.learned, versions.active) == ([], PLAIN)
    with pytest.raises(KeyboardInterrupt), versions.being_made() as (_, folder):
        interrupted((folder / ENCODER).write_bytes(b"half"))
    assert versions.learned == [] and list(versions.folder.iterdir()) == []
    with versions.being_made() as (number, folder):
        (folder / ENCODER).write_bytes(b"whole")
    assert number == 2 and versions.learned == [2] and versions.active == PLAIN
    assert (versions.path(2) / "model.py").is_file()


def test_the_version_before_is_remembered(project: Settings) -> None:
    versions, said = EncoderVersions.of(project), list[str]()
    for _ in range(2):
        with versions.being_made():
            pass
    activate(2, project, said.append)
    activate(3, project, said.append)
    activate(3, project, said.append)
    assert (versions.active, versions.previous) == (3, 2)
    activate(versions.previous, project, said.append)
    assert (versions.active, versions.previous) == (2, 3)
    assert "portrait up" in said[-1]


def test_a_version_for_other_tensors_is_refused(project: Settings) -> None:
    versions = EncoderVersions.of(project)
    with versions.being_made() as (number, _):
        pass
    (versions.path(number) / TENSORS).write_text("HISTORY_VECTORS HISTORY_TYPES")
    with pytest.raises(ConfigError, match="other tensors than are in use now"):
        activate(number, project, print)
    assert versions.active == PLAIN


def test_a_version_that_is_not_there_is_refused(project: Settings) -> None:
    with pytest.raises(ConfigError, match="no version 7; there are 1"):
        activate(7, project, print)
    (EncoderVersions.of(project).folder).mkdir(parents=True)
    (EncoderVersions.of(project).folder / "active").write_text("newest")
    with pytest.raises(ConfigError, match="portrait models activate"):
        _ = EncoderVersions.of(project).active


def test_plain_sequences_are_material_cut_by_leaving_one_out(tmp_path: Path) -> None:
    lines = [f"u{user} " + " ".join(f"i{(user + step) % 24}" for step in range(6)) for user in range(30)]
    (tmp_path / "sequences.txt").write_text("\n".join(lines))
    (tmp_path / "item_attributes.json").write_text(json.dumps({f"i{item}": [f"group{item % 3}"] for item in range(24)}))
    made = read_material(from_dataset(open_dataset(tmp_path)), encode)
    assert made.item_vectors.any(axis=1).all() and {len(own) for own in made.tags_of} == {1}
    protocol, windows = newest_windows(made, repeats=False)
    assert protocol == "leave-one-out" and [len(window.users) for window in windows] == [30, 30]
    replayed = Replayed(windows[0].train, made, Settings(), encode)
    assert (replayed.rows >= 0).all() and {len(state.events) for state in replayed.states} == {5}


def test_where_too_little_was_done_for_two_windows_one_teaches() -> None:
    world = material().recorded
    events = world.interactions
    first_two = events.part(np.arange(len(events)) % EVENTS < 2)
    little = read_material(replace(world, interactions=first_two), encode)
    protocol, windows = newest_windows(little, repeats=False)
    assert len(windows) == 1 and len(windows[0].users) > 0, protocol
