"""The catalog role: items in, item vectors out."""

from typing import Protocol

import numpy as np
import numpy.typing as npt

from consumers.runtime.processor import Batch, Output, Outputs, Record
from schemas import metrics
from schemas.messages import Item, ItemVector
from schemas.tensors import TEXT_ENCODER
from schemas.topics import ITEM_VECTORS, ITEMS, Topic

START_BUDGET_S = 60.0
MAX_TEXT = 600
"""Characters of an item's text that are encoded: about the 128 tokens that all-MiniLM-L6-v2 was trained on."""
DECIMALS = 6
"""Of a vector on the wire: what is cut off is below the noise of the encoder, and would double the message."""


class ItemEncoder(Protocol):
    """What the catalog needs of the inference client."""

    def wait_ready(self, models: list[str], timeout_s: float) -> None:
        """Return once all models answer; ConfigError after `timeout_s`."""

    def encode_texts(self, texts: list[str]) -> npt.NDArray[np.float32]:
        """Texts to unit vectors, float32 [n, d]; Retryable while the server cannot be reached."""
        ...

    def model_version(self, name: str) -> str:
        """The version of a model that answers now."""
        ...


class Catalog:
    """The Processor that encodes items; see `consumers.runtime.processor.Processor`. It has no state."""

    name = "catalog"
    inputs: tuple[Topic, ...] = (ITEMS,)
    tables: tuple[Topic, ...] = ()
    changelog: Topic | None = None

    def __init__(self, inference: ItemEncoder) -> None:
        self._inference = inference
        self._encoded = 0

    def startup(self) -> None:
        """Wait until text_encoder is there."""
        self._inference.wait_ready([TEXT_ENCODER.name], START_BUDGET_S)

    def on_table_record(self, record: Record) -> None:
        """The catalog reads no tables."""

    def process(self, batch: Batch) -> Outputs:
        """One vector per changed item, encoded in one call, and a tombstone per removed one; an item's last record holds.

        Raises:
            Retryable: text_encoder cannot be reached.
        """
        latest = {record.key: record.message for record in batch.records}
        items = {key: message for key, message in latest.items() if isinstance(message, Item)}
        outputs = Outputs([Output(ITEM_VECTORS, key, None) for key, message in latest.items() if message is None])
        self._encoded = len(items)
        if items:
            vectors = self._inference.encode_texts([item_text(item) for item in items.values()])
            version = self._inference.model_version(TEXT_ENCODER.name)
            for key, vector in zip(items, np.round(vectors.astype(np.float64), DECIMALS).tolist(), strict=True):
                message = ItemVector(item_id=key, vector=vector, model_name=TEXT_ENCODER.name, model_version=version)
                outputs.records.append(Output(ITEM_VECTORS, key, message))
        return outputs

    def on_committed(self) -> None:
        """Count what was encoded."""
        metrics.ITEMS_ENCODED.inc(self._encoded)
        self._encoded = 0

    def on_revoked(self, partitions: frozenset[int]) -> None:
        """Nothing is unfinished between batches."""
        self._encoded = 0


def item_text(item: Item) -> str:
    """What an item's vector is made from: title, tags and description, as one text of at most MAX_TEXT characters."""
    parts = (item.title, ", ".join(item.tags), item.description)
    return "\n".join(part for part in parts if part.strip())[:MAX_TEXT]
