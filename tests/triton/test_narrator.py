"""The narrator with the real model on the real Triton: what it publishes is true, and most of it is the model's own."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from consumers.inference import InferenceClient
from consumers.narrator import Narrator
from consumers.runtime.processor import Batch, Record
from consumers.texts.grounding import check
from deploy.local.stack import LocalStack
from schemas.messages import Language, ProfileRequest, UserProfile
from schemas.tensors import EMBEDDING_DIM
from schemas.topics import PROFILE_REQUESTS
from tests.unit.profile_cases import facts, request, user_a
from tests.unit.test_grounding_changes import HIM

PEOPLE = {
    "reader": facts(["Drama", "Crime"], ["Horror"], ["Fargo (1996)", "Saint, The (1997)"], age="44", gender="female"),
    "cook": facts(["cooking", "food", "travel"], (), ["Easy Weeknight Pasta"], occupation="nurse", location="Leeds"),
    "changed": HIM,
}
LANGUAGES: tuple[Language, ...] = ("en", "zh")
BUDGET_S = 200.0


@pytest.fixture
def inference(stack: LocalStack) -> Iterator[InferenceClient]:
    client = InferenceClient(stack.settings.triton)
    yield client
    client.close()


def written(narrator: Narrator, requests: list[ProfileRequest]) -> dict[str, UserProfile]:
    """Run the narrator as the worker does until every request is answered."""
    records = [Record(PROFILE_REQUESTS.name, 0, n, 0, r.user_id, r) for n, r in enumerate(requests)]
    found: dict[str, UserProfile] = {}
    deadline_s = time.monotonic() + BUDGET_S
    while len(found) < len(requests):
        assert time.monotonic() < deadline_s, f"only {sorted(found)} were written"
        outputs = narrator.process(Batch(records, lambda partition, keys: {}))
        narrator.on_committed()
        records = []
        found |= {o.key: o.message for o in outputs.records if isinstance(o.message, UserProfile)}
        time.sleep(0.05)
    return found


def test_profiles_are_true_and_the_sentences_are_the_models_in_both_languages(
    stack: LocalStack, inference: InferenceClient
) -> None:
    narrator = Narrator(inference, stack.settings)
    narrator.startup()
    asked = [request(f"{name}-{language}", told, language) for name, told in PEOPLE.items() for language in LANGUAGES]
    found = written(narrator, [*asked, *(request(f"a-{language}", user_a(language), language) for language in LANGUAGES)])
    for profile in found.values():
        assert check(profile.text, profile.statements, profile.language) == [], profile.text
        assert np.linalg.norm(profile.text_vector) == pytest.approx(1, abs=1e-3) and len(profile.text_vector) == EMBEDDING_DIM
    for language in LANGUAGES:
        sentences = [sentence for profile in found.values() if profile.language == language for sentence in profile.summary]
        by_llm = [sentence for sentence in sentences if sentence.source == "llm"]
        assert len(by_llm) / len(sentences) >= 0.8, [sentence.text for sentence in sentences]
    example = found["a-zh"]
    assert {sentence.source for sentence in example.summary} == {"llm"} and example.prompt_version == "narrator-2"
    assert all(fact in example.text for fact in ("25岁", "运动", "科技", "旅游", "商品B", "商品C", "商品D")), example.text
