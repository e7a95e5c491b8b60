"""The sequence network's loss over a random part of a large catalogue: on average that over all of it."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from deploy.recs.ours import network_loss
from deploy.recs.ours.network import NetworkShape, SequenceNetwork
from deploy.recs.ours.network_loss import MOST_DRAWN, WHOLE_CATALOGUE, Rivals, logits, loss_of

ITEMS = 3 * WHOLE_CATALOGUE
TARGETS = np.random.default_rng(5).zipf(1.4, 40_000) % ITEMS + 1
BATCH = TARGETS[:200]


@pytest.fixture
def network() -> SequenceNetwork:
    torch.manual_seed(3)
    network = SequenceNetwork(ITEMS, NetworkShape(dim=16, layers=1, heads=1), None)
    torch.nn.init.normal_(network.ids.weight)
    torch.nn.init.normal_(network.item_bias, std=0.5)
    return network


def test_the_sum_over_what_is_drawn_is_on_average_that_over_all_items() -> None:
    weights = np.exp(np.random.default_rng(2).normal(size=ITEMS + 1))
    rivals, shuffle = Rivals(TARGETS, ITEMS), np.random.default_rng(1)
    sums = []
    for _ in range(300):
        batch = shuffle.choice(TARGETS, len(BATCH))
        drawn = rivals.draw(batch, shuffle)
        assert drawn is not None and set(batch) <= set(drawn.items) and len(drawn.items) <= MOST_DRAWN + len(BATCH)
        sums.append((weights[drawn.items] / np.exp(drawn.log_chance)).sum())
    assert np.mean(sums) == pytest.approx(weights[1:].sum(), rel=0.01)


def test_a_step_goes_where_one_over_all_items_would(network: SequenceNetwork) -> None:
    hidden, targets = 0.5 * torch.randn(len(BATCH), 16), torch.from_numpy(BATCH)
    rivals, shuffle = Rivals(TARGETS, ITEMS), np.random.default_rng(1)

    def gradient(loss: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(loss, network.ids.weight)[0].flatten()

    table = network.item_table()
    whole = functional.cross_entropy(logits(network, hidden, table), targets - 1)
    losses = [loss_of(network, hidden, table, targets, rivals.draw(BATCH, shuffle)) for _ in range(60)]
    assert torch.stack(losses).mean().item() == pytest.approx(whole.item(), rel=0.02)
    likeness = functional.cosine_similarity(gradient(torch.stack(losses).mean()), gradient(whole), dim=0)
    assert likeness > 0.95


def test_a_small_catalogue_is_taken_whole(network: SequenceNetwork) -> None:
    assert Rivals(TARGETS % WHOLE_CATALOGUE, WHOLE_CATALOGUE).draw(BATCH, np.random.default_rng(1)) is None
    hidden, targets = torch.randn(len(BATCH), 16), torch.from_numpy(BATCH)
    table = network.item_table()
    whole = functional.cross_entropy(logits(network, hidden, table), targets - 1)
    torch.testing.assert_close(loss_of(network, hidden, table, targets, None), whole)


def test_padding_is_never_a_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_loss, "WHOLE_CATALOGUE", 0)
    drawn = Rivals(np.array([0, 0, 2]), 3).draw(np.array([[0, 0], [0, 2]]), np.random.default_rng(1))
    assert drawn is not None and set(drawn.items) <= {1, 2, 3} and np.isfinite(drawn.log_chance).all()
