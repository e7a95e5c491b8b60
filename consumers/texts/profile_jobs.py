"""One profile on its way: its sentences, who is writing each, and what came of it. Pure; the narrator runs it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from consumers.texts.grounding import Fault, read
from consumers.texts.plain_text import plain_part, plain_text
from consumers.texts.prompts import Part, Style, parts, prompt, version_of, writable
from schemas.messages import Language, ProfileRequest, Sentence, Statement, UserProfile
from schemas.tensors import PROFILE_LLM

ATTEMPTS = 2
"""How often the model is asked for a sentence before the plain one stands in."""
PLAIN_MODEL = "plain"
PLAIN_VERSION = "1"
"""What a profile names as its model when no sentence is the LLM's."""


@dataclass(eq=False)
class PartWork:
    """One sentence to be: asked of the model until `sentence` is there, or given up for the plain one (`plain`)."""

    part: Part
    plain: bool = False
    asked: bool = False
    attempt: int = 0
    faults: tuple[Fault, ...] = ()
    sentence: Sentence | None = None

    @property
    def waiting(self) -> bool:
        """Whether the model is still to be asked."""
        return not (self.plain or self.asked or self.sentence)


@dataclass(eq=False)
class ProfileJob:
    """The latest request of a user and its sentences."""

    request: ProfileRequest
    partition: int
    offset: int
    works: list[PartWork] = field(default_factory=list)
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
    ) -> "ProfileJob":
        """The job for a request. The model is asked in `languages` only, with prompts of `style`."""
        statements, language = request.statements, request.language
        asks = language in languages
        works = [
            PartWork(part, plain=not (asks and writable(part, statements, language, style))) for part in parts(statements)
        ]
        return cls(request, partition, offset, works, style=style)

    @property
    def rank(self) -> tuple[int, int, int, int]:
        """Order of work: priority, then age."""
        return self.request.priority, self.request.requested_at_ms, self.partition, self.offset

    @property
    def finished(self) -> bool:
        """Whether every sentence is written or given up."""
        return all(work.plain or work.sentence for work in self.works)

    @property
    def by_llm(self) -> bool:
        """Whether a sentence is the model's."""
        return any(work.sentence for work in self.works)

    def question(self, work: PartWork) -> str:
        """The prompt of the work's next attempt."""
        statements, language = self.request.statements, self.request.language
        return prompt(work.part, statements, language, work.attempt, work.faults, self.style)

    def answer(self, work: PartWork, text: str) -> list[Fault]:
        """Take the model's words for the sentence if they are grounded; else ask again, or give the sentence up."""
        statements, basis = self.request.statements, work.part.basis
        text = text.strip()
        reading = read(text, [statements[index] for index in basis], self.request.language, must_name(work.part, statements))
        if reading.faults:
            work.faults = tuple(reading.faults)
            self.fail(work)
        else:
            work.asked = False
            said = sorted(basis[index] for index in reading.mentioned)
            work.sentence = Sentence(text=text, source="llm", statements=said)
        return reading.faults

    def fail(self, work: PartWork) -> None:
        """This attempt gave nothing to publish."""
        work.asked = False
        work.attempt += 1
        work.plain = work.attempt >= ATTEMPTS

    def ask_again(self, work: PartWork) -> None:
        """The model could not be reached: the attempt does not count."""
        work.asked = False

    def summary(self) -> list[Sentence]:
        """The finished sentences; plain ones are marked, and are one sentence where the model wrote none."""
        statements, language = self.request.statements, self.request.language
        if not any(work.sentence for work in self.works):
            return plain_text(statements, language)
        summary: list[Sentence] = []
        for work in self.works:
            follows = language == "en" and bool(summary or work.part.kind != "about")
            summary += [work.sentence] if work.sentence else plain_part(work.part, statements, language, follows)
        return summary


def must_name(part: Part, statements: Sequence[Statement]) -> list[int]:
    """The places in the part's basis of what its sentence cannot leave out: all it is to tell but a gender."""
    return [
        place
        for place, index in enumerate(part.basis)
        if index in part.statements and (statements[index].topic, statements[index].stance) != ("gender", "is")
    ]


def profile_of(job: ProfileJob, model_version: str, now_ms: int) -> UserProfile:
    """The profile of a finished job, its text vector still to come."""
    request, summary = job.request, job.summary()
    by_llm = job.by_llm
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
