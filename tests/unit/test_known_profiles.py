"""Profiles that users had teach the ranker what a profile text is worth; those written later are unknown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from consumers.lists.ranking import FEATURES
from deploy.evaluation.models import UserEncoder
from deploy.recs.cuts import LEAVE_ONE_OUT, split_by
from deploy.recs.ours.portrait import earlier_windows
from deploy.recs.ours.ranker import train_ranker
from deploy.training.known_profiles import FILE, KnownProfile, KnownProfiles
from deploy.training.lessons import as_file, lesson
from deploy.training.material import Material
from deploy.training.replayed import Replayed
from schemas.errors import ConfigError
from schemas.settings import ProfilerSettings, Settings
from tests.unit.training_cases import encode

PROFILE = FEATURES.index("profile")


def profiles_of(world: Material, generated_at_ms: int) -> KnownProfiles:
    """Everyone's says what the items of their first event say."""
    events = world.recorded.interactions
    items = events.items[events.bounds()[:-1]]
    told = zip(events.user_ids, world.item_vectors[items], strict=True)
    return KnownProfiles({user: KnownProfile(user, "en", generated_at_ms, vector.tolist()) for user, vector in told})


def unseen_after(world: Material, generated_at_ms: int, settings: Settings) -> tuple[set[str], np.ndarray]:
    """What a ranker never saw in a window's lesson, and the profile feature in it."""
    [window, *_] = earlier_windows(split_by(LEAVE_ONE_OUT, world.recorded.interactions))
    told = replace(world, profiles=profiles_of(world, generated_at_ms))
    taught = lesson(window, Replayed(window.train, told, settings, encode), UserEncoder(), np.arange(40, dtype=np.int32))
    features = taught.candidates.features[taught.candidates.there]
    return set(as_file(train_ranker([taught], 1), [taught]).unseen), features[:, PROFILE]


def test_a_ranker_learns_from_profiles_of_that_time_and_from_none_of_later(world: Material) -> None:
    unseen, features = unseen_after(world, 0, Settings())
    assert "profile" not in unseen and features.max() > 0.5
    unseen, features = unseen_after(world, int(world.recorded.interactions.times_ms.max()) + 1, Settings())
    assert "profile" in unseen and not features.any()


def test_a_ranker_learns_from_the_sites_concepts(world: Material, tmp_path: Path) -> None:
    path = tmp_path / "concepts.csv"
    path.write_text("item_id,concept\n" + "".join(f"{item},{item[0]}\n" for item in world.recorded.items))
    settings = Settings(profiler=ProfilerSettings(concepts_file=path))
    assert "concept" not in unseen_after(world, 0, settings)[0]
    assert "concept" in unseen_after(world, 0, Settings())[0]
    with pytest.raises(ConfigError, match="cannot be read"):
        unseen_after(world, 0, Settings(profiler=ProfilerSettings(concepts_file=tmp_path / "none.csv")))


def test_profiles_that_were_written_are_read_again(world: Material, tmp_path: Path) -> None:
    known = profiles_of(world, 5)
    known.write(tmp_path)
    assert KnownProfiles.of_folder(tmp_path) == known
    assert KnownProfiles.of_folder(tmp_path / "elsewhere").by_user == {}
    with (tmp_path / FILE).open("a") as file:
        file.write("{}\n")
    with pytest.raises(ConfigError, match=f"line {len(known.by_user) + 1} is no profile"):
        KnownProfiles.of_folder(tmp_path)
