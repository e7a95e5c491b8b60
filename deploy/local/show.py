"""Tables of the local stack for people. Everything that comes from elsewhere is printed as plain text."""

import unicodedata
from collections.abc import Sequence
from typing import get_args

from pydantic import BaseModel, SecretStr
from rich.table import Table
from rich.text import Text

from deploy.local.doctor import Check
from deploy.local.status import ServiceStatus
from deploy.topics import TopicReport
from schemas.settings import Settings

KEPT = "\n\t"


def printable(text: str) -> str:
    """The text without characters that steer a terminal."""
    return "".join(
        c if c in KEPT or unicodedata.category(c) not in ("Cc", "Cf") else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def cell(text: str, style: str = "") -> Text:
    """Text for a table, without markup or control characters."""
    return Text(printable(text), style=style)


def table(*columns: str) -> Table:
    """An empty table; the first column is never folded."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        made.add_column(column, no_wrap=index == 0, overflow="fold")
    return made


def status_table(statuses: Sequence[ServiceStatus]) -> Table:
    """A row a server."""
    made = table("server", "state", "pid", "addresses", "models")
    for status in statuses:
        state = cell("up", "green") if status.up else cell(f"down: {status.problem}", "red")
        pid = str(status.pid) if status.pid else "not ours"
        addresses = "\n".join(f"{name} {address}" for name, address in status.addresses.items())
        made.add_row(cell(status.name), state, cell(pid), cell(addresses), cell("\n".join(status.models)))
    return made


def topics_table(reports: Sequence[TopicReport]) -> Table:
    """A row a topic."""
    made = table("topic", "key", "partitions", "replicas", "cleanup", "state")
    for report in reports:
        good = cell("created" if report.created else "ok", "green")
        state = cell("differs: " + "; ".join(map(str, report.drift)), "yellow") if report.drift else good
        counts = str(report.partitions), str(report.replication_factor)
        made.add_row(report.topic.name, report.topic.key.value, *counts, report.topic.cleanup_policy, state)
    return made


def doctor_table(checks: Sequence[Check]) -> Table:
    """A row a check."""
    made = table("", "what", "found", "what to do")
    for check in checks:
        mark = cell("missing", "red") if check.failed else cell("advice", "yellow") if check.remedy else cell("ok", "green")
        made.add_row(mark, cell(check.name), cell(check.found), cell(check.remedy))
    return made


def settings_table(settings: Settings) -> Table:
    """A row a setting, by group."""
    made = table("environment variable", "value", "default", "meaning")
    for group_name in Settings.model_fields:
        group: BaseModel = getattr(settings, group_name)
        made.add_row(cell(f"{group_name}: {type(group).__doc__ or ''}".splitlines()[0], "bold"), "", "", "", end_section=False)
        for name, field in type(group).model_fields.items():
            value, default = shown(getattr(group, name)), shown(field.default)
            style = "" if value == default else "green"
            variable = f"PORTRAIT_{group_name.upper()}__{name.upper()}"
            made.add_row(
                cell(variable), cell(value, style), cell(default), cell(field.description or choices(field.annotation))
            )
        made.add_row()
    return made


def shown(value: object) -> str:
    """A setting's value; secrets are masked."""
    if value is None:
        return "-"
    if isinstance(value, SecretStr):
        return "********"
    if isinstance(value, frozenset | set):
        return ", ".join(sorted(map(str, value)))
    if isinstance(value, dict):
        return " ".join(f"{key}={item}" for key, item in value.items())
    return str(value)


def choices(annotation: object) -> str:
    """The values a setting may have, where they are few."""
    values = [value for part in (annotation, *get_args(annotation)) for value in get_args(part) if isinstance(value, str)]
    return "one of " + ", ".join(values) if values else ""
