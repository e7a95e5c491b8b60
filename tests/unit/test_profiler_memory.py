"""What the profiler remembers of users between their batches: who waits for a list, and no words of the erased."""

import numpy as np
import pytest

from schemas.messages import EraseControl, UserAttributes
from schemas.tensors import EMBEDDING_DIM
from schemas.topics import RECOMMENDATIONS, USER_PROFILES
from tests.unit.test_profiler import START_MS, Site

ERASE = EraseControl(user_id="u", issued_at_ms=START_MS)


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
    site.turn(ERASE)
    held = site.profiler._tag_vectors
    assert not held._wanted and not len(site.profiler._waiting_for_text)
    assert not site.profiler._catalogue.vocabulary._readings
    texts, answer = site.models.asked[-1]
    answer.set_result(np.ones((len(texts), EMBEDDING_DIM), np.float32))
    site.turn()
    assert not any("Ann" in str(kept) for kept in held._vectors)


def test_what_was_sent_before_an_erasure_stays_out_after_the_producer_is_lost(site: Site) -> None:
    late = site.records([site.event("sports-0")])
    site.turn(ERASE)
    site.profiler.on_revoked(frozenset({0}))
    outputs = site.process(late)
    assert not outputs.states and not outputs.records
    assert site.turn(site.event("sports-1")).states  # sent after it: a new user's


def test_an_erasure_counts_though_the_answer_to_its_commit_was_lost(site: Site) -> None:
    late = site.records([site.event("sports-0")])
    site.process(site.records([ERASE]))
    site.profiler.on_revoked(frozenset({0}))
    assert not site.process(late).states


def test_an_erasure_that_was_not_committed_is_folded_when_it_is_read_again(site: Site) -> None:
    site.turn(site.event("sports-0"))
    late, erasure = site.records([site.event("sports-1")]), site.records([ERASE])
    site.process(erasure)
    site.profiler.on_revoked(frozenset({0}))
    assert not site.process(late).states
    again = site.process(erasure)
    assert again.states == {(0, "u"): None} and USER_PROFILES in [output.topic for output in again.records]


def test_an_earlier_erasure_that_is_read_again_does_not_hide_a_later_one(site: Site) -> None:
    earlier, late, later = site.records([ERASE]), site.records([site.event("sports-0")]), site.records([ERASE])
    site.process([*earlier, *later])
    site.profiler.on_revoked(frozenset({0}))
    site.process(earlier)
    site.profiler.on_committed()
    assert not site.process(late).states
