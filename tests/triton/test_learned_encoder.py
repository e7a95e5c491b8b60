"""A learned user_encoder on a real Triton: put in service and taken back without a restart, and lists as offline."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from consumers.inference import InferenceClient
from consumers.lists.learned_ranker import LearnedRanker, read_ranker
from consumers.lists.ranking import RankWeights
from deploy.evaluation.models import UserEncoder
from deploy.local.activation import activate
from deploy.local.encoder_versions import PLAIN, EncoderVersions
from deploy.local.record import stack_folder
from deploy.local.stack import LocalStack, local_stack
from deploy.recs.cuts import LEAVE_ONE_OUT, split_by
from deploy.recs.ours.portrait import earlier_windows
from deploy.training.learning import ENCODER, Learner
from schemas.errors import ConfigError
from schemas.settings import RuntimeSettings, Settings
from schemas.tensors import USER_ENCODER
from tests.unit.test_training import users
from tests.unit.training_cases import QUICK, encode, material


@pytest.fixture(scope="module")
def stack(needs_triton: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A Triton of a project folder of its own, with nothing but user_encoder."""
    settings = Settings(runtime=RuntimeSettings(folder=tmp_path_factory.mktemp("project")))
    with local_stack(stack_folder(settings), settings, kafka=False, models=(USER_ENCODER.name,)) as stack:
        yield stack


@pytest.fixture(scope="module")
def client(stack: LocalStack) -> Iterator[InferenceClient]:
    client = InferenceClient(stack.settings.triton)
    client.wait_ready([USER_ENCODER.name], timeout_s=60)
    yield client
    client.close()


@pytest.fixture(scope="module")
def learned(stack: LocalStack) -> int:
    """The number of a version trained on the small world; each test begins and ends with the plain one in service."""
    world = material()
    split = split_by(LEAVE_ONE_OUT, world.recorded.interactions)
    versions = EncoderVersions.of(stack.settings)
    with versions.being_made() as (version, folder):
        Learner(world, stack.settings, encode, QUICK).learn(split.train, earlier_windows(split), folder, measure=False)
    return version


def test_a_version_takes_over_while_requests_go_on(stack: LocalStack, client: InferenceClient, learned: int) -> None:
    features = users(["2-3", "2-4"], ["0-1"])
    done, answers = Event(), list[str]()

    def ask() -> None:
        while not done.is_set():
            client.encode_users(features)
            answers.append(client.model_version(USER_ENCODER.name))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        try:
            time.sleep(0.3)
            activate(learned, stack.settings, print)
            time.sleep(0.3)
            activate(PLAIN, stack.settings, print)
            time.sleep(0.3)
        finally:
            done.set()
        for one in asking:
            one.result()  # a request that failed would be raised here
    assert {str(PLAIN), str(learned)} == set(answers)
    assert answers[0] == answers[-1] == str(PLAIN)


def test_served_answers_are_those_of_the_artefact(stack: LocalStack, client: InferenceClient, learned: int) -> None:
    activate(learned, stack.settings, print)
    features = users(["2-3", "2-4"], ["0-1"], [])
    served = client.encode_users(features)
    alone = UserEncoder(EncoderVersions.of(stack.settings).path(learned)).encode(features)
    np.testing.assert_allclose(served.vectors, alone.vectors, atol=1e-5)
    np.testing.assert_array_equal(served.expected.numbers, alone.expected.numbers)
    np.testing.assert_allclose(served.expected.scores, alone.expected.scores, atol=1e-4)
    assert isinstance(read_ranker(client.ranker(), RankWeights()), LearnedRanker)
    activate(PLAIN, stack.settings, print)
    client.encode_users(features)
    assert client.ranker() == ""


def test_a_version_that_does_not_load_leaves_the_one_in_service(
    stack: LocalStack, client: InferenceClient, learned: int
) -> None:
    versions = EncoderVersions.of(stack.settings)
    with versions.being_made() as (broken, folder):
        (folder / ENCODER).write_bytes(b"no program")
        (folder / "ranker.json").write_text("")
    with pytest.raises(ConfigError, match=f"could not load user_encoder {broken}.*{PLAIN} stays"):
        activate(broken, stack.settings, print)
    assert versions.active == PLAIN
    client.encode_users(users(["2-3"]))
    assert client.model_version(USER_ENCODER.name) == str(PLAIN)


def test_the_folder_of_a_version_is_all_that_triton_needs(stack: LocalStack, learned: int) -> None:
    folder: Path = EncoderVersions.of(stack.settings).path(learned)
    assert {path.name for path in folder.iterdir()} >= {"model.py", ENCODER, "ranker.json"}
