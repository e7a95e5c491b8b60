"""The sequence network's loss over a random part of a large catalogue: on average that over all of it."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from deploy.recs.interactions import Interactions
from deploy.recs.ours import network_loss
from deploy.recs.ours.network import NetworkShape, SequenceNetwork
from deploy.recs.ours.network_loss import MOST_DRAWN, WHOLE_CATALOGUE, Rivals, logits, loss_of
from deploy.recs.ours.network_training import Schedule, fit_network

ITEMS = 2 * WHOLE_CATALOGUE
TAKEN = np.random.default_rng(5).zipf(1.4, 40_000) % ITEMS + 1
GROUPS, IN_GROUP, USERS = 60, 12, 360
SHAPE = NetworkShape(dim=16, layers=1, heads=1, dropout=0.1, length=8)


@pytest.fixture
def network() -> SequenceNetwork:
    torch.manual_seed(3)
    network = SequenceNetwork(ITEMS, NetworkShape(dim=16, layers=1, heads=1), None)
    torch.nn.init.normal_(network.ids.weight)
    torch.nn.init.normal_(network.item_bias, std=0.5)
    return network


@pytest.fixture
def few_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """One item in ten, of a catalogue that would be taken whole."""
    monkeypatch.setattr(network_loss, "WHOLE_CATALOGUE", 0)
    monkeypatch.setattr(network_loss, "MOST_DRAWN", GROUPS * IN_GROUP // 10)


def test_the_sum_over_what_is_drawn_is_on_average_that_over_all_items() -> None:
    weights = np.exp(np.random.default_rng(2).normal(size=ITEMS + 1))
    rivals, shuffle = Rivals(TAKEN, ITEMS), np.random.default_rng(1)
    sums = []
    for _ in range(300):
        drawn = rivals.draw(shuffle)
        assert drawn is not None and len(drawn.items) <= MOST_DRAWN and drawn.items[0] >= 1 and drawn.items[-1] <= ITEMS
        sums.append((weights[drawn.items] / np.exp(drawn.log_chance)).sum())
    assert np.mean(sums) == pytest.approx(weights[1:].sum(), rel=0.01)


def test_of_one_row_it_is_too_however_well_some_rare_items_suit_it(network: SequenceNetwork) -> None:
    hidden, target, table = torch.randn(1, 16), torch.tensor([9]), network.item_table().detach().clone()
    rare = np.setdiff1d(np.arange(1, ITEMS + 1), TAKEN)[:200]
    table[rare] = 0.25 * hidden
    rivals, shuffle = Rivals(TAKEN, ITEMS), np.random.default_rng(1)
    with torch.no_grad():
        scores = logits(network, hidden, table)[0]
        whole = scores.exp().sum().item()
        drawn = [loss_of(network, hidden, table, target, rivals.draw(shuffle)).exp().item() for _ in range(400)]
    assert np.mean(drawn) * scores[8].exp().item() == pytest.approx(whole, rel=0.02)


def test_a_step_goes_where_one_over_all_items_would(network: SequenceNetwork) -> None:
    targets = torch.from_numpy(TAKEN[:200])
    hidden = 0.5 * torch.randn(len(targets), 16)
    rivals, shuffle = Rivals(TAKEN, ITEMS), np.random.default_rng(1)

    def gradient(loss: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(loss, network.ids.weight)[0].flatten()

    table = network.item_table()
    whole = functional.cross_entropy(logits(network, hidden, table), targets - 1)
    losses = [loss_of(network, hidden, table, targets, rivals.draw(shuffle)) for _ in range(60)]
    assert torch.stack(losses).mean().item() == pytest.approx(whole.item(), rel=0.02)
    assert functional.cosine_similarity(gradient(torch.stack(losses).mean()), gradient(whole), dim=0) > 0.95


def test_a_small_catalogue_is_taken_whole(network: SequenceNetwork) -> None:
    assert Rivals(TAKEN % WHOLE_CATALOGUE, WHOLE_CATALOGUE).draw(np.random.default_rng(1)) is None
    hidden, targets, table = torch.randn(200, 16), torch.from_numpy(TAKEN[:200]), network.item_table()
    whole = functional.cross_entropy(logits(network, hidden, table), targets - 1)
    torch.testing.assert_close(loss_of(network, hidden, table, targets, None), whole)


def test_an_item_that_is_all_there_is_and_padding_are_no_trouble(few_drawn: None) -> None:
    drawn = Rivals(np.array([0, 0, 2]), 3).draw(np.random.default_rng(1))
    assert drawn is not None and set(drawn.items) <= {1, 2, 3} and np.isfinite(drawn.log_chance).all()
    nothing = Rivals(np.zeros(0, np.int64), 3).draw(np.random.default_rng(1))
    assert nothing is not None and np.isfinite(nothing.log_chance).all()


def groups_of_items() -> Interactions:
    """Each user takes items of one group, in an order that says nothing: what goes with what is all there is to learn."""
    random = np.random.default_rng(4)
    taken = np.stack([user % GROUPS * IN_GROUP + random.permutation(IN_GROUP)[: SHAPE.length] for user in range(USERS)])
    count = taken.size
    return Interactions(
        users=np.repeat(np.arange(USERS), SHAPE.length).astype(np.int32),
        items=taken.ravel().astype(np.int32),
        times_ms=np.tile(np.arange(SHAPE.length), USERS) * 86_400_000,
        types=np.full(count, 1, np.int32),
        values=np.full(count, np.nan, np.float32),
        baskets=np.arange(count, dtype=np.int32),
        user_ids=[str(user) for user in range(USERS)],
        item_ids=[str(item) for item in range(GROUPS * IN_GROUP)],
    )


def test_what_a_user_took_besides_is_not_held_against_them(few_drawn: None) -> None:
    events, users = groups_of_items(), np.arange(USERS, dtype=np.int32)
    schedule = Schedule(epochs=12, batch_sizes=(8, 8), learning_rate=1e-2, warm_up_steps=5)
    best = np.argsort(-fit_network(events, None, SHAPE, schedule, seed=1).scores(users), axis=1)[:, :IN_GROUP]
    of_their_group = (best // IN_GROUP == (users % GROUPS)[:, None]).mean()
    assert of_their_group > 0.75, of_their_group
