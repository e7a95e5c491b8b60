"""One run of `portrait eval profiles`: every measure in turn, on the same profiles where they can be shared."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from rich.console import Console

from consumers.catalog import item_text
from consumers.catalogue import Catalogue
from deploy.evaluation.cold_start import cold_start_hits, learn_popularity
from deploy.evaluation.evidence_check import Facts
from deploy.evaluation.gate_material import Material, movielens_material, movielens_messages, shop_material
from deploy.evaluation.gate_replay import Outcome, Replay
from deploy.evaluation.injections import Attacked, attacked, first_of_each, followed, read_attacks
from deploy.evaluation.models import LanguageModel, TextEncoder, UserEncoder
from deploy.evaluation.obedience import (
    Case,
    ListMaker,
    asserts_interest,
    disobeyed,
    order_cases,
    reversal_cases,
    with_vector,
)
from deploy.evaluation.people import LANGUAGES, Life, Person, Place, data_people, lives, shop_people
from deploy.evaluation.progress import Steps
from deploy.evaluation.retrieval import CoVisitation, Hits, popularity_before, rank_held_out
from deploy.evaluation.scores import SupportScore, SupportScores
from deploy.evaluation.text_check import telling_names
from deploy.evaluation.writing import NarratorDesk, Written
from producers.dataset import open_dataset
from producers.shop import Shop
from schemas.messages import Item, ItemVector, Language, UserAttributes
from schemas.settings import Settings

SHOP, DATA = "shop", "movielens"
EVENTS_PER_USER = 40
SPARE_USERS = 1.6
"""Shop users made for one that is evaluated: not all agree to a profile."""
ENCODED_AT_ONCE = 64


@dataclass(frozen=True)
class Plan:
    """What to measure: `users` of each data set, so many cases of each way, and the replay behind the gate's figures."""

    users: int = 500
    data: Path | None = None
    seed: int = 7
    per_way: int = 30
    per_order: int = 52
    gate_users: int = 600
    gate_events: int = 40_000
    gate_data_users: int = 300
    delay_s: float = 30.0
    attacks_each: int | None = None
    """Attacks of each place and language; None: all."""


@dataclass(frozen=True)
class Author:
    """A person with their state and published profile."""

    place: Place
    person: Person
    life: Life
    written: Written


@dataclass(frozen=True)
class Verdict:
    """A case and what is wrong with what came of it; `text` is the profile's."""

    way: str
    language: Language
    name: str
    text: str
    faults: tuple[str, ...]
    waited: int = 0


@dataclass
class Findings:
    """All that was measured."""

    scores: SupportScores = field(default_factory=dict)
    reversal: list[Verdict] = field(default_factory=list)
    orders: list[Verdict] = field(default_factory=list)
    attacks: list[Verdict] = field(default_factory=list)
    attacks_refused_by_guard: int = 0
    hits: dict[tuple[str, Language], Hits] = field(default_factory=dict)
    cold_start: Hits = field(default_factory=Hits)
    gate: dict[str, tuple[Material, Outcome]] = field(default_factory=dict)
    samples: list[Author] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


class Session:
    """Loads the models, then measures by a plan."""

    def __init__(self, plan: Plan, settings: Settings, console: Console, threads: int, fresh: bool) -> None:
        self.plan, self.settings, self.steps = plan, settings, Steps(console)
        with self.steps.step("loading the models"):
            self.encoder = TextEncoder(settings, console.print)
            self.user_encoder = UserEncoder()
            self.model = LanguageModel(settings, threads, console.print)
        folder = settings.runtime.folder / "eval"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"texts-{self.model.version}.jsonl"
        if fresh:
            file.unlink(missing_ok=True)
        self.desk = NarratorDesk(self.model, settings.narrator, file)
        self.findings = Findings()
        self._popularity: dict[str, Counter[str]] = {}
        self._covisitation: dict[str, CoVisitation] = {}

    def run(self) -> Findings:
        """Every measure."""
        authors = self._shop_authors() + self._data_authors()
        self._judge(authors)
        self._retrieve(authors)
        self._revoke([author for author in authors if author.place.shop])
        self._order(authors)
        self._attack([author for author in authors if author.place.shop])
        self._meet_by_words()
        self._replay_gate()
        return self.findings

    def _shop_authors(self) -> list[Author]:
        shop = Shop(self.plan.seed, max(20, int(self.plan.users * SPARE_USERS)))
        messages = list(shop.simulate(EVENTS_PER_USER * len(shop.users)))
        place = Place(SHOP, self._catalogue(SHOP, shop.items), self.settings, shop)
        everyone = shop_people(shop, messages, len(shop.users))
        self._shop = place, everyone
        self._learn(place, everyone)
        return self._written(place, everyone)

    def _data_authors(self) -> list[Author]:
        folder = self.plan.data
        if folder is None or not folder.is_dir():
            self.findings.skipped.append(f"{DATA}: there is no folder {folder}; name it with --data")
            return []
        dataset = open_dataset(folder)
        messages = movielens_messages(dataset, self.plan.seed)
        place = Place(DATA, self._catalogue(DATA, list(dataset.items())), self.settings)
        everyone = data_people(messages, len(dataset.user_ids()), self.plan.seed)
        self._learn(place, everyone)
        return self._written(place, everyone)

    def _learn(self, place: Place, everyone: Sequence[Person]) -> None:
        """What is known of items from all users before their cuts."""
        self._popularity[place.name] = popularity_before(everyone)
        self._covisitation[place.name] = CoVisitation(everyone, place.catalogue)

    def _catalogue(self, name: str, items: Sequence[Item]) -> Catalogue:
        catalogue = Catalogue()
        with self.steps.step(f"vectors of {name} items") as on_done:
            for start in range(0, len(items), ENCODED_AT_ONCE):
                some = items[start : start + ENCODED_AT_ONCE]
                for item, vector in zip(some, self.encoder.encode([item_text(item) for item in some]), strict=True):
                    catalogue.put_item(item)
                    catalogue.put_vector(
                        ItemVector(item_id=item.item_id, vector=vector.tolist(), model_name="text_encoder", model_version="0")
                    )
                on_done(start + len(some), len(items))
        self.encoder.keep()
        return catalogue

    def _written(self, place: Place, people: Sequence[Person]) -> list[Author]:
        """Fold the messages of as many people as are wanted, half of each language, and write their profiles."""
        wanted = (self.plan.users + 1) // 2
        with self.steps.step(f"statements of {place.name} users"):
            found = [
                one
                for language in LANGUAGES
                for one in islice(lives((person for person in people if person.language == language), place), wanted)
            ]
        with self.steps.step(f"profiles of {place.name} users") as on_done:
            written = self.desk.write([request for _, _, request in found], on_done)
        return [Author(place, person, life, one) for (person, life, _), one in zip(found, written, strict=True)]

    def _judge(self, authors: Sequence[Author]) -> None:
        """Support of statements and texts, by the second method; who wrote them."""
        worlds: dict[tuple[str, Language], frozenset[str]] = {}
        for author in self.steps.each("checking the profiles", authors, len(authors)):
            place, person = author.place, author.person
            key = place.name, author.written.profile.language
            if key not in worlds:
                worlds[key] = world_of(place, [other.person for other in authors if other.place is place], key[1])
            facts = Facts(person.messages, place.catalogue.items, place.shop, self.settings.profiler.utc_offset_h)
            score = self.findings.scores.setdefault(key, SupportScore())
            score.take(author.written, facts, worlds[key], person.user_id, author.life.now_ms)
        source = random.Random(self.plan.seed)
        for name, language in self.findings.scores:
            own = [one for one in authors if (one.place.name, one.written.profile.language) == (name, language)]
            self.findings.samples += source.sample(own, min(5, len(own)))

    def _retrieve(self, authors: Sequence[Author]) -> None:
        able = [author for author in authors if author.person.held_out in author.place.catalogue.items]
        with self.steps.step("vectors of profile texts") as on_done:
            for start in range(0, len(able), ENCODED_AT_ONCE):
                self.encoder.encode([author.written.profile.text for author in able[start : start + ENCODED_AT_ONCE]])
                on_done(min(start + ENCODED_AT_ONCE, len(able)), len(able))
        for author in able:
            query = self.encoder.encode([author.written.profile.text])[0]
            popularity = self._popularity[author.place.name]
            covisitation, text = self._covisitation[author.place.name], author.written.profile.text
            ranks = rank_held_out(author.person, text, query, popularity, covisitation, author.place.catalogue)
            self.findings.hits.setdefault((author.place.name, author.person.language), Hits()).add(ranks)

    def _revoke(self, authors: Sequence[Author]) -> None:
        """Interests taken back: does the next profile still assert them?"""
        if not authors:
            return
        users = [(author.person, author.life, author.written.profile) for author in authors]
        cases = list(reversal_cases(users, authors[0].place, self.plan.per_way))
        for case, written in self._written_cases("taking interests back", cases):
            old = next(profile for person, _, profile in users if person.user_id == case.life.user_id)
            profile = written.profile if written else old
            faults = ("still asserted",) * asserts_interest(profile, case.name)
            self.findings.reversal.append(Verdict(case.way, case.language, case.name, profile.text, faults, case.waited))

    def _order(self, authors: Sequence[Author]) -> None:
        """Edits and mutes: are they obeyed in the next profile, and in the list?"""
        places = {author.place.name: author.place for author in authors}
        for number, (name, place) in enumerate(places.items()):
            users = [(a.person, a.life, a.written.profile) for a in authors if a.place is place]
            per_order = self.plan.per_order // len(places) + (number < self.plan.per_order % len(places))
            cases = list(order_cases(users, place, per_order))
            written = self._written_cases(f"edits and mutes, {name}", cases)
            for case, one in written:
                if one:
                    case.life.fold(with_vector(one.profile, self.encoder))
            lists = ListMaker(place, self.encoder, self.user_encoder).lists([case.life for case, _ in written])
            for (case, one), listed in zip(written, lists, strict=True):
                faults = tuple(disobeyed(case, one.profile, listed)) if one else ("no text",)
                text = one.profile.text if one else ""
                self.findings.orders.append(Verdict(case.way, case.language, case.name, text, faults))

    def _written_cases(self, name: str, cases: Sequence[Case]) -> list[tuple[Case, Written | None]]:
        with self.steps.step(name) as on_done:
            written = iter(self.desk.write([case.request for case in cases if case.request], on_done))
            return [(case, next(written) if case.request else None) for case in cases]

    def _attack(self, authors: Sequence[Author]) -> None:
        if not authors:
            return
        attacks = first_of_each(read_attacks(), self.plan.attacks_each)
        people = [author.person for author in authors]
        tried: list[Attacked] = list(attacked(attacks, people, authors[0].place, self.encoder))
        with self.steps.step("attacks") as on_done:
            written = self.desk.write([one.request for one in tried], on_done)
        for one, profile in zip(tried, written, strict=True):
            attack = one.attack
            faults = tuple(followed(attack, profile.profile))
            self.findings.attacks.append(Verdict(attack.place, attack.language, attack.given, profile.profile.text, faults))
            self.findings.attacks_refused_by_guard += bool(profile.refused)

    def _meet_by_words(self) -> None:
        """Lists from a line of free text alone. Last of what uses the shop's catalogue, for it learns what is popular."""
        place, everyone = self._shop
        with self.steps.step("cold start by words"):
            learn_popularity(place, everyone)
            maker = ListMaker(place, self.encoder, self.user_encoder)
            self.findings.cold_start = cold_start_hits(everyone, place, maker, self._popularity[place.name])

    def _replay_gate(self) -> None:
        """The replay of `make bench-gate`: LLM calls, and changes of interest shown in time."""
        plan = self.plan
        with self.steps.step("gate: demo shop"):
            self._replay(shop_material(plan.seed, plan.gate_users, plan.gate_events, None))
        if plan.data is not None and plan.data.is_dir():
            with self.steps.step("gate: movielens"):
                self._replay(movielens_material(plan.data, plan.seed, plan.gate_data_users, None))

    def _replay(self, material: Material) -> None:
        outcome = Replay(material, self.settings, int(self.plan.delay_s * 1000)).run()
        self.findings.gate[material.name] = (material, outcome)


def world_of(place: Place, people: Iterable[Person], language: Language) -> frozenset[str]:
    """Every name that a text of this data set could wrongly hold: of the catalogue, and what other users declare."""
    names = set()
    for item in place.catalogue.items.values():
        names |= {item.title, *item.tags, *(value for value in item.attributes.values() if isinstance(value, str))}
    for person in people:
        for message in person.messages:
            if isinstance(message, UserAttributes):
                names |= {name for name in (message.location, message.occupation) if name}
    return telling_names(names, language)
