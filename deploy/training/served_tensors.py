"""The tensors that user_encoder is sent, as the network reads them: the same buckets as in training."""

import torch
from torch import Tensor
from torch.nn import functional

from deploy.recs.ours.network import GAP_BUCKETS, VALUE_BUCKETS

MINUTES_PER_H = 60.0


def newest_last(
    length: int, places: Tensor, items: Tensor, types: Tensor, ages: Tensor, values: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """The newest `length` events of each user at the right end, and all padding (type 0) on the left: [n, length] each."""
    order = torch.argsort((types != 0).to(torch.int32), dim=1, stable=True)
    padded = functional.pad(order, (length, 0), value=-1)[:, -length:]
    there, order = padded >= 0, padded.clamp(min=0)

    def taken(column: Tensor) -> Tensor:
        return torch.where(there, torch.gather(column, 1, order), torch.zeros((), dtype=column.dtype))

    return taken(places), taken(items), taken(types), taken(ages), taken(values)


def gap_buckets(ages_h: Tensor, there: Tensor) -> Tensor:
    """By how long before each event the one before it was, on a scale of powers of two: int64 [n, length], 0 at padding."""
    minutes = (ages_h[:, :-1] - ages_h[:, 1:]).clamp(min=0) * MINUTES_PER_H * there[:, :-1]
    minutes = functional.pad(minutes, (1, 0))
    return ((torch.log2(1 + minutes) + 1).clamp(1, GAP_BUCKETS - 1) * there).long()


def value_buckets(values: Tensor, there: Tensor) -> Tensor:
    """Values cut to whole numbers: int64 [n, length], 0 where there is none."""
    known = there & ~values.isnan()
    return (torch.nan_to_num(values).clamp(0, VALUE_BUCKETS - 2).long() + 1) * known
