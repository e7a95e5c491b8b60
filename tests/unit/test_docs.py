"""A setting or metric that the docs do not know fails here."""

from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from schemas import metrics
from schemas.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_in_the_docs_with_its_default() -> None:
    text = (DOCS / "settings.md").read_text()
    for group in Settings.model_fields:
        for name, field in type(getattr(Settings(), group)).model_fields.items():
            row = f"`PORTRAIT_{group.upper()}__{name.upper()}`"
            default = field.get_default(call_default_factory=True)  # type: ignore[call-arg]  # none takes other values
            assert (f"{row} | `{default}` |" if isinstance(default, int | float) else row) in text


def test_every_metric_is_in_the_docs_with_its_meaning() -> None:
    text = (DOCS / "metrics.md").read_text()
    ours = [
        family for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase) for family in metric.collect()
    ]
    assert len(ours) > 20
    for family in ours:
        assert f"| `{family.name}` | {family.type} |" in text
        assert family.documentation in text


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_links_between_pages_and_code_lead_somewhere(page: Path) -> None:
    import re

    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
