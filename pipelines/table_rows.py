"""The rows of the table of certified accuracy, as numbers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ops.score.certified_accuracy import (
    average_certified_radius,
    binomial_interval,
    envelope,
    num_certified,
)
from pipelines.cautions import comparable_acr
from pipelines.curve import Curve, by_run, single, table_radii
from pipelines.row_facts import RowFacts, shared_facts

ENVELOPE = "envelope"


@dataclass(frozen=True)
class Cell:
    """Certified accuracy at one radius with its 95 % interval, all in percent."""

    percent: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """One line of the table: a sigma of a run, a cascade, or the best of all sigmas."""

    run: str
    sigma: float | None
    """``None`` for the envelope, which joins several classifiers, and a cascade."""

    name: str
    """The sigma as text, ``envelope`` or ``cascade``."""

    num_images: int | None
    """``None`` for an envelope over unequal subsets."""

    clean_accuracy: float | None
    """Fraction; ``None`` where it was not measured or is not one number."""

    smoothed_accuracy: float | None
    abstention_rate: float | None
    average_certified_radius: float | None
    """``None`` also beside certificates of another rule, with which it grows."""

    cells: tuple[Cell | None, ...]
    """A cell per radius; ``None`` where no number of votes could reach it."""

    facts: RowFacts
    """Of an envelope: what all its sigmas agree on."""


def table_rows(curves: Sequence[Curve]) -> list[Row]:
    """Score curves for a table: of each run a row per sigma, then their envelope.

    A cascade has a row below: it is one classifier, and no part of the envelope.

    Args:
        curves: one or more, of one data set.

    Returns:
        Rows with a cell per radius of ``table_radii``.
    """
    radii = np.array(table_radii(curves))
    rows = []
    comparable = comparable_acr(curves)
    for own in by_run(curves).values():
        scored = [_row_of(curve, radii, comparable=comparable) for curve in own]
        sigmas = single(own)
        envelope_row = _envelope_row(sigmas, radii)
        rows += [*scored[: len(sigmas)], envelope_row, *scored[len(sigmas) :]]
    return rows


def _row_of(curve: Curve, radii: np.ndarray, *, comparable: bool) -> Row:
    average = average_certified_radius(curve.correct, curve.radius)
    return Row(
        run=curve.run,
        sigma=curve.sigma,
        name=curve.name,
        num_images=curve.num_images,
        clean_accuracy=curve.accuracy_of("clean_class"),
        smoothed_accuracy=curve.accuracy_of("smoothed_class"),
        abstention_rate=float(curve.column("abstained").mean()),
        average_certified_radius=average if comparable else None,
        cells=_cells(curve, radii),
        facts=curve.facts,
    )


def _cells(curve: Curve, radii: np.ndarray) -> tuple[Cell | None, ...]:
    certified = num_certified(curve.correct, curve.radius, radii)
    low, high = binomial_interval(certified, curve.num_images)
    percent = 100 * certified / curve.num_images
    return tuple(
        Cell(*(float(number) for number in numbers)) if within else None
        for within, *numbers in zip(
            radii <= curve.largest_radius, percent, low, high, strict=True
        )
    )


def _envelope_row(curves: Sequence[Curve], radii: np.ndarray) -> Row:
    cells = [_cells(curve, radii) for curve in curves]
    unreachable = -1.0
    accuracies = np.array(
        [[cell.percent if cell else unreachable for cell in row] for row in cells]
    )
    best = envelope(accuracies)
    sizes = {curve.num_images for curve in curves}
    return Row(
        run=curves[0].run,
        sigma=None,
        name=ENVELOPE,
        num_images=sizes.pop() if len(sizes) == 1 else None,
        clean_accuracy=None,
        smoothed_accuracy=None,
        abstention_rate=None,
        average_certified_radius=None,
        cells=tuple(cells[row][index] for index, row in enumerate(best)),
        facts=shared_facts([curve.facts for curve in curves]),
    )
