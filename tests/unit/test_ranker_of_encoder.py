"""The profiler ranks by what user_encoder brought along, and by nothing else once that has gone."""

import numpy as np
import pytest

from consumers.lists.details import CONTEXT, DETAILS
from consumers.lists.learned_ranker import Member, RankerFile, Scaling
from consumers.lists.ranking import FEATURES
from deploy.recs.ours.evidence import Candidates
from deploy.recs.ours.ranker import Lesson, train_ranker
from deploy.training.lessons import as_file
from schemas.errors import ConfigError
from tests.unit.test_profiler import Site, made


@pytest.fixture
def site() -> Site:
    return Site()


def test_the_ranker_comes_with_the_encoder_that_answers_and_goes_with_it(site: Site) -> None:
    """It likes what the user does not: the opposite of the plain one."""
    plain = made(site.turn(site.event("music-1")))
    site.models.version, site.models.ranker_json = "2", ranker_that_likes("interest", -1.0)
    learned = made(site.turn(site.event("music-2")))
    assert (plain.model_version, learned.model_version) == ("1", "2")
    assert plain.items[0].item_id.startswith("music") and not learned.items[0].item_id.startswith("music")
    site.turn(site.event("music-3"))
    assert site.models.rankers_asked == 2  # once a version
    site.models.version, site.models.ranker_json = "1", ""
    assert made(site.turn(site.event("music-4"))).items[0].item_id.startswith("music")


def test_a_ranker_that_cannot_be_read_stops_the_profiler_with_what_to_do(site: Site) -> None:
    site.models.version, site.models.ranker_json = "2", "{}"
    with pytest.raises(ConfigError, match="portrait train"):
        site.turn(site.event("music-1"))


def ranker_that_likes(feature: str, weight: float) -> str:
    names = [*FEATURES, *DETAILS]
    linear = [weight if name == feature else 0.0 for name in names]
    nothing = {"first": [[0.0] * (len(names) + len(CONTEXT))], "first_bias": [0.0], "second": [[0.0]], "second_bias": [0.0]}
    return RankerFile(
        features=names,
        context=list(CONTEXT),
        feature_scaling=Scaling(mean=[0.0] * len(names), deviation=[1.0] * len(names)),
        context_scaling=Scaling(mean=[0.0] * len(CONTEXT), deviation=[1.0] * len(CONTEXT)),
        members=[Member(linear=linear, last=[0.0], **nothing)],
        unseen=[],
        spread=1.0,
    ).model_dump_json()


def test_the_spread_is_told_from_lessons_of_any_width() -> None:
    random = np.random.default_rng(1)

    def lesson(width: int) -> Lesson:
        features = random.normal(size=(40, width, len(FEATURES) + len(DETAILS))).astype(np.float32)
        taken = np.zeros((40, width), np.float32)
        taken[:, 0] = 1
        context = random.normal(size=(40, len(CONTEXT))).astype(np.float32)
        return Lesson(Candidates(np.zeros((40, width), np.int64), np.ones((40, width), np.bool_), features, context), taken)

    lessons = [lesson(23), lesson(20)]  # small shops offer less than fifty items, and not the same number twice
    assert as_file(train_ranker(lessons, 1), lessons).spread > 0
