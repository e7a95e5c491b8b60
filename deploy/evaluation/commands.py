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


@eval_app.command()
def recs(
    data: Annotated[Path, typer.Option(help="a folder in the documented layout (docs/data-layout.md)")],
    mapping: Annotated[
        str | None, typer.Option(help="a ready mapping's name or a mapping file; default: the one that fits the folder")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="leave-one-out | time-cut | time-cut-new-items. Default: leave-one-out where there are no times or events "
            "were entered in bulk, else time-cut, with only new items asked for where people seldom repeat"
        ),
    ] = None,
    models: Annotated[str | None, typer.Option(help="names from above with commas between; default: all")] = None,
    seeds: Annotated[str, typer.Option(help="what models with randomness are trained with, one after another")] = "1,2,3",
    truncate: Annotated[
        int | None, typer.Option(min=1, help="cut every history to its last so many events before training")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="seeds of a model that are fitted side by side")] = os.cpu_count() or 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of a peer in its own process; default: cores by --jobs")
    ] = None,
    peers_python: Annotated[
        Path, typer.Option(help="the python of the peers' environment, which `make eval-recs-peers` makes")
    ] = Path(".venv-recs-peers/bin/python"),
    cache: Annotated[
        Path | None, typer.Option(help="keep chosen settings and figures in this folder: a rerun is then quick")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="write the table as CSV, too")] = None,
    out: Annotated[
        Path | None, typer.Option(help="the HTML report; default eval/recs-DATA-PROTOCOL.html in the state folder")
    ] = None,
) -> None:
    """Recommendations against tuned peers: one cut, one table, everyone's whole-catalogue ranking.

    Every model learns from what came before the cut, with settings chosen by the same protocol one step earlier, and ranks the
    whole catalogue. Ties count at their expected value.

    Models: popularity, popularity-7d, personal-frequency (then popularity-7d), item-knn, item-knn-last-n, markov (what
    follows what), ease, ease-last-n, ease-log, blend (of these), als (implicit), sasrec and esasrec (RecTools), portrait
    (ours), portrait-live (what `portrait train` makes, asked by the code of the live path). One that is not installed is
    named in the table and the JSON.

    The last line is JSON; docs/evaluation.md says what each figure means.
    """
    from deploy.recs.run import Asked, run

    run(Asked(data, mapping, protocol, models, seeds, truncate, jobs, threads, peers_python, cache, csv, out))


@eval_app.command()
def policy(
    data: Annotated[
        Path | None,
        typer.Option(help="a folder with recommendations.jsonl, impressions.jsonl and events.jsonl; default: the topics"),
    ] = None,
    attribution_s: Annotated[
        float, typer.Option(min=0, help="an event without a list_id clicks a list seen at most so many seconds before")
    ] = 3600.0,
    surface: Annotated[str | None, typer.Option(help="judge the lists of this surface; default: the main list")] = None,
    seed: Annotated[int, typer.Option(help="of the intervals' draws")] = 0,
) -> None:
    """What lists were worth that users saw, and what other lists would have been: IPS and SNIPS from logged propensities.

    Needs lists with a share left to chance (PORTRAIT_PROFILER__EXPLORE_SHARE), and impressions that the site sends.

    The last line is JSON; docs/feedback.md says what each figure means.
    """
    from deploy.feedback.run import run

    run(data, attribution_s, seed, surface)
