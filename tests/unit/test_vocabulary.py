"""The catalogue's tags as they are found in text."""

from hypothesis import given
from hypothesis import strategies as st

from consumers.statements.vocabulary import Vocabulary, plain, tokens_of
from schemas.messages import Item
from tests.unit.profile_cases import item

TAGS = ["chess", "Chess", "CHESS", "how-to", "how to", "car", "cars", "news", "足球", "足", "🎵", "rock & roll", "___"]


def found(text: str, vocabulary: Vocabulary) -> list[tuple[int, tuple[str, ...]] | None]:
    tokens = tokens_of(plain(text))
    return [vocabulary.tag_at(tokens, place) for place in range(len(tokens))]


def test_the_longest_tag_wins_and_the_nearest_spelling_comes_first() -> None:
    vocabulary = Vocabulary.of([item("1", "coffee", "coffee and tea", "Film", "films", "足球", "足")])
    assert found("coffee and tea", vocabulary)[0] == (3, ("coffee and tea",))
    assert found("coffee and cake", vocabulary)[0] == (1, ("coffee",))
    assert found("coffee", vocabulary) == [(1, ("coffee",))]
    assert found("film", vocabulary) == [(1, ("Film", "films"))]
    assert found("films", vocabulary) == [(1, ("films", "Film"))]
    assert found("足球", vocabulary)[0] == (2, ("足球",))


def test_a_plural_is_the_same_tag_but_news_is_nothing_new() -> None:
    vocabulary = Vocabulary.of([item("1", "cars", "news", "physics", "pet")])
    assert found("car", vocabulary) == [(1, ("cars",))]
    assert found("pets", vocabulary) == [(1, ("pet",))]
    assert found("new physic", vocabulary) == [None, None]


@given(st.lists(st.lists(st.sampled_from(TAGS), max_size=4), max_size=8), st.data())
def test_it_depends_on_the_items_alone(tags: list[list[str]], data: st.DataObject) -> None:
    items: list[Item] = [item(str(number), *own) for number, own in enumerate(tags)]
    gone = data.draw(st.sets(st.integers(0, len(items) - 1))) if items else set()
    vocabulary = Vocabulary.of(items)
    for place in gone:
        vocabulary.remove(items[place])
    fresh = Vocabulary.of([one for place, one in reversed(list(enumerate(items))) if place not in gone])
    for text in ("chess CHESS how-to", "car cars news", "足球 足 🎵 rock & roll"):
        assert found(text, vocabulary) == found(text, fresh)
    assert len(vocabulary) == len(fresh) and vocabulary.formats == fresh.formats
