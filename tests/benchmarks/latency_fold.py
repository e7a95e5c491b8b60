"""What `make bench-latency` measures: the fold of tag_fold.py with an answer that names its events, with or without a model.

Each variant has topics of its own, so that all of them can run at once while one is measured.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np
import numpy.typing as npt
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from consumers.runtime.processor import Batch, Output, Outputs
from schemas.errors import Retryable
from schemas.topics import Key, Topic
from tests.benchmarks.tag_fold import HISTORY_LENGTH, State, TagFold, encode, fold_batch

MODEL = "latency_encoder"
TIMEOUT_S = 5.0
MAX_BATCH = 256


class Variant(StrEnum):
    """What stands between an event and its answer; `bare` is no work at all: consume, transaction, produce."""

    BARE = "bare"
    WITHOUT_MODEL = "without_model"
    WITH_MODEL = "with_model"

    @property
    def events(self) -> Topic:
        """What it reads."""
        return Topic(f"latency-events-{self}", Key.USER_ID, "delete", "Event")

    @property
    def states(self) -> Topic:
        """Its changelog."""
        return Topic(f"latency-states-{self}", Key.USER_ID, "compact", "State")

    @property
    def answers(self) -> Topic:
        """What it publishes."""
        return Topic(f"latency-answers-{self}", Key.USER_ID, "delete", "Answer")

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All of them."""
        return self.events, self.states, self.answers


class Answer(msgspec.Struct):
    """A user's answer after a micro-batch: every event that it covers, how many were ever folded, and the best items."""

    event_ids: list[str]
    count: int
    items: list[int]


class LatencyFold(TagFold):
    """The Processor of both variants that fold."""

    def __init__(self, variant: Variant, triton_address: str | None) -> None:
        self.name = f"latency-{variant}"
        self.inputs = (variant.events,)
        self.changelog = variant.states
        self._answers = variant.answers
        self._encoder = Encoder(triton_address) if variant is Variant.WITH_MODEL and triton_address else None

    def process(self, batch: Batch) -> Outputs:
        """Fold the batch; one state and one answer per touched user."""
        folded = list(fold_batch(batch))
        items = [[]] * len(folded) if self._encoder is None else self._encoder.best_items([state for _, state, _ in folded])
        outputs = Outputs()
        for (key, state, events), best in zip(folded, items, strict=True):
            outputs.states[key] = encode(state)
            answer = Answer([event.event_id for event in events], state.count, best)
            outputs.records.append(Output(self._answers, key[1], encode(answer)))
        return outputs


class Encoder:
    """The model on Triton."""

    def __init__(self, address: str) -> None:
        self._client = triton.InferenceServerClient(address)

    def best_items(self, states: Sequence[State]) -> list[list[int]]:
        """The best items of each state's history.

        Raises:
            Retryable: Triton does not answer.
        """
        best: list[list[int]] = []
        for start in range(0, len(states), MAX_BATCH):
            history = histories(states[start : start + MAX_BATCH])
            given = triton.InferInput("HISTORY", history.shape, "INT32")
            given.set_data_from_numpy(history)
            try:
                answer = self._client.infer(MODEL, [given], client_timeout=TIMEOUT_S)
            except InferenceServerException as error:
                raise Retryable(f"model {MODEL}: {error}") from error
            best += answer.as_numpy("ITEMS").tolist()
        return best


def histories(states: Sequence[State]) -> npt.NDArray[np.int32]:
    """[n, 50] int32: the numbers of each state's items, the newest last, with -1 in front of a short history."""
    rows = np.full((len(states), HISTORY_LENGTH), -1, np.int32)
    for row, state in zip(rows, states, strict=True):
        items = [int(item_id.removeprefix("item-")) for _, item_id, _ in state.events]
        row[HISTORY_LENGTH - len(items) :] = items
    return rows
