"""Statements under any history: they follow from state and catalogue alone, rest on what supports them, and obey the user."""

from collections.abc import Callable

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from consumers.fold import fold
from consumers.lists.ranking import tag_taste
from consumers.statements.clean_text import clean
from consumers.statements.interests import InterestRules, interests, tag_weights
from consumers.statements.statements import statements
from consumers.statements.vocabulary import Vocabulary
from schemas.messages import EVENT_TYPES, BehaviorEvent, Domain, EditControl, Item, MuteControl, Statement, UserAttributes
from schemas.settings import FoldSettings
from schemas.state import Attributes, HistoryEvent, UserState, decode_state, encode_state
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS
from tests.unit.profile_cases import item
from tests.unit.statement_support import unsupported

HOUR_MS = 3_600_000
START_MS = 1_760_000_000_000
LATE_MS = START_MS + 10_000 * HOUR_MS
SETTINGS = FoldSettings()
RULES = InterestRules(SETTINGS.type_weights, half_life_h=24.0 * 14)

TAGS = ("chess", "hiking", "football", "Film", "足球", "美食", "旅游")
MAKERS = {"ecommerce": "brand", "video": "creator", "social": "author", "news": "outlet"}


def make_item(number: int) -> Item:
    domain: Domain = ("ecommerce", "video", "social", "news")[number % 4]  # type: ignore[assignment]
    tags = list(dict.fromkeys([TAGS[number % 7], TAGS[number // 7 % 7], "film" if number % 5 == 0 else TAGS[number % 3]]))
    attributes: dict[str, str | float | int | bool] = {MAKERS[domain]: f"Maker {number % 3}"}
    if domain == "ecommerce":
        attributes |= {"price": 10.0 + 7 * number, "currency": "EUR" if number % 8 else "CNY"}
    return Item(item_id=f"i{number}", domain=domain, title=f"Title {number}", tags=tags, attributes=attributes)


ITEMS = {f"i{number}": make_item(number) for number in range(40)} | {
    f"only-{tag}": Item(item_id=f"only-{tag}", domain="video", title=f"Only {tag}", tags=[tag]) for tag in TAGS
}
VOCABULARY = Vocabulary.of(ITEMS.values())
SAYINGS = (
    ("I love {}", 1), ("{}", 1), ("喜欢{}", 1), ("对{}感兴趣", 1),
    ("I don't like {}", -1), ("no longer into {}", -1), ("not into {} any more", -1), ("不再喜欢{}", -1), ("对{}没兴趣了", -1),
)  # fmt: skip
REMARKS = ("", "Lovely", "Not for me.", "不太适合我。")

Told = dict[str, dict[str, int]]


@st.composite
def events(draw: st.DrawFn) -> BehaviorEvent:
    kind = draw(st.sampled_from(EVENT_TYPES))
    item_id = draw(st.sampled_from(sorted(ITEMS)) | st.just("unknown"))
    return BehaviorEvent(
        event_id=f"e{draw(st.integers(0, 10**9))}",
        user_id="u",
        item_id=item_id,
        type=kind,
        event_time_ms=START_MS + draw(st.integers(0, 2000)) * HOUR_MS,
        value=draw(st.sampled_from([None, 1.0, 2.0, 4.0, 5.0])) if kind == "rating" else None,
        text=draw(st.sampled_from(REMARKS)) if kind == "comment" else None,
    )


@st.composite
def attributes(draw: st.DrawFn) -> tuple[UserAttributes, dict[str, int]]:
    """What a user declares, and what the free text in it says."""
    said = draw(st.dictionaries(st.sampled_from(TAGS), st.sampled_from(SAYINGS), max_size=3))
    return UserAttributes(
        user_id="u",
        updated_at_ms=START_MS + draw(st.integers(0, 2000)) * HOUR_MS,
        age=draw(st.none() | st.integers(0, 130)),
        tags=draw(st.lists(st.sampled_from([*TAGS, "opera"]), max_size=3)),
        answers=draw(st.dictionaries(st.sampled_from(TAGS), st.booleans(), max_size=3)),
        free_text=". ".join(way.format(tag) for tag, (way, _) in said.items()) or None,
    ), {tag: sign for tag, (_, sign) in said.items()}


@st.composite
def users(draw: st.DrawFn) -> tuple[UserState, Told]:
    """Any state, as the fold makes it, and what its texts say."""
    state = UserState()
    for event in draw(st.lists(events(), max_size=70)):
        fold(state, BEHAVIOR_EVENTS.name, event, SETTINGS)
    told: Told = {}
    if draw(st.booleans()):
        message, told["field:free_text"] = draw(attributes())
        fold(state, USER_ATTRIBUTES.name, message, SETTINGS)
    for topic, stance in draw(
        st.dictionaries(st.sampled_from(TAGS), st.sampled_from(["interested", "not_interested"]))
    ).items():
        control = EditControl(user_id="u", issued_at_ms=1, topic=topic.upper(), stance=stance)
        fold(state, USER_CONTROLS.name, control, SETTINGS)
    for tag in draw(st.lists(st.sampled_from(TAGS), max_size=2)):
        fold(state, USER_CONTROLS.name, MuteControl(user_id="u", issued_at_ms=1, target="tag", value=tag), SETTINGS)
    return state, told


def stated(state: UserState) -> list[Statement]:
    return statements(state, ITEMS, RULES, VOCABULARY)


def liked(state: UserState) -> set[str]:
    return {statement.topic.casefold() for statement in stated(state) if statement.stance == "likes"}


@given(users())
def test_every_piece_of_evidence_supports_its_statement(user: tuple[UserState, Told]) -> None:
    state, told = user
    for statement in stated(state):
        assert not unsupported(statement, state, ITEMS, told), statement


@given(users())
def test_state_and_catalogue_alone_decide(user: tuple[UserState, Told]) -> None:
    state, _ = user
    other_items = dict(reversed(ITEMS.items()))
    assert stated(state) == statements(
        decode_state(encode_state(state)), other_items, RULES, Vocabulary.of(other_items.values())
    )


@given(users())
def test_no_tag_is_muted_or_liked_and_disliked_at_once(user: tuple[UserState, Told]) -> None:
    state, _ = user
    topics = [s.topic.casefold() for s in stated(state) if s.stance in ("likes", "dislikes")]
    assert len(topics) == len(set(topics))
    assert not set(topics) & {tag.casefold() for tag in state.muted_tags}


@given(users())
def test_order_and_numbers_are_bounded(user: tuple[UserState, Told]) -> None:
    found = stated(user[0])
    order = ["likes", "dislikes", "is", "habit", "viewed"]
    places = [order.index(statement.stance) for statement in found]
    assert places == sorted(places) and len(found) <= 5 + 3 + 4 + 5 + 3
    assert all((statement.trend is not None) == (statement.stance in ("likes", "dislikes")) for statement in found)
    habits = [statement.topic for statement in found if statement.stance == "habit"]
    assert len(habits) == len(set(habits))


@given(users())
def test_lists_and_statements_go_by_the_same_weights(user: tuple[UserState, Told]) -> None:
    state, _ = user
    weights = tag_taste(tag_weights(state, ITEMS, RULES, None, VOCABULARY))
    for tag, interest in interests(state, ITEMS, RULES, VOCABULARY).items():
        if abs(interest.weight) > 1e-9 and tag.casefold() in weights:
            assert (weights[tag.casefold()] > 0) == (interest.weight > 0)


Revocation = Callable[[UserState, str], None]


def _edit(state: UserState, tag: str) -> None:
    control = EditControl(user_id="u", issued_at_ms=LATE_MS, topic=tag, stance="not_interested")
    fold(state, USER_CONTROLS.name, control, SETTINGS)


def _mute(state: UserState, tag: str) -> None:
    fold(state, USER_CONTROLS.name, MuteControl(user_id="u", issued_at_ms=LATE_MS, target="tag", value=tag), SETTINGS)


def _answer(state: UserState, tag: str) -> None:
    message = UserAttributes(user_id="u", updated_at_ms=LATE_MS, answers={tag: False}, tags=[tag])
    fold(state, USER_ATTRIBUTES.name, message, SETTINGS)


def _write(way: str) -> Revocation:
    def revoke(state: UserState, tag: str) -> None:
        message = UserAttributes(user_id="u", updated_at_ms=LATE_MS, free_text=way.format(tag))
        fold(state, USER_ATTRIBUTES.name, message, SETTINGS)

    return revoke


def _comment(way: str) -> Revocation:
    def revoke(state: UserState, tag: str) -> None:
        happen(state, "comment", f"only-{tag}", LATE_MS, text=way.format(tag))

    return revoke


REVOCATIONS: tuple[Revocation, ...] = (
    _edit, _mute, _answer,
    _write("I'm no longer into {}"), _write("not into {} any more"), _write("不再喜欢{}"), _write("对{}没兴趣了"),
    _comment("I'm not into {} any more"), _comment("no longer interested in {}"), _comment("不再喜欢{}了"),
    _comment("我对{}没兴趣了"),
)  # fmt: skip


def happen(state: UserState, kind: str, item_id: str, time_ms: int, text: str | None = None) -> None:
    event = BehaviorEvent.model_validate(
        {
            "event_id": f"n{state.version}",
            "user_id": "u",
            "item_id": item_id,
            "type": kind,
            "event_time_ms": time_ms,
            "text": text,
        }
    )
    assert fold(state, BEHAVIOR_EVENTS.name, event, FoldSettings(max_late_s=1e12))


@settings(max_examples=60)
@given(users(), st.sampled_from(TAGS), st.sampled_from(REVOCATIONS), st.integers(0, 3))
def test_a_revoked_interest_is_not_stated_until_clear_evidence_comes_after(
    user: tuple[UserState, Told], tag: str, revoke: Revocation, clicks_after: int
) -> None:
    state, _ = user
    assume(tag not in state.edits and tag.upper() not in state.edits)
    for click in range(60):
        happen(state, "click", f"only-{tag}", LATE_MS - (60 - click) * HOUR_MS)
    revoke(state, tag)
    for click in range(clicks_after):
        happen(state, "click", f"only-{tag}", LATE_MS + (1 + click) * HOUR_MS)
    assert tag.casefold() not in liked(state)


def test_a_thousand_clicks_are_reversed_by_a_word_and_won_back_by_deeds() -> None:
    for revoke in REVOCATIONS[2:]:
        state = UserState()
        for click in range(1000):
            happen(state, "click", "only-chess", START_MS + click * HOUR_MS)
        assert liked(state) == {"chess"}
        revoke(state, "chess")
        (statement,) = (s for s in stated(state) if s.stance in ("likes", "dislikes"))
        assert (statement.topic, statement.stance, statement.trend) == ("chess", "dislikes", "reversed")
        for number, kind in enumerate(["purchase", "favorite", "like"]):
            happen(state, kind, "only-chess", LATE_MS + (1 + number) * HOUR_MS)
        (statement,) = (s for s in stated(state) if s.stance in ("likes", "dislikes"))
        assert (statement.topic, statement.stance, statement.trend) == ("chess", "likes", "reversed")


def test_a_few_refusals_in_a_row_reverse_a_thousand_clicks() -> None:
    for kind, times in (("not_interested", 3), ("return", 3), ("dislike", 4)):
        state = UserState()
        for click in range(1000):
            happen(state, "click", "only-chess", START_MS + click * HOUR_MS)
        for number in range(times):
            assert liked(state) == {"chess"}
            happen(state, kind, "only-chess", START_MS + (1000 + number) * HOUR_MS)
        assert not liked(state), kind


def test_a_word_after_dislikes_turns_them_round() -> None:
    state = UserState()
    for number in range(5):
        happen(state, "dislike", "only-chess", START_MS + number * HOUR_MS)
    message = UserAttributes(user_id="u", updated_at_ms=LATE_MS, free_text="These days I love chess")
    fold(state, USER_ATTRIBUTES.name, message, SETTINGS)
    (like,) = stated(state)
    assert (like.topic, like.stance, like.trend, like.evidence) == ("chess", "likes", "reversed", ["field:free_text"])


def test_a_comment_that_blames_its_item_counts_against_it() -> None:
    state = UserState()
    for number, text in enumerate(["Not for me.", "不太适合我。", "Please show me less of this."]):
        happen(state, "comment", "only-chess", START_MS + number * HOUR_MS, text=text)
    (dislike,) = stated(state)
    assert (dislike.topic, dislike.stance, len(dislike.evidence)) == ("chess", "dislikes", 3)


def test_a_thing_said_in_a_comment_is_about_the_item_unless_it_is_about_an_interest() -> None:
    state = UserState()
    happen(state, "comment", "only-chess", START_MS, text="I hate football shirts like these")
    assert "football" not in {s.topic for s in stated(state)}


def test_what_was_turned_down_after_a_look_is_not_told_as_looked_at() -> None:
    state = UserState()
    for number, (kind, item_id) in enumerate(
        [("view", "only-chess"), ("view", "only-football"), ("not_interested", "only-chess")]
    ):
        happen(state, kind, item_id, START_MS + number * HOUR_MS)
    viewed = [s for s in statements(state, ITEMS, RULES, VOCABULARY) if s.stance == "viewed"]
    assert len(viewed) == 1 and viewed[0].topic == clean(ITEMS["only-football"].title)


@pytest.mark.parametrize("declared", ["tea ", " Tea", "tea\u200b"])
def test_a_declared_tag_and_an_item_s_are_one_however_they_are_spelled(declared: str) -> None:
    """Were they two, a user who refuses what they declared would be told to like and dislike the same."""
    events = [HistoryEvent(3_600_000 * at, f"e{at}", "kettle", "not_interested") for at in range(4)]
    state = UserState(events=events, attributes=Attributes(0, tags=[declared]), consent={"profile": True})
    stated = statements(state, {"kettle": item("kettle", "tea")}, RULES)
    assert len({(s.topic.casefold(), s.stance) for s in stated if s.stance in ("likes", "dislikes")}) <= 1
