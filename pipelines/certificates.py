"""From votes to certificates: histograms per image, the tiling gate, the rule."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ops.vote.streams import CLEAN
from pipelines.certify_fixed import fixed_columns
from pipelines.certify_sequential import sequential_columns
from pipelines.histograms import Histogram, histogram
from pipelines.ledger import COUNT
from pipelines.reading import Reading

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
        ("radius_index", pa.int32()),
        ("radius_two_sided", pa.float64()),
        ("rule", pa.string()),
        ("reason", pa.string()),
        ("stopped", pa.string()),
        ("clean_class", pa.int32()),
        ("smoothed_class", pa.int32()),
        ("counts", pa.list_(COUNT)),
        ("invalid", pa.int64()),
    ]
)
"""One row per image and sigma; ``counts`` and ``invalid`` are of the estimate.

``radius_index`` and ``stopped`` are null under the rule ``fixed``, ``radius_two_sided``
is null under ``sequential``.
"""

INCOMPLETE = "incomplete"
"""Why an image has no certificate whose blocks do not tile what is read."""

UNITS = {
    "sigma": "std of the noise in [0, 1] pixels",
    "radius": "l2 distance in [0, 1] pixels of the certified input",
    "radius_two_sided": "l2 distance in [0, 1] pixels of the certified input",
}


def certify_votes(
    votes: pa.Table, labels: Mapping[str, int], reading: Reading
) -> pa.Table:
    """Return the certificates that a run's votes give for some images.

    An image is certified only if its blocks tile exactly what the rule reads; one whose
    blocks do not has radius 0 and says so.

    Args:
        votes: ledger rows of the run's sigma, each block once.
        labels: true class by image key, for the images wanted.
        reading: the run's rule.

    Returns:
        Rows of :data:`CERTIFICATES`, sorted by image key.
    """
    run, keys = reading.run, sorted(labels)
    certify = fixed_columns if reading.table is None else sequential_columns
    certified, whole, read = certify(votes, {k: labels[k] for k in keys}, reading)
    failed = failures(read)
    if reading.table is not None:  # else it would never be asked for what it lacks
        failed = {key: failed[key] for key in _whole(keys, whole) if key in failed}
    num_classes = run.classifier.num_classes
    clean = histogram(votes, keys, stream=CLEAN, num_blocks=1, num_classes=num_classes)
    columns: dict[str, Any] = {
        "image_key": keys,
        "label": [labels[key] for key in keys],
        "sigma": [run.sigma] * len(keys),
        "failure_probability": [reading.failure_probability] * len(keys),
        "rule": [run.rule.kind] * len(keys),
        "reason": _reasons(failed, keys, certified["abstained"], whole),
        "clean_class": _clean_classes(clean),
        **certified,
    }
    arrays = [pa.array(columns[f.name], f.type) for f in CERTIFICATES]
    return pa.table(arrays, schema=CERTIFICATES)


def _whole(keys: Sequence[str], whole: np.ndarray) -> list[str]:
    return [key for key, done in zip(keys, whole, strict=True) if done]


def failures(read: pa.Table) -> dict[str, str]:
    """Return why images failed, by key, for those that did.

    Args:
        read: ledger rows of the blocks that certificates read; one past these that
            failed is no failure of them.

    Returns:
        Of several reasons the first in the alphabet, whatever the order of rows.
    """
    failed = read.filter(pc.is_valid(read["failure"]))
    pairs = failed.select(["image_key", "failure"]).to_pylist()
    reasons: dict[str, str] = {}
    for row in sorted(pairs, key=lambda row: row["failure"]):
        reasons.setdefault(row["image_key"], row["failure"])
    return reasons


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
