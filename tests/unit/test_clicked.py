"""What the ranker learns from lists that were seen."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consumers.lists.learned_ranker import read_ranker
from consumers.lists.ranking import FEATURES, RankWeights
from deploy.evaluation.models import UserEncoder
from deploy.feedback.shown_lists import ShownItem, ShownList, joined
from deploy.recs.ours.evidence import Candidates
from deploy.recs.ours.ranker import Lesson, train_ranker
from deploy.recs.split import Split
from deploy.training.clicked import (
    Clicked,
    LaterStates,
    _of_one_hour,
    clicked_first,
    clicked_lesson,
    clicks_told,
    taught,
)
from deploy.training.learning import Learner
from deploy.training.replayed import Replayed
from deploy.training.seen_lists import FILE, SeenLists
from schemas.errors import ConfigError
from schemas.settings import FoldSettings, Settings
from tests.unit.feedback_world import LOOKED_AT, NOW_MS, PLACES, World
from tests.unit.training_cases import QUICK, encode, material

ROUNDS = 24


@pytest.fixture(scope="module")
def world() -> World:
    return World(explore=0.5)


@pytest.fixture(scope="module")
def shown(world: World) -> SeenLists:
    return SeenLists(joined(*world.shown(ROUNDS), attribution_s=60).lists)


def window(cut_ms: int = NOW_MS - 1) -> Split:
    events = material().recorded.interactions
    return Split("time-cut", events, np.arange(1, dtype=np.int32), [events.items[:1]], True, cut_ms)


def lesson_of(world: World, shown: SeenLists, cut_ms: int = NOW_MS - 1, until_ms: int | None = None) -> Clicked | None:
    events = material().recorded.interactions
    return clicked_lesson(window(cut_ms), until_ms, shown, events, world.replayed, UserEncoder(), FoldSettings())


def test_a_lesson_is_what_the_live_path_told_of_what_was_shown(world: World, shown: SeenLists) -> None:
    found = lesson_of(world, shown)
    assert found is not None
    lists = shown.clicked_between(0, None)
    candidates, catalogue = found.lesson.candidates, world.replayed.catalogue
    assert len(candidates.items) == len(lists) > ROUNDS
    users = {user_id: place for place, user_id in enumerate(world.user_ids)}
    for row in range(0, len(lists), 97):
        one = lists[row]
        assert [catalogue.item_ids[item] for item in candidates.items[row]] == [item.item_id for item in one.items]
        assert found.places[row].tolist() == list(range(PLACES)) and candidates.there[row].all()
        state = world.replayed.states[users[one.user_id]]
        vectors, expected, _ = world.replayed.encoded([state], UserEncoder())
        [offered] = world.replayed.maker.offered([state], vectors, one.made_at_ms, [0], expected, candidates.items[[row]])
        places = [offered.candidates.rows[0].tolist().index(item) for item in candidates.items[row]]
        np.testing.assert_allclose(
            candidates.features[row, :, : len(FEATURES)], offered.features[0, places], rtol=1e-4, atol=1e-5
        )


def test_a_click_counts_by_how_little_its_place_is_looked_at(world: World, shown: SeenLists) -> None:
    looked_at = shown.looked_at
    assert looked_at is not None and (np.diff(looked_at) <= 0).all()
    np.testing.assert_allclose(looked_at, LOOKED_AT, atol=0.15)
    found = lesson_of(world, shown)
    assert found is not None
    clicked = np.array([[item.clicked for item in one.items] for one in shown.clicked_between(0, None)])
    np.testing.assert_allclose(found.lesson.taken, clicked / looked_at, rtol=1e-5)


def test_without_draws_a_click_counts_as_it_is(world: World, shown: SeenLists) -> None:
    ranked = SeenLists([replace(one, items=[replace(item, explored=False) for item in one.items]) for one in shown.lists])
    assert ranked.looked_at is None and SeenLists.none().looked_at is None
    found = lesson_of(world, ranked)
    assert found is not None and set(np.unique(found.lesson.taken)) == {0.0, 1.0}


def test_few_draws_say_little_of_a_place() -> None:
    def drawn(position: int, clicked: bool) -> ShownItem:
        return ShownItem("a", position, 0.5, True, False, clicked)

    lists = [ShownList(f"u{user}", 3, NOW_MS, [drawn(0, user < 1), drawn(1, False)]) for user in range(3)]
    looked_at = SeenLists(lists).looked_at
    assert looked_at is not None and 0.2 < looked_at[1] < 0.6 and looked_at[0] == 1
    many = [
        replace(one, items=[drawn(0, number % 2 == 0), drawn(2, number % 2 == 0)]) for number, one in enumerate(lists * 200)
    ]
    alike = SeenLists(many).looked_at
    assert alike is not None and alike[2] > 0.9


def test_lists_outside_the_window_and_windows_without_a_time_teach_nothing(world: World, shown: SeenLists) -> None:
    whole, early = lesson_of(world, shown), lesson_of(world, shown, until_ms=NOW_MS + 3)
    assert whole is not None and early is not None and len(early.places) < len(whole.places)
    assert lesson_of(world, shown, cut_ms=NOW_MS + ROUNDS) is None
    events = material().recorded.interactions
    untimed = replace(window(), cut_ms=None)
    assert clicked_lesson(untimed, None, shown, events, world.replayed, UserEncoder(), FoldSettings()) is None
    nobody = SeenLists([replace(one, user_id="stranger") for one in shown.lists])
    assert lesson_of(world, nobody) is None


def test_the_state_is_that_before_the_list_was_made(world: World, shown: SeenLists) -> None:
    events = material().recorded.interactions
    later = replace(events, times_ms=events.times_ms + 10 * (NOW_MS - int(events.times_ms.min())))
    same = clicked_lesson(window(), None, shown, later, world.replayed, UserEncoder(), FoldSettings())
    found = lesson_of(world, shown)
    assert same is not None and found is not None
    np.testing.assert_array_equal(same.lesson.candidates.context, found.lesson.candidates.context)
    before = replace(events, times_ms=np.full(len(events), NOW_MS - 1, np.int64))
    more = clicked_lesson(window(), None, shown, before, world.replayed, UserEncoder(), FoldSettings())
    assert more is not None  # the same events once more, by then: their ids are known, so nothing is folded twice
    np.testing.assert_array_equal(more.lesson.candidates.context[:, 0], found.lesson.candidates.context[:, 0])


def test_states_are_folded_on_from_where_the_replay_ended() -> None:
    world, settings = material(), Settings()
    events = world.recorded.interactions
    middle, end = int(np.median(events.times_ms)), int(events.times_ms.max()) + 1
    early = Replayed(events.part(events.times_ms < middle), world, settings, encode)
    whole, later = Replayed(events, world, settings, encode), LaterStates(early, events, middle, settings.fold)
    for user_id, user in later.users.items():
        state, expected = later.state(user, end), whole.states[user]
        assert [(one.event_time_ms, one.item_id) for one in state.events] == [
            (one.event_time_ms, one.item_id) for one in expected.events
        ], user_id
        assert state.items == expected.items and later.state(user, middle) == early.states[user]


def test_a_ranker_learns_what_is_clicked_and_not_where_it_stood(world: World, shown: SeenLists) -> None:
    """Clicks on what is unlike the user's own items, most of them at the first places."""
    found = lesson_of(world, shown)
    assert found is not None
    random, half = np.random.default_rng(3), len(found.places) // 2
    likeness = found.lesson.candidates.features[:, :, FEATURES.index("similarity")]
    unlike = likeness < np.median(likeness)
    looks = random.random(unlike.shape) < LOOKED_AT[found.places]
    clicked = looks & (random.random(unlike.shape) < np.where(unlike, 0.9, 0.05))
    taken = (clicked / LOOKED_AT[found.places]).astype(np.float32)
    teach, ask = (Lesson(part(found.lesson.candidates, rows), taken[rows]) for rows in (slice(half), slice(half, None)))
    truth = replace(ask, taken=unlike[half:].astype(np.float32))
    learned = clicked_first(truth, train_ranker([teach], seed=1).scores(ask.candidates))
    as_shown = clicked_first(truth, -found.places[half:].astype(np.float32))
    assert as_shown < 0.55 and learned > 0.9


def part(candidates: Candidates, rows: slice) -> Candidates:
    return Candidates(candidates.items[rows], candidates.there[rows], candidates.features[rows], candidates.context[rows])


def test_figures_compare_rankers_with_and_without_clicks(world: World, shown: SeenLists) -> None:
    newest, before = lesson_of(world, shown, NOW_MS + 6), lesson_of(world, shown, NOW_MS, NOW_MS + 6)
    assert newest is not None and before is not None
    told = clicks_told([newest, before], [before.lesson], seed=1)
    assert set(told["clicked_first"]) == {"as shown", "without clicks", "with clicks"}
    assert told["clicked_lists"] == {"taught": len(newest.places) + len(before.places), "asked": len(newest.places)}
    assert 0.5 < told["clicked_first"]["with clicks"] < 1
    assert clicks_told([newest, None], [], seed=1) == clicks_told([None, before], [], seed=1) == {}
    assert taught([None, before]) == [before.lesson]
    ordered = replace(before.lesson, taken=np.eye(1, PLACES, dtype=np.float32).repeat(len(before.places), axis=0))
    assert clicked_first(ordered, -before.places.astype(np.float32)) == 1
    assert clicked_first(ordered, before.places.astype(np.float32)) == 0
    assert clicked_first(ordered, np.zeros(before.places.shape, np.float32)) == 0.5
    nothing = replace(before.lesson, taken=np.zeros_like(before.lesson.taken))
    assert clicked_first(nothing, -before.places.astype(np.float32)) == 0.5, "no number that JSON does not know"


def test_a_learner_teaches_its_ranker_by_clicks_too(world: World, shown: SeenLists, tmp_path: Path) -> None:
    data = material()
    events, day_ms = data.recorded.interactions, 86_400_000
    first_ms = int(events.times_ms.min())

    def cut(days: float) -> Split:
        cut_ms = first_ms + round(days * day_ms)
        users = np.arange(0, len(events.user_ids), 3, dtype=np.int32)
        later = [events.items[(events.users == user) & (events.times_ms > cut_ms)][:1] for user in users]
        return Split("time-cut-new-items", events.part(events.times_ms < cut_ms), users, later, True, cut_ms)

    windows = [cut(6.5), cut(4.5)]
    lists = [
        replace(one, made_at_ms=first_ms + round((4.6 + 2.3 * place / 600) * day_ms))
        for place, one in enumerate(shown.lists[:600])
    ]
    recipe = replace(QUICK, schedule=replace(QUICK.schedule, epochs=3))
    found = Learner(data, Settings(), encode, recipe, SeenLists(lists)).learn(events, windows, tmp_path / "2")
    assert found["clicked_first"].keys() == {"as shown", "without clicks", "with clicks"}
    assert 0 < found["clicked_lists"]["asked"] < found["clicked_lists"]["taught"] <= 600 and found["ndcg10"]
    assert read_ranker((tmp_path / "2" / "ranker.json").read_text(), RankWeights()).wants_details


def test_a_folder_without_a_log_has_no_lists(tmp_path: Path) -> None:
    assert SeenLists.of_folder(tmp_path).lists == ()


def test_lists_that_were_written_are_read_again(shown: SeenLists, tmp_path: Path) -> None:
    shown.write(tmp_path)
    assert list(SeenLists.of_folder(tmp_path).lists) == list(shown.lists)
    SeenLists.none().write(tmp_path)
    assert list(SeenLists.of_folder(tmp_path).lists) == []
    (tmp_path / FILE).write_text('{"user_id": "ann"}\n')
    with pytest.raises(ConfigError, match=f"{FILE}, line 1 is no seen list"):
        SeenLists.of_folder(tmp_path)


def test_lists_are_told_of_as_of_their_own_hour(shown: SeenLists) -> None:
    hour_ms = 3_600_000
    lists = [replace(one, made_at_ms=hour_ms * (place // 5)) for place, one in enumerate(shown.lists[:12])]
    assert [len(few) for few in _of_one_hour(lists, 3)] == [3, 2, 3, 2, 2]


def test_clicks_on_what_is_gone_from_the_catalogue_teach_nothing(shown: SeenLists) -> None:
    emptied = World(explore=0.5)
    for item_id in {item.item_id for one in shown.clicked_between(0, NOW_MS + 2) for item in one.items if item.clicked}:
        emptied.replayed.catalogue.remove_item(item_id)
    assert len(emptied.replayed.catalogue) > 0
    assert lesson_of(emptied, shown, until_ms=NOW_MS + 2) is None
