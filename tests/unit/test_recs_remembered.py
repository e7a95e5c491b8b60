"""What an evaluation remembers: read again as it was, and a damaged file is one that is not there."""

from pathlib import Path

import numpy as np
import pytest

from deploy.recs.measures import gains
from deploy.recs.remembered import Remembered
from tests.unit.test_recs_measures import Fixed, asked


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999, 1.0])
def test_a_file_that_was_cut_off_counts_as_not_there(tmp_path: Path, share: float) -> None:
    kept, found = Remembered(tmp_path), gains(Fixed([[0.0] * 9, [float(item) for item in range(9)]]), asked(9, [0]))
    kept.keep_gains(found, "model", 1)
    kept.keep_value({"params": {}}, "choice")
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    again = kept.gains("model", 1)
    assert (again is None) == (share < 1) == (kept.value("choice") is None)
    assert again is None or np.array_equal(again.pool, found.pool)
