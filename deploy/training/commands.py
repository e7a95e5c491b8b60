"""`portrait train` and `portrait models`. Everything heavy is imported when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

models_app = typer.Typer(no_args_is_help=True, help="Versions of user_encoder: list them, choose which one is served.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command()(train)
    app.add_typer(models_app, name="models")


def train(
    data: Annotated[
        Path | None, typer.Option(help="a folder in the documented layout (docs/data-layout.md); default: the topics in Kafka")
    ] = None,
    mapping: Annotated[
        str | None, typer.Option(help="a ready mapping's name or a mapping file; default: the one that fits the folder")
    ] = None,
    seed: Annotated[int, typer.Option(help="first weights, order and what is drawn follow from it")] = 1,
    epochs: Annotated[int, typer.Option(min=1, help="at most; it stops when lists of the newest events get no better")] = 60,
    trials: Annotated[
        int, typer.Option(min=0, help="settings of the network tried before, by Optuna; 0: those that are known to do well")
    ] = 0,
    fusion: Annotated[
        Literal["gated", "concat"],
        typer.Option(help="of history, tags, profile and demographics: by learned gates, or plainly side by side"),
    ] = "gated",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; default: all cores")] = None,
    activate: Annotated[
        bool, typer.Option(help="serve the new version at once, if its lists are better than the plain ones")
    ] = True,
) -> None:
    """Train user_encoder and the ranker on what users did, and serve them.

    Without --data it learns from the topics behavior-events, items, user-attributes and user-controls, which it first
    writes as Parquet into the state folder (train/topics): a folder that --data takes again. Users who were erased, or who
    withdrew their consent to recommendations, are left out. The ranker learns from clicks on lists too, where a site sends
    impressions.

    What it makes is a version of user_encoder in the state folder (models/user_encoder): an exported program that needs no
    code of Portrait, the ranker, and a model card with what was measured. A TensorBoard log is in train/runs; with
    WANDB_PROJECT set, it goes to Weights & Biases too (the extra `wandb`). A GPU is used where there is one.

    The last line is JSON; docs/training.md says what each figure means.
    """
    from deploy.training.run import Asked, run

    run(Asked(data, mapping, seed, epochs, trials, fusion, threads, activate))


@models_app.command("list")
def list_versions() -> None:
    """Every version, what it was trained on, what it measured, and which one is served."""
    from deploy.training.versions_view import print_versions

    print_versions()


@models_app.command("activate")
def activate_version(version: Annotated[int, typer.Argument(min=1, help="its number; 1 is the plain one")]) -> None:
    """Serve this version. Triton loads it while the one before goes on answering."""
    from deploy.local.activation import activate
    from schemas.settings import load_settings

    activate(version, load_settings(), typer.echo)


@models_app.command("rollback")
def rollback() -> None:
    """Serve the version that was served before."""
    from deploy.local.activation import activate
    from deploy.local.encoder_versions import EncoderVersions
    from schemas.settings import load_settings

    settings = load_settings()
    activate(EncoderVersions.of(settings).previous, settings, typer.echo)
