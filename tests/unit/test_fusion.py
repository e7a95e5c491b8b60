"""A history and what is declared become one vector: plainly side by side, or by gates and heads that learn."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from deploy.recs.ours.network import Fusion, NetworkShape
from deploy.training.declared_loss import DeclaredLoss
from deploy.training.fused_network import SHORT, FusedNetwork, Whitening
from deploy.training.material import Material
from schemas.tensors import DEMOGRAPHICS_DIM
from tests.unit.training_cases import QUICK

ITEMS, CONTENT, USERS = 7, 5, 4


def network(fusion: Fusion) -> FusedNetwork:
    torch.manual_seed(3)
    return FusedNetwork(ITEMS, NetworkShape(dim=8, layers=1, heads=1, fusion=fusion), torch.randn(ITEMS, CONTENT)).eval()


def told() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(5)
    return torch.randn(USERS, CONTENT), torch.randn(USERS, CONTENT), torch.rand(USERS, DEMOGRAPHICS_DIM)


def test_before_anything_is_learned_gates_are_open_and_heads_silent() -> None:
    hidden, events = torch.randn(USERS, 8), torch.tensor([0, 3, 5, 50])
    plain, gated = network("concat"), network("gated")
    assert torch.allclose(plain.fused(hidden, events, *told()), gated.fused(hidden, events, *told()), atol=1e-6)
    assert not any(name.startswith(("gates", "short_heads")) for name in plain.state_dict())


@pytest.mark.parametrize("place", range(len(SHORT)))
def test_a_head_for_short_histories_says_nothing_of_longer_ones(place: int) -> None:
    hidden, events = torch.randn(USERS, 8), torch.tensor([0, 1, SHORT[-1], SHORT[-1] + 1])
    gated = network("gated")
    before = gated.fused(hidden, events, *told())
    assert gated.short_heads is not None
    nn.init.normal_(gated.short_heads[place].weight)  # type: ignore[arg-type]
    moved = (gated.fused(hidden, events, *told()) - before).abs().sum(dim=1) > 1e-6
    assert moved.tolist() == (events <= SHORT[place]).tolist()


def test_a_gate_decides_how_much_a_declared_part_counts() -> None:
    hidden, events, nothing = torch.zeros(1, 8), torch.tensor([50]), torch.zeros(1, CONTENT)
    gated = network("gated")
    assert gated.gates is not None
    tag, facts = torch.randn(1, CONTENT), torch.zeros(1, DEMOGRAPHICS_DIM)
    nn.init.constant_(gated.gates.bias, -30.0)
    assert gated.fused(hidden, events, tag, nothing, facts).abs().max() < 1e-6
    nn.init.constant_(gated.gates.bias, 30.0)
    assert torch.allclose(gated.fused(hidden, events, tag, nothing, facts), 2 * gated.tag_part(tag), atol=1e-5)


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_what_is_declared_teaches_every_part_of_the_fusion(world: Material, fusion: Fusion) -> None:
    events, whitening = world.recorded.interactions, Whitening.of(world.item_vectors)
    content = torch.from_numpy(whitening(world.item_vectors))
    learning = FusedNetwork(len(events.item_ids), replace(QUICK.shape, fusion=fusion), content)
    loss = DeclaredLoss(events, world, whitening, QUICK.shape.length, seed=1)
    loss(learning, learning.item_table(), np.arange(150)).backward()
    taught = {name for name, given in learning.named_parameters() if given.grad is not None and given.grad.any()}
    parts = {name for name, _ in learning.named_parameters() if name.startswith(("gates", "short_heads", "tag_part"))}
    assert parts <= taught and "newcomer" in taught
    assert not any(name.startswith("blocks") for name in taught), "what reads histories learns nothing from it"
