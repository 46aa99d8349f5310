import numpy as np
import pyarrow as pa

from pipelines.duplicates import differ, found_again
from pipelines.ledger import VOTES


def table(*keys: tuple[str, str, int], counts: list[int] | None = None) -> pa.Table:
    counts = counts or [5] * len(keys)
    rows = [
        {
            "image_key": image,
            "stream": stream,
            "block": block,
            "counts": [{"class": 1, "count": count}] if count else [],
            "invalid": 10 - count,
        }
        for (image, stream, block), count in zip(keys, counts, strict=True)
    ]
    return pa.Table.from_pylist(rows, VOTES)


def test_a_block_is_found_again_where_a_row_before_has_it() -> None:
    a, b = ("a", "select", 0), ("b", "select", 0)
    rows = table(a, b, ("a", "select", 1), ("a", "estimate", 0), b, a, a)

    again, first = found_again(rows)

    assert dict(zip(again.tolist(), first.tolist(), strict=True)) == {4: 1, 5: 0, 6: 0}


def test_of_many_rows_the_first_of_each_block_is_named() -> None:
    generator = np.random.default_rng(0)
    keys = [
        (f"{image}", "select", int(block))
        for image, block in generator.integers(0, 9, (500, 2))
    ]

    again, first = found_again(table(*keys))

    assert sorted({*range(500)} - {*again.tolist()}) == sorted(
        keys.index(key) for key in set(keys)
    )
    assert [keys.index(keys[row]) for row in again] == first.tolist()


def test_only_other_votes_make_a_block_differ() -> None:
    a = ("a", "select", 0)
    rows = table(a, a, a, a, counts=[5, 5, 4, 0])

    again, first = found_again(rows)

    assert differ(rows, again, first).tolist() == [False, True, True]


def test_no_rows_have_no_block_twice() -> None:
    again, first = found_again(VOTES.empty_table())

    assert (len(again), len(first)) == (0, 0)
    assert differ(VOTES.empty_table(), again, first).tolist() == []
