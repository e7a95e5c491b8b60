"""The protocols: where recorded events are cut, what is asked there, and the proof that nothing of the answer is known."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from deploy.recs.interactions import Interactions, Ints, Mask
from deploy.recs.recorded import RecordedData
from deploy.recs.split import Split
from schemas.errors import ConfigError, PortraitError

LEAVE_ONE_OUT, TIME_CUT, TIME_CUT_NEW_ITEMS = "leave-one-out", "time-cut", "time-cut-new-items"
CUT_SHARE = 0.9
REPEATS_MATTER = 0.05


def leave_one_out(data: Interactions) -> Split:
    """Each user's last item newly met is the truth, and what came before it is known.

    Everyone is asked who has at least one event before. Events after the truth are left out altogether.
    """
    last = np.flatnonzero(_newly_met(data) & data.positive())
    users, first_of_reversed = np.unique(data.users[last][::-1], return_index=True)
    held_out = last[::-1][first_of_reversed]
    bounds = data.bounds()
    asked = held_out > bounds[users]
    users, held_out = users[asked], held_out[asked]
    ends = bounds[1:].copy()
    ends[users] = held_out
    known = np.arange(len(data)) < ends[data.users]
    truths = [data.items[place : place + 1] for place in held_out]
    return Split(LEAVE_ONE_OUT, data.part(known), users.astype(np.int32), truths, remove_seen=True)


def time_cut(data: Interactions, remove_seen: bool) -> Split:
    """What came before 90 % of the time span is known; the truth is what a user takes in the first basket after that.

    A basket without anything taken (returns only) is passed over; with `remove_seen`, items known from before are no truths.
    Users without a truth are not asked; users without a history are.
    """
    first, last = int(data.times_ms.min()), int(data.times_ms.max())
    cut_ms = first + round(CUT_SHARE * (last - first))
    known = data.times_ms < cut_ms
    train, later = data.part(known), data.part(~known & data.positive())
    bounds, own = later.bounds(), seen_items(train)
    users, truths = [], []
    for user in np.unique(later.users):
        basket = later.baskets[bounds[user] : bounds[user + 1]]
        taken = np.unique(later.items[bounds[user] : bounds[user + 1]][basket == basket[0]])
        before = own(int(user)) if remove_seen else np.empty(0, np.int32)
        if len(truth := np.setdiff1d(taken, before)):
            users.append(user)
            truths.append(truth)
    name = TIME_CUT_NEW_ITEMS if remove_seen else TIME_CUT
    return Split(name, train, np.array(users, dtype=np.int32), truths, remove_seen, cut_ms)


PROTOCOLS: dict[str, Callable[[Interactions], Split]] = {
    LEAVE_ONE_OUT: leave_one_out,
    TIME_CUT: lambda data: time_cut(data, remove_seen=False),
    TIME_CUT_NEW_ITEMS: lambda data: time_cut(data, remove_seen=True),
}


def default_protocol(data: RecordedData) -> str:
    """Leave-one-out without times of a natural pace; else a time cut, with repeats kept where people do repeat."""
    if not data.has_times or data.entered_in_bulk:
        return LEAVE_ONE_OUT
    return TIME_CUT if data.repeat_share >= REPEATS_MATTER else TIME_CUT_NEW_ITEMS


def split_by(protocol: str, data: Interactions) -> Split:
    """Cut the events by a protocol's name, and check that nothing leaks.

    Raises:
        ConfigError: there is no such protocol, or nobody is left to ask.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"no protocol {protocol!r}; one of {', '.join(PROTOCOLS)}")
    if not len(data):
        raise ConfigError(f"{protocol}: no events to cut")
    split = PROTOCOLS[protocol](data)
    if not len(split.users) or not len(split.train):
        raise ConfigError(
            f"{protocol} leaves nobody to ask: no user has an event before the cut and an item to guess after it"
        )
    require_no_leak(split, data)
    return split


def validation_split(split: Split) -> Split:
    """The same protocol one step earlier, inside what is known: models are chosen by it, and the test is never looked at."""
    return split_by(split.protocol, split.train)


def truncated(split: Split, events: int) -> Split:
    """The same questions when everyone has only their last `events` events: users whose history is short."""
    train = split.train
    after = train.bounds()[1:][train.users] - np.arange(len(train))
    return replace(split, train=train.part(after <= events))


def seen_items(train: Interactions) -> Callable[[int], Ints]:
    """Looks up the items of a user's events."""
    bounds = train.bounds()
    return lambda user: train.items[bounds[user] : bounds[user + 1]]


def require_no_leak(split: Split, data: Interactions) -> None:
    """Raise unless `train` is the beginning of each user's events in `data` and every truth comes from what follows it.

    Raises:
        PortraitError: something of the answers is known; a fault in the protocol, never in the data.
    """
    known, all_events = split.train.bounds(), data.bounds()
    counts = np.diff(known)
    if (counts > np.diff(all_events)).any():
        raise PortraitError("leak: a user has more events in the training part than in the data")
    place = np.arange(len(data)) - all_events[:-1][data.users]
    begins = place < counts[data.users]
    if not (
        np.array_equal(data.items[begins], split.train.items) and np.array_equal(data.times_ms[begins], split.train.times_ms)
    ):
        raise PortraitError("leak: the training part is not the beginning of each user's events")
    if split.cut_ms is not None and (split.train.times_ms >= split.cut_ms).any():
        raise PortraitError("leak: the training part holds events after the cut")
    seen = seen_items(split.train)
    for user, truth in zip(split.users, split.truths, strict=True):
        later = data.items[all_events[user] + counts[user] : all_events[user + 1]]
        if not len(truth) or not np.isin(truth, later).all():
            raise PortraitError(f"leak: a truth of user {data.user_ids[user]!r} is not among what came after the cut")
        if split.remove_seen and np.isin(truth, seen(int(user))).any():
            raise PortraitError(f"leak: user {data.user_ids[user]!r} had seen a truth before the cut")


def _newly_met(data: Interactions) -> Mask:
    pairs = data.users.astype(np.int64) * len(data.item_ids) + data.items
    _, first = np.unique(pairs, return_index=True)
    newly = np.zeros(len(data), dtype=np.bool_)
    newly[first] = True
    return newly
