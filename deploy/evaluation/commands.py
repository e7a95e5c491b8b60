"""`portrait eval`: measures what Portrait makes. Everything heavy is imported when it runs."""

import os
from pathlib import Path
from typing import Annotated

import typer

eval_app = typer.Typer(no_args_is_help=True, help="Measure what Portrait makes, and print it.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.add_typer(eval_app, name="eval")


@eval_app.callback()
def evaluate() -> None:
    """Measure what Portrait makes, and print it."""


@eval_app.command()
def profiles(
    users: Annotated[int, typer.Option(min=4, help="users of each data set whose profiles are written and judged")] = 500,
    data: Annotated[
        Path | None, typer.Option(help="the MovieLens 100K folder, or another data folder; left out when it is not there")
    ] = Path("../shared/data/movielens-100k"),
    seed: Annotated[int, typer.Option(help="the demo shop's, and what is drawn")] = 7,
    quick: Annotated[bool, typer.Option(help="few users and cases: to see that it runs, not to judge by")] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads of the models")] = os.cpu_count() or 1,
    fresh: Annotated[
        bool, typer.Option(help="write every text anew, not only those that no earlier run with these weights wrote")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="the HTML report; default eval/profiles.html in the state folder")] = None,
) -> None:
    """Truth, obedience, attacks, cost and use of profiles, on the demo shop and MovieLens, in English and Chinese.

    Profiles are written in this process by the code that profile_llm runs on Triton, and checked by a second method than the
    grounding check. The last line is JSON; docs/evaluation.md says what each figure means.
    """
    from deploy.evaluation.run import run

    run(users, data, seed, quick, threads, fresh, out)
