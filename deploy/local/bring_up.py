"""What `portrait up` does, from the first check to the addresses at the end."""

from rich.console import Console

from deploy.local.launch import Plan, launched
from deploy.local.progress import shown_progress
from deploy.local.reach import require_kafka, require_triton
from deploy.local.record import read_record, stack_folder, with_addresses
from deploy.local.show import cell, status_table
from deploy.local.stack import ALL_MODELS, Ports
from deploy.local.status import service_statuses
from deploy.topics import TopicReport, ensure_topics
from schemas.errors import ConfigError
from schemas.settings import Settings, load_settings


def run(ports: Ports, *, want_triton: bool) -> None:
    """Start what the settings do not point to elsewhere, create the topics, and print where everything is.

    Raises:
        ConfigError: something is missing, taken, or runs already; nothing is left running.
    """
    console = Console()
    settings = load_settings()
    plan = planned(settings, ports, want_triton=want_triton)
    check_given(settings, want_triton=want_triton)
    if not plan.kafka and not plan.triton:
        report_drift(console, ensure_topics(settings))
        console.print(status_table(service_statuses(settings, None)))
        return
    with shown_progress(console) as report, launched(stack_folder(settings), plan, report) as record:
        report("topics", "creating the missing ones")
        reports = ensure_topics(with_addresses(settings, record))
        report("topics", f"ready: {sum(one.created for one in reports)} created, {len(reports)} in all")
    report_drift(console, reports)
    console.print(status_table(service_statuses(settings, read_record(stack_folder(settings)))))
    console.print("stop with `portrait down`; commands of this folder find the addresses by themselves", style="dim")


def planned(settings: Settings, ports: Ports, *, want_triton: bool) -> Plan:
    """Which servers to start.

    Raises:
        ConfigError: a port was asked for a server that is not to be started.
    """
    plan = Plan(
        kafka=not settings.kafka.bootstrap_servers, triton=want_triton and not settings.triton.grpc_address, ports=ports
    )
    if ports.kafka and not plan.kafka:
        raise ConfigError("--kafka-port is for a Kafka started here, but PORTRAIT_KAFKA__BOOTSTRAP_SERVERS names another one")
    if (ports.triton_grpc or ports.triton_http or ports.triton_metrics) and not plan.triton:
        raise ConfigError(
            "a Triton port is for a server started here, but PORTRAIT_TRITON__GRPC_ADDRESS or --no-triton is given"
        )
    return plan


def check_given(settings: Settings, *, want_triton: bool) -> None:
    """Ask the servers that the settings point to; raises ConfigError when one does not answer."""
    if settings.kafka.bootstrap_servers:
        require_kafka(settings)
    if settings.triton.grpc_address and want_triton:
        require_triton(settings, ALL_MODELS)


def report_drift(console: Console, reports: list[TopicReport]) -> None:
    """Name the topics that differ from the contract."""
    for report in reports:
        for drift in report.drift:
            console.print(cell(f"topic {report.topic.name}: {drift}; it was left as it is", "yellow"), soft_wrap=True)
