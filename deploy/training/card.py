"""The model card that lies beside a version of user_encoder."""

from collections.abc import Mapping
from typing import Any


def model_card(facts: Mapping[str, Any]) -> str:
    """README.md of a version's folder: what it is, what made it, what it measured."""
    recipe = facts["recipe"]
    return "\n".join(
        [
            f"# user_encoder, version {facts['version']}",
            "",
            "History, declared tags, profile text and demographics of a user to one vector in the text encoder's space and to",
            "the items that come next (`encoder.pt2`, a program exported by torch), and the ranker that weighs them",
            "(`ranker.json`).",
            "",
            "## How it was made",
            f"`portrait train --seed {facts['seed']}` on {facts['data']}: {facts['events']:,} events of",
            f"{facts['users']:,} users, {facts['items']:,} items, in {facts['seconds']:.0f} s on {facts['machine']}.",
            f"Network: width {recipe['dim']}, {recipe['layers']} blocks, the newest {recipe['length']} events, dropout",
            f"{recipe['dropout']}, learning rate {recipe['learning_rate']}, {facts['epochs']} epochs.",
            "",
            "## What it measured",
            *_measured(facts),
            "",
            "## Limits",
            "It knows the items of its data by id, and all others by their text alone. What users declare is seldom recorded:",
            "the network learned it from tags and texts of items that users took before. Popularity in its scores is that of",
            "its data; train again when that has aged. Behaviour of users is personal data: keep the folder safe.",
            "",
        ]
    )


def _measured(facts: Mapping[str, Any]) -> list[str]:
    if "ndcg10" not in facts:
        return ["Nothing: users did too little for an earlier cut to learn from."]
    rows = [f"| {name} | {facts['ndcg10'][kind]:.4f} | {facts['hr10'][kind]:.4f} |" for name, kind in KINDS]
    return [
        f"Lists of {facts['users_measured']:,} users at the newest cut ({facts['protocol']}), by what was learned before it,",
        "over the whole catalogue; the version itself has learned from those events too.",
        "",
        "| lists by | NDCG@10 | HR@10 |",
        "|---|---|---|",
        *rows,
    ]


KINDS = (("this recipe", "learned"), ("the plain encoder and ranker", "plain"))
