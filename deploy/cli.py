"""The `portrait` command.

Each group of commands is a module with a `register(app)`. What a command needs is imported when it runs, so that --help is
quick and works where only the base install is.
"""

import sys

import typer
from typer.core import TyperGroup

from deploy import ask_commands, dead_letter_commands, live_commands, produce_commands, run_commands, state_commands
from deploy.demo import commands as demo_commands
from deploy.evaluation import commands as evaluation_commands
from deploy.local import commands as local_stack
from deploy.training import commands as training_commands
from deploy.tuning import commands as tuning_commands
from schemas.errors import ConfigError, PortraitError

CONFIG_ERROR = 2
OTHER_ERROR = 1
INTERRUPTED = 130


class PortraitGroup(TyperGroup):
    """Turns an error that Portrait raised on purpose into one red sentence and an exit status, without a traceback."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]
        """Run the command."""
        try:
            return super().invoke(ctx)
        except PortraitError as error:
            show_error(str(error))
            raise typer.Exit(CONFIG_ERROR if isinstance(error, ConfigError) else OTHER_ERROR) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(INTERRUPTED) from error
        except Exception as error:
            if (why := _kafka_said(error)) is None:
                raise
            show_error(f"Kafka's client said: {why}; see PORTRAIT_KAFKA__… in docs/operations.md")
            raise typer.Exit(CONFIG_ERROR) from error


def _kafka_said(error: Exception) -> str | None:
    """What a KafkaException says, as of a client that cannot be made; None of any other error."""
    kafka = sys.modules.get("confluent_kafka")
    if kafka is None or not isinstance(error, kafka.KafkaException):
        return None
    inner = error.args[0] if error.args else error
    return str(inner.str()) if isinstance(inner, kafka.KafkaError) else str(inner)


def show_error(message: str) -> None:
    """Print a message as it is, in red, on stderr."""
    from rich.console import Console
    from rich.text import Text

    from deploy.local.show import printable

    Console(stderr=True).print(Text(printable(message), style="red"), soft_wrap=True)


app = typer.Typer(
    cls=PortraitGroup,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_show_locals=False,  # they may hold secrets
    rich_markup_mode="markdown",
    help="Portrait: behaviour events on Kafka in, LLM-written user profiles and top-k recommendations out.",
)
demo_commands.register(app)
local_stack.register(app)
live_commands.register(app)
run_commands.register(app)
produce_commands.register(app)
ask_commands.register(app)
state_commands.register(app)
dead_letter_commands.register(app)
tuning_commands.register(app)
training_commands.register(app)
evaluation_commands.register(app)

if __name__ == "__main__":
    app()
