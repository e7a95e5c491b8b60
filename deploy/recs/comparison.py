"""Tunes every contender on validation, fits it to what is known, and measures it on the test."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from deploy.evaluation.progress import Steps
from deploy.recs.contender import Contender, Params
from deploy.recs.cuts import validation_split
from deploy.recs.measures import Gains, Reals, gains
from deploy.recs.remembered import Remembered, fingerprint
from deploy.recs.side_by_side import gains_of_seeds
from deploy.recs.split import Split
from schemas.errors import PortraitError

OURS, LIVE = "portrait", "portrait-live"
"""Our own: the whole recommender, and what the live path serves. Neither is a peer of the other."""


@dataclass(frozen=True)
class Choice:
    """The settings that were best on validation, and the NDCG@10 there of each that was tried."""

    params: Params
    tried: Sequence[tuple[Params, float]] = ()


@dataclass(frozen=True)
class Outcome:
    """One model's figures, or why there are none."""

    name: str
    missing: str | None = None
    choice: Choice = field(default_factory=lambda: Choice({}))
    by_seed: Sequence[Gains] = ()
    remembered: bool = False
    seconds: float = 0.0

    def mean(self, measure: str) -> Reals:
        """A measure of each user asked, averaged over seeds [users]."""
        return np.asarray(np.mean([getattr(one, measure) for one in self.by_seed], axis=0))


@dataclass
class Comparison:
    """One split and what has been chosen so far: `chosen` is what the blend reads. Up to `jobs` seeds are fitted at once."""

    split: Split
    seeds: Sequence[int]
    steps: Steps
    remembered: Remembered
    chosen: dict[str, Params]
    say: Callable[[str], None]
    jobs: int = 1

    def __post_init__(self) -> None:
        self._validation = validation_split(self.split)
        self._keys = fingerprint(self.split), fingerprint(self._validation)

    def run(self, contenders: Sequence[Contender]) -> list[Outcome]:
        """All of them, one after another; one that fails on purpose is told and does not stop the others."""
        return [self._measured(one) for one in contenders]

    def _measured(self, contender: Contender) -> Outcome:
        if why := contender.missing():
            self.say(f"{contender.name}: left out, {why}")
            return Outcome(contender.name, missing=why)
        began = time.monotonic()
        try:
            choice, chosen_before = self._choice(contender)
            self.chosen[contender.name] = choice.params
            seeds = self.seeds if contender.random else self.seeds[:1]
            by_seed, known = self._gains(contender, choice.params, seeds)
        except PortraitError as error:
            self.say(f"{contender.name}: {error}")
            return Outcome(contender.name, missing=str(error))
        known = known and chosen_before
        return Outcome(contender.name, None, choice, by_seed, known, round(time.monotonic() - began, 1))

    def _choice(self, contender: Contender) -> tuple[Choice, bool]:
        version = contender.version()
        key = ("choice", contender.name, version, self._keys[1], self.seeds[0])
        kept = self.remembered.value(*key) if version is not None else None
        if kept is not None:
            return Choice(kept["params"], [(params, ndcg) for params, ndcg in kept["tried"]]), True
        tried: list[tuple[Params, float]] = []
        with self.steps.step(f"{contender.name}: settings on validation") as on_done:
            for params, model in contender.tries(self._validation, self.seeds[0], on_done):
                tried.append((params, round(float(gains(model, self._validation).ndcg.mean()), 5)))
        choice = Choice(max(tried, key=lambda one: one[1])[0], tried) if tried else Choice({})
        for params, ndcg in tried:
            self.say(f"  {ndcg:.4f} {'←' if params is choice.params else ' '} {params}")
        if version is not None:
            self.remembered.keep_value({"params": choice.params, "tried": tried}, *key)
        return choice, False

    def _gains(self, contender: Contender, params: Params, seeds: Sequence[int]) -> tuple[list[Gains], bool]:
        """With each seed, and whether all were remembered."""
        version = contender.version()

        def key(seed: int) -> tuple[object, ...]:
            return "gains", contender.name, version, self._keys[0], sorted(params.items()), seed

        found = {seed: None if version is None else self.remembered.gains(*key(seed)) for seed in seeds}
        new = [seed for seed, kept in found.items() if kept is None]
        for seed, made in zip(new, self._fitted(contender, params, new), strict=True):
            found[seed] = made
            if version is not None:
                self.remembered.keep_gains(made, *key(seed))
        return [one for one in found.values() if one is not None], not new

    def _fitted(self, contender: Contender, params: Params, seeds: Sequence[int]) -> Iterator[Gains]:
        """Fitted and measured, each as soon as it is there; side by side where there are several and jobs for them."""
        if len(seeds) > 1 and self.jobs > 1:
            with self.steps.step(f"{contender.name}, {len(seeds)} seeds") as on_done:
                made = gains_of_seeds(contender, self.split, params, seeds, self.jobs, on_done)
            yield from made
            return
        for seed in seeds:
            with self.steps.step(f"{contender.name}, seed {seed}" if contender.random else contender.name) as on_done:
                yield gains(contender.fitted(self.split, params, seed, on_done), self.split)
