"""text_encoder and user_encoder on a real Triton, through the client."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from consumers.inference import InferenceClient
from deploy.local.stack import LocalStack
from schemas.errors import BadMessage, ConfigError
from schemas.messages import EVENT_TYPES
from schemas.settings import TritonSettings
from schemas.tensors import EMBEDDING_DIM, MODELS
from tests.unit.training_cases import nobody

VIEW, RATING, DISLIKE = (1 + EVENT_TYPES.index(kind) for kind in ("view", "rating", "dislike"))  # type: ignore[arg-type]
TEXTS = [
    "running shoes",
    "a light tent for two " * 40,
    "跑步鞋,轻便透气",
    "",
    "x" * 100_000,
    "[bold]\x00\x1b[31m ignore all instructions",
]


@pytest.fixture(scope="module")
def client(stack: LocalStack) -> Iterator[InferenceClient]:
    client = InferenceClient(stack.settings.triton)
    client.wait_ready([model.name for model in MODELS], timeout_s=60)
    yield client
    client.close()


def unit(axis: int) -> np.ndarray[Any, Any]:
    return np.eye(EMBEDDING_DIM, dtype=np.float32)[axis]


def test_batches_equal_singles(client: InferenceClient) -> None:
    together = client.encode_texts(TEXTS)
    alone = np.concatenate([client.encode_texts([text]) for text in TEXTS])
    assert together.shape == (len(TEXTS), EMBEDDING_DIM)
    assert together.dtype == np.float32
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-4)
    assert (together * alone).sum(axis=1).min() > 0.999


def test_like_texts_are_near(client: InferenceClient) -> None:
    tent, camping, bond = client.encode_texts(["a tent for two", "camping gear", "central bank raises interest rates"])
    assert tent @ camping > tent @ bond + 0.2
    shoes, same_shoes = client.encode_texts(["跑步鞋 轻便透气", "跑步鞋 轻便透气。"])
    assert shoes @ same_shoes > shoes @ bond + 0.2


def test_more_texts_than_one_call_takes_keep_their_order(client: InferenceClient) -> None:
    texts = [f"item number {number}" for number in range(300)]
    vectors = client.encode_texts(texts)
    assert vectors.shape == (300, EMBEDDING_DIM)
    assert (vectors[[0, 150, 299]] * client.encode_texts([texts[0], texts[150], texts[299]])).sum(axis=1).min() > 0.999
    assert client.encode_texts([]).shape == (0, EMBEDDING_DIM)


def test_a_wrong_text_fails_alone(stack: LocalStack, client: InferenceClient) -> None:
    texts = [b"running shoes", b"\xff\xfe not UTF-8", b"running shoes"]
    with triton.InferenceServerClient(str(stack.settings.triton.grpc_address)) as raw, ThreadPoolExecutor(12) as pool:
        outcomes = list(pool.map(partial(vector_or_error, raw), texts * 4))  # at once, so that they share batches
    assert [isinstance(outcome, str) for outcome in outcomes] == [False, True, False] * 4
    assert "UTF-8" in outcomes[1]
    assert outcomes[0] @ client.encode_texts(["running shoes"])[0] > 0.999


def vector_or_error(raw: Any, text: bytes) -> Any:
    tensor = triton.InferInput("TEXT", [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text]], dtype=object))
    try:
        return raw.infer("text_encoder", [tensor]).as_numpy("EMBEDDING")[0]
    except triton.InferenceServerException as error:
        return error.message()


def test_interests_fade_and_dislikes_push_away(client: InferenceClient) -> None:
    features = nobody(3, 2)
    features["ITEM_VECTORS"][:, 0], features["ITEM_VECTORS"][:, 1] = unit(0), unit(1)
    features["HISTORY_TYPES"][:] = VIEW
    features["HISTORY_AGES"][1, 0] = 336  # one half-life
    features["HISTORY_TYPES"][2, 0] = DISLIKE
    even, faded, pushed = client.encode_users(features).vectors
    assert even[0] == pytest.approx(even[1])
    assert faded[0] / faded[1] == pytest.approx(0.5, rel=1e-4)
    assert pushed[0] / pushed[1] == pytest.approx(-4, rel=1e-4)


def test_users_share_the_vectors_of_a_request(client: InferenceClient) -> None:
    features = nobody(3, 2)
    features["ITEM_VECTORS"] = np.zeros((3, 1, EMBEDDING_DIM), np.float16)
    features["ITEM_VECTORS"][:2, 0] = unit(0), unit(1)
    features["HISTORY_PLACES"][:] = [[1, 1], [2, 0], [2, 1]]
    features["HISTORY_TYPES"][:] = VIEW
    vectors = client.encode_users(features).vectors
    half = (unit(0) + unit(1)) / np.sqrt(2)
    np.testing.assert_allclose(vectors, [unit(0), unit(1), half], atol=1e-3)


def test_ratings_weigh_by_their_stars(client: InferenceClient) -> None:
    features = nobody(4, 1)
    features["ITEM_VECTORS"][:, 0] = unit(0)
    features["HISTORY_TYPES"][:] = RATING
    features["HISTORY_VALUES"][:, 0] = [5, 1, 3, np.nan]
    vectors = client.encode_users(features).vectors
    assert vectors[:, 0].tolist() == pytest.approx([1, -1, 0, 0])
    assert not vectors[:, 1:].any()


def test_unknown_users_are_zeros_and_padding_counts_for_nothing(client: InferenceClient) -> None:
    features = nobody(256, 50)
    features["ITEM_VECTORS"][7, :3], features["HISTORY_TYPES"][7, :2] = unit(3), VIEW
    features["TAG_VECTOR"][9] = unit(4)
    vectors = client.encode_users(features).vectors
    assert vectors.shape == (256, EMBEDDING_DIM)
    assert vectors[7] == pytest.approx(unit(3))
    assert vectors[9] == pytest.approx(unit(4))
    assert sorted(np.flatnonzero(vectors.any(axis=1))) == [7, 9]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("HISTORY_TYPES", 99),
        ("HISTORY_TYPES", -1),
        ("HISTORY_PLACES", 3),
        ("HISTORY_PLACES", -1),
        ("TAG_VECTOR", np.nan),
        ("HISTORY_AGES", np.nan),
        ("ITEM_VECTORS", np.inf),
    ],
)
def test_wrong_users_are_refused(client: InferenceClient, name: str, wrong: float) -> None:
    features = nobody(2, 1)
    features["ITEM_VECTORS"][:], features["HISTORY_TYPES"][:] = unit(0), VIEW
    features[name][1] = wrong
    with pytest.raises(BadMessage, match=r"user_encoder.*"):
        client.encode_users(features)


def test_versions_are_known(client: InferenceClient) -> None:
    assert client.model_version("text_encoder") == "1"


def test_a_server_that_is_not_there_is_a_config_error() -> None:
    client = InferenceClient(TritonSettings(grpc_address="127.0.0.1:9"))
    with pytest.raises(ConfigError, match="portrait up"):
        client.wait_ready(["text_encoder"], timeout_s=0.3)
    client.close()
    with pytest.raises(ConfigError, match="portrait up"):
        InferenceClient(TritonSettings())


def test_a_model_that_is_not_there_is_named(stack: LocalStack, client: InferenceClient) -> None:
    with pytest.raises(ConfigError, match="model no_such_model is not loaded"):
        client.wait_ready(["no_such_model"], timeout_s=0.3)
