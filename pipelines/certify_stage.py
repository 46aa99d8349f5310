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
from pipelines.recipe import Run
from pipelines.vote_rows import read_votes

_DIFFERING = "blocks_differing"
_STAGED = CERTIFICATES.append(pa.field(_DIFFERING, pa.int64()))
"""The first row of each group holds the group's blocks that differ, the others 0."""


@dataclass(frozen=True)
class Certified:
    """The certificates of one sigma, and the votes they rest on."""

    run: Run
    index: LedgerIndex
    certificates: pa.Table
    """Rows of :data:`CERTIFICATES`, sorted by image key."""

    num_differing: int
    """Blocks found more than once with different votes, read or merged."""


def certify_group(store: Store, run: Run, group: ImageGroup) -> pa.Table:
    """Return the certificates of one group of images.

    Args:
        store: of OUT.
        run: for N0, N, rule and promise.
        group: images, and the files that hold their votes.

    Returns:
        Rows for :func:`certified`.
    """
    votes = read_votes(store, group.files, group.keys)
    certificates = certify_votes(votes.rows, group.label_of, run)
    differing = np.zeros(len(certificates), np.int64)
    differing[:1] = votes.num_differing
    return certificates.append_column(_STAGED.field(_DIFFERING), pa.array(differing))


def certified(run: Run, index: LedgerIndex, groups: Iterable[pa.Table]) -> Certified:
    """Return the certificates of one sigma from those of all groups.

    Args:
        run: at this sigma.
        index: of its votes.
        groups: from :func:`certify_group`; rows of other sigmas are passed over.
    """
    tables = (table.cast(_STAGED) for table in groups)
    rows = pa.concat_tables([_STAGED.empty_table(), *tables])
    rows = rows.filter(pc.equal(rows["sigma"], run.sigma)).sort_by("image_key")
    num_differing = pc.sum(rows[_DIFFERING]).as_py() or 0
    certificates = rows.select(CERTIFICATES.names)
    return Certified(run, index, certificates, index.num_differing + num_differing)


def certify_here(
    store: Store, run: Run, index: LedgerIndex, labels: Mapping[str, int]
) -> Certified:
    """Certify the images of one sigma in this process, group by group.

    Args:
        store: of OUT.
        run: at this sigma.
        index: of its votes.
        labels: true class by image key, of the images wanted.
    """
    groups = image_groups(index, labels)
    return certified(run, index, (certify_group(store, run, one) for one in groups))


@dataclass(frozen=True)
class CertifyStage:
    """The fifth op as a stage: names of vote files and images in, certificates out."""

    out: str

    def __call__(self, batch: Mapping[str, Any]) -> pa.Table:
        """Return the certificates of the groups in the batch."""
        store = open_store(self.out)
        pairs = zip(batch["run"], batch["group"], strict=True)
        tables = [
            certify_group(store, pickle.loads(run), pickle.loads(group))
            for run, group in pairs
        ]
        return pa.concat_tables([_STAGED.empty_table(), *tables])


def stage_rows(
    run: Run, index: LedgerIndex, labels: Mapping[str, int]
) -> list[dict[str, bytes]]:
    """Return the rows that :class:`CertifyStage` reads, one per group of images.

    Args:
        run: at this sigma.
        index: of its votes.
        labels: true class by image key, of the images wanted.
    """
    pickled = pickle.dumps(run)
    return [
        {"run": pickled, "group": pickle.dumps(group)}
        for group in image_groups(index, labels)
    ]
