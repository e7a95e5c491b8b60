"""Writes many texts together: rows join and leave between two tokens, and what their prompts share is computed once."""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from packed_attention import NAME, KeyValues, Pass, Prefix
from packed_linear import pack_linears
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

BEGIN_TOKENS = 512  # prompt tokens taken in at one step, so that the rows at work do not stand still for long
CHECK_CANCELLED_EVERY = 8  # tokens


@dataclass(eq=False)
class Row:
    """One text to write: the prompt's tokens, how to sample, and what has been written so far."""

    prompt: list[int]
    max_tokens: int = 16
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    is_cancelled: Callable[[], bool] = lambda: False
    on_finished: Callable[["Row"], None] = lambda row: None
    on_text: Callable[["Row"], None] | None = None  # called when `text` has grown, with no more than will stay
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish_reason: str = ""
    random: torch.Generator | None = None
    prefix: Prefix = field(default_factory=Prefix)
    next: list[int] = field(default_factory=list)  # tokens the model has yet to see
    length: int = 0  # tokens it has seen, beyond the prefix


class PrefixCache:
    """Keeps how prompts begin, up to their last question: instructions and examples, which many prompts share.

    In chat templates the last question begins at the third special token from the end: start of turn, end of turn, start of
    the answer. A cut elsewhere would be just as right, only of less use.
    """

    SLOTS = 64  # SmolLM2-135M: 7 MB each for 300 tokens
    LAST_QUESTION = 3

    def __init__(self, compute: Callable[[Sequence[int]], Prefix], special_tokens: Sequence[int]) -> None:
        self._compute = compute
        self._special_tokens = frozenset(special_tokens)
        self._prefixes: OrderedDict[tuple[int, ...], Prefix] = OrderedDict()

    def match(self, prompt: list[int]) -> Prefix:
        """The beginning of a prompt; computed now when it is new. At least one token is left over."""
        marks = [position for position, token in enumerate(prompt) if token in self._special_tokens]
        if len(marks) < self.LAST_QUESTION or marks[-self.LAST_QUESTION] == 0:
            return Prefix()
        tokens = tuple(prompt[: marks[-self.LAST_QUESTION]])
        if tokens not in self._prefixes:
            self._prefixes[tokens] = self._compute(tokens)
            if len(self._prefixes) > self.SLOTS:
                self._prefixes.popitem(last=False)
        self._prefixes.move_to_end(tokens)
        return self._prefixes[tokens]


class TextGenerator:
    """A chat model, its tokenizer, and the rows at work. Not thread-safe: one thread generates."""

    ATTENTION = NAME

    def __init__(
        self, folder: str, device: torch.device, dtype: torch.dtype, max_rows: int = 32, adapter: str | None = None
    ) -> None:
        """`adapter` is a folder that peft saved; ValueError when it does not fit the weights in `folder`."""
        self.device, self.dtype, self.max_rows = device, dtype, max_rows
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = load_model(folder, dtype, adapter, self.ATTENTION).to(device).eval()
        pack_linears(self.model)
        end = self.model.generation_config.eos_token_id
        self.end_tokens = set(end if isinstance(end, list) else [end]) - {None}
        self.prefixes = PrefixCache(self.compute_prefix, self.tokenizer.all_special_ids)
        self.rows: list[Row] = []
        self.store = self.new_store()

    @property
    def context_length(self) -> int:
        """How many tokens a prompt and its text may have; a sliding window is not implemented, so they stay within it."""
        config = self.model.config
        return int(min(config.max_position_embeddings, getattr(config, "sliding_window", None) or math.inf))

    @property
    def has_room(self) -> bool:
        """Whether another row may begin now."""
        return len(self.rows) < self.max_rows and sum(len(row.next) for row in self.rows if not row.length) < BEGIN_TOKENS

    def new_store(self) -> KeyValues:
        """Room for the keys and values of the rows at work."""
        return KeyValues(self.max_rows)

    def tokenize(self, prompt: str) -> list[int]:
        """The prompt's tokens; it is the full prompt, so no special tokens are added."""
        return self.tokenizer(prompt, add_special_tokens=False)["input_ids"]

    def generate(self, rows: Sequence[Row], should_stop: Callable[[], bool] = lambda: False) -> None:
        """Write every row, beside those at work already."""
        waiting = deque(rows)
        while (waiting or self.rows) and not should_stop():
            while waiting and self.has_room:
                self.start(waiting.popleft())
            self.step()

    @torch.inference_mode()
    def start(self, row: Row) -> None:
        """Let a row join at the next step. Its `on_finished` is called as soon as it is done, cancelled or not."""
        row.prefix = self.prefixes.match(row.prompt)
        row.next, row.length = row.prompt[len(row.prefix.tokens) :], 0
        row.random = torch.Generator().manual_seed(row.seed) if row.seed is not None else None
        self.store.reserve(row.prefix.own_tokens + len(row.next) + row.max_tokens)
        self.rows.append(row)

    @torch.inference_mode()
    def step(self) -> None:
        """Add one token to every row; those that are finished leave."""
        chosen = self.choose(self.forward(self.rows, self.store), self.rows)
        for row, token in zip(self.rows, chosen, strict=True):
            row.length, row.next = row.length + len(row.next), [token]
            if row.prefix.own_tokens:  # which it has copied with its first tokens
                row.length, row.prefix = row.length + row.prefix.own_tokens, Prefix()
        for row, token in zip(self.rows, chosen, strict=True):
            self.extend(row, token)
        for slot in reversed(range(len(self.rows))):
            if self.rows[slot].finish_reason:
                self.leave(slot)

    def leave(self, slot: int) -> None:
        """Take a row out; the last one moves to its place."""
        last = self.rows.pop()
        if slot < len(self.rows):
            self.rows[slot] = last
            self.store.move(len(self.rows), slot, last.length)
        if not self.rows:
            self.store.shrink()

    def abandon(self) -> list[Row]:
        """Drop the rows at work and return those that are not finished."""
        rows, self.rows, self.store = self.rows, [], self.new_store()
        return [row for row in rows if not row.finish_reason]

    @torch.inference_mode()
    def forward(self, rows: Sequence[Row], store: KeyValues) -> torch.Tensor:
        """The logits of each row's next token, [rows, vocabulary]."""
        now = Pass(
            store, [r.prefix for r in rows], [r.length for r in rows], [len(r.next) for r in rows], self.device, self.dtype
        )
        return self.model(
            torch.tensor([[token for row in rows for token in row.next]], device=self.device),
            position_ids=torch.tensor([now.positions], device=self.device),
            use_cache=False,
            logits_to_keep=torch.tensor(now.ends, device=self.device) - 1,
            now=now,
        ).logits[0]

    def compute_prefix(self, tokens: Sequence[int]) -> Prefix:
        store = KeyValues(rows=1)
        store.reserve(len(tokens))
        self.forward([Row([], next=list(tokens))], store)
        layers = [store.layers[number] for number in sorted(store.layers)]
        return Prefix(tuple(tokens), tuple((k[0, :, : len(tokens)], v[0, :, : len(tokens)]) for k, v in layers))

    def choose(self, logits: torch.Tensor, rows: list[Row]) -> list[int]:
        """The next token of every row: the likeliest, or one drawn where the row has a temperature."""
        chosen = logits.max(dim=-1).indices.tolist()  # argmax takes three times as long on a CPU in bf16
        for index, row in enumerate(rows):
            if row.temperature > 0 and not row.finish_reason:
                chosen[index] = draw(logits[index].float().cpu(), row)
        return chosen

    def extend(self, row: Row, token: int) -> None:
        """Add a token to a row and see whether that ends it; the end token and the stop text are not part of the text."""
        if token in self.end_tokens:
            return self.finish(row, "stop")
        row.tokens.append(token)
        if row.stop or row.on_text:
            text = self.decode(row)
            found = [text.index(stop) for stop in row.stop if stop in text]
            if found:
                return self.finish(row, "stop", text[: min(found)])
            self.show(row, settled(text, row.stop))
        if len(row.tokens) >= row.max_tokens:
            return self.finish(row, "length")
        if len(row.tokens) % CHECK_CANCELLED_EVERY == 0 and row.is_cancelled():
            self.finish(row, "abort")
        return None

    def show(self, row: Row, text: str) -> None:
        """Tell whoever follows a row what is new in its text."""
        if row.on_text and len(text) > len(row.text):
            row.text = text
            row.on_text(row)

    def finish(self, row: Row, reason: str, text: str | None = None) -> None:
        row.finish_reason, row.text = reason, self.decode(row) if text is None else text
        row.on_finished(row)

    def decode(self, row: Row) -> str:
        return self.tokenizer.decode(row.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)


def settled(text: str, stop: Sequence[str]) -> str:
    """The part of a growing text that will stay: without half a character, and without what may begin a stop text."""
    text = text.rstrip("\ufffd")
    beginnings = (words[:length] for words in stop for length in range(len(words) - 1, 0, -1))
    return text[: len(text) - max((len(start) for start in beginnings if text.endswith(start)), default=0)]


def load_model(folder: str, dtype: torch.dtype, adapter: str | None, attention: str) -> PreTrainedModel:
    """The weights in a folder, with those of an adapter merged in."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=attention)
    if not adapter:
        return model
    from adapter import merge_adapter  # takes a second to import

    return merge_adapter(model, adapter)


def draw(logits: torch.Tensor, row: Row) -> int:
    """A token drawn from the smallest set of likeliest tokens that hold `top_p` of the probability."""
    probabilities, order = torch.softmax(logits / row.temperature, dim=-1).sort(descending=True)
    probabilities[probabilities.cumsum(0) - probabilities > row.top_p] = 0
    return int(order[torch.multinomial(probabilities, 1, generator=row.random)])
