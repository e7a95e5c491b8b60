"""`portrait models list`: the versions of user_encoder as a table."""

import json
from typing import Any

from rich.console import Console

from deploy.local.encoder_versions import PLAIN, EncoderVersions
from deploy.local.show import cell, table
from schemas.settings import load_settings


def print_versions() -> None:
    """Print every version; the last line is JSON."""
    versions = EncoderVersions.of(load_settings())
    active = versions.active
    shown = table("version", "trained on", "events", "NDCG@10", "plain there", "served")
    rows: list[dict[str, Any]] = []
    for version in (PLAIN, *versions.learned):
        record = versions.record(version)
        ndcg = record.get("ndcg10", {})
        on = "plain weights" if version == PLAIN else record.get("data", "?")
        rows.append({"version": version, "data": on, "ndcg10": ndcg, "active": version == active})
        figures = [f"{ndcg[kind]:.4f}" if kind in ndcg else "" for kind in ("learned", "plain")]
        events = f"{record['events']:,}" if "events" in record else ""
        shown.add_row(*(cell(text) for text in (str(version), on, events, *figures, "yes" if version == active else "")))
    Console().print(shown)
    print(
        json.dumps({"report": "models", "active": active, "previous": versions.previous, "versions": rows}, ensure_ascii=False)
    )
