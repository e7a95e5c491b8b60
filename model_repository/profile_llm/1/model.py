"""profile_llm: prompts to texts, many at a time, new ones joining as others finish, with the tensors of Triton's vLLM backend.

Environment:
    PORTRAIT_WEIGHTS__PROFILE_LLM           folder with a causal language model that transformers can load
    PORTRAIT_WEIGHTS__PROFILE_LLM_ADAPTER   folder of a LoRA adapter for them, merged in; unset: none
    PORTRAIT_MODELS__DEVICE                 auto (default), cpu or cuda
    PORTRAIT_MODELS__LLM_THREADS            CPU threads, default 1
    PORTRAIT_MODELS__LLM_MAX_BATCH          prompts generated together, default 32

`text_input` is the full prompt, chat template applied. `sampling_parameters` is JSON: max_tokens (16), temperature (0: the
likeliest token; vLLM's default is 1), top_p (1), seed, stop. As in the vLLM backend the answer begins with the prompt unless
`exclude_input_in_output` is true or `stream` is; with `stream` it comes in pieces, the last of which has the finish reason.

The request parameter `queue_priority` says which of those who wait go first: 0 before 9. The same prompt with temperature 0 is
written once for all who ask at the time, and remembered for those who ask later.
"""

import json
import os
import threading
import time
from collections.abc import Sequence

import torch
import triton_python_backend_utils as pb_utils
from desk import Desk, Text, Written
from figures import Figures
from generation import Row, TextGenerator
from graphed_generation import GraphedGenerator
from prompt import Prompt
from transformers.utils import logging as transformers_logging

IDLE_S = 0.2
CHARACTERS_PER_TOKEN = 16  # a prompt longer than this allows is refused before it is tokenised
CANCELLED = "cancelled: by the client"
UNLOADED = "unavailable: profile_llm is being unloaded"
WARM_UP = ("Hello", "Hello there")


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        parameters = {name: value["string_value"] for name, value in json.loads(args["model_config"])["parameters"].items()}
        self.max_wait_s = float(parameters["max_wait_s"])
        self.max_prompt_tokens = int(parameters["max_prompt_tokens"])
        self.max_new_tokens = int(parameters["max_new_tokens"])
        self.desk = Desk(int(parameters["max_waiting"]), int(float(parameters["output_cache_mb"]) * 1e6))
        self.generator = load_generator()
        self.warm_up()
        self.figures = Figures(args["model_version"])
        self.at_work: dict[Row, Text] = {}
        self.stopping = threading.Event()
        self.worker = threading.Thread(target=self.work, name="generate")
        self.worker.start()

    def warm_up(self) -> None:
        self.generator.generate([Row(self.generator.tokenize(text), max_tokens=4) for text in WARM_UP])

    def execute(self, requests: list) -> None:
        """Only queue, or answer from memory: the worker writes."""
        for request in requests:
            prompt = Prompt(request)
            try:
                prompt.read(request, self.max_wait_s, self.max_new_tokens)
                self.desk.ask(prompt)
            except ValueError as error:
                prompt.refuse(f"invalid: {error}")

    def finalize(self) -> None:
        """Stop after the token at hand; whoever still waits is told to try again."""
        self.stopping.set()
        self.worker.join()
        self.generator.abandon()
        for left in self.at_work.values():  # those too that failed together and were not begun again
            left.refuse(UNLOADED)
        self.at_work.clear()
        while text := self.desk.take(0):
            text.refuse(UNLOADED)
        self.figures.close()

    def work(self) -> None:
        """Between two tokens, let those who wait join the rows at work. No error ends it."""
        while not self.stopping.is_set():
            try:
                self.take()
                self.follow()
                if self.generator.rows:
                    self.generator.step()
                self.figures.update(self.desk, len(self.generator.rows))
            except Exception as error:
                pb_utils.Logger.log_error(f"profile_llm: {len(self.generator.rows)} texts failed together: {error!r}")
                self.write_alone(self.generator.abandon())

    def take(self) -> None:
        """Begin with as many waiting texts as there is room for; wait a while for one when nothing is at work."""
        while self.generator.has_room:
            text = self.desk.take(0 if self.generator.rows else IDLE_S)
            if text is None:
                return
            if row := self.admit(text):
                self.begin(text, row)

    def follow(self) -> None:
        """Have the rows tell of their texts that somebody, perhaps by now, wants in pieces."""
        for row, text in self.at_work.items():
            if text.streamed:
                row.on_text = self.show

    def admit(self, text: Text) -> Row | None:
        """The row to generate; None when nobody is left to ask for it, or it was refused."""
        now_s = time.monotonic()
        for prompt in list(text.prompts):
            if prompt.is_cancelled():
                prompt.refuse(CANCELLED)
            elif now_s > prompt.deadline_s:
                prompt.refuse("unavailable: the prompt waited too long for its turn; try later")
        limit = min(self.max_prompt_tokens, self.generator.context_length - text.sampling["max_tokens"])
        tokens = self.generator.tokenize(text.prompt) if len(text.prompt) <= limit * CHARACTERS_PER_TOKEN else []
        if all(prompt.answered for prompt in text.prompts):
            return self.give_up(text, CANCELLED)
        if not 0 < len(tokens) <= limit:
            return self.give_up(text, f"invalid: text_input must have 1 to {limit} tokens")
        return Row(tokens, **text.sampling, is_cancelled=text.is_cancelled, on_finished=self.answer)

    def begin(self, text: Text, row: Row) -> None:
        """Put a row to work; its prompts are answered when it is finished."""
        self.at_work[row] = text
        try:
            self.generator.start(row)
        except Exception as error:
            self.fail(row, error)

    def write_alone(self, rows: Sequence[Row]) -> None:
        """Try each of the rows that failed together again, by itself, so that one never takes the others down."""
        for row in rows:
            try:
                row.tokens.clear()
                row.text = ""
                self.generator.generate([row], self.stopping.is_set)
            except Exception as error:
                self.generator.abandon()
                self.fail(row, error)
        for row in self.generator.abandon():
            self.give_up(self.at_work.pop(row), UNLOADED)

    def show(self, row: Row) -> None:
        """Send what is new in a row's text to those who asked for pieces."""
        for prompt in list(self.at_work[row].prompts):
            prompt.show(row.text, len(row.tokens))

    def answer(self, row: Row) -> None:
        """Send a finished row to all who asked for it."""
        text = self.at_work.pop(row)
        if row.finish_reason == "abort":
            return self.give_up(text, CANCELLED)
        for prompt in self.desk.close(text, Written(row.text, row.finish_reason, len(row.tokens))):
            prompt.answer(row.text, row.finish_reason, len(row.tokens))
        return None

    def fail(self, row: Row, error: Exception) -> None:
        """Refuse a text that failed by itself: for good when others can be written, else until the model works again."""
        pb_utils.Logger.log_error(f"profile_llm: a text failed by itself: {error!r}")
        passes = isinstance(error, (MemoryError, torch.OutOfMemoryError)) or not self.works()
        if text := self.at_work.pop(row, None):
            self.give_up(text, f"{'unavailable' if passes else 'invalid'}: generation failed: {error!r}")

    def works(self) -> bool:
        """Whether texts can be written: some are at work, or one is written now."""
        try:
            if not self.generator.rows:
                self.warm_up()
        except Exception:
            self.generator.abandon()
            return False
        return True

    def give_up(self, text: Text, message: str) -> None:
        """Refuse a text. Whoever joined one that all the others have cancelled asks anew."""
        for prompt in self.desk.close(text):
            if message == CANCELLED and not prompt.answered and not prompt.is_cancelled():
                self.desk.ask(prompt)
            else:
                prompt.refuse(message)


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
        generator = TextGenerator if wanted == "cpu" else GraphedGenerator
        return generator(folder, torch.device(wanted), fast_dtype(wanted), max_rows, adapter)
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
