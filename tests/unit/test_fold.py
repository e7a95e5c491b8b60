"""The fold: same facts, same state, whatever the order; and the user's word is obeyed."""

import copy

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from consumers.consent import consents
from consumers.fold import fold, is_empty, is_late
from schemas.messages import (
    BehaviorEvent,
    Cause,
    ConsentControl,
    EditControl,
    EraseControl,
    MuteControl,
    Statement,
    UserAttributes,
    UserProfile,
)
from schemas.settings import FoldSettings
from schemas.state import UserState, decode_state, encode_state
from schemas.topics import BEHAVIOR_EVENTS, MAX_MESSAGE_BYTES, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES

RULES = FoldSettings()
T0 = 1_700_000_000_000


def event(number: int, **fields: object) -> BehaviorEvent:
    given = {
        "event_id": f"e{number}",
        "user_id": "u",
        "item_id": f"i{number % 7}",
        "type": "view",
        "event_time_ms": T0 + number,
    }
    return BehaviorEvent.model_validate(given | fields)


def folded(*messages: object, state: UserState | None = None) -> UserState:
    state = UserState() if state is None else state
    for message in messages:
        topic = BEHAVIOR_EVENTS if isinstance(message, BehaviorEvent) else USER_CONTROLS
        fold(state, topic.name, message, RULES)  # type: ignore[arg-type]
    return state


def profile(state_version: int, life: int = 0) -> UserProfile:
    cause = Cause(topic="t", partition=0, offset=0, record_time_ms=0, waiting_since_ms=0)
    statement = Statement(topic="sports", stance="likes", strength=0.5, evidence=["event:e1"])
    return UserProfile(
        user_id="u", request_id="r", language="en", state_version=state_version, state_life=life, event_count=3,
        statements=[statement],
        summary=[], text_vector=[0.5, 0.25], model_name="m", model_version="1", generated_at_ms=T0, requested_at_ms=T0,
        cause=cause,
    )  # fmt: skip


def facts(state: UserState) -> UserState:
    """All but what is about the order of arrival itself."""
    return msgspec.structs.replace(state, late_ids={}, life=0)


events = st.lists(
    st.builds(
        lambda number, item, type_, minute: event(number, item_id=f"i{item}", type=type_, event_time_ms=T0 + minute * 60_000),
        st.integers(0, 10_000),
        st.integers(0, 30),
        st.sampled_from(["view", "purchase", "return", "dislike"]),
        st.integers(0, 500),
    ),
    unique_by=lambda made: made.event_id,
    max_size=120,
)


@given(events, st.randoms(use_true_random=False))
def test_the_order_of_arrival_does_not_matter(messages: list[BehaviorEvent], random: object) -> None:
    shuffled = list(messages)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert facts(folded(*messages)) == facts(folded(*shuffled))


@given(events)
def test_every_event_counts_once_and_raises_the_version(messages: list[BehaviorEvent]) -> None:
    state = folded(*messages)
    assert state.event_count == state.version == len(messages)
    assert len(state.events) == min(len(messages), RULES.history_length)
    assert state.events == sorted(state.events)


@given(st.lists(st.integers(0, 20), max_size=40))
def test_a_repeated_event_id_is_a_no_op(numbers: list[int]) -> None:
    state = folded(*[event(number) for number in numbers])
    assert state.event_count == len(set(numbers))


@given(events)
def test_the_codec_gives_back_the_same_state(messages: list[BehaviorEvent]) -> None:
    state = folded(*messages)
    assert decode_state(encode_state(state)) == state


def test_items_are_bounded_and_the_longest_unused_go_first() -> None:
    rules = RULES.model_copy(update={"max_items": 3})
    state = UserState()
    for number, item in enumerate(["a", "b", "a", "c", "d"]):
        fold(state, BEHAVIOR_EVENTS.name, event(number, item_id=item), rules)
    assert set(state.items) == {"a", "c", "d"}
    assert state.items["a"].weight_milli == 2000


def test_absurd_values_and_endless_labels_leave_a_state_that_can_be_stored() -> None:
    state = folded(*[event(number, type="rating", value=1e12, surface=f"page-{number:05}") for number in range(3000)])
    for number in range(1100):
        mute = MuteControl(user_id="u", issued_at_ms=T0, target="item", value=f"{number:0128}")
        edit = EditControl(user_id="u", issued_at_ms=T0, topic=f"{number:064}", stance="interested")
        folded(mute, edit, state=state)
    assert max(count.weight_milli for count in state.items.values()) <= 10_000 * 3000
    assert len(encode_state(state)) < 400_000
    assert min(state.surface_counts) == "page-00000"


def test_a_return_weighs_against_its_item() -> None:
    state = folded(event(1, item_id="x", type="purchase"), event(2, item_id="x", type="return"))
    assert state.items["x"].weight_milli == 0


def test_erasure_leaves_an_empty_state() -> None:
    state = folded(event(1), MuteControl(user_id="u", issued_at_ms=T0, target="tag", value="sports"))
    folded(EraseControl(user_id="u", issued_at_ms=T0), state=state)
    assert is_empty(state)
    assert state == UserState()


def test_profiles_are_opt_in_and_lists_opt_out() -> None:
    state = UserState()
    assert not consents(state, "profile", RULES)
    assert consents(state, "recommendations", RULES)
    folded(ConsentControl(user_id="u", issued_at_ms=T0, purpose="profile", granted=True), state=state)
    folded(ConsentControl(user_id="u", issued_at_ms=T0, purpose="recommendations", granted=False), state=state)
    assert consents(state, "profile", RULES)
    assert not consents(state, "recommendations", RULES)


def test_mutes_and_edits_are_kept_and_can_be_taken_back() -> None:
    mute = MuteControl(user_id="u", issued_at_ms=T0, target="tag", value="sports")
    edit = EditControl(user_id="u", issued_at_ms=T0, topic="travel", stance="not_interested")
    state = folded(mute, mute, edit)
    assert (state.muted_tags, state.edits, state.version) == (["sports"], {"travel": "not_interested"}, 2)
    folded(mute.model_copy(update={"muted": False}), edit.model_copy(update={"stance": "unset"}), state=state)
    assert (state.muted_tags, state.edits) == ([], {})


def test_a_profile_needs_consent_and_must_be_of_this_state() -> None:
    state = folded(event(1), event(2))
    before = copy.deepcopy(state)
    assert not fold(state, USER_PROFILES.name, profile(1), RULES)
    assert state == before
    folded(ConsentControl(user_id="u", issued_at_ms=T0, purpose="profile", granted=True), state=state)
    assert not fold(state, USER_PROFILES.name, profile(99, state.life), RULES)  # no such state yet
    assert fold(state, USER_PROFILES.name, profile(2, state.life), RULES)
    assert not fold(state, USER_PROFILES.name, profile(1, state.life), RULES)  # older than the one known
    assert state.profile is not None
    assert state.profile.topics == ["likes:sports"]
    folded(ConsentControl(user_id="u", issued_at_ms=T0, purpose="profile", granted=False), state=state)
    assert state.profile is None


def test_newer_attributes_replace_older_ones_and_a_tombstone_removes_them() -> None:
    state = UserState()
    fold(state, USER_ATTRIBUTES.name, UserAttributes(user_id="u", updated_at_ms=T0 + 5, age=25), RULES)
    fold(state, USER_ATTRIBUTES.name, UserAttributes(user_id="u", updated_at_ms=T0, age=24), RULES)
    assert state.attributes is not None
    assert state.attributes.age == 25
    fold(state, USER_ATTRIBUTES.name, None, RULES)
    assert state.attributes is None


def test_a_late_event_that_is_sent_again_counts_once() -> None:
    """It is older than the whole history, so the history cannot know it."""
    newer = [event(number) for number in range(100, 100 + RULES.history_length)]
    late = event(1)
    state = folded(*newer, late, late, event(200), late)
    assert late.event_id not in {seen.event_id for seen in state.events}
    assert state.event_count == RULES.history_length + 2


def test_a_repeat_is_known_within_the_window_and_late_ids_are_forgotten_after_it() -> None:
    window = RULES.history_length
    newer = [event(number) for number in range(100, 100 + window)]
    late = event(1)
    state = folded(*newer, late, *[event(number) for number in range(200, 200 + window - 1)], late)
    assert state.event_count == 2 * window
    folded(event(300), state=state)
    assert state.late_ids == {}
    folded(late, state=state)
    assert state.event_count == 2 * window + 2


def test_the_window_holds_for_events_in_any_order() -> None:
    rules = RULES.model_copy(update={"history_length": 3})
    state = UserState()
    for number in (5, 9, 7, 1, 8, 3):
        fold(state, BEHAVIOR_EVENTS.name, event(number), rules)
    for number in (1, 8, 3):
        assert not fold(state, BEHAVIOR_EVENTS.name, event(number), rules)


def test_an_event_much_older_than_the_newest_is_left_out() -> None:
    newest, bound_ms = event(1), int(RULES.max_late_s * 1000)
    on_time = event(2, event_time_ms=newest.event_time_ms - bound_ms)
    late = event(3, event_time_ms=newest.event_time_ms - bound_ms - 1)
    state = folded(newest, on_time, late)
    assert [seen.event_id for seen in state.events] == ["e2", "e1"]
    assert is_late(state, late, RULES)
    assert not is_late(state, on_time, RULES)
    assert folded(late, newest).event_count == 2  # it came in time here


def test_the_longest_words_of_a_user_leave_a_state_that_fits_into_a_message() -> None:
    state = UserState()
    for number in range(RULES.max_items + 50):
        wide = {"event_id": f"{number:05}" + "𝕏" * 123, "item_id": f"{number:05}" + "𝕐" * 123, "text": "𝕐" * 4000}
        folded(event(1000 - number, surface=f"{number:03}" + "𝕐" * 61, **wide), state=state)
    for number in range(1100):
        mute = MuteControl(user_id="u", issued_at_ms=T0, target="item", value=f"{number:05}" + "𝕐" * 123)
        edit = EditControl(user_id="u", issued_at_ms=T0, topic=f"{number:05}" + "𝕐" * 59, stance="interested")
        folded(mute, mute.model_copy(update={"target": "tag"}), edit, state=state)
    folded(ConsentControl(user_id="u", issued_at_ms=T0, purpose="profile", granted=True), state=state)
    statement = Statement(topic="𝕐" * 5000, stance="likes", strength=0.5, evidence=["event:e1"])
    many = profile(1, state.life).model_copy(update={"statements": [statement] * 5000, "text_vector": [0.5] * 8192})
    assert fold(state, USER_PROFILES.name, many, RULES)
    assert len(encode_state(state)) < MAX_MESSAGE_BYTES - 100_000
    assert len(state.muted_items) > 100


def test_a_profile_from_before_an_erasure_is_refused_after_it() -> None:
    consent = ConsentControl(user_id="u", issued_at_ms=T0, purpose="profile", granted=True)
    before = folded(consent, event(1), event(2))
    text = profile(before.version, before.life)
    after = folded(EraseControl(user_id="u", issued_at_ms=T0 + 1), state=copy.deepcopy(before))
    folded(consent.model_copy(update={"issued_at_ms": T0 + 2}), event(3), event(4), state=after)
    assert after.version == before.version
    assert not fold(after, USER_PROFILES.name, text, RULES)
    assert fold(before, USER_PROFILES.name, text, RULES)


def test_the_last_word_on_a_tag_counts_however_it_is_spelled() -> None:
    state = UserState()
    for message in (
        EditControl(user_id="u", issued_at_ms=1, topic="jazz", stance="not_interested"),
        EditControl(user_id="u", issued_at_ms=2, topic="Jazz", stance="interested"),
        MuteControl(user_id="u", issued_at_ms=3, target="tag", value="Rock"),
    ):
        assert fold(state, USER_CONTROLS.name, message, RULES)
    assert state.edits == {"Jazz": "interested"} and state.muted_tags == ["Rock"]
    assert not fold(state, USER_CONTROLS.name, MuteControl(user_id="u", issued_at_ms=4, target="tag", value="ROCK"), RULES)
    for message in (
        EditControl(user_id="u", issued_at_ms=5, topic="JAZZ", stance="unset"),
        MuteControl(user_id="u", issued_at_ms=6, target="tag", value="rock\u00a0", muted=False),
    ):
        assert fold(state, USER_CONTROLS.name, message, RULES)
    assert state.edits == {} and state.muted_tags == []
