"""The catalog role: items in, item vectors out. Encoding may be slow, so it goes in slices: what is not encoded yet is kept as
text, its offsets are held back, and nothing more is read meanwhile."""

import logging
import time
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import numpy as np

from consumers.inference import Vectors
from consumers.runtime.processor import Batch, Output, Outputs, Record, StateKey, TopicPartition
from schemas import metrics
from schemas.errors import Retryable
from schemas.messages import Item, ItemVector
from schemas.tensors import TEXT_ENCODER
from schemas.topics import ITEM_VECTORS, ITEMS, Topic

log = logging.getLogger(__name__)

START_BUDGET_S = 60.0
SLICE_S = 2.0
"""After so long a turn ends, so that the group sees this worker alive and what is done is committed."""
ITEMS_PER_CALL = 64
"""Between two looks at the clock: few enough for a slow encoder, enough for a batch of it."""
MAX_TEXT = 600
"""Characters of an item's text that are encoded: about the 128 tokens that all-MiniLM-L6-v2 was trained on."""
DECIMALS = 6
"""Of a vector on the wire: what is cut off is below the noise of the encoder, and would double the message."""


class ItemEncoder(Protocol):
    """What the catalog needs of the inference client."""

    def wait_ready(self, models: list[str], timeout_s: float) -> None:
        """Return once all models answer; ConfigError after `timeout_s`."""

    def encode_texts(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of texts, [n, d]; zeros for a text refused for good. Retryable while the server cannot be reached."""
        ...

    def model_version(self, name: str) -> str:
        """The version of a model that answers now."""
        ...


class _Waiting(NamedTuple):
    """An item's newest text, and where it was read."""

    offset: int
    text: str


class Catalog:
    """The Processor that encodes items; see `consumers.runtime.processor.Processor`. It has no state."""

    name = "catalog"
    inputs: tuple[Topic, ...] = (ITEMS,)
    tables: tuple[Topic, ...] = ()
    changelog: Topic | None = None

    def __init__(self, inference: ItemEncoder) -> None:
        self._inference = inference
        self._waiting: dict[StateKey, _Waiting] = {}
        self._done: dict[StateKey, int] = {}
        self._refused = 0

    def startup(self) -> None:
        """Wait until text_encoder is there."""
        self._inference.wait_ready([TEXT_ENCODER.name], START_BUDGET_S)

    def on_table_record(self, record: Record) -> None:
        """The catalog reads no tables."""

    def process(self, batch: Batch) -> Outputs:
        """One vector per changed item and a tombstone per removed one, as far as the turn's time allows; the rest follows in
        the next turns. An item's last record holds.

        Raises:
            Retryable: text_encoder cannot be reached, and nothing else was to be done.
        """
        outputs = Outputs(self._take_in(batch.records))
        metrics.ITEMS_WAITING.set(len(self._waiting))
        self._done, self._refused = {}, 0
        try:
            self._encode_slice(outputs)
        except Retryable:
            if not outputs.records:
                raise  # else what is done goes out first; the next turn meets the failure again
        outputs.hold = self._unfinished()
        outputs.pause = bool(outputs.hold)
        return outputs

    def _take_in(self, records: Sequence[Record]) -> list[Output]:
        """Remember the items to encode; gives the tombstones. Until they are committed the same records may come again."""
        latest = {(record.partition, record.key): record for record in records}
        tombstones = []
        for key, record in latest.items():
            self._waiting.pop(key, None)
            if isinstance(record.message, Item):
                self._waiting[key] = _Waiting(record.offset, item_text(record.message))
            else:
                tombstones.append(Output(ITEM_VECTORS, record.key, None))
        return tombstones

    def _encode_slice(self, outputs: Outputs) -> None:
        ends_s = time.monotonic() + SLICE_S
        items = iter(list(self._waiting.items()))
        while (chunk := list(islice(items, ITEMS_PER_CALL))) and time.monotonic() < ends_s:
            vectors = self._inference.encode_texts([waiting.text for _, waiting in chunk])
            version = self._inference.model_version(TEXT_ENCODER.name)
            for (key, waiting), vector in zip(chunk, vectors, strict=True):
                outputs.records.append(Output(ITEM_VECTORS, key[1], self._message(key[1], vector, version)))
                self._done[key] = waiting.offset

    def _message(self, item_id: str, vector: Vectors, version: str) -> ItemVector | None:
        """A vector, or the tombstone of a refused item: an older vector would be of another text."""
        if not vector.any():
            log.warning("item %r is left without a vector: text_encoder refuses its text", item_id)
            self._refused += 1
            return None
        numbers = np.round(vector.astype(np.float64), DECIMALS).tolist()
        return ItemVector(item_id=item_id, vector=numbers, model_name=TEXT_ENCODER.name, model_version=version)

    def _unfinished(self) -> dict[TopicPartition, int]:
        """The lowest offset of each partition that is still to be encoded."""
        hold: dict[TopicPartition, int] = {}
        for (partition, item_id), waiting in self._waiting.items():
            if (partition, item_id) not in self._done:
                part = TopicPartition(ITEMS.name, partition)
                hold[part] = min(hold.get(part, waiting.offset), waiting.offset)
        return hold

    def on_committed(self) -> None:
        """Forget and count what was encoded; until now it would be encoded again."""
        for key in self._done:
            del self._waiting[key]
        metrics.ITEMS_ENCODED.inc(len(self._done) - self._refused)
        metrics.ITEMS_REFUSED.inc(self._refused)
        metrics.ITEMS_WAITING.set(len(self._waiting))
        self._done, self._refused = {}, 0

    def on_revoked(self, partitions: frozenset[int]) -> None:
        """Their items will come again, here or at another worker."""
        self._waiting = {key: waiting for key, waiting in self._waiting.items() if key[0] not in partitions}
        self._done, self._refused = {}, 0


def item_text(item: Item) -> str:
    """What an item's vector is made from: title, tags and description, as one text of at most MAX_TEXT characters."""
    parts = (item.title, ", ".join(item.tags), item.description)
    return "\n".join(part for part in parts if part.strip())[:MAX_TEXT]
