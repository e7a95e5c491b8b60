"""One profile on its way: its facts, who words each, and the sentences that come of it. Pure; the narrator runs it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from consumers.runtime.processor import StateKey
from consumers.texts.grounding import Fault, read
from consumers.texts.joining import Clause, clause_in, joined
from consumers.texts.parts import Part, fact_name, facts_of, parts
from consumers.texts.plain_text import plain_part, plain_text, subject_of
from consumers.texts.prompts import Style, prompt, version_of, writable
from consumers.texts.words import FIXED, WordMemory, Words
from schemas.messages import Language, ProfileRequest, Sentence, Statement, UserProfile
from schemas.tensors import PROFILE_LLM

ATTEMPTS = 3
"""How often the model is asked to word a fact before fixed words stand in: each wording once, one with the faults named."""
PLAIN_MODEL = "plain"
PLAIN_VERSION = "1"
"""What a profile names as its model when no sentence is the LLM's."""
WHOLE = frozenset({"first", "aged", "grown"})
"""Reasons for which everything is told. A text that is asked for because something changed tells of habits, titles and likes
that fade as far as their words are known: they alone are not worth a call of the model."""


@dataclass(eq=False)
class FactWork:
    """One fact to be worded, by the model or, where it fails or is not asked, by fixed words. `part` is its whole sentence.

    `remembered`: the words were known before; `left_out`: they were not, and the text does without the fact.
    """

    fact: Part
    part: Part
    asked: bool = False
    attempt: int = 0
    faults: tuple[Fault, ...] = ()
    words: Words | None = None
    remembered: bool = False
    left_out: bool = False

    @property
    def waiting(self) -> bool:
        """Whether the model is still to be asked."""
        return not (self.words or self.asked or self.left_out)

    @property
    def source(self) -> str:
        """How its words came about: `llm`, `remembered`, `plain` or `left_out`."""
        if self.words is None:
            return "left_out"
        return "plain" if not self.words.by_llm else "remembered" if self.remembered else "llm"


@dataclass(eq=False)
class ProfileJob:
    """The latest request of a user and its facts. What the model words goes into `memory`."""

    request: ProfileRequest
    partition: int
    offset: int
    works: list[FactWork] = field(default_factory=list)
    memory: WordMemory = field(default_factory=lambda: WordMemory(0))
    generated_tokens: int = 0
    dropped: bool = False
    style: Style = "tuned"

    @classmethod
    def of(
        cls,
        request: ProfileRequest,
        partition: int,
        offset: int,
        languages: frozenset[Language],
        style: Style = "tuned",
        memory: WordMemory | None = None,
    ) -> "ProfileJob":
        """The job for a request. The model is asked in `languages` only, with prompts of `style`, for what `memory` lacks."""
        statements, language = request.statements, request.language
        works = [FactWork(fact, part) for part in parts(statements) for fact in facts_of(part, statements)]
        job = cls(request, partition, offset, works, WordMemory(0) if memory is None else memory, style=style)
        for work in works:
            if language in languages and writable(work.fact, statements, language, style):
                job.recall(work)
            else:
                work.words = FIXED
        unknown = [work for work in works if work.words is None]
        is_enough = len(unknown) < len(works) and all(_is_extra(work.fact, statements) for work in unknown)
        if is_enough and request.reason not in WHOLE:
            for work in unknown:
                work.left_out = True
        return job

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Order of work: priority, then age."""
        return self.request.priority, self.request.requested_at_ms, self.partition, self.offset

    @property
    def finished(self) -> bool:
        """Whether every fact is worded."""
        return all(work.words or work.left_out for work in self.works)

    @property
    def by_llm(self) -> bool:
        """Whether words are the model's."""
        return any(work.words and work.words.by_llm for work in self.works)

    def recall(self, work: FactWork) -> bool:
        """Whether the fact's words are known by now; it takes them."""
        if work.words is None:
            work.words = self.memory.recall(self._first_question(work), self._owner(work))
            work.remembered = work.words is not None
        return work.words is not None

    def question(self, work: FactWork) -> str:
        """The prompt of the work's next attempt."""
        statements, language = self.request.statements, self.request.language
        faults = work.faults if work.attempt == 1 else ()  # a small model may take their words for facts
        return prompt(work.fact, statements, language, work.attempt, faults, self.style)

    def answer(self, work: FactWork, text: str) -> list[Fault]:
        """Take the model's words if they are grounded; else ask again, or let fixed words stand in.

        They are to hold of every user of whom the fact does, however weak it is.
        """
        statements, language, fact = self.request.statements, self.request.language, work.fact
        text = text.strip()
        basis = [_as_for_all(statements[index], fact) for index in fact.basis]
        faults = read(text, basis, language, must_name(fact, statements)).faults
        words = text if self._is_person(work) else clause_in(text, fact_name(fact, statements, language), language)
        if not faults and words is None:
            faults = [Fault("form", text)]
        if faults:
            work.faults = tuple(faults)
            self.fail(work)
        else:
            assert words is not None
            self.take(work, Words(words, by_llm=True))
        return faults

    def fail(self, work: FactWork) -> None:
        """This attempt gave nothing to publish."""
        work.asked = False
        work.attempt += 1
        if work.attempt >= ATTEMPTS:
            self.take(work, FIXED)

    def ask_again(self, work: FactWork) -> None:
        """The model could not be reached: the attempt does not count."""
        work.asked = False

    def take(self, work: FactWork, words: Words) -> None:
        """These are the fact's words, for this text and others."""
        work.asked, work.words = False, words
        self.memory.remember(self._first_question(work), self._owner(work), words)

    def _first_question(self, work: FactWork) -> str:
        return self.question(FactWork(work.fact, work.part))

    def _is_person(self, work: FactWork) -> bool:
        """Whether it says who the user is, in a sentence of its own."""
        return self.request.statements[work.fact.statements[0]].stance == "is"

    def _owner(self, work: FactWork) -> StateKey | None:
        """Whose words they are; None: everybody's. A topic that rests on what the user said alone may be their own."""
        told = [self.request.statements[index] for index in work.fact.statements]
        is_own = all(one.startswith("field:") for statement in told for one in statement.evidence)
        return (self.partition, self.request.user_id) if is_own else None

    @cached_property
    def summary(self) -> tuple[list[Sentence], list[Fault]]:
        """A finished job's sentences, checked once more as they stand, and what was wrong with those that fixed words replace.

        Plain ones are marked, and are one sentence where nothing is the model's.
        """
        statements, language = self.request.statements, self.request.language
        if not self.by_llm:
            return plain_text(statements, language), []
        summary: list[Sentence] = []
        found: list[Fault] = []
        for part in dict.fromkeys(work.part for work in self.works):
            works = [work for work in self.works if work.part is part and work.words]
            for group in _by_source(works, statements, language):
                sentence, faults = self._sentence(part, group, bool(summary) or part.kind != "about")
                summary += sentence
                found += faults
        return summary, found

    def _sentence(self, part: Part, works: Sequence[FactWork], follows: bool) -> tuple[list[Sentence], list[Fault]]:
        """What the works say in one sentence, about the user by their own pronoun."""
        statements, language = self.request.statements, self.request.language
        told = tuple(index for work in works for index in work.fact.statements)
        gender = tuple(index for index in part.basis if is_gender(statements[index]) and index not in told)
        said = Part(part.kind, told, (*told, *gender))
        clauses = [Clause(work.words.text, fact_name(work.fact, statements, language)) for work in works if work.words]
        faults: list[Fault] = []
        if all(work.words and work.words.by_llm for work in works):
            text = clauses[0].words if self._is_person(works[0]) else ""
            if len(clauses) > 1 or not text:
                subject = f"{text.removesuffix('。')}，" if text else subject_of(statements, language)
                text = joined(clauses[1:] if text else clauses, subject, language)
            reading = read(text, [statements[index] for index in said.basis], language, must_name(said, statements))
            if not reading.faults:
                indexes = sorted(said.basis[index] for index in reading.mentioned)
                return [Sentence(text=text, source="llm", statements=indexes)], []
            faults = reading.faults
        return plain_part(said, statements, language, follows), faults


def _as_for_all(statement: Statement, fact: Part) -> Statement:
    """The statement as weak as it may be, and without a trend that the fact does not tell: its words are for all users."""
    told = fact.kind == "trends"
    return statement.model_copy(update={"strength": 0.0, "trend": statement.trend if told else None})


def _is_extra(fact: Part, statements: Sequence[Statement]) -> bool:
    """Whether a text is true to its user without the fact."""
    return fact.kind in ("habits", "viewed") or statements[fact.statements[0]].trend == "fading"


def _by_source(works: Sequence[FactWork], statements: Sequence[Statement], language: Language) -> Iterator[list[FactWork]]:
    """Works that go into one sentence: what the model worded, and what it did not. In English who the user is stands alone."""
    by_llm = [work for work in works if work.words and work.words.by_llm]
    own = [work for work in by_llm if language == "en" and statements[work.fact.statements[0]].stance == "is"]
    others = [work for work in by_llm if work not in own]
    yield from (group for group in (own, others, [work for work in works if work not in by_llm]) if group)


def is_gender(statement: Statement) -> bool:
    """Whether a pronoun says it."""
    return (statement.topic, statement.stance) == ("gender", "is")


def must_name(part: Part, statements: Sequence[Statement]) -> list[int]:
    """The places in the part's basis of what its sentence cannot leave out: all it is to tell but a gender."""
    return [place for place, index in enumerate(part.basis) if index in part.statements and not is_gender(statements[index])]


def profile_of(job: ProfileJob, model_version: str, now_ms: int) -> UserProfile:
    """The profile of a finished job, its text vector still to come."""
    request = job.request
    summary, _ = job.summary
    by_llm = any(sentence.source == "llm" for sentence in summary)
    return UserProfile(
        user_id=request.user_id,
        request_id=request.request_id,
        language=request.language,
        state_version=request.state_version,
        state_life=request.state_life,
        event_count=request.event_count,
        statements=request.statements,
        summary=summary,
        text_vector=[],
        model_name=PROFILE_LLM.name if by_llm else PLAIN_MODEL,
        model_version=model_version if by_llm else PLAIN_VERSION,
        prompt_version=version_of(job.style) if by_llm else "",
        generated_tokens=job.generated_tokens,
        generated_at_ms=now_ms,
        requested_at_ms=request.requested_at_ms,
        cause=request.cause,
    )
