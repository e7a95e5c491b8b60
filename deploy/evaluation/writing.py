"""Profiles written as the narrator writes them: the same jobs, prompts, sampling, grounding check and later attempts."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from consumers.texts.profile_jobs import FactWork, ProfileJob, profile_of
from consumers.texts.prompts import max_tokens
from schemas.messages import Language, ProfileRequest, UserProfile
from schemas.settings import NarratorSettings

OnDone = Callable[[int, int], None]
"""Told how many texts of how many are written."""
FREER = {"temperature": 0.7, "top_p": 0.9}
"""How the narrator asks an untuned model a second time."""
Asked = tuple[str, int, int]
"""Prompt, most tokens, and the seed of a freer attempt (0: the likeliest words)."""


class Model(Protocol):
    """`models.LanguageModel`."""

    def write(self, asked: Sequence[Mapping[str, Any]], on_text: Callable[[int, str], None]) -> None:
        """Write every text."""


@dataclass(frozen=True)
class Written:
    """A profile and how it came about. `refused` are the model's texts that the guard turned down, with the faults."""

    request: ProfileRequest
    profile: UserProfile
    sentences: int
    by_llm: int
    attempts: int
    refused: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def all_by_llm(self) -> bool:
        """Whether every sentence is the LLM's."""
        return self.sentences == self.by_llm > 0

    @property
    def at_first(self) -> bool:
        """Whether every sentence is the LLM's, and passed at the first attempt."""
        return self.all_by_llm and self.attempts == 0


class NarratorDesk:
    """Writes profiles. The same prompt is written once, as profile_llm's output cache does.

    With a `file` of texts by these very weights, a run that was interrupted goes on where it stood.
    """

    def __init__(self, model: Model, settings: NarratorSettings, file: Path | None = None) -> None:
        self._model, self._settings, self._file = model, settings, file
        self._known: dict[Asked, str] = _read(file)
        self.written = 0
        self.remembered = len(self._known)

    def write(self, requests: Sequence[ProfileRequest], on_done: OnDone = lambda done, total: None) -> list[Written]:
        """Profiles for these requests, in their order."""
        languages: frozenset[Language] = self._settings.llm_languages
        jobs = [ProfileJob.of(request, 0, index, languages, self._settings.prompt) for index, request in enumerate(requests)]
        refused: dict[int, list[tuple[str, tuple[str, ...]]]] = {index: [] for index in range(len(jobs))}
        while waiting := [(job, work) for job in jobs for work in job.works if work.waiting]:
            asked = [self._asked(job, work) for job, work in waiting]
            self._write_new(list(dict.fromkeys(asked)), on_done)
            for (job, work), key in zip(waiting, asked, strict=True):
                text = self._known[key]
                if faults := job.answer(work, text):
                    refused[job.offset].append((text, tuple(f"{fault.kind} {fault.detail!r}" for fault in faults)))
        return [self._finished(job, refused[job.offset]) for job in jobs]

    def _asked(self, job: ProfileJob, work: FactWork) -> Asked:
        tokens = min(self._settings.max_tokens, max_tokens(work.fact, job.request.statements))
        return job.question(work), tokens, work.attempt if job.style == "few_shot" else 0

    def _write_new(self, asked: Sequence[Asked], on_done: OnDone) -> None:
        new = [key for key in asked if key not in self._known]
        if not new:
            return
        with ExitStack() as stack:
            kept = stack.enter_context(self._file.open("a", encoding="utf-8")) if self._file else None

            def finished(place: int, text: str) -> None:
                self._known[new[place]] = text
                self.written += 1
                done.append(place)
                on_done(len(done), len(new))
                if kept:
                    kept.write(json.dumps([*new[place], text]) + "\n")
                    kept.flush()

            done: list[int] = []
            self._model.write([_sampled(key) for key in new], finished)

    def _finished(self, job: ProfileJob, refused: Sequence[tuple[str, tuple[str, ...]]]) -> Written:
        attempts = max((work.attempt for work in job.works), default=0)
        profile = profile_of(job, "in process", job.request.requested_at_ms)
        by_llm = sum(sentence.source == "llm" for sentence in profile.summary)
        return Written(job.request, profile, len(profile.summary), by_llm, attempts, tuple(refused))


def _sampled(asked: Asked) -> dict[str, Any]:
    prompt, tokens, seed = asked
    return {"prompt": prompt, "max_tokens": tokens, "stop": ("\n",), **({**FREER, "seed": seed} if seed else {})}


def _read(file: Path | None) -> dict[Asked, str]:
    """Texts of an earlier run; a last line that was cut short is left out."""
    known: dict[Asked, str] = {}
    if file is not None and file.is_file():
        for line in file.read_text(encoding="utf-8").splitlines():
            with suppress(ValueError):
                prompt, tokens, seed, text = json.loads(line)
                known[prompt, tokens, seed] = text
    return known
