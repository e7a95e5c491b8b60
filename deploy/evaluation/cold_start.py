"""Cold start by words: lists for users of whom nothing is known but the line they wrote about themselves, against popularity.

Everyone who declared a line is met anew at the moment before the item that is held out, with the line and nothing else: no
event, tag or fact. Nothing is seen then, so neither the list nor popularity leaves anything out but what is not on offer.
"""

from collections import Counter
from collections.abc import Sequence

from consumers.statements.feedback import event_weight
from deploy.evaluation.obedience import ListMaker
from deploy.evaluation.people import Life, Person, Place
from deploy.evaluation.retrieval import Hits, middle_rank, popularity_scores
from producers.shop import time_of
from schemas.messages import UserAttributes


def only_their_line(person: Person) -> UserAttributes | None:
    """What they last wrote about themselves, as of their last message; None when they wrote nothing."""
    declared = [message for message in person.messages if isinstance(message, UserAttributes)]
    if not declared or not declared[-1].free_text:
        return None
    return UserAttributes(
        user_id=person.user_id, updated_at_ms=max(map(time_of, person.messages)), free_text=declared[-1].free_text
    )


def learn_popularity(place: Place, people: Sequence[Person]) -> None:
    """Show the catalogue what everyone did before their cut, as the profiler shows it what it commits."""
    weights = place.settings.fold.type_weights
    events = sorted((event for person in people for event in person.events if event.item_id), key=time_of)
    place.catalogue.observe(
        [event.item_id for event in events if event.item_id],
        [event_weight(event.type, event.value, weights) for event in events],
        [event.event_time_ms for event in events],
    )


def cold_start_hits(people: Sequence[Person], place: Place, maker: ListMaker, popularity: Counter[str]) -> Hits:
    """Ranks of held-out items by popularity, and in lists made from the line alone (`Hits.profile`): last where not listed."""
    hits, catalogue = Hits(), place.catalogue
    for person in people:
        line = only_their_line(person)
        if line is None or person.held_out not in catalogue.items:
            continue
        life = Life(person.user_id, place)
        life.fold(line)
        listed = [item.item_id for item in maker.lists([life])[0]]
        truth = int(catalogue.rows([person.held_out])[0])
        allowed = catalogue.available(life.now_ms)
        allowed[truth] = True
        hits.profile.append(1.0 + listed.index(person.held_out) if person.held_out in listed else float(len(catalogue)))
        counts, in_language = popularity_scores(popularity, person, catalogue)
        hits.popularity.append(middle_rank(counts, truth, allowed))
        hits.popularity_in_language.append(middle_rank(in_language, truth, allowed))
    return hits
