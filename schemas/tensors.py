"""The tensors of every Triton model, as data. A contract test holds each config.pbtxt against these."""

from dataclasses import dataclass

EMBEDDING_DIM = 384
"""Dimension d of item, profile, tag and user vectors, set by the text encoder (all-MiniLM-L6-v2: 384)."""

DEMOGRAPHICS_DIM = 4
"""DEMOGRAPHICS holds: age / 100 (0 unknown), then one-hot male, female, other."""

NEXT_ITEMS = 160
"""Items that user_encoder expects next of each user: 40 by each of four of NEXT_SCORES, so perhaps some more than once."""

NEXT_SCORES = (
    "log_share", "ease_1.0", "ease_0.9", "ease_0.6", "ease_log_0.9", "cosine_0.9", "cosine_0.6",
    "following_0.8", "following_0.4",
)  # fmt: skip
"""What it says of each: the logarithm of the share that the sequence network gives it, and what item-to-item models add up
to over the history, each basket counting so much of the one after it (deploy/recs/item_models.py)."""


@dataclass(frozen=True)
class Tensor:
    """One tensor: its Triton name, datatype and shape without the batch dimension; -1 is variable."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False


@dataclass(frozen=True)
class ModelContract:
    """A model's name and tensors. `batched` says that Triton adds a leading batch dimension."""

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    batched: bool = True


TEXT_ENCODER = ModelContract(
    "text_encoder",
    inputs=(Tensor("TEXT", "BYTES", (1,)),),
    outputs=(Tensor("EMBEDDING", "FP32", (EMBEDDING_DIM,)),),
)

# L is the longest history of the request; shorter ones are padded at the end with type id 0. Vectors are most of what is sent,
# and many users of a request did something with the same items: so each item's is sent once, in ITEM_VECTORS [users, U, d],
# which is read as one list of users x U, whoever it is for. Triton's Python backend keeps requests apart, so this holds
# however it batches them.
USER_ENCODER = ModelContract(
    "user_encoder",
    inputs=(
        Tensor("ITEM_VECTORS", "FP16", (-1, EMBEDDING_DIM)),  # of the items in all histories of the request
        Tensor("HISTORY_PLACES", "INT32", (-1,)),  # oldest first: 1 + the item's place in ITEM_VECTORS; 0 where it has none
        Tensor("HISTORY_ITEMS", "INT64", (-1,)),  # a number made of the item's id; 0 at padding
        Tensor("HISTORY_TYPES", "INT32", (-1,)),  # 1 + index in EVENT_TYPES
        Tensor("HISTORY_AGES", "FP32", (-1,)),  # hours between the event and the user's newest one
        Tensor("HISTORY_VALUES", "FP32", (-1,)),  # rating, seconds or quantity; NaN where there is none
        Tensor("TAG_VECTOR", "FP32", (EMBEDDING_DIM,)),  # declared tags and free text; zeros where there are none
        Tensor("PROFILE_VECTOR", "FP32", (EMBEDDING_DIM,)),  # profile text; zeros where there is none
        Tensor("DEMOGRAPHICS", "FP32", (DEMOGRAPHICS_DIM,)),
    ),
    outputs=(
        Tensor("USER_VECTOR", "FP32", (EMBEDDING_DIM,)),  # unit length; zeros where nothing is known
        Tensor("NEXT_ITEMS", "INT64", (NEXT_ITEMS,)),  # as in HISTORY_ITEMS; 0 where there is none
        Tensor("NEXT_SCORES", "FP32", (NEXT_ITEMS, len(NEXT_SCORES))),
        Tensor("RANKER", "BYTES", (1,)),  # only when asked for: the ranker trained with this version, as JSON; empty: none
    ),
)

# The tensors of Triton's vLLM backend: no batch dimension, decoupled responses, batching inside the model.
PROFILE_LLM = ModelContract(
    "profile_llm",
    inputs=(
        Tensor("text_input", "BYTES", (1,)),
        Tensor("stream", "BOOL", (1,), optional=True),
        Tensor("sampling_parameters", "BYTES", (1,), optional=True),  # JSON: max_tokens, temperature, top_p, stop, seed
        Tensor("exclude_input_in_output", "BOOL", (1,), optional=True),  # else the answer begins with the prompt
        Tensor("return_finish_reason", "BOOL", (1,), optional=True),
        Tensor("return_num_output_tokens", "BOOL", (1,), optional=True),
    ),
    outputs=(
        Tensor("text_output", "BYTES", (-1,)),
        Tensor("finish_reason", "BYTES", (-1,)),  # stop or length; only when asked for
        Tensor("num_output_tokens", "UINT32", (-1,)),  # only when asked for
    ),
    batched=False,
)

MODELS = (TEXT_ENCODER, USER_ENCODER, PROFILE_LLM)
