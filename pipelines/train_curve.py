"""A training's loss curve as a file beside its weights."""

import csv
import io
from collections.abc import Sequence

Row = dict[str, float]


def curve_csv(rows: Sequence[Row]) -> bytes:
    """Return a loss curve as CSV; numbers keep all their digits.

    Args:
        rows: in order; a column that a row has not is empty there.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def read_curve(content: bytes) -> list[Row]:
    """Return the rows of a loss curve, without empty places."""
    rows = csv.DictReader(io.StringIO(content.decode()))
    return [{name: float(row[name]) for name in row if row[name]} for row in rows]
