"""What a narrator is worth: profiles written as in service, with the grounding check and later attempts."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from consumers.texts.profile_jobs import ProfileJob
from consumers.texts.prompts import max_tokens
from deploy.tuning.held_out import Case
from schemas.messages import Language

LANGUAGES: tuple[Language, ...] = ("en", "zh")
MAX_TOKENS = 320
BATCH = 16

Write = Callable[[Sequence[str], Sequence[int]], list[str]]
"""Prompts and the most tokens of each, to texts."""


@dataclass
class AttemptScore:
    """One language's profiles: `first` when each fact's words passed at once, `later` when some took more."""

    profiles: int = 0
    first: int = 0
    later: int = 0
    sentences: int = 0
    by_llm: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    samples: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Shares, rounded."""
        profiles, sentences = max(1, self.profiles), max(1, self.sentences)
        return {
            "profiles": self.profiles,
            "first_attempt": round(self.first / profiles, 4),
            "last_attempt": round((self.first + self.later) / profiles, 4),
            "llm_share": round(self.by_llm / sentences, 4),
            "faults": dict(sorted(self.faults.items())),
        }


def evaluate(cases: Sequence[Case], write: Write) -> dict[tuple[str, Language], AttemptScore]:
    """Write every case's profile; scores by source and language."""
    jobs = [(case, ProfileJob.of(case.request, 0, index, frozenset(LANGUAGES))) for index, case in enumerate(cases)]
    scores: dict[tuple[str, Language], AttemptScore] = {}
    while waiting := [(case, job, work) for case, job in jobs for work in job.works if work.waiting]:
        prompts = [job.question(work) for _, job, work in waiting]
        limits = [min(MAX_TOKENS, max_tokens(work.fact, job.request.statements)) for _, job, work in waiting]
        for (case, job, work), text in zip(waiting, write(prompts, limits), strict=True):
            faults = job.answer(work, text)
            score = scores.setdefault((case.source, case.request.language), AttemptScore())
            score.faults.update({fault.kind for fault in faults})
            if faults:
                told = "; ".join(f"{fault.kind} {fault.detail!r}" for fault in faults)
                score.refused.append(f"{text!r}: {told} (attempt {work.attempt})")
    for case, job in jobs:
        _count(scores.setdefault((case.source, case.request.language), AttemptScore()), job)
    return scores


def _count(score: AttemptScore, job: ProfileJob) -> None:
    score.profiles += 1
    if all(work.source == "llm" for work in job.works):
        score.first += all(work.attempt == 0 for work in job.works)
        score.later += any(work.attempt > 0 for work in job.works)
    summary, _ = job.summary
    score.sentences += len(summary)
    score.by_llm += sum(sentence.source == "llm" for sentence in summary)
    score.samples.append(("" if job.request.language == "zh" else " ").join(sentence.text for sentence in summary))


def writer(model: Any, tokenizer: Any) -> Write:
    """Writes with a model in this process: the likeliest words, up to the end of the line, prompts of like length together."""
    import torch

    tokenizer.padding_side = "left"

    @torch.inference_mode()
    def write(prompts: Sequence[str], limits: Sequence[int]) -> list[str]:
        texts = [""] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda index: limits[index])
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            inputs = tokenizer([prompts[i] for i in some], padding=True, add_special_tokens=False, return_tensors="pt")
            written = model.generate(
                input_ids=inputs["input_ids"],
                attention_mask=inputs["attention_mask"],
                max_new_tokens=max(limits[index] for index in some),
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
            answers = written[:, inputs["input_ids"].shape[1] :]
            for index, text in zip(some, tokenizer.batch_decode(answers, skip_special_tokens=True), strict=True):
                texts[index] = text.split("\n")[0]
        return texts

    return write
