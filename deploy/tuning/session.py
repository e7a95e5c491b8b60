"""One run of `portrait tune narrator`: what is shown, logged and written."""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from peft import PromptLearningConfig
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from deploy.board import Board
from deploy.local.weights import BUILTIN, weights_folder
from deploy.tuning.adapters import METHODS
from deploy.tuning.card import model_card
from deploy.tuning.evaluation import LANGUAGES, AttemptScore, evaluate, writer
from deploy.tuning.held_out import Case, movielens_cases, shop_cases, worked_example
from deploy.tuning.pairs import make_pairs
from deploy.tuning.record import read_record, write_record
from deploy.tuning.training import Plan, Step, load_base, save_adapter, train
from schemas.errors import ConfigError
from schemas.messages import Language
from schemas.settings import load_settings

SMOOTHED_STEPS = 50
SAMPLES = 4
REFUSED_SHOWN = 8
WEIGHTS = "adapter_model.safetensors"
HUB_NAMES = {"SmolLM2-135M-Instruct": "HuggingFaceTB/SmolLM2-135M-Instruct"}
AttemptScores = dict[tuple[str, Language], AttemptScore]


class Session:
    """Trains by a plan and measures on `profiles` held-out users of each data set."""

    def __init__(self, plan: Plan, base: str | None, threads: int, profiles: int, movielens: Path) -> None:
        torch.set_num_threads(threads)
        settings = load_settings()
        self.plan, self.profiles, self.movielens = plan, profiles, movielens
        self.console = Console()
        self.source = base or settings.models.profile_llm
        self.folder = weights_folder("profile_llm", self.source, self.console.print)
        self.log_folder = settings.runtime.folder / "tuning"

    def tune(self, out: Path) -> None:
        """Train, write adapter and card into `out`, measure, print."""
        tuned, tokenizer, trained = self._trained(self.plan)
        self._save(tuned, self.plan, self.plan.steps, out, trained)
        scores = self._measure(tuned, tokenizer)
        self._write_card(out, scores)
        size = (out / WEIGHTS).stat().st_size
        report = {"report": "tune-narrator", **trained, "seed": self.plan.seed, "rank": self.plan.rank, "adapter_bytes": size}
        self._print({**report, "evaluation": _as_dict(scores)})

    def evaluate_adapter(self, out: Path) -> None:
        """Measure the adapter that is in `out`, and write its card again where training.json says what made it."""
        from peft import PeftModel

        if not (out / "adapter_config.json").is_file():
            raise ConfigError(f"{out} holds no adapter; train one with `portrait tune narrator --out {out}`")
        model, tokenizer = load_base(self.folder, self.plan.bf16)
        tuned = PeftModel.from_pretrained(model, out)
        scores = self._measure(tuned, tokenizer)
        self._write_card(out, scores)
        self._print({"report": "tune-narrator", "adapter": out.name, "evaluation": _as_dict(scores)})

    def compare(self) -> None:
        """Train each method for the same number of steps, and print what each came to."""
        table = Table("method", "weights trained", "last loss", "tokens/s", "first attempt en", "first attempt zh")
        rows: list[dict[str, Any]] = []
        for method in METHODS:
            tuned, tokenizer, trained = self._trained(replace(self.plan, method=method, learning_rate=None))
            scores = self._measure(tuned, tokenizer, quiet=True)
            total = {language: _together(scores, language) for language in LANGUAGES}
            rows.append(
                {
                    **trained,
                    "first_attempt": {lang: round(score.first / max(1, score.profiles), 3) for lang, score in total.items()},
                }
            )
            shown = [f"{rows[-1]['first_attempt'][language]:.0%}" for language in LANGUAGES]
            table.add_row(
                method, f"{trained['weights']:,}", f"{trained['loss']:.4f}", f"{trained['tokens_per_s']:.0f}", *shown
            )
        self.console.print(table)
        self._print({"report": "tune-narrator-methods", "steps": self.plan.steps, "seed": self.plan.seed, "methods": rows})

    @property
    def base_name(self) -> str:
        """How the adapter names what it belongs to: never by a path of this machine."""
        name = self.source.removeprefix(BUILTIN)
        return HUB_NAMES.get(name, Path(name).name if Path(name).is_dir() else name)

    def _trained(self, plan: Plan) -> tuple[Any, Any, dict[str, Any]]:
        model, tokenizer = load_base(self.folder, plan.bf16)
        pairs = list(make_pairs(plan.seed, plan.steps * plan.batch))
        losses: deque[float] = deque(maxlen=SMOOTHED_STEPS)
        speeds: list[float] = []
        begin_s = time.monotonic()

        def facts() -> dict[str, Any]:
            return {
                "method": plan.method,
                "steps": plan.steps,
                "loss": round(sum(losses) / len(losses), 5),
                "tokens_per_s": round(sum(speeds) / len(speeds), 1),
                "minutes": round((time.monotonic() - begin_s) / 60, 1),
            }

        with self._shown(plan) as show:

            def on_step(step: Step) -> None:
                losses.append(step.loss)
                speeds.append(step.tokens_per_s)
                show(step, sum(losses) / len(losses))

            def on_checkpoint(tuned: Any, number: int) -> None:
                self._save(tuned, plan, number, self.log_folder / plan.method / f"step-{number}", facts())

            tuned = train(model, tokenizer, pairs, plan, on_step, on_checkpoint)
        weights = sum(weight.numel() for weight in tuned.parameters() if weight.requires_grad)
        return tuned, tokenizer, {**facts(), "weights": weights}

    @contextmanager
    def _shown(self, plan: Plan) -> Iterator[Callable[[Step, float], None]]:
        """A progress bar, or plain lines where there is no terminal; and the log of the run."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        board = Board(self.log_folder / "runs", plan.method, asdict(plan))
        with board, Progress(*columns, console=self.console, disable=not self.console.is_terminal) as bar:
            task = bar.add_task(plan.method, total=plan.steps)

            def show(step: Step, loss: float) -> None:
                bar.update(
                    task,
                    completed=step.number,
                    description=f"{plan.method}  loss {loss:.4f}  {step.tokens_per_s:.0f} tokens/s",
                )
                if not self.console.is_terminal and step.number % 10 == 0:
                    print(f"step {step.number}/{plan.steps}  loss {loss:.4f}  {step.tokens_per_s:.0f} tokens/s", flush=True)
                board.note(step.number, {"loss": step.loss, "tokens_per_s": step.tokens_per_s})

            yield show

    def _save(self, tuned: Any, plan: Plan, steps_done: int, folder: Path, trained: dict[str, Any]) -> None:
        save_adapter(tuned, folder, self.base_name)
        write_record(folder, plan, steps_done, {name: trained[name] for name in ("method", "loss", "minutes")})

    def _write_card(self, folder: Path, scores: AttemptScores) -> None:
        record = read_record(folder)
        if record:
            size = (folder / WEIGHTS).stat().st_size
            measured_by = f"portrait tune narrator --evaluate-only --profiles {self.profiles} --seed {self.plan.seed}"
            card = model_card(self.base_name, record, size, scores, measured_by)
            (folder / "README.md").write_text(card, encoding="utf-8")

    def _measure(self, tuned: Any, tokenizer: Any, quiet: bool = False) -> AttemptScores:
        """Scores of the model as it is served: with the adapter merged into the weights, where that can be."""
        cases: list[Case] = [worked_example(language) for language in LANGUAGES]
        if self.profiles:
            cases += shop_cases(self.profiles, self.plan.seed)
        if (self.movielens / "events.csv.gz").is_file():
            cases += movielens_cases(self.movielens, self.profiles, self.plan.seed)
        elif not quiet:
            self.console.print(f"movielens-100k is left out: {self.movielens} does not hold it")
        served = tuned if isinstance(tuned.active_peft_config, PromptLearningConfig) else tuned.merge_and_unload()
        scores = evaluate(cases, writer(served.eval(), tokenizer))
        if not quiet:
            self._show_scores(scores)
        return scores

    def _show_scores(self, scores: AttemptScores) -> None:
        table = Table("source", "language", "profiles", "first attempt", "last", "sentences by LLM")
        for (source, language), score in scores.items():
            shares = score.as_dict()
            shown = (f"{shares[name]:.1%}" for name in ("first_attempt", "last_attempt", "llm_share"))
            table.add_row(source, language, str(score.profiles), *shown)
        self.console.print(table)
        for (source, language), score in scores.items():
            for text in score.samples[:SAMPLES]:
                self.console.print(f"[{source} {language}]", text, markup=False, soft_wrap=True)
            for text in score.refused[:REFUSED_SHOWN]:
                self.console.print("  refused:", text, markup=False, soft_wrap=True)

    def _print(self, report: dict[str, Any]) -> None:
        print(json.dumps(report, ensure_ascii=False))


def _as_dict(scores: AttemptScores) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for (source, language), score in scores.items():
        found.setdefault(source, {})[language] = score.as_dict()
    return found


def _together(scores: AttemptScores, language: Language) -> AttemptScore:
    total = AttemptScore()
    for (_, spoken), score in scores.items():
        if spoken == language:
            total.profiles += score.profiles
            total.first += score.first
    return total
