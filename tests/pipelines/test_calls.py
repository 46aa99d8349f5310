from typing import Any

import numpy as np
import pytest

from pipelines.calls import rows_at_once


@pytest.mark.parametrize(
    ("shape", "block", "batch"),
    [((1, 8, 8), 100, 100), ((3, 32, 32), 100, 256), ((3, 224, 224), 100, 64)],
)
def test_a_call_stays_in_memory_and_fills_its_batches(
    shape: tuple[int, ...], block: int, batch: int
) -> None:
    rows: Any = rows_at_once(shape, block, batch)

    def padding(number: int) -> float:
        return -number * block % batch / (number * block)

    room = 2**28 // (4 * block * int(np.prod(shape)))
    assert 1 <= rows <= max(1, room)
    assert all(padding(rows) <= padding(fewer) for fewer in range(1, rows))
