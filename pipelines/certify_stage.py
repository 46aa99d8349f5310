"""Certificates group by group: as a Ray Data stage, or in this process."""

# pyright: reportAttributeAccessIssue=false
# pyarrow.compute makes its functions when it is imported; its stubs name none.

import pickle
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from infra.object_store import Store, open_store
from pipelines.certificates import CERTIFICATES, certify_votes
from pipelines.image_groups import ImageGroup, image_groups
from pipelines.ledger_index import LedgerIndex
from pipelines.reading import Reading
from pipelines.recipe import Run
from pipelines.vote_rows import read_votes

_DIFFERING = "blocks_differing"
_STAGED = CERTIFICATES.append(pa.field(_DIFFERING, pa.int64()))
"""The first row of each group holds the group's blocks that differ, the others 0."""


@dataclass(frozen=True)
class Certified:
    """The certificates of one sigma, and the votes they rest on."""

    reading: Reading
    index: LedgerIndex
    certificates: pa.Table
    """Rows of :data:`CERTIFICATES`, sorted by image key."""

    num_differing: int
    """Blocks found more than once with different votes, read or merged."""

    @property
    def run(self) -> Run:
        """The run at this sigma."""
        return self.reading.run


def certify_group(store: Store, reading: Reading, group: ImageGroup) -> pa.Table:
    """Return the certificates of one group of images.

    Args:
        store: of OUT.
        reading: the run's rule.
        group: images, and the files that hold their votes.

    Returns:
        Rows for :func:`certified`.
    """
    votes = read_votes(store, group.files, group.keys)
    certificates = certify_votes(votes.rows, group.label_of, reading)
    differing = np.zeros(len(certificates), np.int64)
    differing[:1] = votes.num_differing
    return certificates.append_column(_STAGED.field(_DIFFERING), pa.array(differing))


def certified(
    reading: Reading, index: LedgerIndex, groups: Iterable[pa.Table]
) -> Certified:
    """Return the certificates of one sigma from those of all groups.

    Args:
        reading: of the run at this sigma.
        index: of its votes.
        groups: from :func:`certify_group`; rows of other sigmas are passed over.
    """
    tables = (table.cast(_STAGED) for table in groups)
    rows = pa.concat_tables([_STAGED.empty_table(), *tables])
    rows = rows.filter(pc.equal(rows["sigma"], reading.run.sigma)).sort_by("image_key")
    num_differing = pc.sum(rows[_DIFFERING]).as_py() or 0
    certificates = rows.select(CERTIFICATES.names)
    return Certified(reading, index, certificates, index.num_differing + num_differing)


def certify_here(
    store: Store, reading: Reading, index: LedgerIndex, labels: Mapping[str, int]
) -> Certified:
    """Certify the images of one sigma in this process, group by group.

    Args:
        store: of OUT.
        reading: of the run at this sigma.
        index: of its votes.
        labels: true class by image key, of the images wanted.
    """
    groups = image_groups(index, labels)
    found = (certify_group(store, reading, one) for one in groups)
    return certified(reading, index, found)


@dataclass(frozen=True)
class CertifyStage:
    """The fifth op as a stage: names of vote files and images in, certificates out."""

    out: str

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """Return the certificates of the groups in the batch."""
        store = open_store(self.out)
        pairs = zip(batch["reading"], batch["group"], strict=True)
        tables = [
            certify_group(store, pickle.loads(reading), pickle.loads(group))
            for reading, group in pairs
        ]
        return pa.concat_tables([_STAGED.empty_table(), *tables])


def stage_rows(
    reading: Reading, index: LedgerIndex, labels: Mapping[str, int]
) -> list[dict[str, bytes]]:
    """Return the rows that :class:`CertifyStage` reads, one per group of images.

    Args:
        reading: of the run at this sigma.
        index: of its votes.
        labels: true class by image key, of the images wanted.
    """
    pickled = pickle.dumps(reading)
    return [
        {"reading": pickled, "group": pickle.dumps(group)}
        for group in image_groups(index, labels)
    ]
