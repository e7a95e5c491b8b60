"""The profiler's turn of a micro-batch, with the models' answers in the test's hand: what is published, and when."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from pydantic import BaseModel

from consumers.encoded_users import EncodedUsers, NextItems
from consumers.lists.list_check import CHECKED_AT_ONCE, ListCheck, difference
from consumers.lists.list_rules import ListRules
from consumers.profiler import RELISTED_PER_BATCH, Profiler
from consumers.runtime.processor import Batch, Outputs, Record
from schemas import metrics
from schemas.errors import ConfigError, Retryable
from schemas.messages import (
    BehaviorEvent,
    ConsentControl,
    Item,
    ItemVector,
    MuteControl,
    ProfileRequest,
    Recommendations,
    RecommendedItem,
    UserAttributes,
    UserProfile,
    encode,
)
from schemas.settings import Settings
from schemas.tensors import EMBEDDING_DIM
from schemas.topics import BEHAVIOR_EVENTS, ITEM_VECTORS, ITEMS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES
from tests.unit.synthetic import history_vectors

TOPIC_OF = {BehaviorEvent: BEHAVIOR_EVENTS, UserAttributes: USER_ATTRIBUTES, UserProfile: USER_PROFILES}
START_MS = 1_760_000_000_000
LOOK_EVENTS = Settings().profiler.look_events
AXES = {"sports": 0, "travel": 1, "music": 2}


def axis(tag: str) -> list[float]:
    vector = [0.0] * EMBEDDING_DIM
    vector[AXES[tag]] = 1.0
    return vector


class Models:
    """Users are the sum of their tensors; texts are encoded when the test says so."""

    def __init__(self) -> None:
        self.down = False
        self.version, self.ranker_json, self.rankers_asked = "1", "", 0
        self.asked: list[tuple[list[str], Future[npt.NDArray[np.float32]]]] = []

    def model_version(self, name: str) -> str:
        return self.version

    def encode_texts_soon(self, texts: list[str]) -> "Future[npt.NDArray[np.float32]]":
        self.asked.append((texts, Future()))
        return self.asked[-1][1]

    def answer(self) -> None:
        texts, answer = self.asked[-1]
        answer.set_result(np.array([axis(text) for text in texts], np.float32))

    def ranker(self) -> str:
        self.rankers_asked += 1
        return self.ranker_json

    def encode_users(self, features: Mapping[str, npt.NDArray[np.float32]]) -> EncodedUsers:
        if self.down:
            raise Retryable("user_encoder is down")
        vectors = history_vectors(features).sum(axis=1) + features["TAG_VECTOR"]
        lengths: npt.NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
        return EncodedUsers(vectors / np.maximum(lengths, 1e-9), NextItems.none(len(vectors)), self.version)

    def encode_users_soon(self, features: Mapping[str, npt.NDArray[np.float32]]) -> "Future[EncodedUsers]":
        answer: Future[EncodedUsers] = Future()
        try:
            answer.set_result(self.encode_users(features))
        except Retryable as error:
            answer.set_exception(error)
        return answer


class Site:
    """A profiler, its committed states, and the messages users send."""

    def __init__(self, settings: Settings | None = None, states: Mapping[str, bytes] | None = None) -> None:
        self.models = Models()
        self.profiler = Profiler(self.models, settings or Settings())  # type: ignore[arg-type]
        self.states = dict(states or {})
        self.sent = 0
        for tag in AXES:
            for number in range(30):
                self.add_item(f"{tag}-{number}", tag)
        self.turn()

    def add_item(self, item_id: str, tag: str) -> None:
        item = Item(item_id=item_id, domain="video", title=f"About {item_id}", tags=[tag])
        vector = ItemVector(item_id=item_id, vector=axis(tag), model_name="text_encoder", model_version="1")
        self.profiler.on_table_record(Record(ITEMS.name, 0, 0, 0, item_id, item))
        self.profiler.on_table_record(Record(ITEM_VECTORS.name, 0, 0, 0, item_id, vector))

    def records(self, messages: Sequence[BaseModel]) -> list[Record]:
        records = []
        for message in messages:
            self.sent += 1
            topic = TOPIC_OF.get(type(message), USER_CONTROLS)
            records.append(Record(topic.name, 0, self.sent, START_MS + self.sent, message.user_id, message))  # type: ignore[attr-defined]
        return records

    def load(self, partition: int, keys: Sequence[str]) -> dict[str, bytes]:
        return {key: self.states[key] for key in keys if key in self.states}

    def process(self, records: Sequence[Record]) -> Outputs:
        return self.profiler.process(Batch(records, self.load, frozenset({0}), lambda partition: sorted(self.states)))

    def turn(self, *messages: BaseModel) -> Outputs:
        """Process these messages and commit."""
        outputs = self.process(self.records(messages))
        self.states.update({key: state for (_, key), state in outputs.states.items() if state is not None})
        self.profiler.on_committed()
        return outputs

    def event(self, item_id: str, kind: str = "like", user_id: str = "u") -> BehaviorEvent:
        self.sent += 1
        return BehaviorEvent.model_validate(
            {"event_id": f"e{self.sent}", "user_id": user_id, "item_id": item_id, "type": kind, "event_time_ms": START_MS}
        )

    def agree(self) -> None:
        self.turn(ConsentControl(user_id="u", issued_at_ms=START_MS, purpose="profile", granted=True))


def declare(*tags: str, user_id: str = "u", updated_at_ms: int = START_MS) -> UserAttributes:
    return UserAttributes(user_id=user_id, updated_at_ms=updated_at_ms, tags=list(tags))


def lists(outputs: Outputs) -> dict[str, list[str]]:
    messages = [output.message for output in outputs.records if isinstance(output.message, Recommendations)]
    return {message.user_id: [item.item_id.split("-")[0] for item in message.items] for message in messages}


def requests(outputs: Outputs) -> list[ProfileRequest]:
    return [output.message for output in outputs.records if isinstance(output.message, ProfileRequest)]


def answered(request: ProfileRequest) -> UserProfile:
    names = ("user_id", "request_id", "language", "state_version", "state_life", "event_count")
    same = {name: getattr(request, name) for name in names}
    return UserProfile(
        **same, statements=request.statements, summary=[], text_vector=[], model_name="plain", model_version="1",
        generated_at_ms=START_MS, requested_at_ms=START_MS, cause=request.cause,
    )  # fmt: skip


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_list_never_waits_for_declared_texts_and_is_made_again_when_they_are_known(site: Site) -> None:
    text = UserAttributes(user_id="u", updated_at_ms=START_MS, free_text="travel")
    assert site.turn(text).records and not site.turn().records
    assert [texts for texts, _ in site.models.asked] == [["travel"]]
    site.models.answer()
    again = site.turn()
    assert lists(again) == {"u": ["travel"] * 10} and not again.states
    assert not site.turn().records and len(site.models.asked) == 1
    assert lists(site.turn(UserAttributes(user_id="v", updated_at_ms=START_MS, free_text="travel")))["v"][0] == "travel"


def test_a_refresh_that_failed_is_made_with_the_next_batch(site: Site) -> None:
    site.turn(UserAttributes(user_id="u", updated_at_ms=START_MS, free_text="travel"))
    site.turn()
    site.models.answer()
    site.models.down = True
    for _ in range(2):
        with pytest.raises(Retryable):
            site.process([])
    site.models.down = False
    assert lists(site.turn()) == {"u": ["travel"] * 10}


def test_lists_made_again_come_a_few_at_a_time_and_each_once(site: Site) -> None:
    users = [f"u{number}" for number in range(RELISTED_PER_BATCH + 5)]
    site.turn(*(site.event("late", user_id=user) for user in users))
    site.add_item("late", "music")
    found = [lists(site.turn(site.event("music-0", user_id=users[0]))), lists(site.turn()), lists(site.turn())]
    assert [len(batch) for batch in found] == [RELISTED_PER_BATCH + 1, 4, 0]
    assert sorted([*found[0], *found[1]]) == sorted(users)


def test_another_worker_s_users_are_not_listed_again(site: Site) -> None:
    site.turn(UserAttributes(user_id="u", updated_at_ms=START_MS, free_text="travel"), site.event("late", user_id="v"))
    site.turn()
    site.models.answer()
    site.add_item("late", "music")
    site.profiler.on_revoked(frozenset({0}))
    assert not site.turn().records


def test_a_first_text_is_asked_for_with_the_event_that_suffices_and_once(site: Site) -> None:
    site.agree()
    assert [len(requests(site.turn(site.event(f"sports-{number}")))) for number in range(8)] == [0, 0, 1, 0, 0, 0, 0, 0]


def test_statements_are_computed_at_every_few_events_only(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    monkeypatch.setattr("consumers.gate.refresh_reason", lambda state, *_, **__: looks.append(state.event_count))
    site.agree()
    site.turn(site.event("sports-0"), site.event("sports-1"), site.event("sports-2"))
    monkeypatch.undo()
    [request] = requests(site.turn(site.event("sports-3")))
    site.turn(answered(request))
    looks.clear()
    monkeypatch.setattr("consumers.gate.refresh_reason", lambda state, *_, **__: looks.append(state.event_count))
    for number in range(2 * LOOK_EVENTS):
        site.turn(site.event(f"sports-{4 + number}"))
    assert looks == [4 + LOOK_EVENTS, 4 + 2 * LOOK_EVENTS]
    site.turn(site.event("sports-20", "not_interested"))
    assert looks[2:] == [5 + 2 * LOOK_EVENTS]


def test_a_comment_that_takes_an_interest_back_asks_at_once(site: Site) -> None:
    site.agree()
    [first] = requests(site.turn(*(site.event(f"sports-{number}") for number in range(3))))
    site.turn(answered(first))
    remark = site.event("sports-3", "comment").model_copy(
        update={"text": "I'm not into sports any more", "event_time_ms": START_MS + 1}
    )
    [request] = requests(site.turn(remark))
    assert [(s.topic, s.stance, s.trend) for s in request.statements if s.trend] == [("sports", "dislikes", "reversed")]
    assert request.reason == "reversed" and request.statements[0].evidence[0] == f"event:{remark.event_id}"


def test_a_list_and_statements_follow_from_words_alone(site: Site) -> None:
    site.agree()
    said = UserAttributes(user_id="u", updated_at_ms=START_MS, tags=["music"], free_text="I love travel but not sports")
    found = site.turn(said)
    assert lists(found)["u"][0] in ("travel", "music") and "sports" not in lists(found)["u"][:10]
    [request] = requests(found)
    assert {(s.topic, s.stance) for s in request.statements} == {
        ("music", "likes"),
        ("travel", "likes"),
        ("sports", "dislikes"),
    }
    later = said.model_copy(update={"answers": {"sports": True}, "free_text": None, "updated_at_ms": START_MS + 1})
    assert {(s.topic, s.stance) for s in requests(site.turn(later))[0].statements} == {("music", "likes"), ("sports", "likes")}


def test_what_the_user_says_asks_at_once_even_while_a_text_is_under_way(site: Site) -> None:
    site.agree()
    [first] = requests(site.turn(*(site.event(f"sports-{number}") for number in range(3))))
    assert first.reason == "first"
    assert len(requests(site.turn(declare("travel")))) == 1
    site.turn(answered(first))
    assert [request.reason for request in requests(site.turn(declare("music", updated_at_ms=START_MS + 1)))] == ["declared"]
    mute = MuteControl(user_id="u", issued_at_ms=START_MS, target="tag", value="sports")
    assert [request.reason for request in requests(site.turn(mute))] == ["edited"]


def made(outputs: Outputs, user_id: str = "u") -> Recommendations:
    [message] = [
        output.message
        for output in outputs.records
        if isinstance(output.message, Recommendations) and output.message.user_id == user_id
    ]
    return message


def test_surfaces_have_lists_of_their_own_sizes_from_one_portrait() -> None:
    site = Site(Settings.model_validate({"profiler": {"surfaces": {"home": 12, "detail": 3}, "diversity": 0.0}}))
    message = made(site.turn(site.event("sports-0")))
    shown = {name: {place.item_id for place in places} for name, places in message.surfaces.items()}
    assert len(shown["detail"]) == 3 and len(message.items) == 10 and len(shown["home"]) == 12
    assert shown["detail"] < {place.item_id for place in message.items} < shown["home"]
    again = Recommendations.model_validate_json(encode(message))
    assert again == message
    old = json.loads(encode(message))
    del old["surfaces"]
    for place in old["items"]:
        del place["sources"]
        place["reasons"] = [{"kind": reason["kind"], "detail": reason["detail"]} for reason in place["reasons"]]
    assert Recommendations.model_validate_json(json.dumps(old)).items[0].item_id == message.items[0].item_id


def test_what_some_users_turn_to_together_is_offered_to_others() -> None:
    site = Site(Settings.model_validate({"profiler": {"top_k": 40}}))
    for number in range(6):
        site.turn(site.event("sports-0", user_id=f"v{number}"), site.event("music-7", user_id=f"v{number}"))
    message = made(site.turn(site.event("sports-0")))
    [place] = [place for place in message.items if place.item_id == "music-7"]
    assert "neighbour" in place.sources
    assert (place.reasons[0].kind, place.reasons[0].detail) == ("neighbour", "About sports-0")


def test_a_new_item_is_listed_at_once_and_one_that_went_never_again(site: Site) -> None:
    site.turn(site.event("sports-0"))
    site.add_item("brand-new", "sports")
    shown = [{place.item_id for place in made(site.turn(site.event(f"sports-{number}"))).items} for number in range(1, 3)]
    site.profiler.on_table_record(Record(ITEMS.name, 0, 0, 0, "brand-new", None))
    everyone = Settings().profiler.model_copy(update={"top_k": 90})
    site.profiler._lists.rules = ListRules.of(Settings().model_copy(update={"profiler": everyone}))
    assert "brand-new" not in {place.item_id for place in made(site.turn(site.event("sports-3"))).items}
    site.add_item("brand-new", "sports")
    assert "brand-new" in {place.item_id for place in made(site.turn(site.event("sports-4"))).items}
    assert shown


@pytest.mark.parametrize("name", ["rules_file", "concepts_file"])
def test_a_file_that_is_not_there_is_told_by_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        Site(Settings.model_validate({"profiler": {name: tmp_path / "missing"}}))


def test_rules_from_a_file_are_obeyed(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  - {name: hero, pin: music-9}\n")
    site = Site(Settings.model_validate({"profiler": {"rules_file": rules}}))
    first = made(site.turn(site.event("sports-0"))).items[0]
    assert first.item_id == "music-9" and first.reasons[0].text == "Picked by the site: hero"


def checks() -> tuple[float, float, float]:
    """Lists checked so far, items that differed, and the sum of score gaps."""
    return metrics.LISTS_CHECKED._value.get(), metrics.LIST_ITEMS_DIFFERING._value.get(), metrics.LIST_SCORE_GAP._sum.get()


def test_served_lists_are_held_against_fresh_ones_and_what_differs_is_counted() -> None:
    site = Site(Settings.model_validate({"profiler": {"check_every_s": 1e-3}}))
    before = checks()
    for number in range(3):  # more than a batch, so that what is kept between batches takes part
        site.add_item(f"late-{number}", "sports")
        site.turn(*(site.event(f"sports-{number}", user_id=f"u{user}") for user in range(20)))
    checked, differing, gaps = np.subtract(checks(), before)
    assert checked == 3 * CHECKED_AT_ONCE and differing == 0 and gaps == pytest.approx(0, abs=1e-5)
    longer = Settings().profiler.model_copy(update={"top_k": 13})
    site.profiler._lists.rules = ListRules.of(Settings().model_copy(update={"profiler": longer}))
    before = checks()
    site.turn(site.event("sports-9"))
    checked, differing, _ = np.subtract(checks(), before)
    assert checked == 1 and differing == 3


def test_many_users_are_asked_for_in_parts_and_each_gets_its_own_list() -> None:
    site, asked = Site(Settings.model_validate({"profiler": {"check_every_s": 0}})), list[int]()
    encode_users = site.models.encode_users

    def counted(features: Mapping[str, npt.NDArray[np.float32]]) -> EncodedUsers:
        asked.append(len(features["HISTORY_TYPES"]))
        return encode_users(features)

    site.models.encode_users = counted  # type: ignore[method-assign]
    tags = list(AXES)
    outputs = site.turn(*(site.event(f"{tags[user % 3]}-{user % 30}", user_id=f"u{user}") for user in range(150)))
    assert asked == [75, 75]
    found = {one.message.user_id: one.message for one in outputs.records if isinstance(one.message, Recommendations)}
    assert len(found) == 150
    for user in range(150):
        assert found[f"u{user}"].items[0].item_id.startswith(tags[user % 3]), user


def test_a_check_whose_batch_is_not_committed_counts_nothing_and_zero_seconds_mean_never() -> None:
    site = Site(Settings.model_validate({"profiler": {"check_every_s": 1e-3}}))
    before = checks()
    site.process(site.records([site.event("sports-0")]))
    assert checks() == before
    never = Site(Settings.model_validate({"profiler": {"check_every_s": 0}}))
    never.turn(never.event("sports-0"))
    assert checks() == before


def test_a_check_comes_again_after_its_time_and_after_a_clock_that_was_set_back(site: Site) -> None:
    check = ListCheck(site.profiler._lists, every_s=10.0)
    assert check.is_due(START_MS)
    check.compare([], EncodedUsers(np.zeros((0, EMBEDDING_DIM), np.float32), NextItems.none(0)), START_MS, [], [])
    assert not check.is_due(START_MS + 9_999)
    assert check.is_due(START_MS + 10_000) and check.is_due(START_MS - 10_000)


def test_a_difference_is_of_items_and_of_the_scores_of_shared_ones() -> None:
    def item(item_id: str, score: float) -> RecommendedItem:
        return RecommendedItem(item_id=item_id, title="t", score=score, reasons=[])

    assert difference([item("a", 1.0), item("b", 0.5), item("c", 0.2)], [item("b", 0.75), item("a", 1.0)]) == (1, 0.25)
    assert difference([], []) == (0, 0.0)
