"""profile_llm on a real Triton, and what the client does when the server is full, slow or gone."""

import json
import re
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, wait
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton

from consumers.inference import InferenceClient, Sampling
from consumers.texts import prompts
from consumers.texts.parts import parts
from deploy.local.stack import LocalStack
from schemas.errors import BadMessage, Retryable
from schemas.messages import Language
from schemas.settings import TritonSettings
from schemas.tensors import MODELS
from tests.unit.profile_cases import facts

EXAMPLES = "".join(
    f"<|im_start|>user\nage: {age}; likes: {like}<|im_end|>\n"
    f"<|im_start|>assistant\nThis user is {age} and likes {like}.<|im_end|>\n"
    for age, like in [(41, "jazz"), (29, "chess"), (63, "opera"), (37, "tea")]
)
LONG = Sampling(max_tokens=400)
TEA = ["green tea", "jasmine tea", "oolong tea"]


def profile_prompt(names: Sequence[str], language: Language) -> str:
    """What the narrator asks, so that the tuned model writes every name."""
    return prompts.prompt(parts(facts(names))[0], facts(names), language)


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
    assert (cut.result(60).tokens, cut.result(60).finish_reason) == (3, "length")
    assert stopped.result(60).finish_reason == "stop"
    assert " likes" not in stopped.result(60).text and " and" not in stopped.result(60).text
    # One after the other: how numbers are rounded depends on what else is in the batch, and at this temperature that can show.
    same, again, *others = [
        client.generate(prompt(25, "sports"), Sampling(max_tokens=20, temperature=5.0, seed=seed)).result(60).text
        for seed in (1, 1, 2, 3)
    ]
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


def test_pieces_come_as_they_are_written_and_never_hold_a_stop_text(client: InferenceClient) -> None:
    """Chinese characters are several tokens; a stop text may begin in one token and end in another."""
    asked = {
        "whole": (profile_prompt(["运动", "科技", "旅游"], "zh"), ()),
        "stopped": (prompt(31, "swimming and long walks"), ("s swimming and long w", "and long walks in the")),
    }
    for text, stop in asked.values():
        pieces: list[str] = []
        sampling = Sampling(max_tokens=30, stop=stop)
        streamed = client.generate(text, sampling, pieces.append).result(60)
        plain = client.generate(text, sampling).result(60)
        assert len(pieces) > 3
        assert "".join(pieces) == streamed.text
        assert (streamed.text, streamed.tokens, streamed.finish_reason) == (plain.text, plain.tokens, plain.finish_reason)
        assert "\ufffd" not in streamed.text
    assert streamed.finish_reason == "stop"
    assert streamed.text.endswith(" and like")


def test_pieces_come_while_the_rest_is_being_written(client: InferenceClient) -> None:
    times: list[float] = []
    him = facts(TEA, age="25", occupation="dentist", location="Porto")
    about = prompts.prompt(parts(him)[0], him, "en")
    text = client.generate(about, Sampling(max_tokens=60), lambda piece: times.append(time.monotonic())).result(120)
    assert text.tokens > 15
    assert times[-1] - times[0] > 0.2 * text.seconds


def test_urgent_prompts_overtake_those_that_wait(client: InferenceClient) -> None:
    """More prompts than fit into a batch: the urgent one, asked for last, is written before most of them."""
    finished: list[str] = []
    backfill = [client.generate(prompt(number, "jazz"), Sampling(max_tokens=40, priority=9)) for number in range(120)]
    time.sleep(0.5)
    urgent = client.generate(prompt(200, "edits"), Sampling(max_tokens=40, priority=0))
    urgent.add_done_callback(lambda text: finished.append("urgent"))
    for text in backfill:
        text.add_done_callback(lambda text: finished.append("backfill"))
    assert "edits" in urgent.result(120).text
    assert finished.index("urgent") < 72  # those that were at work, and at most as many that joined beside it
    for text in backfill:
        text.cancel()


def test_a_priority_out_of_range_is_refused(client: InferenceClient) -> None:
    with pytest.raises(BadMessage, match="queue_priority"):
        client.generate("hello", Sampling(priority=10)).result(timeout=60)


def test_the_same_prompt_is_written_once_and_remembered(stack: LocalStack, client: InferenceClient) -> None:
    before = counts_at_rest(stack)
    text = prompt(int(time.time()) % 10**6, "kites")  # nobody has asked that before
    together = [client.generate(text, Sampling(max_tokens=30)) for _ in range(5)]
    streamed: list[str] = []
    together.append(client.generate(text, Sampling(max_tokens=30), streamed.append))
    answers = {generation.result(60).text for generation in together}
    again = client.generate(text, Sampling(max_tokens=30)).result(60)
    assert answers == {again.text, "".join(streamed)}
    drawn = [client.generate(text, Sampling(max_tokens=30, temperature=5.0)) for _ in range(2)]
    assert len({generation.result(60).text for generation in drawn}) == 2
    deadline = time.monotonic() + 10
    while (more := {name: text_counts(stack)[name] - number for name, number in before.items()})["written"] < 3:
        assert time.monotonic() < deadline, more
        time.sleep(0.2)
    assert more == {"written": 3, "joined": 5, "cached": 1}


def counts_at_rest(stack: LocalStack) -> dict[str, int]:
    """Once the texts that another test gave up are off the model's hands."""
    counts = text_counts(stack)
    while True:
        time.sleep(2)
        if counts == (counts := text_counts(stack)):
            return counts


def text_counts(stack: LocalStack) -> dict[str, int]:
    """Texts by how they came about, from Triton's metrics page."""
    with urllib.request.urlopen(f"http://{stack.triton.metrics_address}/metrics") as answer:
        page = answer.read().decode()
    found = re.findall(r'^portrait_profile_llm_texts\{.*source="(\w+)".*\} (\S+)$', page, re.MULTILINE)
    return {"written": 0, "joined": 0, "cached": 0} | {name: int(float(number)) for name, number in found}


def test_one_who_joined_gets_the_text_that_another_has_cancelled(client: InferenceClient) -> None:
    text = prompt(int(time.time()) % 10**6, "rafting")
    first = client.generate(text, Sampling(max_tokens=120))
    time.sleep(0.3)
    second = client.generate(text, Sampling(max_tokens=120))
    time.sleep(0.2)
    first.cancel()
    assert "rafting" in second.result(60).text


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
    begun = threading.Event()
    in_flight = [client.generate(prompt(number, "opera"), LONG, lambda _: begun.set()) for number in range(4)]
    assert begun.wait(60)
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
