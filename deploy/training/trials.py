"""Settings of the network chosen by Optuna: each is fitted before the newest window and judged by its lists for it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from deploy.recs.ours.portrait import judge_of
from deploy.recs.split import Split
from deploy.training.learning import Learner, Recipe
from deploy.training.material import Encode, Material
from schemas.errors import ConfigError
from schemas.settings import Settings

WIDTHS, LAYERS = (32, 64, 96), (1, 3)
DROPOUTS, LEARNING_RATES = (0.05, 0.5), (5e-4, 5e-3)


def best_recipe(
    material: Material, settings: Settings, encode: Encode, recipe: Recipe, window: Split, trials: int,
    on_done: Callable[[int, int], None],
) -> tuple[Recipe, list[dict[str, Any]]]:  # fmt: skip
    """The recipe whose network made the best lists, and what each that was tried came to; the given one is tried first.

    Raises:
        ConfigError: Optuna is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigError("--trials needs Optuna: install the `training` extra") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    judge = judge_of(window)

    def worth(trial: Any) -> float:
        tried = _recipe(trial, recipe)
        fitted = Learner(material, settings, encode, tried).fit(window.train, "trial", 0, window)
        on_done(trial.number + 1, trials)
        return judge(fitted)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=recipe.seed))
    shape = recipe.shape
    known = {
        "dim": shape.dim,
        "layers": shape.layers,
        "dropout": shape.dropout,
        "learning_rate": recipe.schedule.learning_rate,
    }
    study.enqueue_trial(known)
    study.optimize(worth, n_trials=trials)
    tried = [{**trial.params, "ndcg10": round(float(trial.value or 0), 4)} for trial in study.trials]
    return _recipe(study.best_trial, recipe), tried


def _recipe(trial: Any, recipe: Recipe) -> Recipe:
    shape = replace(
        recipe.shape,
        dim=trial.suggest_categorical("dim", WIDTHS),
        layers=trial.suggest_int("layers", *LAYERS),
        dropout=trial.suggest_float("dropout", *DROPOUTS),
    )
    rate = trial.suggest_float("learning_rate", *LEARNING_RATES, log=True)
    return replace(recipe, shape=shape, schedule=replace(recipe.schedule, learning_rate=rate))
