"""A replay of messages through the fold, the statements and the refresh gate, without servers; a narrator is simulated.

A text that takes a call of the model is there `delay_ms` of event time after it was asked for, another at once; it says what
its statements say. Everything else is the profiler's and the narrator's own code: `fold_record`, `wanted_text`,
`profile_request`, `ProfileJob` with its memory of words.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.gate import profile_request, wanted_text
from consumers.lists.lists import ListRules
from consumers.overlay import Touched, fold_record
from consumers.refresh import statement_topics
from consumers.runtime.processor import Record
from consumers.statements.interests import InterestRules
from consumers.statements.statements import statements
from consumers.texts.profile_jobs import ProfileJob
from consumers.texts.words import WordMemory, Words
from deploy.evaluation.gate_material import Change, Material
from producers.shop import Timed, time_of
from schemas.messages import BehaviorEvent, Language, ProfileRequest, UserAttributes, UserProfile
from schemas.settings import Settings
from schemas.state import UserState
from schemas.topics import BEHAVIOR_EVENTS, USER_ATTRIBUTES, USER_CONTROLS, USER_PROFILES

AT_ONCE_MS = 1000
"""When a text that needs no call of the model is there: requests and profiles take their way through Kafka."""
WRITTEN = Words("…", by_llm=True)
WITHIN = 20
"""Events of the user after a change in which the text is to show it."""
LANGUAGES: frozenset[Language] = frozenset({"en", "zh"})


@dataclass
class Outcome:
    """What a replay cost and showed.

    `reasons` counts requests that lead to text generation, an LLM call each, by reason; `facts` what the model is asked to
    word in them; `texts` all requests, most of which need nothing but words that are known. `after` counts the events after
    the change of each user whose interests change; `shown_at` and `sayable_at` say at which of them a text, and the
    statements themselves, first showed the change; the two by tag, the same where themes of the dropped topic are let pass.
    """

    reasons: Counter[str] = field(default_factory=Counter)
    facts: int = 0
    texts: int = 0
    after: Counter[str] = field(default_factory=Counter)
    shown_at: dict[str, int] = field(default_factory=dict)
    sayable_at: dict[str, int] = field(default_factory=dict)
    tag_shown_at: dict[str, int] = field(default_factory=dict)
    tag_sayable_at: dict[str, int] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """LLM calls in all."""
        return self.reasons.total()

    @property
    def counted(self) -> list[str]:
        """The users whose change counts: those who did WITHIN events or more after it."""
        return [user_id for user_id, events in self.after.items() if events >= WITHIN]

    def share_within(self, found_at: dict[str, int], within: int = WITHIN) -> float:
        """The share of changes found after so many events or fewer; 1 when there are none."""
        users = self.counted
        return sum(found_at.get(user_id, within + 1) <= within for user_id in users) / len(users) if users else 1.0


@dataclass
class Replay:
    """One run over a material. `everything` also asks, at each event that counts, what the statements would say."""

    material: Material
    settings: Settings
    delay_ms: int
    everything: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    _states: dict[str, UserState] = field(default_factory=dict)
    _under_way: list[tuple[int, int, ProfileRequest]] = field(default_factory=list)
    _latest: dict[str, str] = field(default_factory=dict)
    _asked: int = 0
    _words: WordMemory = field(init=False)

    def __post_init__(self) -> None:
        self._words = WordMemory(self.settings.narrator.remembered_facts)

    def run(self) -> Outcome:
        """Replay every message."""
        for offset, message in enumerate(self.material.messages):
            now_ms = time_of(message)
            while self._under_way and self._under_way[0][0] <= now_ms:
                self._answer_next()
            self._take(offset, message, now_ms)
        while self._under_way:
            self._answer_next()
        return self.outcome

    @property
    def _rules(self) -> InterestRules:
        return ListRules.of(self.settings).interest

    def _take(self, offset: int, message: Timed, now_ms: int) -> None:
        topic = {BehaviorEvent: BEHAVIOR_EVENTS, UserAttributes: USER_ATTRIBUTES}.get(type(message), USER_CONTROLS)
        change = self.material.changes.get(message.user_id)
        if change and isinstance(message, BehaviorEvent) and now_ms >= change.changes_ms:
            self.outcome.after[message.user_id] += 1
        self._fold(Record(topic.name, 0, offset, now_ms, message.user_id, message))
        if change and self.outcome.after[message.user_id]:
            self._note_shown(message.user_id, change)
            if self.everything and self.outcome.after[message.user_id] <= WITHIN:
                self._note_sayable(message.user_id, change)

    def _fold(self, record: Record) -> None:
        """One message as a micro-batch of its own, as the profiler takes it."""
        state = self._states.setdefault(record.key, UserState())
        user = Touched(0, record.key, state, record, record.timestamp_ms)
        fold_record(user, record, self.settings.fold)
        if not user.changed:
            return
        wanted = wanted_text(user, record.key in self._latest, self.material.catalogue, self._rules, self.settings)
        if wanted is not None:
            self._asked += 1
            self._ask(profile_request(user, wanted, f"{self._asked}", record.timestamp_ms))

    def _ask(self, request: ProfileRequest) -> None:
        """What the narrator's memory lacks takes a call of the model; else the text is there at once."""
        job = ProfileJob.of(request, 0, 0, LANGUAGES, memory=self._words)
        unknown = [work for work in job.works if work.waiting]
        self.outcome.texts += 1
        if unknown:
            self.outcome.reasons[request.reason] += 1
            self.outcome.facts += len(unknown)
        for work in unknown:
            job.take(work, WRITTEN)
        self._latest[request.user_id] = request.request_id
        ready_ms = request.requested_at_ms + (self.delay_ms if unknown else AT_ONCE_MS)
        heapq.heappush(self._under_way, (ready_ms, self._asked, request))

    def _answer_next(self) -> None:
        """The text is there, unless the user's latest request is another."""
        now_ms, _, request = heapq.heappop(self._under_way)
        if self._latest.get(request.user_id) != request.request_id:
            return
        del self._latest[request.user_id]
        profile = UserProfile(
            **request.model_dump(exclude={"reason", "priority", "statements"}),
            statements=request.statements,
            summary=[],
            text_vector=[],
            model_name="none",
            model_version="0",
            generated_at_ms=now_ms,
        )
        self._fold(Record(USER_PROFILES.name, 0, 0, now_ms, request.user_id, profile))
        change = self.material.changes.get(request.user_id)
        if change and self.outcome.after[request.user_id]:
            self._note_shown(request.user_id, change)

    def _note_shown(self, user_id: str, change: Change) -> None:
        """Note it when the text in force, which may be older than the change, shows it."""
        text, outcome = self._states[user_id].profile, self.outcome
        note(change, user_id, text.topics if text else (), outcome.after[user_id], outcome.shown_at, outcome.tag_shown_at)

    def _note_sayable(self, user_id: str, change: Change) -> None:
        catalogue = self.material.catalogue
        stated = statements(self._states[user_id], catalogue.items, self._rules, catalogue.vocabulary)
        outcome = self.outcome
        note(change, user_id, statement_topics(stated), outcome.after[user_id], outcome.sayable_at, outcome.tag_sayable_at)


def note(change: Change, user_id: str, topics: Sequence[str], after: int, at: dict[str, int], tag_at: dict[str, int]) -> None:
    """Note after how many events these topics of statements show the change, if they are the first to do so."""
    if change.is_shown_by(topics):
        at.setdefault(user_id, after)
    if change.is_shown_by(topics, themes=False):
        tag_at.setdefault(user_id, after)
