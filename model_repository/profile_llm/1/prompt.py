"""One request: its tensors read, and its answer sent, whole or in pieces, in the tensors of Triton's vLLM backend.

Triton passes no error codes through a stream, so a message begins with the kind of error: `unavailable:` may succeed later,
`cancelled:` was asked for, `invalid:` never succeeds.
"""

import json
import time

import numpy as np
import triton_python_backend_utils as pb_utils

SAMPLING_DEFAULTS = {"max_tokens": 16, "temperature": 0.0, "top_p": 1.0, "seed": None, "stop": []}
LOWEST_PRIORITY = 9
UNFINISHED = "None"  # what the vLLM backend calls the finish reason of a piece that is not the last


class Prompt:
    """A request: what it asks for, and where to send the answer."""

    def __init__(self, request: "pb_utils.InferenceRequest") -> None:
        self.sender = request.get_response_sender()
        self.is_cancelled = self.sender.is_cancelled
        self.sent = ""
        self.sent_tokens = 0
        self.answered = False

    def read(self, request: "pb_utils.InferenceRequest", max_wait_s: float, max_new_tokens: int) -> None:
        """Take in the request's tensors; ValueError when one is wrong."""
        self.text = read_text(request, "text_input")
        self.streamed = read_flag(request, "stream", False)
        excluded = read_flag(request, "exclude_input_in_output", self.streamed)
        if self.streamed and not excluded:
            raise ValueError("a streamed answer cannot begin with the prompt: exclude_input_in_output must not be false")
        self.echo = "" if excluded else self.text
        self.wants_finish_reason = read_flag(request, "return_finish_reason", False)
        self.wants_token_count = read_flag(request, "return_num_output_tokens", False)
        self.sampling = read_sampling(read_text(request, "sampling_parameters"), max_new_tokens)
        self.priority = read_priority(request.parameters())
        asked_s = request.timeout() / 1e6  # 0: none
        self.deadline_s = time.monotonic() + min(max_wait_s, asked_s or max_wait_s)

    def show(self, text: str, tokens: int) -> None:
        """Send what is new of a text that is still being written, if the request is for pieces."""
        if self.streamed and not self.answered and self._follows(text) and len(text) > len(self.sent):
            self._send(text, UNFINISHED, tokens, flags=0)

    def answer(self, text: str, finish_reason: str, tokens: int) -> None:
        """Send a finished text, or what is left of it."""
        if not self.answered and self._follows(text):
            self.answered = True
            self._send(text, finish_reason, tokens, pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def refuse(self, message: str) -> None:
        """Send an error; the message begins with its kind."""
        if not self.answered:
            self.answered = True
            error = pb_utils.InferenceResponse(error=pb_utils.TritonError(message))
            self.sender.send(error, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)

    def _follows(self, text: str) -> bool:
        """Whether the text begins with what was sent. One written again after a failure may not: then it is refused."""
        if not text.startswith(self.sent):
            self.refuse("unavailable: the text had to be written again, and differs from what was sent; ask again")
        return not self.answered

    def _send(self, text: str, finish_reason: str, tokens: int, flags: int) -> None:
        piece = (self.echo + text)[len(self.sent) :]
        tensors = [pb_utils.Tensor("text_output", np.array([piece.encode()], dtype=object))]
        if self.wants_finish_reason:
            tensors.append(pb_utils.Tensor("finish_reason", np.array([finish_reason.encode()], dtype=object)))
        if self.wants_token_count:
            tensors.append(pb_utils.Tensor("num_output_tokens", np.array([tokens - self.sent_tokens], dtype=np.uint32)))
        self.sent, self.sent_tokens = text, tokens
        self.sender.send(pb_utils.InferenceResponse(tensors), flags=flags)


def read_text(request: "pb_utils.InferenceRequest", name: str) -> str:
    """A text input, empty when it is absent; ValueError when it is not UTF-8."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    if tensor is None:
        return ""
    try:
        return tensor.as_numpy().reshape(-1)[0].decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8: {error}") from error


def read_flag(request: "pb_utils.InferenceRequest", name: str, default: bool) -> bool:
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return default if tensor is None else bool(tensor.as_numpy().reshape(-1)[0])


def read_priority(parameters: str) -> int:
    """The request parameter `queue_priority`: 0 (first, the default) to 9; ValueError when it is something else.

    Triton's own `priority` does not reach a model of the Python backend.
    """
    priority = json.loads(parameters or "{}").get("queue_priority", 0)
    if not is_number(priority, int) or not 0 <= priority <= LOWEST_PRIORITY:
        raise ValueError(f"queue_priority must be 0 to {LOWEST_PRIORITY}")
    return priority


def read_sampling(text: str, max_new_tokens: int) -> dict:
    """The arguments of `Row` in sampling_parameters; ValueError when one is unknown or out of range."""
    given = json.loads(text) if text else {}
    if not isinstance(given, dict) or (unknown := sorted(given.keys() - SAMPLING_DEFAULTS.keys())):
        known = ", ".join(SAMPLING_DEFAULTS)
        raise ValueError(f"sampling_parameters: {unknown if isinstance(given, dict) else text[:40]!r} is not among {known}")
    sampling = SAMPLING_DEFAULTS | given
    stop = [sampling["stop"]] if isinstance(sampling["stop"], str) else sampling["stop"] or []
    seed = sampling["seed"]
    in_range = {
        "max_tokens": is_number(sampling["max_tokens"], int) and 1 <= sampling["max_tokens"] <= max_new_tokens,
        "temperature": is_number(sampling["temperature"]) and 0 <= sampling["temperature"] <= 10,
        "top_p": is_number(sampling["top_p"]) and 0 < sampling["top_p"] <= 1,
        "seed": seed is None or (is_number(seed, int) and 0 <= seed < 2**63),
        "stop": isinstance(stop, list) and len(stop) <= 16 and all(isinstance(text, str) and text for text in stop),
    }
    if wrong := [name for name, right in in_range.items() if not right]:
        raise ValueError(f"sampling_parameters: {wrong[0]} is out of range; max_tokens may be 1 to {max_new_tokens}")
    return sampling | {"stop": tuple(stop)}


def is_number(value: object, *kinds: type) -> bool:
    return isinstance(value, kinds or (int, float)) and not isinstance(value, bool)
