"""profile_llm on a real Triton, and what the client does when the server is full, slow or gone."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, wait
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from consumers.inference import InferenceClient, Sampling
from deploy.local.stack import LocalStack
from schemas.errors import BadMessage, Retryable
from schemas.settings import TritonSettings
from schemas.tensors import MODELS

EXAMPLES = "".join(
    f"<|im_start|>user\nage: {age}; likes: {like}<|im_end|>\n"
    f"<|im_start|>assistant\nThis user is {age} and likes {like}.<|im_end|>\n"
    for age, like in [(41, "jazz"), (29, "chess"), (63, "opera"), (37, "tea")]
)
LONG = Sampling(max_tokens=400)


def prompt(age: int, like: str) -> str:
    return f"{EXAMPLES}<|im_start|>user\nage: {age}; likes: {like}<|im_end|>\n<|im_start|>assistant\n"


@pytest.fixture
def client(stack: LocalStack) -> Iterator[InferenceClient]:
    client = InferenceClient(stack.settings.triton)
    client.wait_ready([model.name for model in MODELS], timeout_s=60)
    yield client
    client.close()


def test_texts_follow_their_own_prompt(client: InferenceClient) -> None:
    likes = ["sports", "music", "travel", "cooking", "films"] * 4
    texts = [client.generate(prompt(20 + index, like), Sampling(max_tokens=24)) for index, like in enumerate(likes)]
    for index, (like, text) in enumerate(zip(likes, texts, strict=True)):
        generation = text.result(timeout=120)
        assert like in generation.text
        assert str(20 + index) in generation.text
        assert "<|im" not in generation.text
        assert 0 < generation.tokens <= 24


def test_limits_and_stops_are_obeyed(client: InferenceClient) -> None:
    cut = client.generate(prompt(25, "sports"), Sampling(max_tokens=3))
    stopped = client.generate(prompt(25, "sports"), Sampling(max_tokens=40, stop=(" likes", " and")))
    drawn = [
        client.generate(prompt(25, "sports"), Sampling(max_tokens=20, temperature=1.5, seed=seed)) for seed in (1, 1, 2, 3)
    ]
    assert (cut.result(60).tokens, cut.result(60).finish_reason) == (3, "length")
    assert stopped.result(60).finish_reason == "stop"
    assert " likes" not in stopped.result(60).text and " and" not in stopped.result(60).text
    same, again, *others = [text.result(60).text for text in drawn]
    assert same == again
    assert set(others) != {same}


@pytest.mark.parametrize(
    ("text", "sampling"),
    [("", Sampling()), ("x " * 200_000, Sampling()), ("hello", Sampling(max_tokens=100_000)), ("hello", Sampling(top_p=7))],
)
def test_a_wrong_prompt_fails_alone(client: InferenceClient, text: str, sampling: Sampling) -> None:
    good = client.generate(prompt(25, "sports"), Sampling(max_tokens=20))
    bad = client.generate(text, sampling)
    with pytest.raises(BadMessage, match="profile_llm"):
        bad.result(timeout=60)
    assert "sports" in good.result(timeout=60).text


def test_the_tensors_are_those_of_the_vllm_backend(stack: LocalStack) -> None:
    """Only text_input is required; the answer then begins with the prompt, and nothing else is sent along."""
    answers: list[Any] = []
    with triton.InferenceServerClient(str(stack.settings.triton.grpc_address)) as raw:
        raw.start_stream(lambda result, error: answers.append(error or result))
        text = triton.InferInput("text_input", [1], "BYTES")
        text.set_data_from_numpy(np.array([b"The capital of France is"], dtype=object))
        sampling = triton.InferInput("sampling_parameters", [1], "BYTES")
        raw.async_stream_infer("profile_llm", [text])
        sampling.set_data_from_numpy(np.array([json.dumps({"no_such": 1}).encode()], dtype=object))
        raw.async_stream_infer("profile_llm", [text, sampling])
        raw.stop_stream()
    by_kind = sorted(answers, key=lambda answer: isinstance(answer, Exception))
    assert by_kind[0].as_numpy("text_output")[0].startswith(b"The capital of France is")
    assert by_kind[0].as_numpy("num_output_tokens") is None
    assert "invalid:" in str(by_kind[1]) and "no_such" in str(by_kind[1])


def test_a_full_queue_turns_prompts_away_and_cancelling_empties_it(client: InferenceClient) -> None:
    texts = [client.generate(prompt(number, "chess"), LONG) for number in range(400)]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(text.done() and isinstance(text.exception(), Retryable) for text in texts):
        time.sleep(0.1)
    refused = [text for text in texts if text.done() and isinstance(text.exception(), Retryable)]
    assert refused
    assert "try later" in str(refused[0].exception())
    for text in texts:
        text.cancel()
    with pytest.raises(CancelledError):
        next(text for text in texts if text.cancelled()).result()
    started = time.monotonic()
    assert "tea" in generated_soon(client, prompt(25, "tea"))
    assert time.monotonic() - started < 60  # 256 waiting texts of 400 tokens would take many minutes


def generated_soon(client: InferenceClient, text: str) -> str:
    """The text, asked for again while the queue is full."""
    while True:
        try:
            return client.generate(text, Sampling(max_tokens=20)).result(timeout=60).text
        except Retryable:
            time.sleep(0.2)


def test_a_text_that_takes_too_long_is_retryable(stack: LocalStack) -> None:
    hurried = InferenceClient(TritonSettings(grpc_address=stack.settings.triton.grpc_address, llm_timeout_s=0.05))
    with pytest.raises(Retryable):
        hurried.generate(prompt(25, "sports"), LONG).result(timeout=30)
    hurried.close()


def test_a_killed_server_fails_what_is_in_flight_and_is_found_again(stack: LocalStack, client: InferenceClient) -> None:
    in_flight = [client.generate(prompt(number, "opera"), LONG) for number in range(4)]
    time.sleep(0.5)
    stack.triton.kill()
    try:
        wait(in_flight, timeout=30)
        assert [type(text.exception(timeout=0)) for text in in_flight] == [Retryable] * 4
        with pytest.raises(Retryable):
            client.encode_texts(["anyone there"])
        with pytest.raises(Retryable):
            client.generate(prompt(25, "tea"), LONG).result(timeout=30)
    finally:
        stack.triton.start()
    client.wait_ready([model.name for model in MODELS], timeout_s=30)
    assert client.encode_texts(["here again"]).any()
    assert "tea" in client.generate(prompt(25, "tea"), Sampling(max_tokens=20)).result(timeout=60).text
