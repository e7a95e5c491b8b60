"""Fits the sequence network to what comes next at every place, stopped when lists no longer get better."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from deploy.recs.interactions import Floats, Interactions, Ints
from deploy.recs.ours.network import NetworkShape, SequenceNetwork
from deploy.recs.ours.network_loss import Rivals, logits, loss_of
from deploy.recs.ours.sequences import Places, Sequences, sequences, windows

USERS_AT_ONCE = 256

OnEpoch = Callable[[int, int], None]
"""Told how many epochs of how many are done."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn; `patience` is for how many epochs a fit waits for a better one.

    A batch is the larger the more there is to learn from, within `batch_sizes`, so that an epoch has about `steps` steps: of
    few users small batches learn more, of many they only take longer.
    """

    epochs: int = 60
    patience: int = 5
    batch_sizes: tuple[int, int] = (16, 128)
    steps: int = 128
    learning_rate: float = 2e-3
    warm_up_steps: int = 100

    def batch_size(self, pieces: int) -> int:
        """A power of two times the smallest."""
        smallest, largest = self.batch_sizes
        size = smallest
        while size < largest and pieces > 2 * size * self.steps:
            size *= 2
        return size


@dataclass
class FittedNetwork:
    """A network, the events it was fitted on, and after how many epochs it was best."""

    network: SequenceNetwork
    events: Interactions
    length: int
    epochs: int

    @torch.inference_mode()
    def at_rest(self) -> "NetworkAtRest":
        """As it is now, to be asked many times before it learns on."""
        self.network.eval()
        return NetworkAtRest(self.network, self.network.item_table(), self._columns, self.events.bounds(), self.length)

    def scores(self, users: Ints) -> Floats:
        """Logits of all items, float32 [users, items]."""
        return self.at_rest().scores(users)

    @cached_property
    def _columns(self) -> Sequences:
        return sequences(self.events)


@dataclass(frozen=True)
class NetworkAtRest:
    """A network that is not learning: what all its answers share is worked out once."""

    network: SequenceNetwork
    table: Tensor
    columns: Sequences
    bounds: Places
    length: int

    @torch.inference_mode()
    def scores(self, users: Ints) -> Floats:
        """Logits of all items, float32 [users, items]."""
        scores = np.empty((len(users), len(self.table) - 1), np.float32)
        for first in range(0, len(users), USERS_AT_ONCE):
            chunk = users[first : first + USERS_AT_ONCE]
            rows = self.columns.rows(self.bounds[chunk], self.bounds[chunk + 1], self.length)
            last = self.network(*torch.from_numpy(rows).to(self.table.device), self.table)[:, -1]
            scores[first : first + USERS_AT_ONCE] = logits(self.network, last, self.table).float().cpu().numpy()
        return scores


MoreLoss = Callable[[SequenceNetwork, Tensor, Ints], Tensor]
"""What else a network should learn, of its item table and some users."""
Note = Callable[[int, dict[str, float]], None]
"""Told the figures of an epoch, by its number."""
Judge = Callable[[FittedNetwork], float]
"""What lists are worth now; higher is better."""


def fit_network(
    events: Interactions,
    content: Floats | None,
    shape: NetworkShape,
    schedule: Schedule,
    seed: int,
    judge: Judge | None = None,
    on_epoch: OnEpoch = lambda done, total: None,
    kind: type[SequenceNetwork] = SequenceNetwork,
    more_loss: MoreLoss | None = None,
    note: Note = lambda epoch, figures: None,
) -> FittedNetwork:
    """A network fitted on these events: to its best epoch by `judge`, or for all of `schedule.epochs` without one."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(seed)
    shuffle = np.random.default_rng(seed)
    network = kind(len(events.item_ids), shape, None if content is None else torch.from_numpy(content)).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), schedule.learning_rate, betas=(0.9, 0.98), weight_decay=0)
    warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / schedule.warm_up_steps, total_iters=schedule.warm_up_steps)
    fitted = FittedNetwork(network, events, shape.length, epochs=0)
    best, best_worth, best_weights = 0, -1.0, network.state_dict()
    starts, ends = windows(events, shape.length)
    rivals = Rivals(np.where(events.positive(), events.items.astype(np.int64) + 1, 0), len(events.item_ids))
    for epoch in range(1, schedule.epochs + 1):
        columns = sequences(events, shuffle)
        wanted = np.where(columns.positive, columns.items, 0)  # what speaks against an item is read, never predicted
        network.train()
        losses = []
        for rows in batches(ends - starts, schedule.batch_size(len(starts)), shuffle):
            length = max(1, int((ends[rows] - starts[rows]).max()) - 1)
            inputs = columns.rows(starts[rows], ends[rows] - 1, length)
            targets = targets_of(wanted, starts[rows] + 1, ends[rows], length)
            table = network.item_table()
            hidden, asked = network(*torch.from_numpy(inputs).to(device), table), torch.from_numpy(targets).to(device)
            there = asked > 0
            loss = loss_of(network, hidden[there], table, asked[there], rivals.draw(shuffle))
            if more_loss is not None:
                loss = loss + more_loss(network, table, events.users[starts[rows]])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            warm_up.step()
            losses.append(loss.detach())
        figures = {"loss": float(torch.stack(losses).mean())} if losses else {}
        on_epoch(epoch, schedule.epochs)
        fitted.epochs = epoch
        if judge is not None:
            worth = figures["ndcg10"] = judge(fitted)
            if worth > best_worth:
                best, best_worth, best_weights = epoch, worth, copy.deepcopy(network.state_dict())
            note(epoch, figures)
            if epoch - best >= schedule.patience:
                break
        else:
            note(epoch, figures)
    if judge is not None:
        network.load_state_dict(best_weights)
        fitted.epochs = best
    return fitted


def batches(lengths: Places, size: int, shuffle: np.random.Generator) -> list[Places]:
    """Rows by the batch in a random order; rows of about one length come together, so that little is padding."""
    order = np.argsort(lengths + shuffle.uniform(0, 8, len(lengths)), kind="stable")
    chunks = [order[first : first + size] for first in range(0, len(order), size)]
    return [chunks[chunk] for chunk in shuffle.permutation(len(chunks))]


def targets_of(wanted: Places, starts: Places, ends: Places, length: int) -> Places:
    """What comes next at each place, 0 where nothing is asked: int64 [n, length]."""
    places = ends[:, None] - length + np.arange(length)
    there = places >= starts[:, None]
    return np.where(there, wanted[np.where(there, places, 0)], 0)
