"""Certificates from votes that were looked at while they came in."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import ndtr

from ops.certify.fixed import most_voted_class, votes_of_class
from ops.certify.looks import Standing, Table
from ops.vote.streams import CLEAN
from pipelines.reading import Reading
from pipelines.sparse import sparse
from pipelines.standings import STREAM, Standings

ALL_RADII, GAVE_UP, LAST_LOOK = "all radii", "gave up", "last look"
"""Why an image stopped: nothing more to certify, to hope for, or to read."""


def sequential_columns(
    votes: pa.Table, labels: Mapping[str, int], reading: Reading
) -> tuple[dict, np.ndarray, pa.Table]:
    """Certify images by looks at their first votes, until each has stopped.

    Args:
        votes: ledger rows of one sigma, each block once.
        labels: true class by image key.
        reading: of a run under the rule ``sequential``.

    Returns:
        Columns of the certificates, which images have stopped, and the rows that were
        read. Votes past the look at which an image stopped are not read.
    """
    assert reading.table is not None  # who asks knows the rule
    standings = standings_of(labels, reading)
    standings.take(votes)
    standings.advance()
    rows = np.arange(len(labels))
    counts, standing = standings.counts(rows), standings.standing
    columns = _columns(standing, counts, reading.table, reading.run.sigma)
    return columns, standing.stopped, _read(votes, labels, standings)


def standings_of(labels: Mapping[str, int], reading: Reading) -> Standings:
    """Return the standings of some images before their first vote.

    Args:
        labels: true class by image key.
        reading: of a run under the rule ``sequential``.
    """
    assert reading.table is not None  # who asks knows the rule
    return Standings(
        labels,
        reading.table,
        block=reading.run.sampling.block,
        num_classes=reading.run.classifier.num_classes,
    )


def _columns(
    standing: Standing, counts: np.ndarray, table: Table, sigma: float
) -> dict:
    stopped, num_radii = standing.stopped, standing.num_radii
    certified = stopped & (num_radii > 0)
    most_voted = most_voted_class(counts)
    guessed = np.where(certified, standing.latched_class, most_voted)
    index = np.where(certified, num_radii - 1, -1)
    radius = np.where(certified, table.radii[index], 0.0)
    return {
        "guessed_class": guessed,
        "abstained": ~certified,
        "num_votes": votes_of_class(counts, guessed),
        "num_draws": standing.num_votes,
        "probability_lower": np.where(certified, ndtr(radius / sigma), 0.0),
        "radius": radius,
        "radius_index": [int(i) if i >= 0 else None for i in index],
        "radius_two_sided": [None] * len(counts),
        "stopped": _why(standing, len(table.radii)),
        "smoothed_class": most_voted,
        "counts": [sparse(row) for row in counts],
        "invalid": standing.num_votes - counts.sum(axis=1),
    }


def _why(standing: Standing, num_radii: int) -> list[str | None]:
    """Return why each image stopped; ``None`` for those that did not."""
    why = np.where(standing.gave_up, GAVE_UP, LAST_LOOK)
    why = np.where(standing.num_radii == num_radii, ALL_RADII, why)
    pairs = zip(why, standing.stopped, strict=True)
    return [str(word) if stopped else None for word, stopped in pairs]


def _read(votes: pa.Table, labels: Mapping[str, int], standings: Standings) -> pa.Table:
    """Return the rows that were read: the first blocks of each image, and the clean."""
    images = pc.index_in(votes["image_key"], pa.array(list(labels), pa.string()))
    image = pc.fill_null(images, -1).to_numpy()
    until = np.append(standings.blocks_read, 0)[image]
    streams, block = votes["stream"], votes["block"].to_numpy()
    estimate = pc.equal(streams, STREAM).to_numpy() & (block < until)
    clean = pc.equal(streams, CLEAN).to_numpy() & (image >= 0)
    return votes.filter(pa.array(estimate | clean))
