"""The commands of the local stack: up, down, status, logs, doctor, topics, settings."""

import json
from typing import Annotated

import typer

PANEL = "Local stack"
SERVICES = ("kafka", "triton", "supervisor", "maven")

Port = Annotated[int | None, typer.Option(min=1, max=65535, help="This port instead of a free one.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the app, in the order of --help."""
    for command in (up, down, status, logs, doctor, topics, settings):
        app.command(rich_help_panel=PANEL)(command)


def up(
    kafka_port: Port = None,
    triton_grpc_port: Port = None,
    triton_http_port: Port = None,
    triton_metrics_port: Port = None,
    triton: Annotated[bool, typer.Option(help="Start Triton. Without it there are no models.")] = True,
) -> None:
    """Start Kafka and Triton on this machine, wait until they are healthy, and create the topics.

    They stay in the background until `portrait down`, on free ports unless told otherwise, with data and logs in
    `.portrait/stack` (PORTRAIT_RUNTIME__FOLDER moves it). Ctrl-C while they start stops them again.

    A server you already have is used instead: set PORTRAIT_KAFKA__BOOTSTRAP_SERVERS or PORTRAIT_TRITON__GRPC_ADDRESS.
    The first start downloads Kafka (43 MB) with Maven and converts model weights.
    """
    from deploy.local import bring_up
    from deploy.local.stack import Ports

    ports = Ports(kafka_port, triton_http_port, triton_grpc_port, triton_metrics_port)
    bring_up.run(ports, want_triton=triton)


def down() -> None:
    """Stop the servers of `portrait up` in good order. Data and logs stay.

    Exits with 0 also when nothing was running.
    """
    from rich.console import Console

    from deploy.local.launch import stop_stack
    from deploy.local.record import stack_folder
    from schemas.settings import load_settings

    console = Console()
    folder = stack_folder(load_settings())
    with console.status("stopping …"):
        was_running = stop_stack(folder, lambda: console.print("its supervisor does not end by itself; killing it"))
    console.print("stopped" if was_running else f"nothing is running in {folder}", markup=False, soft_wrap=True)


def status(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
) -> None:
    """Say whether Kafka and Triton are up, where they are, and which models are ready.

    Exits with 0 when all that is in use is up, with 1 otherwise.
    """
    from dataclasses import asdict

    from rich.console import Console

    from deploy.local.record import read_record, stack_folder
    from deploy.local.show import status_table
    from deploy.local.status import service_statuses, uptime
    from schemas.settings import load_settings

    settings = load_settings()
    folder = stack_folder(settings)
    record = read_record(folder)
    statuses = service_statuses(settings, record)
    console = Console()
    if as_json:
        print(json.dumps({"folder": str(folder), "servers": [asdict(one) for one in statuses]}, default=str))
    elif not statuses:
        console.print(f"nothing is running in {folder}; start it with `portrait up`", markup=False, soft_wrap=True)
    else:
        if record is not None:
            console.print(f"{folder}: up for {uptime(record)}, supervisor {record.owner_pid}", markup=False, soft_wrap=True)
        console.print(status_table(statuses))
    raise typer.Exit(0 if statuses and all(one.up for one in statuses) else 1)


def logs(
    service: Annotated[str | None, typer.Argument(help=f"One of {', '.join(SERVICES)}; all of them without.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Keep printing what is added, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option("--lines", "-n", min=0, help="How many of the last lines to print of each.")] = 40,
) -> None:
    """Print the last log lines of the local servers."""
    from deploy.local.logs import print_logs
    from deploy.local.record import stack_folder
    from schemas.errors import ConfigError
    from schemas.settings import load_settings

    if service is not None and service not in SERVICES:
        raise ConfigError(f"there is no log of {service!r}; there are {', '.join(SERVICES)}")
    print_logs(stack_folder(load_settings()) / "logs", SERVICES if service is None else (service,), lines, follow)


def doctor() -> None:
    """Look at this machine and name everything the local stack lacks, each with how to get it.

    What your settings make unnecessary (an address of a Kafka or a Triton) is not looked for. Exits with 1 when something
    needed is missing.
    """
    from rich.console import Console

    from deploy.local.doctor import check_machine
    from deploy.local.show import doctor_table
    from schemas.settings import load_settings

    checks = check_machine(load_settings())
    Console().print(doctor_table(checks))
    raise typer.Exit(1 if any(check.failed for check in checks) else 0)


def topics() -> None:
    """Create the topics that are missing, and say how the others differ from what Portrait expects.

    Existing topics are never changed. Exits with 1 when one differs.
    """
    from rich.console import Console

    from deploy.local.record import running_stack
    from deploy.local.show import topics_table
    from deploy.topics import ensure_topics
    from schemas.settings import load_settings

    reports = ensure_topics(running_stack(load_settings()))
    Console().print(topics_table(reports))
    raise typer.Exit(1 if any(report.drift for report in reports) else 0)


def settings() -> None:
    """List every setting: its environment variable, value, default and meaning. Secrets are masked."""
    from rich.console import Console

    from deploy.local.show import settings_table
    from schemas.settings import load_settings

    Console().print(settings_table(load_settings()))
