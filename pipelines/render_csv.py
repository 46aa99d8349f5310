"""The table of certified accuracy as CSV, for machines."""

import csv
import io
from collections.abc import Sequence

from pipelines.curve import Curve, radius_name, single, table_radii
from pipelines.row_facts import FACTS
from pipelines.table_rows import Row, table_rows

_SETTINGS = (
    "dataset",
    "rule",
    "num_estimate",
    "mean_votes",
    "table_sha256",
    "failure_probability",
    "num_claims",
    "failure_probability_of_all_claims",
)
"""Of a curve; empty for an envelope of curves that differ in it."""


def csv_table(curves: Sequence[Curve]) -> str:
    """Write the table as CSV, numbers in full; a radius out of reach is empty."""
    radii = [f"certified_r_{radius_name(radius)}" for radius in table_radii(curves)]
    ends = ("percent", "low", "high")
    header = ["run", "sigma", *_SETTINGS]
    header += ["num_images", "clean_accuracy", "smoothed_accuracy", "abstention_rate"]
    header += ["acr", *(f"{radius}_{end}" for radius in radii for end in ends)]
    header += FACTS
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(_csv_line(row, curves) for row in table_rows(curves))
    return text.getvalue()


def _csv_line(row: Row, curves: Sequence[Curve]) -> list[object]:
    of_run = [curve for curve in curves if curve.run == row.run]
    own = [curve for curve in of_run if curve.name == row.name] or single(of_run)
    line: list[object] = [row.run, row.name if row.sigma is None else row.sigma]
    for name in _SETTINGS:
        values = {getattr(curve, name) for curve in own}
        line.append(values.pop() if len(values) == 1 else None)
    line += [row.num_images, row.clean_accuracy, row.smoothed_accuracy]
    line += [row.abstention_rate, row.average_certified_radius]
    for cell in row.cells:
        line += [cell.percent, cell.low, cell.high] if cell else [None] * 3
    return [*line, *row.facts.texts()]
