"""profile_llm: prompts to texts, many at a time, new ones joining as others finish, with the tensors of Triton's vLLM backend.

Environment:
    PORTRAIT_WEIGHTS__PROFILE_LLM           folder with a causal language model that transformers can load
    PORTRAIT_WEIGHTS__PROFILE_LLM_ADAPTER   folder of a LoRA adapter for them, merged in; unset: none
    PORTRAIT_MODELS__DEVICE                 auto (default), cpu or cuda
    PORTRAIT_MODELS__LLM_THREADS            CPU threads, default 1
    PORTRAIT_MODELS__LLM_MAX_BATCH          prompts generated together, default 32

`text_input` is the full prompt, chat template applied. `sampling_parameters` is JSON: max_tokens (16), temperature (0: the
likeliest token; vLLM's default is 1), top_p (1), seed, stop. As in the vLLM backend the answer begins with the prompt unless
`exclude_input_in_output` is true or `stream` is; with `stream` the whole text comes as one piece.

Triton passes no error codes through a stream, so a message begins with the kind of error: `unavailable:` may succeed later,
`cancelled:` was asked for, `invalid:` never succeeds.
"""

import json
import os
import queue
import threading
import time

import numpy as np
import torch
import triton_python_backend_utils as pb_utils
from generation import Row, TextGenerator
from transformers.utils import logging as transformers_logging

IDLE_S = 0.2
CHARACTERS_PER_TOKEN = 16  # a prompt longer than this allows is refused before it is tokenised
SAMPLING_DEFAULTS = {"max_tokens": 16, "temperature": 0.0, "top_p": 1.0, "seed": None, "stop": []}


class Prompt:
    """A request that waits for its turn: what it asks for, and where to send the answer."""

    def __init__(self, request: "pb_utils.InferenceRequest") -> None:
        self.sender = request.get_response_sender()

    def read(self, request: "pb_utils.InferenceRequest", max_wait_s: float, max_new_tokens: int) -> None:
        """Take in the request's tensors; ValueError when one is wrong."""
        self.text = read_text(request, "text_input")
        streamed = read_flag(request, "stream", False)
        self.echo = "" if read_flag(request, "exclude_input_in_output", streamed) else self.text
        self.wants_finish_reason = read_flag(request, "return_finish_reason", False)
        self.wants_token_count = read_flag(request, "return_num_output_tokens", False)
        self.sampling = read_sampling(read_text(request, "sampling_parameters"), max_new_tokens)
        asked_s = request.timeout() / 1e6  # 0: none
        self.deadline_s = time.monotonic() + min(max_wait_s, asked_s or max_wait_s)

    def answer(self, row: Row) -> None:
        """Send a finished row."""
        if row.finish_reason == "abort":
            return self.refuse("cancelled: by the client")
        tensors = [pb_utils.Tensor("text_output", np.array([(self.echo + row.text).encode()], dtype=object))]
        if self.wants_finish_reason:
            tensors.append(pb_utils.Tensor("finish_reason", np.array([row.finish_reason.encode()], dtype=object)))
        if self.wants_token_count:
            tensors.append(pb_utils.Tensor("num_output_tokens", np.array([len(row.tokens)], dtype=np.uint32)))
        return self._send(pb_utils.InferenceResponse(tensors))

    def refuse(self, message: str) -> None:
        """Send an error; the message begins with its kind."""
        self._send(pb_utils.InferenceResponse(error=pb_utils.TritonError(message)))

    def _send(self, response: "pb_utils.InferenceResponse") -> None:
        self.sender.send(response, flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = json.loads(args["model_config"])["parameters"]
        self.max_wait_s = float(parameters["max_wait_s"]["string_value"])
        self.max_prompt_tokens = int(parameters["max_prompt_tokens"]["string_value"])
        self.max_new_tokens = int(parameters["max_new_tokens"]["string_value"])
        self.waiting: queue.Queue[Prompt] = queue.Queue(int(parameters["max_waiting"]["string_value"]))
        self.generator = load_generator()
        self.generator.generate([Row(self.generator.tokenize(text), max_tokens=4) for text in ("Hello", "Hello there")])
        self.at_work: dict[Row, Prompt] = {}
        self.stopping = threading.Event()
        self.worker = threading.Thread(target=self.work, name="generate")
        self.worker.start()

    def execute(self, requests: list) -> None:
        """Only queue: the worker answers."""
        for request in requests:
            prompt = Prompt(request)
            try:
                prompt.read(request, self.max_wait_s, self.max_new_tokens)
                self.waiting.put_nowait(prompt)
            except ValueError as error:
                prompt.refuse(f"invalid: {error}")
            except queue.Full:
                prompt.refuse(f"unavailable: {self.waiting.maxsize} prompts are waiting already; try later")

    def finalize(self) -> None:
        """Stop after the token at hand; whoever still waits is told to try again."""
        self.stopping.set()
        self.worker.join()
        for row in self.generator.abandon():
            self.at_work.pop(row).refuse("unavailable: profile_llm is being unloaded")
        while not self.waiting.empty():
            self.waiting.get().refuse("unavailable: profile_llm is being unloaded")

    def work(self) -> None:
        """Between two tokens, let those who wait join the rows at work. No error ends it."""
        while not self.stopping.is_set():
            try:
                self.take()
                if self.generator.rows:
                    self.generator.step()
            except Exception as error:
                pb_utils.Logger.log_error(f"profile_llm: {len(self.generator.rows)} texts failed together: {error!r}")
                self.write_alone(self.generator.abandon())

    def take(self) -> None:
        """Begin with as many waiting prompts as there is room for; wait a while for one when nothing is at work."""
        while self.generator.has_room:
            try:
                prompt = self.waiting.get(not self.generator.rows, IDLE_S)
            except queue.Empty:
                return
            if row := self.admit(prompt):
                self.begin(prompt, row)

    def begin(self, prompt: Prompt, row: Row) -> None:
        """Put a row to work; its prompt is answered when it is finished."""
        self.at_work[row] = prompt
        try:
            self.generator.start(row)
        except Exception as error:
            self.fail(row, error)

    def write_alone(self, rows: list[Row]) -> None:
        """Try each of the rows that failed together again, by itself, so that one never takes the others down."""
        for row in rows:
            try:
                row.tokens.clear()
                self.generator.generate([row], self.stopping.is_set)
            except Exception as error:
                self.generator.abandon()
                self.fail(row, error)
        for row in self.generator.abandon():
            self.at_work.pop(row).refuse("unavailable: profile_llm is being unloaded")

    def admit(self, prompt: Prompt) -> Row | None:
        """The row to generate; None when the prompt was refused."""
        if prompt.sender.is_cancelled():
            return prompt.refuse("cancelled: by the client")
        if time.monotonic() > prompt.deadline_s:
            return prompt.refuse("unavailable: the prompt waited too long for its turn; try later")
        limit = min(self.max_prompt_tokens, self.generator.context_length - prompt.sampling["max_tokens"])
        short = len(prompt.text) <= limit * CHARACTERS_PER_TOKEN
        tokens = self.generator.tokenize(prompt.text) if short else []
        if not 0 < len(tokens) <= limit:
            return prompt.refuse(f"invalid: text_input must have 1 to {limit} tokens")
        return Row(tokens, **prompt.sampling, is_cancelled=prompt.sender.is_cancelled, on_finished=self.answer)

    def answer(self, row: Row) -> None:
        self.at_work.pop(row).answer(row)

    def fail(self, row: Row, error: Exception) -> None:
        pb_utils.Logger.log_error(f"profile_llm: a text failed: {error!r}")
        if prompt := self.at_work.pop(row, None):
            prompt.refuse(f"unavailable: generation failed: {error!r}")


def load_generator() -> TextGenerator:
    """The model of the environment variables above."""
    folder = os.environ.get("PORTRAIT_WEIGHTS__PROFILE_LLM", "")
    if not os.path.isfile(os.path.join(folder, "config.json")):
        raise pb_utils.TritonModelException(
            f"PORTRAIT_WEIGHTS__PROFILE_LLM={folder!r} is not a folder of weights; `portrait up` sets it"
        )
    wanted = os.environ.get("PORTRAIT_MODELS__DEVICE", "auto")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cpu":
        yield_to_others()
        torch.set_num_threads(int(os.environ.get("PORTRAIT_MODELS__LLM_THREADS", "1")))
    transformers_logging.disable_progress_bar()
    max_rows = int(os.environ.get("PORTRAIT_MODELS__LLM_MAX_BATCH", "32"))
    adapter = os.environ.get("PORTRAIT_WEIGHTS__PROFILE_LLM_ADAPTER")
    try:
        return TextGenerator(folder, torch.device(wanted), fast_dtype(wanted), max_rows, adapter)
    except ValueError as error:
        raise pb_utils.TritonModelException(str(error)) from None


def yield_to_others() -> None:
    """Run only on CPU time that nobody else wants: the encoders share the machine and must never wait for a text."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


def fast_dtype(device: str) -> torch.dtype:
    """bf16 where the hardware computes in it, else fp32."""
    if device != "cpu":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    able = torch.cpu.get_capabilities()
    return torch.bfloat16 if able.get("avx512_bf16") or able.get("amx_bf16") else torch.float32


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
