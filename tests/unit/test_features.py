import math
from concurrent.futures import Future

import numpy as np
import pytest

from consumers.catalogue import Floats
from consumers.lists.features import declared_texts, user_features
from consumers.lists.tag_vectors import TEXTS_PER_CALL, TagVectors
from schemas.errors import ConfigError, Retryable
from schemas.messages import EVENT_TYPES
from schemas.state import Attributes, HistoryEvent, ProfileRef
from schemas.tensors import USER_ENCODER
from tests.unit.synthetic import DIM, NOW_MS, add, event, history_vectors, item, shop, topic_vector, user


class Encoder:
    """Answers with the text's length in every dimension, when told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.answers: list[Future[Floats]] = []

    def __call__(self, texts: list[str]) -> "Future[Floats]":
        self.calls.append(texts)
        self.answers.append(Future())
        return self.answers[-1]

    def answer(self) -> None:
        self.answers[-1].set_result(np.array([[len(text)] * DIM for text in self.calls[-1]], np.float32))


def knowing(*texts: str, capacity: int = 10_000) -> tuple[TagVectors, Encoder]:
    encoder = Encoder()
    vectors = TagVectors(encoder, capacity)
    vectors.lookup(texts)
    vectors.arrivals()
    encoder.answer()
    assert vectors.arrivals() == list(texts)
    return vectors, encoder


def profile(dim: int, value: float) -> ProfileRef:
    return ProfileRef(1, "en", [], np.full(dim, value, "<f2").tobytes(), 1, NOW_MS)


def test_tensors_have_the_names_types_and_shapes_of_the_contract() -> None:
    features = user_features([user(event("sports-0")), user()], shop(), TagVectors(Encoder()))
    assert features.keys() == {tensor.name for tensor in USER_ENCODER.inputs}
    types = {"FP16": np.float16, "FP32": np.float32, "INT32": np.int32, "INT64": np.int64}
    for tensor in USER_ENCODER.inputs:
        found = features[tensor.name]
        assert found.dtype == types[tensor.datatype], tensor.name
        assert found.shape[0] == 2 and found.ndim == 1 + len(tensor.shape), tensor.name
        assert found.flags["C_CONTIGUOUS"], tensor.name


def test_history_is_oldest_first_and_padded_at_the_end() -> None:
    long = user(event("sports-0", "view", 48.0), event("music-0", "rating", 1.5, value=4.0), event("travel-0", "like", 0.5))
    features = user_features([user(event("music-1")), long], shop(), TagVectors(Encoder()))
    ids = {name: 1 + place for place, name in enumerate(EVENT_TYPES)}
    assert features["HISTORY_TYPES"].tolist() == [[ids["view"], 0, 0], [ids["view"], ids["rating"], ids["like"]]]
    assert features["HISTORY_AGES"][1].tolist() == pytest.approx([47.5, 1.0, 0.0])
    assert features["HISTORY_AGES"][0, 0] == 0.0
    assert np.array_equal(np.isnan(features["HISTORY_VALUES"]), [[True] * 3, [True, False, True]])
    assert features["HISTORY_VALUES"][1, 1] == 4.0
    catalogue = shop()
    expected = catalogue.half_vectors(catalogue.rows(["sports-0", "music-0", "travel-0"]))
    assert np.array_equal(history_vectors(features)[1], expected)
    assert not history_vectors(features)[0, 1:].any()


def test_each_item_of_all_users_is_sent_once() -> None:
    histories = [["sports-0", "music-0", "sports-0"], ["music-0"], [], ["later", "travel-0"], ["sports-0"]]
    features = user_features([user(*map(event, history)) for history in histories], shop(), TagVectors(Encoder()))
    assert features["ITEM_VECTORS"].shape == (5, 1, DIM)
    assert len(np.unique(features["HISTORY_PLACES"])) == 4  # three items, and 0
    sent = history_vectors(features)
    assert sent[4, 0].tolist() == sent[0, 2].tolist() == topic_vector("sports")
    assert sent[1, 0].tolist() == topic_vector("music") and sent[3, 1].tolist() == topic_vector("travel")
    assert not sent[2].any() and not sent[3, 0].any()


def test_no_users_have_no_vectors() -> None:
    assert user_features([], shop(), TagVectors(Encoder()))["ITEM_VECTORS"].shape == (0, 1, DIM)


def test_an_unknown_item_is_ignored_and_counts_after_it_arrived() -> None:
    catalogue, state, vectors = shop(), user(event("later"), event(None, "search", 0.5)), TagVectors(Encoder())
    before = user_features([state], catalogue, vectors)
    assert before["HISTORY_TYPES"].tolist() == [[0, 0]] and not history_vectors(before).any()
    add(catalogue, item("later"), topic_vector("music"))
    after = user_features([state], catalogue, vectors)
    assert after["HISTORY_TYPES"].tolist() == [[1, 0]]
    assert history_vectors(after)[0, 0].tolist() == topic_vector("music")


def test_history_on_muted_items_and_refused_tags_does_not_count() -> None:
    history = event("sports-0", hours_ago=3), event("travel-0", hours_ago=2), event("music-0", hours_ago=1)
    states = [user(*history, muted_tags=["SPORTS"], muted_items=["travel-0"], edits={"music": "interested"}), user(*history)]
    features = user_features(states, shop(), TagVectors(Encoder()))
    assert (features["HISTORY_TYPES"] > 0).tolist() == [[False, False, True], [True, True, True]]
    assert history_vectors(features).any(axis=2).tolist() == [[False, False, True], [True, True, True]]


def test_declared_words_are_averaged_once_they_are_known() -> None:
    encoder = Encoder()
    vectors = TagVectors(encoder)
    states = [
        user(attributes=Attributes(NOW_MS, tags=["aa", "bbbb"], free_text="cccccc")),
        user(attributes=Attributes(NOW_MS, tags=["bbbb"])),
        user(),
    ]
    assert not user_features(states, shop(), vectors)["TAG_VECTOR"].any()
    assert vectors.arrivals() == [] and encoder.calls == [["aa", "bbbb", "cccccc"]]
    assert not user_features(states, shop(), vectors)["TAG_VECTOR"].any()
    encoder.answer()
    assert vectors.arrivals() == ["aa", "bbbb", "cccccc"]
    assert user_features(states, shop(), vectors)["TAG_VECTOR"][:, 0].tolist() == [4.0, 4.0, 0.0]
    assert vectors.arrivals() == [] and len(encoder.calls) == 1


def test_a_declared_word_counts_while_another_is_not_known_yet() -> None:
    vectors, _ = knowing("aa")
    state = user(attributes=Attributes(NOW_MS, tags=["aa", "bbbb"]))
    assert user_features([state], shop(), vectors)["TAG_VECTOR"][0, 0] == 2.0


def test_what_a_user_took_back_is_not_declared() -> None:
    state = user(
        attributes=Attributes(NOW_MS, tags=["sports", "Music", "travel"], free_text="x" * 4000),
        edits={"music": "not_interested", "cooking": "interested"},
        muted_tags=["SPORTS"],
    )
    assert [text[:10] for text in declared_texts(state)] == ["travel", "cooking", "x" * 10]
    assert max(len(text) for text in declared_texts(state)) == 1000


def test_answers_and_free_text_count_like_tags_and_what_they_deny_does_not() -> None:
    catalogue = shop()
    answers = {"travel": True, "Music": False}
    state = user(attributes=Attributes(NOW_MS, tags=["music"], answers=answers, free_text="I love cooking, not sports."))
    assert declared_texts(state, catalogue.vocabulary) == ["travel", "cooking", "i love cooking"]
    encoder = Encoder()
    user_features([state], catalogue, vectors := TagVectors(encoder))
    vectors.arrivals()
    assert encoder.calls == [["travel", "cooking", "i love cooking"]]


def test_a_later_comment_takes_back_what_was_declared() -> None:
    remark = HistoryEvent(NOW_MS, "e", "music-1", "comment", None, "I'm no longer into travel")
    state = user(remark, type_counts={"comment": 1}, attributes=Attributes(NOW_MS - 1, tags=["travel", "music"]))
    assert declared_texts(state, shop().vocabulary) == ["music"]


def test_a_text_that_only_denies_says_nothing() -> None:
    state = user(attributes=Attributes(NOW_MS, free_text="no longer into sports", answers={"music": False}))
    assert declared_texts(state, shop().vocabulary) == []


def test_profile_vector_is_read_from_half_floats_and_one_of_another_encoder_counts_as_none() -> None:
    states = [user(profile=profile(DIM, 0.25)), user(profile=profile(DIM + 1, 0.25)), user()]
    features = user_features(states, shop(), TagVectors(Encoder()))
    assert features["PROFILE_VECTOR"].tolist() == [[0.25] * DIM, [0.0] * DIM, [0.0] * DIM]


def test_demographics() -> None:
    states = [user(attributes=Attributes(NOW_MS, age=25, gender="male")), user(attributes=Attributes(NOW_MS, gender="other"))]
    features = user_features([*states, user()], shop(), TagVectors(Encoder()))
    assert features["DEMOGRAPHICS"].tolist() == [pytest.approx([0.25, 1, 0, 0]), [0, 0, 0, 1], [0, 0, 0, 0]]


def test_hostile_values_stay_finite() -> None:
    features = user_features([user(event("sports-0", "play", value=1e308))], shop(), TagVectors(Encoder()))
    assert math.isfinite(features["HISTORY_VALUES"][0, 0])


def test_tag_vectors_keep_what_was_used_last_and_no_more() -> None:
    vectors, encoder = knowing("a", "bb", capacity=2)
    assert set(vectors.lookup(["a", "ccc"])) == {"a"}
    vectors.arrivals()
    encoder.answer()
    assert vectors.arrivals() == ["ccc"]
    assert len(vectors) == 2 and {text: text in vectors for text in ("a", "bb", "ccc")} == {
        "a": True,
        "bb": False,
        "ccc": True,
    }


def test_wanted_texts_are_asked_for_in_small_calls_one_at_a_time() -> None:
    encoder = Encoder()
    vectors = TagVectors(encoder)
    texts = [f"text {number}" for number in range(2 * TEXTS_PER_CALL)]
    assert vectors.lookup(texts) == {}
    assert vectors.arrivals() == vectors.arrivals() == [] and encoder.calls == [texts[:TEXTS_PER_CALL]]
    encoder.answer()
    assert vectors.arrivals() == texts[:TEXTS_PER_CALL] and encoder.calls[1:] == [texts[TEXTS_PER_CALL:]]


def test_a_text_is_asked_for_again_when_the_encoder_could_not_be_reached() -> None:
    encoder = Encoder()
    vectors = TagVectors(encoder)
    vectors.lookup(["aa"])
    vectors.arrivals()
    encoder.answers[-1].set_exception(Retryable("down"))
    assert vectors.arrivals() == [] and encoder.calls == [["aa"], ["aa"]]
    encoder.answers[-1].set_exception(ConfigError("no such model"))
    with pytest.raises(ConfigError):
        vectors.arrivals()
