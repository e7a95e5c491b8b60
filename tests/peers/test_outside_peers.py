"""`make eval-recs-peers` ends with this: peers from their own packages, in their own environment, find a known answer."""

from pathlib import Path

import numpy as np
import pytest

from deploy.recs.contender import Params
from deploy.recs.cuts import leave_one_out
from deploy.recs.peers.outside import OutsidePeer, outside_peers
from tests.unit.recommendation_cases import two_tastes

TRANSFORMER: Params = {"n_factors": 16, "n_blocks": 1, "n_heads": 1, "session_max_len": 8, "lr": 0.01, "epochs": [20]}
SMALL: dict[str, Params] = {
    "als": {"factors": 2, "regularization": 0.1, "alpha": 1.0, "iterations": 5},
    "sasrec": TRANSFORMER,
    "esasrec": TRANSFORMER | {"n_negatives": 4},
}


@pytest.mark.parametrize("peer", outside_peers(Path(".venv-recs-peers/bin/python"), 1, None), ids=lambda peer: peer.name)
def test_an_installed_peer_tells_tastes_apart(peer: OutsidePeer) -> None:
    assert peer.missing() is None
    split, told = leave_one_out(two_tastes()), []
    model = peer.fitted(split, SMALL[peer.name], 1, lambda done, total: told.append((done, total)))
    scores = model.scores(split.users)
    own = np.array([[item[0] == split.train.user_ids[user][0] for item in split.train.item_ids] for user in split.users])
    assert scores[own].mean() - scores[~own].mean() > 0.1
    assert told and told[-1][0] == told[-1][1]
