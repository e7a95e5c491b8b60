"""What tests of training share, made once: a small world, its cut, a version learned from it. Nothing may change them."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # torch is imported by the tests that need it
    from deploy.recs.split import Split
    from deploy.training.material import Material


@pytest.fixture(scope="session")
def world() -> "Material":
    from tests.unit.training_cases import material

    return material()


@pytest.fixture(scope="session")
def split(world: "Material") -> "Split":
    from deploy.recs.cuts import LEAVE_ONE_OUT, split_by

    return split_by(LEAVE_ONE_OUT, world.recorded.interactions)


@pytest.fixture(scope="session")
def artefact(world: "Material", split: "Split", tmp_path_factory: pytest.TempPathFactory) -> Path:
    from deploy.recs.ours.portrait import earlier_windows
    from deploy.training.learning import Learner
    from schemas.settings import Settings
    from tests.unit.training_cases import QUICK, encode

    folder = tmp_path_factory.mktemp("artefact") / "2"
    Learner(world, Settings(), encode, QUICK).learn(split.train, earlier_windows(split), folder)
    return folder
