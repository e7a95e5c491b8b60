"""`portrait tune`: trains adapters for the models. Everything heavy is imported when it runs."""

from pathlib import Path
from typing import Annotated, Literal

import typer

ADAPTER = Path(__file__).parents[2] / "model_repository" / "profile_llm" / "narrator-lora"
"""Where profile_llm looks for its adapter."""
tune_app = typer.Typer(no_args_is_help=True, help="Train adapters for the models, on data that Portrait generates.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(tune_app, name="tune")


@tune_app.callback()
def tune() -> None:
    """Train adapters for the models, on data that Portrait generates."""


@tune_app.command()
def narrator(
    out: Annotated[Path, typer.Option(help="folder for the adapter and its card")] = ADAPTER,
    base: Annotated[
        str | None, typer.Option(help="weights to tune, as in PORTRAIT_MODELS__PROFILE_LLM; default: that setting")
    ] = None,
    method: Annotated[Literal["lora", "adalora", "prefix", "adapter"], typer.Option(help="kind of adapter")] = "lora",
    rank: Annotated[int, typer.Option(min=1, help="of lora and adalora")] = 8,
    steps: Annotated[int, typer.Option(min=1)] = 500,
    batch: Annotated[int, typer.Option(min=1, help="pairs a step")] = 4,
    learning_rate: Annotated[float | None, typer.Option(help="highest; default: by method")] = None,
    seed: Annotated[int, typer.Option(help="pairs, order and first weights follow from it")] = 7,
    start_from: Annotated[
        Path | None, typer.Option(help="go on from this adapter; give another --seed for other pairs")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads; more than one pays on an idle machine only")] = 1,
    bf16: Annotated[bool, typer.Option(help="keep the base's weights in bf16, as they are shipped")] = True,
    profiles: Annotated[int, typer.Option(min=0, help="held-out users of each data set to write profiles of")] = 100,
    movielens: Annotated[
        Path, typer.Option(help="folder with movielens-100k; left out of the evaluation when it is not there")
    ] = Path("../shared/data/movielens-100k"),
    evaluate_only: Annotated[bool, typer.Option(help="measure the adapter in --out, train nothing")] = False,
    compare: Annotated[
        bool, typer.Option(help="train every method for --steps and print a table; --out is not written")
    ] = False,
) -> None:
    """Tune profile_llm to write grounded sentences from facts, in English and Chinese; ends with one line of JSON.

    Checkpoints and a TensorBoard log (where tensorboard is installed) go to .portrait/tuning. With WANDB_PROJECT set, the log
    goes to Weights & Biases too.
    """
    from deploy.tuning.session import Session
    from deploy.tuning.training import Plan

    plan = Plan(method, rank, steps, batch, seed, learning_rate, bf16=bf16, start_from=start_from)
    session = Session(plan, base, threads, profiles, movielens)
    if compare:
        session.compare()
    elif evaluate_only:
        session.evaluate_adapter(out)
    else:
        session.tune(out)
