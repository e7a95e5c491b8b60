"""transformers' own continuous batching, as a peer: prompts in, tokens out, from a manager that stays up between calls."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from transformers import ContinuousBatchingConfig, GenerationConfig

MEMORY_SHARE = 0.3  # of the free GPU memory; it would take 0.9, and other ways run beside it
ANSWER_S = 60.0
Limited = tuple[list[int], int]
"""A prompt's tokens, and the most tokens its answer may have."""


class ContinuousBatching:
    """A running manager."""

    def __init__(self, manager: Any) -> None:
        self._manager = manager

    def write(self, asked: Sequence[Limited]) -> list[list[int]]:
        """The tokens of each answer.

        Raises:
            RuntimeError: the manager refused a prompt, failed at it or stopped.
        """
        names = [self._manager.add_request(tokens, max_new_tokens=limit) for tokens, limit in asked]
        answers: dict[str, list[int]] = {}
        while len(answers) < len(asked):
            result = self._manager.get_result(timeout=ANSWER_S)
            if result is None or result.error:
                raise RuntimeError(f"continuous batching: {result.error if result else 'no answer'}")
            if result.is_finished():
                answers[result.request_id] = result.generated_tokens
        return [answers[name] for name in names]


@contextmanager
def continuous_batching(model: Any, rows: int, graphs: bool | None, ends: Sequence[int]) -> Iterator[ContinuousBatching]:
    """A manager that writes up to `rows` texts together. `graphs`: with CUDA graphs; None leaves it to transformers.

    Limits are per request, so that it stops each text where the other ways do.
    """
    config = ContinuousBatchingConfig(
        max_requests_per_batch=rows, max_memory_percent=MEMORY_SHARE, use_cuda_graph=graphs, allow_block_sharing=True
    )
    greedy = GenerationConfig(max_new_tokens=1024, do_sample=False, eos_token_id=sorted(ends), pad_token_id=0)
    with model.continuous_batching_context_manager(
        generation_config=greedy, continuous_batching_config=config, block=True, timeout=5
    ) as manager:
        yield ContinuousBatching(manager)
