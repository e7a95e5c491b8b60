"""The model card that lies beside a trained adapter."""

from collections.abc import Mapping
from typing import Any

from consumers.texts.prompt_texts import TEXTS
from deploy.tuning.evaluation import AttemptScore
from schemas.messages import Language

SAMPLES = 3


def model_card(
    base: str, record: Mapping[str, Any], size: int, scores: Mapping[tuple[str, Language], AttemptScore], measured_by: str
) -> str:
    """README.md of the adapter's folder: what it is, what made it, what it measured."""
    rows = [
        f"| {source} | {language} | {score.profiles} | {score.first / score.profiles:.1%} "
        f"| {(score.first + score.later) / score.profiles:.1%} | {score.by_llm / max(1, score.sentences):.1%} |"
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
            f"An adapter ({record['method']}, {size / 1e6:.1f} MB) with which {base} writes one sentence about",
            f"a user from facts, in English or Chinese, as prompted by `consumers/texts/prompt_files` ({TEXTS.version}).",
            "profile_llm loads it when it starts.",
            "",
            "## How it was made",
            "```",
            *record["commands"],
            "```",
            "On pairs that Portrait invents by seed: no user's data, no text from elsewhere. Loss on the answers only, at the",
            f"end {record['loss']}; the last run took {record['minutes']} minutes on CPU, beside other work.",
            "",
            "## What it measured",
            f"Profiles of users it was not tuned on (`{measured_by}`). A profile counts when",
            "every sentence passed the grounding check: at the first attempt, and by the last.",
            "",
            "| source | language | profiles | first attempt | last attempt | sentences by the LLM |",
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
