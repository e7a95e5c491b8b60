"""Lists joined with what was seen and clicked of them, and estimates held against the truth."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from deploy.feedback.estimators import (
    as_logged,
    as_ranked,
    at_random,
    by_search,
    examination,
    policy_value,
    popular_first,
    reordered_value,
    reversed_order,
)
from deploy.feedback.log_source import PolicyLog
from deploy.feedback.run import figures, run
from deploy.feedback.shown_lists import Joined, ShownItem, ShownList, joined
from schemas.errors import ConfigError
from schemas.messages import BehaviorEvent, Impression, Recommendations
from schemas.messages import ShownItem as SeenItem
from tests.unit.feedback_world import LOOKED_AT, NOW_MS, PLACES, World

HOUR_S = 3600.0
ROUNDS = 60


@pytest.fixture(scope="module")
def world() -> World:
    return World(explore=0.3)  # of 5 places: 1 or 2


@pytest.fixture(scope="module")
def log(world: World) -> tuple[list[Recommendations], list[Impression], list[BehaviorEvent]]:
    return world.shown(ROUNDS)


@pytest.fixture(scope="module")
def seen(log: tuple[list[Recommendations], list[Impression], list[BehaviorEvent]]) -> Joined:
    return joined(*log, HOUR_S)


def test_every_list_and_click_is_joined(log: tuple, seen: Joined) -> None:
    lists, _, events = log
    assert len(seen.lists) == len(lists) and not seen.left_out
    assert sum(item.clicked for one in seen.lists for item in one.items) == len(events)
    assert {one.places for one in seen.lists} == {PLACES}


def test_the_logging_policy_is_worth_what_was_observed(seen: Joined) -> None:
    observed = sum(item.clicked for one in seen.lists for item in one.items) / len(seen.lists)
    value = policy_value(seen.lists, as_logged, PLACES)
    assert value.ips.mean == pytest.approx(observed) == pytest.approx(value.snips.mean)
    assert value.covered == 1 and value.cut == 0


def test_other_policies_are_worth_what_they_truly_are_and_counting_alone_is_wrong(world: World, seen: Joined) -> None:
    truth = world.true_values()
    random = policy_value(seen.lists, at_random(seen.lists), PLACES)
    assert random.snips.low < truth["all by chance"] < random.snips.high
    assert random.ips.low < truth["all by chance"] < random.ips.high
    by_counting = PLACES * clicks_of(seen, explored=True)
    assert by_counting == pytest.approx(truth["all by chance"], rel=0.1)  # what is drawn stands everywhere alike
    ranked = policy_value(seen.lists, as_ranked, PLACES)
    assert ranked.covered == 1 - 1 / PLACES  # some place was always left to chance, so the last one never was as ranked
    reachable = truth["ranked, nothing by chance"] - last_place_worth(world)
    assert ranked.snips.low < reachable < ranked.snips.high
    assert ranked.ips.low < reachable < ranked.ips.high
    naive = PLACES * clicks_of(seen, explored=False)
    assert not ranked.snips.low < naive < ranked.snips.high


def clicks_of(seen: Joined, explored: bool) -> float:
    return float(np.mean([item.clicked for one in seen.lists for item in one.items if item.explored == explored]))


def last_place_worth(world: World) -> float:
    ranked = World(0.0).lists(0)
    return float(np.mean([LOOKED_AT[-1] * world.appeal(user, made.items[-1].item_id) for user, made in enumerate(ranked)]))


def test_how_much_a_place_does_is_found(seen: Joined) -> None:
    curve = examination(seen.lists, PLACES)
    assert [value and value.mean for value in curve] == pytest.approx(list(LOOKED_AT), abs=0.09)
    inside = [value is not None and value.low <= LOOKED_AT[place] <= value.high for place, value in enumerate(curve)]
    assert sum(inside) >= 4  # each misses the truth once in twenty


def test_what_is_pinned_stays_where_everything_else_is_drawn() -> None:
    pinned = ShownItem("pin", 0, 1.0, False, True, True)
    drawn = ShownItem("a", 1, 0.5 / 40, True, False, False)
    ranked = ShownItem("b", 1, 0.5, False, True, True)
    lists = [ShownList("u", 2, NOW_MS, [pinned, drawn]), ShownList("v", 2, NOW_MS, [pinned, ranked])]
    chance = at_random(lists)
    assert [chance(lists[0], item) for item in (pinned, drawn, ranked)] == [1.0, pytest.approx(1 / 40), 0.0]
    assert policy_value(lists, chance, 2).ips.mean == pytest.approx(1.0)  # the pinned one is clicked, what is drawn is not


def test_clicks_are_told_by_what_proposed_an_item(seen: Joined) -> None:
    found = by_search(seen.lists)
    drawn = [item for one in seen.lists for item in one.items if item.explored]
    assert found["exploration"] == (len(drawn), sum(item.clicked for item in drawn))
    assert all(item.sources for one in seen.lists for item in one.items)
    pair = [ShownItem(name, 0, 1.0, False, True, name == "a", (*name, "both")) for name in "ab"]
    assert by_search([ShownList("u", 2, NOW_MS, pair)]) == {"both": (2, 1), "a": (1, 1), "b": (1, 0)}


def test_the_largest_weight_is_told_before_it_is_cut() -> None:
    rare, common = (ShownItem(name, 0, chance, False, True, True) for name, chance in (("a", 1e-4), ("b", 0.5)))
    value = policy_value([ShownList("u", 1, NOW_MS, [rare]), ShownList("v", 1, NOW_MS, [common])], as_ranked, 1)
    assert (value.largest_weight, value.cut) == (10_000, 1) and value.ips.mean == pytest.approx((1000 + 2) / 2)


def test_the_same_items_in_another_order_are_worth_what_they_truly_are(world: World, seen: Joined) -> None:
    value = reordered_value(seen.lists, reversed_order, PLACES)
    assert value.low < world.true_values()["reversed"] < value.high
    assert reordered_value(seen.lists, lambda one: [item.position for item in one.items], PLACES).mean == pytest.approx(
        policy_value(seen.lists, as_logged, PLACES).ips.mean
    )


def test_popular_items_come_first() -> None:
    one = ShownList("u", 3, NOW_MS, [ShownItem(name, place, 1.0, False, True, False) for place, name in enumerate("abc")])
    assert popular_first({"c": 5, "b": 1})(one) == [2, 1, 0]
    assert popular_first({})(one) == [0, 1, 2]


def test_an_event_without_a_list_clicks_the_newest_list_that_had_the_item(log: tuple) -> None:
    lists, impressions, _ = log
    of_one = [one for one in impressions if one.user_id == "u5"]
    item_id = of_one[0].items[0].item_id
    holding = [one for one in of_one if item_id in {item.item_id for item in one.items}]
    click = {"event_id": "x", "user_id": "u5", "item_id": item_id, "type": "click"}
    within = BehaviorEvent(**click, event_time_ms=holding[-1].shown_at_ms + 1000)
    found = joined(lists, impressions, [within], HOUR_S)
    clicked = [one for one in found.lists if any(item.clicked for item in one.items)]
    assert len(clicked) == 1 and clicked[0].shown_at_ms == holding[-1].shown_at_ms
    late = within.model_copy(update={"event_time_ms": holding[-1].shown_at_ms + 2 * 3_600_000})
    before = within.model_copy(update={"event_time_ms": of_one[0].shown_at_ms - 1})
    skipped = within.model_copy(update={"type": "skip"})
    other = within.model_copy(update={"user_id": "nobody"})
    for event in (late, before, skipped, other):
        found = joined(lists, impressions, [event], HOUR_S)
        assert not any(item.clicked for one in found.lists for item in one.items), event


def test_what_cannot_be_judged_is_left_out_and_counted(log: tuple) -> None:
    lists, impressions, _ = log
    first = impressions[0]
    wrong = [
        first.model_copy(update={"impression_id": "again", "shown_at_ms": first.shown_at_ms + 5}),
        first.model_copy(update={"list_id": "unknown"}),
        first.model_copy(update={"list_id": impressions[1].list_id}),
        first.model_copy(update={"list_id": impressions[2].list_id, "user_id": impressions[2].user_id, "surface": "home"}),
    ]
    found = joined(lists, [first, *wrong], [], HOUR_S)
    assert len(found.lists) == 1
    assert sorted(found.left_out) == [
        "of a list seen before",
        "of a list that is no longer in the topic",
        "of another surface than the main list",
        "of another user's list",
    ]
    moved = first.model_copy(update={"items": [SeenItem(item_id=first.items[0].item_id, position=2), first.items[1]]})
    found = joined(lists, [moved], [], HOUR_S)
    assert [item.position for item in found.lists[0].items] == [1]
    assert found.left_out == {"items that the list did not have there": 1}


def test_lists_of_a_surface_are_judged_by_themselves(log: tuple) -> None:
    lists, impressions, _ = log
    of_home = [
        one.model_copy(update={"surfaces": {"home": one.items[::-1]}, "items": one.items[:2], "list_id": f"h{one.list_id}"})
        for one in lists[:20]
    ]
    seen = [
        one.model_copy(
            update={
                "impression_id": f"h{one.impression_id}",
                "list_id": f"h{one.list_id}",
                "surface": "home",
                "items": [SeenItem(item_id=item.item_id, position=place) for place, item in enumerate(one.items[::-1])],
            }
        )
        for one in impressions[:20]
    ]
    click = {"event_id": "x", "user_id": seen[0].user_id, "type": "click", "list_id": seen[0].list_id}
    item_id, at_ms = seen[0].items[0].item_id, seen[0].shown_at_ms
    here = BehaviorEvent(**click, item_id=item_id, event_time_ms=at_ms, surface="home")
    anywhere = here.model_copy(update={"surface": "the app"})
    sidebar = here.model_copy(update={"surface": "sidebar"})
    two = [one.model_copy(update={"surfaces": {**one.surfaces, "sidebar": one.surfaces["home"]}}) for one in of_home]
    beside = [one.model_copy(update={"surface": "sidebar", "impression_id": f"s{one.impression_id}"}) for one in seen]
    for event, where in ((here, "home"), (anywhere, "home"), (sidebar, "sidebar")):
        for listless in (event, event.model_copy(update={"list_id": None})):
            clicked = {}
            for name in ("home", "sidebar"):
                found = joined(two, [*beside, *seen], [listless], HOUR_S, name)
                assert len(found.lists) == 20 and found.left_out == {f"of another surface than {name}": 20}
                assert {one.places for one in found.lists} == {PLACES}
                assert [item.propensity for item in found.lists[0].items] == [item.propensity for item in lists[0].items[::-1]]
                clicked[name] = sum(item.clicked for one in found.lists for item in one.items)
            assert sum(clicked.values()) == 1 and (event is anywhere or clicked[where] == 1)
    alone = joined(two, seen, [sidebar], HOUR_S, "home")
    assert sum(item.clicked for one in alone.lists for item in one.items) == 1, "nothing was seen on the surface it names"
    assert not joined(two, seen, [here], HOUR_S, "nowhere").lists


def test_without_chance_everything_has_propensity_one_and_nothing_is_said_of_places() -> None:
    seen = joined(*World(0.0).shown(2), HOUR_S)
    assert {item.propensity for one in seen.lists for item in one.items} == {1.0}
    assert examination(seen.lists, PLACES) == [None] * PLACES
    observed = policy_value(seen.lists, as_logged, PLACES).ips.mean
    assert reordered_value(seen.lists, reversed_order, PLACES).mean == pytest.approx(observed)


def test_the_command_reads_a_folder_and_counts_what_is_malformed(
    log: tuple, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, messages in zip(("recommendations", "impressions", "events"), log, strict=True):
        lines = [message.model_dump_json() for message in messages]
        (tmp_path / f"{name}.jsonl").write_text("\n".join([*lines, "{broken", ""]))
    run(tmp_path, HOUR_S, 0)
    output = capsys.readouterr().out
    report = json.loads(output.strip().splitlines()[-1])
    assert report["report"] == "eval-policy" and report["lists"] == len(log[0])
    assert report["left_out"] == {f"malformed in {name}.jsonl": 1 for name in ("recommendations", "impressions", "events")}
    assert report["policies"]["as logged"]["ips"] == report["policies"]["as logged"]["snips"]
    assert len(report["examination"]) == PLACES and report["examination"][0]["mean"] == 1
    assert "looked at" in output and "ranked, nothing by chance" in output


def test_a_log_that_says_nothing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recommendations\.jsonl"):
        run(tmp_path, HOUR_S, 0)
    for name in ("recommendations", "impressions", "events"):
        (tmp_path / f"{name}.jsonl").write_text("")
    with pytest.raises(ConfigError, match="docs/feedback"):
        run(tmp_path, HOUR_S, 0)


def test_lists_that_left_nothing_to_chance_say_nothing_of_chance(log: tuple, seen: Joined) -> None:
    before = joined(*World(0.0).shown(2), HOUR_S)
    assert {one.left_to_chance for one in seen.lists} == {True} and {one.left_to_chance for one in before.lists} == {False}
    alone = figures(seen, PolicyLog(*log, Counter()), 0)
    mixed = figures(Joined([*before.lists, *seen.lists]), PolicyLog(*log, Counter()), 0)
    for policy in ("ranked, nothing by chance", "all by chance"):
        assert mixed["policies"][policy] == alone["policies"][policy]
