"""What a subscriber sees: follows the output topics and measures how long each answer took."""

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from consumers.runtime.clients import RawRecord
from deploy.reading import Follower, decoded
from schemas.messages import Recommendations, UserProfile
from schemas.settings import Settings
from schemas.topics import DEAD_LETTERS, RECOMMENDATIONS, USER_PROFILES
from schemas.wire import DEAD_LETTER_PREFIX

OUTPUTS = (RECOMMENDATIONS, USER_PROFILES, DEAD_LETTERS)


@dataclass
class Seen:
    """Everything that came out. Latencies are in ms, from the oldest input that an answer waits for to our reading it."""

    lists: dict[str, Recommendations] = field(default_factory=dict)
    profiles: dict[str, UserProfile] = field(default_factory=dict)
    list_count: int = 0
    profile_count: int = 0
    profiles_by_llm: int = 0
    list_latencies_ms: list[tuple[int, float]] = field(default_factory=list)
    profile_latencies_ms: list[float] = field(default_factory=list)
    dead_letters: Counter[tuple[bytes | None, bytes | None]] = field(default_factory=Counter)
    dead_letter_reasons: Counter[str] = field(default_factory=Counter)

    def list_latencies_between(self, start_ms: int, end_ms: int) -> list[float]:
        """Latencies of the lists whose oldest input was sent in this span of time."""
        return [latency for since_ms, latency in self.list_latencies_ms if start_ms <= since_ms < end_ms]


class Collector:
    """Reads committed outputs from a thread of its own, from the moment it is started."""

    def __init__(self, settings: Settings) -> None:
        self.seen = Seen()
        self._settings = settings
        self._follower = Follower(settings.kafka, "portrait-demo")
        self._follower.follow(OUTPUTS)
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                records = self._follower.poll(0.2)
                now_ms = time.time() * 1000
                for record in records:
                    self._take(record, now_ms)
        except BaseException as error:  # handed to the demo's own thread by stop()
            self._failure = error

    def _take(self, record: RawRecord, now_ms: float) -> None:
        if record.topic == DEAD_LETTERS.name:
            self.seen.dead_letters[record.key, record.value] += 1
            reason = dict(record.headers).get(f"{DEAD_LETTER_PREFIX}reason") or b"?"
            self.seen.dead_letter_reasons[reason.decode()] += 1
            return
        user_id, message = decoded(record, self._settings.fold)
        if isinstance(message, Recommendations):
            self._take_list(message, now_ms)
        elif isinstance(message, UserProfile):
            self._take_profile(message, now_ms)
        else:
            (self.seen.lists if record.topic == RECOMMENDATIONS.name else self.seen.profiles).pop(user_id, None)

    def _take_list(self, message: Recommendations, now_ms: float) -> None:
        seen, since_ms = self.seen, message.cause.waiting_since_ms
        seen.lists[message.user_id] = message
        seen.list_count += 1
        seen.list_latencies_ms.append((since_ms, now_ms - since_ms))

    def _take_profile(self, message: UserProfile, now_ms: float) -> None:
        seen = self.seen
        seen.profiles[message.user_id] = message
        seen.profile_count += 1
        seen.profiles_by_llm += written_by_llm(message)
        seen.profile_latencies_ms.append(now_ms - message.cause.waiting_since_ms)

    def stop(self) -> None:
        """Stop reading.

        Raises:
            the error that ended the thread, if one did.
        """
        self._stop.set()
        self._thread.join()
        self._follower.close()
        if self._failure is not None:
            raise self._failure


def written_by_llm(profile: UserProfile) -> bool:
    """Whether the LLM wrote at least one of its sentences."""
    return any(sentence.source == "llm" for sentence in profile.summary)
