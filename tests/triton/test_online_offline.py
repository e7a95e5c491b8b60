"""Online equals offline: a split is replayed through Kafka, and the lists are those that the evaluation measures."""

import time
import uuid
from collections.abc import Iterator

import numpy as np
import pytest

from consumers.inference import InferenceClient
from consumers.lists.learned_ranker import read_ranker
from consumers.lists.list_check import difference
from consumers.profiler import Profiler
from deploy.evaluation.models import UserEncoder
from deploy.local.encoder_versions import EncoderVersions
from deploy.local.record import stack_folder
from deploy.local.stack import LocalStack, local_stack
from deploy.reading import decoded, read_all
from deploy.recs.cuts import LEAVE_ONE_OUT, TIME_CUT, split_by
from deploy.recs.ours.portrait import earlier_windows
from deploy.recs.split import Split
from deploy.topics import ensure_topics
from deploy.training.learning import RANKER, Learner
from deploy.training.replayed import Replayed, event_at
from producers.publisher import Publisher
from schemas.messages import ItemVector, Recommendations, UserAttributes
from schemas.settings import KafkaSettings, ProfilerSettings, RuntimeSettings, Settings
from schemas.tensors import TEXT_ENCODER, USER_ENCODER
from schemas.topics import BEHAVIOR_EVENTS, ITEM_VECTORS, ITEMS, RECOMMENDATIONS, USER_ATTRIBUTES
from tests.broker.test_runtime import running
from tests.unit.training_cases import QUICK, encode, material

WAIT_S = 120.0
ROUNDING = 2e-3


@pytest.fixture(scope="module", params=["never", "learned"])
def trained(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[Settings, Split]:
    """A project whose user_encoder has learned from the known part of a split; in one users take things again."""
    runtime = RuntimeSettings(folder=tmp_path_factory.mktemp("project"), replica=uuid.uuid4().hex)
    profiler = ProfilerSettings(repeats=request.param)
    settings = Settings(kafka=KafkaSettings(partitions=1), runtime=runtime, profiler=profiler)  # one order of events
    world = material(repeated(settings))
    split = split_by(TIME_CUT if repeated(settings) else LEAVE_ONE_OUT, world.recorded.interactions)
    versions = EncoderVersions.of(settings)
    with versions.being_made() as (version, folder):
        Learner(world, settings, encode, QUICK).learn(split.train, earlier_windows(split), folder, measure=False)
    versions.note_active(version)
    return settings, split


@pytest.fixture(scope="module")
def stack(needs_java: None, needs_triton: None, trained: tuple[Settings, Split]) -> Iterator[LocalStack]:
    settings, _ = trained
    with local_stack(stack_folder(settings), settings, models=(TEXT_ENCODER.name, USER_ENCODER.name)) as stack:
        ensure_topics(stack.settings)
        yield stack


def repeated(settings: Settings) -> bool:
    """Whether users take things again in this project."""
    return settings.profiler.repeats == "learned"


def test_lists_through_kafka_are_those_of_the_evaluation(trained: tuple[Settings, Split], stack: LocalStack) -> None:
    _, split = trained
    world = material(repeated(stack.settings))
    with Publisher(stack.settings.kafka) as publisher:
        for item_id, vector in zip(split.train.item_ids, world.item_vectors, strict=True):
            publisher.send(ITEMS, item_id, world.recorded.items[item_id])
            told = ItemVector(item_id=item_id, vector=vector.tolist(), model_name=TEXT_ENCODER.name, model_version="1")
            publisher.send(ITEM_VECTORS, item_id, told)
        for place in np.argsort(split.train.times_ms, kind="stable").tolist():
            event = event_at(split.train, place)
            publisher.send(BEHAVIOR_EVENTS, event.user_id, event)
    profiler = Profiler(InferenceClient(stack.settings.triton), stack.settings)
    with running(profiler, stack.settings):
        await_lists(stack.settings, BEHAVIOR_EVENTS.name, len(split.train.user_ids))
        with Publisher(stack.settings.kafka) as publisher:  # once all events are read, everyone's list is asked for
            for user_id in split.train.user_ids:
                known = world.recorded.attributes.get(user_id, UserAttributes(user_id=user_id, updated_at_ms=1))
                declared = known.model_copy(update={"updated_at_ms": int(time.time() * 1000), "language": "zh"})
                publisher.send(USER_ATTRIBUTES, user_id, declared)
        online = await_lists(stack.settings, USER_ATTRIBUTES.name, len(split.train.user_ids))
    offline = evaluated(split, stack.settings)
    different = [
        (user_id, found)
        for user_id, message in online.items()
        if (found := difference(message.items, offline[user_id].items)).items or found.score_gap > ROUNDING
    ]
    assert different == []
    assert {message.model_version for message in online.values()} == {"2"}
    assert repeated(stack.settings) == any("again" in item.sources for message in online.values() for item in message.items)
    hits = sum(
        split.train.item_ids[truth[0]] in [item.item_id for item in online[split.train.user_ids[user]].items]
        for user, truth in zip(split.users, split.truths, strict=True)
    )
    assert hits > 0.8 * len(split.users)


def await_lists(settings: Settings, cause: str, users: int) -> dict[str, Recommendations]:
    """The newest list of each user that this topic caused, once everyone has one."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = {}
        for record in read_all(settings.kafka, [RECOMMENDATIONS]):
            user_id, message = decoded(record, settings.fold)
            if isinstance(message, Recommendations) and message.cause.topic == cause:
                found[user_id] = message
        if len(found) == users:
            return found
        time.sleep(0.5)
    raise AssertionError(f"{len(found)} of {users} users have a list because of {cause}")


def evaluated(split: Split, settings: Settings) -> dict[str, object]:
    """The lists that the code of the evaluation makes of the same split."""
    world, folder = material(repeated(settings)), EncoderVersions.of(settings).path(2)
    replayed = Replayed(split.train, world, settings, encode)
    vectors, expected, _ = replayed.encoded(replayed.states, UserEncoder(folder))
    replayed.maker.rank_by(read_ranker((folder / RANKER).read_text(), replayed.maker.rules.weights))
    lists = replayed.maker.make(replayed.states, vectors, int(time.time() * 1000), None, expected)
    return dict(zip(split.train.user_ids, lists, strict=True))
