"""From states to the input tensors of user_encoder, a batch of users at a time."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt

from consumers.catalogue import Catalogue, Halves, Rows
from consumers.lists.policy import refused_rows
from consumers.lists.tag_vectors import TagVectors
from consumers.statements.free_text import read
from consumers.statements.hidden import Hidden
from consumers.statements.own_words import Word, own_words
from consumers.statements.vocabulary import NO_WORDS, Vocabulary
from schemas.messages import EVENT_TYPES
from schemas.state import Attributes, HistoryEvent, UserState
from schemas.tensors import DEMOGRAPHICS_DIM

MS_PER_H = 3_600_000.0
MAX_TEXT = 1000
"""Characters of a free text that count; the encoder reads no further."""
MAX_VALUE = 1e9
"""Values beyond it are cut, so that a hostile one cannot become infinite in float32."""

_TYPE_IDS: dict[str, int] = {name: 1 + index for index, name in enumerate(EVENT_TYPES)}
_GENDERS = ("male", "female", "other")


def user_features(
    states: Sequence[UserState], catalogue: Catalogue, tag_vectors: TagVectors
) -> dict[str, npt.NDArray[np.generic]]:
    """The tensors of `schemas.tensors.USER_ENCODER` for these users, in their order.

    Events on items that the catalogue does not hold or the user refused, and searches, have type 0 and no vector, like
    padding. Declared texts that `tag_vectors` does not know yet are left out, and wanted of it.
    """
    return {
        **_history(states, catalogue),
        "TAG_VECTOR": _declared_vectors(states, tag_vectors, catalogue),
        "PROFILE_VECTOR": profile_vectors(states, catalogue.dim),
        "DEMOGRAPHICS": _demographics(states),
    }


def profile_vectors(states: Sequence[UserState], dim: int) -> npt.NDArray[np.float32]:
    """Vectors of the users' profile texts, float32 [users, dim]; zeros for no profile, or one by an encoder of another dim."""
    vectors = np.zeros((len(states), dim), np.float32)
    for vector, state in zip(vectors, states, strict=True):
        if state.profile is not None and len(state.profile.text_vector) == 2 * dim:
            vector[:] = np.frombuffer(state.profile.text_vector, "<f2")
    return vectors


def declared_texts(state: UserState, vocabulary: Vocabulary = NO_WORDS) -> list[str]:
    """What the user says they like: tags by declaration, answer, free text or edit, and free text, less what they took back.

    Of a free text the clauses that speak against something are left out: an encoder hears their words, not the `not`.
    """
    if state.attributes is None and not state.edits:
        return []
    words: dict[str, Word] = {}
    for said in own_words(state, vocabulary):  # the last word on a tag counts
        words.update(said.words)
    declared = [word.tag for word in words.values() if word.sign > 0]
    declared += [topic for topic, stance in sorted(state.edits.items()) if stance == "interested"]
    refused = Hidden.of(state).names
    texts = dict.fromkeys(tag for tag in declared if tag.casefold() not in refused)
    if state.attributes is not None and state.attributes.free_text:
        liked = read(state.attributes.free_text, vocabulary).without_denials[:MAX_TEXT]
        if liked:
            texts[liked] = None
    return list(texts)


def _history(states: Sequence[UserState], catalogue: Catalogue) -> dict[str, npt.NDArray[np.generic]]:
    lengths = np.array([len(state.events) for state in states], dtype=np.int64)
    longest = max(1, int(lengths.max(initial=0)))
    filled = np.arange(longest) < lengths[:, None]
    events: list[HistoryEvent] = list(chain.from_iterable(state.events for state in states))
    event_rows = catalogue.rows([event.item_id for event in events])
    _drop_refused(event_rows, states, lengths, catalogue)
    type_ids = np.array([_TYPE_IDS.get(event.type, 0) for event in events], dtype=np.int32)
    times_ms = np.array([event.event_time_ms for event in events], dtype=np.int64)
    newest_ms = np.array([state.events[-1].event_time_ms if state.events else 0 for state in states], dtype=np.int64)

    rows = np.full(filled.shape, -1, np.int64)
    types = np.zeros(filled.shape, np.int32)
    ages_h = np.zeros(filled.shape, np.float32)
    values = np.full(filled.shape, np.nan, np.float32)
    rows[filled] = event_rows
    types[filled] = np.where(event_rows >= 0, type_ids, 0)
    ages_h[filled] = (np.repeat(newest_ms, lengths) - times_ms) / MS_PER_H
    event_values = np.array([event.value for event in events], dtype=np.float64)  # None becomes NaN
    values[filled] = np.clip(event_values, -MAX_VALUE, MAX_VALUE)
    vectors, places = _each_once(rows, catalogue)
    return {
        "ITEM_VECTORS": vectors,
        "HISTORY_PLACES": places,
        "HISTORY_ITEMS": catalogue.numbers(rows),
        "HISTORY_TYPES": types,
        "HISTORY_AGES": ages_h,
        "HISTORY_VALUES": values,
    }


def _each_once(rows: Rows, catalogue: Catalogue) -> tuple[Halves, npt.NDArray[np.int32]]:
    """Vectors of all items of these rows [users, L], float16 [users, U, dim], and where each row's is, counted from 1."""
    users = len(rows)
    each, places = np.unique(rows, return_inverse=True)
    missing = int(each.size > 0 and each[0] < 0)
    each = each[missing:]
    width = max(1, -(-len(each) // max(users, 1)))
    vectors = catalogue.half_vectors(np.pad(each, (0, users * width - len(each)), constant_values=-1))
    return vectors.reshape(users, width, catalogue.dim), (places.reshape(rows.shape) + 1 - missing).astype(np.int32)


def _drop_refused(event_rows: Rows, states: Sequence[UserState], lengths: npt.NDArray[np.int64], catalogue: Catalogue) -> None:
    """Set the rows of events on items that their user muted or refused to -1, in place."""
    ends = np.cumsum(lengths)
    for state, start, end in zip(states, ends - lengths, ends, strict=True):
        refused = refused_rows(state, catalogue)
        if len(refused):
            own = event_rows[start:end]
            own[np.isin(own, refused)] = -1


def _declared_vectors(states: Sequence[UserState], tag_vectors: TagVectors, catalogue: Catalogue) -> npt.NDArray[np.float32]:
    texts = [declared_texts(state, catalogue.vocabulary) for state in states]
    known = tag_vectors.lookup(list(chain.from_iterable(texts)))
    vectors = np.zeros((len(states), catalogue.dim), np.float32)
    for vector, own in zip(vectors, texts, strict=True):
        found = [known[text] for text in own if text in known]
        if found:
            vector[:] = np.mean(found, axis=0)
    return vectors


def _demographics(states: Sequence[UserState]) -> npt.NDArray[np.float32]:
    """[age / 100, male, female, other] per user."""
    rows = np.zeros((len(states), DEMOGRAPHICS_DIM), np.float32)
    for row, state in zip(rows, states, strict=True):
        if state.attributes is not None:
            row[:] = demographics_of(state.attributes)
    return rows


def demographics_of(attributes: Attributes) -> list[float]:
    """The tensor DEMOGRAPHICS of one user."""
    return [(attributes.age or 0) / 100, *(float(attributes.gender == gender) for gender in _GENDERS)]
