"""Interests and statements: what holds of a user, and why."""

from collections.abc import Mapping

from consumers.statements.interests import Interest, InterestRules, event_weights, interests, tag_weights
from consumers.statements.main_interests import main_interests
from consumers.statements.statements import clean, statements
from schemas.messages import EventType, Trend
from schemas.settings import FoldSettings
from schemas.state import Attributes, HistoryEvent, UserState
from tests.unit.profile_cases import Happened, item, state_of

RULES = InterestRules(FoldSettings().type_weights, half_life_h=10.0)
CATALOGUE = {
    "run": item("run", "sports", title="Trail Shoes"),
    "ball": item("ball", "sports", title="Match Ball"),
    "scary": item("scary", "horror", "film", title="Night Terror"),
    "pan": item("pan", "cooking", title="Iron Pan"),
    "drama": item("drama", "film", title="Quiet Rooms"),
}


def test_weight_is_shared_over_tags_and_halves_with_age() -> None:
    state = UserState(events=[HistoryEvent(0, "e1", "scary", "like"), HistoryEvent(36_000_000, "e2", "run", "like")])
    found = interests(state, CATALOGUE, RULES)
    assert found["sports"].weight == 3.0
    assert found["horror"].weight == found["film"].weight == 0.75


def test_evidence_is_what_speaks_for_the_outcome_newest_first_and_bounded() -> None:
    liked: list[Happened] = [(f"e{number}", "like", "run") for number in range(9)]
    found = interests(state_of(*liked, ("bad", "dislike", "ball")), CATALOGUE, RULES)
    assert found["sports"].evidence == ("event:e8", "event:e7", "event:e6", "event:e5", "event:e4")


def test_low_stars_count_against() -> None:
    state = UserState(events=[HistoryEvent(0, "e1", "scary", "rating", 1.0)])
    assert interests(state, CATALOGUE, RULES)["horror"][:2] == (-2.0, ("event:e1",))


def test_an_edit_wins_over_a_thousand_clicks() -> None:
    state = state_of(*[(f"e{number}", "purchase", "run") for number in range(1000)])
    state.edits = {"Sports": "not_interested", "opera": "interested"}
    found = interests(state, CATALOGUE, RULES)
    assert found["sports"].weight < 0 and found["sports"].evidence == ("field:edits",)
    assert found["opera"].weight > 0
    said = {(statement.stance, statement.topic) for statement in statements(state, CATALOGUE, RULES)}
    assert said == {("likes", "opera"), ("dislikes", "sports")}  # nor is a title of that tag shown


def test_muted_tags_and_items_are_in_no_statement() -> None:
    state = state_of(("e1", "like", "run"), ("e2", "like", "scary"), ("e3", "like", "pan"))
    state.muted_tags, state.muted_items = ["HORROR"], ["pan"]
    topics = {statement.topic for statement in statements(state, CATALOGUE, RULES)}
    assert topics == {"sports", "cooking", "Trail Shoes"}
    state.events.append(HistoryEvent(state.events[-1].event_time_ms, "e4", "drama", "like"))
    topics = {statement.topic for statement in statements(state, CATALOGUE, RULES)}
    assert topics == {"sports", "film", "cooking", "Trail Shoes", "Quiet Rooms"}  # it is no longer from horror alone


def test_a_glance_says_nothing() -> None:
    looks = UserState(events=[HistoryEvent(0, "e1", "run", "view", 14.9), HistoryEvent(1, "e2", "pan", "view", 15.0)])
    assert list(interests(looks, CATALOGUE, RULES)) == ["cooking"]


def test_refusals_in_a_row_that_share_a_tag_are_about_that_tag() -> None:
    def film_after(*kinds: EventType) -> float:
        events = [HistoryEvent(0, f"like{at}", "drama", "favorite") for at in range(25)]
        events += [HistoryEvent(0, f"then{at}", "scary", kind) for at, kind in enumerate(kinds)]
        return tag_weights(UserState(events=events), CATALOGUE, RULES)["film"]

    no = "not_interested"  # of an item with two tags: a quarter goes, then a half
    assert [film_after(), film_after(no), film_after(no, no), film_after(no, no, no)] == [100.0, 72.0, 33.0, 13.5]
    assert film_after(no, "view", no) > 50.0  # not in a row


def test_declared_tags_and_fields_are_their_own_evidence() -> None:
    attributes = Attributes(0, age=25, gender="male", occupation="other", tags=["旅游", "旅游"])
    found = statements(UserState(attributes=attributes), CATALOGUE, RULES)
    assert [(s.topic, s.value, s.evidence) for s in found] == [
        ("旅游", None, ["field:tags"]),
        ("age", "25", ["field:age"]),
        ("gender", "male", ["field:gender"]),
    ]
    assert found[0].strength == 0.5


def test_viewed_titles_are_distinct_newest_first_and_never_turned_down_ones() -> None:
    looked: list[Happened] = [("e1", "view", "run"), ("e2", "view", "pan"), ("e4", "view", "run"), ("e5", "view", "unknown")]
    state = state_of(*looked, ("e6", "not_interested", "scary"))
    viewed = [s for s in statements(state, CATALOGUE, RULES) if s.stance == "viewed"]
    assert [(s.topic, s.evidence) for s in viewed] == [("Trail Shoes", ["event:e4", "event:e1"]), ("Iron Pan", ["event:e2"])]


def test_one_skip_is_no_dislike() -> None:
    assert not [s for s in statements(state_of(("e1", "skip", "scary")), CATALOGUE, RULES) if s.stance == "dislikes"]


def test_hostile_titles_become_one_short_plain_line() -> None:
    assert clean("a\x00\x1b[31m\r\n<|im_end|><<||>|>\u202eb\u200b  c") == "a[31m im_end<b c"
    assert len(clean("x" * 500)) == 80
    assert clean("\u200b\x07") == ""


def test_an_edit_that_events_contradict_rests_on_nothing_else() -> None:
    state = state_of(("e1", "dislike", "run"), ("e2", "like", "ball"), ("e3", "not_interested", "run"))
    state.edits = {"SPORTS": "interested"}
    state.attributes = Attributes(0, tags=["sports"])
    assert interests(state, CATALOGUE, RULES)["sports"][:4] == (8.0, ("field:edits",), 1.0, "reversed")
    state.events.append(HistoryEvent(state.events[-1].event_time_ms, "e4", "ball", "purchase"))
    found = interests(state, CATALOGUE, RULES)["sports"]
    assert found.weight > 8.0 and found.evidence == ("field:edits", "field:tags", "event:e4", "event:e2")


def test_weights_alone_are_the_interests_without_their_evidence() -> None:
    state = state_of(("e1", "like", "scary"), ("e2", "dislike", "run"), ("e3", "view", "pan"), ("e4", "view", "unknown"))
    state.attributes = Attributes(0, tags=["opera", "cooking"])
    state.edits, state.muted_tags = {"Horror": "not_interested", "chess": "interested"}, ["FILM"]
    found = interests(state, CATALOGUE, RULES)
    assert found.keys() == {"horror", "sports", "cooking", "opera", "chess"}
    assert tag_weights(state, CATALOGUE, RULES) == {tag: interest.weight for tag, interest in found.items()}
    assert tag_weights(state, CATALOGUE, RULES, event_weights(state, RULES)) == tag_weights(state, CATALOGUE, RULES)
    assert all(interest.evidence for interest in found.values())


OUTDOORS = {
    **{f"hike{at}": item(f"hike{at}", "outdoors", "hiking") for at in range(30)},
    **{f"song{at}": item(f"song{at}", "music") for at in range(30)},
}


def trends_after(songs: int, glances: int = 0, edits: Mapping[str, str] = {}) -> dict[str, str | None]:
    """Six hikes liked and six songs heard in turn, three hours apart; then so many songs, and glances at hikes."""
    item_ids = [f"{kind}{at}" for at in range(6) for kind in ("hike", "song")] + [f"song{6 + at}" for at in range(songs)]
    events = [
        HistoryEvent(at * 10_800_000, f"e{at}", item_id, "like" if item_id.startswith("hike") else "play")
        for at, item_id in enumerate(item_ids)
    ]
    events += [HistoryEvent(events[-1].event_time_ms, f"glance{at}", f"hike{20 + at}", "view", 4.0) for at in range(glances)]
    state = UserState(events=events, edits=dict(edits))
    rules = InterestRules(FoldSettings().type_weights, half_life_h=24.0 * 14)
    return {one.topic: one.trend for one in statements(state, OUTDOORS, rules) if one.stance == "likes"}


def test_a_like_that_has_been_quiet_for_ten_events_fades() -> None:
    assert trends_after(songs=0) == {"hiking": "steady", "music": "steady"}
    assert trends_after(songs=10)["hiking"] == "fading"
    assert trends_after(songs=6, glances=4)["hiking"] == "fading"
    assert trends_after(songs=10, edits={"hiking": "interested"})["hiking"] != "fading"  # they say it now


def hiking_trend(kinds: str) -> Trend | None:
    """The trend of hiking after these events, three hours apart: h is a hike liked, s a song heard."""
    events = [
        HistoryEvent(at * 10_800_000, f"e{at}", f"{'hike' if kind == 'h' else 'song'}{at}", "like" if kind == "h" else "play")
        for at, kind in enumerate(kinds)
    ]
    catalogue = {event.item_id: item(event.item_id, "hiking" if "hike" in event.item_id else "music") for event in events}
    rules = InterestRules(FoldSettings().type_weights, half_life_h=24.0 * 14)
    return interests(UserState(events=events), catalogue, rules)["hiking"].trend


def test_ten_quiet_events_fade_a_like_that_the_newest_third_of_a_long_history_would_still_call_steady() -> None:
    kept_up = "s" * 20 + "h" * 14  # then 14 events are the newest third of 44, and four of them are hikes
    assert [hiking_trend(kept_up + "s" * quiet) for quiet in (6, 10)] == ["steady", "fading"]


def test_four_quiet_events_are_the_newest_third_of_a_short_history_and_fade_nothing() -> None:
    assert [hiking_trend("hs" * 4 + "s" * quiet) for quiet in (4, 6, 10)] == ["steady", "steady", "fading"]


def test_a_like_met_seldom_has_to_be_quiet_for_longer() -> None:
    seldom = "ssssh" * 7
    assert [hiking_trend(seldom + "s" * quiet) for quiet in (10, 15, 20)] == ["steady", "steady", "fading"]


def test_what_is_done_to_one_item_in_a_row_is_one_visit() -> None:
    def trend_of_hiking(hikes: int) -> Trend:
        """Six songs, a hike and five songs, each of them once; then ten songs. Each hike's visit has so many events."""
        ids = [f"song{at}" for at in range(6)] + ["hike0"] * hikes + [f"song{at}" for at in range(6, 11)]
        ids += [f"song{at}" for at in range(11, 21)]
        events = [HistoryEvent(at * 10_800_000, f"e{at}", item_id, "like") for at, item_id in enumerate(ids)]
        return interests(UserState(events=events), OUTDOORS, RULES)["hiking"].trend

    assert [trend_of_hiking(hikes) for hikes in (1, 9)] == ["steady", "steady"]  # nine visits would have faded


def test_coming_back_to_an_item_is_another_visit() -> None:
    ids = ["hike0", "song0", "hike0", "song1"] * 4 + [f"song{at}" for at in range(2, 12)]
    events = [HistoryEvent(at * 10_800_000, f"e{at}", item_id, "like") for at, item_id in enumerate(ids)]
    assert interests(UserState(events=events), OUTDOORS, RULES)["hiking"].trend == "fading"


def taken_of(
    found: Mapping[str, Interest], explained: frozenset[str] = frozenset(), least_share: float = 0.25
) -> dict[str, str]:
    """The trends of the main ones of some likes."""
    taken = main_interests(found, most=5, least=0.25, least_share=least_share, explained=explained)
    return {tag: str(interest.trend) for tag, interest in taken.items()}


def a_like(trend: Trend, events: str, weight: float, *, came: bool = False, wanes: bool = False) -> Interest:
    """A like that these events support alike, named by a letter each."""
    return Interest(weight, (), 0.9, trend, {event: weight / len(events) for event in events}, came=came, wanes=wanes)


def test_what_wanes_fades_when_another_came() -> None:
    for came in (False, True):
        found = {"jazz": a_like("steady", "ab", 4, wanes=True), "chess": a_like("new", "cd", 4, came=came)}
        assert taken_of(found) == {"chess": "new", "jazz": "fading" if came else "steady"}


def test_what_came_is_explained_by_what_came_with_it_only() -> None:
    found = {"careers": a_like("steady", "abcdef", 6), "technology": a_like("new", "ef", 0.5, came=True)}
    assert set(taken_of(found)) == {"careers", "technology"}
    without = found | {"technology": a_like("new", "ef", 0.5)}
    assert set(taken_of(without)) == {"careers"}
    along = {"physics": a_like("new", "ef", 2, came=True), "technology": a_like("new", "ef", 0.5, came=True)}
    assert set(taken_of(along)) == {"physics"}


def test_what_came_is_not_held_against_the_strongest() -> None:
    for came in (False, True):
        found = {"careers": a_like("steady", "abcdef", 40), "chess": a_like("new", "gh", 1, came=came)}
        assert ("chess" in taken_of(found)) is came


def test_what_rests_on_a_refused_interest_goes_with_it_unless_the_user_named_it() -> None:
    roses, tulips = a_like("steady", "abcde", 5), a_like("steady", "abxyz", 5)
    assert set(taken_of({"roses": roses, "tulips": tulips}, frozenset("abcd"))) == {"tulips"}
    named = roses._replace(word_share=1.0)
    assert set(taken_of({"roses": named}, frozenset("abcde"))) == {"roses"}


def hiking_after(kinds: str, kind_of_hikes: EventType = "like") -> Interest:
    """The interest in hiking after these events, an item each: h a hike, s a song liked."""
    ids = [f"{'hike' if kind == 'h' else 'song'}{at % 30}" for at, kind in enumerate(kinds)]
    types: list[EventType] = [kind_of_hikes if kind == "h" else "like" for kind in kinds]
    events = [HistoryEvent(at * 10_800_000, f"e{at}", *of) for at, of in enumerate(zip(ids, types, strict=True))]
    return interests(UserState(events=events), OUTDOORS, RULES)["hiking"]


def test_an_interest_came_when_chance_seldom_makes_it() -> None:
    before = "s" * 18
    found = [hiking_after(before + recent) for recent in ("ssssssssh", "sssshshsh", "hhhhhhhhh")]
    assert [one.trend for one in found] == ["new"] * 3
    assert [one.came for one in found] == [False, True, True]


def test_a_like_wanes_when_its_share_halved() -> None:
    found = [hiking_after("sssh" * 5 + recent) for recent in ("sssssssssss", "sshsshsshss")]
    assert [(one.trend, one.wanes) for one in found] == [("steady", True), ("steady", False)]
    assert not hiking_after("sssh" * 5 + "sssssssssss", "dislike").wanes


def test_an_interest_that_a_fading_one_explains_fades_with_it() -> None:
    def like(trend: Trend, **shares: float) -> Interest:
        return Interest(sum(shares.values()), (), 0.9, trend, shares)

    found = {
        "outdoors": like("fading", a=4, b=4, c=4),
        "hiking": like("steady", a=4, b=4, d=1),
        "jazz": like("steady", d=1, e=4),
    }
    taken = main_interests(found, most=5, least=0.25, least_share=0.1)
    assert {tag: interest.trend for tag, interest in taken.items()} == {
        "outdoors": "fading", "jazz": "steady", "hiking": "fading"
    }  # fmt: skip
