"""`portrait run ROLE`: one worker process in the foreground."""

import logging
import signal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.settings import Settings, load_settings

if TYPE_CHECKING:
    from consumers.runtime.processor import Processor


class Role(StrEnum):
    """What a worker can be."""

    CATALOG = "catalog"
    PROFILER = "profiler"
    NARRATOR = "narrator"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command()(run)


def run(
    role: Annotated[Role, typer.Argument(help="catalog: items to vectors. profiler: events to lists. narrator: profiles.")],
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="log every micro-batch")] = False,
) -> None:
    """Run one worker until Ctrl-C or SIGTERM; it finishes its batch first.

    Start as many of a role as the topics have partitions, each with its own PORTRAIT_RUNTIME__REPLICA. Metrics and health are
    served on PORTRAIT_RUNTIME__HTTP_PORT (0: a free port, printed at start).
    """
    from consumers.runtime.worker import Worker
    from deploy.local.record import running_stack

    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = running_stack(load_settings())
    worker = Worker(build(role, settings), settings)

    def on_signal(*_: object) -> None:
        worker.stop()
        if not worker.started:  # still waiting for a server: nothing is under way that could be cut short
            raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    worker.run()


def build(role: Role, settings: Settings) -> "Processor":
    """The role's Processor, with its client of Triton.

    Raises:
        ConfigError: no address of Triton is known.
    """
    from consumers.inference import InferenceClient

    inference = InferenceClient(settings.triton)
    match role:
        case Role.CATALOG:
            from consumers.catalog import Catalog

            return Catalog(inference)
        case Role.PROFILER:
            from consumers.profiler import Profiler

            return Profiler(inference, settings)
        case Role.NARRATOR:
            from consumers.narrator import Narrator

            return Narrator(inference, settings)
