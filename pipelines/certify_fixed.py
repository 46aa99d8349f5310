"""Certificates from a number of votes that was fixed beforehand."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import torch

from ops.certify.fixed import CertifyFixed
from ops.columns import Worker
from pipelines.histograms import Histogram, histogram, in_prefix
from pipelines.reading import Reading
from pipelines.sparse import sparse


def fixed_columns(
    votes: pa.Table, labels: Mapping[str, int], reading: Reading
) -> tuple[dict, np.ndarray, pa.Table]:
    """Certify images that have all their votes, by one look at them.

    Args:
        votes: ledger rows of one sigma, each block once.
        labels: true class by image key.
        reading: of a run under the rule ``fixed``.

    Returns:
        Columns of the certificates, which images have all that is read, and the rows
        that were read.
    """
    select, estimate = (
        histogram(
            votes,
            list(labels),
            stream=stream,
            num_blocks=reading.blocks[stream],
            num_classes=reading.run.classifier.num_classes,
        )
        for stream in ("select", "estimate")
    )
    whole = select.tiled & estimate.tiled
    nothing = [None] * len(labels)
    columns = {
        "counts": [sparse(row) for row in estimate.votes],
        "invalid": estimate.invalid,
        "radius_index": nothing,
        "stopped": nothing,
        **_certified(select, estimate, whole, reading),
    }
    return columns, whole, votes.filter(in_prefix(votes, reading.blocks))


def _certified(
    select: Histogram, estimate: Histogram, whole: np.ndarray, reading: Reading
) -> dict[str, np.ndarray]:
    """Certify; an image whose blocks do not tile what is read counts as no vote."""
    op = CertifyFixed(
        sigma=reading.run.sigma, failure_probability=reading.failure_probability
    )
    certify = op.open(Worker(torch.device("cpu")))
    tiled = whole[:, None]
    return dict(
        certify(
            {
                "votes_select": np.where(tiled, select.votes, 0),
                "invalid_select": select.invalid,
                "votes_estimate": np.where(tiled, estimate.votes, 0),
                "invalid_estimate": np.where(
                    whole, estimate.invalid, reading.most_votes
                ),
            }
        )
    )
