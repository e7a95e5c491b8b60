"""The model card that lies beside a trained adapter."""

from collections.abc import Mapping
from typing import Any

from consumers.prompt_texts import TEXTS
from deploy.tuning.evaluation import Score
from deploy.tuning.training import Plan
from schemas.messages import Language

SAMPLES = 3


def model_card(base: str, plan: Plan, report: Mapping[str, Any], scores: Mapping[tuple[str, Language], Score]) -> str:
    """README.md of the adapter's folder: what it is, what made it, what it measured."""
    rate = "" if plan.learning_rate is None else f" --learning-rate {plan.learning_rate}"
    command = (
        f"portrait tune narrator --method {plan.method} --rank {plan.rank} --steps {plan.steps} --batch {plan.batch}"
        f" --seed {plan.seed}{rate}"
    )
    rows = [
        f"| {source} | {language} | {score.profiles} | {score.first / score.profiles:.1%} "
        f"| {(score.first + score.second) / score.profiles:.1%} | {score.by_llm / max(1, score.sentences):.1%} |"
        for (source, language), score in scores.items()
    ]
    samples = [
        f"- {text}" for (source, _), score in scores.items() if source != "movielens-100k" for text in score.samples[:SAMPLES]
    ]
    return "\n".join(
        [
            "---",
            f"base_model: {base}",
            "library_name: peft",
            "license: apache-2.0",
            "language: [en, zh]",
            "---",
            "# Portrait's narrator",
            "",
            f"An adapter ({plan.method}, {report['adapter_bytes'] / 1e6:.1f} MB) with which {base} writes one sentence",
            f"about a user from facts, in English or Chinese, as prompted by `consumers/prompt_files` ({TEXTS.version}).",
            "profile_llm loads it when it starts.",
            "",
            "## How it was made",
            "```",
            command,
            "```",
            f"{plan.steps} steps of {plan.batch} pairs that Portrait invents by seed {plan.seed}: no user's data, no text",
            f"from elsewhere. Loss on the answers only, at the end {report['loss']}; {report['minutes']} minutes on CPU at",
            f"{report['tokens_per_s']} tokens/s.",
            "",
            "## What it measured",
            "Profiles of users it was not tuned on, by the command above. A profile counts when every sentence passed the",
            "grounding check: at the first attempt, and by the second.",
            "",
            "| source | language | profiles | first attempt | second attempt | sentences by the LLM |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            "## Samples",
            *samples,
            "",
            "## Limits",
            "It writes these sentences and nothing else. What it writes is published only after the grounding check.",
            "",
        ]
    )
