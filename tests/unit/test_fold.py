"""The fold: same facts, same state, whatever the order; and the user's word is obeyed."""

import copy

from hypothesis import given
from hypothesis import strategies as st

from consumers.consent import consents
from consumers.fold import fold, is_empty
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
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES

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


def profile(state_version: int) -> UserProfile:
    cause = Cause(topic="t", partition=0, offset=0, record_time_ms=0, waiting_since_ms=0)
    statement = Statement(topic="sports", stance="likes", strength=0.5, evidence=["event:e1"])
    return UserProfile(
        user_id="u", request_id="r", language="en", state_version=state_version, event_count=3, statements=[statement],
        summary=[], text_vector=[0.5, 0.25], model_name="m", model_version="1", generated_at_ms=T0, requested_at_ms=T0,
        cause=cause,
    )  # fmt: skip


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
    assert folded(*messages) == folded(*shuffled)


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
    assert not fold(state, USER_PROFILES.name, profile(99), RULES)  # from before an erasure
    assert fold(state, USER_PROFILES.name, profile(2), RULES)
    assert not fold(state, USER_PROFILES.name, profile(1), RULES)  # older than the one known
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
