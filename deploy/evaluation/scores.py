"""What was found of the written profiles, by data set and language."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from deploy.evaluation.evidence_check import Facts, faults_of, true_likes
from deploy.evaluation.text_check import Kind, check_text, invisible
from deploy.evaluation.writing import Written
from schemas.messages import Language, Statement, UserProfile

KEPT = 12
"""Faults that are kept for people to read."""
KINDS: tuple[Kind, ...] = ("number", "entity", "polarity")


@dataclass
class SupportScore:
    """Support of statements and texts, and who wrote them, for the profiles of one data set in one language."""

    profiles: int = 0
    statements: int = 0
    supported: int = 0
    by_stance: Counter[str] = field(default_factory=Counter)
    unsupported_by_stance: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    all_by_llm: int = 0
    any_by_llm: int = 0
    at_first: int = 0
    sentences: int = 0
    by_llm: int = 0
    guard: Counter[str] = field(default_factory=Counter)
    likes_true: int = 0
    likes_known: int = 0
    faults: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def take(self, written: Written, facts: Facts, world: Collection[str], user_id: str = "", time_ms: int = 0) -> None:
        """Judge one profile. With the shop's truth in `facts` the likes are held against it too."""
        profile = written.profile
        self.profiles += 1
        for statement in profile.statements:
            self._take_statement(statement, facts, profile)
        self._take_text(profile, world)
        self.all_by_llm += written.all_by_llm
        self.any_by_llm += written.by_llm > 0
        self.at_first += written.at_first
        self.sentences += written.sentences
        self.by_llm += written.by_llm
        for text, faults in written.refused:
            if len(self.refused) < KEPT:
                self.refused.append(f"{text!r}: {'; '.join(faults)}")
        self.guard.update(fault.partition(" ")[0] for _, faults in written.refused for fault in faults)
        if facts.shop is not None:
            likes = [one for one in profile.statements if one.stance == "likes"]
            right, known = true_likes(likes, facts.shop, user_id, time_ms)
            self.likes_true, self.likes_known = self.likes_true + right, self.likes_known + known

    def _take_statement(self, statement: Statement, facts: Facts, profile: UserProfile) -> None:
        found = faults_of(statement, facts)
        self.statements += 1
        self.supported += not found
        self.by_stance[statement.stance] += 1
        self.unsupported_by_stance[statement.stance] += bool(found)
        if found:
            name = f"{statement.stance} {statement.topic!r} {statement.value or ''} [{statement.trend}]"
            self._keep(f"{profile.user_id}: {name}: {found[0]}")

    def _take_text(self, profile: UserProfile, world: Collection[str]) -> None:
        report = check_text(profile.text, profile.statements, profile.language, world)
        self.said.update(number=report.numbers, entity=report.entities, polarity=report.entities)
        for kind in KINDS:
            self.wrong[kind] += report.wrong(kind)
        steering = invisible(profile.text)
        self.wrong["entity"] += bool(steering)
        if report.faults or steering:
            told = "; ".join(f"{fault.kind} {fault.words!r}" for fault in report.faults) or "invisible characters"
            self._keep(f"{profile.user_id}: {profile.text!r}: {told}")

    def _keep(self, fault: str) -> None:
        if len(self.faults) < KEPT:
            self.faults.append(fault)

    def add(self, other: "SupportScore") -> None:
        """Count the other's profiles too."""
        for name, value in vars(other).items():
            mine = getattr(self, name)
            setattr(self, name, mine + value)

    @property
    def support_rate(self) -> float:
        """Supported statements of all."""
        return self.supported / max(1, self.statements)

    @property
    def llm_share(self) -> float:
        """Profiles whose every sentence the LLM wrote."""
        return self.all_by_llm / max(1, self.profiles)

    def true_share(self, kind: Kind) -> float:
        """Numbers, entities or polarities of the texts that are the user's, of all."""
        return 1 - self.wrong[kind] / max(1, self.said[kind])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        profiles = max(1, self.profiles)
        shares = {
            "support_rate": self.support_rate,
            "numbers_true": self.true_share("number"),
            "entities_true": self.true_share("entity"),
            "polarity_true": self.true_share("polarity"),
            "llm_share": self.llm_share,
            "llm_share_any_sentence": self.any_by_llm / profiles,
            "llm_share_first_attempt": self.at_first / profiles,
            "llm_share_of_sentences": self.by_llm / max(1, self.sentences),
        }
        counts = {"profiles": self.profiles, "statements": self.statements, "sentences": self.sentences}
        counts |= {"numbers": self.said["number"], "entities": self.said["entity"]}
        truth = {"likes_true_now": round(self.likes_true / self.likes_known, 4)} if self.likes_known else {}
        guard = {"refused_by_guard": dict(self.guard.most_common())}
        return {**counts, **{name: round(value, 4) for name, value in shares.items()}, **truth, **guard}


SupportScores = dict[tuple[str, Language], SupportScore]
"""By data set and language."""


def together(scores: Mapping[tuple[str, Language], SupportScore], language: Language) -> SupportScore:
    """All data sets' profiles in one language."""
    total = SupportScore()
    for (_, spoken), score in scores.items():
        if spoken == language:
            total.add(score)
    return total
