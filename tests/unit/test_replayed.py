"""Recorded events through the code of the live path: what is known when, and lists that are those measured."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from deploy.evaluation.models import UserEncoder
from deploy.recs.measures import gains
from deploy.recs.ours.portrait import moment_of
from deploy.recs.split import Split
from deploy.training.learning import RANKER
from deploy.training.material import Material
from deploy.training.neighbours import neighbours_of
from deploy.training.replayed import Replayed
from deploy.training.served_lists import ServedLists
from schemas.messages import EVENT_TYPES
from schemas.settings import ProfilerSettings, Settings
from tests.unit.training_cases import encode


def test_what_is_measured_is_what_the_list_maker_lists_by_score(world: Material, split: Split, artefact: Path) -> None:
    replayed = Replayed(split.train, world, Settings(profiler=ProfilerSettings(diversity=0.0)), encode)
    encoder, ranker = UserEncoder(artefact), (artefact / RANKER).read_text()
    measured = gains(ServedLists(replayed, encoder, split, ranker), split).lists
    states = [replayed.states[user] for user in split.users]
    vectors, expected, _ = replayed.encoded(states, encoder)
    made = replayed.maker.make(states, vectors, moment_of(split), None, expected)
    listed = [replayed.catalogue.rows([place.item_id for place in one.items]) for one in made]
    assert np.array_equal(replayed.rows[measured], listed)


def test_what_users_declare_later_is_not_known_yet(world: Material, split: Split) -> None:
    [(user_id, declared)] = world.recorded.attributes.items()
    last_ms = int(split.train.times_ms.max())
    for at_ms, known in ((last_ms, True), (last_ms + 1, False)):
        told = {user_id: declared.model_copy(update={"updated_at_ms": at_ms})}
        replayed = Replayed(split.train, replace(world, recorded=replace(world.recorded, attributes=told)), Settings(), encode)
        state = replayed.states[split.train.user_ids.index(user_id)]
        assert (state.attributes is not None) == known


def test_what_people_send_back_follows_nothing(world: Material) -> None:
    events = world.recorded.interactions
    back = np.where(np.arange(len(events.items)) % 2 == 1, 1 + EVENT_TYPES.index("return"), events.types)
    returned = replace(events, types=back.astype(events.types.dtype))
    kept = returned.part(returned.positive())
    found, wanted = (neighbours_of(one).models["following"].weights for one in (returned, kept))
    assert torch.equal(found, wanted) and not torch.equal(found, neighbours_of(events).models["following"].weights)
