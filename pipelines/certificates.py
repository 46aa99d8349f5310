"""From votes to certificates: histograms per image, the tiling gate, the rule."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from ops.certify.fixed import CertifyFixed
from ops.columns import Worker
from ops.vote.streams import CLEAN
from pipelines.ledger import COUNT
from pipelines.recipe import Run
from pipelines.sparse import sparse
from pipelines.units import blocks_for_certify

CERTIFICATES = pa.schema(
    [
        ("image_key", pa.string()),
        ("label", pa.int32()),
        ("sigma", pa.float64()),
        ("guessed_class", pa.int32()),
        ("abstained", pa.bool_()),
        ("num_votes", pa.int64()),
        ("num_draws", pa.int64()),
        ("failure_probability", pa.float64()),
        ("probability_lower", pa.float64()),
        ("radius", pa.float64()),
        ("radius_two_sided", pa.float64()),
        ("rule", pa.string()),
        ("reason", pa.string()),
        ("clean_class", pa.int32()),
        ("smoothed_class", pa.int32()),
        ("counts", pa.list_(COUNT)),
        ("invalid", pa.int64()),
    ]
)
"""One row per image and sigma; ``counts`` and ``invalid`` are of the estimate."""

INCOMPLETE = "incomplete"
"""Why an image has no certificate whose blocks do not tile what is read."""

UNITS = {
    "sigma": "std of the noise in [0, 1] pixels",
    "radius": "l2 distance in [0, 1] pixels of the certified input",
    "radius_two_sided": "l2 distance in [0, 1] pixels of the certified input",
}


@dataclass(frozen=True)
class Histogram:
    """The votes of some images for one stream."""

    votes: np.ndarray
    """int64 ``image class``."""

    invalid: np.ndarray
    """int64 ``image``; copies that voted for no class."""

    num_blocks: np.ndarray
    """int64 ``image``; different blocks of the wanted prefix that are there."""

    tiled: np.ndarray
    """bool ``image``; whether the prefix's blocks are all there, each exactly once."""


def histogram(
    votes: pa.Table,
    keys: Sequence[str],
    *,
    stream: str,
    num_blocks: int,
    num_classes: int,
) -> Histogram:
    """Add up the votes of a prefix of one stream's blocks, image by image.

    Args:
        votes: ledger rows, each block once.
        keys: images wanted, in order; rows of others are passed over.
        stream: whose blocks.
        num_blocks: the prefix ``[0, num_blocks)`` counts, later blocks do not.
        num_classes: classes there are.
    """
    votes = votes.filter(_in_prefix(votes, {stream: num_blocks}))
    wanted = pc.is_in(votes["image_key"], pa.array(keys, pa.string()))
    rows = votes.filter(wanted).combine_chunks()
    image = pc.index_in(rows["image_key"], pa.array(keys, pa.string())).to_numpy()
    owner = image[pc.list_parent_indices(rows["counts"]).to_numpy()]
    counted = pc.list_flatten(rows["counts"])
    dense = np.zeros((len(keys), num_classes), np.int64)
    classes = pc.struct_field(counted, "class").to_numpy()
    np.add.at(dense, (owner, classes), pc.struct_field(counted, "count").to_numpy())
    invalid = np.zeros(len(keys), np.int64)
    np.add.at(invalid, image, rows["invalid"].to_numpy())
    found = np.zeros((len(keys), num_blocks), np.int64)
    np.add.at(found, (image, rows["block"].to_numpy()), 1)
    return Histogram(dense, invalid, (found > 0).sum(axis=1), (found == 1).all(axis=1))


def _in_prefix(votes: pa.Table, blocks: Mapping[str, int]) -> pa.ChunkedArray:
    """Return which rows are of the first blocks of some streams."""
    return reduce(
        pc.or_,
        (
            pc.and_(
                pc.equal(votes["stream"], stream),
                pc.and_(
                    pc.greater_equal(votes["block"], 0), pc.less(votes["block"], num)
                ),
            )
            for stream, num in blocks.items()
        ),
    )


def failures(votes: pa.Table, blocks: Mapping[str, int]) -> dict[str, str]:
    """Return why images failed, by key, for those that did.

    Args:
        votes: ledger rows.
        blocks: number of blocks by stream that are read; a later one that failed is
            no failure of what is read.

    Returns:
        Of several reasons the first in the alphabet, whatever the order of rows.
    """
    failed = pc.and_(pc.is_valid(votes["failure"]), _in_prefix(votes, blocks))
    pairs = votes.select(["image_key", "failure"]).filter(failed).to_pylist()
    reasons: dict[str, str] = {}
    for row in sorted(pairs, key=lambda row: row["failure"]):
        reasons.setdefault(row["image_key"], row["failure"])
    return reasons


def certify_votes(votes: pa.Table, labels: Mapping[str, int], run: Run) -> pa.Table:
    """Return the certificates that a run's votes give for some images.

    An image is certified only if its blocks tile exactly what the rule reads; one whose
    blocks do not has radius 0 and says so.

    Args:
        votes: ledger rows of the run's sigma, each block once.
        labels: true class by image key, for the images wanted.
        run: for N0, N, rule and promise.

    Returns:
        Rows of :data:`CERTIFICATES`, sorted by image key.
    """
    keys = sorted(labels)
    blocks = blocks_of(run)
    streams = {
        stream: histogram(
            votes,
            keys,
            stream=stream,
            num_blocks=num,
            num_classes=run.classifier.num_classes,
        )
        for stream, num in blocks.items()
    }
    select, estimate = streams["select"], streams["estimate"]
    whole = select.tiled & estimate.tiled
    certified = _apply_rule(select, estimate, whole, run)
    columns = {
        "image_key": keys,
        "label": [labels[key] for key in keys],
        "sigma": [run.sigma] * len(keys),
        "failure_probability": [run.sampling.failure_probability] * len(keys),
        "rule": [run.rule.kind] * len(keys),
        "reason": _reasons(
            failures(votes, blocks), keys, certified["abstained"], whole
        ),
        "clean_class": _clean_classes(streams[CLEAN]),
        "counts": [sparse(row) for row in estimate.votes],
        "invalid": estimate.invalid,
        **certified,
    }
    arrays = [pa.array(columns[f.name], f.type) for f in CERTIFICATES]
    return pa.table(arrays, schema=CERTIFICATES)


def blocks_of(run: Run) -> dict[str, int]:
    """Return how many blocks of each stream the run's certificates read."""
    sampling = run.sampling
    return blocks_for_certify(
        sampling.num_select, sampling.num_estimate, sampling.block
    )


def _apply_rule(
    select: Histogram, estimate: Histogram, whole: np.ndarray, run: Run
) -> dict[str, np.ndarray]:
    """Certify; an image whose blocks do not tile what is read counts as no vote."""
    op = CertifyFixed(
        sigma=run.sigma, failure_probability=run.sampling.failure_probability
    )
    certify = op.open(Worker(torch.device("cpu")))
    num_draws = run.sampling.num_estimate
    tiled = whole[:, None]
    return dict(
        certify(
            {
                "votes_select": np.where(tiled, select.votes, 0),
                "invalid_select": select.invalid,
                "votes_estimate": np.where(tiled, estimate.votes, 0),
                "invalid_estimate": np.where(whole, estimate.invalid, num_draws),
            }
        )
    )


def _reasons(
    failed: Mapping[str, str],
    keys: Sequence[str],
    abstained: np.ndarray,
    whole: np.ndarray,
) -> list[str]:
    usual = np.where(abstained, "abstained", "certified")
    usual = np.where(whole, usual, INCOMPLETE)
    return [failed.get(key, str(word)) for key, word in zip(keys, usual, strict=True)]


def _clean_classes(clean: Histogram) -> list[int | None]:
    """Return the class of each image without noise; -1 for none, null if not asked."""
    votes = np.where(clean.invalid > 0, -1, clean.votes.argmax(axis=1))
    return [int(v) if n else None for v, n in zip(votes, clean.num_blocks, strict=True)]
