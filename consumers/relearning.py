"""Popularity, co-visitation and returns are in no state: a new process begins without them, and one that is given a partition
lacks what its users did. Both learn it from the events that states keep, of a sample of users."""

import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import islice

from consumers.catalogue import Catalogue
from consumers.meetings import learn_from
from consumers.runtime.processor import Batch, StateKey
from schemas.messages import EventType
from schemas.metrics import USERS_RELEARNT
from schemas.state import decode_state

log = logging.getLogger("portrait.relearning")

IDLE_SLICE_S, BUSY_SLICE_S = 0.02, 0.01
"""Of one turn, without records and with some, which wait for it."""
USERS_AT_ONCE = 8
"""They take some milliseconds; more at once would take little less each."""


class Relearning:
    """Teaches the catalogue what sampled users did before their partition came to this process, each partition once.

    Nothing is counted twice: what users do while they wait for their turn must not be learnt as it comes, since their states
    have it when it is their turn. A partition that leaves halfway goes on when it comes back.
    """

    def __init__(self, catalogue: Catalogue, type_weights: Mapping[EventType, float], clock_s: Callable[[], float]) -> None:
        self._catalogue = catalogue
        self._type_weights = type_weights
        self._clock_s = clock_s
        self._lessons: dict[int, _Lesson] = {}

    def awaits(self, key: StateKey) -> bool:
        """Whether all that this user's state keeps is still to be learnt."""
        partition, user_id = key
        return partition in self._lessons and user_id in self._lessons[partition].waiting

    def go_on(self, batch: Batch) -> None:
        """Learn for a moment from users of the partitions that are served.

        To be called before the batch is committed: from then on `awaits` knows the partitions that are new in it.
        """
        for partition in batch.partitions - self._lessons.keys():
            self._lessons[partition] = _Lesson(batch.sample(partition), self._clock_s())
        until_s = self._clock_s() + (BUSY_SLICE_S if batch.records else IDLE_SLICE_S)
        for partition in batch.partitions:
            lesson = self._lessons[partition]
            while lesson.waiting:
                self._learn(partition, lesson, batch)
                if self._clock_s() >= until_s:
                    return

    def _learn(self, partition: int, lesson: "_Lesson", batch: Batch) -> None:
        user_ids = list(islice(lesson.waiting, USERS_AT_ONCE))
        states = [decode_state(data) for data in batch.load(partition, user_ids).values()]
        learn_from(((state.events, state) for state in states), self._catalogue, self._type_weights)
        for user_id in user_ids:
            del lesson.waiting[user_id]
        lesson.users += len(states)
        USERS_RELEARNT.inc(len(states))
        if not lesson.waiting:
            seconds = self._clock_s() - lesson.begun_s
            log.info("partition %d: learnt anew from %d users, %.1f s after it came", partition, lesson.users, seconds)


class _Lesson:
    """What is left to learn of one partition."""

    def __init__(self, user_ids: Iterable[str], begun_s: float) -> None:
        self.waiting = dict.fromkeys(user_ids)
        self.users = 0
        self.begun_s = begun_s
