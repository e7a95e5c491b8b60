"""Users who are shown the live path's lists and click by a taste that is known: what estimates are held against."""

from collections.abc import Sequence

import numpy as np

from consumers.lists.exploration import chance_of
from consumers.lists.places import UserLists
from deploy.evaluation.models import UserEncoder
from deploy.training.replayed import Replayed
from schemas.messages import BehaviorEvent, Cause, Impression, Recommendations, ShownItem
from schemas.settings import ProfilerSettings, Settings
from tests.unit.training_cases import GROUPS, encode, material

NOW_MS = 1_750_000_000_000
PLACES = 5
LOOKED_AT = 1 / (1 + 0.5 * np.arange(PLACES))
WANTED, UNWANTED = 0.7, 0.15


class World:
    """A small shop; `explore` of each list is left to chance."""

    def __init__(self, explore: float, seed: int = 7) -> None:
        self.settings = Settings(profiler=ProfilerSettings(top_k=PLACES, explore_share=explore, diversity=0.0))
        world = material()
        self.replayed = Replayed(world.recorded.interactions, world, self.settings, encode)
        self.user_ids = list(world.recorded.interactions.user_ids)
        self._vectors = self.replayed.encoded(self.replayed.states, UserEncoder()).vectors
        self._random = np.random.default_rng(seed)
        self._groups = [int(str(state.events[0].item_id)[0]) for state in self.replayed.states]

    def appeal(self, user: int, item_id: str) -> float:
        """The chance of a click once the item is looked at: two groups of items please, one of which the lists do not know."""
        group, number = map(int, item_id.split("-"))
        pleases = group in (self._groups[user], (self._groups[user] + 1) % GROUPS)
        return (WANTED if pleases else UNWANTED) * (0.6 + 0.4 * (number % 3) / 2)

    def worth(self, user: int, item_ids: Sequence[str]) -> float:
        """Clicks that a list brings on average."""
        return float(sum(LOOKED_AT[place] * self.appeal(user, item_id) for place, item_id in enumerate(item_ids)))

    def lists(self, round_number: int) -> list[UserLists]:
        """One for each user, by dice of their own in each round."""
        seeds = [chance_of(user_id, round_number) for user_id in self.user_ids]
        return self.replayed.maker.make(self.replayed.states, self._vectors, NOW_MS, seeds)

    def shown(self, rounds: int) -> tuple[list[Recommendations], list[Impression], list[BehaviorEvent]]:
        """The log of so many rounds."""
        lists, impressions, events = list[Recommendations](), list[Impression](), list[BehaviorEvent]()
        for number in range(rounds):
            for user, made in enumerate(self.lists(number)):
                message = self._published(user, number, made)
                lists.append(message)
                impressions.append(self._impression(message))
                events += self._clicked(user, message)
        return lists, impressions, events

    def _published(self, user: int, number: int, made: UserLists) -> Recommendations:
        cause = Cause(topic="behavior-events", partition=0, offset=0, record_time_ms=NOW_MS, waiting_since_ms=NOW_MS)
        return Recommendations(
            user_id=self.user_ids[user], list_id=f"{number}-{user}", items=made.items, state_version=number,
            model_name="user_encoder", model_version="1", catalog_size=len(self.replayed.catalogue),
            generated_at_ms=NOW_MS + number, cause=cause,
        )  # fmt: skip

    def _impression(self, message: Recommendations) -> Impression:
        return Impression(
            impression_id=f"i-{message.list_id}", user_id=message.user_id, list_id=str(message.list_id),
            shown_at_ms=message.generated_at_ms,
            items=[ShownItem(item_id=item.item_id, position=place) for place, item in enumerate(message.items)],
        )  # fmt: skip

    def _clicked(self, user: int, message: Recommendations) -> list[BehaviorEvent]:
        return [
            BehaviorEvent(
                event_id=f"c-{message.list_id}-{place}", user_id=message.user_id, item_id=item.item_id, type="click",
                event_time_ms=message.generated_at_ms, list_id=message.list_id,
            )
            for place, item in enumerate(message.items)
            if self._random.random() < LOOKED_AT[place] * self.appeal(user, item.item_id)
        ]  # fmt: skip

    def true_values(self) -> dict[str, float]:
        """Clicks a list of the policies that a log is asked about, known since the taste is."""
        shown = self.replayed.catalogue.item_ids
        ranked = World(0.0).lists(0)
        users = range(len(self.user_ids))
        orders = [[item.item_id for item in made.items] for made in ranked]
        rounds = [[item.item_id for item in made.items] for number in range(60) for made in self.lists(number)]
        open_items = [
            [item_id for item_id in shown if item_id not in self.replayed.states[user].items and item_id not in orders[user]]
            for user in users
        ]
        return {
            "as logged": float(np.mean([self.worth(number % len(users), ids) for number, ids in enumerate(rounds)])),
            "ranked, nothing by chance": float(np.mean([self.worth(user, orders[user]) for user in users])),
            "all by chance": float(
                np.mean([LOOKED_AT.sum() * np.mean([self.appeal(user, one) for one in open_items[user]]) for user in users])
            ),
            "reversed": float(np.mean([self.worth(number % len(users), ids[::-1]) for number, ids in enumerate(rounds)])),
        }
