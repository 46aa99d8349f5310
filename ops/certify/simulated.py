"""Images whose votes are drawn, not cast: what a rule would make of known chances."""

import numpy as np
from jaxtyping import Float64

from ops.certify.looks import Standing, Table, look, nothing_read, rows_of, with_rows


def simulated(
    failure_rate: Float64[np.ndarray, " image"],
    table: Table,
    generator: np.random.Generator,
    *,
    right: np.ndarray | None = None,
) -> Standing:
    """Return how far images come whose votes fail with known chances.

    The only class that is looked at is the one that the failure rate is of, so no other
    class is ever latched; a failure rate above one half gives the image up.

    Args:
        failure_rate: chance that a vote is not for the image's class, in ``[0, 1]``.
        table: of the rule.
        generator: draws the votes.
        right: bool ``image``; whether its class is its label, for a rule that gives up
            on the label; ``None``: of all images.

    Returns:
        The standing of each image, with the votes it read.
    """
    num_images = len(failure_rate)
    label = np.zeros(num_images, np.int64)
    if right is not None:
        label = np.where(right, 0, 1)
    standing, failures, before = nothing_read(num_images), label * 0, 0
    for number, draws in enumerate(table.looks.tolist()):
        rows = np.flatnonzero(~standing.stopped)
        if not len(rows):
            break
        failures[rows] += generator.binomial(draws - before, failure_rate[rows])
        votes = np.stack([draws - failures[rows], np.zeros_like(rows)], axis=1)
        found = look(
            rows_of(standing, rows),
            votes,
            table,
            number,
            label=label[rows] if table.on_label else None,
        )
        standing, before = with_rows(standing, rows, found), draws
    return standing
