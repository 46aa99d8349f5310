"""From votes to certificates: histograms per image, the tiling gate, the rule."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from infra.object_store import open_store
from ops.certify.fixed import CertifyFixed
from ops.columns import Worker
from ops.vote.add_noise import CLEAN
from pipelines.ledger import COUNT, ledger_of
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
    """int64 ``image``; blocks of the wanted prefix that are there."""


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
    wanted = pc.and_(
        pc.equal(votes["stream"], stream), pc.less(votes["block"], num_blocks)
    )
    wanted = pc.and_(wanted, pc.is_in(votes["image_key"], pa.array(keys, pa.string())))
    rows = votes.filter(wanted).combine_chunks()
    image = pc.index_in(rows["image_key"], pa.array(keys, pa.string())).to_numpy()
    owner = image[pc.list_parent_indices(rows["counts"]).to_numpy()]
    counted = pc.list_flatten(rows["counts"])
    dense = np.zeros((len(keys), num_classes), np.int64)
    classes = pc.struct_field(counted, "class").to_numpy()
    np.add.at(dense, (owner, classes), pc.struct_field(counted, "count").to_numpy())
    invalid = np.zeros(len(keys), np.int64)
    np.add.at(invalid, image, rows["invalid"].to_numpy())
    return Histogram(dense, invalid, np.bincount(image, minlength=len(keys)))


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
    whole = (select.num_blocks == blocks["select"]) & (
        estimate.num_blocks == blocks["estimate"]
    )
    certified = _apply_rule(select, estimate, whole, run)
    columns = {
        "image_key": keys,
        "label": [labels[key] for key in keys],
        "sigma": [run.sigma] * len(keys),
        "failure_probability": [run.sampling.failure_probability] * len(keys),
        "rule": [run.rule.kind] * len(keys),
        "reason": _reasons(votes, keys, certified["abstained"], whole),
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
    votes: pa.Table, keys: Sequence[str], abstained: np.ndarray, whole: np.ndarray
) -> list[str]:
    failed = votes.filter(pc.is_valid(votes["failure"]))
    pairs = zip(
        failed["image_key"].to_pylist(), failed["failure"].to_pylist(), strict=True
    )
    failures = dict(pairs)
    usual = np.where(abstained, "abstained", "certified")
    usual = np.where(whole, usual, "incomplete")
    return [failures.get(key, str(word)) for key, word in zip(keys, usual, strict=True)]


def _clean_classes(clean: Histogram) -> list[int | None]:
    """Return the class of each image without noise; -1 for none, null if not asked."""
    votes = np.where(clean.invalid > 0, -1, clean.votes.argmax(axis=1))
    return [int(v) if n else None for v, n in zip(votes, clean.num_blocks, strict=True)]


@dataclass(frozen=True)
class CertifyStage:
    """The fifth op as a stage: names of vote files and images in, certificates out."""

    out: str

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """Return the certificates of the groups in the batch."""
        store = open_store(self.out)
        columns = (batch[name] for name in ("run", "files", "keys", "labels"))
        tables = [
            certify_votes(
                ledger_of(store, sorted(files)).votes,
                dict(zip(keys, labels, strict=True)),
                pickle.loads(run),
            )
            for run, files, keys, labels in zip(*columns, strict=True)
        ]
        return pa.concat_tables([CERTIFICATES.empty_table(), *tables])
