"""What the profiler remembers of users between their batches: who waits for a list, and no words of the erased."""

import numpy as np
import pytest

from schemas.messages import EraseControl, UserAttributes
from schemas.tensors import EMBEDDING_DIM
from schemas.topics import RECOMMENDATIONS
from tests.unit.test_profiler import START_MS, Site


@pytest.fixture
def site() -> Site:
    return Site()


def test_who_waits_for_an_item_gets_the_list_though_something_old_comes_in_the_same_batch(site: Site) -> None:
    waiting = site.event("late-item")
    site.turn(waiting)
    site.turn()
    site.add_item("late-item", "music")
    lists = [record for out in (site.turn(waiting), site.turn()) for record in out.records if record.topic is RECOMMENDATIONS]
    assert len(lists) == 1  # the duplicate changes nothing, so the list comes with the next turn


def test_what_an_erased_user_wrote_is_not_kept_nor_encoded(site: Site) -> None:
    site.turn(UserAttributes(user_id="u", updated_at_ms=START_MS, free_text="I am Ann, and I like quiet music"))
    site.turn()
    site.turn(EraseControl(user_id="u", issued_at_ms=START_MS))
    held = site.profiler._tag_vectors
    assert not held._wanted and not len(site.profiler._waiting_for_text)
    assert not site.profiler._catalogue.vocabulary._readings
    texts, answer = site.models.asked[-1]
    answer.set_result(np.ones((len(texts), EMBEDDING_DIM), np.float32))
    site.turn()
    assert not any("Ann" in str(kept) for kept in held._vectors)
