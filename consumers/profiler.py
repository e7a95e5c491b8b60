"""The profiler: folds behaviour, attributes, controls and finished profiles into user states, and publishes what follows
from them: a fresh list per user and micro-batch, and requests for new profile texts. It never waits for a text."""

import logging
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, takewhile, zip_longest

import numpy as np
import numpy.typing as npt

from consumers.awaited import Awaited
from consumers.catalogue import Catalogue
from consumers.consent import consents
from consumers.encoded_users import EncodedUsers
from consumers.fold import is_empty
from consumers.gate import profile_request, wanted_text
from consumers.inference import InferenceClient
from consumers.lists.concepts import concepts_of
from consumers.lists.exploration import chance_of
from consumers.lists.features import declared_texts, user_features
from consumers.lists.learned_ranker import read_ranker
from consumers.lists.list_check import CHECKED_AT_ONCE, Difference, ListCheck
from consumers.lists.lists import ListMaker, ListRules
from consumers.lists.rule_file import read_rules
from consumers.lists.rules import RuleBook
from consumers.lists.site_files import site_text
from consumers.lists.tag_vectors import TagVectors
from consumers.meetings import learn_from
from consumers.overlay import Touched, fold_batch
from consumers.relearning import Relearning
from consumers.runtime.processor import Batch, Output, Outputs, Record, StateKey
from consumers.search.choice import vector_index
from consumers.search.exact import ExactIndex
from consumers.search.vector_index import VectorIndex
from consumers.statements.feedback import forget_words
from schemas import metrics
from schemas.messages import Cause, Item, ItemVector, Recommendations
from schemas.settings import Settings
from schemas.state import UserState, decode_state
from schemas.tensors import TEXT_ENCODER, USER_ENCODER
from schemas.topics import (
    BEHAVIOR_EVENTS,
    ITEM_VECTORS,
    ITEMS,
    PROFILE_REQUESTS,
    RECOMMENDATIONS,
    USER_ATTRIBUTES,
    USER_CONTROLS,
    USER_PROFILES,
    USER_STATE,
    Topic,
)

log = logging.getLogger("portrait.profiler")

Listed = tuple[StateKey, UserState, Cause]
"""A user whose lists are made, and because of what."""

START_BUDGET_S = 60.0
RELISTED_PER_BATCH = 32
"""Users whose lists are made again in one batch because what they waited for is there: others must not wait long for them."""
FEWEST_AT_ONCE = 64
"""Users of a call of the encoder where there are more: so few are not divided."""
MAX_ERASURES = 10_000
"""Erasures remembered, so that what was sent before one and is read after it does not bring the user back."""


class Profiler:
    """The Processor of the fast path; see `consumers.runtime.processor.Processor`."""

    name = "profiler"
    inputs = (BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES)
    tables = (ITEMS, ITEM_VECTORS)
    changelog = USER_STATE

    def __init__(self, inference: InferenceClient, settings: Settings) -> None:
        self._inference = inference
        self._settings = settings
        self._list_rules = ListRules.of(settings)
        self._catalogue = Catalogue()
        index = vector_index(settings.search, self._catalogue.dim)
        self._lists = list_maker(self._list_rules, self._catalogue, settings, index)
        exact = list_maker(self._list_rules, self._catalogue, settings, ExactIndex())
        self._check = ListCheck(exact, settings.profiler.check_every_s)
        self._relearning = Relearning(self._catalogue, settings.fold.type_weights, time.monotonic)
        self._ranker_version: str | None = None
        self._tag_vectors = TagVectors(inference.encode_texts_soon)
        self._waiting_for_item = Awaited()
        self._waiting_for_text = Awaited()
        self._outdated: dict[StateKey, Topic] = {}
        self._asked: dict[StateKey, float] = {}
        self._erased_at_ms: dict[StateKey, int] = {}
        self._pending: _Pending = _Pending()

    def startup(self) -> None:
        """Wait until the models of the fast path are there."""
        self._inference.wait_ready([TEXT_ENCODER.name, USER_ENCODER.name], START_BUDGET_S)

    def on_table_record(self, record: Record) -> None:
        """Keep the catalogue up to date."""
        catalogue, message = self._catalogue, record.message
        if isinstance(message, Item):
            catalogue.put_item(message)
        elif isinstance(message, ItemVector):
            catalogue.put_vector(message)
        elif record.topic == ITEMS.name:
            catalogue.remove_item(record.key)
        else:
            catalogue.remove_vector(record.key)
        metrics.CATALOG_ITEMS.set(len(catalogue))

    def process(self, batch: Batch) -> Outputs:
        """Fold the batch; publish lists, profile requests, and the tombstones that erasure and withdrawal call for."""
        users = fold_batch(batch, self._settings.fold, self._erased_at_ms)
        self._pending = _Pending(users)
        outputs = Outputs()
        for user in users:
            self._retract(user, outputs)
            if user.changed or user.erased:
                outputs.states[user.key] = user.stored()
        changed = [user for user in users if user.changed and not is_empty(user.state)]
        listed = [(user.key, user.state, user.cause) for user in changed]
        listed += self._outdated_users(batch, users)
        self._publish_lists(listed, outputs)
        for user in changed:
            self._request_profile(user, outputs)
        self._relearning.go_on(batch)
        return outputs

    def _retract(self, user: Touched, outputs: Outputs) -> None:
        """Tombstones come before anything new of the same user."""
        gone: list[Topic] = []
        if user.withdrew_profile or user.erased:
            gone += [USER_PROFILES, PROFILE_REQUESTS]
        if user.withdrew_recommendations or user.erased:
            gone.append(RECOMMENDATIONS)
        if user.erased and user.state.attributes is None:
            gone.append(USER_ATTRIBUTES)
        outputs.records += [Output(topic, user.user_id, None) for topic in gone]

    def _publish_lists(self, users: Sequence[Listed], outputs: Outputs) -> None:
        started = time.perf_counter()
        allowed = [user for user in users if consents(user[1], "recommendations", self._settings.fold)]
        size = min(self._settings.triton.max_batch, max(FEWEST_AT_ONCE, -(-len(allowed) // 2)))
        for chunk, encoded in self._each_encoded([allowed[start : start + size] for start in range(0, len(allowed), size)]):
            self._publish_chunk(chunk, encoded, outputs)
        if allowed:
            metrics.LIST_SECONDS.observe(time.perf_counter() - started)

    def _each_encoded(self, chunks: Sequence[Sequence[Listed]]) -> Iterator[tuple[Sequence[Listed], EncodedUsers]]:
        """Each chunk with what user_encoder says of it; it works on the next one while lists of this are made."""
        if not chunks:
            return
        encoded = self._inference.encode_users(self._features(chunks[0]))
        for chunk, after in zip_longest(chunks, chunks[1:]):
            asked = self._inference.encode_users_soon(self._features(after)) if after else None
            yield chunk, encoded
            if asked is not None:
                encoded = asked.result()

    def _publish_chunk(self, users: Sequence[Listed], encoded: EncodedUsers, outputs: Outputs) -> None:
        states = [state for _, state, _ in users]
        vectors, expected, version = encoded
        self._rank_as(version)
        now_ms = int(time.time() * 1000)
        chances = [chance_of(user_id, state.version) for (_, user_id), state, _ in users]
        lists = self._lists.make(states, vectors, now_ms, chances, expected)
        if self._check.is_due(now_ms):
            few = self._inference.encode_users(self._features(users[:CHECKED_AT_ONCE]))
            self._pending.checked += self._check.compare(states, few, now_ms, chances, lists)
        self._note_missing_texts(users)
        self._pending.lists += len(users)
        self._pending.without_vector += int((~vectors.any(axis=1)).sum())
        for ((_, user_id), state, cause), made in zip(users, lists, strict=True):
            for item in made.items:
                for source in item.sources:
                    self._pending.sources[source] += 1
            message = Recommendations(
                user_id=user_id,
                items=made.items,
                surfaces=made.surfaces,
                state_version=state.version,
                list_id=uuid.uuid4().hex,
                profile_state_version=state.profile.state_version if state.profile else None,
                model_name=USER_ENCODER.name,
                model_version=version,
                catalog_size=len(self._catalogue),
                generated_at_ms=now_ms,
                cause=cause,
            )
            outputs.records.append(Output(RECOMMENDATIONS, user_id, message))

    def _rank_as(self, version: str) -> None:
        """The ranker of this version of user_encoder ranks from now on."""
        if version != self._ranker_version:
            ranker = read_ranker(self._inference.ranker(), self._list_rules.weights)
            self._lists.rank_by(ranker)
            self._check.rank_by(ranker)
            self._ranker_version = version
            log.info("lists are ranked by user_encoder version %s%s", version, "'s own ranker" if ranker.wants_details else "")

    def _features(self, users: Sequence[Listed]) -> dict[str, npt.NDArray[np.generic]]:
        return user_features([state for _, state, _ in users], self._catalogue, self._tag_vectors)

    def _note_missing_texts(self, users: Sequence[Listed]) -> None:
        for key, state, _ in users:
            for text in declared_texts(state, self._catalogue.vocabulary):
                if text not in self._tag_vectors:
                    self._pending.missing_texts.append((text, key))

    def _outdated_users(self, batch: Batch, users: Sequence[Touched]) -> list[Listed]:
        """Users whose item or declared text was not there when their list was made, now that it is; a few at a time.

        None of the batch's own: those of them that changed get a list anyway, and the others wait for the next turn.
        """
        for item_id in self._catalogue.drain_arrivals():
            self._outdated.update(dict.fromkeys(self._waiting_for_item.arrived(item_id), ITEM_VECTORS))
        for text in self._tag_vectors.arrivals():
            self._outdated.update(dict.fromkeys(self._waiting_for_text.arrived(text), USER_ATTRIBUTES))
        if not self._outdated:
            return []
        touched = {user.key for user in users}
        keys = list(islice((key for key in self._outdated if key not in touched), RELISTED_PER_BATCH))
        self._pending.relisted = [*keys, *(user.key for user in users if user.changed or user.erased)]
        by_partition: defaultdict[int, list[str]] = defaultdict(list)
        for partition, user_id in keys:
            by_partition[partition].append(user_id)
        found = []
        now_ms = int(time.time() * 1000)
        for partition, user_ids in by_partition.items():
            for user_id, data in batch.load(partition, user_ids).items():
                topic = self._outdated[partition, user_id]
                cause = Cause(topic=topic.name, partition=-1, offset=-1, record_time_ms=now_ms, waiting_since_ms=now_ms)
                found.append(((partition, user_id), decode_state(data), cause))
        return found

    def _request_profile(self, user: Touched, outputs: Outputs) -> None:
        """Ask for a text when the refresh gate opens."""
        wanted = wanted_text(user, self._is_under_way(user.key), self._catalogue, self._list_rules.interest, self._settings)
        if wanted is None:
            return
        request = profile_request(user, wanted, uuid.uuid4().hex, int(time.time() * 1000))
        outputs.records.append(Output(PROFILE_REQUESTS, user.user_id, request))
        self._pending.asked[user.key] = wanted.reason

    def _is_under_way(self, key: StateKey) -> bool:
        asked_at = self._asked.get(key)
        return asked_at is not None and time.monotonic() - asked_at < self._settings.profiler.request_timeout_s

    def on_committed(self) -> None:
        """What the batch taught this process, now that it counts."""
        pending, self._pending = self._pending, _Pending()
        pending.count()
        for user in pending.users:
            self._note(user)
        learnt = ((user.events, user.state) for user in pending.users if not self._relearning.awaits(user.key))
        learn_from(learnt, self._catalogue, self._settings.fold.type_weights)
        for key in pending.relisted:
            self._outdated.pop(key, None)
        for text, key in pending.missing_texts:
            self._waiting_for_text.add(text, key)
        self._remember_asked(pending.asked)

    def _remember_asked(self, asked: Iterable[StateKey]) -> None:
        """Only while a text may still be under way; the longest asked comes first."""
        now = time.monotonic()
        for key in asked:
            self._asked.pop(key, None)
            self._asked[key] = now
        longest = self._settings.profiler.request_timeout_s
        for key in list(takewhile(lambda key: now - self._asked[key] >= longest, self._asked)):
            del self._asked[key]

    def _note(self, user: Touched) -> None:
        if user.profile_arrived:
            self._asked.pop(user.key, None)
        self._note_erasure(user)
        item_ids = [event.item_id for event in user.events if event.item_id is not None]
        for item_id, row in zip(item_ids, self._catalogue.rows(item_ids), strict=True):
            if row < 0:
                self._waiting_for_item.add(item_id, user.key)

    def _note_erasure(self, user: Touched) -> None:
        if user.erased_at_ms is None:
            return
        self._asked.pop(user.key, None)
        self._tag_vectors.forget(self._waiting_for_text.leave(user.key))
        forget_words(self._catalogue.vocabulary)
        before_ms = self._erased_at_ms.pop(user.key, 0)  # popped, so that the newest erasure is the last in the dict
        self._erased_at_ms[user.key] = max(user.erased_at_ms, before_ms)
        if len(self._erased_at_ms) > MAX_ERASURES:
            del self._erased_at_ms[next(iter(self._erased_at_ms))]

    def on_revoked(self, partitions: frozenset[int]) -> None:
        """Another worker serves these users now, or they come back to this one and are read again.

        No erasure is forgotten, whoever folds it: it was read, so it is true. That holds also of one whose commit failed, as
        it will be read again and folded then, or whose commit succeeded without our being told.
        """
        for user in self._pending.users:
            self._note_erasure(user)
        self._pending = _Pending()
        self._asked = {key: at for key, at in self._asked.items() if key[0] not in partitions}
        self._outdated = {key: topic for key, topic in self._outdated.items() if key[0] not in partitions}
        self._waiting_for_item.forget(partitions)
        self._waiting_for_text.forget(partitions)


def list_maker(rules: ListRules, catalogue: Catalogue, settings: Settings, index: VectorIndex) -> ListMaker:
    """What makes lists of this catalogue with this index, and with the rules file and the concepts file of the settings.

    Raises:
        ConfigError: a file is missing or wrong.
    """
    files = settings.profiler
    book = RuleBook() if files.rules_file is None else read_rules(site_text(files.rules_file), str(files.rules_file))
    return ListMaker(rules, catalogue, index, book, concepts_of(files.concepts_file))


class _Pending:
    """What becomes true when the batch is committed."""

    def __init__(self, users: Sequence[Touched] = ()) -> None:
        self.users = users
        self.lists = 0
        self.without_vector = 0
        self.sources: Counter[str] = Counter()
        self.checked: list[Difference] = []
        self.asked: dict[StateKey, str] = {}
        self.relisted: list[StateKey] = []
        self.missing_texts: list[tuple[str, StateKey]] = []

    def count(self) -> None:
        metrics.LISTS.inc(self.lists)
        metrics.LISTS_WITHOUT_VECTOR.inc(self.without_vector)
        metrics.LISTS_CHECKED.inc(len(self.checked))
        for found in self.checked:
            metrics.LIST_ITEMS_DIFFERING.inc(found.items)
            metrics.LIST_SCORE_GAP.observe(found.score_gap)
        for source, places in self.sources.items():
            metrics.LIST_PLACES.labels(source=source).inc(places)
        for user in self.users:
            metrics.FOLDED.labels(kind="event").inc(len(user.events))
            metrics.DUPLICATES.inc(user.duplicates)
            metrics.LATE_EVENTS.inc(user.late)
            metrics.ERASURES.inc(user.erased)
        for reason in self.asked.values():
            metrics.PROFILE_REQUESTS.labels(reason=reason).inc()
