"""Texts that are asked for: the most urgent first, the same one only once, and those written before from memory.

Safe to use from several threads: requests come in one, and another writes.
"""

import hashlib
import heapq
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count

from prompt import Prompt

ENTRY_BYTES = 300  # what a remembered text takes beside its characters


class Text:
    """A text to write, and the requests that it will answer."""

    def __init__(self, key: bytes | None, first: Prompt) -> None:
        self.key, self.prompt, self.sampling = key, first.text, first.sampling
        self.prompts = [first]
        self.place: Place | None = None  # while it waits

    @property
    def priority(self) -> int:
        return min(prompt.priority for prompt in self.prompts)

    @property
    def streamed(self) -> bool:
        return any(prompt.streamed for prompt in self.prompts)

    def is_cancelled(self) -> bool:
        """Whether nobody waits for it any more."""
        return all(prompt.is_cancelled() for prompt in self.prompts)

    def refuse(self, message: str) -> None:
        for prompt in self.prompts:
            prompt.refuse(message)


@dataclass(order=True)
class Place:
    """A place in the queue. It no longer counts once its text has left, or stands at a better one."""

    priority: int
    number: int
    text: Text = field(compare=False)

    @property
    def counts(self) -> bool:
        return self.text.place is self


@dataclass(frozen=True)
class Written:
    """A finished text."""

    text: str
    finish_reason: str
    tokens: int


class OutputCache:
    """The texts answered last, up to a number of bytes."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes, self.used_bytes = max_bytes, 0
        self._texts: OrderedDict[bytes, Written] = OrderedDict()

    def get(self, key: bytes) -> Written | None:
        if key in self._texts:
            self._texts.move_to_end(key)
        return self._texts.get(key)

    def put(self, key: bytes, written: Written) -> None:
        self._drop(key)
        self._texts[key] = written
        self.used_bytes += size(written)
        while self.used_bytes > self.max_bytes:
            self._drop(next(iter(self._texts)))

    def _drop(self, key: bytes) -> None:
        if (written := self._texts.pop(key, None)) is not None:
            self.used_bytes -= size(written)


@dataclass
class Counts:
    """How texts came to be answered."""

    written: int = 0
    joined: int = 0
    cached: int = 0


class Desk:
    """Takes in prompts, hands out texts to write, and remembers what was written."""

    def __init__(self, max_waiting: int, cache_bytes: int) -> None:
        self.max_waiting, self.waiting = max_waiting, 0
        self.cache = OutputCache(cache_bytes)
        self.counts = Counts()
        self._arrivals = threading.Condition()
        self._numbers = count()
        self._queue: list[Place] = []
        self._open: dict[bytes, Text] = {}  # waiting or being written, and the same for everybody who asks

    def ask(self, prompt: Prompt) -> None:
        """Answer from memory, join a text that is asked for already, or wait for a turn.

        When the queue is full the least urgent text is refused: this one, or the one that it takes the place of.
        """
        key = key_of(prompt)
        refused = written = None
        with self._arrivals:
            if key and (written := self.cache.get(key)):
                self.counts.cached += 1
            elif key in self._open:
                self._join(self._open[key], prompt)
            else:
                refused = self._wait(Text(key, prompt))
        if written:
            prompt.answer(written.text, written.finish_reason, written.tokens)
        if refused:
            refused.refuse(f"unavailable: {self.max_waiting} prompts are waiting already; try later")

    def take(self, wait_s: float) -> Text | None:
        """The most urgent text, waited for up to `wait_s`; None when there is none."""
        with self._arrivals:
            self._arrivals.wait_for(lambda: self.waiting, wait_s)
            while self._queue:
                place = heapq.heappop(self._queue)
                if place.counts:
                    return self._leave(place.text)
        return None

    def close(self, text: Text, written: Written | None = None) -> list[Prompt]:
        """A text is finished, or with nothing written was given up; the prompts to answer."""
        with self._arrivals:
            if text.key:
                self._open.pop(text.key, None)
            if text.key and written:
                self.cache.put(text.key, written)
            self.counts.written += written is not None
        return text.prompts

    def _join(self, text: Text, prompt: Prompt) -> None:
        self.counts.joined += 1
        text.prompts.append(prompt)
        if text.place and prompt.priority < text.place.priority:
            self._line_up(text)

    def _wait(self, text: Text) -> Text | None:
        """Put a text into the queue; the text that has to leave for want of room."""
        self._line_up(text)
        if text.key:
            self._open[text.key] = text
        self.waiting += 1
        self._arrivals.notify()
        if self.waiting <= self.max_waiting:
            return None
        last = self._leave(max(place for place in self._queue if place.counts).text)
        if last.key:
            del self._open[last.key]
        return last

    def _line_up(self, text: Text) -> None:
        text.place = Place(text.priority, next(self._numbers), text)
        heapq.heappush(self._queue, text.place)

    def _leave(self, text: Text) -> Text:
        text.place = None
        self.waiting -= 1
        return text


def key_of(prompt: Prompt) -> bytes | None:
    """The same for prompts with the same answer; None when chance is to decide."""
    if prompt.sampling["temperature"] > 0:
        return None
    asked = repr((prompt.text, prompt.sampling["max_tokens"], prompt.sampling["stop"]))
    return hashlib.sha256(asked.encode(errors="surrogatepass")).digest()


def size(written: Written) -> int:
    return len(written.text.encode()) + ENTRY_BYTES
